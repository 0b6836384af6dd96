#include "admin/route_log_record.hpp"
#include "routing/lexer.hpp"

#include <algorithm>
#include <string>
#include <vector>

namespace pgtorii::admin::route {

namespace {

// Columns by the order of PostgreSQL's page "Error Reporting and Logging", Using CSV-Format Log
// Output. Version 13 added backend_type behind these, 14 leader_pid and query_id.
constexpr std::size_t user_column = 1;
constexpr std::size_t database_column = 2;
constexpr std::size_t session_column = 5;
constexpr std::size_t severity_column = 11;
constexpr std::size_t message_column = 13;
constexpr std::size_t statement_column = 19;
constexpr std::size_t application_column = 22;
constexpr std::size_t column_count_min = 23;
constexpr std::size_t column_count_max = 64;  // for versions to come

enum class outcome {
    record,
    incomplete,  // the input that is held ends inside
    broken,
};

/// One record from the front of a text: fields by comma, quotes doubled inside of quotes.
class csv_parser {
public:
    outcome parse(std::string_view text)
    {
        text_ = text;
        position_ = 0;
        last_line_ = 0;
        count_ = 0;
        for (;;) {
            const auto found = parse_field();
            if (found != outcome::record) return found;
            if (position_ >= text_.size()) return outcome::incomplete;
            const char stop = text_[position_++];
            if (stop == '\n') return outcome::record;
            if (stop != ',' || count_ == column_count_max) return outcome::broken;
        }
    }

    std::size_t count() const { return count_; }
    std::string_view operator[](std::size_t column) const { return fields_[column]; }
    /// Behind the record.
    std::size_t size() const { return position_; }
    /// Where the last line begins that a broken record has reached.
    std::size_t last_line() const { return last_line_; }

private:
    /// Stops at what must be a comma or the end of the line.
    outcome parse_field()
    {
        if (count_ == fields_.size()) fields_.emplace_back();
        auto& field = fields_[count_++];
        field.clear();
        if (position_ < text_.size() && text_[position_] == '"') return parse_quoted(field);
        const auto stop = std::min(text_.find_first_of(",\n\"", position_), text_.size());
        field = text_.substr(position_, stop - position_);
        position_ = stop;
        if (field.ends_with('\r') && text_.substr(position_).starts_with('\n')) field.pop_back();
        return outcome::record;
    }

    outcome parse_quoted(std::string& field)
    {
        ++position_;
        for (;;) {
            const auto stop = text_.find('"', position_);
            const auto piece =
                text_.substr(position_, stop == std::string_view::npos ? stop : stop - position_);
            const auto line = piece.rfind('\n');
            if (line != std::string_view::npos) last_line_ = position_ + line + 1;
            if (stop == std::string_view::npos) return outcome::incomplete;
            field += piece;
            position_ = stop + 1;
            if (!text_.substr(position_).starts_with('"')) break;
            field += '"';
            ++position_;
        }
        if (text_.substr(position_).starts_with("\r\n")) ++position_;
        return outcome::record;
    }

    std::string_view text_;
    std::size_t position_ = 0;
    std::size_t last_line_ = 0;
    std::size_t count_ = 0;
    std::vector<std::string> fields_;  // strings are used again
};

bool is_record(const csv_parser& fields)
{
    return fields.count() >= column_count_min && !fields[0].empty() &&
           routing::is_digit(fields[0].front());
}

log_record record_of(const csv_parser& fields, std::size_t line)
{
    return {.user = fields[user_column],
            .database = fields[database_column],
            .session = fields[session_column],
            .severity = fields[severity_column],
            .message = fields[message_column],
            .statement = fields[statement_column],
            .application = fields[application_column],
            .line = line};
}

}  // namespace

void read_csvlog(window& input, const limits& bounds, const sink& take, input_counts& counts)
{
    csv_parser fields;
    for (;;) {
        if (input.bytes().empty() && !input.read_more()) return;
        const auto found = fields.parse(input.bytes());
        if (found == outcome::incomplete && input.read_more()) continue;
        if (found == outcome::incomplete && input.is_at_end()) {
            // The server writes a line feed behind each record: this one is not whole.
            count_unreadable(counts, input.line());
            return;
        }
        if (found != outcome::record) {
            count_unreadable(counts, input.line());
            // A quote that is missing makes the next record look like this one's rest: what broke
            // the rules stands in a line that may be a record.
            if (found == outcome::broken && fields.last_line() > 0) {
                input.consume(fields.last_line());
            } else {
                input.skip_line();
            }
            continue;
        }
        if (!is_record(fields)) {
            count_unreadable(counts, input.line());
        } else if (!take_record(record_of(fields, input.line()), bounds, take)) {
            ++counts.other_records;
        }
        input.consume(fields.size());
    }
}

}  // namespace pgtorii::admin::route
