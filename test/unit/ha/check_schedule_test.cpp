#include "ha/check_schedule.hpp"

#include <catch2/catch.hpp>

using namespace pgtorii;
using namespace pgtorii::ha;
using namespace std::chrono_literals;

namespace {

constexpr clock::time_point start{1h};
constexpr auto never = clock::time_point::max();

check_schedule looked_at_for(clock::duration length)
{
    check_schedule schedule;
    schedule.begin(start);
    schedule.end(start + length);
    return schedule;
}

}  // namespace

TEST_CASE("The first look is due at once, whatever the pause")
{
    const check_schedule schedule;
    CHECK(schedule.due(std::nullopt) <= start);
    CHECK(schedule.due(10s) <= start);
}

TEST_CASE("The pause counts from the end of a look, and may change meanwhile")
{
    const auto schedule = looked_at_for(2s);
    CHECK(schedule.due(10s) == start + 12s);
    CHECK(schedule.due(1s) == start + 3s);
    CHECK(schedule.due(std::nullopt) == never);
}

TEST_CASE("Reports make a look due, at most ten a second")
{
    auto schedule = looked_at_for(1ms);
    schedule.on_report();
    schedule.on_report();
    CHECK(schedule.due(10s) == start + 100ms);
    CHECK(schedule.due(std::nullopt) == start + 100ms);
    CHECK(schedule.due(0s) == start + 1ms);

    CHECK(schedule.begin(start + 100ms));
    schedule.end(start + 101ms);
    CHECK(schedule.due(10s) == start + 101ms + 10s);
}

TEST_CASE("A report during a look asks for another one")
{
    check_schedule schedule;
    CHECK_FALSE(schedule.begin(start));
    schedule.on_report();
    schedule.end(start + 5s);
    CHECK(schedule.due(10s) == start + 100ms);  // due already
    CHECK(schedule.begin(start + 5s));
}
