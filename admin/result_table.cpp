#include "admin/result_table.hpp"

#include "core/base/always_assert.hpp"

#include <string_view>

namespace pgtorii::admin {

void encode(const result_table& table, protocol::message_buffer& out)
{
    if (!table.columns.empty()) {
        const std::vector<std::string_view> names(table.columns.begin(), table.columns.end());
        out.row_description(std::span<const std::string_view>{names});
        for (const auto& row : table.rows) {
            always_assert(row.size() == table.columns.size());
            out.data_row(std::span<const std::string>{row});
        }
    }
    out.command_complete(table.tag.empty() ? "SELECT " + std::to_string(table.rows.size())
                                           : table.tag);
}

}  // namespace pgtorii::admin
