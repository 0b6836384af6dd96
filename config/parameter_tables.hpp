#pragma once

#include "config/parameter.hpp"

/// The parts of the parameter table, one for each parameters_*.cpp: use sections() of
/// parameter.hpp.
namespace pgtorii::config {

std::span<const section> sessions_parameters();
std::span<const section> logs_parameters();
std::span<const section> routing_parameters();
std::span<const section> availability_parameters();
std::span<const section> watchdog_parameters();
std::span<const section> misc_parameters();

}  // namespace pgtorii::config
