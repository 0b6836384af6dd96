#include "config/session_change.hpp"

#include "config/names.hpp"
#include "core/base/always_assert.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace pgtorii::config {

std::optional<change_error> session_changes::change(std::string_view name,
                                                    std::optional<std::string_view> value,
                                                    const settings& configured)
{
    const auto found = find_named(name);
    if (found.row == nullptr || !found.failure.message.empty()) {
        return change_error{change_failure::unknown_name,
                            {fmt::format("unrecognized configuration parameter \"{}\"", name), {}}};
    }
    const auto& row = *found.row;
    if (row.context != context::session) {
        return change_error{
            change_failure::not_in_session,
            {fmt::format("invalid Context, value for parameter \"{}\" cannot be changed", name),
             {}}};
    }
    const auto of_row = [&](const entry& each) { return each.row == &row; };
    if (!value) {
        std::erase_if(changes_, of_row);
        return std::nullopt;
    }
    auto tried = configured;
    if (auto failure = assign(tried, row, 0, name, *value))
        return change_error{change_failure::bad_value, std::move(*failure)};
    const auto present = std::ranges::find_if(changes_, of_row);
    if (present == changes_.end()) {
        changes_.push_back({&row, row.get(tried, 0)});
    } else {
        present->wanted = row.get(tried, 0);
    }
    return std::nullopt;
}

settings session_changes::over(const settings& configured) const
{
    auto values = configured;
    for (const auto& each : changes_) {
        const auto failure = each.row->set(values, 0, *each.row, each.wanted);
        always_assert(!failure);  // it was taken before, and the check knows nothing but the value
    }
    return values;
}

}  // namespace pgtorii::config
