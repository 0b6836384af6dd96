#include "routing/decision.hpp"

#include "routing/choose_node.hpp"
#include "routing/rules.hpp"

#include <algorithm>

namespace pgtorii::routing {

namespace {

decision to_primary(reason why)
{
    return {target::primary, why};
}

bool is_own_command(statement_kind kind)
{
    return kind == statement_kind::pool_show || kind == statement_kind::pgpool_show ||
           kind == statement_kind::pgpool_set || kind == statement_kind::pgpool_reset;
}

/// Why a statement that is never balanced is not.
reason reason_of_kind(const statement_facts& facts)
{
    const bool is_query =
        facts.kind == statement_kind::select || facts.kind == statement_kind::copy_to;
    if (facts.kind == statement_kind::unparsed) return reason::unparsed;
    if (is_query && facts.has_row_lock) return reason::row_lock;
    if (is_query && facts.has_modifying_with) return reason::data_modifying_with;
    return reason::statement_kind;
}

/// What the state of the session says to a read; read_balanced: nothing.
reason judge_session(const session_traits& session, const rules& rules)
{
    using config::write_effect;
    const auto mode = rules.parameters().disable_load_balance_on_write;
    if (session.session_pinned) return reason::session_pinned;
    if (mode == write_effect::always && session.session_written) return reason::session_written;
    if (!session.in_transaction) return reason::read_balanced;
    if (session.transaction_failed) return reason::transaction_failed;
    // The dml_adaptive modes know tables that were written; until these are kept, any write counts.
    if (mode != write_effect::off && session.transaction_written)
        return reason::transaction_written;
    if (mode == write_effect::trans_transaction && session.session_transaction_written) {
        return reason::session_written;
    }
    if (!session.transaction_shareable) return reason::transaction_not_shared;
    return reason::read_balanced;
}

/// The checks of routing.md, section 4.2. COPY TO is checked as a SELECT is, which Pgpool-II does
/// not do: it lets such statements fail on a standby.
reason judge_content(const query_facts& facts, const rules& rules)
{
    const auto& statement = facts.first();
    const bool has_text_rule =
        statement.kind == statement_kind::select || statement.kind == statement_kind::empty;
    if (has_text_rule && !rules.is_read_by_text(facts)) return reason::text_rule;
    if (statement.kind != statement_kind::select && statement.kind != statement_kind::copy_to) {
        return reason::read_balanced;
    }
    if (statement.reads_system_catalog) return reason::system_catalog;
    if (statement.reads_temp_schema) return reason::temporary_table;
    if (facts.matches_query_pattern) return reason::query_pattern;
    return rules.judge_functions(statement);
}

const ha::node_view* valid_node(const ha::cluster_view& view, int id)
{
    if (id < 0 || static_cast<std::size_t>(id) >= view.nodes.size()) return nullptr;
    const auto& node = view.nodes[static_cast<std::size_t>(id)];
    return node.is_valid() ? &node : nullptr;
}

/// What the nodes say. A session whose node is the primary reads there without more ado.
reason judge_nodes(const session_traits& session, const ha::cluster_view& view, const rules& rules)
{
    const bool has_standby =
        std::any_of(view.nodes.begin(), view.nodes.end(),
                    [&](const auto& node) { return node.is_valid() && node.id != view.primary; });
    if (!has_standby) return reason::no_standby;
    const auto& parameters = rules.parameters();
    const bool has_delay_limit =
        parameters.delay_threshold > 0 &&
        parameters.backend_clustering_mode == config::clustering_mode::streaming_replication;
    const auto* node = valid_node(view, session.balanced_node);
    if (!has_delay_limit || node == nullptr || node->id == view.primary)
        return reason::read_balanced;
    if (node->replication_delay <= parameters.delay_threshold) return reason::read_balanced;
    if (parameters.prefer_lower_delay_standby &&
        choose_least_delayed(view, parameters.delay_threshold, 0) >= 0) {
        return reason::read_balanced;
    }
    return reason::replication_delay;
}

}  // namespace

std::string_view text_of(reason why)
{
    switch (why) {
    case reason::read_balanced: return "a read that may be balanced";
    case reason::load_balance_off: return "load balancing is off";
    case reason::no_standby: return "no standby is available";
    case reason::text_rule: return "the text does not start like a read";
    case reason::statement_kind: return "statements of this kind go to the primary";
    case reason::unparsed: return "the text could not be parsed";
    case reason::multi_statement: return "several statements in one message";
    case reason::row_lock: return "the query locks rows";
    case reason::data_modifying_with: return "the query modifies data in a WITH clause";
    case reason::writing_function: return "the query calls a function that may write";
    case reason::unknown_function:
        return "the query calls a function that is not known as read-only";
    case reason::system_catalog: return "the query reads a system catalog";
    case reason::temporary_table: return "the query reads a temporary table";
    case reason::query_pattern: return "the text matches primary_routing_query_pattern_list";
    case reason::function_list: return "the function lists say that the query may write";
    case reason::transaction_failed: return "the transaction has failed";
    case reason::transaction_written: return "the transaction has written";
    case reason::session_written: return "the session has written";
    case reason::transaction_isolation: return "the isolation level needs the primary";
    case reason::transaction_not_shared: return "the transaction stays on the primary";
    case reason::session_pinned: return "the session has state that only one server connection has";
    case reason::replication_delay: return "the standby is too far behind";
    case reason::catalog_unknown: return "the catalog has not answered for the names in the query";
    case reason::unlogged_table: return "the query reads an unlogged table";
    case reason::table_written: return "the transaction has written a table that the query reads";
    case reason::transaction_ddl: return "the transaction has changed the schema";
    case reason::prepared_unknown: return "the prepared statement is not known to the session";
    case reason::not_replayed: return "no standby has replayed what was written before";
    case reason::portal_place: return "a portal is where it was bound";
    case reason::remembered_write: return "a standby has refused this statement before";
    case reason::local_command: return "answered by pgtorii itself";
    }
    return "unknown";
}

decision decide(const query_facts& facts, const session_traits& session,
                const ha::cluster_view& view, const rules& rules)
{
    const auto& first = facts.first();
    auto where = first.destination;
    if (is_own_command(first.kind)) {
        if (!session.is_extended) return {target::local, reason::local_command};
        // In a Parse they are what they look like: a SHOW of no such parameter, and a syntax error.
        if (first.kind != statement_kind::pool_show) return to_primary(reason::unparsed);
        where = destination::balanced;
    }
    if (first.kind == statement_kind::unparsed) return to_primary(reason::unparsed);
    if (facts.is_multi()) return to_primary(reason::multi_statement);
    if (where != destination::balanced) return to_primary(reason_of_kind(first));
    if (!rules.is_balancing()) return to_primary(reason::load_balance_off);
    for (const auto why : {judge_session(session, rules), judge_content(facts, rules)}) {
        if (why != reason::read_balanced) return to_primary(why);
    }
    const auto why = judge_nodes(session, view, rules);
    if (why != reason::read_balanced) return to_primary(why);
    return {target::balanced, reason::read_balanced};
}

bool counts_as_write(const query_facts& facts, const rules& rules)
{
    if (!facts.is_multi() && facts.first().kind == statement_kind::select &&
        !rules.is_read_by_text(facts)) {
        return true;
    }
    return std::any_of(
        facts.statements.begin(), facts.statements.end(), [&](const auto& statement) {
            const bool is_query = statement.kind == statement_kind::select ||
                                  statement.kind == statement_kind::copy_to;
            if (!is_query || !rules.has_function_lists()) return statement.counts_as_write;
            return statement.has_row_lock || statement.has_into || statement.has_modifying_with ||
                   rules.judge_functions(statement) != reason::read_balanced;
        });
}

}  // namespace pgtorii::routing
