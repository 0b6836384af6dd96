#include "core/runtime/log_sinks.hpp"

#include <catch2/catch.hpp>

#include <syslog.h>

using namespace pgtorii;
using namespace pgtorii::runtime;

TEST_CASE("Every level has Pgpool-II's syslog priority")
{
    using enum config::message_level;
    const auto priority = [](config::message_level level) {
        return log::syslog_priority(log::carrier_level(level));
    };
    for (const auto level : {debug5, debug4, debug3, debug2, debug1}) {
        CHECK(priority(level) == LOG_DEBUG);
    }
    for (const auto level : {config::message_level::log, info}) CHECK(priority(level) == LOG_INFO);
    for (const auto level : {notice, warning}) CHECK(priority(level) == LOG_NOTICE);
    CHECK(priority(error) == LOG_WARNING);
    CHECK(priority(fatal) == LOG_ERR);
    CHECK(priority(panic) == LOG_CRIT);
}
