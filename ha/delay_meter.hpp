#pragma once

#include "core/base/clock.hpp"
#include "ha/cluster_config.hpp"
#include "ha/observation.hpp"
#include "ha/wal_history.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace pgtorii::ha {

/// The delay of standbys as time, and when a delay is worth a line in the log. Knows no clock;
/// times never go back.
///
/// As time it is the larger one of two: what the primary tells in pg_stat_replication (replay_lag;
/// null is zero; without a row what it told last stays), and how long a standby has not replayed
/// what the primary is known to have written. Pgpool-II knows the first alone, which stands still
/// at a few milliseconds while replay is stopped. With a command it is what the command says.
class delay_meter {
public:
    explicit delay_meter(delay_config config) : config_(std::move(config)) {}

    void configure(const delay_config& config);
    const delay_config& config() const { return config_; }

    /// The primary has answered.
    void on_primary(const server_facts& facts, const std::vector<node_config>& nodes,
                    clock::time_point now);
    /// A standby has answered.
    void on_standby(int node, std::uint64_t replayed_lsn, clock::time_point now);
    /// The command says so.
    void on_command(int node, std::chrono::microseconds delay);
    /// There is another primary, or none.
    void on_primary_changed();
    /// Another server has this node id.
    void forget(int node);

    /// Zero: none, not measured yet, or not measured by time.
    std::chrono::microseconds time_of(int node) const;
    /// Whether the log should be told of this delay now; it is then told for this period.
    bool begins_log(int node, std::int64_t delay_bytes, clock::time_point now);

private:
    struct record {
        std::chrono::microseconds told{};     // by the primary, or by the command
        std::chrono::microseconds overdue{};  // what we know ourselves
        bool was_logged = false;
        clock::time_point logged{};
    };

    bool measures_itself() const { return config_.is_measured && config_.command.empty(); }
    record& at(int node);

    delay_config config_;
    wal_history history_;
    std::vector<record> records_;  // index is the node id
};

}  // namespace pgtorii::ha
