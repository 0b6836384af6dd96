#pragma once

#include "config/settings.hpp"

#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace pgtorii::config {

struct show_row {
    std::string item;
    std::string value;
    std::string description;
};

struct show_error {
    std::string message;
    std::string detail;  ///< May be empty.
};

/// Answer to PGPOOL SHOW: one value (a column with the parameter's name), rows (columns item, value
/// and description), or an error.
using show_answer = std::variant<std::string, std::vector<show_row>, show_error>;

/// Answers PGPOOL SHOW `name`; the name is folded already. Texts are Pgpool-II's, but for the
/// descriptions. Passwords show as stars.
show_answer show(const settings& values, std::string_view name);

/// PGPOOL SHOW ALL: the groups backend, watchdog, heartbeat and health_check, then the other
/// parameters, the longest names first.
std::vector<show_row> show_all(const settings& values);

}  // namespace pgtorii::config
