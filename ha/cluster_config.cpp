#include "ha/cluster_config.hpp"

#include <algorithm>
#include <string_view>

namespace pgtorii::ha {
namespace {

constexpr std::string_view plain_text_prefix = "TEXT";

/// sr_check_password and health_check_password may say by a prefix that they are plain text.
std::string plain_password(const std::string& configured)
{
    const bool has_prefix = configured.starts_with(plain_text_prefix);
    return has_prefix ? configured.substr(plain_text_prefix.size()) : configured;
}

check_login login_of(const config::settings& settings, const config::backend& backend)
{
    const bool by_replication_check = !settings.sr_check_user.empty();
    check_login login;
    login.user = by_replication_check ? settings.sr_check_user : backend.health_check_user;
    login.password = plain_password(by_replication_check ? settings.sr_check_password
                                                         : backend.health_check_password);
    login.database =
        by_replication_check ? settings.sr_check_database : backend.health_check_database;
    if (login.user.empty()) login.user = "postgres";
    if (login.database.empty()) login.database = "postgres";
    return login;
}

std::chrono::seconds period_of(std::chrono::seconds one, std::chrono::seconds other)
{
    if (one == std::chrono::seconds::zero()) return other;
    if (other == std::chrono::seconds::zero()) return one;
    return std::min(one, other);
}

node_config node_of(const config::settings& settings, const config::backend& backend, int id)
{
    node_config node;
    node.id = id;
    node.is_configured = backend.configured;
    node.hostname = backend.backend_hostname;
    node.port = backend.backend_port;
    node.weight = backend.backend_weight;
    node.data_directory = backend.backend_data_directory;
    node.application_name = backend.backend_application_name;
    node.always_primary = backend.backend_flag.always_primary;
    node.disallow_failover = !backend.backend_flag.allow_to_failover;
    node.login = login_of(settings, backend);
    node.connect_timeout = backend.connect_timeout;
    node.check_timeout = backend.health_check_timeout;
    node.check_period = period_of(settings.sr_check_period, backend.health_check_period);
    node.failure_count_max = backend.health_check_max_retries;
    node.retry_delay = backend.health_check_retry_delay;
    return node;
}

delay_config delay_of(const config::settings& settings)
{
    delay_config delay;
    delay.is_measured =
        settings.backend_clustering_mode == config::clustering_mode::streaming_replication &&
        settings.sr_check_period > std::chrono::seconds::zero();
    delay.command = settings.replication_delay_source_cmd;
    delay.by_time = measures_delay_by_time(settings);
    delay.command_timeout = settings.replication_delay_source_timeout;
    delay.period = settings.sr_check_period;
    delay.logging = settings.log_standby_delay;
    delay.threshold_bytes = settings.delay_threshold;
    delay.threshold_time = settings.delay_threshold_by_time;
    return delay;
}

}  // namespace

bool measures_delay_by_time(const config::settings& settings)
{
    return settings.delay_threshold_by_time.count() > 0 ||
           !settings.replication_delay_source_cmd.empty();
}

cluster_config cluster_config_of(const config::settings& settings)
{
    cluster_config cluster;
    cluster.mode = settings.backend_clustering_mode;
    cluster.trusts_reports = settings.failover_on_backend_error;
    cluster.search_warning_after = settings.search_primary_node_timeout;
    cluster.delay = delay_of(settings);
    for (const auto& backend : settings.backends) {
        const auto id = static_cast<int>(cluster.nodes.size());
        cluster.nodes.push_back(node_of(settings, backend, id));
    }
    return cluster;
}

}  // namespace pgtorii::ha
