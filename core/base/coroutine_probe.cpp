// Run by CMake's configure step (coroutine_probe.cmake), not a part of the program: exit status 1
// when the compiler destroys a temporary of a co_await expression twice.

#include <coroutine>
#include <cstdio>
#include <cstdlib>

// Counts destructions of what is already destroyed.
int destroyed_twice = 0;
int alive_count = 0;
struct counted {
    volatile int state = 1;
    counted() { ++alive_count; }
    counted(const counted&) { ++alive_count; }
    counted(counted&&) noexcept { ++alive_count; }
    ~counted()
    {
        if (state != 1) ++destroyed_twice;
        state = 2;
        --alive_count;
    }
};
struct request {
    counted name;
    int number = 0;
};
struct task {
    struct promise_type {
        std::coroutine_handle<> caller;
        task get_return_object()
        {
            return task{std::coroutine_handle<promise_type>::from_promise(*this)};
        }
        std::suspend_always initial_suspend() noexcept { return {}; }
        struct final_awaiter {
            bool await_ready() const noexcept { return false; }
            std::coroutine_handle<>
            await_suspend(std::coroutine_handle<promise_type> ended) const noexcept
            {
                return ended.promise().caller ? ended.promise().caller : std::noop_coroutine();
            }
            void await_resume() const noexcept {}
        };
        final_awaiter final_suspend() noexcept { return {}; }
        void return_void() {}
        void unhandled_exception() { std::abort(); }
    };
    explicit task(std::coroutine_handle<promise_type> made) : frame(made) {}
    task(task&& other) noexcept : frame(other.frame) { other.frame = {}; }
    ~task()
    {
        if (frame) frame.destroy();
    }
    bool await_ready() const noexcept { return false; }
    std::coroutine_handle<> await_suspend(std::coroutine_handle<> caller) noexcept
    {
        frame.promise().caller = caller;
        return frame;
    }
    void await_resume() const noexcept {}
    std::coroutine_handle<promise_type> frame;
};
task callee(request taken)
{
    (void)taken.number;
    co_return;
}
task caller()
{
    co_await callee({.name = counted{}, .number = 1});
}
int main()
{
    {
        task outer = caller();
        outer.frame.resume();
    }
    return destroyed_twice != 0 || alive_count != 0 ? 1 : 0;
}
