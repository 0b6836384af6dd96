#pragma once

#include "config/settings.hpp"
#include "ha/cluster_view.hpp"

#include <cstddef>
#include <optional>
#include <string>

namespace pgtorii::core {

/// Why the links that we may open to a server are more than it lets in.
struct budget_shortage {
    std::string message;
    std::string detail;
    std::string hint;
};

/// Holds num_init_children * max_pool against what this server says it lets in; nothing when that
/// is enough, or not known. Else clients fail with the server's "too many clients already" in the
/// hour of the most load, and not before.
std::optional<budget_shortage> find_budget_shortage(const config::settings& settings,
                                                    const ha::node_view& node);

}  // namespace pgtorii::core
