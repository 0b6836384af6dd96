#pragma once

#include "config/load.hpp"
#include "config/problem.hpp"

#include <string>
#include <vector>

namespace pgtorii::config {

/// What is wrong with parameters that are right one by one.
struct finding {
    severity level = severity::error;
    std::string parameter;  ///< Whose line is to blame, with its index.
    problem what;
};

/// Pgpool-II's checks of parameters against each other (but those that need files besides
/// pgpool.conf), and the modes that pgtorii does not have.
std::vector<finding> cross_check(const settings& values);

}  // namespace pgtorii::config
