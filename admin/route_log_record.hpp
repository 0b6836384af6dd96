#pragma once

#include "admin/route_input.hpp"

#include <cstddef>
#include <string_view>

namespace pgtorii::admin::route {

/// What routing needs of one record of PostgreSQL's log.
struct log_record {
    std::string_view user;
    std::string_view database;
    std::string_view session;
    std::string_view severity;
    std::string_view message;
    std::string_view statement;  ///< That an error is about ("query" of csvlog).
    std::string_view application;
    std::size_t line = 0;
};

/// Gives the sink what a record tells: a statement by log_statement, log_duration and
/// log_min_duration_statement, a failed one by ERROR, the end of a session. Parse and Bind are no
/// statements of their own. Messages are known in English only (lc_messages). False: it tells
/// nothing of these.
bool take_record(const log_record& record, const limits& bounds, const sink& take);

}  // namespace pgtorii::admin::route
