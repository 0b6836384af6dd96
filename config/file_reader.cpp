#include "config/file_reader.hpp"

#include "config/text.hpp"

#include <fmt/format.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>

namespace pgtorii::config {
namespace {

constexpr std::size_t bytes_max = 16 << 20;
constexpr std::size_t entries_max = 100'000;
constexpr std::size_t diagnostics_max = 100;
constexpr int includes_max = 1'000;
constexpr int depth_max = 10;  // Pgpool-II's; the main file is 0

/// The line as it would be right with quotes around the value.
std::string quote_hint(const lexer& input, const token& name, const token& given)
{
    auto text = input.rest_of_line(given.begin);
    text = trimmed(text.substr(0, text.find(" #")));
    if (text.size() >= 2 && text.front() == '"' && text.back() == '"')
        text = text.substr(1, text.size() - 2);
    const auto shown = in_quotes(text);
    if (text.empty() || text.find('\'') != std::string_view::npos)
        return "Put the value in single quotes.";
    return fmt::format("Put the value in single quotes: {} = '{}'.", name.text,
                       std::string_view(shown).substr(1, shown.size() - 2));
}

}  // namespace

void file_reader::read_main(const std::string& path)
{
    std::string bytes;
    const int failure = load_bytes(path, bytes);
    if (failure == 0) return read_text(path, bytes);
    report(failure == ENOENT ? severity::warning : severity::error, path, 0,
           fmt::format("could not open configuration file {}: {}", in_quotes(path),
                       std::strerror(failure)));
}

void file_reader::read_text(const std::string& name, std::string_view text, int depth)
{
    constexpr std::string_view byte_order_mark = "\xef\xbb\xbf";
    if (text.starts_with(byte_order_mark)) {
        report(severity::error, name, 1,
               "the file begins with a UTF-8 byte order mark, which hides its first parameter",
               "Save the file without a byte order mark.");
        text.remove_prefix(byte_order_mark.size());
    }
    lexer input(text);
    while (!is_stopped_) {
        const token first = input.next();
        if (first.kind == token_kind::end) return;
        if (first.kind == token_kind::newline) continue;
        if (first.kind == token_kind::name) {
            read_setting(input, name, first, depth);
            continue;
        }
        report(severity::error, name, first.line,
               fmt::format("syntax error at {}", in_quotes(input.rest_of_line(first.begin))),
               "A line is: name = value.");
        input.skip_line();
    }
}

void file_reader::read_setting(lexer& input, const std::string& file, const token& name, int depth)
{
    token given = input.next();
    if (given.kind == token_kind::equals) given = input.next();
    if (!is_value(input, file, name, given) || !is_line_clean(input, file, name, given)) {
        if (given.kind != token_kind::newline) input.skip_line();
        return;
    }
    if (name.text == "include") return include(file, given, depth);
    if (entries_.size() == entries_max)
        return stop(file, name.line, fmt::format("more than {} settings", entries_max));
    entries_.push_back({name.text, given.text, file, name.line});
}

bool file_reader::is_value(const lexer& input, const std::string& file, const token& name,
                           const token& given)
{
    const auto refuse = [&](std::string message, std::string hint) {
        report(severity::error, file, name.line, std::move(message), std::move(hint));
        return false;
    };
    switch (given.kind) {
    case token_kind::name:
    case token_kind::unquoted:
    case token_kind::quoted:
    case token_kind::integer:
    case token_kind::real: return true;
    case token_kind::newline:
    case token_kind::end:
        return refuse(fmt::format("{} has no value", in_quotes(name.text)),
                      "Write a value behind the name; two single quotes are the empty text.");
    case token_kind::unterminated:
        return refuse(fmt::format("the value of {} has no closing quote", in_quotes(name.text)),
                      "A quoted value ends on its line; write '' for a quote in it.");
    case token_kind::equals:
    case token_kind::stray: break;
    }
    const auto behind = input.rest_of_line(given.begin + 1);
    if (given.text == "*" && (behind.empty() || behind.front() == '#')) {
        report(severity::warning, file, name.line, "a lone * is taken as '*'",
               quote_hint(input, name, given));
        return true;
    }
    return refuse(
        fmt::format("{} can't begin the value of {}", in_quotes(given.text), in_quotes(name.text)),
        quote_hint(input, name, given));
}

/// Pgpool-II takes the next token as the value and the rest of the line as more settings, so `2
/// min` is 2. Only what is clearly a second setting may follow.
bool file_reader::is_line_clean(const lexer& input, const std::string& file, const token& name,
                                const token& given)
{
    lexer ahead = input;
    const token next = ahead.next();
    if (next.kind == token_kind::newline || next.kind == token_kind::end) return true;
    if (next.kind == token_kind::name &&
        (is_known_(next.text) || ahead.next().kind == token_kind::equals))
        return true;
    report(severity::error, file, name.line,
           fmt::format("unexpected {} behind the value of {}",
                       in_quotes(input.rest_of_line(next.begin)), in_quotes(name.text)),
           given.kind == token_kind::quoted
               ? "Nothing but a comment may stand behind the closing quote."
               : quote_hint(input, name, given));
    return false;
}

void file_reader::include(const std::string& file, const token& given, int depth)
{
    if (depth >= depth_max)
        return stop(file, given.line,
                    fmt::format("could not include {}: maximum nesting depth ({}) exceeded",
                                in_quotes(given.text), depth_max));
    if (++include_count_ > includes_max)
        return stop(file, given.line, fmt::format("more than {} included files", includes_max));
    std::filesystem::path path(given.text);
    if (path.is_relative()) path = std::filesystem::path(file).parent_path() / path;
    std::string bytes;
    const int failure = load_bytes(path.string(), bytes);
    if (failure == 0) return read_text(path.string(), bytes, depth + 1);
    report(severity::error, file, given.line,
           fmt::format("could not open included file {}: {}", in_quotes(path.string()),
                       std::strerror(failure)),
           "A relative path starts at the directory of the including file; patterns and "
           "directories can't be included.");
}

/// Appends a file to `bytes`. Gives 0 or an errno value.
int file_reader::load_bytes(const std::string& path, std::string& bytes)
{
    const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rbe"),
                                                               &std::fclose);
    if (!file) return errno;
    std::array<char, 65536> block{};
    for (std::size_t count = block.size(); count == block.size();) {
        count = std::fread(block.data(), 1, block.size(), file.get());
        bytes.append(block.data(), count);
        bytes_read_ += count;
        if (bytes_read_ > bytes_max) return EFBIG;
    }
    return std::ferror(file.get()) == 0 ? 0 : errno;  // a directory opens, and fails to be read
}

void file_reader::report(severity level, const std::string& file, std::size_t line,
                         std::string message, std::string hint)
{
    if (is_stopped_) return;
    diagnostics_.push_back({level, file, line, std::move(message), std::move(hint)});
    if (diagnostics_.size() < diagnostics_max) return;
    diagnostics_.push_back(
        {severity::error, file, line, "too many remarks: the rest is not read", {}});
    is_stopped_ = true;
}

void file_reader::stop(const std::string& file, std::size_t line, std::string message)
{
    report(severity::error, file, line, std::move(message));
    is_stopped_ = true;
}

}  // namespace pgtorii::config
