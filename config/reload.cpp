#include "config/reload.hpp"

#include "config/parameter.hpp"
#include "core/base/always_assert.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace pgtorii::config {
namespace {

/// Puts back what can't change of backend `id`, which is running.
void keep_backend(const backend& running, std::size_t id, bool is_detached, reload_outcome& outcome)
{
    auto& all = outcome.values.backends;
    if (all.size() <= id) all.resize(id + 1);
    auto& fresh = all[id];
    if (!fresh.configured) {
        fresh = running;
        outcome.kept.push_back(fmt::format("backend_port{}", id));
        return;
    }
    const auto keep = [&](auto backend::* member, const char* name) {
        if (fresh.*member == running.*member) return;
        fresh.*member = running.*member;
        outcome.kept.push_back(fmt::format("{}{}", name, id));
    };
    keep(&backend::backend_hostname, "backend_hostname");
    keep(&backend::backend_port, "backend_port");
    if (!is_detached) keep(&backend::backend_data_directory, "backend_data_directory");
}

}  // namespace

reload_outcome reload(const settings& running, settings fresh, const std::vector<bool>& is_detached)
{
    reload_outcome outcome{std::move(fresh), {}, {}};
    for (std::size_t id = 0; id < running.backends.size(); ++id) {
        if (running.backends[id].configured)
            keep_backend(running.backends[id], id, id < is_detached.size() && is_detached[id],
                         outcome);
    }
    for_each_parameter([&](const section&, const parameter& row) {
        if (!row.alias_of.empty()) return;
        const auto count = std::max(slot_count(running, row), slot_count(outcome.values, row));
        for (std::size_t i = 0; i < count; ++i) {
            const auto before = row.get(running, i);
            if (row.get(outcome.values, i) == before) continue;
            const bool is_kept = row.context == context::restart;
            (is_kept ? outcome.kept : outcome.changed).push_back(indexed_name(row, i));
            if (!is_kept) continue;
            const auto failure = row.set(outcome.values, i, row, before);
            always_assert(!failure);
        }
    });
    return outcome;
}

}  // namespace pgtorii::config
