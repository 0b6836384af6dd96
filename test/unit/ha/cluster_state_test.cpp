#include "ha/cluster_state.hpp"

#include "cluster_world.hpp"

#include <catch2/catch.hpp>

using namespace pgtorii;
using namespace pgtorii::ha;
using namespace pgtorii::ha::test;

namespace {

using lines = std::vector<std::string>;

world settled()
{
    world cluster;
    cluster.see_all({primary(0), standby(1), standby(2)});
    cluster.log();
    return cluster;
}

cluster_config with_mode(config::clustering_mode mode)
{
    auto config = three_nodes();
    config.mode = mode;
    return config;
}

}  // namespace

TEST_CASE("Before anything is seen, nodes are waiting and there is no primary")
{
    world cluster;
    CHECK(cluster.view().epoch == 1);
    CHECK(cluster.view().primary == -1);
    CHECK(cluster.view().main_node() == 0);
    CHECK(cluster.node(1).status == node_status::waiting);
    CHECK(cluster.node(1).role == node_role::unknown);
    CHECK_FALSE(cluster.node(1).answers);
    CHECK(cluster.node(1).last_status_change == cluster.at().wall);
    CHECK(cluster.log().empty());
}

TEST_CASE("The server that is not in recovery is the primary, in Pgpool-II's words")
{
    world cluster;
    CHECK(cluster.see(standby(2)));
    CHECK(cluster.view().primary == -1);
    CHECK(cluster.see(primary(1)));
    CHECK(cluster.view().primary == -1);  // node 0 has not been seen yet
    CHECK(cluster.see(standby(0)));
    CHECK(cluster.view().primary == 1);
    CHECK(cluster.node(1).role == node_role::primary);
    CHECK(cluster.node(0).role == node_role::standby);
    CHECK(cluster.log() == lines{"find_primary_node: standby node is 2",
                                 "find_primary_node: standby node is 0",
                                 "find_primary_node: primary node is 1"});
}

TEST_CASE("At the start a candidate does not wait for long for servers that hang")
{
    world cluster;
    cluster.see(primary(1));
    CHECK(cluster.view().primary == -1);
    cluster.pass(500ms);
    cluster.see(primary(1));
    CHECK(cluster.view().primary == -1);
    cluster.pass(500ms);
    cluster.see(primary(1));
    CHECK(cluster.view().primary == 1);
}

TEST_CASE("The same look twice changes no view")
{
    auto cluster = settled();
    const auto epoch = cluster.view().epoch;
    CHECK_FALSE(cluster.see(primary(0)));
    CHECK_FALSE(cluster.see(standby(1)));
    CHECK(cluster.view().epoch == epoch);
}

TEST_CASE("Of several servers out of recovery at the start")
{
    world cluster;
    SECTION("the newest timeline is the primary, and the other one gets no sessions")
    {
        cluster.see_all({primary(0, 1), primary(1, 2), standby(2, 2)});
        CHECK(cluster.view().primary == 1);
        CHECK(cluster.node(0).status == node_status::down);
        CHECK(cluster.log().back() == "node 0 (server0:5432) is a primary of the past");
    }
    SECTION("on one timeline the one with more receivers is the primary")
    {
        auto followed = primary(1);
        followed.facts.receivers.push_back({"server2", "streaming", "async"});
        cluster.see_all({primary(0), followed, standby(2)});
        CHECK(cluster.view().primary == 1);
    }
    SECTION("else the lowest id is the primary")
    {
        cluster.see_all({standby(2), primary(1), primary(0)});
        CHECK(cluster.view().primary == 0);
    }
}

TEST_CASE("A second server out of recovery changes nothing while the primary answers")
{
    auto cluster = settled();
    cluster.see(primary(1, 2));
    CHECK(cluster.view().primary == 0);
    CHECK(cluster.node(1).status == node_status::waiting);
    CHECK(cluster.node(1).pg_role == node_role::primary);
    // The primary may be dead already: it is looked at before anybody is called false.
    REQUIRE(cluster.state.pause_until_next_look(0));
    CHECK(*cluster.state.pause_until_next_look(0) == 0s);

    SECTION("it is still there: the other one is down")
    {
        cluster.see(primary(0));
        CHECK(cluster.view().primary == 0);
        CHECK(cluster.node(1).status == node_status::down);
        CHECK(cluster.log() ==
              lines{"node 1 (server1:5432) is not in recovery, but node 0 is the primary"});
        CHECK(*cluster.state.pause_until_next_look(0) == 10s);

        cluster.see(standby(1, 1));
        CHECK(cluster.node(1).is_valid());
    }
    SECTION("it is gone: the other one is the primary")
    {
        cluster.see(absent(0));
        CHECK(cluster.view().primary == 1);
        CHECK(cluster.node(0).status == node_status::down);
        CHECK(cluster.node(1).is_valid());
        CHECK(cluster.log() == lines{"node 0 (server0:5432) is down",
                                     "node 0 (server0:5432) is no longer the primary",
                                     "find_primary_node: primary node is 1"});
        cluster.see(primary(0, 1));
        CHECK(cluster.view().primary == 1);
        CHECK(cluster.node(0).status == node_status::down);
        cluster.see(standby(0, 2));
        CHECK(cluster.node(0).status == node_status::up);
        CHECK(cluster.node(0).role == node_role::standby);
    }
}

TEST_CASE("A primary that can't be seen is displaced by one that was promoted after it")
{
    auto config = three_nodes();
    config.nodes[0].failure_count_max = 5;
    world cluster(config);
    cluster.see_all({primary(0), standby(1), standby(2)});
    cluster.see(absent(0));
    CHECK(cluster.view().primary == 0);
    SECTION("on a newer timeline at once")
    {
        cluster.see(primary(1, 2));
        CHECK(cluster.view().primary == 1);
    }
    SECTION("on the same timeline only when it is down")
    {
        cluster.see(primary(1, 1));
        CHECK(cluster.view().primary == 0);
        for (int i = 0; i < 5; ++i) cluster.see(absent(0));
        CHECK(cluster.view().primary == 1);
    }
}

TEST_CASE("A lost primary without a successor leaves no primary, and is one again when it answers")
{
    auto cluster = settled();
    cluster.see(absent(0));
    CHECK(cluster.view().primary == -1);
    CHECK(cluster.node(0).role == node_role::standby);
    CHECK(cluster.log() ==
          lines{"node 0 (server0:5432) is down", "node 0 (server0:5432) is no longer the primary",
                "find_primary_node_repeatedly: waiting for finding a primary node"});
    for (int node = 0; node < 3; ++node) CHECK(*cluster.state.pause_until_next_look(node) == 1s);

    cluster.pass(299s);
    cluster.see(standby(1));
    CHECK(cluster.log().empty());
    cluster.pass(1s);
    cluster.see(standby(1));
    cluster.see(standby(1));
    CHECK(cluster.log() ==
          lines{"no primary was found within search_primary_node_timeout"});  // once

    cluster.see(primary(0));
    CHECK(cluster.view().primary == 0);
    CHECK(cluster.node(0).status == node_status::up);
    CHECK(cluster.log() ==
          lines{"node 0 (server0:5432) is up", "find_primary_node: primary node is 0"});
}

TEST_CASE("A primary that went into recovery is none from then on")
{
    auto cluster = settled();
    cluster.see(standby(0));
    CHECK(cluster.view().primary == -1);
    CHECK(cluster.node(0).is_valid());
    cluster.see(primary(2, 2));
    CHECK(cluster.view().primary == 2);
}

TEST_CASE("An older timeline is never the primary again")
{
    auto cluster = settled();
    cluster.see_all({absent(0), primary(1, 2), absent(1)});
    CHECK(cluster.view().primary == -1);
    cluster.see(primary(0, 1));
    CHECK(cluster.view().primary == -1);
    CHECK(cluster.node(0).status == node_status::down);
    cluster.see(primary(1, 2));
    CHECK(cluster.view().primary == 1);
}

TEST_CASE("A server of another cluster")
{
    auto cluster = settled();
    SECTION("gets no reads")
    {
        cluster.see(answers(2, true, 1, 8));
        CHECK(cluster.node(2).status == node_status::down);
        CHECK(cluster.log() == lines{"node 2 (server2:5432) belongs to another cluster"});
    }
    SECTION("is no primary while servers of ours are there")
    {
        cluster.see_all({absent(0), answers(1, false, 9, 8)});
        CHECK(cluster.view().primary == -1);
        CHECK(cluster.node(1).status == node_status::down);
    }
    SECTION("does not stay the primary in the place of ours")
    {
        cluster.see(answers(0, false, 1, 8));
        CHECK(cluster.view().primary == -1);
        CHECK(cluster.node(0).status == node_status::down);
    }
    SECTION("is the primary when it has taken the place of all of ours")
    {
        cluster.see_all({primary(0, 5), absent(1), absent(2), answers(0, false, 1, 8)});
        cluster.see(answers(0, false, 1, 8));
        CHECK(cluster.view().primary == 0);
        CHECK(cluster.node(0).is_valid());
        cluster.see(answers(1, true, 1, 8));
        CHECK(cluster.node(1).is_valid());
    }
}

TEST_CASE("Failures are tolerated as configured")
{
    auto config = three_nodes();
    config.nodes[1].failure_count_max = 2;
    config.nodes[1].retry_delay = 3s;
    world cluster(config);
    cluster.see_all({primary(0), standby(1), standby(2)});
    cluster.log();

    SECTION("the third one in a row is the end")
    {
        cluster.see(absent(1));
        CHECK(cluster.node(1).is_valid());
        CHECK_FALSE(cluster.node(1).answers);
        CHECK(*cluster.state.pause_until_next_look(1) == 3s);
        cluster.see(absent(1));
        CHECK(cluster.node(1).is_valid());
        CHECK(cluster.log() == lines{"health check failed on node 1 (server1:5432)"});
        cluster.pass(1s);
        cluster.see(absent(1));
        CHECK(cluster.node(1).status == node_status::down);
        CHECK(cluster.node(1).last_status_change == cluster.at().wall);
        CHECK(*cluster.state.pause_until_next_look(1) == 1s);
    }
    SECTION("an answer between them begins the count again")
    {
        cluster.see_all({absent(1), absent(1), standby(1), absent(1), absent(1)});
        CHECK(cluster.node(1).is_valid());
    }
    SECTION("a refusal too: somebody is there")
    {
        cluster.see_all({absent(1), absent(1), refused(1, "57P03"), absent(1), absent(1)});
        CHECK(cluster.node(1).is_valid());
    }
    SECTION("one is enough when a session saw the same")
    {
        auto seen = absent(1);
        seen.was_reported = true;
        cluster.see(seen);
        CHECK(cluster.node(1).status == node_status::down);
    }
}

TEST_CASE("A session's report needs failover_on_backend_error to count")
{
    auto config = three_nodes();
    config.trusts_reports = false;
    config.nodes[1].failure_count_max = 1;
    world cluster(config);
    cluster.see_all({primary(0), standby(1), standby(2)});
    auto seen = absent(1);
    seen.was_reported = true;
    cluster.see(seen);
    CHECK(cluster.node(1).is_valid());
}

TEST_CASE("A node that must not fail over is never down, but another primary is found")
{
    auto config = three_nodes();
    config.nodes[0].disallow_failover = true;
    world cluster(config);
    cluster.see_all({primary(0), standby(1), standby(2)});
    for (int i = 0; i < 9; ++i) cluster.see(absent(0));
    CHECK(cluster.node(0).is_valid());
    CHECK(cluster.view().primary == 0);
    cluster.see(primary(2, 2));
    CHECK(cluster.view().primary == 2);
}

TEST_CASE("A server that refuses is alive")
{
    auto cluster = settled();
    const auto sqlstate = GENERATE("57P03", "53300", "28P01", "28000", "3D000", "57P01");
    cluster.see_all({refused(0, sqlstate), refused(0, sqlstate)});
    CHECK(cluster.view().primary == 0);
    CHECK(cluster.node(0).is_valid());
    CHECK_FALSE(cluster.node(0).answers);
    CHECK(cluster.log() ==
          lines{"node 0 (server0:5432) is alive but refuses the health check"});  // once
}

TEST_CASE("A server that is starting up stays down until it answers")
{
    auto cluster = settled();
    cluster.see_all({absent(1), refused(1, "57P03")});
    CHECK(cluster.node(1).status == node_status::down);
    cluster.see(standby(1));
    CHECK(cluster.node(1).status == node_status::up);
}

TEST_CASE("Looks come at a pace that fits the state")
{
    auto config = three_nodes();
    SECTION("a server that starts up is looked at every second, one that knows us not is not")
    {
        world cluster(config);
        cluster.see_all({primary(0), refused(1, "57P03"), refused(2, "28P01")});
        CHECK(*cluster.state.pause_until_next_look(0) == 10s);
        CHECK(*cluster.state.pause_until_next_look(1) == 1s);
        CHECK(*cluster.state.pause_until_next_look(2) == 10s);
    }
    SECTION("without a period only what is missing is looked at again")
    {
        for (auto& node : config.nodes) node.check_period = 0s;
        world cluster(config);
        CHECK(*cluster.state.pause_until_next_look(0) == 1s);
        cluster.see_all({primary(0), standby(1), absent(2)});
        CHECK_FALSE(cluster.state.pause_until_next_look(0));
        CHECK_FALSE(cluster.state.pause_until_next_look(1));
        CHECK(*cluster.state.pause_until_next_look(2) == 1s);
        cluster.see(absent(0));
        CHECK(*cluster.state.pause_until_next_look(1) == 1s);
    }
    SECTION("a node that does not exist is never looked at")
    {
        config.nodes[1].is_configured = false;
        world cluster(config);
        CHECK_FALSE(cluster.state.pause_until_next_look(1));
        CHECK_FALSE(cluster.state.pause_until_next_look(3));
        CHECK_FALSE(cluster.state.pause_until_next_look(-1));
        CHECK(cluster.node(1).status == node_status::unused);
        cluster.see_all({primary(0), standby(2)});
        CHECK(cluster.view().primary == 0);  // a hole between ids is waited for by nobody
    }
}

TEST_CASE("A session's first link makes a waiting node up")
{
    auto cluster = settled();
    cluster.pass(5s);
    REQUIRE(cluster.state.on_connected(1, cluster.at()));
    CHECK(cluster.node(1).status == node_status::up);
    CHECK(cluster.node(1).last_status_change == cluster.at().wall);
    CHECK(cluster.node(0).last_status_change != cluster.at().wall);
    CHECK_FALSE(cluster.state.on_connected(1, cluster.at()));

    cluster.see(absent(2));
    CHECK_FALSE(cluster.state.on_connected(2, cluster.at()));  // too late
    CHECK(cluster.node(2).status == node_status::down);
}

TEST_CASE("A node flagged ALWAYS_PRIMARY is the primary whatever servers say")
{
    auto config = three_nodes();
    config.nodes[1].always_primary = true;
    world cluster(config);
    CHECK(cluster.view().primary == -1);
    cluster.see(refused(1, "28P01"));
    CHECK(cluster.view().primary == 1);
    cluster.see_all({primary(0, 9), standby(1), primary(2, 9)});
    CHECK(cluster.view().primary == 1);
    CHECK(cluster.node(0).is_valid());
    cluster.see(absent(1));
    CHECK(cluster.view().primary == -1);
    cluster.see(standby(1));
    CHECK(cluster.view().primary == 1);
}

TEST_CASE("Logical replication: the lowest id is the primary, and stays while it is there")
{
    world cluster(with_mode(config::clustering_mode::logical_replication));
    cluster.see_all({answers(2, false, 1, 3), answers(1, false, 5, 2), answers(0, false, 1, 1)});
    CHECK(cluster.view().primary == 0);
    CHECK(cluster.node(1).is_valid());
    CHECK(cluster.node(2).is_valid());
    cluster.see(absent(0));
    CHECK(cluster.view().primary == 1);
    cluster.see(answers(0, false, 1, 1));
    CHECK(cluster.view().primary == 1);
    CHECK(cluster.node(0).is_valid());
}

TEST_CASE("Raw mode: the main node is used until it is down")
{
    world cluster(with_mode(config::clustering_mode::raw));
    CHECK(cluster.view().primary == -1);
    cluster.see_all({standby(0), primary(1), refused(2, "28P01")});
    CHECK(cluster.view().primary == 0);
    CHECK(cluster.node(2).is_valid());
    cluster.see(absent(0));
    CHECK(cluster.view().primary == 1);

    SECTION("one that another has replaced stays down")
    {
        cluster.log();
        cluster.see(standby(0));
        CHECK(cluster.view().primary == 1);
        CHECK(cluster.view().main_node() == 1);
        CHECK(cluster.node(0).status == node_status::down);
        CHECK(cluster.log() ==
              lines{"node 0 (server0:5432) is there, but another main node has taken over"});
    }
    SECTION("while it is down, nobody but it comes back")
    {
        cluster.see_all({absent(2), absent(1)});
        CHECK(cluster.view().primary == -1);
        cluster.see_all({primary(0), primary(2)});
        CHECK(cluster.view().primary == -1);
        cluster.see(primary(1));
        CHECK(cluster.view().primary == 1);
        cluster.see(primary(2));
        CHECK(cluster.node(2).is_valid());
        CHECK(cluster.node(0).status == node_status::down);
    }
}

TEST_CASE("Replication is described as the primary and the standbys tell it")
{
    auto cluster = settled();
    auto seen = primary(0);
    seen.facts.lsn = 5000;
    seen.facts.receivers = {{"server1", "startup", "async"},
                            {"server1", "streaming", "sync"},
                            {"other", "streaming", "async"}};
    REQUIRE(cluster.see(seen));
    CHECK(cluster.node(0).replay_lsn == 5000);
    CHECK(cluster.node(0).replication_delay == 0);
    CHECK(cluster.node(0).replication_state.empty());
    CHECK(cluster.node(1).replication_state == "streaming");
    CHECK(cluster.node(1).replication_sync_state == "sync");
    CHECK(cluster.node(1).replication_delay == 4000);
    CHECK(cluster.node(2).replication_state.empty());

    auto ahead = standby(1);
    ahead.facts.lsn = 6000;
    cluster.see(ahead);
    CHECK(cluster.node(1).replication_delay == 0);
    ahead.facts.lsn = 0;  // it doesn't tell: as far behind as can be
    cluster.see(ahead);
    CHECK(cluster.node(1).replication_delay == 5000);
    seen.facts.lsn = ~std::uint64_t{0};
    cluster.see(seen);
    CHECK(cluster.node(1).replication_delay == std::numeric_limits<std::int64_t>::max());
}

TEST_CASE("Weights are shares of the sum over all configured nodes")
{
    auto config = three_nodes();
    config.nodes[1].weight = 2;
    world cluster(config);
    CHECK(cluster.node(0).weight_normalized == Approx(0.25));
    CHECK(cluster.node(1).weight_normalized == Approx(0.5));
    cluster.see(absent(1));
    CHECK(cluster.node(0).weight_normalized == Approx(0.25));

    for (auto& node : config.nodes) node.weight = 0;
    REQUIRE(cluster.state.on_configuration(config, cluster.at()));
    CHECK(cluster.node(0).weight_normalized == 0);
}

TEST_CASE("A reload keeps what is known of servers that stay")
{
    auto cluster = settled();
    auto config = three_nodes();
    SECTION("a changed weight and a new node, which gets sessions when it has answered")
    {
        config.nodes[0].weight = 3;
        auto added = config.nodes[2];
        added.id = 3;
        added.hostname = "server3";
        config.nodes.push_back(added);
        REQUIRE(cluster.state.on_configuration(config, cluster.at()));
        CHECK(cluster.view().primary == 0);
        CHECK(cluster.node(0).weight_normalized == Approx(0.5));
        CHECK(cluster.node(3).status == node_status::down);
        cluster.see(standby(3));
        CHECK(cluster.node(3).is_valid());
    }
    SECTION("another host under the primary's id is another server")
    {
        config.nodes[0].hostname = "elsewhere";
        cluster.state.on_configuration(config, cluster.at());
        CHECK(cluster.view().primary == -1);
        CHECK(cluster.node(0).status == node_status::down);
    }
    SECTION("fewer nodes")
    {
        config.nodes.resize(0);
        cluster.state.on_configuration(config, cluster.at());
        CHECK(cluster.view().nodes.empty());
        CHECK(cluster.view().primary == -1);
    }
}

TEST_CASE("Addresses are published, and kept while the name does not resolve")
{
    auto cluster = settled();
    auto seen = standby(1);
    seen.addresses.resize(1);
    seen.addresses[0].length = 16;
    REQUIRE(cluster.see(seen));
    CHECK(cluster.node(1).addresses == seen.addresses);
    cluster.see(absent(1));
    CHECK(cluster.node(1).addresses == seen.addresses);
    cluster.log();
    seen.addresses[0].length = 28;
    cluster.see(seen);
    CHECK(cluster.node(1).addresses == seen.addresses);
    CHECK(cluster.log().front() == "node 1 (server1:5432) has other addresses than before");
}

TEST_CASE("Every event has a text of its own")
{
    lines seen;
    for (int what = 0; what <= static_cast<int>(cluster_event::kind::main_replaced); ++what) {
        cluster_event event;
        event.what = static_cast<cluster_event::kind>(what);
        event.node = 1;
        event.place = "host:1";
        const auto text = text_of(event).message;
        CHECK(text != "unknown event of the cluster");
        CHECK(std::ranges::find(seen, text) == seen.end());
        seen.push_back(text);
    }
}
