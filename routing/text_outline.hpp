#pragma once

#include <cstdint>
#include <string_view>

namespace pgtorii::routing {

/// Bounds of what is given to libpg_query. It recurses once for each level of the tree, without a
/// limit of its own: a chain of 100,000 operators ends the process. Measured with libpg_query
/// 15-4.0: the worst shape takes 0.4 KiB of stack a level, so `height_max` keeps it within 256 KiB;
/// a token costs up to 0.8 us and a statement of a text 4 us, so `tokens_max` keeps the stall below
/// 5 ms; a semicolon counts as five tokens.
struct analyze_limits {
    std::uint32_t bytes_max = 256 * 1024;
    std::uint32_t tokens_max = 6'000;
    std::uint32_t height_max = 500;
    // Texts that are too long for the parser are still scanned for where statements end, up to
    // here.
    std::uint32_t scan_bytes_max = 16 * 1024 * 1024;
    std::uint32_t scan_tokens_max = 1'000'000;
};

/// What one linear pass over the tokens of a text tells. PostgreSQL's lexical rules,
/// standard_conforming_strings on.
struct text_outline {
    bool is_bounded = false;  ///< Within all limits: libpg_query may have it.
    bool is_closed =
        false;  ///< Scanned to the end, where no quote or comment is open, and no byte is zero.
    bool is_single = false;       ///< Closed, and at most one statement.
    std::string_view first_word;  ///< First token, if it is an unquoted word; as written.
};

/// One pass, linear, no allocation beyond a stack of open brackets.
text_outline outline(std::string_view sql, const analyze_limits& limits);

/// ASCII only: SQL keywords and the names of our own commands.
bool equals_ignoring_case(std::string_view left, std::string_view right);

}  // namespace pgtorii::routing
