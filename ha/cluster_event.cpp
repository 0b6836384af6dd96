#include "ha/cluster_event.hpp"

#include <fmt/format.h>

namespace pgtorii::ha {

namespace {

/// Pgpool-II's words for both ways of measuring.
std::string text_of_delay(const cluster_event& event)
{
    if (!event.delay_time) {
        return fmt::format(
            "Replication of node: {} is behind {} bytes from the primary server (node: {})",
            event.node, event.delay_bytes, event.other_node);
    }
    const std::chrono::duration<double> seconds = *event.delay_time;
    return fmt::format(
        "Replication of node: {} is behind {:.6f} second(s) from the primary server (node: {})",
        event.node, seconds.count(), event.other_node);
}

}  // namespace

log_text text_of(const cluster_event& event)
{
    using enum cluster_event::kind;
    using config::message_level;
    const auto name = fmt::format("node {} ({})", event.node, event.place);
    switch (event.what) {
    case primary_found:
        return {message_level::log,
                fmt::format("find_primary_node: primary node is {}", event.node),
                {},
                {}};
    case standby_found:
        return {message_level::log,
                fmt::format("find_primary_node: standby node is {}", event.node),
                {},
                {}};
    case main_found:
        return {message_level::log, fmt::format("main node is {}", event.node), {}, {}};
    case search_started:
        return {message_level::log,
                "find_primary_node_repeatedly: waiting for finding a primary node",
                {},
                {}};
    case search_is_long:
        return {message_level::warning, "no primary was found within search_primary_node_timeout",
                "The search goes on every second.",
                "Look whether one of the servers runs and is not in recovery, and whether "
                "sr_check_user can log in."};
    case primary_lost:
        return {message_level::warning,
                fmt::format("{} is no longer the primary", name),
                event.cause,
                {}};
    case node_down:
        return {message_level::warning, fmt::format("{} is down", name), event.cause, {}};
    case node_up: return {message_level::log, fmt::format("{} is up", name), {}, {}};
    case node_renamed:
        return {
            message_level::log, fmt::format("{} has other addresses than before", name), {}, {}};
    case check_failed:
        return {message_level::warning,
                fmt::format("health check failed on {}", name),
                event.cause,
                {}};
    case check_refused:
        return {message_level::warning,
                fmt::format("{} is alive but refuses the health check", name), event.cause,
                "Sessions are still sent to it."};
    case second_primary:
        return {message_level::warning,
                fmt::format("{} is not in recovery, but node {} is the primary", name,
                            event.other_node),
                "It gets no sessions while both are there: their data may differ.",
                "Make it a standby of the primary again, or stop it."};
    case foreign_system:
        return {message_level::warning,
                fmt::format("{} belongs to another cluster", name),
                "Its system identifier differs from the primary's. It gets no sessions.",
                {}};
    case stale_timeline:
        return {message_level::warning, fmt::format("{} is a primary of the past", name),
                "Its timeline is older than that of a later primary. It gets no sessions.",
                "Make it a standby of the new primary, with pg_rewind or from a new base backup."};
    case standby_delayed: return {message_level::log, text_of_delay(event), {}, {}};
    case main_replaced:
        return {message_level::warning,
                fmt::format("{} is there, but another main node has taken over", name),
                "It gets no sessions: it may have missed writes.",
                "Restart pgtorii to go back to it."};
    }
    return {message_level::warning, "unknown event of the cluster", {}, {}};
}

}  // namespace pgtorii::ha
