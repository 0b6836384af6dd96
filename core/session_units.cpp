// Units of the client's stream: where one ends, where it goes, and its way to the link.

#include "core/client_session.hpp"

#include "core/base/always_assert.hpp"
#include "core/runtime/log.hpp"
#include "protocol/client_messages.hpp"
#include "protocol/message.hpp"
#include "routing/choose_node.hpp"

#include <fmt/format.h>

#include <algorithm>

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

/// The next unit, as far as it is there; reads from the client when that is needed. `none`: wait
/// for more.
client_session::unit client_session::next_unit()
{
    // A reply that the client has not taken yet comes before more work, so that what waits is
    // bounded.
    if (!output_.is_empty() || is_message_under_way()) return {};
    for (;;) {
        const auto present = input_.bytes();
        const auto header = protocol::peek_header(present);
        if (discard_bytes_ > 0 && !present.empty()) {
            const auto count = std::min(discard_bytes_, present.size());
            discard_bytes_ -= count;
            input_.consume(count);
            continue;
        }
        if (!header) {
            if (!client_.is_readable() || !read_client(present.size() + 1)) return {};
            if (input_.bytes().size() == present.size()) return {};
            continue;
        }
        if (const auto wrong = protocol::check_client_header(*header)) {
            const bool is_unknown = wrong == protocol::errc::unknown_message_type;
            send_fatal({.sqlstate = "08P01",
                        .message = is_unknown
                                       ? fmt::format("invalid frontend message type {}",
                                                     static_cast<int>(
                                                         static_cast<unsigned char>(header->type)))
                                       : std::string{"invalid message length"}});
            return {.what = unit::kind::broken};
        }
        if (discards_until_sync_) {
            if (header->type == 'X') return {.what = unit::kind::terminate};
            if (header->type == 'S') {
                discards_until_sync_ = false;
                input_.consume(header->total());
                home_.replies.ready_for_query(status_for_client());
                send_replies();
                if (!output_.is_empty()) return {};
                continue;
            }
            discard_bytes_ = header->total();
            continue;
        }
        const auto total = header->total();
        switch (header->type) {
        case 'd':
        case 'c':
        case 'f':
            // The rest of a COPY that has failed; PostgreSQL drops it too.
            discard_bytes_ = total;
            continue;
        case 'X': return {.what = unit::kind::terminate};
        case 'Q': {
            const auto whole_max = static_cast<std::size_t>(settings_->analyze_bytes_max) + 6;
            if (present.size() >= total) return {.what = unit::kind::query, .bytes = total};
            if (total > whole_max) {
                return {.what = unit::kind::query, .bytes = present.size(), .is_whole = false};
            }
            if (!client_.is_readable() || !read_client(total)) return {};
            if (input_.bytes().size() == present.size()) return {};
            continue;
        }
        case 'p':
            send_fatal({.sqlstate = "08P01", .message = "invalid frontend message type 112"});
            return {.what = unit::kind::broken};
        default: {
            const auto found = next_extended();
            if (found.what != unit::kind::none) return found;
            const auto wanted = std::min(
                std::max(2 * present.size(), runtime::worker::buffer_bytes), whole_bytes());
            if (!client_.is_readable() || !read_client(wanted)) return {};
            if (input_.bytes().size() == present.size()) return {};
            continue;
        }
        }
    }
}

/// An extended unit: up to its Sync when all of that is there. A client that asks for an answer
/// before (Flush), or that sends more than is kept, gets its unit served as it comes, by the
/// primary.
client_session::unit client_session::next_extended()
{
    const auto present = input_.bytes();
    auto at = scanned_bytes_;
    while (const auto header = protocol::peek_header(present.subspan(at))) {
        if (protocol::check_client_header(*header))
            break;  // found again, and told, when its turn comes
        const bool is_extended =
            std::string_view{"PBDECHSF"}.find(header->type) != std::string_view::npos;
        const bool ends_early = !is_extended || header->type == 'H';
        if (ends_early) {
            scanned_bytes_ = 0;
            return {.what = unit::kind::extended, .bytes = at, .is_whole = false};
        }
        if (present.size() - at < header->total()) break;
        at += header->total();
        if (header->type == 'S' || (header->type == 'F' && at == header->total())) {
            scanned_bytes_ = 0;
            const auto kind =
                header->type == 'F' ? unit::kind::function_call : unit::kind::extended;
            return {.what = kind, .bytes = at};
        }
    }
    scanned_bytes_ = at;
    const bool is_broken =
        present.size() - at >= protocol::frame_header::size &&
        protocol::check_client_header(*protocol::peek_header(present.subspan(at)));
    const bool is_full = present.size() >= whole_bytes();
    if (!is_broken && !is_full) return {};
    scanned_bytes_ = 0;
    return {.what = unit::kind::extended, .bytes = at, .is_whole = false};
}

routing::session_traits client_session::traits() const
{
    return {.in_transaction = transaction_status_ != 'I',
            .transaction_failed = transaction_status_ == 'E',
            .transaction_written = transaction_written_,
            .transaction_shareable = transaction_shareable_ && !settings_record_.has_uncommitted(),
            .session_written = session_written_,
            .session_transaction_written = session_transaction_written_,
            .session_pinned = is_pinned_ || !settings_record_.is_certain() || is_exclusive_,
            .balanced_node = balanced_node_};
}

const routing::query_facts_ptr& client_session::analyze(std::string_view sql)
{
    facts_ = home_.facts.find_or_analyze(sql, text_rules_);
    return facts_;
}

/// Fills in the node of a decision.
client_session::route client_session::resolve(routing::decision why)
{
    route way{.node = main_node(), .why = why};
    if (is_exclusive_) way.why.target = target::primary;
    if (way.why.target != target::balanced) return way;
    if (avoided_epoch_ != home_.view->epoch) avoided_nodes_.clear();
    const auto is_fit = [this](int node) {
        return node >= 0 && static_cast<std::size_t>(node) < home_.view->nodes.size() &&
               home_.view->nodes[static_cast<std::size_t>(node)].is_valid() &&
               std::ranges::find(avoided_nodes_, node) == avoided_nodes_.end();
    };
    // Inside a transaction the reader that has joined goes on: another one would be one more
    // participant.
    const bool draws_anew = settings_->statement_level_load_balance && transaction_status_ == 'I';
    if (draws_anew || !is_fit(balanced_node_)) {
        const double draw = std::uniform_real_distribution<double>{0.0, 1.0}(home_.random);
        const auto* const wish = home_.rules->redirect(user_, database_, startup_application_name_);
        balanced_node_ = routing::choose_node(*home_.view, wish, draw);
    }
    if (is_fit(balanced_node_)) way.node = balanced_node_;
    if (way.node == main_node()) way.why.target = target::primary;
    return way;
}

client_session::route client_session::route_query(std::string_view sql)
{
    const auto& facts = *analyze(sql);
    return resolve(routing::decide(facts, traits(), *home_.view, *home_.rules));
}

/// Reads the messages of a whole unit into items_, and decides for all of them: the unit goes to
/// one server, a standby only when every statement in it may.
client_session::route client_session::route_extended(unit what)
{
    items_.clear();
    new_statements_.clear();
    closed_names_.clear();
    facts_ = nullptr;
    bool has_bind = false;
    const auto bytes = input_.bytes();
    bool may_balance = what.is_whole && what.what == unit::kind::extended;
    bool has_work = !what.is_whole || what.what == unit::kind::function_call;
    routing::decision why{target::primary, routing::reason::statement_kind};
    for (std::size_t at = 0; at < what.bytes;) {
        const auto header = *protocol::peek_header(bytes.subspan(at));
        auto item = read_item(header, at);
        at += header.total();
        const bool uses_statement = item.type == 'P' || item.type == 'B' || item.type == 'E' ||
                                    (item.type == 'D' && !item.names_portal);
        if (item.type != 'S' && item.type != 'C') has_work = true;
        if (item.type == 'B') has_bind = true;
        if (uses_statement) {
            // A portal that outlives the unit, and one that an earlier unit has made, are the
            // primary's.
            const bool is_simple = item.statement && item.statement->facts && item.max_rows == 0 &&
                                   !(item.names_portal && item.name_bytes > 0) &&
                                   (item.type != 'E' || has_bind);
            if (!is_simple) {
                may_balance = false;
            } else if (may_balance) {
                auto known = traits();
                known.is_extended = true;
                const auto each =
                    routing::decide(*item.statement->facts, known, *home_.view, *home_.rules);
                if (each.target != target::balanced) may_balance = false;
                why = each;
            }
        } else if (item.type == 'D') {
            if (item.name_bytes > 0 || !item.statement || !has_bind) may_balance = false;
        }
        items_.push_back(std::move(item));
    }
    // Outside a transaction a Sync or a Close of a statement asks nothing of a server.
    if (!has_work && (transaction_status_ == 'I' || !primary_link())) {
        return {.node = -1, .why = {target::local, routing::reason::local_command}};
    }
    if (!may_balance) why.target = target::primary;
    return resolve(why);
}

/// Decodes one message of an extended unit. A message that can't be decoded goes to the server as
/// it is, which refuses it in its own words.
client_session::unit_item client_session::read_item(protocol::frame_header header, std::size_t at)
{
    unit_item item{};
    item.type = header.type;
    item.offset = static_cast<std::uint32_t>(at);
    item.total = static_cast<std::uint32_t>(header.total());
    const std::span<const std::byte> body = input_.bytes().subspan(at + 5, header.body_size());
    const auto statement_named = [this](std::string_view name) -> prepared_ptr {
        const std::string key{name};
        if (std::ranges::find(closed_names_, key) != closed_names_.end()) return nullptr;
        for (auto each = new_statements_.rbegin(); each != new_statements_.rend(); ++each) {
            if ((*each)->name == key) return *each;
        }
        return prepared_.find(key);
    };
    switch (header.type) {
    case 'P':
        if (const auto parse = protocol::read_parse(body)) {
            item.name_bytes = static_cast<std::uint32_t>(parse->statement.size());
            // A name that is taken: the server itself has to refuse it, so it must know the
            // statement that has the name.
            if (item.name_bytes > 0) item.conflict = statement_named(parse->statement);
            item.statement = statement_of(*parse);
            std::erase(closed_names_, item.statement->name);
            new_statements_.push_back(item.statement);
        }
        break;
    case 'B':
        if (const auto bind = protocol::read_bind(body)) {
            item.names_portal = true;
            item.name_bytes = static_cast<std::uint32_t>(bind->portal.size());
            item.statement = statement_named(bind->statement);
            portals_[std::string{bind->portal}] = item.statement;
        }
        break;
    case 'D':
        if (const auto described = protocol::read_describe(body)) {
            item.names_portal = described->kind == 'P';
            item.name_bytes = static_cast<std::uint32_t>(described->name.size());
            if (!item.names_portal) {
                item.statement = statement_named(described->name);
            } else if (const auto found = portals_.find(std::string{described->name});
                       found != portals_.end()) {
                item.statement = found->second;
            }
        }
        break;
    case 'C':
        if (const auto closed = protocol::read_close(body)) {
            item.names_portal = closed->kind == 'P';
            item.name_bytes = static_cast<std::uint32_t>(closed->name.size());
            if (!item.names_portal) {
                item.statement = statement_named(closed->name);
                closed_names_.emplace_back(closed->name);
            }
        }
        break;
    case 'E':
        if (const auto execute = protocol::read_execute(body)) {
            item.names_portal = true;
            item.name_bytes = static_cast<std::uint32_t>(execute->portal.size());
            item.max_rows = execute->row_count_max;
            const auto found = portals_.find(std::string{execute->portal});
            if (found != portals_.end()) item.statement = found->second;
        }
        break;
    default: break;
    }
    return item;
}

/// As much of a Parse or Bind that is too long to be kept as the names at its head tell. Such a
/// statement can't be prepared again elsewhere: it is the primary's, and has no text.
client_session::unit_item client_session::read_item_head(protocol::frame_header header)
{
    unit_item item;
    item.type = header.type;
    const auto head = input_.bytes().subspan(protocol::frame_header::size);
    const std::string_view text{reinterpret_cast<const char*>(head.data()), head.size()};
    const auto first_end = text.find('\0');
    if (first_end == std::string_view::npos) return item;
    item.name_bytes = static_cast<std::uint32_t>(first_end);
    if (header.type == 'P') {
        auto made = std::make_shared<prepared_statement>();
        made->id = prepared_.next_id();
        made->name = text.substr(0, first_end);
        if (item.name_bytes > 0) item.conflict = prepared_.find(made->name);
        item.statement = made;
        new_statements_.push_back(std::move(made));
    } else if (header.type == 'B') {
        item.names_portal = true;
        const auto rest = text.substr(first_end + 1);
        const auto second_end = rest.find('\0');
        if (second_end != std::string_view::npos)
            item.statement = prepared_.find(std::string{rest.substr(0, second_end)});
        portals_[std::string{text.substr(0, first_end)}] = item.statement;
    }
    return item;
}

/// Extended messages up to this size are kept until their unit is complete. Never below a worker's
/// buffer, so that the small kinds are always seen whole.
std::size_t client_session::whole_bytes() const
{
    return std::max(static_cast<std::size_t>(settings_->analyze_bytes_max),
                    2 * runtime::worker::buffer_bytes);
}

/// The statement that a Parse makes. The same unnamed text again, which is what a driver without
/// named statements sends each time, is the same statement and costs nothing.
prepared_ptr client_session::statement_of(const protocol::parse_message& parse)
{
    const auto has_types_of = [&parse](const prepared_statement& known) {
        if (known.parameter_types.size() != parse.type_count) return false;
        for (std::size_t i = 0; i < parse.type_count; ++i) {
            if (known.parameter_types[i] != parse.type(i)) return false;
        }
        return true;
    };
    if (parse.statement.empty()) {
        if (last_unnamed_ && last_unnamed_->text == parse.query && has_types_of(*last_unnamed_) &&
            last_unnamed_rules_ == home_.rules) {
            return last_unnamed_;
        }
    }
    auto made = std::make_shared<prepared_statement>();
    made->id = prepared_.next_id();
    made->name = parse.statement;
    made->text = parse.query;
    for (std::size_t i = 0; i < parse.type_count; ++i)
        made->parameter_types.push_back(parse.type(i));
    made->facts = home_.facts.find_or_analyze(parse.query, text_rules_);
    if (parse.statement.empty()) {
        last_unnamed_ = made;
        last_unnamed_rules_ = home_.rules;
    }
    return made;
}

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

void client_session::log_client_messages(const unit& what)
{
    const auto bytes = input_.bytes().first(what.bytes);
    for (std::size_t at = 0; at < bytes.size();) {
        const auto header = protocol::peek_header(bytes.subspan(at));
        if (!header) return;
        const bool is_whole = bytes.size() - at >= header->total();
        if (is_whole) log_client_message(header->type, bytes.subspan(at + 5, header->body_size()));
        at += header->total();
    }
}

void client_session::log_client_message(char type, std::span<const std::byte> body) const
{
    std::string detail;
    const auto named = [](char kind, std::string_view name) {
        return kind == 'P' ? fmt::format("portal: \"{}\"", name)
                           : fmt::format("statement: \"{}\"", name);
    };
    switch (type) {
    case 'Q':
        if (const auto sql = protocol::read_query(body))
            detail = fmt::format("query: \"{}\"", *sql);
        break;
    case 'P':
        if (const auto parse = protocol::read_parse(body)) {
            detail =
                fmt::format("statement: \"{}\", query: \"{}\"", parse->statement, parse->query);
        }
        break;
    case 'B':
        if (const auto bind = protocol::read_bind(body)) {
            detail =
                fmt::format("portal: \"{}\", statement: \"{}\"", bind->portal, bind->statement);
        }
        break;
    case 'D':
        if (const auto each = protocol::read_describe(body)) detail = named(each->kind, each->name);
        break;
    case 'C':
        if (const auto each = protocol::read_close(body)) detail = named(each->kind, each->name);
        break;
    case 'E':
        if (const auto execute = protocol::read_execute(body)) detail = named('P', execute->portal);
        break;
    case 'F':
        if (const auto call = protocol::read_function_call(body))
            detail = fmt::format("oid: \"{}\"", call->function_oid);
        break;
    case 'd': detail = fmt::format("count: {}", body.size()); break;
    default: break;
    }
    log(config::message_level::log,
        fmt::format("{} message from frontend.",
                    protocol::name_of(protocol::direction::from_client, type)),
        detail);
}

void client_session::log_node_statement(const server_link& link, std::string_view prefix,
                                        std::string_view text)
{
    if (settings_->log_per_node_statement) {
        log(config::message_level::log,
            fmt::format("DB node id: {} backend pid: {} statement: {}{}", link.node(),
                        link.backend_pid, prefix, text));
    }
    if (settings_->notice_per_node_statement) {
        protocol::message_buffer notice;
        notice.notice_response(
            {.severity = "NOTICE",
             .sqlstate = "00000",
             .message = fmt::format("DB node id: {} statement: {}{}", link.node(), prefix, text)});
        send_client(notice.bytes());
    }
}

}  // namespace pgtorii::core
