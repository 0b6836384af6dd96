#pragma once

#include "config/session_change.hpp"
#include "core/session_home.hpp"

namespace pgtorii::core {

/// The settings of a session that has used PGPOOL SET, and the routing rules made from them. Other
/// sessions have none, and share their home's.
class own_settings {
public:
    /// What the session has changed. Call `refresh` after a change.
    config::session_changes changes;

    /// Makes settings and rules again if `configured` is another than at the last call, as after a
    /// reload, or if `has_changed`.
    void refresh(const settings_ptr& configured, bool has_changed = false);

    /// Not null after a refresh.
    const settings_ptr& values() const { return values_; }
    const rules_ptr& rules() const { return rules_; }

private:
    settings_ptr configured_;
    settings_ptr values_;
    rules_ptr rules_;
};

}  // namespace pgtorii::core
