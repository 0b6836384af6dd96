#include "config/show.hpp"

#include "config/names.hpp"
#include "config/parameter.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

namespace pgtorii::config {
namespace {

enum class group { none, backend, watchdog, heartbeat, health_check };

constexpr std::pair<std::string_view, group> groups[] = {
    {"backend", group::backend},
    {"watchdog", group::watchdog},
    {"heartbeat", group::heartbeat},
    {"health_check", group::health_check},
};

/// The health check parameters are those with and without an index under one name.
group group_of(const parameter& row)
{
    if (row.slots == slots::none)
        return find_indexed(row.name) != nullptr ? group::health_check : group::none;
    if (find_plain(row.name) != nullptr) return group::health_check;
    if (row.slots == slots::backends) return group::backend;
    return row.slots == slots::watchdog_nodes ? group::watchdog : group::heartbeat;
}

std::string shown_value(const settings& values, const parameter& row, std::size_t index)
{
    if (row.is_password) return "*****";
    // A node that does not exist would have the health check of the parameters without index.
    const auto* base = index < slot_count(values, row) ? nullptr : find_plain(row.name);
    return to_text(row, base != nullptr ? base->get(values, 0) : row.get(values, index));
}

show_row make_row(const settings& values, const parameter& row, std::size_t index)
{
    return {indexed_name(row, index), shown_value(values, row, index), std::string(row.meaning)};
}

/// The values without index, then for each configured slot all members.
std::vector<show_row> show_group(const settings& values, group wanted)
{
    std::vector<show_row> rows;
    std::vector<const parameter*> members;
    std::size_t count = 0;
    for_each_parameter([&](const section&, const parameter& row) {
        if (group_of(row) != wanted) return;
        if (row.slots == slots::none)
            rows.push_back(make_row(values, row, 0));
        else
            members.push_back(&row);
        if (row.slots != slots::none) count = slot_count(values, row);
    });
    for (std::size_t i = 0; i < count; ++i) {
        for (const auto* row : members) {
            if (is_configured(values, *row, i)) rows.push_back(make_row(values, *row, i));
        }
    }
    return rows;
}

std::vector<show_row> show_slots(const settings& values, const parameter& row)
{
    std::vector<show_row> rows;
    if (const auto* base = find_plain(row.name)) rows.push_back(make_row(values, *base, 0));
    for (std::size_t i = 0; i < slot_count(values, row); ++i) {
        if (is_configured(values, row, i)) rows.push_back(make_row(values, row, i));
    }
    return rows;
}

show_error index_error(const parameter& row, std::string_view name)
{
    const auto digits = name.substr(row.name.size());
    if (digits.find_first_not_of("0123456789") != std::string_view::npos)
        return {fmt::format("invalid index value for parameter \"{}\" ", name),
                "index part contains the invalid non digit character"};
    return {fmt::format("invalid index {} for configuration parameter \"{}\"", digits, row.name),
            fmt::format("allowed index is between 0 and {}", index_max(row))};
}

}  // namespace

show_answer show(const settings& values, std::string_view name)
{
    if (name == "all") return show_all(values);
    for (const auto& [group_name, wanted] : groups) {
        if (name == group_name) return show_group(values, wanted);
    }
    if (const auto* row = find_indexed(name)) return show_slots(values, *row);
    const auto found = find_named(name);
    if (found.row == nullptr)
        return show_error{fmt::format("config variable \"{}\" not found", name), {}};
    if (!found.failure.message.empty()) return index_error(*found.row, name);
    return shown_value(values, *found.row, found.index);
}

std::vector<show_row> show_all(const settings& values)
{
    std::vector<show_row> rows;
    for (const auto& [name, wanted] : groups) {
        auto members = show_group(values, wanted);
        std::move(members.begin(), members.end(), std::back_inserter(rows));
    }
    const auto first_plain = static_cast<std::ptrdiff_t>(rows.size());
    for_each_parameter([&](const section&, const parameter& row) {
        if (group_of(row) == group::none && row.alias_of.empty())
            rows.push_back(make_row(values, row, 0));
    });
    std::sort(rows.begin() + first_plain, rows.end(), [](const auto& a, const auto& b) {
        return a.item.size() != b.item.size() ? a.item.size() > b.item.size() : a.item < b.item;
    });
    return rows;
}

}  // namespace pgtorii::config
