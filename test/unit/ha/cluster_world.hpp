#pragma once

#include "ha/cluster_state.hpp"
#include "ha/error.hpp"

#include <chrono>
#include <string>
#include <utility>
#include <vector>

/// What the tests of cluster_state share: configurations, looks and a clock that only they move.
namespace pgtorii::ha::test {

using namespace std::chrono_literals;

inline cluster_config three_nodes()
{
    cluster_config config;
    for (int id = 0; id < 3; ++id) {
        node_config node;
        node.id = id;
        node.hostname = "server" + std::to_string(id);
        node.port = 5432;
        node.weight = 1;
        node.application_name = "server" + std::to_string(id);
        config.nodes.push_back(node);
    }
    return config;
}

inline observation answers(int node, bool in_recovery, std::uint32_t timeline = 1,
                           std::uint64_t system_identifier = 7)
{
    observation seen;
    seen.node = node;
    seen.verdict = verdict::answered;
    seen.facts.in_recovery = in_recovery;
    seen.facts.timeline = timeline;
    seen.facts.system_identifier = system_identifier;
    seen.facts.lsn = 1000;
    return seen;
}
inline observation primary(int node, std::uint32_t timeline = 1)
{
    return answers(node, false, timeline);
}
inline observation standby(int node, std::uint32_t timeline = 1)
{
    return answers(node, true, timeline);
}
inline observation absent(int node)
{
    observation seen;
    seen.node = node;
    seen.failure = errc::connection_lost;
    return seen;
}
inline observation refused(int node, std::string sqlstate)
{
    observation seen;
    seen.node = node;
    seen.verdict = verdict::refused;
    seen.failure = errc::server_refused;
    seen.sqlstate = std::move(sqlstate);
    seen.message = "no";
    return seen;
}

/// A cluster_state and its time.
class world {
public:
    explicit world(cluster_config config = three_nodes()) : state(std::move(config), at()) {}

    moment at() const
    {
        return {clock::time_point(now_), std::chrono::system_clock::time_point(now_)};
    }
    void pass(clock::duration time) { now_ += time; }

    cluster_view_ptr see(observation seen) { return state.on(std::move(seen), at()); }
    void see_all(std::vector<observation> all)
    {
        for (auto& seen : all) see(std::move(seen));
    }
    const cluster_view& view() const { return *state.view(); }
    const node_view& node(int id) const { return view().nodes[static_cast<std::size_t>(id)]; }
    /// The log lines since the last call.
    std::vector<std::string> log()
    {
        std::vector<std::string> lines;
        for (const auto& event : state.take_events()) lines.push_back(text_of(event).message);
        return lines;
    }

private:
    clock::duration now_ = 1h;

public:
    cluster_state state;
};

}  // namespace pgtorii::ha::test
