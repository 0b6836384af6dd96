#pragma once

#include "config/settings.hpp"

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace pgtorii::ha {

/// As whom a check logs in. An empty password: only servers that ask for none let it in.
struct check_login {
    std::string user;
    std::string database;
    std::string password;
    friend bool operator==(const check_login&, const check_login&) = default;
};

/// One configured server, as far as its watching is concerned.
struct node_config {
    int id = 0;
    bool is_configured = true;  ///< False: a hole between node ids.
    std::string hostname;       ///< A leading slash: the directory of a Unix-domain socket.
    int port = 0;
    double weight = 0;
    std::string data_directory;
    std::string application_name;
    bool always_primary = false;
    bool disallow_failover = false;
    check_login login;
    std::chrono::milliseconds connect_timeout{10'000};  ///< Zero: no limit.
    std::chrono::milliseconds check_timeout{20'000};    ///< For a whole check. Zero: no limit.
    std::chrono::milliseconds check_period{10'000};     ///< Zero: only when there is a reason.
    int failure_count_max = 0;                          ///< Failed checks that are tolerated.
    std::chrono::milliseconds retry_delay{1'000};       ///< Between failed checks.
    friend bool operator==(const node_config&, const node_config&) = default;
};

/// How the delay of standbys is measured, and when it is logged.
struct delay_config {
    bool is_measured = true;  ///< Streaming replication, and sr_check_period is not zero.
    bool by_time = false;     ///< Delays are compared and shown as time.
    /// replication_delay_source_cmd; it takes the place of our own measuring. Empty: none.
    std::string command;
    std::chrono::milliseconds command_timeout{10'000};
    std::chrono::milliseconds period{10'000};  ///< Of the command and of log lines.
    config::delay_logging logging = config::delay_logging::none;
    std::int64_t threshold_bytes = 0;  ///< Zero: none.
    std::chrono::milliseconds threshold_time{};
    friend bool operator==(const delay_config&, const delay_config&) = default;
};

/// What the watching of the cluster needs to know of the configuration.
struct cluster_config {
    config::clustering_mode mode = config::clustering_mode::streaming_replication;
    std::vector<node_config> nodes;  ///< Index is the node id.
    /// A session's report and one failed check that confirms it are enough
    /// (failover_on_backend_error).
    bool trusts_reports = true;
    delay_config delay;
    /// How long a search goes on before it warns (search_primary_node_timeout); zero: it never
    /// does.
    std::chrono::milliseconds search_warning_after{300'000};
    friend bool operator==(const cluster_config&, const cluster_config&) = default;
};

/// The part of the settings that concerns the watching of servers.
///
/// A check logs in as sr_check_user, else as the node's health_check_user, else as "postgres": one
/// check serves for both of Pgpool-II's. Its period is the shorter one of sr_check_period and
/// health_check_period that is not zero.
cluster_config cluster_config_of(const config::settings& settings);

/// Whether delays of standbys are measured, compared and shown as time instead of bytes.
bool measures_delay_by_time(const config::settings& settings);

}  // namespace pgtorii::ha
