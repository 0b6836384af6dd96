#pragma once

#include "config/redirect_list.hpp"
#include "ha/cluster_view.hpp"

#include <cstdint>

namespace pgtorii::routing {

/// choose_node of decision.hpp, steered by an entry of a redirect list (routing.md, section 6);
/// null: none matched. A share `ratio` of the sessions goes where the entry says, the others by
/// weight elsewhere. An entry that names a node which is down counts as none; a node that is not
/// configured means the main node.
int choose_node(const ha::cluster_view& view, const config::redirect_list::entry* wish,
                double draw);

/// prefer_lower_delay_standby: by weight among the valid standbys with a weight whose delay is the
/// smallest, if that is not above `delay_threshold` (bytes); else -1.
int choose_least_delayed(const ha::cluster_view& view, std::int64_t delay_threshold, double draw);

}  // namespace pgtorii::routing
