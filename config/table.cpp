#include "config/parameter_tables.hpp"

#include <array>
#include <unordered_map>
#include <vector>

namespace pgtorii::config {
namespace {

using row_index = std::unordered_map<std::string_view, const parameter*>;

row_index index_of(bool with_slots)
{
    row_index found;
    for_each_parameter([&](const section&, const parameter& row) {
        if ((row.slots != slots::none) == with_slots) found.emplace(row.name, &row);
    });
    return found;
}

const parameter* find_in(const row_index& rows, std::string_view name)
{
    const auto found = rows.find(name);
    return found == rows.end() ? nullptr : found->second;
}

const row_index& indexed_rows()
{
    static const row_index rows = index_of(true);
    return rows;
}

}  // namespace

std::span<const section> sections()
{
    static const std::vector<section> all = [] {
        std::vector<section> joined;
        for (const auto& part :
             {sessions_parameters(), logs_parameters(), routing_parameters(),
              availability_parameters(), watchdog_parameters(), misc_parameters()})
            joined.insert(joined.end(), part.begin(), part.end());
        return joined;
    }();
    return all;
}

const parameter* find_plain(std::string_view name)
{
    static const row_index rows = index_of(false);
    return find_in(rows, name);
}

const parameter* find_indexed(std::string_view name)
{
    return find_in(indexed_rows(), name);
}

const parameter* find_indexed_prefix(std::string_view name)
{
    const parameter* longest = nullptr;
    for (const auto& [prefix, row] : indexed_rows()) {
        if (name.starts_with(prefix) &&
            (longest == nullptr || prefix.size() > longest->name.size()))
            longest = row;
    }
    return longest;
}

std::size_t index_max(const parameter& row)
{
    switch (row.slots) {
    case slots::none: return 0;
    case slots::backends: return backend_index_max;
    case slots::watchdog_nodes: return watchdog_index_max;
    case slots::heartbeats: return heartbeat_index_max;
    }
    return 0;
}

std::string indexed_name(const parameter& row, std::size_t index)
{
    std::string name(row.name);
    if (row.slots != slots::none) name += std::to_string(index);
    return name;
}

std::size_t slot_count(const settings& values, const parameter& row)
{
    switch (row.slots) {
    case slots::none: return 1;
    case slots::backends: return values.backends.size();
    case slots::watchdog_nodes: return values.watchdog_nodes.size();
    case slots::heartbeats: return values.heartbeats.size();
    }
    return 0;
}

bool is_configured(const settings& values, const parameter& row, std::size_t index)
{
    if (index >= slot_count(values, row)) return false;
    switch (row.slots) {
    case slots::none: return true;
    case slots::backends: return values.backends[index].configured;
    case slots::watchdog_nodes: return values.watchdog_nodes[index].configured;
    case slots::heartbeats: return values.heartbeats[index].configured;
    }
    return false;
}

}  // namespace pgtorii::config
