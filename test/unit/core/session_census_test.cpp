#include "core/session_census.hpp"

#include <catch2/catch.hpp>

#include <atomic>
#include <thread>

using namespace pgtorii;
using namespace pgtorii::core;

namespace {

session_facts session_with(std::uint32_t pid, int began)
{
    session_facts made;
    made.pid = pid;
    made.began_at = wall_time{std::chrono::seconds{began}};
    return made;
}

}  // namespace

TEST_CASE("A census is complete when the last worker has handed in, in whatever order")
{
    census_taking taking{3};
    CHECK_FALSE(taking.is_complete());
    CHECK_FALSE(taking.hand_in(2, {session_with(1, 30), session_with(2, 10)}));
    CHECK_FALSE(taking.hand_in(0, {}));
    CHECK_FALSE(taking.is_complete());
    CHECK(taking.hand_in(1, {session_with(3, 20)}));
    CHECK(taking.is_complete());
    const auto all = taking.collect();
    REQUIRE(all.size() == 3);
    CHECK(all[0].pid == 2);
    CHECK(all[1].pid == 3);
    CHECK(all[2].pid == 1);
}

TEST_CASE("Of many threads exactly one hands in last, and sees what all have handed in")
{
    for (int round = 0; round < 200; ++round) {
        constexpr int worker_count = 4;
        census_taking taking{worker_count};
        std::atomic<int> last_count{0};
        std::size_t seen = 0;
        std::vector<std::thread> workers;
        for (int worker = 0; worker < worker_count; ++worker) {
            workers.emplace_back([&, worker] {
                if (!taking.hand_in(worker, {session_with(1, worker), session_with(2, worker)})) {
                    return;
                }
                ++last_count;
                seen = taking.collect().size();
            });
        }
        for (auto& each : workers) each.join();
        REQUIRE(last_count == 1);
        REQUIRE(seen == 2 * worker_count);
    }
}

TEST_CASE("The same moment is told as the same second, and never is never")
{
    CHECK(wall_time_of(clock::time_point{}) == wall_time{});
    const auto moment = clock::now();
    const auto told = wall_time_of(moment);
    for (int i = 0; i < 1000; ++i) {
        const auto difference = wall_time_of(moment) - told;
        REQUIRE(std::chrono::abs(difference) <= std::chrono::milliseconds{100});
    }
    CHECK(wall_time_of(moment + std::chrono::seconds{5}) - told >= std::chrono::milliseconds{4900});
}
