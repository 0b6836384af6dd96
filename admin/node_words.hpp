#pragma once

#include "ha/cluster_view.hpp"

#include <string_view>

/// Pgpool-II's words for states of nodes: SHOW, PCP and log lines print them.
namespace pgtorii::admin {

inline std::string_view word_of(ha::node_status status)
{
    switch (status) {
    case ha::node_status::unused: return "unused";
    case ha::node_status::waiting: return "waiting";
    case ha::node_status::up: return "up";
    case ha::node_status::down: return "down";
    case ha::node_status::quarantine: return "quarantine";
    }
    return "unused";
}

inline std::string_view word_of(ha::node_role role)
{
    switch (role) {
    case ha::node_role::primary: return "primary";
    case ha::node_role::standby: return "standby";
    case ha::node_role::unknown: return "unknown";
    }
    return "unknown";
}

}  // namespace pgtorii::admin
