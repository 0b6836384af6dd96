#pragma once

#include "config/load.hpp"
#include "config/settings.hpp"

#include <string>
#include <vector>

namespace pgtorii::config {

/// Remarks on parameters that ask for something that this version does not do. Silence would let an
/// operator believe in a firewall or a failover that is not there. An error: it must not be started
/// with. `file`: the name of the configuration file, for the remarks.
std::vector<diagnostic> find_unserved(const settings& values, const std::string& file);

}  // namespace pgtorii::config
