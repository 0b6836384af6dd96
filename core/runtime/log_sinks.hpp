#pragma once

#include "config/settings.hpp"

#include <spdlog/sinks/base_sink.h>
#include <spdlog/sinks/syslog_sink.h>

#include <cstdint>
#include <mutex>
#include <string>

/// Where spdlog takes the server log to. Entries come with all their lines already built.
namespace pgtorii::runtime::log {

/// The level that carries a message to the sinks. Pgpool-II knows six syslog priorities and spdlog
/// six levels, so that each level stands for the priority of the same rank, not for its own name.
spdlog::level::level_enum carrier_level(config::message_level level);

/// The priority that a level of carrier_level() stands for.
int syslog_priority(spdlog::level::level_enum level);

/// Standard error. spdlog's own sink writes through stdio, which drops the rest of a text when a
/// signal interrupts it.
class stderr_sink : public spdlog::sinks::base_sink<std::mutex> {
public:
    stderr_sink();

protected:
    void sink_it_(const spdlog::details::log_msg& message) override;
    void flush_() override {}
};

/// syslog, with numbered messages and long ones split. Destroy one before making the next: syslog
/// has one connection for the whole process.
class syslog_sink final : public spdlog::sinks::syslog_sink_mt {
public:
    /// `sequence` is the number of the last message: it goes on when a reload replaces the sink.
    syslog_sink(const std::string& ident, config::facility which, std::uint64_t& sequence);

private:
    void sink_it_(const spdlog::details::log_msg& message) override;

    std::uint64_t& sequence_;
};

}  // namespace pgtorii::runtime::log
