// Prepared statements of SQL: PREPARE makes one that any server can be brought to, so that EXECUTE
// is routed as what it runs.

#include "core/client_session.hpp"

#include "protocol/message.hpp"
#include "protocol/server_messages.hpp"

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
            work_->needed_statements.push_back(std::move(made));
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
    return std::ranges::any_of(work_->needed_statements, [&link](const prepared_ptr& each) {
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
    work_->needed_statements.clear();
    if (item.statement->is_sql) {
        work_->needed_statements.push_back(item.statement);
    } else {
        need_statement(item.statement->facts->first());
    }
    for (const auto& each : std::exchange(work_->needed_statements, {})) {
        if (lacks_statement(link, *each, each->name)) bring_within(link, *each);
    }
}

void client_session::bring_within(server_link& link, const prepared_statement& wanted)
{
    close_on_link(link, wanted.name);
    const auto detour = detour_for(link, wanted);
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
/// brought back in the same words (SET LOCAL): there a savepoint of ours undoes the way, and leaves
/// the statement, which is not the transaction's. In a unit that has begun outside of a transaction
/// block, or may have left it, no savepoint can be set: then the settings of now are used.
client_session::settings_detour client_session::detour_for(const server_link& link,
                                                           const prepared_statement& wanted)
{
    const auto& now = settings_record_.text_settings_now();
    // Under another search_path PostgreSQL reads the text anew, by the settings of then.
    if (wanted.search_path != settings_record_.search_path_now()) return {};
    settings_detour way{.there = session_settings::statements_between(now, wanted.text_settings),
                        .back = {}};
    if (way.there.empty()) return {};
    if (!settings_record_.has_uncommitted()) {
        way.back = session_settings::statements_between(wanted.text_settings, now);
        return way;
    }
    if (link.status != 'T' || (is_in_unit_ && unit_may_end_transaction_)) return {};
    way.there.insert(way.there.begin(), R"(SAVEPOINT "pgtorii: brings a statement")");
    way.back = {R"(ROLLBACK TO SAVEPOINT "pgtorii: brings a statement")",
                R"(RELEASE SAVEPOINT "pgtorii: brings a statement")"};
    return way;
}

/// Prepares what a Query names in SQL on a link that lacks it. An error of it (the table is gone)
/// is not told: the EXECUTE then fails in the server's own words.
task<> client_session::bring_statements(server_link& link)
{
    for (const auto& each : work_->needed_statements) {
        if (!lacks_statement(link, *each, each->name)) continue;
        close_on_link(link, each->name);
        const auto detour = detour_for(link, *each);
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

/// Whether the client asks, in the unit that holds this Bind, for what it will get.
bool client_session::is_described_in_unit(const unit_item& bind) const
{
    return std::ranges::any_of(work_->items, [&bind](const unit_item& item) {
        return item.type == 'D' && item.statement == bind.statement;
    });
}

/// A statement of the unit whose result would be another one than its client was told, as far as
/// the link's record tells; null: there is none.
const prepared_statement* client_session::other_shape(const server_link& link) const
{
    for (const auto& item : work_->items) {
        if (item.type != 'B' || !item.statement || item.statement->shape == 0) continue;
        const auto there = link.statements.find(item.statement->link_name());
        if (there == link.statements.end() || there->second.shape == 0) continue;
        if (there->second.shape != item.statement->shape && !is_described_in_unit(item))
            return item.statement.get();
    }
    return nullptr;
}

/// A statement of the unit whose client was told of its result, and which has to be prepared anew,
/// when that may be another one; or whose result is another one.
const prepared_statement* client_session::unsure_shape(server_link& link) const
{
    for (const auto& item : work_->items) {
        if (item.type != 'B' || !item.statement || item.statement->shape == 0) continue;
        if (item.statement->is_sql || item.statement->is_cut ||
            work_->new_statements.contains(item.statement->name))
            continue;
        if (lacks_statement(link, *item.statement, item.statement->link_name()) &&
            !is_described_in_unit(item)) {
            return item.statement.get();
        }
    }
    return other_shape(link);
}

/// Prepares such statements and asks what they give. False: something else than their client was
/// told, or they can't be prepared; the client has its error, as from a server that has had them
/// all the time.
task<bool> client_session::bring_described(server_link& link)
{
    while (const auto* const wanted = unsure_shape(link)) {
        if (wanted == other_shape(link)) {
            send_error({.sqlstate = "0A000", .message = "cached plan must not change result type"});
            co_await fail_own_transaction();
            co_return false;
        }
        const auto& name = wanted->link_name();
        auto& out = home_.replies;
        if (!name.empty() && link.statements.contains(name)) close_on_link(link, name);
        const auto detour = detour_for(link, *wanted);
        for (const auto& way : detour.there) run_within(link, way, own_tag);
        out.parse(name, wanted->text, wanted->parameter_types).describe_statement(name);
        link.ledger.expect(protocol::expected_kind::parse, own_tag, true);
        link.ledger.expect(protocol::expected_kind::describe_statement, own_tag, true);
        for (const auto& way : detour.back) run_within(link, way, own_tag);
        out.sync();
        link.ledger.expect(protocol::expected_kind::sync, own_tag, true);
        write_link(link, out.bytes());
        out.clear();
        own_shape_ = 0;
        const auto statement = *wanted;  // the client may go meanwhile, but not its unit
        const bool is_there = co_await finish_own(link);
        if (is_over()) co_return false;
        if (link.is_spoiled) {
            const protocol::pg_error lost{.sqlstate = "08006",
                                          .message = "connection to server " +
                                                     std::to_string(link.node()) + " was lost"};
            if (status() != 'I' || pin_ || has_server_state_) {
                send_fatal(lost);
                is_ending_ = true;
                co_return false;
            }
            send_error(lost);
            drop_link(link);
            co_return false;
        }
        if (!is_there) {
            if (work_->own_error) {
                work_->own_error->severity = "ERROR";
                send_error(*work_->own_error);
            }
            co_await fail_own_transaction();
            co_return false;
        }
        link.statements[statement.link_name()] = {statement.id, statement.content, own_shape_};
    }
    co_return true;
}

/// The client has been told an error of ours, which fails its transaction as one of a server would.
task<> client_session::fail_own_transaction()
{
    if (status() != 'T') co_return;
    if (co_await fail_transaction()) {
        tracker_.ready('E');
    } else {
        client_is_gone_ = true;  // how it stands can't be told: when in doubt, close
    }
}

/// A server has told what a statement gives.
void client_session::note_described(server_link& link, char type, std::span<const std::byte> body,
                                    const protocol::step& what)
{
    using protocol::expected_kind;
    if (what.kind != expected_kind::describe_statement &&
        what.kind != expected_kind::describe_portal) {
        return;
    }
    const auto shape = type == 'T' ? protocol::shape_of_row(body) : no_result_shape;
    if (what.tag == own_tag) {
        own_shape_ = shape;
        return;
    }
    if (what.tag == 0 || what.tag > work_->described.size()) return;
    const auto& statement = work_->described[what.tag - 1];
    if (!statement || statement->name.empty()) return;
    statement->shape = shape;
    const auto there = link.statements.find(statement->link_name());
    if (there != link.statements.end() && there->second.id == statement->id)
        there->second.shape = shape;
}

}  // namespace pgtorii::core
