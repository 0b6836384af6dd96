#pragma once

#include "config/parameter.hpp"

#include <string>
#include <string_view>

namespace pgtorii::config {

/// A parameter that a name in a file stands for.
struct named_parameter {
    const parameter* row = nullptr;  ///< Null: no version of Pgpool-II in our range has it.
    std::size_t index = 0;
    problem failure;  ///< With a row: the name is that of an indexed parameter, with a bad index.
};

/// Finds the parameter that `name` stands for, as Pgpool-II does: every name that begins with an
/// indexed parameter's is that one, and what follows must be an index.
named_parameter find_named(std::string_view name);

/// Advice on a name that find_named does not know: its successor if a version before ours had it,
/// else the nearest known name, else nothing.
std::string advice_on_unknown(std::string_view name);

/// Whether Pgpool-II once had a parameter `name`.
bool is_former_name(std::string_view name);

}  // namespace pgtorii::config
