#include "core/node_counters.hpp"

#include <catch2/catch.hpp>

#include <thread>
#include <vector>

using namespace pgtorii;
using core::error_severity;
using routing::statement_class;

TEST_CASE("Statements and errors are counted for each node and class")
{
    core::node_counters counters;
    counters.count(0, statement_class::select);
    counters.count(0, statement_class::select);
    counters.count(127, statement_class::ddl);
    counters.count_error(1, error_severity::fatal);
    counters.count_error(1, "PANIC");
    counters.count_error(1, "NOTICE");

    const auto counts = counters.snapshot();
    REQUIRE(counts.size() == 128);
    CHECK(counts[0].of(statement_class::select) == 2);
    CHECK(counts[0].of(statement_class::insert) == 0);
    CHECK(counts[127].of(statement_class::ddl) == 1);
    CHECK(counts[1].of(error_severity::fatal) == 1);
    CHECK(counts[1].of(error_severity::panic) == 1);
    CHECK(counts[1].of(error_severity::error) == 0);
}

TEST_CASE("A node that can't exist is not counted")
{
    core::node_counters counters;
    for (const int node : {-1, 128, 1 << 30}) {
        counters.count(node, statement_class::select);
        counters.count_error(node, error_severity::error);
    }
    for (const auto& each : counters.snapshot()) {
        CHECK(each.of(statement_class::select) == 0);
        CHECK(each.of(error_severity::error) == 0);
    }
}

TEST_CASE("No count of several threads is lost")
{
    core::node_counters counters;
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
        threads.emplace_back([&] {
            for (int i = 0; i < 1000; ++i) counters.count(2, statement_class::update);
        });
    }
    for (auto& each : threads) each.join();
    CHECK(counters.snapshot()[2].of(statement_class::update) == 4000);
}
