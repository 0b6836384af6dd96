#pragma once

#include <optional>
#include <string_view>

namespace pgtorii::routing {

/// The statement that EXPLAIN (ROUTE) explains: all of the text behind the list of options, blanks
/// at its start aside. Any other option may stand beside ROUTE and means nothing. Nullopt: the text
/// is no such command, or says ROUTE off. By tokens alone, so that statements that PostgreSQL would
/// not explain, or not parse, can be asked about too.
std::optional<std::string_view> explained_text(std::string_view sql);

}  // namespace pgtorii::routing
