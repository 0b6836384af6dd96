// Prepared statements of SQL: PREPARE makes one that any server can be brought to, so that EXECUTE
// is routed as what it runs.

#include "core/client_session.hpp"

#include "protocol/message.hpp"

#include <algorithm>
#include <utility>

namespace pgtorii::core {

using routing::statement_kind;
using runtime::task;

namespace {

/// Statements whose `name` is that of a prepared one, which their server must know before: also a
/// second PREPARE, which a server that has the first refuses.
bool names_one(statement_kind kind)
{
    return kind == statement_kind::execute || kind == statement_kind::prepare ||
           kind == statement_kind::deallocate;
}

}  // namespace

/// A server has run PREPARE.
void client_session::note_prepared(server_link& link, const std::string& name,
                                   std::string_view text)
{
    auto made = std::make_shared<prepared_statement>();
    made->id = home_.statement_ids.next();
    made->name = name;
    made->text = text;
    made->is_sql = true;
    made->facts = home_.facts.find_or_analyze(text, text_rules_);
    made->text_settings = settings_record_.text_settings_now();
    made->search_path = settings_record_.search_path_now();
    link.statements[name] = {made->id, 0};
    prepared_.add(std::move(made));
}

/// A server has run DEALLOCATE of a name, or (no name) of all. Another statement may have been sent
/// under the name since: only what is known to have been there is gone.
void client_session::forget_statements(server_link& link, const std::string& name)
{
    const auto forget = [&](const std::string& each) {
        const auto known = prepared_.find(each);
        const auto there = link.statements.find(each);
        const bool is_there = there != link.statements.end();
        if (is_there && known && there->second.id == known->id) link.statements.erase(there);
        prepared_.remove(each);
        close_everywhere(each);
    };
    if (!name.empty() && name != "all") return forget(name);
    std::vector<std::string> names;
    for (const auto& each : links_) {
        for (const auto& [known, id] : each->statements) names.push_back(known);
    }
    for (const auto& each : names) forget(each);
    // Those of other sessions that have had this link.
    for (auto& each : link.statements) each.second = {};
    prepared_.clear();
}

/// What an EXECUTE or DEALLOCATE means: the facts of the text that made its statement, or null.
routing::query_facts_ptr client_session::prepared_facts(const routing::query_facts& facts) const
{
    const auto& first = facts.first();
    if (first.kind != statement_kind::execute && first.kind != statement_kind::deallocate)
        return nullptr;
    if (first.name.empty()) return nullptr;  // DEALLOCATE ALL
    const auto made = prepared_.find(first.name);
    return made ? made->facts : nullptr;
}

/// The unit at hand names this statement's own statement in SQL: its link must have it before.
void client_session::need_statement(const routing::statement_facts& facts)
{
    if (!names_one(facts.kind) && facts.executed.empty()) return;
    const auto add = [this](const std::string& name) {
        if (auto made = prepared_.find(name); made && !made->is_cut)
            needed_statements_.push_back(std::move(made));
    };
    if (names_one(facts.kind)) add(facts.name);
    for (const auto& name : facts.executed) add(name);
}

/// Whether a link does not have a statement under this name. In SQL it is the client's own.
bool client_session::lacks_statement(server_link& link, const prepared_statement& wanted,
                                     const std::string& name)
{
    const auto there = link.statements.find(name);
    if (there == link.statements.end() || !there->second.serves_as(wanted)) return true;
    // Of another session or another name, perhaps: from now on it is this one.
    there->second.id = wanted.id;
    return false;
}

bool client_session::lacks_statements(server_link& link) const
{
    return std::ranges::any_of(needed_statements_, [&link](const prepared_ptr& each) {
        return lacks_statement(link, *each, each->name);
    });
}

/// Whether a message of the extended protocol runs, or prepares, what names statements in SQL.
bool client_session::names_statements(const unit_item& item)
{
    if (!item.statement || (item.type != 'P' && item.type != 'B' && item.type != 'D')) return false;
    if (item.statement->is_sql) return true;
    if (!item.statement->facts) return false;
    const auto& first = item.statement->facts->first();
    return names_one(first.kind) || !first.executed.empty();
}

/// Prepares what an item names in SQL on a link that lacks it, just before the item: its own
/// message in the same unit, so that nothing has to be waited for. An error of it is the client's.
void client_session::bring_named(server_link& link, const unit_item& item)
{
    if (!names_statements(item)) return;
    needed_statements_.clear();
    if (item.statement->is_sql) {
        needed_statements_.push_back(item.statement);
    } else {
        need_statement(item.statement->facts->first());
    }
    for (const auto& each : std::exchange(needed_statements_, {})) {
        if (lacks_statement(link, *each, each->name)) bring_within(link, *each);
    }
}

void client_session::bring_within(server_link& link, const prepared_statement& wanted)
{
    close_on_link(link, wanted.name);
    const auto detour = detour_for(wanted);
    for (const auto& each : detour.there) run_within(link, each, brought_tag);
    if (wanted.is_sql) {
        run_within(link, wanted.text, brought_tag);
    } else {
        home_.replies.parse(wanted.name, wanted.text, wanted.parameter_types);
        link.ledger.expect(protocol::expected_kind::parse, brought_tag, true);
    }
    for (const auto& each : detour.back) run_within(link, each, brought_tag);
    write_link(link, home_.replies.bytes());
    home_.replies.clear();
    link.statements[wanted.name] = {wanted.id, wanted.content};
    link.note_brought(wanted.name);
}

/// Adds a statement of ours to the replies' buffer, as part of an extended unit.
void client_session::run_within(server_link& link, std::string_view sql, std::uint32_t tag)
{
    constexpr std::string_view own_name = "pgtorii: brings a statement";
    using protocol::expected_kind;
    auto& out = home_.replies;
    out.parse(own_name, sql).bind(own_name, own_name).execute(own_name);
    out.close_portal(own_name).close_statement(own_name);
    for (const auto kind : {expected_kind::parse, expected_kind::bind, expected_kind::execute,
                            expected_kind::close, expected_kind::close})
        link.ledger.expect(kind, tag, true);
}

/// A statement is brought to another server under the settings by which its own Parse was read, and
/// those of now are brought back behind it. What a transaction has set and not committed can't be
/// brought back in the same words (SET LOCAL): then the settings of now are used.
client_session::settings_detour client_session::detour_for(const prepared_statement& wanted)
{
    const auto& now = settings_record_.text_settings_now();
    if (wanted.text_settings == now || settings_record_.has_uncommitted()) return {};
    // Under another search_path PostgreSQL reads the text anew, by the settings of then.
    if (wanted.search_path != settings_record_.search_path_now()) return {};
    return {.there = session_settings::statements_between(now, wanted.text_settings),
            .back = session_settings::statements_between(wanted.text_settings, now)};
}

/// Prepares what a Query names in SQL on a link that lacks it. An error of it (the table is gone)
/// is not told: the EXECUTE then fails in the server's own words.
task<> client_session::bring_statements(server_link& link)
{
    for (const auto& each : needed_statements_) {
        if (!lacks_statement(link, *each, each->name)) continue;
        close_on_link(link, each->name);
        const auto detour = detour_for(*each);
        auto& out = home_.replies;
        for (const auto& way : detour.there) run_within(link, way, own_tag);
        if (each->is_sql) {
            run_within(link, each->text, own_tag);
        } else {
            out.parse(each->name, each->text, each->parameter_types);
            link.ledger.expect(protocol::expected_kind::parse, own_tag, true);
        }
        for (const auto& way : detour.back) run_within(link, way, own_tag);
        out.sync();
        link.ledger.expect(protocol::expected_kind::sync, own_tag, true);
        write_link(link, out.bytes());
        out.clear();
        const bool is_there = co_await finish_own(link);
        if (is_over() || link.is_spoiled) co_return;
        if (is_there) link.statements[each->name] = {each->id, each->content};
    }
}

}  // namespace pgtorii::core
