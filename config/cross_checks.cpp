#include "config/cross_checks.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace pgtorii::config {
namespace {

using findings = std::vector<finding>;

void check_modes(const settings& values, findings& found)
{
    const auto refuse_mode = [&](const char* mode) {
        found.push_back(
            {severity::error,
             "backend_clustering_mode",
             {fmt::format("backend_clustering_mode = {} is not supported: pgtorii does not copy "
                          "writes to several servers itself",
                          mode),
              "Let PostgreSQL replicate, and use streaming_replication, logical_replication or "
              "raw."}});
    };
    if (values.backend_clustering_mode == clustering_mode::native_replication)
        refuse_mode("native_replication");
    if (values.backend_clustering_mode == clustering_mode::snapshot_isolation)
        refuse_mode("snapshot_isolation");
    if (!values.replication_mode) return;
    found.push_back({values.failover_when_quorum_exists ? severity::error : severity::warning,
                     "replication_mode",
                     {"replication_mode = on has no effect but to make Pgpool-II refuse "
                      "failover_when_quorum_exists",
                      "Remove it: backend_clustering_mode sets the mode."}});
}

void check_backends(const settings& values, findings& found)
{
    for (std::size_t i = 0; i < values.backends.size(); ++i) {
        const auto& node = values.backends[i];
        if (!node.configured || !node.backend_data_directory.empty()) continue;
        for (const auto& [name, command] :
             {std::pair{"recovery_1st_stage_command", &values.recovery_1st_stage_command},
              std::pair{"recovery_2nd_stage_command", &values.recovery_2nd_stage_command}}) {
            if (command->empty()) continue;
            found.push_back(
                {severity::error,
                 name,
                 {fmt::format("{} is set, but backend_data_directory{} is not", name, i),
                  "Online recovery needs the data directory of every backend."}});
        }
    }
}

void check_node_limits(const settings& values, findings& found)
{
    for (const auto& [node, count] : connection_limits(values.node_connection_limit_list)) {
        std::size_t id = values.backends.size();
        const auto read = std::from_chars(node.data(), node.data() + node.size(), id);
        const bool is_node = read.ec == std::errc{} && read.ptr == node.data() + node.size() &&
                             id < values.backends.size() && values.backends[id].configured;
        if (is_node) continue;
        found.push_back({severity::error,
                         "node_connection_limit_list",
                         {fmt::format("there is no node \"{}\"", node),
                          "Name a backend by its number, as in 1:20."}});
    }
}

void check_watchdog(const settings& values, findings& found)
{
    const auto is_configured = [](const watchdog_node& node) { return node.configured; };
    if (values.use_watchdog &&
        std::none_of(values.watchdog_nodes.begin(), values.watchdog_nodes.end(), is_configured))
        found.push_back({severity::error,
                         "use_watchdog",
                         {"use_watchdog is on, but no wd_port is set",
                          "Set hostname0, wd_port0 and pgpool_port0, and so on for each node."}});
    if (values.wd_lifecheck_method != lifecheck::heartbeat) return;
    for (std::size_t i = 0; i < values.heartbeats.size(); ++i) {
        const auto& address = values.heartbeats[i];
        if (!address.configured || !address.heartbeat_hostname.empty()) continue;
        // Pgpool-II is as strict with the watchdog off, but from 4.7 on for the own node only.
        found.push_back(
            {values.use_watchdog ? severity::error : severity::warning,
             fmt::format("heartbeat_port{}", i),
             {fmt::format("heartbeat_port{0} is set, but heartbeat_hostname{0} is not", i),
              fmt::format("Set heartbeat_hostname{} too.", i)}});
    }
}

void check_sizes(const settings& values, findings& found)
{
    if (values.process_management_mode == management_mode::dynamic &&
        (values.min_spare_children >= values.max_spare_children ||
         values.max_spare_children > values.num_init_children))
        found.push_back({severity::error,
                         "process_management_mode",
                         {"min_spare_children, max_spare_children and num_init_children do not "
                          "ascend",
                          "With process_management_mode = dynamic, min_spare_children is below "
                          "max_spare_children, which is at most num_init_children."}});
    const bool uses_memory = values.memqcache_method == cache_store::shmem &&
                             (values.memory_cache_enabled || values.enable_shared_relcache);
    if (!uses_memory) return;
    if (values.memqcache_maxcache > values.memqcache_cache_block_size)
        found.push_back({severity::error,
                         "memqcache_maxcache",
                         {fmt::format("memqcache_maxcache ({} bytes) is above "
                                      "memqcache_cache_block_size ({} bytes)",
                                      values.memqcache_maxcache, values.memqcache_cache_block_size),
                          "A result must fit in one block."}});
    if (values.memqcache_cache_block_size > values.memqcache_total_size)
        found.push_back(
            {severity::error,
             "memqcache_cache_block_size",
             {fmt::format("memqcache_cache_block_size ({} bytes) is above "
                          "memqcache_total_size ({} bytes)",
                          values.memqcache_cache_block_size, values.memqcache_total_size),
              "The cache must hold at least one block."}});
}

}  // namespace

std::vector<finding> cross_check(const settings& values)
{
    findings found;
    check_modes(values, found);
    check_backends(values, found);
    check_node_limits(values, found);
    check_watchdog(values, found);
    check_sizes(values, found);
    return found;
}

}  // namespace pgtorii::config
