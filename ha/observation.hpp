#pragma once

#include "core/base/result.hpp"
#include "ha/cluster_view.hpp"

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace pgtorii::ha {

/// A standby as its sender shows it in pg_stat_replication.
struct replication_row {
    std::string application_name;
    std::string state;
    std::string sync_state;
    std::chrono::microseconds replay_lag{};  ///< Zero: none, or not told.
};

/// What a server says of itself. Zero: it does not tell (too old, or the user may not see it).
struct server_facts {
    bool in_recovery = false;
    std::uint64_t system_identifier = 0;
    std::uint32_t timeline = 0;
    std::uint64_t lsn = 0;                   ///< Written on a primary, replayed on a standby.
    std::vector<replication_row> receivers;  ///< Who streams from it.
    int connection_count_max = 0;  ///< max_connections less those that it keeps for superusers.
};

/// How a look at a server ended.
enum class verdict : std::uint8_t {
    answered,  ///< It let us in and told whether it is in recovery.
    refused,   ///< It said no: PostgreSQL is there, whether it serves or not.
    absent,    ///< Nobody there, or nobody who answers in time and in PostgreSQL's language.
};

/// One look at one server.
struct observation {
    int node = 0;
    ha::verdict verdict = ha::verdict::absent;
    server_facts facts;                     ///< When answered.
    error_code failure;                     ///< When not.
    std::string sqlstate;                   ///< When refused.
    std::string message;                    ///< When refused: the server's own words.
    std::vector<socket_address> addresses;  ///< What the name resolves to now; empty: unknown.
    bool was_reported = false;              ///< Made because a session saw trouble with the server.
};

}  // namespace pgtorii::ha
