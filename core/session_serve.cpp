// The stay itself: unit after unit.

#include "core/client_session.hpp"

#include "core/base/always_assert.hpp"
#include "protocol/message.hpp"
#include "routing/choose_node.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace pgtorii::core {

using runtime::task;

namespace {

const protocol::pg_error shutting_down{
    .sqlstate = "57P01", .message = "terminating connection due to administrator command"};

}  // namespace

task<> client_session::serve()
{
    for (;;) {
        unit what;
        // Edges of other links came while the last unit had all the attention.
        if ((has_readable_link() || has_dead_link()) && !on_idle_events()) co_return;
        // A client that never pauses lets others have their turn, too.
        if (shares_links() && home_.services.pool.has_waiters()) {
            note_hidden_pin();
            if (is_audit_due()) co_await audit_links();
            share_links();
        }
        while ((what = next_unit()).what == unit::kind::none) {
            if (is_ending_) send_fatal(shutting_down);
            if (is_over() || has_idled_too_long()) co_return;
            note_hidden_pin();
            if (is_audit_due()) {
                // The client's next message, and the end of a link, may come meanwhile.
                co_await audit_links();
                if (!on_idle_events()) co_return;
                continue;
            }
            share_links();
            begin_idle();
            if (status() == 'I' && work_->is_done()) home_.return_work(std::move(work_));
            const auto events = co_await events_;
            if (!work_) work_ = home_.take_work();
            note(events);
            note_idle(events);
            flush_client();
            if (!on_idle_events()) co_return;
        }
        end_idle();
        if (what.what == unit::kind::terminate) {
            if (settings_->log_client_messages) log_client_message('X', {});
            co_return;
        }
        if (what.what == unit::kind::broken) co_return;
        if (!co_await serve_unit(what)) co_return;
    }
}

/// Serves one unit to its ReadyForQuery. False: the session is over. A coroutine of its own, so
/// that a client who waits costs no memory for what a unit needs.
task<bool> client_session::serve_unit(unit what)
{
    // A request that came too late for the last unit is not for this one.
    cancel_is_requested_ = false;
    take_settings();  // a reload takes effect between statements

    has_waited_ = has_drawn_ = false;
    take_causal_ticket();
    auto way = route_unit(what);
    if (must_wait(way)) {
        way = co_await wait_to_route(what);
        if (cancel_is_requested_ && !is_over()) {
            tell_not_served({});
            skip_unit(what);
            co_return true;
        }
    }
    if (is_over()) {
        if (is_ending_) send_fatal(shutting_down);
        co_return false;
    }
    if (settings_->log_client_messages) log_client_messages(input_.bytes().first(what.bytes));
    if (way.why.target == routing::target::local) {
        if (!needs_census(what)) {
            answer_locally(what);
            co_return true;
        }
        co_await answer_after_census(what);
        if (!is_over()) co_return true;
        if (is_ending_) send_fatal(shutting_down);
        co_return false;
    }
    if (!has_state_at(way.node)) co_return false;
    reason_ = way.why.reason;
    if (!has_turn_ && shares_links()) (void)take_idle_lease();
    auto* link = way.node >= 0 ? ready_link(way.node) : nullptr;
    if (!link) {
        link = co_await prepare(way);
        if (is_over()) {
            if (is_ending_) send_fatal(shutting_down);
            co_return false;
        }
        // A cancel request that came meanwhile has nothing on the server to cancel, and would
        // overtake what is sent now.
        if (link && cancel_is_requested_ && status() == 'I') {
            tell_not_served({});
            link = nullptr;
        }
        if (!link) {
            skip_unit(what);
            co_return true;
        }
    }
    // A client that reads a result by what it was told of it before.
    if (shares_links() && what.what == unit::kind::extended && status() != 'E' &&
        unsure_shape(*link)) {
        const bool is_as_told = co_await bring_described(*link);
        if (is_over()) {
            if (is_ending_) send_fatal(shutting_down);
            co_return false;
        }
        if (!is_as_told) {
            skip_unit(what);
            co_return true;
        }
    }
    send_unit(*link, what);
    bool is_lost = false;
    for (;;) {
        is_lost = !pump(*link);
        const bool is_answered = link->ledger.is_idle() && !is_open_ended_;
        if (is_lost || is_over() || is_answered) {
            if (is_lost && repair_after_loss(*link)) is_lost = false;
            if (repair_ != repair::due || is_over()) break;
            auto* const other = co_await run_repair(what);
            if (!other) break;
            link = other;
            continue;
        }
        if (is_routed_ && may_take_segment(*link)) {
            auto* const next = co_await serve_segment(*link);
            if (!next) break;  // the client has been told
            if (next != link || segment_is_done_) {
                link = next;
                continue;
            }
            if (is_over()) break;
        }
        if (is_unit_waiting(*link)) begin_idle();
        if (!cancel_is_requested_) {
            const auto events = co_await events_;
            note(events);
            note_idle(events);
            if (has_idled_too_long()) co_return false;
        }
        if (cancel_is_requested_) {
            cancel_is_requested_ = false;
            send_cancel(*link);
        }
    }
    end_idle();
    is_in_unit_ = false;
    if (refuses_transaction()) co_return false;
    forget_repair();
    if (is_over()) {
        if (is_ending_ && !client_is_gone_ && !is_message_under_way()) {
            send_fatal(shutting_down);
        }
        co_return false;
    }
    if (has_said_goodbye_) co_return false;
    if (is_lost && !lose_link(*link)) co_return false;
    if (ready_is_held_) {
        ready_is_held_ = false;
        const bool is_failed = co_await fail_transaction();
        if (is_over()) co_return false;
        if (!is_failed) co_return false;  // the primary's part can't be told: when in doubt, close
        const auto* const primary = primary_link();
        if (!primary) co_return false;
        if (status() == 'I') transaction_node_ = primary->node();
        tracker_.ready(primary->status);
        if (status() == 'I') close_portals();
        if (!discards_until_sync_) {
            home_.replies.ready_for_query(status());
            send_replies();
        }
    }
    co_return true;
}

/// More of a unit may be sent to its link: what it owes, and what waits to be sent, is bounded.
bool client_session::may_take_segment(const server_link& link) const
{
    return output_.is_empty() && link.output.size() < output_bytes_max &&
           link.ledger.size() < ledger_size_max && link.skip_bytes == 0;
}

/// Serves the next segment of the unit at work, when it is there (segment_is_done_ tells). Gives
/// the link that serves the unit now; null: the rest of the unit is not served, and the client has
/// been told.
task<server_link*> client_session::serve_segment(server_link& link)
{
    segment_is_done_ = false;
    has_waited_ = false;
    auto more = next_segment(link);
    if (more.what == unit::kind::none) co_return &link;
    if (more.what == unit::kind::terminate || more.what == unit::kind::broken) {
        (more.what == unit::kind::broken ? is_ending_ : client_is_gone_) = true;
        co_return &link;
    }
    auto way = route_extended(more);
    if (must_wait(way)) {
        // Nothing may be told to the client, whatever comes of the wait, before what it has asked.
        const bool is_settled = co_await settle(link);
        segment_is_done_ = !is_settled || link.ledger.is_skipping();
        if (segment_is_done_) co_return &link;
        way = co_await wait_to_route(more);
        if (is_over()) co_return &link;
        if (cancel_is_requested_) {
            tell_not_served({});
            abandon_unit();
            co_return nullptr;
        }
    }
    if (settings_->log_client_messages) log_client_messages(input_.bytes().first(more.bytes));
    auto* there = &link;
    // After an error only its Sync is left of the unit, and that is this server's.
    // So is whatever comes while it takes COPY data.
    if (link.ledger.is_skipping() || link.ledger.is_copying_in()) way.node = link.node();
    if (way.node != link.node()) {
        const bool is_settled = co_await settle(link);
        // After an error the segment is dropped with the rest.
        segment_is_done_ = !is_settled || link.ledger.is_skipping();
        if (segment_is_done_) co_return &link;
        if (more.bytes == 0) need_statements_of_query();
        there = link_to(way.node);
        if (!there || !there->ledger.awaits_sync() || !there->ledger.is_settled())
            there = ready_link(way.node);
        if (!there) there = co_await prepare(way);
        if (is_over()) co_return &link;
        if (!there) {
            abandon_unit();
            co_return nullptr;
        }
    }
    segment_is_done_ = true;
    reason_ = way.why.reason;
    send_unit(*there, more);
    co_return there;
}

/// A server keeps its replies until a Sync or a Flush.
void client_session::ask_for_replies(server_link& link)
{
    if (std::exchange(replies_are_asked_for_, true)) return;
    home_.replies.flush();
    write_link(link, home_.replies.bytes());
    home_.replies.clear();
}

/// Waits until a link has answered all that was sent of a unit that goes on elsewhere. False: it is
/// lost, or the session is over.
task<bool> client_session::settle(server_link& link)
{
    if (link.ledger.is_settled()) co_return true;
    ask_for_replies(link);
    is_settling_ = true;
    bool goes_on = true;
    for (;;) {
        goes_on = pump(link) && !is_over();
        if (!goes_on || link.ledger.is_settled() || link.ledger.is_skipping()) break;
        note(co_await events_);
        if (std::exchange(cancel_is_requested_, false)) send_cancel(link);
    }
    is_settling_ = false;
    // Found again by the caller's next pump.
    if (!goes_on && !is_over()) link.is_lost = true;
    co_return goes_on;
}

/// A unit has failed where its Sync can't tell it: other servers undo their parts of it. Inside a
/// transaction an error does that; outside of one the connection's end is the only certain way.
void client_session::drop_unended_parts()
{
    if (status() != 'I') {
        end_unit_elsewhere(nullptr);
        return;
    }
    std::erase_if(links_, [](const auto& each) { return each->ledger.awaits_sync(); });
    settings_record_.rolled_back();
    tracker_.lost_transaction();
    close_portals();
}

/// A unit's rest can't be served. The client has its error; what was done of the unit is undone,
/// and the rest up to the Sync is dropped.
void client_session::abandon_unit()
{
    unit_failed_ = true;
    drop_unended_parts();
    is_open_ended_ = false;
    is_routed_ = false;
    discards_until_sync_ = true;
}

/// The home's settings, with the session's own changes on top.
void client_session::take_settings()
{
    if (!own_settings_) {
        if (settings_ != home_.settings) settings_ = home_.settings;
        return;
    }
    own_settings_->refresh(home_.settings);
    settings_ = own_settings_->values();
}

bool client_session::has_readable_link() const
{
    return std::ranges::any_of(links_,
                               [](const auto& link) { return link->transport.is_readable(); });
}

/// Its server is down, as the control plane sees it (a reload may also have taken it away).
bool client_session::is_dead(const server_link& link) const
{
    return !home_.view->is_valid(link.node());
}

bool client_session::has_dead_link() const
{
    return std::ranges::any_of(links_, [this](const auto& link) { return is_dead(*link); });
}

/// A message to the client has been begun and its rest is not here yet: nothing else may be said.
bool client_session::is_message_under_way() const
{
    return std::ranges::any_of(
        links_, [](const auto& link) { return link->skip_bytes > 0 && link->skip_is_forwarded; });
}

/// Temporary tables, LISTEN and the like stay on their server. When another one has become the
/// primary, going on without them would give wrong answers: the session ends. False: it has.
bool client_session::has_state_at(int node)
{
    const bool is_lost =
        has_server_state_ && node >= 0 && node == main_node() && node != state_node_;
    if (!is_lost) return true;
    send_fatal(
        {.sqlstate = "57P01",
         .message = "terminating connection because another server has become the primary",
         .detail = fmt::format(
             "Session state (temporary tables, LISTEN, prepared statements, advisory locks) was on "
             "server {}.",
             state_node_)});
    return false;
}

client_session::route client_session::route_unit(unit& what)
{
    if (what.what != unit::kind::query) return route_extended(what);
    if (!what.is_whole) {
        work_->facts = home_.unreadable_facts;
        return resolve({routing::target::primary, routing::reason::unparsed});
    }
    // Up to the first zero byte, as the server reads it.
    const auto bytes = input_.bytes().first(what.bytes);
    const std::string_view body{reinterpret_cast<const char*>(bytes.data()) + 5, what.bytes - 5};
    return route_query(body.substr(0, body.find('\0')));
}

/// What happens while the client is silent: notifications, the end of a link. False: the session is
/// over.
bool client_session::on_idle_events()
{
    cancel_is_requested_ = false;  // nothing is running that it could mean
    for (std::size_t i = 0; i < links_.size();) {
        auto& link = *links_[i];
        bool is_alive = !is_dead(link) && flush_link(link);
        while (is_alive && link.transport.is_readable() && output_.is_empty()) {
            is_own_work_ = !link.ledger.is_idle();
            is_alive = forward_replies(link);
            is_own_work_ = false;
        }
        if (is_alive) {
            ++i;
            continue;
        }
        // The view may have no primary now, or another one.
        const bool is_main =
            &link == primary_link() || (has_server_state_ && link.node() == state_node_);
        if (link.skip_bytes > 0 && link.skip_is_forwarded) {
            link.is_spoiled = true;
            return false;  // in the middle of a message nothing else can be said
        }
        if (is_main && (status() != 'I' || has_server_state_ || pin_ || is_exclusive_)) {
            if (!client_is_gone_) {
                send_fatal(lost_error_ ? *lost_error_
                                       : protocol::pg_error{
                                             .sqlstate = "08006",
                                             .message = fmt::format(
                                                 "connection to server {} was lost", link.node())});
            }
            link.is_spoiled = true;
            return false;
        }
        // Nothing was under way: the next statement gets a new one.
        if (!lost_error_) home_.services.report_trouble(link.node());
        lost_error_ = nullptr;
        drop_link(link);
    }
    return true;
}

/// The link at work is gone. Tells the client what that means; false: the session is over.
bool client_session::lose_link(server_link& link)
{
    // By what it was when the unit began: the view may know already that it is down.
    const int main = status() == 'I' ? unit_main_ : transaction_node_;
    const bool is_main = is_exclusive_ || link.node() == main;
    // Its last statement may have been committed: the session's reads have to see it.
    if (is_main && std::exchange(touches_data_, false)) note_touched();
    const bool is_cut = link.skip_bytes > 0 && link.skip_is_forwarded;
    const bool was_joined = link.in_shared_transaction && !is_main;
    const int node = link.node();
    auto told = lost_error_ ? std::move(*lost_error_) : protocol::pg_error{};
    lost_error_ = nullptr;
    if (told.message.empty()) home_.services.report_trouble(node);
    // With a transaction lost under it, a client that goes on regardless would run its rest outside
    // of one.
    const bool ends_session =
        is_exclusive_ || (is_main && (has_server_state_ || pin_ || status() != 'I'));
    drop_link(link);
    if (is_cut) return false;  // in the middle of a message nothing else can be said
    if (told.message.empty()) {
        told = {.sqlstate = "08006",
                .message = fmt::format("connection to server {} was lost", node)};
        const bool is_unknown =
            is_main && (tracker_.unit_commits() || (tracker_.unit_writes() && status() == 'I'));
        if (is_unknown) {
            told.sqlstate = "08007";
            told.detail =
                "The statement was sent, and whether its transaction was committed is not known.";
        } else if (is_main && status() != 'I') {
            told.detail = "The transaction was rolled back.";
        }
    }
    if (ends_session) {
        send_fatal(told);
        return false;
    }
    told.severity = "ERROR";
    home_.replies.error_response(told);
    send_replies();
    unit_failed_ = true;
    drop_unended_parts();
    is_routed_ = false;
    if (was_joined) {
        ready_is_held_ = true;
        if (std::exchange(is_open_ended_, false)) discards_until_sync_ = true;
        return true;
    }
    if (is_main) {
        tracker_.lost_transaction();
        settings_record_.rolled_back();
        close_portals();
        for (const auto& each : links_) {
            if (each->in_shared_transaction) leave_shared_transaction(*each);
        }
    }
    discard_bytes_ = std::exchange(stream_bytes_, 0);
    const bool has_rest = std::exchange(is_open_ended_, false);
    if (has_rest && !is_query_unit_) {
        discards_until_sync_ = true;
    } else {
        home_.replies.ready_for_query(status());
        send_replies();
    }
    return true;
}

}  // namespace pgtorii::core
