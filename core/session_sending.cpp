// A unit's way to its link: what is expected back, prepared statements brought along, and units
// without a link.

#include "core/client_session.hpp"

#include "protocol/message.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace pgtorii::core {

namespace {

using routing::statement_kind;
using routing::target;

/// May change data, as far as its text tells: what comes after it in this session has to see that.
bool may_touch_data(const routing::statement_facts& facts)
{
    switch (facts.kind) {
    case statement_kind::begin:
    case statement_kind::commit:
    case statement_kind::rollback:
    case statement_kind::savepoint:
    case statement_kind::release_savepoint:
    case statement_kind::rollback_to_savepoint:
    case statement_kind::set:
    case statement_kind::set_transaction:
    case statement_kind::set_constraints:
    case statement_kind::discard:
    case statement_kind::prepare:
    case statement_kind::deallocate:
    case statement_kind::listen:
    case statement_kind::lock:
    case statement_kind::empty: return false;
    default: return !facts.is_read;
    }
}

bool may_end_transaction(const routing::statement_facts& facts)
{
    return facts.kind == statement_kind::commit || facts.kind == statement_kind::rollback ||
           facts.kind == statement_kind::prepare_transaction || facts.effects_unknown;
}

std::string_view prefix_of(char type)
{
    switch (type) {
    case 'P': return "Parse: ";
    case 'B': return "Bind: ";
    default: return "Execute: ";
    }
}

}  // namespace

void client_session::count_statements(const server_link& link, const routing::query_facts& facts)
{
    for (const auto& each : facts.statements)
        home_.services.counters.count(link.node(), each.stats_class);
}

/// What the session has to remember of statements that are about to be sent.
void client_session::note_sent(server_link& link, const routing::query_facts_ptr& facts)
{
    const auto prepared = prepared_facts(*facts);
    const bool is_main = link.node() == main_node();
    const routing::statement_context context{.catalog = catalog_of(facts, prepared),
                                             .prepared = prepared.get(),
                                             .is_on_standby = !is_main};
    tracker_.sent(*facts, *rules(), context);
    for (const auto& each : facts->statements) {
        // Our own idle links must not keep it from being dropped (Pgpool-II: the same).
        if (each.drops_database) home_.services.drop_database(each.name);
        if (is_main && may_touch_data(each)) touches_data_ = true;
        if (may_end_transaction(each)) unit_may_end_transaction_ = true;
        if (!facts->is_stateless) note_pins(each, context.catalog, facts->is_parsed);
        // From its first INSERT on, what lastval() tells may be of its own.
        const bool may_number = each.kind == statement_kind::insert ||
                                each.kind == statement_kind::merge ||
                                each.kind == statement_kind::copy_from || each.has_modifying_with;
        if (is_main && shares_links() && link.sequences_of == 0 && may_number)
            link.sequences_of = id_;
        // SHOW and nothing at all take no snapshot.
        if (!is_main && each.kind != statement_kind::show && each.kind != statement_kind::empty)
            reader_has_queried_ = status() != 'I';
    }
}

void client_session::begin_unit()
{
    work_->parses.clear();
    work_->executes.clear();
    work_->closes.clear();
    work_->renamed.clear();
    work_->described.clear();
    unit_failed_ = false;
    unit_pins_ = false;
    unit_ended_transaction_ = false;
    unit_may_end_transaction_ = false;
    statement_index_ = 0;
    work_->effects_text.clear();
    has_effects_ = false;
    is_routed_ = false;
    main_part_is_failed_ = false;
}

/// Sends a unit, or a segment of one, to the link that was made ready for it.
void client_session::send_unit(server_link& link, const unit& what)
{
    const auto bytes = input_.bytes().first(what.bytes);
    if (!is_in_unit_) {
        unit_main_ = main_node();
        begin_unit();
        keep_for_repair(link, what, bytes);
    }
    if (!link.names_to_close.empty() && link.ledger.is_idle())
        close_forgotten(link, what.what != unit::kind::extended);
    is_in_unit_ = true;
    replies_are_asked_for_ = false;
    unit_node_ = link.node();
    if (what.what == unit::kind::query) {
        send_query(link, what, bytes);
    } else {
        place_portals(link.node());
        send_extended(link, bytes);
        // On the primary the rest can flow as it comes, but for what belongs to portals elsewhere.
        is_routed_ =
            is_open_ended_ && what.is_whole && (link.node() != main_node() || has_portal_away());
    }
    input_.consume(bytes.size());
}

void client_session::send_query(server_link& link, const unit& what,
                                std::span<const std::byte> bytes)
{
    const auto total = protocol::peek_header(bytes)->total();
    is_query_unit_ = true;
    if (what.is_whole) {
        const std::string_view sql{reinterpret_cast<const char*>(bytes.data()) + 5, total - 6};
        count_statements(link, *work_->facts);
        note_sent(link, work_->facts);
        has_effects_ = routing::has_session_effects(*work_->facts);
        if (has_effects_) work_->effects_text = sql;
        if (settings_->log_statement)
            log(config::message_level::log, fmt::format("statement: {}", sql));
        if (!work_->facts->is_parsed) {
            log(config::message_level::log,
                fmt::format("Unable to parse the query: \"{}\" from client {}({})", sql, peer_host_,
                            peer_port_));
        }
        log_node_statement(link, {}, sql);
    } else {
        // Too long to be looked at: a write, with effects that nobody knows.
        work_->facts = home_.unreadable_facts;
        count_statements(link, *work_->facts);
        note_sent(link, work_->facts);
        tracker_.pin();
        pin("a text longer than analyze_bytes_max");
        log_node_statement(link, {}, "(statement longer than analyze_bytes_max)");
    }
    if (!link.statements.empty()) {
        link.statements.erase(std::string{});
        close_stale_names(link);
    }
    end_unnamed();
    link.ledger.expect(protocol::expected_kind::query);
    write_link(link, bytes);
    stream_bytes_ = total - bytes.size();
    is_open_ended_ = stream_bytes_ > 0;
}

/// Any Query ends the unnamed statement and portal, whoever answers it.
void client_session::end_unnamed()
{
    prepared_.remove(std::string{});
    close_portal({});
}

/// A Query that came inside an extended unit: `bytes` hold what is there of it. Before it goes to
/// the server, the statements that it may name are made those of this session.
void client_session::prepare_query_within(server_link& link, std::span<const std::byte> bytes,
                                          bool is_whole)
{
    const std::string_view body{reinterpret_cast<const char*>(bytes.data()) + 5, bytes.size() - 5};
    if (is_whole) {
        analyze(body.substr(0, body.find('\0')));
    } else {
        work_->facts = home_.unreadable_facts;
    }
    if (link.ledger.is_skipping() || status() == 'E') return;
    if (shows_foreign_statements(link, *work_->facts)) hide_foreign_statements_within(link);
    work_->needed_statements.clear();
    for (const auto& each : work_->facts->statements) need_statement(each);
    for (const auto& each : std::exchange(work_->needed_statements, {})) {
        if (lacks_statement(link, *each, each->name)) bring_within(link, *each);
    }
}

void client_session::note_query_within(server_link& link, std::span<const std::byte> bytes,
                                       bool is_whole)
{
    const std::string_view body{reinterpret_cast<const char*>(bytes.data()) + 5, bytes.size() - 5};
    if (!is_whole) {
        tracker_.pin();
        pin("a text longer than analyze_bytes_max");
    }
    note_sent(link, work_->facts);
    has_effects_ = is_whole && routing::has_session_effects(*work_->facts);
    work_->effects_text = has_effects_ ? body.substr(0, body.find('\0')) : std::string_view{};
    statement_index_ = 0;
    close_portal({});
    link.statements.erase(std::string{});  // as any Query does
}

void client_session::send_extended(server_link& link, std::span<const std::byte> bytes)
{
    is_query_unit_ = false;
    is_open_ended_ = true;  // until its Sync (or function call) has been sent
    std::size_t run = 0;
    forget_answered(link);
    // One call for all of it, though it isn't in one piece.
    is_corked_ = std::ranges::any_of(work_->items, is_renamed);
    if (must_show_earlier_reads(link)) take_snapshot_within(link);
    for (const auto& item : work_->items) {
        if (prepare_item(link, item, bytes.subspan(run, item.offset - run))) run = item.offset;
        expect_item(link, item);
        if (is_renamed(item)) {
            write_link(link, bytes.subspan(run, item.offset - run));
            run = item.offset + item.total;
            write_renamed(link, item, bytes.subspan(item.offset, item.total));
        }
    }
    write_link(link, bytes.subspan(run));
    is_corked_ = false;
    // What is wrong with one is found again by pump. A Sync may have gone to other links, too, and
    // nothing else would send it off.
    for (const auto& each : links_) (void)flush_link(*each);
}

/// Brings a link to where the item finds what it would find on a connection of the session's own.
/// `before`: the client's bytes that come first; they are written when something has to be brought,
/// and the answer is true.
bool client_session::prepare_item(server_link& link, const unit_item& item,
                                  std::span<const std::byte> before)
{
    bool is_written = false;
    const auto write_before = [&] {
        if (!std::exchange(is_written, true)) write_link(link, before);
    };
    if (!link.ledger.is_skipping()) {
        // An Execute finds what was there for its Bind.
        if (item.type != 'E' && item.statement && item.statement->facts && status() != 'E' &&
            shows_foreign_statements(link, *item.statement->facts)) {
            write_before();
            hide_foreign_statements_within(link);
        }
        if (names_statements(item)) {
            write_before();
            bring_named(link, item);
        }
    }
    if (needs_statement(link, item) || stale_name(link, item) || item.is_lost_portal) {
        write_before();
        prepare_place(link, item);
    }
    if (item.type == 'E' && uses_foreign_sequences(link, item)) {
        write_before();
        claim_sequences_within(link);
    }
    return is_written;
}

/// A message that names a statement which stands under another name on links.
bool client_session::is_renamed(const unit_item& item)
{
    if (!item.statement || item.statement->shared_name.empty()) return false;
    if (item.type == 'P') return !item.conflict;
    return item.type == 'B' || (item.type == 'D' && !item.names_portal);
}

/// Writes such a message, as far as it is there.
void client_session::write_renamed(server_link& link, const unit_item& item,
                                   std::span<const std::byte> bytes)
{
    const auto& name = item.statement->shared_name;
    // Before the name stand the header, and the portal's name or what kind of name it is.
    const std::size_t before =
        protocol::frame_header::size + (item.type == 'B'   ? item.name_bytes + 1
                                        : item.type == 'D' ? 1
                                                           : 0);
    const auto own = bytes.subspan(before);
    const auto own_length =
        static_cast<std::size_t>(std::ranges::find(own, std::byte{}) - own.begin());
    const auto header = protocol::peek_header(bytes);
    const auto length = static_cast<std::uint32_t>(header->length - own_length + name.size());
    auto& out = home_.replies;
    out.head(item.type, length);
    out.raw(bytes.subspan(protocol::frame_header::size, before - protocol::frame_header::size));
    out.raw(std::as_bytes(std::span{name}));
    out.raw(own.subspan(own_length));
    write_link(link, out.bytes());
    out.clear();
}

/// The primary comes into a unit whose reads are on other servers, and something in it sets up the
/// transaction. After a query PostgreSQL refuses that (25001).
bool client_session::must_show_earlier_reads(const server_link& link) const
{
    if (links_.size() < 2 || status() != 'I' || link.node() != main_node() ||
        link.ledger.awaits_sync()) {
        return false;
    }
    const bool has_parts = std::ranges::any_of(links_, [&link](const auto& each) {
        return each.get() != &link && each->ledger.awaits_sync();
    });
    if (!has_parts) return false;
    return std::ranges::any_of(work_->items, [](const unit_item& item) {
        if (!item.statement || !item.statement->facts) return false;
        const auto kind = item.statement->facts->first().kind;
        return kind == statement_kind::begin || kind == statement_kind::set_transaction;
    });
}

/// To parse a query takes a snapshot, as executing one does.
void client_session::take_snapshot_within(server_link& link)
{
    constexpr std::string_view own_name = "pgtorii: reads came before";
    home_.replies.parse(own_name, "SELECT 1").close_statement(own_name);
    write_link(link, home_.replies.bytes());
    home_.replies.clear();
    link.ledger.expect(protocol::expected_kind::parse, own_tag, true);
    link.ledger.expect(protocol::expected_kind::close, own_tag, true);
}

/// Notes of messages that have all been answered: a client may send without end before its Sync.
void client_session::forget_answered(const server_link& link)
{
    constexpr std::size_t note_count_max = 1024;
    if (work_->executes.size() + work_->closes.size() + work_->parses.size() +
            work_->renamed.size() + work_->described.size() <
        note_count_max)
        return;
    const bool is_settled =
        std::ranges::all_of(links_, [](const auto& each) { return each->ledger.is_settled(); });
    if (!is_settled || !link.ledger.is_settled()) return;
    work_->executes.clear();
    work_->closes.clear();
    work_->parses.clear();
    work_->renamed.clear();
    work_->described.clear();
}

/// The client's Sync ends the unit on the links that have served other parts of it, too. What has
/// failed on one of them is undone on all: an error of ours makes the servers roll back.
void client_session::end_unit_elsewhere(const server_link* at)
{
    for (const auto& each : links_) {
        if (each.get() == at || !each->ledger.awaits_sync()) continue;
        if (unit_failed_ && !each->ledger.is_skipping()) {
            if (at && each.get() == primary_link() && status() == 'I') main_part_is_failed_ = true;
            home_.replies.parse({}, "pgtorii: another part of this unit has failed");
            each->ledger.expect(protocol::expected_kind::parse, own_tag, true);
            each->statements.erase(std::string{});
        }
        home_.replies.sync();
        each->ledger.expect(protocol::expected_kind::sync, own_tag, true);
        write_link(*each, home_.replies.bytes());
        home_.replies.clear();
    }
}

/// The statement that the server must know before it reads this item, as far as we know it.
const prepared_statement* client_session::item_statement(const unit_item& item) const
{
    if (item.type == 'B' || (item.type == 'D' && !item.names_portal)) return item.statement.get();
    return item.type == 'P' ? item.conflict.get() : nullptr;
}

/// The name under which it must know it: to refuse a second one, the client's own.
const std::string& client_session::item_name(const unit_item& item)
{
    return item.type == 'P' ? item.conflict->name : item.statement->link_name();
}

bool client_session::needs_statement(server_link& link, const unit_item& item) const
{
    const auto* const wanted = item_statement(item);
    if (!wanted || wanted->is_cut) return false;
    if (wanted->is_sql && item.type != 'P') return false;  // bring_named has brought it
    return lacks_statement(link, *wanted, item_name(item));
}

/// A name that is free in the session, on a link that still has an old statement under it: what the
/// item means by it must not be found there.
std::optional<std::string> client_session::stale_name(const server_link& link,
                                                      const unit_item& item) const
{
    if (link.statements.empty()) return std::nullopt;
    std::string name;
    if (item.type == 'P') {
        if (item.name_bytes == 0 || !item.statement || item.conflict) return std::nullopt;
        name = item.statement->link_name();
    } else if (item.type == 'B' || (item.type == 'D' && !item.names_portal)) {
        if (item.statement) return std::nullopt;
        name = item.unknown_name;
    } else {
        return std::nullopt;
    }
    if (!link.statements.contains(name)) return std::nullopt;
    return name;
}

/// Names that the texts of a Query prepare or execute, and that mean nothing in this session (any
/// more): the link must not know them either.
void client_session::close_stale_names(server_link& link)
{
    bool is_closed = false;
    for (const auto& each : work_->facts->statements) {
        const bool names_one = each.kind == statement_kind::prepare ||
                               each.kind == statement_kind::execute ||
                               each.kind == statement_kind::deallocate;
        if (!names_one) continue;
        if (prepared_.find(each.name) || !link.statements.contains(each.name)) continue;
        close_on_link(link, each.name);
        is_closed = true;
    }
    if (!is_closed) return;
    home_.replies.sync();
    write_link(link, home_.replies.bytes());
    home_.replies.clear();
    link.ledger.expect(protocol::expected_kind::sync, own_tag, true);
}

/// The session has forgotten a name: links that still have a statement under it close that when
/// they are used next.
void client_session::close_everywhere(const std::string& name)
{
    for (const auto& link : links_) {
        if (link->statements.contains(name)) link->names_to_close.push_back(name);
    }
}

/// Closes on a link what the session has forgotten, in front of a unit. An extended one holds the
/// messages itself; before a Query they need a Sync.
void client_session::close_forgotten(server_link& link, bool needs_sync)
{
    bool is_closed = false;
    for (const auto& name : std::exchange(link.names_to_close, {})) {
        const auto there = link.statements.find(name);
        if (there == link.statements.end()) continue;
        const auto now = prepared_.find(name);
        if (now && now->id == there->second.id) continue;
        close_on_link(link, name);
        is_closed = true;
    }
    if (!is_closed || !needs_sync) return;
    home_.replies.sync();
    write_link(link, home_.replies.bytes());
    home_.replies.clear();
    link.ledger.expect(protocol::expected_kind::sync, own_tag, true);
}

/// Brings a link to where the item finds just what the session has.
void client_session::prepare_place(server_link& link, const unit_item& item)
{
    if (item.is_lost_portal) {
        // A Query on another server has closed it for the client: PostgreSQL, protocol-flow,
        // Extended Query.
        home_.replies.close_portal({});
        write_link(link, home_.replies.bytes());
        home_.replies.clear();
        link.ledger.expect(protocol::expected_kind::close, own_tag, true);
    } else if (const auto name = stale_name(link, item)) {
        close_on_link(link, *name);
    } else if (item.conflict && status() == 'E') {
        // A failed transaction lets nothing be prepared but its end. That takes the name as well,
        // for a server to refuse another one; nobody will run it.
        prepared_statement taken = *item.conflict;
        taken.text = "ROLLBACK";
        taken.parameter_types.clear();
        taken.id = unknown_statement;
        taken.content = 0;
        taken.is_sql = false;
        taken.text_settings = settings_record_.text_settings_now();
        taken.shared_name.clear();
        bring_statement(link, taken);
    } else if (item.conflict && item.conflict->is_sql) {
        bring_within(link, *item.conflict);
    } else if (item.conflict) {
        prepared_statement taken = *item.conflict;
        taken.shared_name.clear();
        bring_statement(link, taken);
    } else {
        bring_statement(link, *item.statement);
    }
}

void client_session::close_on_link(server_link& link, const std::string& name)
{
    home_.replies.close_statement(name);
    write_link(link, home_.replies.bytes());
    home_.replies.clear();
    link.note_close_sent(name);
    link.ledger.expect(protocol::expected_kind::close, own_tag, true);
}

/// Prepares a statement of the session on a link that lacks it, just before the message that needs
/// it. The replies are ours; an error of it (the table is gone) is the client's, as if its own
/// Parse had found out.
void client_session::bring_statement(server_link& link, const prepared_statement& statement)
{
    auto& out = home_.replies;
    const auto& name = statement.link_name();
    if (!name.empty() && link.statements.contains(name)) {
        out.close_statement(name);
        link.ledger.expect(protocol::expected_kind::close, own_tag, true);
    }
    const auto detour = detour_for(link, statement);
    for (const auto& each : detour.there) run_within(link, each, brought_tag);
    out.parse(name, statement.text, statement.parameter_types);
    work_->parses.push_back(std::make_shared<prepared_statement>(statement));
    link.ledger.expect(protocol::expected_kind::parse,
                       static_cast<std::uint32_t>(work_->parses.size() - 1), true);
    for (const auto& each : detour.back) run_within(link, each, brought_tag);
    write_link(link, out.bytes());
    out.clear();
    link.statements[name] = {statement.id, statement.content};
}

void client_session::expect_item(server_link& link, const unit_item& item)
{
    using protocol::expected_kind;
    switch (item.type) {
    case 'P':
        // It can't be brought elsewhere.
        if (item.statement && item.statement->is_cut) pin("a long statement");
        if (item.name_bytes == 0) {
            // The server drops its unnamed statement before it looks at the new one; but an error
            // before may keep it from doing so.
            if (!item.statement) prepared_.remove(std::string{});
            link.statements.erase(std::string{});
        }
        if (item.statement) {
            if (!item.conflict)
                link.statements[item.statement->link_name()] = {item.statement->id,
                                                                item.statement->content};
            log_node_statement(link, prefix_of('P'), item.statement->text);
        }
        work_->parses.push_back(item.statement);
        link.ledger.expect(expected_kind::parse,
                           static_cast<std::uint32_t>(work_->parses.size() - 1));
        break;
    case 'B':
        if (item.statement) log_node_statement(link, prefix_of('B'), item.statement->text);
        if (is_renamed(item)) work_->renamed.push_back(item.statement);
        link.ledger.expect(expected_kind::bind,
                           is_renamed(item) ? static_cast<std::uint32_t>(work_->renamed.size())
                                            : 0);
        break;
    case 'D':
        log_node_statement(link, {}, "D message");
        work_->described.push_back(item.statement);
        link.ledger.expect(item.names_portal ? expected_kind::describe_portal
                                             : expected_kind::describe_statement,
                           static_cast<std::uint32_t>(work_->described.size()));
        break;
    case 'E':
        if (item.statement && item.statement->facts) {
            count_statements(link, *item.statement->facts);
            note_sent(link, item.statement->facts);
            if (settings_->log_statement) {
                log(config::message_level::log, fmt::format("statement: {}", item.statement->text));
            }
            log_node_statement(link, prefix_of('E'), item.statement->text);
        } else {
            tracker_.sent_unknown();
            touches_data_ = true;
            unit_may_end_transaction_ = true;
        }
        work_->executes.push_back(item.statement);
        link.ledger.expect(expected_kind::execute,
                           static_cast<std::uint32_t>(work_->executes.size() - 1));
        break;
    case 'C':
        log_node_statement(link, {}, "C message");
        work_->closes.push_back(item.names_portal ? nullptr : item.statement);
        if (!item.names_portal)
            link.note_close_sent(item.statement ? item.statement->name : item.unknown_name);
        link.ledger.expect(expected_kind::close,
                           static_cast<std::uint32_t>(work_->closes.size() - 1));
        break;
    case 'S':
        if (links_.size() > 1) end_unit_elsewhere(&link);
        // While a server takes COPY data it ignores a Sync: the unit goes on.
        is_open_ended_ = link.ledger.is_copying_in() && !link.ledger.has_copy_end();
        link.ledger.expect(expected_kind::sync);
        break;
    case 'F':
        if (links_.size() > 1 && !link.ledger.is_skipping()) end_unit_elsewhere(&link);
        tracker_.sent_unknown();
        touches_data_ = true;
        pin("a function call");  // its number tells nothing of the function
        link.ledger.expect(expected_kind::function_call);
        is_open_ended_ = link.ledger.is_skipping();
        break;
    default: break;
    }
}

/// SHOW POOL_*, PGPOOL SHOW ..., and units that ask nothing of a server.
void client_session::answer_locally(const unit& what, const census* everybody)
{
    auto& out = home_.replies;
    if (what.what == unit::kind::query) {
        end_unnamed();
        if (status() == 'E') {
            out.error_response({.sqlstate = "25P02",
                                .message = "current transaction is aborted, commands ignored until "
                                           "end of transaction block"});
        } else if (work_->facts->first().kind == statement_kind::explain_route) {
            out.row_description({"QUERY PLAN"});
            for (auto& line : explain_route()) out.data_row(std::span<const std::string>{&line, 1});
            out.command_complete("EXPLAIN");
        } else if (work_->facts->first().kind == statement_kind::deallocate) {
            prepared_.remove(work_->facts->first().name);
            close_everywhere(work_->facts->first().name);
            out.command_complete("DEALLOCATE");
        } else {
            // The session's load balance node, as Pgpool-II has chosen it when the session began.
            if (balanced_node_ < 0)
                (void)resolve({target::balanced, routing::reason::read_balanced});
            if (const auto refused = answer_command(out, everybody)) out.error_response(*refused);
        }
    } else {
        for (const auto& item : work_->items) {
            if (item.type != 'C') continue;
            if (!item.names_portal && item.statement) {
                prepared_.remove(item.statement->name);
                close_everywhere(item.statement->name);
            }
            out.close_complete();
        }
    }
    out.ready_for_query(status());
    send_replies();
    input_.consume(what.bytes);
}

/// Asks the admin side. PGPOOL SET takes effect from the next statement on, whatever becomes of the
/// transaction.
std::optional<protocol::pg_error> client_session::answer_command(protocol::message_buffer& out,
                                                                 const census* everybody)
{
    const auto& statement = work_->facts->first();
    const bool is_change = statement.kind == statement_kind::pgpool_set ||
                           statement.kind == statement_kind::pgpool_reset;
    if (is_change && !own_settings_) own_settings_ = std::make_unique<own_settings>();
    config::session_changes none;
    const local_commands::question asked{.statement = statement,
                                         .settings = *settings_,
                                         .configured = *home_.settings,
                                         .changes = own_settings_ ? own_settings_->changes : none,
                                         .view = home_.view,
                                         .balanced_node = balanced_node_,
                                         .everybody = everybody};
    auto refused = home_.services.commands.answer(asked, out);
    if (!is_change) return refused;
    if (own_settings_->changes.empty()) {
        own_settings_.reset();
    } else if (!refused) {
        own_settings_->refresh(home_.settings, true);
    }
    take_settings();  // the limits of an idle client count from now on
    return refused;
}

/// A unit that could not be served: the client has its error, the rest of the unit is dropped.
void client_session::skip_unit(const unit& what)
{
    const auto total = what.what == unit::kind::query
                           ? protocol::peek_header(input_.bytes())->total()
                           : what.bytes;
    close_portal({});
    input_.consume(what.bytes);
    if (what.what != unit::kind::query && !what.has_end) {
        discards_until_sync_ = true;
        return;
    }
    discard_bytes_ = total - what.bytes;
    home_.replies.ready_for_query(status());
    send_replies();
}

}  // namespace pgtorii::core
