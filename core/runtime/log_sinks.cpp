#include "core/runtime/log_sinks.hpp"

#include "core/runtime/log_text.hpp"

#include <spdlog/pattern_formatter.h>

#include <array>
#include <cerrno>
#include <memory>
#include <string_view>
#include <syslog.h>
#include <unistd.h>

namespace pgtorii::runtime::log {

namespace {

int syslog_facility(config::facility which)
{
    constexpr int codes[] = {LOG_LOCAL0, LOG_LOCAL1, LOG_LOCAL2, LOG_LOCAL3,
                             LOG_LOCAL4, LOG_LOCAL5, LOG_LOCAL6, LOG_LOCAL7};
    return codes[static_cast<std::size_t>(which)];
}

}  // namespace

spdlog::level::level_enum carrier_level(config::message_level level)
{
    using enum config::message_level;
    switch (level) {
    case debug5:
    case debug4:
    case debug3:
    case debug2:
    case debug1: return spdlog::level::trace;
    case log:
    case info: return spdlog::level::debug;
    case notice:
    case warning: return spdlog::level::info;
    case error: return spdlog::level::warn;
    case fatal: return spdlog::level::err;
    case panic: return spdlog::level::critical;
    }
    return spdlog::level::debug;
}

int syslog_priority(spdlog::level::level_enum level)
{
    constexpr std::array priorities{LOG_DEBUG,   LOG_INFO, LOG_NOTICE,
                                    LOG_WARNING, LOG_ERR,  LOG_CRIT};
    return priorities.at(static_cast<std::size_t>(level));
}

stderr_sink::stderr_sink()
    : base_sink(std::make_unique<spdlog::pattern_formatter>("%v", spdlog::pattern_time_type::local,
                                                            /*eol=*/""))
{
}

void stderr_sink::sink_it_(const spdlog::details::log_msg& message)
{
    spdlog::memory_buf_t formatted;
    formatter_->format(message, formatted);
    std::string_view text{formatted.data(), formatted.size()};
    while (!text.empty()) {
        const auto written = ::write(STDERR_FILENO, text.data(), text.size());
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0) return;  // nobody is left to be told
        text.remove_prefix(static_cast<std::size_t>(written));
    }
}

syslog_sink::syslog_sink(const std::string& ident, config::facility which, std::uint64_t& sequence)
    : spdlog::sinks::syslog_sink_mt(ident, LOG_PID | LOG_NDELAY | LOG_NOWAIT,
                                    syslog_facility(which),
                                    /*enable_formatting=*/false),
      sequence_(sequence)
{
}

void syslog_sink::sink_it_(const spdlog::details::log_msg& message)
{
    const std::string_view text{message.payload.data(), message.payload.size()};
    for (const auto& chunk : syslog_chunks(++sequence_, text)) {
        ::syslog(syslog_priority(message.level), "%s", chunk.c_str());
    }
}

}  // namespace pgtorii::runtime::log
