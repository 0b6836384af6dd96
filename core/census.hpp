#pragma once

#include "core/base/clock.hpp"

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace pgtorii::core {

/// A moment of the wall clock, for people; its epoch stands for "never".
using wall_time = std::chrono::system_clock::time_point;

/// What SHOW tells of one connection to a server.
struct link_facts {
    int node = 0;
    std::uint32_t backend_pid = 0;
    wall_time connected_at{};
    wall_time leased_at{};          ///< When its present or last session took it.
    wall_time returned_at{};        ///< When the session before gave it back.
    std::uint64_t lease_count = 0;  ///< So many times a session has taken it.
};

/// What a session is doing.
enum class session_activity : std::uint8_t {
    logging_in,
    serving,              ///< A statement runs, or waits for a server.
    idle,                 ///< The client has nothing to do for us ...
    idle_in_transaction,  ///< ... inside a transaction, a failed one included.
    leaving,              ///< The client has gone, and its links are cleaned up.
};

/// What SHOW tells of one session.
struct session_facts {
    std::uint32_t pid = 0;  ///< That its client was told in BackendKeyData; 0: not yet.
    session_activity activity = session_activity::logging_in;
    wall_time began_at{};
    std::string user;
    std::string database;
    std::string client_host;  ///< "[local]" of a Unix socket.
    int client_port = 0;      ///< 0 of a Unix socket.
    std::chrono::seconds idle_duration{};
    std::chrono::seconds client_idle_limit{};  ///< The session's own; zero: none.
    int balanced_node = -1;                    ///< -1: not chosen yet.
    std::vector<link_facts> links;
};

/// What SHOW tells of a connection that no session holds.
struct parked_link_facts {
    std::string user;
    std::string database;
    link_facts link;
};

/// All sessions and connections, each as it was at a moment of the last second or so: workers are
/// asked one by one.
struct census {
    std::vector<session_facts> sessions;  ///< The oldest first.
    std::vector<parked_link_facts> parked;
    std::size_t link_count_max = 0;  ///< The budget of each node.
};

/// `when` of the steady clock as people tell time. The same moment gives the same second at every
/// call, unless the wall clock is set. The steady clock's epoch ("never") gives the wall clock's.
inline wall_time wall_time_of(clock::time_point when)
{
    using namespace std::chrono;
    if (when == clock::time_point{}) return {};
    // The two clocks are read one after the other: the error is rounded away.
    const auto offset =
        round<milliseconds>(
            (system_clock::now().time_since_epoch() - clock::now().time_since_epoch()) / 100) *
        100;
    return wall_time{duration_cast<system_clock::duration>(when.time_since_epoch() + offset)};
}

}  // namespace pgtorii::core
