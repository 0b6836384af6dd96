#include "routing/choose_node.hpp"

#include "routing/decision.hpp"
#include "routing/rules.hpp"

#include <algorithm>
#include <cstdint>
#include <limits>

namespace pgtorii::routing {

namespace {

bool is_valid(const ha::cluster_view& view, int id)
{
    return id >= 0 && static_cast<std::size_t>(id) < view.nodes.size() &&
           view.nodes[static_cast<std::size_t>(id)].is_valid();
}

int fallback(const ha::cluster_view& view)
{
    return is_valid(view, view.primary) ? view.primary : view.main_node();
}

/// By weight among the valid nodes that `is_candidate` takes: the last one whose preceding sum is
/// not above the draw. -1 when none of them has a weight.
template <class Predicate>
int draw_by_weight(const ha::cluster_view& view, double draw, Predicate is_candidate)
{
    const auto counts = [&](const ha::node_view& node) {
        return node.is_valid() && node.weight_normalized > 0 && is_candidate(node);
    };
    double total = 0;
    for (const auto& node : view.nodes) total += counts(node) ? node.weight_normalized : 0;
    int chosen = -1;
    double before = 0;
    for (const auto& node : view.nodes) {
        if (!counts(node)) continue;
        if (chosen < 0 || before <= draw * total) chosen = node.id;
        before += node.weight_normalized;
    }
    return chosen;
}

}  // namespace

int choose_node(const ha::cluster_view& view, double draw)
{
    const int chosen = draw_by_weight(view, draw, [](const auto&) { return true; });
    return chosen >= 0 ? chosen : fallback(view);
}

int choose_node(const ha::cluster_view& view, const config::redirect_list::entry* wish, double draw)
{
    if (wish == nullptr) return choose_node(view, draw);
    // One draw serves both choices: within its part it is uniform again.
    const bool is_taken = draw < wish->ratio;
    const double rest = is_taken ? draw / wish->ratio : (draw - wish->ratio) / (1 - wish->ratio);
    const bool has_primary = is_valid(view, view.primary);
    if (wish->target == config::redirect_target::standby) {
        if (!is_taken && has_primary) return view.primary;
        const int chosen = draw_by_weight(view, is_taken ? rest : draw, [&](const auto& node) {
            return node.id != view.primary;
        });
        return chosen >= 0 ? chosen : fallback(view);
    }
    int named = wish->target == config::redirect_target::primary ? view.primary : wish->node;
    if (wish->target == config::redirect_target::node &&
        static_cast<std::size_t>(named) >= view.nodes.size()) {
        named = view.main_node();
    }
    if (!is_valid(view, named)) return choose_node(view, draw);
    if (is_taken) return named;
    const int chosen =
        draw_by_weight(view, rest, [&](const auto& node) { return node.id != named; });
    return chosen >= 0 ? chosen : fallback(view);
}

int choose_least_delayed(const ha::cluster_view& view, const rules& rules, double draw)
{
    const bool is_by_time = rules.parameters().delay_threshold_by_time.count() > 0;
    const auto delay_of = [is_by_time](const ha::node_view& node) {
        return is_by_time ? node.replication_delay_time.count() : node.replication_delay;
    };
    const auto is_candidate = [&](const ha::node_view& node) {
        return node.is_valid() && node.weight_normalized > 0 && node.id != view.primary &&
               !rules.is_late(node);
    };
    auto smallest = std::numeric_limits<std::int64_t>::max();
    for (const auto& node : view.nodes) {
        if (is_candidate(node)) smallest = std::min(smallest, std::int64_t{delay_of(node)});
    }
    return draw_by_weight(view, draw, [&](const auto& node) {
        return is_candidate(node) && delay_of(node) == smallest;
    });
}

}  // namespace pgtorii::routing
