#pragma once

#include "config/settings.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

namespace pgtorii::ha {

/// Something about the cluster that operators should read in the log.
struct cluster_event {
    enum class kind : std::uint8_t {
        primary_found,
        standby_found,
        main_found,  ///< Raw mode: the main node has changed.
        primary_lost,
        search_started,
        search_is_long,
        node_down,
        node_up,
        node_renamed,     ///< Its name resolves to other addresses than before.
        check_failed,     ///< Absent, but not (yet) down.
        check_refused,    ///< It answers, but doesn't let us in.
        second_primary,   ///< Not in recovery, although another one is the primary.
        foreign_system,   ///< A server of another cluster.
        stale_timeline,   ///< Not in recovery, but the cluster has gone on without it.
        standby_delayed,  ///< It is behind the primary, by delay_bytes or delay_time.
        main_replaced,    ///< Raw mode: it answers again, but another main node has taken over.
    };
    kind what;
    int node = -1;
    int other_node = -1;  ///< second_primary, standby_delayed: the primary.
    std::string place;    ///< Host and port of the node.
    std::string cause;    ///< Why it is down, failed or refused.
    std::int64_t delay_bytes = 0;
    std::optional<std::chrono::microseconds> delay_time{};  ///< When it is measured by time.
};

struct log_text {
    config::message_level level;
    std::string message;
    std::string detail;
    std::string hint;
};

/// The log line of an event: Pgpool-II's wording where scripts read it.
log_text text_of(const cluster_event& event);

}  // namespace pgtorii::ha
