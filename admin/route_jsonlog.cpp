#include "admin/route_log_record.hpp"

#include <simdjson.h>

namespace pgtorii::admin::route {

namespace {

std::string_view text_at(const simdjson::dom::object& record, std::string_view key)
{
    std::string_view found;
    if (record[key].get(found) != simdjson::SUCCESS) return {};
    return found;
}

log_record record_of(const simdjson::dom::object& record, std::size_t line)
{
    return {.user = text_at(record, "user"),
            .database = text_at(record, "dbname"),
            .session = text_at(record, "session_id"),
            .severity = text_at(record, "error_severity"),
            .message = text_at(record, "message"),
            .statement = text_at(record, "statement"),
            .application = text_at(record, "application_name"),
            .line = line};
}

bool is_blank_line(std::string_view line)
{
    return line.find_first_not_of(" \t\r") == std::string_view::npos;
}

}  // namespace

void read_jsonlog(window& input, const limits& bounds, const sink& take, input_counts& counts)
{
    simdjson::dom::parser parser;
    for (;;) {
        const auto held = input.bytes();
        const auto end = held.find('\n');
        if (end == std::string_view::npos && input.read_more()) continue;
        if (held.empty()) return;
        if (end == std::string_view::npos && !input.is_at_end()) {
            count_unreadable(counts, input.line());
            input.skip_line();
            continue;
        }
        const auto line = held.substr(0, end);
        simdjson::dom::object record;
        if (is_blank_line(line)) {
            // nothing
        } else if (parser.parse(line.data(), line.size()).get(record) != simdjson::SUCCESS ||
                   text_at(record, "error_severity").empty()) {
            count_unreadable(counts, input.line());
        } else if (!take_record(record_of(record, input.line()), bounds, take)) {
            ++counts.other_records;
        }
        input.consume(line.size() + 1);
    }
}

}  // namespace pgtorii::admin::route
