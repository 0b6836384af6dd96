#pragma once

#include "core/base/result.hpp"
#include "ha/cluster_view.hpp"

#include <chrono>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace pgtorii::ha {

/// replication_delay_source_cmd with what Pgpool-II appends to it: " host:port" of each configured
/// server but the primary, in the order of their node ids. Ids of these go into `nodes`.
std::string delay_command_line(std::string_view command, const cluster_view& view,
                               std::vector<int>& nodes);

/// What the command has printed: one line of `count` numbers (milliseconds, fractions allowed)
/// separated by blanks; -1 means that the server is down (node_view::delay_of_lost). Errors:
/// errc::delays_malformed.
[[nodiscard]] result<std::vector<std::chrono::microseconds>> read_delays(std::string_view output,
                                                                         std::size_t count);

}  // namespace pgtorii::ha
