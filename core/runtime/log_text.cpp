#include "core/runtime/log_text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

namespace pgtorii::runtime::log {

namespace {

// Wider padding than a terminal line can only be a mistake.
constexpr int padding_max = 200;
constexpr std::size_t syslog_bytes_max = 900;

bool is_control(char c)
{
    const auto byte = static_cast<unsigned char>(c);
    return byte < 0x20 || byte == 0x7f;
}

/// Like append_visible, for what stands inside a line prefix: it never has a second line.
void append_in_line(std::string& out, std::string_view text)
{
    for (std::size_t i = 0; i < text.size(); ++i) {
        const auto byte = static_cast<unsigned char>(text[i]);
        // The C1 controls, U+0080 to U+009F in UTF-8: U+009B begins a terminal's escape sequence.
        const bool is_c1 = byte == 0xc2 && i + 1 < text.size() &&
                           (static_cast<unsigned char>(text[i + 1]) & 0xe0) == 0x80;
        if (is_c1) {
            out += fmt::format("\\xc2\\x{:02x}", static_cast<unsigned char>(text[++i]));
        } else if (is_control(text[i])) {
            out += fmt::format("\\x{:02x}", byte);
        } else {
            out += text[i];
        }
    }
}

std::string escape_text(char escape, const origin& from, const line_prefix::moment& when)
{
    const auto& t = when.local;
    std::string text;
    switch (escape) {
    case 'a':
        append_in_line(text, from.application.empty() ? "[unknown]" : from.application);
        break;
    case 'P': append_in_line(text, from.process_kind); break;
    case 'u':
    case 'd': {
        const auto name = escape == 'u' ? from.user : from.database;
        if (name.data() == nullptr) return "[No Connection]";
        append_in_line(text, name.empty() ? "[unknown]" : name);
        break;
    }
    case 'p': return std::to_string(when.pid);
    case 'l': return std::to_string(when.line);
    case 't':
    case 'm':
        text = fmt::format("{:04}-{:02}-{:02} {:02}:{:02}:{:02}", t.tm_year + 1900, t.tm_mon + 1,
                           t.tm_mday, t.tm_hour, t.tm_min, t.tm_sec);
        if (escape == 'm') text += fmt::format(".{:03}", when.milliseconds);
        break;
    default: break;  // an unknown escape vanishes
    }
    return text;
}

/// Where the next chunk of one line ends: behind a blank if there is one, never inside a UTF-8
/// character.
std::size_t chunk_end(std::string_view line)
{
    if (line.size() <= syslog_bytes_max) return line.size();
    std::size_t end = syslog_bytes_max;
    while (end > syslog_bytes_max - 4 && (static_cast<unsigned char>(line[end]) & 0xc0) == 0x80)
        --end;
    const auto blank = line.substr(0, end).find_last_of(" \t");
    return blank == std::string_view::npos || blank == 0 ? end : blank + 1;
}

}  // namespace

std::string_view severity_word(config::message_level level)
{
    using enum config::message_level;
    switch (level) {
    case debug5:
    case debug4:
    case debug3:
    case debug2:
    case debug1: return "DEBUG";
    case log: return "LOG";
    case info: return "INFO";
    case notice: return "NOTICE";
    case warning: return "WARNING";
    case error: return "ERROR";
    case fatal: return "FATAL";
    case panic: return "PANIC";
    }
    return "LOG";
}

void append_visible(std::string& out, std::string_view text)
{
    while (!text.empty()) {
        const auto end = std::min(text.find_first_of("\n\t"), text.size());
        append_in_line(out, text.substr(0, end));
        if (end == text.size()) return;
        out += text[end] == '\n' ? "\n\t" : "\t";
        text.remove_prefix(end + 1);
    }
}

line_prefix::line_prefix(std::string_view pattern)
{
    std::string literal;
    const auto flush = [&] {
        if (!literal.empty()) pieces_.push_back({.text = std::exchange(literal, {})});
    };
    for (std::size_t i = 0; i < pattern.size(); ++i) {
        if (pattern[i] != '%') {
            literal += pattern[i];
            continue;
        }
        if (++i == pattern.size()) break;
        const bool is_left_justified = pattern[i] == '-';
        if (is_left_justified) ++i;
        int width = 0;
        for (; i < pattern.size() && pattern[i] >= '0' && pattern[i] <= '9'; ++i) {
            width = std::min(padding_max, width * 10 + (pattern[i] - '0'));
        }
        if (i == pattern.size()) break;
        if (pattern[i] == '%') {
            literal += '%';
            continue;
        }
        flush();
        pieces_.push_back({.escape = pattern[i], .width = is_left_justified ? -width : width});
    }
    flush();
}

void line_prefix::append(std::string& out, const origin& from, const moment& when) const
{
    for (const auto& each : pieces_) {
        if (each.escape == 0) {
            out += each.text;
            continue;
        }
        const auto text = escape_text(each.escape, from, when);
        const auto width = static_cast<std::size_t>(std::abs(each.width));
        const auto padding = width > text.size() ? width - text.size() : 0;
        if (each.width > 0) out.append(padding, ' ');
        out += text;
        if (each.width < 0) out.append(padding, ' ');
    }
}

std::string location_text(const std::source_location& where)
{
    std::string_view function = where.function_name();
    function = function.substr(0, function.find('('));
    function.remove_prefix(function.find_last_of(' ') + 1);
    std::string_view file = where.file_name();
    file.remove_prefix(file.find_last_of('/') + 1);
    return fmt::format("{}, {}:{}", function, file, where.line());
}

void append_entry(std::string& out, const line_prefix& prefix, line_prefix::moment& when,
                  config::message_level level, const origin& from, const entry& what,
                  config::verbosity verbosity, const std::source_location& where)
{
    const auto add = [&](std::string_view word, std::string_view text) {
        ++when.line;
        prefix.append(out, from, when);
        out += word;
        out += ":  ";
        append_visible(out, text);
        out += '\n';
    };
    add(severity_word(level), what.message);
    if (verbosity == config::verbosity::terse) return;
    if (!what.detail.empty()) add("DETAIL", what.detail);
    if (!what.hint.empty()) add("HINT", what.hint);
    if (!what.context.empty()) add("CONTEXT", what.context);
    if (verbosity == config::verbosity::verbose) add("LOCATION", location_text(where));
}

std::vector<std::string> syslog_chunks(std::uint64_t sequence, std::string_view text)
{
    while (text.ends_with('\n')) text.remove_suffix(1);
    if (text.size() <= syslog_bytes_max && text.find('\n') == std::string_view::npos) {
        return {fmt::format("[{}] {}", sequence, text)};
    }
    std::vector<std::string> chunks;
    while (!text.empty()) {
        const auto line_end = std::min(text.find('\n'), text.size());
        if (line_end == 0) {
            text.remove_prefix(1);
            continue;
        }
        const auto end = chunk_end(text.substr(0, line_end));
        chunks.push_back(
            fmt::format("[{}-{}] {}", sequence, chunks.size() + 1, text.substr(0, end)));
        text.remove_prefix(end);
    }
    return chunks;
}

std::time_t next_rotation(std::time_t now, std::chrono::seconds age, long utc_offset_seconds)
{
    const auto local = now + utc_offset_seconds;
    return local - local % age.count() + age.count() - utc_offset_seconds;
}

}  // namespace pgtorii::runtime::log
