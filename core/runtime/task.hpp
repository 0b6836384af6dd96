#pragma once

#include "core/base/always_assert.hpp"

#include <coroutine>
#include <exception>
#include <optional>
#include <utility>

namespace pgtorii::runtime {

template <class Value>
class task;

namespace task_parts {

struct final_awaiter {
    bool await_ready() const noexcept { return false; }
    template <class Promise>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> ended) const noexcept
    {
        auto& promise = ended.promise();
        return promise.continuation ? promise.continuation : std::noop_coroutine();
    }
    void await_resume() const noexcept {}
};

struct promise_base {
    std::coroutine_handle<> continuation{};
    std::exception_ptr failure{};

    std::suspend_always initial_suspend() const noexcept { return {}; }
    final_awaiter final_suspend() const noexcept { return {}; }
    void unhandled_exception() noexcept { failure = std::current_exception(); }
};

template <class Value>
struct promise : promise_base {
    std::optional<Value> value;
    task<Value> get_return_object() noexcept;
    template <class Given>
    void return_value(Given&& given)
    {
        value.emplace(std::forward<Given>(given));
    }
    Value take()
    {
        if (failure) std::rethrow_exception(failure);
        return std::move(*value);
    }
};

template <>
struct promise<void> : promise_base {
    task<void> get_return_object() noexcept;
    void return_void() const noexcept {}
    void take() const
    {
        if (failure) std::rethrow_exception(failure);
    }
};

}  // namespace task_parts

/// A coroutine of a worker: starts when it is awaited (or `start`ed by its owner), ends before its
/// owner lets go of it. Leaner than asio::awaitable, which costs an idle session several frames:
/// sessions wait for readiness bits only (event_set), never for Asio operations. Destroying a
/// suspended task destroys its frame and what it holds.
template <class Value = void>
class [[nodiscard]] task {
public:
    using promise_type = task_parts::promise<Value>;

    explicit task(std::coroutine_handle<promise_type> frame) : frame_(frame) {}
    task() = default;
    task(task&& other) noexcept : frame_(std::exchange(other.frame_, {})) {}
    task& operator=(task&& other) noexcept
    {
        if (this != &other) {
            destroy();
            frame_ = std::exchange(other.frame_, {});
        }
        return *this;
    }
    ~task() { destroy(); }

    /// For the owner of a root task: runs it to its first wait.
    void start() { frame_.resume(); }
    bool is_done() const { return frame_ && frame_.done(); }
    /// The result of a root task that is done; rethrows what left it.
    Value take() { return frame_.promise().take(); }

    bool await_ready() const noexcept { return false; }
    std::coroutine_handle<> await_suspend(std::coroutine_handle<> caller) noexcept
    {
        frame_.promise().continuation = caller;
        return frame_;
    }
    Value await_resume() { return frame_.promise().take(); }

private:
    void destroy()
    {
        if (frame_) std::exchange(frame_, {}).destroy();
    }

    std::coroutine_handle<promise_type> frame_{};
};

namespace task_parts {

template <class Value>
task<Value> promise<Value>::get_return_object() noexcept
{
    return task<Value>{std::coroutine_handle<promise<Value>>::from_promise(*this)};
}
inline task<void> promise<void>::get_return_object() noexcept
{
    return task<void>{std::coroutine_handle<promise<void>>::from_promise(*this)};
}

}  // namespace task_parts
}  // namespace pgtorii::runtime
