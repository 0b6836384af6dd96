#include "routing/written_table_clock.hpp"
#include "routing/written_tables.hpp"

#include <catch2/catch.hpp>

#include <string>
#include <thread>
#include <vector>

using namespace pgtorii;
using namespace pgtorii::routing;
using std::chrono::milliseconds;

namespace {

written_tables tables_of(const std::vector<std::string>& names)
{
    written_tables made;
    for (const auto& name : names) made.add(name);
    return made;
}

}  // namespace

TEST_CASE("Tables are known by the last part of their name, whatever the case")
{
    const auto tables = tables_of({"b.Orders", "orders", "a", "A", "x.y.z"});
    CHECK(tables.names() == std::vector<std::string>{"a", "orders", "z"});
    CHECK(tables.contains("ORDERS"));
    CHECK(tables.contains("app.orders"));
    CHECK_FALSE(tables.contains("order"));
    CHECK_FALSE(tables.contains("orderss"));
    CHECK_FALSE(tables.contains(""));
    CHECK_FALSE(tables.is_everything());
}

TEST_CASE("More tables than are kept are everything")
{
    written_tables tables;
    for (std::size_t i = 0; i < written_tables::count_max; ++i) tables.add("t" + std::to_string(i));
    CHECK_FALSE(tables.is_everything());
    CHECK(tables.contains("t7"));
    CHECK_FALSE(tables.contains("x"));
    tables.add("t7");
    CHECK_FALSE(tables.is_everything());
    tables.add("x");
    CHECK(tables.is_everything());
    CHECK(tables.contains("whatever"));
    written_tables other;
    other.add(tables);
    CHECK(other.is_everything());
    tables.clear();
    CHECK(tables.is_empty());
    CHECK_FALSE(tables.contains("t7"));
}

TEST_CASE("A table counts as written until its time is over")
{
    const clock::time_point start{};
    const auto at = [start](int ms) { return start + milliseconds{ms}; };
    written_table_clock known({.cold_start = milliseconds{0}}, start);
    known.note("db", tables_of({"app.T"}), at(1'000));
    CHECK(known.is_recent("db", "t", at(1'099), milliseconds{100}));
    CHECK(known.is_recent("db", "x.T", at(1'000), milliseconds{100}));
    CHECK_FALSE(known.is_recent("db", "t", at(1'100), milliseconds{100}));
    CHECK_FALSE(known.is_recent("other", "t", at(1'000), milliseconds{100}));
    CHECK_FALSE(known.is_recent("db", "u", at(1'000), milliseconds{100}));
    CHECK_FALSE(known.is_everything_recent("db", at(1'000), milliseconds{100}));
    SECTION("each write anew, but no longer than the limit since the first")
    {
        known.set_limits({.cold_start = milliseconds{0}, .staleness_max = milliseconds{500}});
        for (int ms = 1'050; ms <= 1'600; ms += 50) known.note("db", tables_of({"t"}), at(ms));
        CHECK(known.is_recent("db", "t", at(1'620), milliseconds{100}));
        known.note("db", tables_of({"t"}), at(1'990));
        CHECK(known.is_recent("db", "t", at(1'995), milliseconds{100}));
        CHECK_FALSE(known.is_recent("db", "t", at(2'000), milliseconds{100}));
        known.note("db", tables_of({"t"}), at(2'001));
        CHECK(known.is_recent("db", "t", at(2'001), milliseconds{100}));
    }
    SECTION("what can't be told is kept for the database")
    {
        written_tables everything;
        everything.add_everything();
        known.note("db", everything, at(2'000));
        CHECK(known.is_everything_recent("db", at(2'050), milliseconds{100}));
        CHECK_FALSE(known.is_everything_recent("db", at(2'150), milliseconds{100}));
        CHECK_FALSE(known.is_everything_recent("other", at(2'050), milliseconds{100}));
    }
}

TEST_CASE("Before a start nobody has looked")
{
    const clock::time_point start{};
    const written_table_clock known({.cold_start = milliseconds{2'000}}, start);
    CHECK(known.is_cold(start));
    CHECK(known.is_cold(start + milliseconds{1'999}));
    CHECK_FALSE(known.is_cold(start + milliseconds{2'000}));
}

TEST_CASE("The clock of tables is bounded and forgets what was written least recently")
{
    const clock::time_point start{};
    written_table_clock known({.table_count_max = 3}, start);
    for (const char* name : {"a", "b", "c", "a", "d"}) known.note("db", tables_of({name}), start);
    CHECK(known.size() == 3);
    CHECK(known.is_recent("db", "a", start, milliseconds{1}));
    CHECK_FALSE(known.is_recent("db", "b", start, milliseconds{1}));
    CHECK(known.is_recent("db", "d", start, milliseconds{1}));
}

TEST_CASE("The clock of tables serves all threads")
{
    const clock::time_point start{};
    written_table_clock known({.table_count_max = 50}, start);
    std::vector<std::thread> threads;
    for (int id = 0; id < 4; ++id) {
        threads.emplace_back([id, start, &known] {
            for (int i = 0; i < 2'000; ++i) {
                const auto name = "t" + std::to_string((i * 7 + id) % 100);
                known.note("db", tables_of({name}), start + milliseconds{i});
                (void)known.is_recent("db", name, start, milliseconds{1});
            }
        });
    }
    for (auto& thread : threads) thread.join();
    CHECK(known.size() == 50);
}
