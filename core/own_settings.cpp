#include "core/own_settings.hpp"

namespace pgtorii::core {

void own_settings::refresh(const settings_ptr& configured, bool has_changed)
{
    if (configured == configured_ && !has_changed) return;
    configured_ = configured;
    values_ = std::make_shared<const config::settings>(changes.over(*configured));
    rules_ = std::make_shared<const routing::rules>(routing::make_rules(*values_));
}

}  // namespace pgtorii::core
