// A session's links: taking its turn, bringing state, joining a transaction.

#include "core/client_session.hpp"

#include "protocol/message.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace pgtorii::core {

using runtime::task;

namespace {

/// The longest wait for a primary: a failover that takes longer is told to the client.
constexpr std::chrono::seconds primary_wait_limit{30};
/// How soon a primary that refused a connection is tried again.
constexpr std::chrono::seconds primary_retry_pause{1};
/// Where sessions share links: a client that has waited so long is told.
constexpr std::chrono::seconds long_wait{2};
/// ... and told again after that time: when all clients wait long for each statement, the notices
/// would add to what they wait for.
constexpr std::chrono::seconds long_wait_reminder{60};

}  // namespace

server_link* client_session::link_to(int node)
{
    for (const auto& link : links_) {
        if (link->node() == node) return link.get();
    }
    return nullptr;
}

/// The node that the session's writes go to. Inside a transaction the one that has it, whatever the
/// view says since.
int client_session::main_node() const
{
    if (is_exclusive_) return links_.empty() ? -1 : links_.front()->node();
    if (status() != 'I') return transaction_node_;
    // A unit keeps the primary that it began with.
    return is_in_unit_ && unit_main_ >= 0 ? unit_main_ : home_.view->primary;
}

server_link* client_session::primary_link()
{
    return link_to(main_node());
}

/// The link to `node` when nothing at all has to be done before the unit can go there. The way of
/// almost every query.
server_link* client_session::ready_link(int node)
{
    auto* const link = link_to(node);
    if (!link || !link->ledger.is_idle() || link->cancels_under_way > 0) return nullptr;
    if (!is_exclusive_ && link->settings_version != settings_record_.version()) {
        // The one that ran the SET has it already; on_ready keeps its version current.
        return nullptr;
    }
    if (is_left_in_transaction(*link) || uses_foreign_sequences(*link)) return nullptr;
    if (work_->facts && shows_foreign_statements(*link, *work_->facts)) return nullptr;
    const bool is_away = link->node() != main_node();
    if (is_away ? !is_standby_ready(*link) : must_fix_transaction()) return nullptr;
    if (!work_->needed_statements.empty() && lacks_statements(*link)) return nullptr;
    return link;
}

/// Our ROLLBACK of a reader's part was refused: recovery on a standby may cancel a statement at any
/// moment, even that one.
bool client_session::is_left_in_transaction(const server_link& link) const
{
    return link.status != 'I' && !link.in_shared_transaction &&
           (status() == 'I' || link.node() != main_node());
}

/// Makes the link of `way` ready, whatever it takes. A reader that can't be had makes way for the
/// primary. Null: the unit can't be served; the client has been told (or is gone).
task<server_link*> client_session::prepare(route& way)
{
    const auto turn = co_await take_turn(true);
    if (turn != turn_outcome::taken) {
        tell_not_served(
            {.sqlstate = "53300",
             .message = "sorry, too many clients already",
             .detail = turn == turn_outcome::refused
                           ? fmt::format("{} clients wait for a server connection.",
                                         settings_->query_wait_queue_max)
                           : fmt::format("No server connection became free within {} s.",
                                         settings_->query_wait_timeout.count())});
        co_return nullptr;
    }
    // What came with the turn has most often all that is needed.
    if (auto* const link = way.node >= 0 && !is_over() ? ready_link(way.node) : nullptr) {
        co_return link;
    }
    const auto give_up = home_.loop.now() + primary_wait_limit;
    while (!is_over()) {
        if (way.node < 0) serve_unasked(way);
        if (way.node < 0 && !co_await wait_for_primary(give_up)) {
            tell_not_served({.sqlstate = "57P03", .message = "no primary server is available"});
            co_return nullptr;
        }
        if (way.node < 0) way.node = main_node();
        auto* link = link_to(way.node);
        if (!link) {
            const auto outcome = co_await obtain_link(way.node);
            link = link_to(way.node);
            if (outcome.what != opening::outcome::ready) {
                if (!give_way(way, outcome)) co_return nullptr;
                continue;
            }
        }
        const auto state = co_await bring_state(*link);
        if (state == readiness_of_link::ready) {
            co_await bring_statements(*link);
            if (is_over()) co_return nullptr;
            if (!link->is_spoiled) co_return link;
        }
        if (is_over()) co_return nullptr;
        if (state == readiness_of_link::not_shareable) {
            // The server is sound, only this transaction can't be shared.
            tracker_.keep_transaction();
            way = resolve({routing::target::primary, routing::reason::transaction_isolation});
            continue;
        }
        // A server that is there has refused what the session has set up (the role is gone ...):
        // another connection would refuse it too.
        const bool is_refused = way.node == main_node() && status() == 'I' && !link->is_spoiled &&
                                work_->own_error && !work_->own_error->sqlstate.starts_with("57");
        if (is_refused) {
            drop_link(*link);
            work_->own_error->severity = "ERROR";
            tell_not_served(*work_->own_error);
            co_return nullptr;
        }
        // A prelude that fails is never shown as the client's error: the link goes, and the primary
        // serves.
        opening failed;
        failed.error = {.sqlstate = "08006",
                        .message = fmt::format("connection to server {} was lost", way.node)};
        if (way.node == main_node() && (has_server_state_ || pin_)) {
            // Temporary tables, locks and the like went with it: on another link the client would
            // go on without them and not know it.
            if (lost_error_) failed.error = *lost_error_;
            send_fatal(failed.error);
            is_ending_ = true;
            co_return nullptr;
        }
        drop_link(*link);
        if (!give_way(way, failed)) co_return nullptr;
    }
    co_return nullptr;
}

/// Why a unit that waited is not served: the client has cancelled it, or `otherwise`.
void client_session::tell_not_served(const protocol::pg_error& otherwise)
{
    if (is_over()) return;
    const bool is_cancelled = std::exchange(cancel_is_requested_, false);
    const protocol::pg_error cancelled{.sqlstate = "57014",
                                       .message = "canceling statement due to user request"};
    send_error(is_cancelled ? cancelled : otherwise);
}

/// A link to a node that the session has none to: a parked one, or a new one.
task<opening> client_session::obtain_link(int node)
{
    opening outcome;
    auto parked = home_.services.pool.take(*pool_, node);
    // The pool mode has changed since the last session that had it.
    if (parked && !shares_links() && !parked->is_fresh()) parked.reset();
    if (parked) {
        auto& link = *parked;
        links_.push_back(std::move(parked));
        if (!link.transport.open(home_.loop.source(), link.unpark(), events_, event_link_in,
                                 event_link_out)) {
            outcome.what = opening::outcome::ready;
        }
        note_taken_over(link);
        co_return outcome;
    }
    auto made = home_.services.pool.make(pool_, node);
    if (!made) {
        outcome.what = opening::outcome::no_room;
        outcome.error = no_room_error(node);
        co_return outcome;
    }
    links_.push_back(std::move(made));
    auto& link = *links_.back();
    outcome = co_await open_link(link, false);
    link.note_leased(home_.loop.now());
    if (outcome.what == opening::outcome::ready) co_return outcome;
    drop_link(link);
    if (outcome.what != opening::outcome::abandoned) {
        log(config::message_level::warning,
            fmt::format("failed to create a backend {} connection", node), outcome.error.message);
    }
    co_return outcome;
}

/// A node was found unreachable: not again while the view is the same.
void client_session::avoid(int node)
{
    home_.services.report_trouble(node);
    if (avoided_epoch_ != home_.view->epoch) avoided_nodes_.clear();
    avoided_epoch_ = home_.view->epoch;
    avoided_nodes_.push_back(node);
}

/// A read that is the primary's only because nobody could be asked about its names, while there is
/// no primary: a standby serves it, which lets nothing be written. False: it is no such read.
bool client_session::serve_unasked(route& way)
{
    if (way.why.reason != routing::reason::catalog_unknown || status() != 'I') return false;
    const auto other = resolve({routing::target::balanced, routing::reason::read_balanced});
    if (other.node < 0 || other.node == main_node()) return false;
    way = other;
    return true;
}

/// The link of `way` can't be had. Finds another way: false when there is none, and the client has
/// been told.
bool client_session::give_way(route& way, const opening& outcome)
{
    if (is_over()) return false;
    const bool is_reader = way.node != main_node();
    const bool has_transaction = status() != 'I';
    const bool has_room = outcome.what != opening::outcome::no_room;
    if (has_room && (is_reader || !has_transaction)) avoid(way.node);
    if (is_reader) {
        way = resolve({routing::target::primary, routing::reason::no_standby});
        return true;
    }
    auto told = outcome.error;
    if (told.message.empty()) {
        told = {.sqlstate = "08006",
                .message = fmt::format("failed to create a backend {} connection", way.node)};
    }
    if (has_transaction || is_exclusive_) {
        // What the transaction had done went with its link.
        send_fatal(told);
        is_ending_ = true;
        return false;
    }
    if (outcome.what == opening::outcome::unreachable) {
        if (serve_unasked(way)) return true;
        way.node = -1;  // until the control plane has seen it too, and perhaps found another
        return true;
    }
    told.severity = "ERROR";
    send_error(told);
    return false;
}

/// Makes a link fit for the session's next unit: what is under way there ends, settings and
/// transaction are brought.
task<client_session::readiness_of_link> client_session::bring_state(server_link& link)
{
    work_->own_error.reset();
    // What is under way there is ours: the end of a transaction, a cancel request.
    const bool is_of_unit = is_in_unit_ && link.ledger.awaits_sync();
    const auto is_free = [&link, is_of_unit] {
        const bool has_answered = is_of_unit ? link.ledger.is_settled() : link.ledger.is_idle();
        return has_answered && link.cancels_under_way == 0;
    };
    while (!is_free()) {
        is_own_work_ = !is_of_unit;
        const bool goes_on = pump(link);
        is_own_work_ = false;
        if (!goes_on || is_over()) co_return readiness_of_link::lost;
        if (is_free()) break;
        note(co_await events_);
    }
    // In the middle of the unit it has all that it had when it began.
    if (is_of_unit) co_return readiness_of_link::ready;
    if (is_left_in_transaction(link)) {
        (void)co_await run_own(link, "ROLLBACK");
        if (link.is_spoiled || link.status != 'I') co_return readiness_of_link::lost;
    }
    if (!is_exclusive_ && link.settings_version != settings_record_.version() &&
        !co_await bring_settings(link)) {
        co_return readiness_of_link::lost;
    }
    // A failed transaction refuses both.
    if (status() != 'E' && uses_foreign_sequences(link)) {
        if (!co_await run_own(link, "DISCARD SEQUENCES")) co_return readiness_of_link::lost;
        link.sequences_of = id_;
    }
    if (status() != 'E' && work_->facts && shows_foreign_statements(link, *work_->facts)) {
        if (!co_await run_own(link, "DEALLOCATE ALL")) co_return readiness_of_link::lost;
        link.statements.clear();
    }
    if (link.node() == main_node()) {
        if (must_fix_transaction()) {
            transaction_is_fixed_ = co_await run_own(link, "SELECT 1");
            if (link.is_spoiled) co_return readiness_of_link::lost;
        }
        co_return readiness_of_link::ready;
    }
    const bool is_known = co_await learn_isolation(link);
    const bool is_sound = !link.is_spoiled && link.ledger.is_idle();
    if (!is_known || !is_sound)
        co_return is_sound ? readiness_of_link::not_shareable : readiness_of_link::lost;
    const bool may_join = link.isolation == link_isolation::read_committed;
    if (status() != 'I' && !link.in_shared_transaction && may_join)
        (void)co_await join_transaction(link);
    if (link.in_shared_transaction) co_await bring_transaction_settings(link);
    if (is_standby_ready(link)) co_return readiness_of_link::ready;
    co_return link.is_spoiled || !link.ledger.is_idle() ? readiness_of_link::lost
                                                        : readiness_of_link::not_shareable;
}

void client_session::tell_of_wait()
{
    told_of_wait_at_ = home_.loop.now();
    auto& pool = home_.services.pool;
    home_.replies.notice_response(
        {.severity = "NOTICE",
         .sqlstate = "53300",
         .message = "waiting for a server connection",
         .detail = fmt::format(
             "All {} server connections are in use, and {} clients are before this one.",
             pool.link_count_max(), pool.count_ahead_of(*waiting_)),
         .hint = "num_init_children * max_pool bounds the connections to a server."});
    send_replies();
}

/// A link of the session's pool is its own now, with the record of what it has.
void client_session::note_taken_over(server_link& link)
{
    link.note_leased(home_.loop.now());
    if (link.last_holder != std::pair{home_.loop.index(), id_}) link.sequences_of = 0;
    // Most often it is as the session wants it, and nothing has to be brought.
    if (link.settings_version != server_link::unknown_version || !settings_record_.is_certain())
        return;
    if (session_settings::are_equal(link.settings, settings_record_.link_settings()))
        link.settings_version = settings_record_.version();
}

/// Links that another session of this worker and pool has left, still under watch.
void client_session::take_over(link_list&& links)
{
    if (links_.empty()) {
        links_ = std::move(links);
    } else {
        std::ranges::move(links, std::back_inserter(links_));
    }
    for (const auto& link : links_) {
        link->transport.watch_for(events_, event_link_in, event_link_out);
        note_taken_over(*link);
    }
}

bool client_session::take_idle_lease()
{
    auto links = home_.idle.take(*pool_, settings_record_.link_settings());
    if (links.empty()) return false;
    has_turn_ = true;
    take_over(std::move(links));
    return true;
}

/// A turn, if there is one without waiting.
bool client_session::take_turn_now()
{
    if (shares_links() && take_idle_lease()) return true;
    auto& pool = home_.services.pool;
    // Behind others it stands in the queue, and no worker keeps idle ones then.
    if (pool.has_waiters()) return false;
    // Idle ones of this worker, of whatever pool, make room.
    do {
        has_turn_ = pool.take_turn(pool_);
    } while (!has_turn_ && home_.idle.release_oldest());
    return has_turn_;
}

void client_session::return_turn()
{
    if (std::exchange(has_turn_, false))
        home_.services.pool.return_turn(*pool_, home_.loop.index());
}

/// Stands in the queue no more. A turn that has been granted meanwhile is kept, for the next
/// statement or until the session has nothing to do.
void client_session::leave_queue()
{
    if (!waiting_) return;
    if (!home_.services.pool.leave_queue(*waiting_)) {
        has_turn_ = true;
        take_over(std::move(waiting_->links));
    }
    waiting_.reset();
}

/// Waits first-in-first-out for the right to hold links.
task<client_session::turn_outcome> client_session::take_turn(bool may_tell)
{
    if (has_turn_ || take_turn_now()) co_return turn_outcome::taken;
    auto& pool = home_.services.pool;
    waiting_ = std::make_unique<waiting_session>();
    waiting_->of = pool_;
    waiting_->worker = home_.loop.index();
    waiting_->since = home_.loop.now();
    // It captures no more than a std::function holds without an allocation. The session is there:
    // it can't end without leaving the queue.
    waiting_->granted = [this](bool is_here) {
        if (is_here) return on_turn_granted();
        home_.loop.post([&owner = home_, session = id_] {
            if (auto* const found = owner.find(session)) found->on_turn_granted();
        });
    };
    const auto outcome = pool.take_turn_or_queue(*waiting_);
    if (outcome != link_pool::turn::queued) {
        waiting_.reset();
        has_turn_ = outcome == link_pool::turn::taken;
        co_return has_turn_ ? turn_outcome::taken : turn_outcome::refused;
    }
    home_.services.recall_idle();
    runtime::deadline pause{events_, event_pause};  // deadline_ bounds the whole
    if (may_tell) {
        // Where links are shared, a short wait is nothing to speak of.
        if (!shares_links()) {
            tell_of_wait();
        } else if (told_of_wait_at_ == clock::time_point{} ||
                   home_.loop.now() - told_of_wait_at_ >= long_wait_reminder) {
            home_.loop.arm(pause, long_wait);
        }
        if (settings_->query_wait_timeout.count() > 0) {
            home_.loop.arm(deadline_, settings_->query_wait_timeout);
        }
    }
    bool is_granted = false;
    while (!is_granted && !is_over() && !cancel_is_requested_ && !deadline_has_passed_) {
        const auto events = co_await events_;
        // What is told may be an earlier wait's, which has not been waited for to its end.
        if (events & event_turn) is_granted = !pool.is_queued(*waiting_);
        note(events);
        if (std::exchange(pause_has_passed_, false) && !is_granted) tell_of_wait();
        flush_client();
    }
    leave_queue();
    if (may_tell) {
        deadline_.disarm();
        pause.disarm();
        pause_has_passed_ = false;
        deadline_has_passed_ = false;
    }
    // A client that left in the same moment: the session ends, and the turn goes on to the next.
    co_return is_granted && !is_over() ? turn_outcome::taken : turn_outcome::missed;
}

/// Waits until the view has a primary that this session has not just found unreachable, or (since
/// one refused connect is no verdict) a second has passed since. False: not by `until`.
task<bool> client_session::wait_for_primary(clock::time_point until)
{
    bool is_found = false;
    runtime::deadline pause{events_, event_pause};
    waits_for_view_ = true;
    while (!is_over() && !cancel_is_requested_ && !deadline_has_passed_) {
        const auto node = home_.view->primary;
        const bool is_avoided = avoided_epoch_ == home_.view->epoch &&
                                std::ranges::find(avoided_nodes_, node) != avoided_nodes_.end();
        is_found = node >= 0 && !is_avoided;
        if (is_found || home_.loop.now() >= until) break;
        if (!pause.is_armed()) home_.loop.arm(pause, primary_retry_pause);
        note(co_await events_);
        flush_client();
        if (std::exchange(pause_has_passed_, false)) avoided_nodes_.clear();
    }
    waits_for_view_ = false;
    pause.disarm();
    pause_has_passed_ = false;
    co_return is_found;
}

/// A query of ours, whose answer is swallowed. It ends the unnamed statement there, as any Query
/// does; the session may still mean its own.
void client_session::send_own_query(server_link& link, std::string_view sql)
{
    home_.replies.query(sql);
    write_link(link, home_.replies.bytes());
    home_.replies.clear();
    link.statements.erase(std::string{});
    link.ledger.expect(protocol::expected_kind::query, own_tag, true);
}

/// Runs a query of ours on an idle link and waits for its end. False: it failed, or the link is
/// lost.
task<bool> client_session::run_own(server_link& link, std::string_view sql)
{
    send_own_query(link, sql);
    co_return co_await finish_own(link);
}

/// Waits until what was sent for ourselves on an idle link has been answered. False: it failed, or
/// the link is lost.
task<bool> client_session::finish_own(server_link& link)
{
    own_work_failed_ = false;
    work_->own_value.clear();
    work_->own_error.reset();
    is_own_work_ = true;
    bool goes_on = true;
    while (goes_on) {
        goes_on = pump(link);
        if (!goes_on || link.ledger.is_idle()) break;
        is_own_work_ = false;
        note(co_await events_);
        is_own_work_ = true;
        const bool is_late = is_giving_back_ ? deadline_has_passed_ : client_is_gone_;
        if (is_ending_ || is_late) goes_on = false;
    }
    is_own_work_ = false;
    if (!goes_on) link.is_spoiled = true;
    co_return goes_on && !own_work_failed_;
}

/// Brings the session's settings to a link, awaited to the end before anything of the client may
/// follow.
task<bool> client_session::bring_settings(server_link& link)
{
    const auto wanted = settings_record_.version();
    const auto settings = settings_record_.link_settings();
    const bool is_others = link.settings_version == server_link::unknown_version;
    const auto statements = is_others
                                ? session_settings::statements_between(link.settings, settings)
                                : settings_record_.statements_after(link.settings_version);
    if (statements.empty()) {
        link.settings_version = wanted;
        co_return true;
    }
    for (const auto& statement : statements) {
        if (!co_await run_own(link, statement)) co_return false;
        if (statement == "DISCARD ALL") link.statements.clear();
    }
    link.settings_version = wanted;
    link.settings = settings;
    link.isolation = link_isolation::unknown;
    co_return true;
}

/// A reader has run queries of this transaction, and the primary none: it would still let its
/// characteristics be changed, which PostgreSQL refuses after the first query (25001).
bool client_session::must_fix_transaction() const
{
    if (status() != 'T' || transaction_is_fixed_ || !work_->facts) return false;
    const auto& first = work_->facts->first();
    const bool changes_it =
        first.kind == routing::statement_kind::set_transaction ||
        first.kind == routing::statement_kind::begin ||
        (first.kind == routing::statement_kind::set && first.name.starts_with("transaction_"));
    return changes_it && reader_has_queried_;
}

/// Brings a reader the SETs of the transaction that it has joined. One that fails there keeps the
/// rest of the transaction on the primary.
task<> client_session::bring_transaction_settings(server_link& link)
{
    const auto wanted = settings_record_.transaction_change_count();
    for (const auto& each : settings_record_.transaction_statements(link.transaction_settings)) {
        if (!co_await run_own(link, each)) co_return;
    }
    link.transaction_settings = wanted;
}

/// The isolation of transactions on a standby, asked once for each link and set of settings. False:
/// it couldn't be asked.
task<bool> client_session::learn_isolation(server_link& link)
{
    if (link.isolation != link_isolation::unknown) co_return true;
    if (link.in_shared_transaction) co_return true;
    if (!co_await run_own(link, "SHOW default_transaction_isolation")) co_return false;
    link.isolation = work_->own_value == "serializable"      ? link_isolation::serializable
                     : work_->own_value == "repeatable read" ? link_isolation::repeatable_read
                                                             : link_isolation::read_committed;
    co_return true;
}

/// Whether a standby's link can serve the unit at hand as it is. A standby refuses serializable;
/// with repeatable read a transaction, or a unit that may go on elsewhere, would see two snapshots.
bool client_session::is_standby_ready(const server_link& link) const
{
    if (status() != 'I') {
        return link.in_shared_transaction &&
               link.transaction_settings == settings_record_.transaction_change_count();
    }
    if (link.isolation == link_isolation::repeatable_read) return unit_has_end_;
    return link.isolation == link_isolation::read_committed;
}

/// A reader joins the session's transaction: BEGIN there. Its isolation is the one under which two
/// servers may share a transaction.
task<bool> client_session::join_transaction(server_link& link)
{
    link.transaction_settings = 0;
    if (!co_await run_own(link, "BEGIN")) co_return false;
    link.in_shared_transaction = link.status == 'T';
    co_return link.in_shared_transaction;
}

/// Fails the primary's part of the transaction, after a reader's part has failed: then the primary
/// itself refuses what follows and answers COMMIT with ROLLBACK, and nothing is committed that the
/// client was told has failed.
task<bool> client_session::fail_transaction()
{
    auto* const primary = primary_link();
    if (!primary) co_return true;
    if (std::exchange(main_part_is_failed_, false) && status() == 'I') {
        // The error was sent before its Sync; whether a BEGIN was in the unit the server tells.
        (void)co_await finish_own(*primary);
        co_return !primary->is_spoiled;
    }
    // An ordinary mistake with an ordinary error: no side effect, and it tells the reader of the
    // server's log why.
    co_await run_own(*primary, "ROLLBACK TO SAVEPOINT \"pgtorii: a read on a standby has failed\"");
    co_return primary->transport.is_open() && !primary->is_spoiled && primary->status == 'E';
}

/// The transaction has ended on the primary; a reader's part ends without anybody waiting for it.
/// It is rolled back in any case: what was set in it and has been committed is brought there again.
void client_session::leave_shared_transaction(server_link& link)
{
    link.in_shared_transaction = false;
    link.transaction_settings = 0;
    send_own_query(link, "ROLLBACK");
}

}  // namespace pgtorii::core
