#pragma once

#include "core/base/always_assert.hpp"

#include <boost/intrusive/list.hpp>

#include <coroutine>
#include <cstdint>
#include <utility>

namespace pgtorii::runtime {

class event_set;

using event_hook =
    boost::intrusive::list_base_hook<boost::intrusive::link_mode<boost::intrusive::auto_unlink>>;

/// The event sets that have something to tell: drained by the worker after each batch of readiness
/// events, so that a coroutine is never resumed from inside another one's call, and several events
/// of one session cost one resumption.
using ready_list = boost::intrusive::list<event_set, boost::intrusive::constant_time_size<false>>;

/// What a coroutine on a worker waits for: a set of bits that anything on the same worker may
/// raise. One waiter at most. `co_await events` gives the bits raised since the last time and
/// clears them; raised bits are never lost, whether somebody waits or not. Allocates nothing. Home
/// worker only.
class event_set : public event_hook {
public:
    explicit event_set(ready_list& ready) : ready_(ready) {}
    event_set(const event_set&) = delete;
    event_set& operator=(const event_set&) = delete;

    /// Raises bits. The waiter runs when the worker drains its ready list.
    void raise(std::uint32_t bits)
    {
        pending_ |= bits;
        if (waiter_ && !is_linked()) ready_.push_back(*this);
    }

    std::uint32_t pending() const { return pending_; }

    /// Makes the next wait end in the worker's next turn, after others have had theirs: for work
    /// that has no end of its own.
    void yield(std::uint32_t bits)
    {
        pending_ |= bits;
        is_yielding_ = true;
    }

    /// For the worker: resumes the waiter, if there is one.
    void resume()
    {
        if (waiter_) std::exchange(waiter_, {}).resume();
    }

    bool await_ready() const noexcept { return pending_ != 0 && !is_yielding_; }
    void await_suspend(std::coroutine_handle<> waiter) noexcept
    {
        always_assert(!waiter_);
        waiter_ = waiter;
        if (std::exchange(is_yielding_, false) && !is_linked()) ready_.push_back(*this);
    }
    std::uint32_t await_resume() noexcept { return std::exchange(pending_, 0U); }

private:
    ready_list& ready_;
    std::coroutine_handle<> waiter_{};
    std::uint32_t pending_ = 0;
    bool is_yielding_ = false;
};

}  // namespace pgtorii::runtime
