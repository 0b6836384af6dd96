#pragma once

#include "routing/statement_facts.hpp"

#include <optional>
#include <string_view>

namespace pgtorii::routing {

/// PGPOOL SHOW, SET and RESET are no SQL: they are read here, from tokens. The first statement
/// decides and the rest of the text is not looked at, as Pgpool-II does (sql-interface.md, sections
/// 1, 11 and 12). Nothing: it is no such command, or not a right one; the server then answers with
/// its own syntax error.
std::optional<statement_facts> pgpool_command(std::string_view sql);

/// Whether `name` (as SHOW has it, folded) is one of our eight SHOW commands.
bool is_pool_show(std::string_view name);

}  // namespace pgtorii::routing
