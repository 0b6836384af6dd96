#pragma once

#include "protocol/writer.hpp"

#include <string>
#include <vector>

namespace pgtorii::admin {

/// A result of our own. All values are text and none is NULL: what is missing is empty.
struct result_table {
    std::vector<std::string> columns;
    std::vector<std::vector<std::string>> rows;  ///< Each as long as `columns`.
    std::string tag;                             ///< Of CommandComplete; empty: "SELECT n".
};

/// Appends RowDescription, a DataRow for each row and CommandComplete; no ReadyForQuery. A table
/// without columns is a command that returns no rows: CommandComplete only.
void encode(const result_table& table, protocol::message_buffer& out);

}  // namespace pgtorii::admin
