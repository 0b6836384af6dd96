#pragma once

#include "config/parameter.hpp"
#include "config/problem.hpp"
#include "config/settings.hpp"

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace pgtorii::config {

enum class change_failure : std::uint8_t {
    unknown_name,
    not_in_session,  // the parameter is one of the whole process
    bad_value,
};

struct change_error {
    change_failure what = change_failure::bad_value;
    problem told;  ///< Pgpool-II's words.
};

/// What one session has changed by PGPOOL SET, on top of the configuration. It survives a reload:
/// what the session has set stays the session's, the rest is the file's. Not transactional, as in
/// Pgpool-II. Unlike there, a bad boolean is an error, and no case stays without an answer.
class session_changes {
public:
    /// PGPOOL SET `name` TO `value`; without a value PGPOOL RESET `name` and SET ... TO DEFAULT.
    /// Values are checked as in the file; `configured` is what the file says. Nothing has changed
    /// when it gives an error.
    [[nodiscard]] std::optional<change_error> change(std::string_view name,
                                                     std::optional<std::string_view> value,
                                                     const settings& configured);

    /// PGPOOL RESET ALL.
    void clear() { changes_.clear(); }
    bool empty() const { return changes_.empty(); }

    /// The session's settings: `configured` with the changes.
    settings over(const settings& configured) const;

private:
    struct entry {
        const parameter* row;
        value wanted;
    };
    std::vector<entry> changes_;  // one for each row at most
};

}  // namespace pgtorii::config
