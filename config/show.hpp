#pragma once

#include "config/problem.hpp"
#include "config/settings.hpp"

#include <optional>
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

/// PGPOOL SET `name` TO `value`, and without a value PGPOOL RESET and SET ... TO DEFAULT: changes
/// the session's own copy of the settings. `configured` holds what RESET goes back to. Gives the
/// error, or nothing; then the answer is SET. Unlike Pgpool-II, a bad boolean is an error and no
/// case stays without an answer.
[[nodiscard]] std::optional<problem> set_session(settings& session, const settings& configured,
                                                 std::string_view name,
                                                 const std::optional<std::string>& value);

/// PGPOOL RESET ALL: undoes every set_session.
void reset_session(settings& session, const settings& configured);

}  // namespace pgtorii::config
