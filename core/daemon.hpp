#pragma once

#include "core/runtime/descriptor.hpp"

namespace pgtorii::core {

/// Leaving the terminal. Unlike Pgpool-II's, the parent ends with 0 only when the child is ready to
/// serve; else with the child's exit code, its message being on standard error already.
class detachment {
public:
    /// Forks, and returns in the child only. To be called before any thread exists, and before any
    /// file is opened that shall stay open: all descriptors above 2 are closed. Throws
    /// std::system_error.
    static detachment begin();

    /// The process is ready: it becomes the leader of a session of its own with / as its directory,
    /// standard input and output go to /dev/null, standard error too unless `keeps_stderr` (it is
    /// the log file), and the parent ends. Until then, Ctrl-C ends parent and child.
    void ready(bool keeps_stderr);

private:
    runtime::descriptor parent_;
};

}  // namespace pgtorii::core
