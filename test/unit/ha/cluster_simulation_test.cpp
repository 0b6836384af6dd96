#include "ha/cluster_state.hpp"

#include "cluster_world.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <map>
#include <random>

using namespace pgtorii;
using namespace pgtorii::ha;
using namespace pgtorii::ha::test;

namespace {

/// A server as it really is.
struct server {
    bool is_there = true;
    bool refuses = false;
    bool in_recovery = true;
    std::uint32_t timeline = 1;
    std::uint64_t system_identifier = 7;

    observation look(int node) const
    {
        if (!is_there) return absent(node);
        if (refuses) return refused(node, "57P03");
        return answers(node, in_recovery, timeline, system_identifier);
    }
};

/// A cluster that lives through anything, looked at with delay: a look tells the truth of the
/// moment when it began.
class simulation {
public:
    explicit simulation(unsigned seed) : random_(seed), cluster_(random_config())
    {
        const auto count = cluster_.state.config().nodes.size();
        servers_.resize(count);
        under_way_.resize(count);
        last_.resize(count);
        servers_[pick(static_cast<int>(count))].in_recovery = false;
        epoch_ = cluster_.view().epoch;
    }

    void run(int steps)
    {
        for (int i = 0; i < steps; ++i) {
            step();
            check();
        }
    }

    /// Heals all servers (one primary of the newest timeline, the others follow it) and looks until
    /// all have settled.
    void heal()
    {
        for (auto& looks : under_way_) looks.clear();
        std::uint32_t newest = 0;
        for (const auto& at : servers_) newest = std::max(newest, at.timeline);
        const auto chosen = pick(static_cast<int>(servers_.size()));
        for (std::size_t i = 0; i < servers_.size(); ++i) {
            servers_[i] = {.in_recovery = i != chosen, .timeline = newest + 1};
        }
        for (int round = 0; round < 3; ++round) {
            for (std::size_t i = 0; i < servers_.size(); ++i) {
                deliver(servers_[i].look(static_cast<int>(i)));
                check();
            }
            cluster_.pass(1s);
        }
        REQUIRE(cluster_.view().primary == static_cast<int>(chosen));
        for (const auto& node : cluster_.view().nodes) REQUIRE(node.is_valid());
    }

private:
    std::size_t pick(int count)
    {
        return static_cast<std::size_t>(std::uniform_int_distribution<int>(0, count - 1)(random_));
    }

    cluster_config random_config()
    {
        auto config = three_nodes();
        config.nodes.resize(1 + pick(3));
        for (auto& node : config.nodes) {
            node.failure_count_max = static_cast<int>(pick(3));
            node.disallow_failover = pick(8) == 0;
        }
        config.trusts_reports = pick(2) == 0;
        return config;
    }

    void step()
    {
        const auto at = pick(static_cast<int>(servers_.size()));
        const auto node = static_cast<int>(at);
        auto& which = servers_[at];
        switch (pick(60)) {
        case 0: which.is_there = false; break;
        case 1:
        case 9:
        case 10: which.is_there = true; break;
        case 2: which.refuses = true; break;
        case 3:
        case 11:
        case 12: which.refuses = false; break;
        case 4:
            if (which.in_recovery) ++which.timeline;
            which.in_recovery = false;
            break;
        case 5: which.in_recovery = true; break;
        case 6:
            if (pick(20) == 0) which.system_identifier = 7 + pick(2);
            break;
        case 7: cluster_.pass(std::chrono::milliseconds(pick(2000))); break;
        case 8: note(cluster_.state.on_connected(node, cluster_.at())); break;
        default:
            if (under_way_[at].empty()) {
                under_way_[at].push_back(which.look(node));
                break;
            }
            auto seen = std::move(under_way_[at].front());
            under_way_[at].clear();
            seen.was_reported = pick(4) == 0;
            deliver(seen);
        }
    }

    void deliver(const observation& seen)
    {
        const auto at = static_cast<std::size_t>(seen.node);
        if (seen.verdict == verdict::answered) last_[at] = seen.facts;
        note(cluster_.see(seen));
    }

    void note(const cluster_view_ptr& next)
    {
        if (!next) {
            REQUIRE(cluster_.view().epoch == epoch_);
            return;
        }
        REQUIRE(next->epoch == epoch_ + 1);
        epoch_ = next->epoch;
        if (next->primary < 0) return;
        // What was primary once is not followed by an older history of the same cluster.
        const auto& facts = *last_[static_cast<std::size_t>(next->primary)];
        auto& newest = newest_timeline_[facts.system_identifier];
        if (facts.system_identifier == home_) REQUIRE(facts.timeline >= newest);
        home_ = facts.system_identifier;
        newest = facts.timeline;
    }

    void check()
    {
        const auto& view = cluster_.view();
        const auto primaries = std::ranges::count(view.nodes, node_role::primary, &node_view::role);
        REQUIRE(primaries == (view.primary >= 0 ? 1 : 0));
        if (view.primary >= 0) {
            const auto at = static_cast<std::size_t>(view.primary);
            REQUIRE(view.nodes[at].role == node_role::primary);
            REQUIRE(view.nodes[at].is_valid());
            REQUIRE(last_[at]);
            REQUIRE_FALSE(last_[at]->in_recovery);
            check_readers(view, *last_[at]);
        }
        for (std::size_t i = 0; i < servers_.size(); ++i) {
            const auto pause = cluster_.state.pause_until_next_look(static_cast<int>(i));
            REQUIRE(pause);
            REQUIRE(*pause <= 10s);
            if (view.primary < 0) REQUIRE(*pause <= 5s);
        }
        cluster_.state.take_events();
    }

    /// Nobody reads from another cluster, or from a primary of the past.
    void check_readers(const cluster_view& view, const server_facts& primary)
    {
        for (const auto& node : view.nodes) {
            const auto& facts = last_[static_cast<std::size_t>(node.id)];
            if (!node.is_valid() || !facts) continue;
            REQUIRE(facts->system_identifier == primary.system_identifier);
            if (!facts->in_recovery) REQUIRE(facts->timeline >= primary.timeline);
        }
    }

    std::mt19937 random_;
    world cluster_;
    std::vector<server> servers_;
    std::vector<std::vector<observation>> under_way_;  // one at most of each server
    std::vector<std::optional<server_facts>> last_;
    std::map<std::uint64_t, std::uint32_t> newest_timeline_;
    std::uint64_t home_ = 0;
    std::uint64_t epoch_ = 0;
};

}  // namespace

TEST_CASE("Whatever servers do, views keep their promises, and all is well once all is well")
{
    for (unsigned seed = 1; seed <= 1'500; ++seed) {
        INFO("seed " << seed);
        simulation cluster(seed);
        cluster.run(600);
        cluster.heal();
    }
}
