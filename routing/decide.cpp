// The rules of routing in their order: one table, walked by decide() up to the first objection and
// by explain() to the end.

#include "routing/decision.hpp"

#include "routing/choose_node.hpp"
#include "routing/rules.hpp"
#include "routing/written_table_clock.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <utility>

namespace pgtorii::routing {

namespace {

using sk = statement_kind;
using config::write_effect;

/// What is asked, with the parts that most rules look at.
struct question {
    const query_facts& facts;
    const session_traits& session;
    const ha::cluster_view& view;
    const routing::rules& rules;
    const statement_facts& statement;
    /// What runs: of PREPARE, EXECUTE and DEALLOCATE the prepared statement; null: not known.
    const statement_facts* work;

    write_effect mode;
    bool is_adaptive;
    /// A query whose content is judged. COPY TO is judged as a SELECT is, and so are PREPARE and
    /// EXECUTE: Pgpool-II lets such statements fail on a standby. DEALLOCATE reads nothing.
    bool is_query;

    /// A table that is read, or lies below a view that is, for which `is_wanted` holds, or may.
    template <class Predicate>
    bool reads_any(Predicate is_wanted) const
    {
        if (!is_query) return false;
        if (std::any_of(work->relations.begin(), work->relations.end(), is_wanted)) return true;
        const auto* const catalog = session.catalog;
        return catalog != nullptr &&
               (!catalog->tables_are_all ||
                std::any_of(catalog->tables.begin(), catalog->tables.end(), is_wanted));
    }
};

bool is_pgtorii_command(statement_kind kind)
{
    return kind == sk::pool_show || kind == sk::pgpool_show || kind == sk::pgpool_set ||
           kind == sk::pgpool_reset || kind == sk::explain_route;
}

bool names_prepared(const statement_facts& statement)
{
    return statement.kind == sk::execute || statement.kind == sk::deallocate;
}

/// EXECUTE p(f()).
bool calls_in_arguments(const statement_facts& execute)
{
    return execute.calls_writing_function || execute.calls_unknown_function;
}

const statement_facts* content_of(const query_facts& facts)
{
    const auto& statement = facts.first();
    if (statement.kind != sk::prepare) return &statement;
    return statement.inner ? &statement.inner->first() : nullptr;
}

const statement_facts* work_of(const query_facts& facts, const query_facts* prepared)
{
    if (!names_prepared(facts.first())) return content_of(facts);
    return prepared == nullptr ? nullptr : content_of(*prepared);
}

// Each rule answers read_balanced when it has no objection.

reason own_command(const question& asked)
{
    const bool is_ours = is_pgtorii_command(asked.statement.kind) && !asked.session.is_extended;
    return is_ours ? reason::local_command : reason::read_balanced;
}

reason parsed(const question& asked)
{
    // In a Parse our commands are what they look like: a syntax error, a SHOW of no such parameter.
    const auto kind = asked.statement.kind;
    const bool is_no_sql =
        kind == sk::pgpool_show || kind == sk::pgpool_set || kind == sk::pgpool_reset;
    return kind == sk::unparsed || is_no_sql ? reason::unparsed : reason::read_balanced;
}

reason single_statement(const question& asked)
{
    return asked.facts.is_multi() ? reason::multi_statement : reason::read_balanced;
}

reason known_statement(const question& asked)
{
    const bool is_unknown = asked.statement.kind == sk::execute && asked.work == nullptr;
    return is_unknown ? reason::prepared_unknown : reason::read_balanced;
}

reason row_locks(const question& asked)
{
    if (!asked.is_query) return reason::read_balanced;
    const bool is_below = asked.session.catalog != nullptr && asked.session.catalog->locks_rows;
    return asked.work->has_row_lock || is_below ? reason::row_lock : reason::read_balanced;
}

reason modifying_with(const question& asked)
{
    const bool modifies = asked.is_query && asked.work->has_modifying_with;
    return modifies ? reason::data_modifying_with : reason::read_balanced;
}

reason kind(const question& asked)
{
    auto where = asked.statement.destination;
    if (asked.statement.kind == sk::pool_show) where = destination::balanced;  // in a Parse
    if (names_prepared(asked.statement) && asked.work != nullptr) where = asked.work->destination;
    return where == destination::balanced ? reason::read_balanced : reason::statement_kind;
}

reason balancing(const question& asked)
{
    return asked.rules.is_balancing() ? reason::read_balanced : reason::load_balance_off;
}

reason pins(const question& asked)
{
    return asked.session.session_pinned ? reason::session_pinned : reason::read_balanced;
}

reason failure(const question& asked)
{
    return asked.session.transaction_failed ? reason::transaction_failed : reason::read_balanced;
}

reason isolation_level(const question& asked)
{
    const auto& session = asked.session;
    auto level = session.default_isolation;
    if (session.in_transaction && session.transaction_isolation != isolation::unspecified) {
        level = session.transaction_isolation;
    }
    // A standby refuses serializable. At repeatable read all statements of a transaction must see
    // one snapshot.
    const bool needs_primary = level == isolation::serializable ||
                               (level == isolation::repeatable_read && session.in_transaction);
    return needs_primary ? reason::transaction_isolation : reason::read_balanced;
}

reason schema_changes(const question& asked)
{
    const bool has_ddl = asked.session.in_transaction && asked.session.transaction_has_ddl;
    return has_ddl ? reason::transaction_ddl : reason::read_balanced;
}

/// disable_load_balance_on_write, but for the tables of the dml_adaptive modes.
reason writes(const question& asked)
{
    const auto& session = asked.session;
    const auto mode = asked.mode;
    if (mode == write_effect::always && session.session_written) return reason::session_written;
    if (!session.in_transaction || mode == write_effect::off) return reason::read_balanced;
    if (asked.is_adaptive) {
        const bool is_everything = session.written != nullptr && session.written->is_everything();
        return is_everything ? reason::transaction_written : reason::read_balanced;
    }
    if (session.transaction_written) return reason::transaction_written;
    const bool lasts = mode == write_effect::trans_transaction;
    return lasts && session.session_transaction_written ? reason::session_written
                                                        : reason::read_balanced;
}

reason shared_transaction(const question& asked)
{
    const bool is_kept = asked.session.in_transaction && !asked.session.transaction_shareable;
    return is_kept ? reason::transaction_not_shared : reason::read_balanced;
}

reason start_of_text(const question& asked)
{
    const bool applies = asked.statement.kind == sk::select || asked.statement.kind == sk::empty;
    return applies && !asked.rules.is_read_by_text(asked.facts) ? reason::text_rule
                                                                : reason::read_balanced;
}

reason system_catalogs(const question& asked)
{
    if (!asked.is_query) return reason::read_balanced;
    const auto* const catalog = asked.session.catalog;
    const bool reads =
        asked.work->reads_system_catalog || (catalog != nullptr && catalog->reads_system_catalog);
    return reads ? reason::system_catalog : reason::read_balanced;
}

reason temporary_tables(const question& asked)
{
    if (!asked.is_query) return reason::read_balanced;
    const auto* const catalog = asked.session.catalog;
    const bool is_checked =
        asked.rules.parameters().check_temp_table == config::temp_table_check::catalog;
    const bool reads = asked.work->reads_temp_schema ||
                       (is_checked && catalog != nullptr && catalog->reads_temporary_table);
    return reads ? reason::temporary_table : reason::read_balanced;
}

reason unlogged_tables(const question& asked)
{
    const auto* const catalog = asked.session.catalog;
    const bool reads = asked.is_query && asked.rules.parameters().check_unlogged_table &&
                       catalog != nullptr && catalog->reads_unlogged_table;
    return reads ? reason::unlogged_table : reason::read_balanced;
}

reason query_patterns(const question& asked)
{
    const auto* const prepared = asked.session.prepared;
    const bool matches =
        asked.facts.matches_query_pattern ||
        (names_prepared(asked.statement) && prepared != nullptr && prepared->matches_query_pattern);
    return asked.is_query && matches ? reason::query_pattern : reason::read_balanced;
}

reason functions(const question& asked)
{
    if (!asked.is_query) return reason::read_balanced;
    // Arguments of EXECUTE; the catalog is asked for what was prepared only.
    if (names_prepared(asked.statement) && calls_in_arguments(asked.statement)) {
        return reason::writing_function;
    }
    return asked.rules.judge_functions(*asked.work, asked.session.catalog);
}

/// The tables of dml_adaptive.
reason written_by_transaction(const question& asked)
{
    const auto* const written = asked.session.written;
    if (!asked.is_adaptive || !asked.session.in_transaction || written == nullptr ||
        written->is_empty()) {
        return reason::read_balanced;
    }
    const bool reads = asked.reads_any([&](const auto& name) { return written->contains(name); });
    return reads ? reason::table_written : reason::read_balanced;
}

/// And those of dml_adaptive_global.
reason written_by_others(const question& asked)
{
    const auto& session = asked.session;
    const auto* const known = session.table_clock;
    if (asked.mode != write_effect::dml_adaptive_global || known == nullptr) {
        return reason::read_balanced;
    }
    if (known->is_cold(session.now)) return reason::cold_start;
    if (!asked.is_query || asked.work->relations.empty()) return reason::read_balanced;
    const auto lifetime = asked.rules.write_lifetime(asked.view);
    const bool reads = known->is_everything_recent(session.database, session.now, lifetime) ||
                       asked.reads_any([&](const auto& name) {
                           return known->is_recent(session.database, name, session.now, lifetime);
                       });
    return reads ? reason::table_written : reason::read_balanced;
}

reason refusals(const question& asked)
{
    return asked.session.is_remembered_write ? reason::remembered_write : reason::read_balanced;
}

reason standbys(const question& asked)
{
    const auto& view = asked.view;
    const bool has_standby =
        std::any_of(view.nodes.begin(), view.nodes.end(),
                    [&](const auto& node) { return node.is_valid() && node.id != view.primary; });
    return has_standby ? reason::read_balanced : reason::no_standby;
}

/// A session whose node is the primary reads there without more ado.
reason delay(const question& asked)
{
    const auto& view = asked.view;
    const int id = asked.session.balanced_node;
    const bool is_node = id >= 0 && static_cast<std::size_t>(id) < view.nodes.size();
    if (!is_node || id == view.primary) return reason::read_balanced;
    const auto& node = view.nodes[static_cast<std::size_t>(id)];
    if (!node.is_valid() || !asked.rules.is_late(node)) return reason::read_balanced;
    const bool has_better = asked.rules.parameters().prefer_lower_delay_standby &&
                            choose_least_delayed(view, asked.rules, 0) >= 0;
    return has_better ? reason::read_balanced : reason::replication_delay;
}

reason replayed_writes(const question& asked)
{
    return asked.session.is_not_replayed ? reason::not_replayed : reason::read_balanced;
}

/// The last one: it is asked only when nothing else decides.
reason catalog_answer(const question& asked)
{
    if (asked.session.catalog != nullptr || !asked.is_query) return reason::read_balanced;
    const auto* const written = asked.session.written;
    const bool wants_tables = asked.mode == write_effect::dml_adaptive_global ||
                              (asked.is_adaptive && written != nullptr && !written->is_empty());
    const bool is_missing = asked.rules.asks_catalog(*asked.work, wants_tables);
    return is_missing ? reason::catalog_unknown : reason::read_balanced;
}

struct rule {
    std::string_view name;
    reason (*judge)(const question&);
    std::string_view no_objection;
};

constexpr rule rule_table[] = {
    {"own commands", own_command, "no command of pgtorii"},
    {"parser", parsed, "the text could be parsed"},
    {"single statement", single_statement, "one statement"},
    {"prepared statement", known_statement, "no unknown prepared statement"},
    {"row locks", row_locks, "no rows are locked"},
    {"data-modifying WITH", modifying_with, "no WITH clause modifies data"},
    {"statement kind", kind, "statements of this kind may be balanced"},
    {"load_balance_mode", balancing, "load balancing is on"},
    {"session state", pins, "no state that only one server connection has"},
    {"failed transaction", failure, "the transaction, if any, is sound"},
    {"isolation level", isolation_level, "the isolation level allows a standby"},
    {"schema changes", schema_changes, "the transaction has not changed the schema"},
    {"disable_load_balance_on_write", writes, "no write that counts under this setting"},
    {"shared transaction", shared_transaction, "no transaction, or one that a standby may join"},
    {"start of the text", start_of_text, "the text starts like a read, or need not"},
    {"system catalogs", system_catalogs, "no system catalog is read"},
    {"temporary tables", temporary_tables, "no temporary table is known to be read"},
    {"unlogged tables", unlogged_tables, "no unlogged table is known to be read"},
    {"primary_routing_query_pattern_list", query_patterns, "no pattern matches"},
    {"functions", functions, "no function is known to write"},
    {"tables of the transaction", written_by_transaction, "none that it has written is read"},
    {"tables of other sessions", written_by_others, "none that was written lately is read"},
    {"refused statements", refusals, "no standby has refused the statement"},
    {"standbys", standbys, "a standby is available"},
    {"replication delay", delay, "within the threshold, or without one"},
    {"replayed writes", replayed_writes, "nothing that a standby lacks must be seen"},
    {"catalog", catalog_answer, "the catalog has answered, or need not"},
};

constexpr std::size_t rule_count = std::size(rule_table);

/// The walk as one chain of tests: the compiler sees through the table, so that a rule costs what
/// it looks at.
template <std::size_t... Index>
reason first_objection(const question& asked, std::index_sequence<Index...>)
{
    auto found = reason::read_balanced;
    (void)(((found = rule_table[Index].judge(asked)) != reason::read_balanced) || ...);
    return found;
}

question question_of(const query_facts& facts, const session_traits& session,
                     const ha::cluster_view& view, const rules& rules)
{
    const auto& statement = facts.first();
    const auto* const work = work_of(facts, session.prepared);
    const auto mode = rules.parameters().disable_load_balance_on_write;
    const bool is_adaptive =
        mode == write_effect::dml_adaptive || mode == write_effect::dml_adaptive_global;
    const bool is_query = work != nullptr && statement.kind != sk::deallocate &&
                          (work->kind == sk::select || work->kind == sk::copy_to);
    return {facts, session, view, rules, statement, work, mode, is_adaptive, is_query};
}

decision decision_of(reason why)
{
    switch (why) {
    case reason::read_balanced: return {target::balanced, why};
    case reason::local_command: return {target::local, why};
    default: return {target::primary, why};
    }
}

}  // namespace

const query_facts_ptr& content_of(const query_facts_ptr& facts)
{
    const auto& inner = facts->first().inner;
    return inner ? inner : facts;
}

decision decide(const query_facts& facts, const session_traits& session,
                const ha::cluster_view& view, const rules& rules)
{
    const auto asked = question_of(facts, session, view, rules);
    return decision_of(first_objection(asked, std::make_index_sequence<rule_count>()));
}

std::vector<rule_verdict> explain(const query_facts& facts, const session_traits& session,
                                  const ha::cluster_view& view, const rules& rules)
{
    const auto asked = question_of(facts, session, view, rules);
    std::vector<rule_verdict> verdicts;
    verdicts.reserve(rule_count);
    bool is_decided = false;
    for (const auto& each : rule_table) {
        const auto why = each.judge(asked);
        const bool objects = why != reason::read_balanced;
        verdicts.push_back(
            {each.name, objects ? text_of(why) : each.no_objection, why, objects && !is_decided});
        is_decided = is_decided || objects;
    }
    if (!is_decided) verdicts.back().decides = true;
    return verdicts;
}

std::vector<std::string> lines_of(const decision& found, int node,
                                  const std::vector<rule_verdict>& verdicts)
{
    std::vector<std::string> lines;
    lines.reserve(verdicts.size() + 1);
    auto& head = lines.emplace_back("Route: ");
    head.append(name_of(found.target));
    if (node >= 0) head.append(" (node ").append(std::to_string(node)).append(1, ')');
    head.append(": ").append(text_of(found.reason));
    for (const auto& each : verdicts) {
        auto& line = lines.emplace_back(each.decides ? "-> " : "   ");
        line.append(each.rule).append(": ").append(each.finding);
    }
    return lines;
}

bool counts_as_write(const query_facts& facts, const rules& rules, const catalog_facts* catalog,
                     const query_facts* prepared)
{
    if (!facts.is_multi() && facts.first().kind == sk::select && !rules.is_read_by_text(facts)) {
        return true;
    }
    if (facts.is_multi()) {
        // Which of the statements these are about nobody can tell.
        catalog = nullptr;
        prepared = nullptr;
    }
    return std::any_of(facts.statements.begin(), facts.statements.end(), [&](const auto& each) {
        const auto* statement = &each;
        if (each.kind == sk::execute || each.kind == sk::prepare) {
            const bool is_known =
                each.kind == sk::prepare ? each.inner != nullptr : prepared != nullptr;
            if (!is_known || (each.kind == sk::execute && calls_in_arguments(each))) return true;
            statement = content_of(each.kind == sk::prepare ? *each.inner : *prepared);
            if (statement == nullptr) return true;
        }
        if (statement->kind != sk::select && statement->kind != sk::copy_to) {
            return statement->counts_as_write;
        }
        if (statement->has_row_lock || statement->has_into || statement->has_modifying_with) {
            return true;
        }
        const bool is_unknown = catalog == nullptr && statement->calls_unknown_function;
        return rules.judge_functions(*statement, catalog) != reason::read_balanced ||
               (is_unknown && !rules.has_function_lists());
    });
}

}  // namespace pgtorii::routing
