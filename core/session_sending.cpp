// A unit's way to its link: what is expected back, prepared statements brought along, and units
// without a link.

#include "core/client_session.hpp"

#include "protocol/message.hpp"

#include <fmt/format.h>

namespace pgtorii::core {

namespace {

using routing::statement_kind;
using routing::target;

std::string_view prefix_of(char type)
{
    switch (type) {
    case 'P': return "Parse: ";
    case 'B': return "Bind: ";
    default: return "Execute: ";
    }
}

/// Text may have session effects that a link's record or the session's has to follow.
bool has_effects(const routing::query_facts& facts)
{
    for (const auto& each : facts.statements) {
        switch (each.kind) {
        case statement_kind::select:
            if (each.creates_temp || each.calls_set_config || each.takes_advisory_lock ||
                each.effects_unknown)
                return true;
            break;
        case statement_kind::insert:
        case statement_kind::update:
        case statement_kind::delete_:
            if (each.calls_set_config || each.takes_advisory_lock || each.effects_unknown)
                return true;
            break;
        case statement_kind::empty:
        case statement_kind::show: break;
        default: return true;
        }
    }
    return false;
}

/// A plain BEGIN, at an isolation under which a standby may join as a reader.
bool is_shareable_begin(const routing::query_facts& facts)
{
    const auto& first = facts.first();
    return !facts.is_multi() && first.kind == statement_kind::begin && !first.begin_read_write &&
           !first.begin_read_only && !first.begin_deferrable &&
           (first.begin_isolation == routing::isolation::unspecified ||
            first.begin_isolation == routing::isolation::read_committed);
}

}  // namespace

void client_session::count_statements(const server_link& link, const routing::query_facts& facts)
{
    for (const auto& each : facts.statements)
        home_.services.counters.count(link.node(), each.stats_class);
}

/// What the session has to remember of statements that are about to be sent.
void client_session::note_sent(const routing::query_facts& facts)
{
    if (routing::counts_as_write(facts, *home_.rules)) unit_writes_ = true;
    for (const auto& each : facts.statements) {
        // Our own idle links must not keep it from being dropped (Pgpool-II: the same).
        if (each.drops_database) home_.services.pool.drop_database(each.name);
        if (!each.is_read) unit_is_read_ = false;
        if (each.kind == statement_kind::commit ||
            each.kind == statement_kind::prepare_transaction ||
            each.kind == statement_kind::commit_prepared) {
            unit_commits_ = true;
        }
    }
    unit_begins_shareable_ = is_shareable_begin(facts);
}

void client_session::begin_unit()
{
    unit_parses_.clear();
    unit_executes_.clear();
    unit_closes_.clear();
    unit_failed_ = false;
    unit_writes_ = false;
    unit_commits_ = false;
    unit_is_read_ = true;
    unit_ended_transaction_ = false;
    unit_begins_shareable_ = false;
    statement_index_ = 0;
    effects_text_.clear();
    has_effects_ = false;
}

void client_session::send_query(server_link& link, unit what)
{
    begin_unit();
    const auto bytes = input_.bytes().first(what.bytes);
    const auto total = protocol::peek_header(bytes)->total();
    is_query_unit_ = true;
    if (what.is_whole) {
        const std::string_view sql{reinterpret_cast<const char*>(bytes.data()) + 5, total - 6};
        count_statements(link, *facts_);
        note_sent(*facts_);
        has_effects_ = has_effects(*facts_);
        if (has_effects_) effects_text_ = sql;
        if (settings_->log_statement)
            log(config::message_level::log, fmt::format("statement: {}", sql));
        if (!facts_->is_parsed) {
            log(config::message_level::log,
                fmt::format("Unable to parse the query: \"{}\" from client {}({})", sql, peer_host_,
                            peer_port_));
        }
        log_node_statement(link, {}, sql);
    } else {
        // Too long to be looked at: a write, with effects that nobody knows.
        facts_ = home_.unreadable_facts;
        count_statements(link, *facts_);
        note_sent(*facts_);
        is_pinned_ = true;
        log_node_statement(link, {}, "(statement longer than analyze_bytes_max)");
    }
    if (!link.statements.empty()) link.statements.erase(std::string{});
    prepared_.remove({});
    link.ledger.expect(protocol::expected_kind::query);
    write_link(link, bytes);
    stream_bytes_ = total - bytes.size();
    is_open_ended_ = stream_bytes_ > 0;
    input_.consume(bytes.size());
}

void client_session::send_extended(server_link& link, unit what)
{
    begin_unit();
    is_query_unit_ = false;
    is_open_ended_ = true;  // until its Sync (or function call) has been sent
    const auto bytes = input_.bytes().first(what.bytes);
    std::size_t run = 0;
    for (const auto& item : items_) {
        const bool needs_room = needs_close(link, item);
        if (needs_statement(link, item) || needs_room) {
            write_link(link, bytes.subspan(run, item.offset - run));
            run = item.offset;
            if (needs_room) {
                close_on_link(link, item.statement->name);
            } else {
                bring_statement(link, *item_statement(item));
            }
        }
        expect_item(link, item);
    }
    write_link(link, bytes.subspan(run));
    input_.consume(bytes.size());
    items_.clear();
}

/// The statement that the server must know before it reads this item, as far as we know it.
const prepared_statement* client_session::item_statement(const unit_item& item) const
{
    if (item.type == 'B' || (item.type == 'D' && !item.names_portal)) return item.statement.get();
    return item.type == 'P' ? item.conflict.get() : nullptr;
}

bool client_session::needs_statement(const server_link& link, const unit_item& item) const
{
    const auto* const wanted = item_statement(item);
    if (!wanted || wanted->text.empty()) return false;
    const auto there = link.statements.find(wanted->name);
    return there == link.statements.end() || there->second != wanted->id;
}

/// A Parse of a name that is free in the session, on a link that still has an old statement under
/// it.
bool client_session::needs_close(const server_link& link, const unit_item& item) const
{
    if (item.type != 'P' || item.name_bytes == 0 || !item.statement || item.conflict) return false;
    return link.statements.contains(item.statement->name);
}

void client_session::close_on_link(server_link& link, const std::string& name)
{
    home_.replies.close_statement(name);
    write_link(link, home_.replies.bytes());
    home_.replies.clear();
    link.statements.erase(name);
    link.ledger.expect(protocol::expected_kind::close, own_tag, true);
}

/// Prepares a statement of the session on a link that lacks it, just before the message that needs
/// it. The replies are ours; an error of it (the table is gone) is the client's, as if its own
/// Parse had found out.
void client_session::bring_statement(server_link& link, const prepared_statement& statement)
{
    auto& out = home_.replies;
    if (!statement.name.empty() && link.statements.contains(statement.name)) {
        out.close_statement(statement.name);
        link.ledger.expect(protocol::expected_kind::close, own_tag, true);
    }
    out.parse(statement.name, statement.text, statement.parameter_types);
    write_link(link, out.bytes());
    out.clear();
    link.statements[statement.name] = statement.id;
    unit_parses_.push_back(std::make_shared<prepared_statement>(statement));
    link.ledger.expect(protocol::expected_kind::parse,
                       static_cast<std::uint32_t>(unit_parses_.size() - 1), true);
}

void client_session::expect_item(server_link& link, const unit_item& item)
{
    using protocol::expected_kind;
    switch (item.type) {
    case 'P':
        if (item.name_bytes == 0) {
            // The server drops its unnamed statement before it looks at the new one.
            prepared_.remove({});
            link.statements.erase(std::string{});
        }
        if (item.statement) {
            if (!item.conflict) link.statements[item.statement->name] = item.statement->id;
            log_node_statement(link, prefix_of('P'), item.statement->text);
        }
        unit_parses_.push_back(item.statement);
        link.ledger.expect(expected_kind::parse,
                           static_cast<std::uint32_t>(unit_parses_.size() - 1));
        break;
    case 'B':
        if (item.statement) log_node_statement(link, prefix_of('B'), item.statement->text);
        link.ledger.expect(expected_kind::bind);
        break;
    case 'D':
        log_node_statement(link, {}, "D message");
        link.ledger.expect(item.names_portal ? expected_kind::describe_portal
                                             : expected_kind::describe_statement);
        break;
    case 'E':
        if (item.statement && item.statement->facts) {
            count_statements(link, *item.statement->facts);
            note_sent(*item.statement->facts);
            if (settings_->log_statement) {
                log(config::message_level::log, fmt::format("statement: {}", item.statement->text));
            }
            log_node_statement(link, prefix_of('E'), item.statement->text);
        } else {
            unit_writes_ = true;
            unit_is_read_ = false;
        }
        unit_executes_.push_back(item.statement);
        link.ledger.expect(expected_kind::execute,
                           static_cast<std::uint32_t>(unit_executes_.size() - 1));
        break;
    case 'C':
        log_node_statement(link, {}, "C message");
        unit_closes_.push_back(item.names_portal ? nullptr : item.statement);
        link.ledger.expect(expected_kind::close,
                           static_cast<std::uint32_t>(unit_closes_.size() - 1));
        break;
    case 'S':
        link.ledger.expect(expected_kind::sync);
        is_open_ended_ = false;
        break;
    case 'F':
        unit_writes_ = true;
        unit_is_read_ = false;
        link.ledger.expect(expected_kind::function_call);
        is_open_ended_ = link.ledger.is_skipping();
        break;
    default: break;
    }
}

/// SHOW POOL_*, PGPOOL SHOW ..., and units that ask nothing of a server.
void client_session::answer_locally(const unit& what)
{
    auto& out = home_.replies;
    if (what.what == unit::kind::query) {
        if (transaction_status_ == 'E') {
            out.error_response({.sqlstate = "25P02",
                                .message = "current transaction is aborted, commands ignored until "
                                           "end of transaction block"});
        } else if (facts_->first().kind == statement_kind::deallocate) {
            prepared_.remove(facts_->first().name);
            out.command_complete("DEALLOCATE");
        } else {
            // The session's load balance node, as Pgpool-II has chosen it when the session began.
            if (balanced_node_ < 0)
                (void)resolve({target::balanced, routing::reason::read_balanced});
            const local_commands::question asked{.statement = facts_->first(),
                                                 .settings = *settings_,
                                                 .view = home_.view,
                                                 .balanced_node = balanced_node_};
            if (const auto refused = home_.services.commands.answer(asked, out))
                out.error_response(*refused);
        }
    } else {
        for (const auto& item : items_) {
            if (item.type != 'C') continue;
            if (!item.names_portal && item.statement) prepared_.remove(item.statement->name);
            out.close_complete();
        }
        items_.clear();
    }
    out.ready_for_query(status_for_client());
    send_replies();
    input_.consume(what.bytes);
}

/// A unit that could not be served: the client has its error, the rest of the unit is dropped.
void client_session::skip_unit(const unit& what)
{
    const auto total = what.what == unit::kind::query
                           ? protocol::peek_header(input_.bytes())->total()
                           : what.bytes;
    items_.clear();
    input_.consume(what.bytes);
    if (what.what != unit::kind::query && !what.is_whole) {
        discards_until_sync_ = true;
        return;
    }
    discard_bytes_ = total - what.bytes;
    home_.replies.ready_for_query(status_for_client());
    send_replies();
}

}  // namespace pgtorii::core
