#pragma once

#include "core/runtime/descriptor.hpp"

#include <filesystem>
#include <optional>
#include <stdexcept>
#include <string>
#include <sys/types.h>

namespace pgtorii::runtime {

/// Why there is no PID file. main() prints it and ends with `exit_code` (Pgpool-II's).
class pid_file_failure : public std::runtime_error {
public:
    pid_file_failure(const std::string& message, std::string hint_text, int code)
        : std::runtime_error(message),
          hint(std::move(hint_text)),
          exit_code(code)
    {
    }
    std::string hint;
    int exit_code;
};

/// pid_file_name as an absolute path: a relative one is taken from the directory of pgpool.conf.
std::filesystem::path pid_file_path(const std::string& pid_file_name,
                                    const std::filesystem::path& config_file);

/// The process id in a PID file of ours or of Pgpool-II (which writes a zero byte behind it), or
/// nothing when there is no file or no process id in it.
std::optional<pid_t> read_pid_file(const std::filesystem::path& path);

/// Marks this process as the one that runs here, from create() to the end of the object, which
/// removes the file. The file is locked as well as filled, so that of two starts at one moment only
/// one goes on. Create it in the process that stays: after detaching.
class pid_file {
public:
    /// Throws pid_file_failure: another process is running (exit code 1), or the file can't be
    /// written (3). A file left by a process that is gone is taken over: `replaced` tells so.
    static pid_file create(const std::filesystem::path& path);

    pid_file(pid_file&& other) noexcept;
    pid_file& operator=(pid_file&&) = delete;
    ~pid_file();

    /// There was a file of a process that is gone.
    bool replaced() const { return replaced_; }

private:
    pid_file() = default;

    std::filesystem::path path_;
    descriptor lock_;
    bool replaced_ = false;
};

}  // namespace pgtorii::runtime
