#include "core/connection_budget.hpp"

#include "core/link_pool.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>

namespace pgtorii::core {

namespace {

/// Besides the links of sessions: look-ups in the catalog, the look at the server, and its WAL
/// positions for causal reads.
constexpr std::int64_t own_connection_count = link_pool::extra_turn_count_max + 2;

}  // namespace

std::optional<budget_shortage> find_budget_shortage(const config::settings& settings,
                                                    const ha::node_view& node)
{
    if (node.connection_count_max <= 0) return std::nullopt;
    const auto pool_count = std::max(settings.max_pool, 1);
    const auto link_count = std::int64_t{settings.num_init_children} * pool_count;
    const auto wanted = link_count + own_connection_count;
    if (wanted <= node.connection_count_max) return std::nullopt;
    budget_shortage found;
    found.message = fmt::format("node {} lets in {} connections, and up to {} may be opened to it",
                                node.id, node.connection_count_max, wanted);
    found.detail = fmt::format(
        "num_init_children * max_pool = {} * {} = {} for clients, and {} for pgtorii itself; the "
        "server's max_connections less what it keeps for superusers is {}.",
        settings.num_init_children, pool_count, link_count, own_connection_count,
        node.connection_count_max);
    if (settings.max_client_connections > 0) {
        found.detail += fmt::format(" At most {} clients may connect (max_client_connections).",
                                    settings.max_client_connections);
    }
    found.hint = "Raise max_connections there, or lower num_init_children or max_pool: clients "
                 "beyond them wait in order.";
    return found;
}

}  // namespace pgtorii::core
