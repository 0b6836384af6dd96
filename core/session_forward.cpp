// Bytes between the client and the link at work, in both directions, with flat memory.

#include "core/client_session.hpp"

#include "core/base/always_assert.hpp"
#include "protocol/message.hpp"
#include "protocol/server_messages.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace pgtorii::core {

namespace {

using routing::statement_kind;

/// A session with much to pass on gives the others of its worker a turn after so many reads.
constexpr int read_count_max = 16;
/// Replies that we look into are taken whole up to this size; longer ones (an error with a megabyte
/// of text) stream.
constexpr std::size_t whole_bytes_max = 32 * 1024;
/// The ledger needs this much of an ErrorResponse.
constexpr std::size_t error_bytes_min = 69;

/// Replies whose body tells the session something. Rows and COPY data pass by.
/// Replies that tell the client something of a statement's outcome: after them it can't be run
/// again elsewhere without the client noticing. An error is judged on its own.
constexpr bool ends_hold(char type)
{
    switch (type) {
    case 'D':
    case 'C':
    case 'I':
    case 's':
    case 'G':
    case 'H':
    case 'd':
    case 'c':
    case 'A':
    case 'Z': return true;
    default: return false;
    }
}

constexpr bool is_looked_into(char type)
{
    switch (type) {
    case 'D':
    case 'd':
    case 'T':
    case 't':
    case 'V': return false;
    default: return true;
    }
}

/// An error message that calls a statement by its name on links, in the client's words; empty: it
/// doesn't.
std::string with_own_name(std::span<const std::byte> error, const prepared_statement& statement)
{
    std::string told{reinterpret_cast<const char*>(error.data()), error.size()};
    const auto at = told.find(statement.shared_name);
    if (at == std::string::npos) return {};
    told.replace(at, statement.shared_name.size(), statement.name);
    protocol::message_buffer out;
    out.head('E', static_cast<std::uint32_t>(told.size() + 4));
    out.raw(std::as_bytes(std::span{told}));
    return {reinterpret_cast<const char*>(out.bytes().data()), out.size()};
}

}  // namespace

/// Queues bytes for a link, sending what it takes at once.
void client_session::write_link(server_link& link, std::span<const std::byte> bytes)
{
    if (bytes.empty()) return;
    if (!is_corked_ && link.output.is_empty() && link.transport.is_writable()) {
        const auto sent = link.transport.write(bytes);
        // A broken link is found again by the next read, which also gets what the server said last.
        if (sent.has_error()) return;
        bytes = bytes.subspan(*sent);
    }
    link.output.append(bytes);
}

/// False: the link is lost.
bool client_session::flush_link(server_link& link)
{
    if (link.output.is_empty() || !link.transport.is_writable()) return true;
    const auto sent = link.transport.write(link.output.bytes());
    if (sent.has_error()) {
        // What the server said before it closed may still be there to read.
        link.output.clear();
        return link.transport.is_readable();
    }
    link.output.consume(*sent);
    return true;
}

/// Moves what can be moved between the client and `link` now. False: the link is lost.
bool client_session::pump(server_link& link)
{
    // A server that hangs says nothing: what the control plane has found out counts.
    if (link.is_lost || is_dead(link)) return false;
    for (int round = 0;; ++round) {
        if (!flush_link(link)) return false;
        bool has_moved = false;
        if (is_open_ended_ && !is_routed_ && !is_settling_ && !is_own_work_ &&
            link.output.size() < output_bytes_max)
            has_moved = forward_client(link);
        flush_client();
        if ((output_.is_empty() || is_own_work_) && link.transport.is_readable()) {
            if (!forward_replies(link)) return false;
            has_moved = true;
        }
        if (!has_moved || (link.ledger.is_idle() && !is_open_ended_)) return true;
        if (round == read_count_max) {
            events_.yield(event_link_in);
            return true;
        }
    }
}

/// Reads once from the link and passes on what belongs to the client. False: the link is lost, or
/// has said something that can't be (not a byte of that has reached the client).
bool client_session::forward_replies(server_link& link)
{
    const auto scratch = home_.loop.scratch();
    const auto carried = link.carry.size();
    if (carried > 0) std::ranges::copy(link.carry, scratch.begin());
    const auto got = link.transport.read(scratch.subspan(carried));
    if (got.has_error()) return false;
    if (*got == 0) return true;
    if (is_giving_back_) drained_bytes_ += *got;
    link.carry.clear();
    const auto bytes = std::span<const std::byte>{scratch}.first(carried + *got);
    const auto used = scan_replies(link, bytes);
    if (!used) return false;
    link.carry.assign(bytes.begin() + static_cast<std::ptrdiff_t>(*used), bytes.end());
    return true;
}

/// Walks over a run of the link's replies, forwards what is the client's, and tells how far it
/// came; the rest (less than a message that must be seen whole) is to be presented again. Nullopt:
/// a misfit.
std::optional<std::size_t> client_session::scan_replies(server_link& link,
                                                        std::span<const std::byte> bytes)
{
    std::size_t at = 0;
    std::size_t run = 0;  // [run, at) is the client's
    if (link.skip_bytes > 0) {
        at = std::min(link.skip_bytes, bytes.size());
        link.skip_bytes -= at;
        if (!link.skip_is_forwarded) run = at;
    }
    while (const auto header = protocol::peek_header(bytes.subspan(at))) {
        if (!protocol::is_possible(protocol::server_lengths, *header)) return std::nullopt;
        const auto there = std::min(bytes.size() - at, header->total());
        const bool is_whole = there == header->total();
        if (!is_whole && is_looked_into(header->type)) {
            if (header->total() <= whole_bytes_max || there < error_bytes_min) break;
        }
        const auto body =
            bytes.subspan(at + protocol::frame_header::size, there - protocol::frame_header::size);
        const auto what = link.ledger.on_message(header->type, body);
        if (what.what == protocol::verdict::misfit) {
            pass(bytes.subspan(run, at - run));
            log(config::message_level::error,
                fmt::format("server {} sent a {} message that answers nothing", link.node(),
                            protocol::name_of(protocol::direction::from_server, header->type)));
            return std::nullopt;
        }
        if (repair_ == repair::possible && ends_hold(header->type)) release_held();
        const bool is_clients = header->type == 'D' && what.what == protocol::verdict::forward
                                    ? true
                                    : on_reply(link, header->type, body, what);
        if (!is_clients) {
            pass(bytes.subspan(run, at - run));
            run = at + there;
            if (!work_->told_instead.empty()) {
                pass(std::as_bytes(std::span{work_->told_instead}));
                work_->told_instead.clear();
            }
        }
        at += there;
        if (!is_whole) {
            link.skip_bytes = header->total() - there;
            link.skip_is_forwarded = is_clients;
            break;
        }
    }
    pass(bytes.subspan(run, at - run));
    return at;
}

/// Takes note of a reply. Whether it is for the client.
bool client_session::on_reply(server_link& link, char type, std::span<const std::byte> body,
                              const protocol::step& what)
{
    const bool is_ours = what.what == protocol::verdict::swallow || repair_ == repair::due;
    switch (type) {
    case 'D':
        if (is_ours) note_own_value(body);
        return !is_ours;
    case 'Z': {
        const auto status = protocol::read_ready_for_query(body);
        if (!status) return false;
        link.status = *status;
        link.note_unit_end(unit_failed_);
        if (is_ours) return false;
        return on_ready(link, *status);
    }
    case 'C':
        if (!is_ours) {
            const auto tag = protocol::read_command_complete(body);
            on_completed(link, what, tag ? *tag : std::string_view{});
        }
        return !is_ours;
    case 'I':
        if (!is_ours) on_completed(link, what, {});
        return !is_ours;
    case 'T':
    case 'n': note_described(link, type, body, what); return !is_ours;
    case '1':
        if (what.tag == own_tag || what.tag == brought_tag) return !is_ours;
        if (what.tag < work_->parses.size()) {
            if (!is_ours && work_->parses[what.tag]) prepared_.add(work_->parses[what.tag]);
            work_->parses[what.tag] = nullptr;
        }
        return !is_ours;
    case '3':
        if (!is_ours && what.tag < work_->closes.size() && work_->closes[what.tag]) {
            const auto& closed = *work_->closes[what.tag];
            prepared_.remove(closed);
            close_everywhere(closed.name);
        }
        return !is_ours;
    case 'E': return on_error(link, body, what);
    case 'S': return on_parameter(link, body);
    case 'N': return !is_own_work_;
    case 'G':
        // COPY ... FROM STDIN: the client's data belongs to this unit; an extended one still needs
        // a Sync behind it.
        if (!is_ours && !link.ledger.has_copy_end()) {
            is_open_ended_ = true;
            is_routed_ = false;  // the data, and what follows it, is for this link
        }
        return !is_ours;
    default: return !is_ours;
    }
}

bool client_session::on_error(server_link& link, std::span<const std::byte> body,
                              const protocol::step& what)
{
    const bool is_ours = what.what == protocol::verdict::swallow;
    const auto fields = protocol::read_error(body);
    const auto code = fields.sqlstate.value_or(std::string_view{});
    home_.services.counters.count_error(link.node(), fields.severity_or_empty());
    const bool is_brought = what.tag == brought_tag ||
                            (what.kind == protocol::expected_kind::parse && what.tag != own_tag);
    if (is_ours && !is_brought) {
        own_work_failed_ = true;
        work_->own_value = fields.message.value_or(std::string_view{});
        work_->own_error = std::make_unique<protocol::pg_error>(fields.to_error());
        return false;
    }
    if (what.is_fatal) {
        link.is_message_cut = true;  // no Terminate: nobody is there to read it
        const bool is_main = &link == primary_link();
        if (!is_main || is_own_work_ || !is_in_unit_) {
            // The session can do without this link, or says so itself.
            lost_error_ = std::make_unique<protocol::pg_error>(fields.to_error());
            return false;
        }
        has_said_goodbye_ = true;
        return true;
    }
    if (repair_ == repair::possible) {
        if (is_repaired_by(code)) {
            repair_ = repair::due;
            return false;
        }
        release_held();
    }
    if (what.kind == protocol::expected_kind::parse && !is_ours &&
        what.tag < work_->parses.size() && work_->parses[what.tag] &&
        work_->parses[what.tag]->name.empty()) {
        prepared_.remove(std::string{});
    }
    unit_failed_ = true;
    tracker_.failed();
    if (link.ledger.is_skipping()) {
        // The server drops everything up to a Sync that the client has not sent yet, a Query inside
        // the unit too.
        is_query_unit_ = false;
        is_open_ended_ = true;
    } else if (is_query_unit_) {
        is_open_ended_ = stream_bytes_ > 0;  // a COPY that failed takes no more
    }
    // A read that a server refuses because it is in recovery: that server is not what the view
    // says, or the statement writes in a way that the text does not show.
    if (code == "25006" && &link == primary_link()) home_.services.report_trouble(link.node());
    // The schema has changed behind our back: what is prepared from now on is another statement.
    if (code == "0A000" && fields.routine == "RevalidateCachedQuery") {
        home_.forget_catalog(database());
    }
    if (what.kind == protocol::expected_kind::bind && what.tag > 0 &&
        what.tag <= work_->renamed.size()) {
        work_->told_instead = with_own_name(body, *work_->renamed[what.tag - 1]);
    }
    return work_->told_instead.empty();
}

/// ParameterStatus: told to the client, but for what only says that this server is a standby, or
/// what our own work does.
bool client_session::on_parameter(server_link& link, std::span<const std::byte> body)
{
    const auto told = protocol::read_parameter_status(body);
    if (!told) return false;
    if (is_own_work_) return false;
    note_parameter(told->name, told->value);
    const bool is_main = &link == primary_link();
    const bool tells_role =
        told->name == "in_hot_standby" || told->name == "default_transaction_read_only";
    return is_main || !tells_role;
}

/// The settings that change how texts are to be read.
void client_session::note_parameter(std::string_view name, std::string_view value)
{
    if (name == "standard_conforming_strings") {
        text_rules_.standard_conforming_strings = value == "on";
    } else if (name == "client_encoding") {
        constexpr std::array<std::string_view, 7> unsafe{
            "SJIS", "BIG5", "GBK", "GB18030", "UHC", "JOHAB", "SHIFT_JIS_2004"};
        text_rules_.ascii_safe_encoding = std::ranges::find(unsafe, value) == unsafe.end();
    } else if (name == "application_name") {
        own_application_name_ =
            value == pool_->application_name ? nullptr : std::make_unique<std::string>(value);
    }
}

/// The first column of a row of our own query.
void client_session::note_own_value(std::span<const std::byte> body)
{
    if (body.size() < 6) return;
    const auto length = protocol::read_uint32(body.data() + 2);
    if (length > body.size() - 6) return;  // NULL has all bits set
    work_->own_value.assign(reinterpret_cast<const char*>(body.data()) + 6, length);
}

/// The end of the unit (or of a statement's implicit transaction). Whether the client is told now:
/// not when a reader has failed inside a transaction, whose part on the primary has to be failed
/// first.
bool client_session::on_ready(server_link& link, char status)
{
    // What was sent but never confirmed is not there.
    for (const auto& each : work_->parses) {
        if (!each) continue;
        // Nor is it known what stands under that name now: the next to use the name closes it
        // first. A later message of the unit may have taken it for another one of its content.
        const auto there = link.statements.find(each->link_name());
        if (there != link.statements.end() && there->second.serves_as(*each))
            there->second = {.id = unknown_statement};
    }
    work_->parses.clear();
    const bool is_main = &link == primary_link();
    if (main_part_is_failed_ && !is_main) {
        ready_is_held_ = true;
        return false;
    }
    if (link.in_shared_transaction && !is_main) {
        if (status == 'E') {
            ready_is_held_ = true;
            return false;
        }
        tracker_.ready(status);
        return true;
    }
    const char before = tracker_.status();
    tracker_.ready(status);
    if (before == 'I') transaction_node_ = link.node();
    const auto version_before = settings_record_.version();
    if (status == 'I') {
        close_portals();
        if (unit_failed_) {
            settings_record_.rolled_back();
        } else {
            settings_record_.committed();
        }
        // Before the client is told: another session may be told by it.
        if (std::exchange(touches_data_, false)) note_touched();
    }
    if (tracker_.unit_changes_schema()) home_.forget_catalog(database());
    note_published();
    if (is_main && (link.settings_version == version_before || settings_changed_) &&
        link.settings_version != settings_record_.version()) {
        link.settings_version = settings_record_.version();
        link.settings = settings_record_.link_settings();
    }
    settings_changed_ = false;
    if (before != 'I' && (status == 'I' || unit_ended_transaction_)) {
        transaction_is_fixed_ = false;
        reader_has_queried_ = false;
        for (const auto& each : links_) {
            if (each->in_shared_transaction && each.get() != &link) leave_shared_transaction(*each);
        }
    }
    return true;
}

/// Tables that are written and committed, for readers of other sessions (dml_adaptive_global).
void client_session::note_published()
{
    if (tracker_.published().is_empty()) return;
    const bool is_wanted = rules()->parameters().disable_load_balance_on_write ==
                           config::write_effect::dml_adaptive_global;
    if (is_wanted) home_.services.tables.note(database(), tracker_.published(), home_.loop.now());
}

/// A statement has been completed by its server: its effects on the session hold.
void client_session::on_completed(server_link& link, const protocol::step& what,
                                  std::string_view tag)
{
    if (what.kind == protocol::expected_kind::query) {
        const auto index = statement_index_++;
        if (!has_effects_ || !work_->facts || index >= work_->facts->statements.size()) return;
        const auto& facts = work_->facts->statements[index];
        std::string_view text = work_->effects_text;
        // No length: up to the end of the text.
        text.remove_prefix(std::min<std::size_t>(facts.text_offset, text.size()));
        if (facts.text_length > 0) text = text.substr(0, facts.text_length);
        apply_effects(link, facts, text, tag);
    } else if (what.kind == protocol::expected_kind::execute && what.tag < work_->executes.size()) {
        const auto& statement = work_->executes[what.tag];
        if (statement && statement->facts)
            apply_effects(link, statement->facts->first(), statement->text, tag);
    }
}

void client_session::apply_effects(server_link& link, const routing::statement_facts& facts,
                                   std::string_view text, std::string_view tag)
{
    bool makes_state = false;  // that only this server has
    switch (facts.kind) {
    case statement_kind::commit:
    case statement_kind::prepare_transaction:
        if (tag == "ROLLBACK") {
            settings_record_.rolled_back();
        } else {
            settings_record_.committed();
            settings_changed_ = true;
        }
        unit_ended_transaction_ = true;
        forget_portals_elsewhere(link.node());
        break;
    case statement_kind::rollback:
        settings_record_.rolled_back();
        unit_ended_transaction_ = true;
        forget_portals_elsewhere(link.node());
        break;
    // Portals may be gone: what isn't known is the primary's, and may be anything.
    case statement_kind::rollback_to_savepoint: close_portals(); break;
    case statement_kind::cursor: forget_portals(link.node()); break;
    case statement_kind::listen: makes_state = tag == "LISTEN"; break;  // UNLISTEN leaves nothing
    case statement_kind::load: makes_state = true; break;
    case statement_kind::prepare: note_prepared(link, facts.name, text); break;
    case statement_kind::deallocate: forget_statements(link, facts.name); break;
    default: break;
    }
    if (facts.change == routing::setting_change::discard_all) {
        forget_statements(link, {});
        has_server_state_ = false;
        // What was sent behind it in the same unit may have pinned anew.
        if (!unit_pins_) unpin();
    }
    tracker_.completed(facts, tag);
    const char* why = makes_state ? (facts.kind == statement_kind::listen ? "LISTEN" : "LOAD")
                      : facts.creates_temp        ? "temporary tables"
                      : facts.calls_set_config    ? "set_config()"
                      : facts.takes_advisory_lock ? "advisory locks"
                      : facts.holds_cursor        ? "a cursor WITH HOLD"
                      : facts.effects_unknown     ? "a statement that may have any effect"
                                                  : nullptr;
    if (why) {
        has_server_state_ = true;
        state_node_ = link.node();
        const bool is_lasting = facts.kind == statement_kind::load;
        const auto until = facts.effects_unknown ? end_of_unknown() : pin_end::audit;
        pin(why, is_lasting ? pin_end::discard : until);
    }
    if (facts.change != routing::setting_change::none) {
        settings_changed_ = true;
    }
    settings_record_.completed(facts, text, true);
}

/// Passes on the client's messages of a unit that is not over: the rest of a long statement, an
/// extended unit served as it comes, COPY data. Whether anything was moved.
bool client_session::forward_client(server_link& link)
{
    bool has_moved = false;
    while (is_open_ended_ && link.output.size() < output_bytes_max &&
           link.ledger.size() < ledger_size_max && !client_is_gone_) {
        const auto present = input_.bytes();
        if (stream_bytes_ > 0 && !present.empty()) {
            const auto count = std::min(stream_bytes_, present.size());
            write_link(link, present.first(count));
            stream_bytes_ -= count;
            input_.consume(count);
            has_moved = true;
            const bool takes_data = link.ledger.is_copying_in() && !link.ledger.has_copy_end();
            if (stream_bytes_ == 0 && is_query_unit_ && !takes_data) is_open_ended_ = false;
            continue;
        }
        const auto header = protocol::peek_header(present);
        if (header && (check_message(*header) || header->type == 'p')) {
            if (!is_message_under_way()) refuse_message(*header);
            is_ending_ = true;
            break;
        }
        const auto needed = header ? needed_bytes(*header) : protocol::frame_header::size;
        if (present.size() < needed) {
            if (!client_.is_readable() || !read_client(needed)) break;
            if (input_.bytes().size() == present.size()) break;
            continue;
        }
        // Small messages gather in the link's output, and go out with one call.
        is_corked_ = true;
        const bool goes_on = forward_message(link, *header);
        is_corked_ = false;
        if (!goes_on) break;
        has_moved = true;
    }
    // What does not fit is found again by pump. A Sync has gone to other links of the unit, too,
    // and nothing else would send it off.
    for (const auto& each : links_) (void)flush_link(*each);
    return has_moved;
}

/// How much of a message must be there before it can be passed on: all of it when we look into it.
std::size_t client_session::needed_bytes(protocol::frame_header header) const
{
    if (header.type == 'd' || header.type == 'f') return protocol::frame_header::size;
    if (header.total() <= whole_bytes()) return header.total();
    // A Bind or Parse that is too long to be kept is known by the names at its head.
    return std::min(header.total(), name_bytes_max);
}

/// One message of an open-ended unit. False: it ends the session.
bool client_session::forward_message(server_link& link, protocol::frame_header header)
{
    const auto present = input_.bytes();
    const auto there = std::min(present.size(), header.total());
    const bool is_whole = there == header.total();
    bool is_written = false;
    switch (header.type) {
    case 'X': client_is_gone_ = true; return false;
    case 'd': {
        if (settings_->log_client_messages) log_client_messages(present);
        // All the COPY data that is there at once.
        auto run = there;
        while (const auto next =
                   protocol::peek_header(present.subspan(std::min(run, present.size())))) {
            if (run > present.size() || next->type != 'd' || check_message(*next)) break;
            run += next->total();
        }
        const auto now = std::min(run, present.size());
        is_corked_ = false;
        write_link(link, present.first(now));
        stream_bytes_ =
            header.total() > present.size() ? header.total() - present.size() : run - now;
        input_.consume(now);
        return true;
    }
    case 'c':
    case 'f':
        if (settings_->log_client_messages && is_whole) log_client_messages(present.first(there));
        link.ledger.copy_ended();
        if (is_query_unit_) is_open_ended_ = !is_whole;
        break;
    case 'Q':
        // A Query inside an extended unit ends it.
        if (links_.size() > 1 && !link.ledger.is_skipping()) end_unit_elsewhere(&link);
        prepare_query_within(link, present.first(there), is_whole);
        link.ledger.expect(protocol::expected_kind::query);
        note_query_within(link, present.first(there), is_whole);
        is_query_unit_ = !link.ledger.is_skipping();
        is_open_ended_ = !is_whole || link.ledger.is_skipping();
        break;
    default: {
        if (is_query_unit_) {
            // While a simple COPY takes data the server ignores Flush and Sync; other messages fail
            // the COPY there.
            if (header.type != 'H' && header.type != 'S') break;
            input_.consume(there);
            return true;
        }
        const auto item = is_whole ? read_item(header, 0) : read_item_head(header);
        forget_answered(link);
        apply_item(item);
        place_portals(link.node());
        prepare_item(link, item, {});
        expect_item(link, item);
        is_written = is_renamed(item);
        if (is_written) write_renamed(link, item, input_.bytes().first(there));
        break;
    }
    }
    if (!is_written) write_link(link, input_.bytes().first(there));
    stream_bytes_ = header.total() - there;
    input_.consume(there);
    return true;
}

}  // namespace pgtorii::core
