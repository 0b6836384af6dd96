// Waiting for what a decision depends on: the catalog's answer, and standbys that have replayed
// what a causal read must see (the head of ha/causal_board.hpp says how that is told).

#include "core/client_session.hpp"

#include <algorithm>

namespace pgtorii::core {

using config::causality;
using routing::reason;
using runtime::task;

bool client_session::is_causal() const
{
    return settings_->causal_reads != causality::off && !is_exclusive_;
}

/// Something that may have written has ended on the primary.
void client_session::note_touched()
{
    if (settings_->causal_reads == causality::off) return;
    causal_ticket_ = home_.services.causal.request();
    causal_floor_.reset();
}

/// In `global` mode a read must see what anybody has written before it began: asked once for each
/// unit, so that others' later writes can't hold it up.
void client_session::take_causal_ticket()
{
    if (settings_->causal_reads != causality::global) return;
    const auto newest = home_.services.causal.last_ticket();
    if (newest == causal_ticket_) return;
    causal_ticket_ = newest;
    causal_floor_.reset();
}

/// Whether a standby shows all that this session's reads must see.
bool client_session::has_replayed(int node)
{
    auto& board = home_.services.causal;
    if (causal_ticket_ == 0) return true;
    if (!causal_floor_ || !board.is_current(*causal_floor_)) {
        causal_floor_ = board.floor_for(causal_ticket_);
        if (!causal_floor_) return false;
    }
    // While a connection lives its server has not crashed, and replay does not go back: what was
    // there once needs no newer position.
    auto* const link = link_to(node);
    const bool is_known = link && link->replayed_ticket >= causal_ticket_ &&
                          link->replayed_timeline == causal_floor_->timeline;
    if (is_known) return true;
    if (!board.has_replayed(node, *causal_floor_)) return false;
    if (link) {
        link->replayed_ticket = causal_ticket_;
        link->replayed_timeline = causal_floor_->timeline;
    }
    return true;
}

/// A decision for the primary that may become another one when something else is known.
bool client_session::must_wait(const route& way) const
{
    return !has_waited_ &&
           (way.why.reason == reason::catalog_unknown || way.why.reason == reason::not_replayed);
}

/// Waits, bounded, for what the unit's way depends on, and routes it again. After that it takes
/// what there is.
task<client_session::route> client_session::wait_to_route(unit& what)
{
    auto way = route_unit(what);
    const auto start = home_.loop.now();
    const auto catalog_until = start + settings_->catalog_wait_timeout;
    const auto replay_until = start + settings_->causal_reads_timeout;
    while (!is_over() && !cancel_is_requested_ && must_wait(way)) {
        if (way.why.reason == reason::catalog_unknown) {
            bool is_answered = false;
            co_await wait_for_catalog(catalog_until, is_answered);
            has_waited_ = !is_answered;
        } else {
            co_await wait_for_sample(replay_until);
            has_waited_ = home_.loop.now() >= replay_until;
        }
        way = route_unit(what);
    }
    has_waited_ = true;
    if (must_answer_locally(way)) way = route_unit(what);
    co_return way;
}

/// An EXPLAIN (ROUTE) whose statement can't be told more about is still ours to answer.
bool client_session::must_answer_locally(const route& way) const
{
    return work_->facts && work_->facts->first().kind == routing::statement_kind::explain_route &&
           way.why.target != routing::target::local;
}

/// Until the catalog has answered work_->question, or will not.
task<> client_session::wait_for_catalog(clock::time_point until, bool& is_answered)
{
    is_answered = false;
    const auto left = until - home_.loop.now();
    if (left <= clock::duration::zero() || !work_->question ||
        !home_.ask_catalog(pool_, settings_record_, work_->question, id_)) {
        co_return;
    }
    home_.loop.arm(deadline_, std::chrono::ceil<std::chrono::milliseconds>(left));
    while (!is_answered && !is_over() && !cancel_is_requested_ && !deadline_has_passed_) {
        const auto events = co_await events_;
        note(events);
        flush_client();
        is_answered = (events & event_catalog) != 0;
    }
    deadline_.disarm();
    deadline_has_passed_ = false;
}

/// Until the sampler has news, or `until`.
task<> client_session::wait_for_sample(clock::time_point until)
{
    auto& board = home_.services.causal;
    const auto left = until - home_.loop.now();
    if (left <= clock::duration::zero()) {
        board.want();
        co_return;
    }
    home_.causal_waiters.push_back(id_);
    board.want();
    // A sample may have come just before this session was listed.
    if (has_replayed(reader_node_)) co_return;
    home_.loop.arm(deadline_, std::chrono::ceil<std::chrono::milliseconds>(left));
    bool has_news = false;
    while (!has_news && !is_over() && !cancel_is_requested_ && !deadline_has_passed_) {
        const auto events = co_await events_;
        note(events);
        flush_client();
        has_news = (events & event_causal) != 0;
    }
    deadline_.disarm();
    deadline_has_passed_ = false;
}

}  // namespace pgtorii::core
