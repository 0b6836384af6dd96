#pragma once

#include "admin/show_commands.hpp"

namespace pgtorii::admin {

/// The tables of SHOW POOL_*, one function each. Column lists and words are Pgpool-II's.
result_table pool_version_table(const admin_source& source);
result_table pool_nodes_table(const admin_source& source);
result_table pool_backend_stats_table(const admin_source& source);
/// Our own: the sessions that keep their links in a pool mode that shares them.
result_table pool_pins_table(const admin_source& source);
result_table pool_cache_table(const admin_source& source);
result_table pool_status_table(const admin_source& source);
/// A row for each session, and for each place that is left of num_init_children.
result_table pool_processes_table(const admin_source& source);
/// A row for each connection to a server, and for each place that is left of max_pool times that.
result_table pool_pools_table(const admin_source& source);

}  // namespace pgtorii::admin
