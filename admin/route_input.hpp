#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <istream>
#include <optional>
#include <string>
#include <string_view>

/// `pgtorii route`: what a file of statements holds, event by event, in bounded memory whatever
/// the file. No line of an input is an error: what can't be read is counted.
namespace pgtorii::admin::route {

enum class input_format : std::uint8_t { sql, csvlog, jsonlog };

/// "sql", "csvlog", "jsonlog".
std::string_view name_of(input_format format);
std::optional<input_format> format_named(std::string_view name);

enum class event_kind : std::uint8_t {
    statement,  // one Query or Execute
    failure,    // the session's last statement failed
    end,        // the session is over
};

/// Something that a session did. The views live until the sink returns.
struct event {
    event_kind what = event_kind::statement;
    std::string_view session;  ///< Empty in plain SQL: there is only one.
    std::string_view user;
    std::string_view database;
    std::string_view application;
    std::string_view sql;  ///< Of a failure: the text that failed, or empty if that is not told.
    bool is_extended = false;  ///< It came in Parse, Bind and Execute.
    bool is_cut = false;       ///< It was longer than limits::text_bytes_max: `sql` is its head.
    /// It is known to have been completed: a failure that follows is another statement's.
    bool is_completed = false;
    std::size_t line = 0;  ///< Where it begins, from 1.
};

using sink = std::function<void(const event&)>;

/// Bounds of what is held of an input.
struct limits {
    std::size_t text_bytes_max = 64 * 1024;           ///< Longer statements are cut.
    std::size_t record_bytes_max = 16 * 1024 * 1024;  ///< Longer log records can't be read.
};

/// What was met besides statements.
struct input_counts {
    std::uint64_t unreadable = 0;       ///< Lines or records that are not what they should be.
    std::size_t first_unreadable = 0;   ///< The line of the first one.
    std::uint64_t other_records = 0;    ///< Log records that tell of no statement.
    std::uint64_t backslash_lines = 0;  ///< psql's own commands.
    std::uint64_t copy_lines = 0;       ///< Rows that follow a COPY ... FROM STDIN in a script.
    bool is_given_up = false;           ///< A quote of a script has no end: its rest was not read.
    bool is_broken_off = false;         ///< Reading failed.
};

/// The part of an input that is held: its front is looked at and consumed, more is read behind it.
class window {
public:
    window(std::istream& input, std::size_t bytes_max) : input_(input), bytes_max_(bytes_max) {}

    std::string_view bytes() const { return std::string_view{buffer_}.substr(start_); }
    /// Reads as much again as is held, at least a block. False: the input has ended, or no more is
    /// taken.
    bool read_more();
    /// Nothing will follow what is held.
    bool is_at_end() const { return is_at_end_; }
    bool is_full() const { return bytes().size() >= bytes_max_; }
    void consume(std::size_t count);
    /// Consumes the rest of the line at the front, however long.
    void skip_line();
    /// The line on which the front stands.
    std::size_t line() const { return line_; }
    /// The input ended by an error of reading.
    bool is_broken() const { return is_at_end_ && input_.bad(); }

private:
    std::istream& input_;
    std::size_t bytes_max_;
    std::string buffer_;
    std::size_t start_ = 0;
    std::size_t line_ = 1;
    bool is_at_end_ = false;
};

/// Counts a line that can't be read.
void count_unreadable(input_counts& counts, std::size_t line);

/// What the head of an input looks like: a csvlog or jsonlog record, else SQL.
input_format recognise(std::string_view head);

/// Reads a whole input. Without a format it is recognised. Gives the format.
input_format read_input(std::istream& input, std::optional<input_format> format,
                        const limits& bounds, const sink& take, input_counts& counts);

/// SQL as psql reads it: statements end at a semicolon outside of quotes, comments and brackets.
/// Leading blanks and "--" comments are no part of a statement (psql does not send them); "\;"
/// joins statements to one message, and other backslash commands are skipped. Not known are psql's
/// variables: `:name` stays as it is.
void read_sql(window& input, const limits& bounds, const sink& take, input_counts& counts);

/// PostgreSQL's log_destination = csvlog, of versions 9.0 to 16 (columns by their order). Records
/// with a quote too many or too few are unreadable; reading goes on with the next line.
void read_csvlog(window& input, const limits& bounds, const sink& take, input_counts& counts);

/// PostgreSQL's log_destination = jsonlog: one object on a line.
void read_jsonlog(window& input, const limits& bounds, const sink& take, input_counts& counts);

}  // namespace pgtorii::admin::route
