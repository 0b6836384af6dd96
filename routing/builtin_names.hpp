#pragma once

#include <string_view>

namespace pgtorii::routing {

/// Whether PostgreSQL itself has an operator of this symbol. One of a user's own with the same
/// symbol, for other types, is taken for the builtin one: only types could tell them apart.
bool is_builtin_operator(std::string_view symbol);

/// Whether PostgreSQL itself has a type of this name ("int4", not "integer": as in pg_type).
bool is_builtin_type(std::string_view name);

}  // namespace pgtorii::routing
