#pragma once

#include <chrono>
#include <string>

namespace pgtorii::admin {

/// Local time, as `YYYY-MM-DD HH:MM:SS`.
std::string local_time(std::chrono::system_clock::time_point when);

}  // namespace pgtorii::admin
