#include "admin/pool_tables.hpp"

#include "admin/node_words.hpp"
#include "config/parameter.hpp"
#include "core/base/always_assert.hpp"
#include "ha/cluster_config.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace pgtorii::admin {

namespace {

// Pgpool-II cuts there.
constexpr std::size_t value_bytes_max = 511;
constexpr std::size_t description_bytes_max = 79;

// Pgpool-II's list and order: not all parameters, and some items that are none.
constexpr std::string_view items_before_slots[] = {
    "backend_clustering_mode",
    "listen_addresses",
    "port",
    "unix_socket_directories",
    "unix_socket_group",
    "unix_socket_permissions",
    "pcp_listen_addresses",
    "pcp_port",
    "pcp_socket_dir",
    "enable_pool_hba",
    "pool_passwd",
    "authentication_timeout",
    "allow_clear_text_frontend_auth",
    "ssl",
    "ssl_key",
    "ssl_cert",
    "ssl_ca_cert",
    "ssl_ca_cert_dir",
    "ssl_crl_file",
    "ssl_ciphers",
    "ssl_prefer_server_ciphers",
    "ssl_ecdh_curve",
    "ssl_dh_params_file",
    "ssl_passphrase_command",
    "listen_backlog_multiplier",
    "serialize_accept",
    "reserved_connections",
    "max_pool",
    "process_management_mode",
    "process_management_strategy",
    "num_init_children",
    "min_spare_children",
    "max_spare_children",
    "child_life_time",
    "child_max_connections",
    "connection_life_time",
    "client_idle_limit",
    "log_destination",
    "log_line_prefix",
    "log_error_verbosity",
    "client_min_messages",
    "log_min_messages",
    "log_connections",
    "log_disconnections",
    "log_pcp_processes",
    "log_hostname",
    "log_statement",
    "log_per_node_statement",
    "notice_per_node_statement",
    "log_client_messages",
    "log_backend_messages",
    "log_standby_delay",
    "syslog_facility",
    "syslog_ident",
    "pid_file_name",
    "work_dir",
    "connection_cache",
    "reset_query_list",
    "replicate_select",
    "insert_lock",
    "lobj_lock_table",
    "replication_stop_on_mismatch",
    "failover_if_affected_tuples_mismatch",
    "load_balance_mode",
    "ignore_leading_white_space",
    "read_only_function_list",
    "write_function_list",
    "primary_routing_query_pattern_list",
    "disable_load_balance_on_write",
    "dml_adaptive_object_relationship_list",
    "statement_level_load_balance",
    "sr_check_period",
    "sr_check_user",
    "sr_check_database",
    "delay_threshold",
    "delay_threshold_by_time",
    "prefer_lower_delay_standby",
    "follow_primary_command",
    "user_redirect_preference_list",
    "database_redirect_preference_list",
    "app_name_redirect_preference_list",
    "allow_sql_comments",
    "health_check_period",
    "health_check_timeout",
    "health_check_user",
    "health_check_database",
    "health_check_max_retries",
    "health_check_retry_delay",
    "connect_timeout",
    "failover_command",
    "failback_command",
    "failover_on_backend_error",
    "failover_on_backend_shutdown",
    "detach_false_primary",
    "auto_failback",
    "auto_failback_interval",
    "recovery_user",
    "recovery_database",
    "recovery_1st_stage_command",
    "recovery_2nd_stage_command",
    "recovery_timeout",
    "search_primary_node_timeout",
    "client_idle_limit_in_recovery",
    "relcache_expire",
    "relcache_size",
    "check_temp_table",
    "check_unlogged_table",
    "enable_shared_relcache",
    "relcache_query_target",
    "use_watchdog",
    "wd_ipc_socket_dir",
    "wd_lifecheck_method",
    "clear_memqcache_on_escalation",
    "wd_escalation_command",
    "wd_de_escalation_command",
    "trusted_servers",
    "trusted_server_command",
    "delegate_ip",
    "wd_priority",
    "wd_interval",
    "ping_path",
    "if_cmd_path",
    "if_up_cmd",
    "if_down_cmd",
    "arping_path",
    "arping_cmd",
    "wd_heartbeat_keepalive",
    "wd_heartbeat_deadtime",
    "wd_life_point",
    "wd_lifecheck_query",
    "wd_lifecheck_dbname",
    "wd_lifecheck_user",
};
constexpr std::string_view items_behind_slots[] = {
    "wd_monitoring_interfaces_list",
    "memory_cache_enabled",
    "memqcache_method",
    "memqcache_memcached_host",
    "memqcache_memcached_port",
    "memqcache_total_size",
    "memqcache_max_num_cache",
    "memqcache_expire",
    "memqcache_auto_cache_invalidation",
    "memqcache_maxcache",
    "memqcache_cache_block_size",
    "memqcache_cache_oiddir",
    "memqcache_stats_start_time",
    "memqcache_no_cache_hits",
    "memqcache_cache_hits",
    "cache_safe_memqcache_table_list",
    "cache_unsafe_memqcache_table_list",
};

constexpr std::string_view watchdog_items[] = {"hostname", "pgpool_port", "wd_port"};
constexpr std::string_view heartbeat_items[] = {"heartbeat_hostname", "heartbeat_device",
                                                "heartbeat_port"};

constexpr std::string_view lists_null_when_empty[] = {
    "dml_adaptive_object_relationship_list", "user_redirect_preference_list",
    "database_redirect_preference_list", "app_name_redirect_preference_list"};

/// Items that are no parameter. There is no query cache yet, so nothing was counted.
struct fixed_item {
    std::string_view name;
    std::string_view value;
    std::string_view description;
};
constexpr fixed_item fixed_items[] = {
    {"memqcache_stats_start_time", "", "Start of the query cache statistics."},
    {"memqcache_no_cache_hits", "0", "SELECTs not answered from the query cache."},
    {"memqcache_cache_hits", "0", "SELECTs answered from the query cache."},
};

/// The number that Pgpool-II has for a word: its enumerations begin at 1, but for these.
std::string number_of(const config::parameter& row, std::int64_t enumerator)
{
    if (row.name == "syslog_facility") return config::to_text(row, enumerator);
    if (row.name == "log_error_verbosity") return std::to_string(enumerator);
    if (row.name == "client_min_messages" || row.name == "log_min_messages") {
        // 10 to 14 debug, 15 log, 16 a level that only servers use, 17 info ...
        constexpr auto log = static_cast<std::int64_t>(config::message_level::log);
        return std::to_string(enumerator + (enumerator <= log ? 10 : 11));
    }
    return std::to_string(enumerator + 1);
}

std::string value_text(const config::parameter& row, const config::value& value)
{
    if (const auto* const flag = std::get_if<bool>(&value)) return *flag ? "1" : "0";
    if (const auto* const real = std::get_if<double>(&value)) return fmt::format("{:.6f}", *real);
    if (const auto* const text = std::get_if<std::string>(&value)) {
        const bool is_null =
            text->empty() && std::ranges::count(lists_null_when_empty, row.name) > 0;
        return is_null ? "(null)" : *text;
    }
    const auto number = std::get<std::int64_t>(value);
    if (!row.words.empty()) return number_of(row, number);
    return row.is_octal ? fmt::format("{:04o}", number) : std::to_string(number);
}

/// At most `bytes` of a text, not ending inside a UTF-8 character.
std::string cut(std::string_view text, std::size_t bytes)
{
    if (text.size() <= bytes) return std::string{text};
    while (bytes > 0 && (static_cast<unsigned char>(text[bytes]) & 0xc0) == 0x80) --bytes;
    return std::string{text.substr(0, bytes)};
}

void add(result_table& table, std::string item, std::string_view value,
         std::string_view description)
{
    table.rows.push_back(
        {std::move(item), cut(value, value_bytes_max), cut(description, description_bytes_max)});
}

void add_plain(result_table& table, std::string_view item, const config::settings& settings)
{
    const auto fixed = std::ranges::find(fixed_items, item, &fixed_item::name);
    if (fixed != std::end(fixed_items)) {
        add(table, std::string{item}, fixed->value, fixed->description);
        return;
    }
    // So spelled by Pgpool-II.
    const auto* const row =
        config::find_plain(item == "memqcache_cache_oiddir" ? "memqcache_oiddir" : item);
    always_assert(row);
    add(table, std::string{item}, value_text(*row, row->get(settings, 0)), row->meaning);
}

void add_slot(result_table& table, std::string_view name, std::size_t index,
              const config::settings& settings)
{
    const auto* const row = config::find_indexed(name);
    always_assert(row);
    add(table, config::indexed_name(*row, index), value_text(*row, row->get(settings, index)),
        row->meaning);
}

/// What the view knows of a node stands between its parameters.
void add_backend(result_table& table, const ha::node_view& node, const config::settings& settings)
{
    const auto index = static_cast<std::size_t>(node.id);
    for (const auto name : {"backend_hostname", "backend_port"})
        add_slot(table, name, index, settings);
    add(table, fmt::format("backend_weight{}", index),
        fmt::format("{:.6f}", node.weight_normalized), "Share of this server in load balancing.");
    add_slot(table, "backend_data_directory", index, settings);
    add(table, fmt::format("backend_status{}", index), word_of(node.status),
        "Status of this server.");
    const bool by_time = ha::measures_delay_by_time(settings);
    add(table, fmt::format("standby_delay{}", index),
        std::to_string(by_time ? node.replication_delay_time.count() : node.replication_delay),
        by_time ? "Replication delay of this server, in microseconds."
                : "Replication delay of this server, in bytes.");
    for (const auto name : {"backend_flag", "backend_application_name"}) {
        add_slot(table, name, index, settings);
    }
}

}  // namespace

result_table pool_status_table(const admin_source& source)
{
    const auto& settings = source.settings;
    result_table table;
    table.columns = {"item", "value", "description"};
    for (const auto item : items_before_slots) add_plain(table, item, settings);
    for (std::size_t i = 0; i < settings.watchdog_nodes.size(); ++i) {
        if (!settings.watchdog_nodes[i].configured) continue;
        for (const auto name : watchdog_items) add_slot(table, name, i, settings);
    }
    for (std::size_t i = 0; i < settings.heartbeats.size(); ++i) {
        if (!settings.heartbeats[i].configured) continue;
        for (const auto name : heartbeat_items) add_slot(table, name, i, settings);
    }
    for (const auto item : items_behind_slots) add_plain(table, item, settings);
    if (source.view) {
        for (const auto& node : source.view->nodes) {
            if (node.port != 0) add_backend(table, node, settings);
        }
    }
    return table;
}

}  // namespace pgtorii::admin
