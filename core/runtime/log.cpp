#include "core/runtime/log.hpp"

#include "core/runtime/log_file.hpp"
#include "core/runtime/log_sinks.hpp"
#include "core/runtime/log_text.hpp"

#include <fmt/format.h>
#include <spdlog/logger.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <memory>
#include <mutex>
#include <unistd.h>

namespace pgtorii::runtime::log {

namespace {

constexpr const char* default_prefix = "%m: %a pid %p: ";

/// A relative log_directory is taken from the directory of the start, also after a daemon left it.
log_file_settings file_settings(const config::settings& values, const std::filesystem::path& start)
{
    return {.directory = (start / values.log_directory).string(),
            .name = values.log_filename,
            .mode = static_cast<unsigned>(values.log_file_mode),
            .rotation_age = values.log_rotation_age,
            .rotation_bytes = values.log_rotation_size * 1024,
            .truncates_on_rotation = values.log_truncate_on_rotation};
}

constinit std::atomic<config::message_level> log_min_messages{config::message_level::warning};

/// The log of this process. spdlog's loggers are safe to write to from several threads, but not
/// while their sinks change, so one mutex guards it all.
class journal {
public:
    // What is logged, log_min_messages decides: LOG has no place among spdlog's levels.
    journal() { logger_.set_level(spdlog::level::trace); }

    void write(config::message_level level, const origin& from, const entry& what,
               const std::source_location& where)
    {
        const std::lock_guard hold{mutex_};
        put(level, from, what, where);
    }

    void configure(const config::settings& values)
    {
        const std::lock_guard hold{mutex_};
        prefix_ = line_prefix{values.log_line_prefix};
        verbosity_ = values.log_error_verbosity;
        if (values.logging_collector) use_file(values);
        use_destinations(values);
        log_min_messages.store(values.log_min_messages, std::memory_order_relaxed);
    }

    void rotate()
    {
        const std::lock_guard hold{mutex_};
        rotate_file(std::time(nullptr));
    }

private:
    void put(config::message_level level, const origin& from, const entry& what,
             const std::source_location& where)
    {
        const auto now = std::chrono::system_clock::now();
        const auto seconds = std::chrono::system_clock::to_time_t(now);
        // A failed rotation comes back here to be told, and is not due again.
        if (file_ && file_->is_rotation_due(seconds)) rotate_file(seconds);
        ::localtime_r(&seconds, &when_.local);
        when_.milliseconds = static_cast<int>(
            std::chrono::duration_cast<std::chrono::milliseconds>(now.time_since_epoch()).count() %
            1000);
        when_.pid = ::getpid();
        text_.clear();
        append_entry(text_, prefix_, when_, level, from, what, verbosity_, where);
        logger_.log(now, {}, carrier_level(level), text_);
    }

    void rotate_file(std::time_t now)
    {
        if (!file_) return;
        const auto problem = file_->rotate(now);
        if (problem.empty()) return;
        put(config::message_level::log, origin{},
            {.message = problem,
             .detail = "Automatic rotation is off until the configuration is reloaded."},
            std::source_location::current());
    }

    void use_file(const config::settings& values)
    {
        const auto now = std::time(nullptr);
        if (file_) {
            file_->reconfigure(file_settings(values, start_directory_), now);
            return;
        }
        auto settings = file_settings(values, start_directory_);
        const auto hint =
            fmt::format("Future log output will appear in directory \"{}\".", settings.directory);
        put(config::message_level::log, {.application = "logger"},
            {.message = "redirecting log output to logging collector process", .hint = hint},
            std::source_location::current());
        file_ = std::make_shared<log_file>(std::move(settings), now);
    }

    void use_destinations(const config::settings& values)
    {
        auto& sinks = logger_.sinks();
        sinks.clear();  // which closes syslog, before it may be opened anew
        if (values.log_destination.contains("stderr")) {
            sinks.push_back(file_ ? file_ : std::make_shared<stderr_sink>());
        }
        if (values.log_destination.contains("syslog")) {
            sinks.push_back(std::make_shared<syslog_sink>(
                values.syslog_ident, values.syslog_facility, syslog_sequence_));
        }
    }

    std::mutex mutex_;
    std::error_code no_directory_;
    const std::filesystem::path start_directory_ = std::filesystem::current_path(no_directory_);
    line_prefix prefix_{default_prefix};
    line_prefix::moment when_;
    config::verbosity verbosity_ = config::verbosity::default_;
    std::shared_ptr<log_file> file_;
    std::uint64_t syslog_sequence_ = 0;
    spdlog::logger logger_{"pgtorii", std::make_shared<stderr_sink>()};
    std::string text_;
};

/// Never destroyed: threads and static objects may log until the very end.
journal& the_journal()
{
    static auto& journal_of_process = *new journal;
    return journal_of_process;
}

}  // namespace

bool enabled(config::message_level level)
{
    return config::is_logged(level, log_min_messages.load(std::memory_order_relaxed));
}

void write(config::message_level level, const origin& from, const entry& what,
           std::source_location where)
{
    if (enabled(level)) the_journal().write(level, from, what, where);
}

void configure(const config::settings& values)
{
    the_journal().configure(values);
}

void rotate()
{
    the_journal().rotate();
}

}  // namespace pgtorii::runtime::log
