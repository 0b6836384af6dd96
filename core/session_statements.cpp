// Prepared statements of SQL: PREPARE makes one that any server can be brought to, so that EXECUTE is
// routed as what it runs.

#include "core/client_session.hpp"

#include "protocol/message.hpp"

#include <algorithm>

namespace pgtorii::core {

using runtime::task;
using routing::statement_kind;

/// A server has run PREPARE.
void client_session::note_prepared(server_link& link, const std::string& name,
                                   std::string_view text)
{
    auto made = std::make_shared<prepared_statement>();
    made->id = prepared_.next_id();
    made->name = name;
    made->text = text;
    made->is_sql = true;
    made->facts = home_.facts.find_or_analyze(text, text_rules_);
    link.statements[name] = made->id;
    prepared_.add(std::move(made));
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
    if (facts.kind != statement_kind::execute && facts.kind != statement_kind::prepare &&
        facts.executed.empty())
        return;
    const auto add = [this](const std::string& name) {
        if (auto made = prepared_.find(name); made && !made->is_cut)
            needed_statements_.push_back(std::move(made));
    };
    // A second PREPARE of a name is refused by a server that has the first.
    if (facts.kind == statement_kind::execute || facts.kind == statement_kind::prepare)
        add(facts.name);
    for (const auto& name : facts.executed) add(name);
}

bool client_session::lacks_statement(const server_link& link, const prepared_statement& wanted)
{
    const auto there = link.statements.find(wanted.name);
    return there == link.statements.end() || there->second != wanted.id;
}

bool client_session::lacks_statements(const server_link& link) const
{
    return std::ranges::any_of(needed_statements_, [&link](const prepared_ptr& each) {
        return lacks_statement(link, *each);
    });
}

/// Prepares what the unit names in SQL on a link that lacks it. An error of it (the table is gone)
/// is not told: the EXECUTE then fails in the server's own words.
task<> client_session::bring_statements(server_link& link)
{
    for (const auto& each : needed_statements_) {
        if (!lacks_statement(link, *each)) continue;
        close_on_link(link, each->name);
        auto& out = home_.replies;
        if (!each->is_sql) {
            out.parse(each->name, each->text, each->parameter_types);
            link.ledger.expect(protocol::expected_kind::parse, own_tag, true);
        }
        out.sync();
        link.ledger.expect(protocol::expected_kind::sync, own_tag, true);
        write_link(link, out.bytes());
        out.clear();
        bool is_there = co_await finish_own(link);
        if (is_there && each->is_sql) is_there = co_await run_own(link, each->text);
        if (is_over() || link.is_spoiled) co_return;
        if (is_there) link.statements[each->name] = each->id;
    }
}

}  // namespace pgtorii::core
