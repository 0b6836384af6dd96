#pragma once

#include "core/runtime/log.hpp"

#include <chrono>
#include <cstdint>
#include <ctime>
#include <string>
#include <string_view>
#include <vector>

/// How log lines are built: pure, no clock and no I/O.
namespace pgtorii::runtime::log {

/// The severity word of a level; all debug levels are DEBUG.
std::string_view severity_word(config::message_level level);

/// Appends client-supplied text: control characters other than tab and newline become \x1b and the
/// like, and a newline is followed by a tab.
void append_visible(std::string& out, std::string_view text);

/// A compiled log_line_prefix.
class line_prefix {
public:
    explicit line_prefix(std::string_view pattern);

    /// What the escapes print besides the origin.
    struct moment {
        std::tm local{};
        int milliseconds = 0;
        int pid = 0;
        std::uint64_t line = 0;
    };

    void append(std::string& out, const origin& from, const moment& when) const;

private:
    struct piece {
        char escape = 0;  // 0: literal text
        int width = 0;    // negative: left-justified
        std::string text = {};
    };
    std::vector<piece> pieces_;
};

/// "function, file.cpp:12": without a path, and without the function's types.
std::string location_text(const std::source_location& where);

/// Builds the lines of one entry, each ended by a newline. `line` counts on for every line that has
/// a prefix.
void append_entry(std::string& out, const line_prefix& prefix, line_prefix::moment& when,
                  config::message_level level, const origin& from, const entry& what,
                  config::verbosity verbosity, const std::source_location& where);

/// The texts of the syslog messages that one message becomes: "[7] text", or "[7-1] ...", "[7-2]
/// ..." when it has several lines or is longer than about 900 bytes. Cut at a newline, else behind
/// a blank, else between characters.
std::vector<std::string> syslog_chunks(std::uint64_t sequence, std::string_view text);

/// The next moment after `now` that is a multiple of `age` in local time. `age` is above zero.
std::time_t next_rotation(std::time_t now, std::chrono::seconds age, long utc_offset_seconds);

}  // namespace pgtorii::runtime::log
