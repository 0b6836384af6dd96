#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace pgtorii::ha {

/// Pgpool-II's node states (failover.md, section 1); `waiting` and `up` are equal for every
/// decision.
enum class node_status : std::uint8_t { unused, waiting, up, down, quarantine };

enum class node_role : std::uint8_t { unknown, primary, standby };

/// A resolved socket address (a sockaddr and its length). Names are resolved by the control plane:
/// the data path only connects.
struct socket_address {
    std::array<std::byte, 128> storage{};
    std::uint32_t length = 0;
    friend bool operator==(const socket_address&, const socket_address&) = default;
};

/// One server as the control plane last saw it.
struct node_view {
    int id = 0;
    std::string hostname;  ///< As configured; a leading slash is a socket directory.
    int port = 0;
    std::vector<socket_address>
        addresses;  ///< Tried in order; empty: the name does not resolve now.
    std::chrono::milliseconds connect_timeout{10'000};  ///< Zero: no limit.
    double weight = 0;                                  ///< As configured.
    double weight_normalized = 0;  ///< Share of the sum over all configured nodes.
    node_status status = node_status::unused;
    node_role role = node_role::unknown;  ///< What it is to us.
    node_role pg_role =
        node_role::unknown;  ///< What it says itself, at the last look that it answered.
    bool answers = false;    ///< The last probe could log in: pg_status of SHOW POOL_NODES.
    bool always_primary = false;
    bool disallow_failover = false;
    std::string data_directory;
    std::string application_name;
    std::string replication_state;
    std::string replication_sync_state;
    std::uint64_t replay_lsn = 0;
    std::int64_t replication_delay =
        0;  ///< Bytes behind the primary's last known position; 0 for the primary.
    std::chrono::microseconds replication_delay_time{
        0};  ///< The same as time, where it is measured (delay_threshold_by_time, the command).
    /// The delay of a standby that the command calls down: over any threshold.
    static constexpr std::chrono::microseconds delay_of_lost = std::chrono::hours(24 * 36'500);
    std::uint32_t timeline = 0;    ///< The one that it writes or replays; 0: not known.
    int connection_count_max = 0;  ///< That it lets ordinary users have; 0: not known.
    std::chrono::system_clock::time_point last_status_change{};

    /// Pgpool-II's "valid": a session may open links to it.
    bool is_valid() const { return status == node_status::waiting || status == node_status::up; }

    friend bool operator==(const node_view&, const node_view&) = default;
};

/// The published state of the cluster: immutable, replaced as a whole. Workers hold one by
/// shared_ptr; `epoch` tells whether theirs is still the newest.
struct cluster_view {
    std::uint64_t epoch = 0;
    std::vector<node_view> nodes;  ///< Index is the node id.
    int primary = -1;              ///< Node id, or -1 while no primary is known.

    /// Whether there is such a node, and it is in use.
    bool is_valid(int node) const
    {
        const auto id = static_cast<std::size_t>(node);
        return id < nodes.size() && nodes[id].is_valid();
    }

    /// The lowest valid node, or -1: Pgpool-II's main node.
    int main_node() const
    {
        for (const auto& node : nodes) {
            if (node.is_valid()) return node.id;
        }
        return -1;
    }
};

using cluster_view_ptr = std::shared_ptr<const cluster_view>;

}  // namespace pgtorii::ha
