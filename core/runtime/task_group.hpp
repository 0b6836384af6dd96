#pragma once

#include "core/runtime/executor.hpp"

#include <boost/asio/cancellation_signal.hpp>

#include <cstddef>
#include <exception>
#include <list>
#include <utility>

namespace pgtorii::runtime {

/// The owner of coroutines: keeps them, cancels them, and waits for their end. Nothing else calls
/// co_spawn. Belongs to the thread that runs `home`.
///
/// An exception that leaves a task is a bug of ours: it is logged and counted, and the other tasks
/// go on. The one that a cancelled wait throws is the way a stopped task ends.
class task_group {
public:
    explicit task_group(executor home) : home_(home), ended_(home) {}
    task_group(const task_group&) = delete;
    task_group& operator=(const task_group&) = delete;
    /// Asserts that no task is left: stop() and join() come first.
    ~task_group();

    /// Starts `function()`, which gives awaitable<void>. The function object, and so what a lambda
    /// captured, lives until its coroutine has ended. After stop() it is dropped without having
    /// run.
    template <class Function>
    void spawn(Function function)
    {
        if (!is_stopped_) adopt(hold(std::move(function)));
    }

    /// Cancels all tasks, now and for good. Home worker only.
    void stop();

    /// Resumes when no task is left; may be awaited by several, but by no task of this group.
    awaitable<void> join();

    std::size_t task_count() const { return tasks_.size(); }
    bool is_stopped() const { return is_stopped_; }
    /// How many tasks an exception has ended.
    std::size_t failure_count() const { return failure_count_; }

private:
    using task_list = std::list<boost::asio::cancellation_signal>;

    template <class Function>
    static awaitable<void> hold(Function function)
    {
        co_await function();
    }

    void adopt(awaitable<void> body);
    void on_end(task_list::iterator task, const std::exception_ptr& failure);

    executor home_;
    timer ended_;  // never expires: cancelled when the last task has ended
    task_list tasks_;
    bool is_stopped_ = false;
    std::size_t failure_count_ = 0;
};

}  // namespace pgtorii::runtime
