#pragma once

#include "core/runtime/log_sinks.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <ctime>
#include <string>

namespace pgtorii::runtime::log {

/// Parameters of the log file, as in pgpool.conf.
struct log_file_settings {
    std::string directory;  ///< Absolute.
    std::string name;       ///< A strftime pattern.
    unsigned mode = 0600;
    std::chrono::seconds rotation_age{};  ///< Zero: never.
    std::int64_t rotation_bytes = 0;      ///< Zero: never.
    bool truncates_on_rotation = false;
};

/// The file that standard error is sent to, as a sink. The log's mutex guards what is public here.
class log_file final : public stderr_sink {
public:
    /// Opens the file that `now` names, makes its directory if it is missing, and turns standard
    /// error to it. Throws bad_destination.
    log_file(log_file_settings values, std::time_t now);

    /// Takes other parameters over: a changed name or directory opens another file. Throws
    /// bad_destination; then nothing has changed.
    void reconfigure(log_file_settings values, std::time_t now);

    /// Whether age or size asks for another file.
    bool is_rotation_due(std::time_t now) const;
    /// Opens the file that `now` names. On failure the old file stays, further rotations are off
    /// until the next reconfigure(), and the text tells why; else it is empty.
    std::string rotate(std::time_t now);
    /// `bytes` have been written to standard error.
    void count(std::size_t bytes) { size_ += static_cast<std::int64_t>(bytes); }

    const std::string& path() const { return path_; }

private:
    void sink_it_(const spdlog::details::log_msg& message) override;
    void open(const log_file_settings& values, std::time_t now, bool may_truncate);
    void set_next_rotation(std::time_t now);

    log_file_settings settings_;
    std::string path_;
    std::int64_t size_ = 0;
    std::time_t next_rotation_ = 0;  // 0: never
    bool rotation_is_off_ = false;
};

}  // namespace pgtorii::runtime::log
