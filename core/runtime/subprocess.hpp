#pragma once

#include "core/base/result.hpp"
#include "core/runtime/executor.hpp"

#include <chrono>
#include <cstddef>
#include <string>

namespace pgtorii::runtime {

/// A command for the shell and its limits.
struct shell_command {
    std::string text;
    std::chrono::milliseconds time_limit{10'000};
    std::size_t output_bytes_max = 64 * 1024;  ///< Of standard output; what is above is dropped.
};

/// How a command has ended.
struct shell_outcome {
    error_code failure;           ///< It could not be started; then nothing else is set.
    int exit_code = -1;           ///< -1: ended by a signal.
    int signal_number = 0;        ///< Zero: it has exited.
    bool is_late = false;         ///< The time limit has ended it.
    bool output_was_cut = false;  ///< It has written more than output_bytes_max.
    std::string output;           ///< Its standard output.

    bool succeeded() const { return !failure && !is_late && exit_code == 0; }
    /// What went wrong, for a log line: "exit code 3", "no end within its time limit".
    std::string text_of_failure() const;
};

/// Runs `/bin/sh -c text` without blocking the thread: in a process group of its own, with default
/// signals, /dev/null as its input, our standard error, and no other descriptor of ours. It has
/// ended when the shell has; what it has left in the background goes on, unless the time limit or a
/// cancellation comes first: these kill the whole group, and even then the shell is waited for. Its
/// end is seen by a pidfd: no SIGCHLD handler is needed, and no other child is reaped.
///
/// The awaiting task is `home`'s.
awaitable<shell_outcome> run_shell(executor home, shell_command command);

}  // namespace pgtorii::runtime
