#pragma once

#include "config/settings.hpp"

#include <source_location>
#include <stdexcept>
#include <string_view>

/// The server log, in Pgpool-II's form: each line begins with log_line_prefix, and continuation
/// lines begin with a tab. One per process; every function may be called on any thread.
namespace pgtorii::runtime::log {

/// Who speaks: what the escapes of log_line_prefix print. The views are read during the call only.
struct origin {
    std::string_view application = "main";   ///< %a; empty prints "[unknown]".
    std::string_view process_kind = "MAIN";  ///< %P
    std::string_view user = {};              ///< %u; default-constructed: outside of a session.
    std::string_view database = {};          ///< %d; the same.
};

/// What is said. Empty parts are left out. Control characters are made visible and a newline is
/// followed by a tab, so a client's text can forge no line.
struct entry {
    std::string_view message;
    std::string_view detail = {};
    std::string_view hint = {};
    std::string_view context = {};
};

/// Whether log_min_messages lets this level through: one relaxed load. Ask first where building the
/// text costs something.
bool enabled(config::message_level level);

/// Writes an entry to all destinations, if its level is enabled. Blocks while a destination blocks.
void write(config::message_level level, const origin& from, const entry& what,
           std::source_location where = std::source_location::current());

/// A destination that can't be opened.
class bad_destination : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

/// Takes over the logging parameters, at start and at each reload. Before the first call, messages
/// from WARNING up go to standard error. With logging_collector, standard error itself becomes the
/// log file, so that what scripts and crashes print is there too.
/// Throws bad_destination when the log file can't be opened; then the destinations are as before.
void configure(const config::settings& values);

/// Opens the log file that is due now, by name and in append mode, as pcp_log_rotate does. A
/// failure is logged and the old file kept. Without a log file it does nothing.
void rotate();

}  // namespace pgtorii::runtime::log
