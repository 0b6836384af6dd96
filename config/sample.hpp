#pragma once

#include <string>

namespace pgtorii::config {

/// A pgpool.conf that explains every parameter and sets none: each stands commented out with its
/// default. Without the
/// "#" that begin a setting it loads without a remark, and to the same settings.
std::string sample_config();

}  // namespace pgtorii::config
