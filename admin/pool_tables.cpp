#include "admin/pool_tables.hpp"

#include "admin/local_time.hpp"
#include "admin/node_words.hpp"
#include "core/command_line.hpp"
#include "ha/cluster_config.hpp"

#include <fmt/format.h>

#include <chrono>

namespace pgtorii::admin {

namespace {

bool is_streaming(const config::settings& settings)
{
    return settings.backend_clustering_mode == config::clustering_mode::streaming_replication;
}

std::string_view role_of(const ha::node_view& node, const admin_source& source)
{
    if (is_streaming(source.settings))
        return node.id == source.view->primary ? "primary" : "standby";
    return node.id == source.view->main_node() ? "main" : "replica";
}

const config::backend* find_backend(const ha::node_view& node, const config::settings& settings)
{
    const auto index = static_cast<std::size_t>(node.id);
    return index < settings.backends.size() ? &settings.backends[index] : nullptr;
}

/// What the last probe found; a node without health check is not judged.
std::string_view pg_status_of(const ha::node_view& node, const config::settings& settings)
{
    const auto* const backend = find_backend(node, settings);
    if (!backend || backend->health_check_period.count() == 0) return "unknown";
    return node.answers ? "up" : "down";
}

std::string_view pg_role_of(const ha::node_view& node, const admin_source& source)
{
    if (!is_streaming(source.settings)) return role_of(node, source);
    const bool is_asked = source.settings.sr_check_period.count() != 0;
    return is_asked && pg_status_of(node, source.settings) == "up" ? word_of(node.role) : "unknown";
}

/// Bytes, or time with a unit where it is measured so.
std::string delay_of(const ha::node_view& node, const config::settings& settings)
{
    if (!ha::measures_delay_by_time(settings)) return std::to_string(node.replication_delay);
    const std::chrono::duration<double> seconds = node.replication_delay_time;
    return fmt::format("{:.6f} {}", seconds.count(), seconds.count() < 2 ? "second" : "seconds");
}

/// Calls `visit` for each configured node: a hole between node ids has no port.
template <class Visit>
void for_each_node(const admin_source& source, Visit visit)
{
    if (!source.view) return;
    for (const auto& node : source.view->nodes) {
        if (node.port != 0) visit(node);
    }
}

}  // namespace

result_table pool_version_table(const admin_source&)
{
    return {.columns = {"pool_version"},
            .rows = {{fmt::format("{} (pgtorii {})", core::pgpool_version, core::pgtorii_version)}},
            .tag = {}};
}

result_table pool_nodes_table(const admin_source& source)
{
    result_table table;
    table.columns = {"node_id",
                     "hostname",
                     "port",
                     "status",
                     "pg_status",
                     "lb_weight",
                     "role",
                     "pg_role",
                     "select_cnt",
                     "load_balance_node",
                     "replication_delay",
                     "replication_state",
                     "replication_sync_state",
                     "last_status_change"};
    for_each_node(source, [&](const ha::node_view& node) {
        const auto index = static_cast<std::size_t>(node.id);
        const auto selects = index < source.counters.size()
                                 ? source.counters[index].of(routing::statement_class::select)
                                 : 0;
        const bool is_primary = node.id == source.view->primary;
        table.rows.push_back(
            {std::to_string(node.id), node.hostname, std::to_string(node.port),
             std::string{word_of(node.status)}, std::string{pg_status_of(node, source.settings)},
             fmt::format("{:.6f}", node.weight_normalized), std::string{role_of(node, source)},
             std::string{pg_role_of(node, source)}, std::to_string(selects),
             node.id == source.session_balanced_node ? "true" : "false",
             is_primary ? "0" : delay_of(node, source.settings), node.replication_state,
             node.replication_sync_state, local_time(node.last_status_change)});
    });
    return table;
}

result_table pool_backend_stats_table(const admin_source& source)
{
    using enum routing::statement_class;
    using enum core::error_severity;
    result_table table;
    table.columns = {"node_id",    "hostname",   "port",       "status",     "role",
                     "select_cnt", "insert_cnt", "update_cnt", "delete_cnt", "ddl_cnt",
                     "other_cnt",  "panic_cnt",  "fatal_cnt",  "error_cnt"};
    for_each_node(source, [&](const ha::node_view& node) {
        const auto index = static_cast<std::size_t>(node.id);
        const auto counts =
            index < source.counters.size() ? source.counters[index] : core::node_counts{};
        std::vector<std::string> row{std::to_string(node.id), node.hostname,
                                     std::to_string(node.port), std::string{word_of(node.status)},
                                     std::string{role_of(node, source)}};
        for (const auto which : {select, insert, update, delete_, ddl, other}) {
            row.push_back(std::to_string(counts.of(which)));
        }
        for (const auto which : {panic, fatal, error}) {
            row.push_back(std::to_string(counts.of(which)));
        }
        table.rows.push_back(std::move(row));
    });
    return table;
}

result_table pool_pins_table(const admin_source& source)
{
    result_table table;
    table.columns = {"username", "database", "application_name", "client", "reason", "since"};
    for (const auto& each : source.pins) {
        table.rows.push_back({each.user, each.database, each.application_name, each.client,
                              each.why, local_time(each.since)});
    }
    return table;
}

/// There is no query cache yet: what Pgpool-II answers with memory_cache_enabled = off.
result_table pool_cache_table(const admin_source&)
{
    return {.columns = {"num_cache_hits", "num_selects", "cache_hit_ratio", "num_hash_entries",
                        "used_hash_entries", "num_cache_entries", "used_cache_entries_size",
                        "free_cache_entries_size", "fragment_cache_entries_size"},
            .rows = {{"0", "0", "0.00", "0", "0", "0", "0", "0", "0"}},
            .tag = {}};
}

}  // namespace pgtorii::admin
