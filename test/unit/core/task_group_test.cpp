#include "core/runtime/task_group.hpp"

#include <catch2/catch.hpp>

#include <memory>
#include <stdexcept>
#include <string>

using namespace pgtorii;
using namespace pgtorii::runtime;
using namespace std::chrono_literals;

namespace {

/// Says when it is destroyed.
struct witness {
    explicit witness(int& count) : count_(&count) {}
    witness(const witness&) = delete;
    witness& operator=(const witness&) = delete;
    ~witness() { ++*count_; }
    int* count_;
};

awaitable<void> wait_for_ever(executor home, int& end_count)
{
    const witness last(end_count);
    timer never(home);
    for (;;) {
        never.expires_at(clock::time_point::max());
        const auto outcome = co_await never.async_wait(tuple_token);
        static_cast<void>(outcome);
    }
}

}  // namespace

TEST_CASE("A task group runs tasks to their end and keeps their functions that long")
{
    boost::asio::io_context context{1};
    task_group tasks(context.get_executor());
    std::string seen;
    {
        const auto text = std::make_shared<std::string>("kept");
        tasks.spawn([text, &seen, home = context.get_executor()]() -> awaitable<void> {
            timer pause(home);
            pause.expires_after(0s);
            const auto outcome = co_await pause.async_wait(tuple_token);
            static_cast<void>(outcome);
            seen = *text;
        });
        CHECK(text.use_count() == 2);
    }
    CHECK(tasks.task_count() == 1);
    context.run();
    CHECK(seen == "kept");
    CHECK(tasks.task_count() == 0);
    CHECK(tasks.failure_count() == 0);
}

TEST_CASE("stop ends all tasks at their waits, and join waits for the last end")
{
    boost::asio::io_context context{1};
    const auto home = context.get_executor();
    task_group tasks(home);
    task_group others(home);
    int end_count = 0;
    bool is_joined = false;
    for (int i = 0; i < 100; ++i) {
        tasks.spawn([home, &end_count] { return wait_for_ever(home, end_count); });
    }
    others.spawn([&]() -> awaitable<void> {
        CHECK(tasks.task_count() == 100);
        tasks.stop();
        CHECK(end_count < 100);
        co_await tasks.join();
        CHECK(end_count == 100);
        is_joined = true;
    });
    context.run();
    CHECK(is_joined);
    CHECK(tasks.failure_count() == 0);
    CHECK(others.failure_count() == 0);
}

TEST_CASE("join of a group without tasks does not wait")
{
    boost::asio::io_context context{1};
    task_group tasks(context.get_executor());
    task_group others(context.get_executor());
    bool is_joined = false;
    others.spawn([&]() -> awaitable<void> {
        co_await tasks.join();
        is_joined = true;
    });
    context.run();
    CHECK(is_joined);
}

TEST_CASE("A task that is stopped before it ran gets no further than its first wait, and frees "
          "what it held")
{
    boost::asio::io_context context{1};
    const auto home = context.get_executor();
    task_group tasks(home);
    int freed_count = 0;
    bool has_waited = false;
    const auto spawn = [&] {
        tasks.spawn([held = std::make_shared<witness>(freed_count), home,
                     &has_waited]() -> awaitable<void> {
            timer pause(home);
            pause.expires_after(0s);
            const auto outcome = co_await pause.async_wait(tuple_token);
            has_waited = !std::get<0>(outcome);
        });
    };
    SECTION("stopped after it was spawned")
    {
        spawn();
        tasks.stop();
    }
    SECTION("spawned after the stop")
    {
        tasks.stop();
        spawn();
        CHECK(freed_count == 1);
    }
    context.run();
    CHECK_FALSE(has_waited);
    CHECK(freed_count == 1);
    CHECK(tasks.failure_count() == 0);
}

TEST_CASE("An exception ends its task only, and is counted")
{
    boost::asio::io_context context{1};
    const auto home = context.get_executor();
    task_group tasks(home);
    int end_count = 0;
    tasks.spawn([home, &end_count] { return wait_for_ever(home, end_count); });
    tasks.spawn([]() -> awaitable<void> {
        throw std::runtime_error("thrown by a test");
        co_return;
    });
    context.poll();
    CHECK(tasks.failure_count() == 1);
    CHECK(tasks.task_count() == 1);
    CHECK(end_count == 0);
    tasks.stop();
    context.run();
    CHECK(end_count == 1);
    CHECK(tasks.failure_count() == 1);
}
