#include "config/auth_lines.hpp"

#include "config/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>
#include <optional>

namespace pgtorii::config {
namespace {

constexpr std::size_t bytes_max = 4 << 20;
constexpr std::size_t lines_max = 20'000;
constexpr std::size_t tokens_max = 200'000;
constexpr std::size_t diagnostics_max = 100;
constexpr int files_max = 1'000;
constexpr int depth_max = 10;  // PostgreSQL's; the main file is 0

bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

int read_from_disk(const std::string& path, std::size_t limit, std::string& bytes)
{
    const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rbe"),
                                                               &std::fclose);
    if (!file) return errno;
    std::array<char, 16384> block{};
    std::size_t left = limit + 1;
    for (std::size_t count = block.size(); count == block.size() && left > 0;) {
        count = std::fread(block.data(), 1, std::min(left, block.size()), file.get());
        bytes.append(block.data(), count);
        left -= count;
    }
    return std::ferror(file.get()) == 0 ? 0 : errno;
}

int list_on_disk(const std::string& path, std::vector<std::string>& names)
{
    std::error_code failure;
    std::filesystem::directory_iterator entries{path, failure};
    while (!failure && entries != std::filesystem::directory_iterator{}) {
        if (!entries->is_directory(failure)) names.push_back(entries->path().filename().string());
        failure.clear();
        entries.increment(failure);
    }
    return failure.value();
}

std::string beside(const std::string& file, const std::string& name)
{
    const std::filesystem::path path{name};
    if (path.is_absolute()) return name;
    return (std::filesystem::path{file}.parent_path() / path).string();
}

}  // namespace

file_source file_source::of_disk()
{
    return {.read = read_from_disk, .list = list_on_disk};
}

/// Cuts one line, joined already, into names.
class auth_lines::cutter {
public:
    struct piece {
        auth_token token;
        bool is_list_file = false;  // @name
        bool has_comma = false;     // another name of the same field follows
    };

    explicit cutter(std::string_view text) : text_(text) {}

    /// The next name, or nothing at the end of the line. In a list, blanks may stand before it.
    std::optional<piece> next()
    {
        while (at_ < text_.size() && is_blank(text_[at_])) ++at_;
        if (at_ == text_.size() || text_[at_] == '#') return std::nullopt;
        begin_ = at_;
        piece made;
        bool is_within = false;  // quotes
        bool has_quotes = false;
        for (; at_ < text_.size(); ++at_) {
            const char c = text_[at_];
            if (c == '"') {
                // Two of them within quotes are one.
                if (is_within && at_ + 1 < text_.size() && text_[at_ + 1] == '"') {
                    made.token.text += '"';
                    ++at_;
                    continue;
                }
                if (made.token.text.empty()) made.token.is_quoted = true;
                is_within = !is_within;
                has_quotes = true;
            } else if (!is_within && (is_blank(c) || c == '#')) {
                break;
            } else if (!is_within && c == ',') {
                ++at_;
                made.has_comma = true;
                break;
            } else {
                made.token.text += c;
            }
        }
        if (is_within) problem_ = "a quote is not closed on its line";
        if (made.token.text.empty() && !has_quotes) problem_ = "a comma has no name before it";
        made.is_list_file =
            !made.token.is_quoted && made.token.text.size() > 1 && made.token.text.front() == '@';
        return made;
    }

    /// What is wrong with the last name, or null.
    const char* problem() const { return problem_; }
    std::string_view rest() const { return text_.substr(begin_); }
    /// Where the line, or the part before its comment, has ended.
    std::size_t end() const { return at_; }

private:
    std::string_view text_;
    std::size_t at_ = 0;
    std::size_t begin_ = 0;  // of the last name
    const char* problem_ = nullptr;
};

void auth_lines::read_main(const std::string& path)
{
    const std::string file = path;
    include_file(
        file, {.file = file, .line = 0, .depth = -1}, true,
        [this](auth_line&& line, const place& where) { take_line(std::move(line), where); });
}

void auth_lines::read_text(const std::string& name, std::string_view text)
{
    bytes_read_ += text.size();
    if (bytes_read_ > bytes_max)
        return stop({.file = name, .line = 0, .depth = 0}, "the file is too long");
    read_lines(name, text, 0,
               [this](auth_line&& line, const place& where) { take_line(std::move(line), where); });
}

/// Hands on the lines of a file that have fields, those that a backslash continues as one.
void auth_lines::read_lines(const std::string& file, std::string_view text, int depth,
                            const line_taker& take)
{
    if (text.starts_with("\xef\xbb\xbf")) {
        report(severity::error, file, 1,
               "the file begins with a UTF-8 byte order mark, which hides its first record",
               "Save the file without a byte order mark.");
        text.remove_prefix(3);
    }
    std::size_t number = 0;
    while (!text.empty() && !is_stopped_) {
        const place where{.file = file, .line = number + 1, .depth = depth};
        std::string joined;
        std::size_t last_join = 0;
        for (bool goes_on = true; goes_on && !text.empty();) {
            ++number;
            last_join = joined.size();
            const auto end = text.find('\n');
            auto part = text.substr(0, end);
            text.remove_prefix(end == text.npos ? text.size() : end + 1);
            while (part.ends_with('\r')) part.remove_suffix(1);
            goes_on = part.ends_with('\\');
            if (goes_on) part.remove_suffix(1);
            joined += part;
        }
        auth_line made{.fields = {}, .file = file, .line = where.line};
        if (cut_line(where, joined, last_join, made) && !made.fields.empty())
            take(std::move(made), where);
    }
}

/// False: there is something wrong with the line, and it has been told. `last_join` is where the
/// last of the joined lines begins.
bool auth_lines::cut_line(const place& where, std::string_view text, std::size_t last_join,
                          auth_line& made)
{
    const auto refuse = [&](std::string message, std::string hint = {}) {
        report(severity::error, where.file, where.line, std::move(message), std::move(hint));
        return false;
    };
    if (text.find('\0') != text.npos) return refuse("the line has a zero byte");
    cutter input(text);
    bool is_list = false;
    while (auto found = input.next()) {
        if (const char* const wrong = input.problem())
            return refuse(fmt::format("{}: {}", wrong, in_quotes(input.rest())));
        if (++token_count_ > tokens_max) {
            stop(where, fmt::format("more than {} names", tokens_max));
            return false;
        }
        if (!is_list) made.fields.emplace_back();
        is_list = found->has_comma;
        auto& field = made.fields.back();
        if (found->is_list_file)
            expand(found->token.text.substr(1), where, field);
        else
            field.push_back(std::move(found->token));
        if (is_stopped_) return false;
    }
    if (is_list) return refuse("a comma has no name behind it");
    if (input.end() < last_join) {
        return refuse("a comment ends with a backslash: for PostgreSQL the next line belongs to "
                      "it, for Pgpool-II it does not",
                      "Remove the backslash.");
    }
    return true;
}

/// Keeps a line, or follows it to other files.
void auth_lines::take_line(auth_line&& line, const place& where)
{
    const auto& first = line.fields[0];
    const bool has_two = line.fields.size() == 2 && first.size() == 1;
    const auto is_word = [&](std::string_view word) { return has_two && first[0].text == word; };
    const bool is_include = is_word("include");
    if (!is_include && !is_word("include_if_exists") && !is_word("include_dir")) {
        if (lines_.size() == lines_max)
            return stop(where, fmt::format("more than {} records", lines_max));
        lines_.push_back(std::move(line));
        return;
    }
    if (line.fields[1].size() != 1) {
        report(severity::error, where.file, where.line,
               fmt::format("{} names one file, not a list", first[0].text));
        return;
    }
    const auto path = beside(where.file, line.fields[1][0].text);
    if (is_word("include_dir")) return include_directory(path, where);
    include_file(path, where, is_include, [this](auth_line&& each, const place& there) {
        take_line(std::move(each), there);
    });
}

void auth_lines::include_directory(const std::string& path, const place& where)
{
    std::vector<std::string> names;
    if (const int failure = source_.list(path, names)) {
        report(severity::error, where.file, where.line,
               fmt::format("could not open directory {}: {}", in_quotes(path),
                           std::strerror(failure)));
        return;
    }
    std::erase_if(names, [](const std::string& name) {
        return name.starts_with('.') || !name.ends_with(".conf") || name == ".conf";
    });
    std::ranges::sort(names);
    for (const auto& name : names) {
        if (is_stopped_) return;
        include_file(
            (std::filesystem::path{path} / name).string(), where, true,
            [this](auth_line&& each, const place& there) { take_line(std::move(each), there); });
    }
}

void auth_lines::include_file(const std::string& path, const place& where, bool must_exist,
                              const line_taker& take)
{
    if (where.depth >= depth_max)
        return stop(where, fmt::format("could not open {}: files are nested more than {} deep",
                                       in_quotes(path), depth_max));
    if (++file_count_ > files_max) return stop(where, fmt::format("more than {} files", files_max));
    std::string bytes;
    const int failure = load(path, bytes);
    if (failure == ENOENT && !must_exist) return;
    if (failure != 0) {
        report(severity::error, where.file, where.line,
               fmt::format("could not open file {}: {}", in_quotes(path), std::strerror(failure)),
               where.depth < 0 ? "" : "A relative path starts at the directory of this file.");
        return;
    }
    read_lines(path, bytes, where.depth + 1, take);
}

/// Adds what the file holds: all names of all fields of all its lines.
void auth_lines::expand(const std::string& name, const place& where, auth_field& into)
{
    include_file(beside(where.file, name), where, true, [&](auth_line&& line, const place&) {
        for (auto& field : line.fields) {
            std::ranges::move(field, std::back_inserter(into));
        }
    });
}

int auth_lines::load(const std::string& path, std::string& bytes)
{
    const int failure = source_.read(path, bytes_max - bytes_read_, bytes);
    if (failure != 0) return failure;
    if (bytes.size() > bytes_max - bytes_read_) return EFBIG;
    bytes_read_ += bytes.size();
    return 0;
}

bool auth_lines::report(severity level, const std::string& file, std::size_t line,
                        std::string message, std::string hint)
{
    if (is_stopped_) return false;
    diagnostics_.push_back({level, file, line, std::move(message), std::move(hint)});
    if (diagnostics_.size() < diagnostics_max) return true;
    diagnostics_.push_back(
        {severity::error, file, line, "too many remarks: the rest is not read", {}});
    is_stopped_ = true;
    return false;
}

void auth_lines::stop(const place& where, std::string message)
{
    report(severity::error, where.file, where.line, std::move(message));
    is_stopped_ = true;
}

}  // namespace pgtorii::config
