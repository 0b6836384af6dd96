#include "cluster_world.hpp"
#include "ha/delay_command.hpp"
#include "ha/wal_history.hpp"

#include <catch2/catch.hpp>

using namespace pgtorii;
using namespace pgtorii::ha;
using namespace pgtorii::ha::test;
using delays = std::vector<std::chrono::microseconds>;
using lines = std::vector<std::string>;

namespace {

clock::time_point at(clock::duration time)
{
    return clock::time_point(time);
}

cluster_config by_time(std::chrono::milliseconds threshold = 1s)
{
    auto config = three_nodes();
    config.delay.by_time = true;
    config.delay.threshold_time = threshold;
    config.delay.period = 1s;
    return config;
}

observation primary_at(std::uint64_t lsn, std::vector<replication_row> receivers = {})
{
    auto seen = primary(0);
    seen.facts.lsn = lsn;
    seen.facts.receivers = std::move(receivers);
    return seen;
}

observation standby_at(int node, std::uint64_t lsn)
{
    auto seen = standby(node);
    seen.facts.lsn = lsn;
    return seen;
}

}  // namespace

TEST_CASE("What a standby has not replayed is as old as the look that saw it on the primary")
{
    wal_history history;
    CHECK(history.overdue(0, at(1s)) == 0s);
    history.on_position(100, at(1s));
    history.on_position(100, at(2s));  // nothing new
    history.on_position(200, at(3s));
    CHECK(history.overdue(99, at(4s)) == 3s);
    CHECK(history.overdue(100, at(4s)) == 1s);
    CHECK(history.overdue(200, at(4s)) == 0s);
    CHECK(history.overdue(100, at(3s)) == 0s);
    history.on_position(0, at(4s));  // not told
    CHECK(history.entry_count() == 2);
    history.on_position(150, at(5s));  // another history
    CHECK(history.overdue(100, at(6s)) == 1s);
}

TEST_CASE("A long history is thinned out, and its answers only get smaller")
{
    wal_history history;
    for (int i = 1; i <= 10'000; ++i) {
        history.on_position(static_cast<std::uint64_t>(i), at(std::chrono::seconds(i)));
        REQUIRE(history.entry_count() <= wal_history::entry_count_max);
    }
    for (const int replayed : {1, 100, 5'000, 9'900, 9'990, 9'999}) {
        const auto truth = std::chrono::seconds(10'000 - replayed - 1);
        const auto found = history.overdue(static_cast<std::uint64_t>(replayed), at(10'000s));
        CHECK(found <= truth);
    }
    CHECK(history.overdue(9'990, at(10'000s)) == 9s);
}

TEST_CASE("The delay as time is what the primary tells, or what we know to be more")
{
    world cluster(by_time());
    cluster.see_all({primary_at(1000), standby_at(1, 1000), standby_at(2, 1000)});
    CHECK(cluster.node(1).replication_delay_time == 0us);
    cluster.see(primary_at(1000, {{"server1", "streaming", "async", 5ms}}));
    CHECK(cluster.node(1).replication_delay_time == 5ms);
    CHECK(cluster.node(2).replication_delay_time == 0us);

    cluster.see(primary_at(1000, {}));  // no row: the old value stays
    CHECK(cluster.node(1).replication_delay_time == 5ms);
    cluster.see(primary_at(1000, {{"server1", "streaming", "async", 0ms}}));
    CHECK(cluster.node(1).replication_delay_time == 0us);

    cluster.see(primary_at(2000));
    cluster.pass(3s);
    cluster.see(standby_at(1, 1500));
    CHECK(cluster.node(1).replication_delay_time == 3s);
    CHECK(cluster.node(1).replication_delay == 500);
    cluster.see(standby_at(1, 2000));
    CHECK(cluster.node(1).replication_delay_time == 0us);
}

TEST_CASE("Another primary begins with no delay")
{
    world cluster(by_time());
    cluster.see_all({primary_at(1000), standby_at(1, 1000), standby_at(2, 1000)});
    cluster.see(primary_at(1000, {{"server2", "streaming", "async", 5s}}));
    CHECK(cluster.node(2).replication_delay_time == 5s);
    cluster.see(absent(0));
    cluster.see(primary(1, 2));
    REQUIRE(cluster.view().primary == 1);
    CHECK(cluster.node(2).replication_delay_time == 0us);
    CHECK(cluster.node(1).timeline == 2);
}

TEST_CASE("Delays are logged in Pgpool-II's words, once a period")
{
    auto config = three_nodes();
    config.delay.threshold_bytes = 400;
    config.delay.period = 1s;
    using enum config::delay_logging;
    SECTION("none")
    {
        world cluster(config);
        cluster.see_all({primary_at(1000), standby_at(1, 1000), standby_at(2, 1000)});
        cluster.log();
        cluster.see(standby_at(1, 0));
        CHECK(cluster.log().empty());
    }
    SECTION("if_over_threshold")
    {
        config.delay.logging = if_over_threshold;
        world cluster(config);
        cluster.see_all({primary_at(1000), standby_at(1, 1000), standby_at(2, 1000)});
        cluster.log();
        cluster.see(standby_at(1, 600));
        CHECK(cluster.log().empty());
        cluster.see(standby_at(1, 599));
        CHECK(cluster.log() == lines{"Replication of node: 1 is behind 401 bytes from the primary "
                                     "server (node: 0)"});
        cluster.see(standby_at(1, 598));
        CHECK(cluster.log().empty());
        cluster.pass(1s);
        cluster.see(standby_at(1, 598));
        CHECK(cluster.log().size() == 1);
    }
    SECTION("always, by time")
    {
        config = by_time();
        config.delay.logging = always;
        world cluster(config);
        cluster.see_all({primary_at(1000), standby_at(1, 1000), standby_at(2, 1000)});
        cluster.log();
        cluster.see(primary_at(1000, {{"server1", "streaming", "async", 2500us}}));
        cluster.see(standby_at(1, 1000));
        CHECK(cluster.log() == lines{"Replication of node: 1 is behind 0.002500 second(s) from the "
                                     "primary server (node: 0)"});
    }
    SECTION("no threshold: nothing is over it")
    {
        config.delay.logging = if_over_threshold;
        config.delay.threshold_bytes = 0;
        world cluster(config);
        cluster.see_all({primary_at(1000), standby_at(1, 0), standby_at(2, 0)});
        cluster.log();
        cluster.see(standby_at(1, 0));
        CHECK(cluster.log().empty());
    }
}

TEST_CASE("With sr_check_period = 0 nothing is measured")
{
    auto config = by_time();
    config.delay.is_measured = false;
    config.delay.logging = config::delay_logging::always;
    world cluster(config);
    cluster.see_all({primary_at(1000), standby_at(1, 500), standby_at(2, 1000)});
    cluster.log();
    cluster.see(primary_at(1000, {{"server1", "streaming", "async", 5s}}));
    cluster.see(standby_at(1, 500));
    CHECK(cluster.node(1).replication_delay == 0);
    CHECK(cluster.node(1).replication_delay_time == 0us);
    CHECK(cluster.node(1).replication_state == "streaming");
    CHECK(cluster.log().empty());
}

TEST_CASE("The command's delays take the place of our own")
{
    auto config = by_time(100ms);
    config.delay.command = "delays";
    config.delay.logging = config::delay_logging::if_over_threshold;
    world cluster(config);
    cluster.see_all({primary_at(1000), standby_at(1, 500), standby_at(2, 1000)});
    cluster.log();
    CHECK(cluster.node(1).replication_delay == 0);
    CHECK(cluster.node(1).replication_delay_time == 0us);
    REQUIRE(cluster.state.on_delays({1, 2}, {1500us, node_view::delay_of_lost}, cluster.at()));
    CHECK(cluster.node(1).replication_delay_time == 1500us);
    CHECK(cluster.node(2).replication_delay_time == node_view::delay_of_lost);
    CHECK(cluster.node(2).is_valid());
    CHECK(cluster.log().size() == 1);
}

TEST_CASE("The command gets all servers but the primary, in order")
{
    world cluster(three_nodes());
    cluster.see_all({standby(0), primary(1), standby(2)});
    std::vector<int> nodes;
    CHECK(delay_command_line("/bin/lag -v", cluster.view(), nodes) ==
          "/bin/lag -v server0:5432 server2:5432");
    CHECK(nodes == std::vector<int>{0, 2});

    auto view = cluster.view();
    view.nodes[0].hostname = "a'; rm b";
    view.nodes[2].status = node_status::unused;
    nodes.clear();
    CHECK(delay_command_line("lag", view, nodes) == "lag 'a'\\''; rm b:5432'");
    CHECK(nodes == std::vector<int>{0});
}

TEST_CASE("The command's output is one line of numbers")
{
    CHECK(*read_delays("1.5 0\n", 2) == delays{1500us, 0us});
    CHECK(*read_delays("  12\t-1", 2) == delays{12ms, node_view::delay_of_lost});
    CHECK(*read_delays("2e3 \r\n", 1) == delays{2s});
    CHECK(read_delays("\n", 0)->empty());
    for (const auto* const bad : {"", "1\n", "1 2 3\n", "1 x\n", "1 2ms\n", "1 -2\n", "1 nan\n",
                                  "1 inf\n", "1\n2\n", "1 2\n\n", "1 1e300\n", "1,2\n"}) {
        INFO(bad);
        CHECK(read_delays(bad, 2).has_error());
    }
}
