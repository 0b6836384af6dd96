#pragma once

#include "config/redirect_list.hpp"
#include "ha/cluster_view.hpp"

namespace pgtorii::routing {

class rules;

/// choose_node of decision.hpp, steered by an entry of a redirect list (routing.md, section 6);
/// null: none matched. A share `ratio` of the sessions goes where the entry says, the others by
/// weight elsewhere. An entry that names a node which is down counts as none; a node that is not
/// configured means the main node.
int choose_node(const ha::cluster_view& view, const config::redirect_list::entry* wish,
                double draw);

/// prefer_lower_delay_standby: by weight among the valid standbys with a weight whose delay is the
/// smallest (in time when delay_threshold_by_time is set, else in bytes), if that is not over the
/// threshold; else -1.
int choose_least_delayed(const ha::cluster_view& view, const rules& rules, double draw);

}  // namespace pgtorii::routing
