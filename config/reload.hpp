#pragma once

#include "config/settings.hpp"

#include <string>
#include <vector>

namespace pgtorii::config {

struct reload_outcome {
    settings values;  ///< What holds from now on.
    std::vector<std::string>
        changed;                    ///< Parameters whose new value takes effect, with their index.
    std::vector<std::string> kept;  ///< Those that need a restart: the running value stays.
};

/// What of `fresh`, read without errors, takes effect while the process runs. A parameter that is
/// gone from the file goes back to its default. Backends may be added; host and port of an existing
/// one stay, and so does one that is gone from the file; its data directory changes only while
/// `is_detached[id]` (missing: false), as scripts of a running failover may be using it.
reload_outcome reload(const settings& running, settings fresh,
                      const std::vector<bool>& is_detached = {});

}  // namespace pgtorii::config
