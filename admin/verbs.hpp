#pragma once

#include "core/command_line.hpp"

#include <chrono>
#include <filesystem>
#include <iosfwd>

/// The verbs that talk to a running process through its PID file. They print on `terminal`
/// (standard error) and return the exit code.
namespace pgtorii::admin {

/// Sends the signal of `mode`, again with every fifth dot, prints a dot each `dot_interval` until
/// the process has ended, and removes its PID file if that is still there. Waits without limit.
int stop_running(const std::filesystem::path& pid_file, core::stop_mode mode,
                 std::ostream& terminal,
                 std::chrono::milliseconds dot_interval = std::chrono::seconds{1});

/// Sends SIGHUP and returns at once.
int reload_running(const std::filesystem::path& pid_file, std::ostream& terminal);

}  // namespace pgtorii::admin
