#pragma once

#include <chrono>

namespace pgtorii {

/// The clock of every deadline: it never goes back. Wall-clock time is only for people (logs,
/// SHOW).
using clock = std::chrono::steady_clock;

}  // namespace pgtorii
