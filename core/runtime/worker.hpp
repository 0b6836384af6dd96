#pragma once

#include "core/runtime/deadlines.hpp"
#include "core/runtime/event_set.hpp"
#include "core/runtime/readiness.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

#include <array>
#include <atomic>
#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <utility>
#include <vector>

namespace pgtorii::runtime {

/// One thread of the pool: an io_context (hint 1) for what other threads post, its readiness
/// source, its deadlines, and the buffers that sessions at work borrow. Everything but `post` is
/// for the thread that runs it.
class worker {
public:
    explicit worker(int index);

    int index() const { return index_; }
    boost::asio::io_context& context() { return context_; }
    readiness& source() { return readiness_; }
    ready_list& ready() { return ready_; }
    runtime::deadlines& deadlines() { return deadlines_; }

    /// The time of the present turn of the loop: read once a turn, not once a deadline.
    clock::time_point now() const { return now_; }
    void arm(deadline& which, clock::duration length) { deadlines_.arm(which, length, now_); }

    /// Runs `function` on this worker. From any thread; also before run() and after it, when it is
    /// dropped unrun.
    template <class Function>
    void post(Function function)
    {
        boost::asio::post(context_, std::move(function));
        wake();
    }

    /// Runs `function` at the end of this turn of the loop: for what must outlive the coroutine
    /// that asks for it.
    template <class Function>
    void defer(Function function)
    {
        deferred_.emplace_back(std::move(function));
    }

    /// The loop. Ends after stop().
    void run();
    /// From any thread.
    void stop();

    /// Scratch memory for one call (read, scan, forward): never kept across a wait.
    std::span<std::byte> scratch() { return scratch_; }
    static constexpr std::size_t scratch_bytes = 64 * 1024;

    /// A buffer that a session keeps while it has bytes of an unfinished message, and gives back
    /// when idle.
    static constexpr std::size_t buffer_bytes = 16 * 1024;
    std::unique_ptr<std::byte[]> borrow_buffer();
    void return_buffer(std::unique_ptr<std::byte[]> buffer);

private:
    static constexpr std::size_t spare_buffer_count_max = 64;

    void wake();
    int timeout_of_next_wait() const;
    void drain_ready();

    int index_;
    boost::asio::io_context context_{1};
    readiness readiness_;
    ready_list ready_;
    event_set wake_events_;
    watched_descriptor wake_watch_;
    int wake_fd_ = -1;
    std::atomic<bool> is_stopping_{false};
    std::atomic<bool> has_posts_{false};
    runtime::deadlines deadlines_;
    clock::time_point now_ = clock::now();
    std::vector<std::function<void()>> deferred_;
    std::vector<std::byte> scratch_;
    std::vector<std::unique_ptr<std::byte[]>> spare_buffers_;
};

}  // namespace pgtorii::runtime
