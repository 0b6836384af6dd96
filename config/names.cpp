#include "config/names.hpp"

#include "config/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <vector>

namespace pgtorii::config {
namespace {

struct former_name {
    std::string_view name;
    std::string_view successors;
    bool is_indexed = false;
};

// Names that Pgpool-II 4.2 or an earlier version gave up; 4.3 ignores them.
constexpr former_name former_names[] = {
    {"white_function_list", "read_only_function_list"},
    {"black_function_list", "write_function_list"},
    {"white_memqcache_table_list", "cache_safe_memqcache_table_list"},
    {"black_memqcache_table_list", "cache_unsafe_memqcache_table_list"},
    {"black_query_pattern_list", "primary_routing_query_pattern_list"},
    {"follow_master_command", "follow_primary_command"},
    {"master_slave_mode", "backend_clustering_mode"},
    {"master_slave_sub_mode", "backend_clustering_mode"},
    {"wd_hostname", "hostname0, hostname1 ..."},
    {"other_pgpool_hostname", "hostname0, hostname1 ...", true},
    {"other_pgpool_port", "pgpool_port0, pgpool_port1 ...", true},
    {"other_wd_port", "wd_port0, wd_port1 ...", true},
    {"heartbeat_destination_port", "heartbeat_port0, heartbeat_port1 ...", true},
    {"heartbeat_destination", "heartbeat_hostname0, heartbeat_hostname1 ...", true},
    {"wd_heartbeat_port", "heartbeat_port0, heartbeat_port1 ..."},
};

std::string_view without_digits(std::string_view name)
{
    const auto last = name.find_last_not_of("0123456789");
    return name.substr(0, last == std::string_view::npos ? 0 : last + 1);
}

const former_name* find_former(std::string_view name)
{
    for (const auto& each : former_names) {
        if (each.name == name || (each.is_indexed && each.name == without_digits(name)))
            return &each;
    }
    return nullptr;
}

/// Letters to insert, delete, change or swap with the next one to make `b` of `a`.
std::size_t edit_distance(std::string_view a, std::string_view b)
{
    std::vector<std::size_t> before(b.size() + 1);
    std::vector<std::size_t> above(b.size() + 1);
    std::vector<std::size_t> current(b.size() + 1);
    for (std::size_t j = 0; j <= b.size(); ++j) above[j] = j;
    for (std::size_t i = 1; i <= a.size(); ++i) {
        current[0] = i;
        for (std::size_t j = 1; j <= b.size(); ++j) {
            current[j] = std::min(
                {above[j] + 1, current[j - 1] + 1, above[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1)});
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                current[j] = std::min(current[j], before[j - 2] + 1);
        }
        before.swap(above);
        above.swap(current);
    }
    return above[b.size()];
}

}  // namespace

named_parameter find_named(std::string_view name)
{
    if (const auto* plain = find_plain(name)) return {plain, 0, {}};
    if (is_former_name(name)) return {};
    const auto* row = find_indexed_prefix(name);
    if (row == nullptr) return {};
    const auto digits = name.substr(row->name.size());
    named_parameter found{row, 0, {}};
    const auto read = std::from_chars(digits.data(), digits.data() + digits.size(), found.index);
    const bool is_number =
        !digits.empty() && digits.find_first_not_of("0123456789") == std::string_view::npos;
    if (!is_number)
        found.failure = {
            fmt::format("invalid index value for parameter {}", in_quotes(name)),
            fmt::format("A number stands behind {0}: {0}0, {0}1 and so on.", row->name)};
    else if (read.ec != std::errc() || found.index > index_max(*row))
        found.failure = {fmt::format("invalid index {} for configuration parameter \"{}\"",
                                     std::string(digits.substr(0, 20)), row->name),
                         fmt::format("The index is between 0 and {}.", index_max(*row))};
    return found;
}

std::string advice_on_unknown(std::string_view name)
{
    if (const auto* former = find_former(name))
        return fmt::format("It is called {} now.", former->successors);
    constexpr std::size_t length_max = 64;
    if (name.size() > length_max) return {};

    const auto lower = lower_case(name);
    const auto stem = without_digits(lower);
    std::size_t least = std::max<std::size_t>(2, name.size() / 4) + 1;
    const parameter* nearest = nullptr;
    for_each_parameter([&](const section&, const parameter& row) {
        if (!row.alias_of.empty()) return;
        const auto distance = edit_distance(row.slots == slots::none ? lower : stem, row.name);
        if (distance >= least) return;
        least = distance;
        nearest = &row;
    });
    if (nearest == nullptr) return {};
    const auto digits = nearest->slots == slots::none ? "" : lower.substr(stem.size());
    const bool is_missing_index = nearest->slots != slots::none && digits.empty();
    return fmt::format("Perhaps you meant \"{}{}\".", nearest->name,
                       is_missing_index ? "0" : digits);
}

bool is_former_name(std::string_view name)
{
    return find_former(name) != nullptr;
}

}  // namespace pgtorii::config
