#include "admin/route_input.hpp"

#include "routing/lexer.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace pgtorii::admin::route {

namespace {

constexpr std::size_t block_bytes = 64 * 1024;

constexpr std::array<std::pair<std::string_view, input_format>, 3> formats{
    {{"sql", input_format::sql},
     {"csvlog", input_format::csvlog},
     {"jsonlog", input_format::jsonlog}}};

/// Whether a text has the shape of `pattern`, where 0 stands for any digit, at its start.
bool begins_like(std::string_view text, std::string_view pattern)
{
    if (text.size() < pattern.size()) return false;
    return std::equal(pattern.begin(), pattern.end(), text.begin(), [](char wanted, char found) {
        return wanted == '0' ? routing::is_digit(found) : wanted == found;
    });
}

}  // namespace

std::string_view name_of(input_format format)
{
    for (const auto& [name, each] : formats) {
        if (each == format) return name;
    }
    return "";
}

std::optional<input_format> format_named(std::string_view name)
{
    for (const auto& [each, format] : formats) {
        if (each == name) return format;
    }
    return std::nullopt;
}

bool window::read_more()
{
    if (is_at_end_ || is_full()) return false;
    buffer_.erase(0, std::exchange(start_, 0));
    const auto held = buffer_.size();
    // Twice as much each time: what is looked at again from its start costs a constant factor.
    const auto wanted = std::min(std::max(block_bytes, held), bytes_max_ - held);
    buffer_.resize(held + wanted);
    input_.read(buffer_.data() + held, static_cast<std::streamsize>(wanted));
    const auto got = static_cast<std::size_t>(input_.gcount());
    buffer_.resize(held + got);
    is_at_end_ = got < wanted;
    return got > 0;
}

void window::consume(std::size_t count)
{
    const auto taken = bytes().substr(0, count);
    line_ += static_cast<std::size_t>(std::ranges::count(taken, '\n'));
    start_ += taken.size();
}

void window::skip_line()
{
    for (;;) {
        const auto held = bytes();
        const auto end = held.find('\n');
        if (end != std::string_view::npos) {
            consume(end + 1);
            return;
        }
        consume(held.size());
        if (!read_more()) return;
    }
}

void count_unreadable(input_counts& counts, std::size_t line)
{
    if (counts.unreadable++ == 0) counts.first_unreadable = line;
}

input_format recognise(std::string_view head)
{
    if (begins_like(head, "0000-00-00 00:00:00") &&
        head.substr(0, head.find('\n')).find(',') != std::string_view::npos) {
        return input_format::csvlog;
    }
    if (head.starts_with("{\"timestamp\"")) return input_format::jsonlog;
    return input_format::sql;
}

input_format read_input(std::istream& input, std::optional<input_format> format,
                        const limits& bounds, const sink& take, input_counts& counts)
{
    window held{input, std::max(bounds.record_bytes_max, bounds.text_bytes_max)};
    held.read_more();
    constexpr std::string_view byte_order_mark = "\xEF\xBB\xBF";
    if (held.bytes().starts_with(byte_order_mark)) held.consume(byte_order_mark.size());
    const auto kind = format ? *format : recognise(held.bytes());
    switch (kind) {
    case input_format::sql: read_sql(held, bounds, take, counts); break;
    case input_format::csvlog: read_csvlog(held, bounds, take, counts); break;
    case input_format::jsonlog: read_jsonlog(held, bounds, take, counts); break;
    }
    counts.is_broken_off = counts.is_broken_off || held.is_broken();
    return kind;
}

}  // namespace pgtorii::admin::route
