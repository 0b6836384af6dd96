#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace pgtorii::config {

/// `text` without blanks at its ends. Views into `text`.
std::string_view trimmed(std::string_view text);

/// The items of a list parameter: separators collapse, blanks around items go, empty items vanish.
/// There is no quoting. Views into `text`.
std::vector<std::string_view> split_list(std::string_view text, char separator);

/// `text` with control characters as escapes: fit for a terminal and a log.
std::string printable(std::string_view text);

/// `text` in double quotes for a message: control characters as escapes, cut when it is long.
std::string in_quotes(std::string_view text);

/// `text` with ASCII letters in lower case.
std::string lower_case(std::string_view text);

}  // namespace pgtorii::config
