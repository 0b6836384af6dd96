#include "core/runtime/log.hpp"

#include "core/runtime/log_file.hpp"
#include "core/runtime/log_text.hpp"

#include <fmt/format.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <filesystem>
#include <mutex>
#include <optional>
#include <syslog.h>
#include <unistd.h>

namespace pgtorii::runtime::log {

namespace {

constexpr const char* default_prefix = "%m: %a pid %p: ";

int syslog_priority(config::message_level level)
{
    using enum config::message_level;
    switch (level) {
    case debug5:
    case debug4:
    case debug3:
    case debug2:
    case debug1: return LOG_DEBUG;
    case log:
    case info: return LOG_INFO;
    case notice:
    case warning: return LOG_NOTICE;
    case error: return LOG_WARNING;
    case fatal: return LOG_ERR;
    case panic: return LOG_CRIT;
    }
    return LOG_INFO;
}

int syslog_facility(config::facility which)
{
    constexpr int codes[] = {LOG_LOCAL0, LOG_LOCAL1, LOG_LOCAL2, LOG_LOCAL3,
                             LOG_LOCAL4, LOG_LOCAL5, LOG_LOCAL6, LOG_LOCAL7};
    return codes[static_cast<std::size_t>(which)];
}

/// Nobody is left to be told when standard error fails.
void write_stderr(std::string_view text)
{
    while (!text.empty()) {
        const auto written = ::write(STDERR_FILENO, text.data(), text.size());
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0) return;
        text.remove_prefix(static_cast<std::size_t>(written));
    }
}

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

/// The log of this process.
class journal {
public:
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
        writes_stderr_ = values.log_destination.contains("stderr");
        use_syslog(values);
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

        if (writes_stderr_) {
            write_stderr(text_);
            if (file_) file_->count(text_.size());
        }
        if (writes_syslog_) {
            for (const auto& chunk : syslog_chunks(++syslog_sequence_, text_)) {
                ::syslog(syslog_priority(level), "%s", chunk.c_str());
            }
        }
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
        file_.emplace(std::move(settings), now);
    }

    void use_syslog(const config::settings& values)
    {
        if (writes_syslog_) ::closelog();
        writes_syslog_ = values.log_destination.contains("syslog");
        if (!writes_syslog_) return;
        syslog_ident_ = values.syslog_ident;  // openlog keeps the pointer
        ::openlog(syslog_ident_.c_str(), LOG_PID | LOG_NDELAY | LOG_NOWAIT,
                  syslog_facility(values.syslog_facility));
    }

    std::mutex mutex_;
    std::error_code no_directory_;
    const std::filesystem::path start_directory_ = std::filesystem::current_path(no_directory_);
    line_prefix prefix_{default_prefix};
    line_prefix::moment when_;
    config::verbosity verbosity_ = config::verbosity::default_;
    bool writes_stderr_ = true;
    bool writes_syslog_ = false;
    std::string syslog_ident_;
    std::uint64_t syslog_sequence_ = 0;
    std::optional<log_file> file_;
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
