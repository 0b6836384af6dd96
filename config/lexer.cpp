#include "config/lexer.hpp"

#include "config/text.hpp"

#include <algorithm>

namespace pgtorii::config {
namespace {

// The C library's classes depend on the locale; these are the lexer's own.
bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

bool is_ascii_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool is_letter(char c)
{
    return is_ascii_letter(c) || c == '_' || static_cast<unsigned char>(c) >= 0x80;
}

bool is_hex(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

}  // namespace

token lexer::next()
{
    while (at(at_) == ' ' || at(at_) == '\t' || at(at_) == '\r') ++at_;
    if (at(at_) == '#') at_ = std::min(text_.find('\n', at_), text_.size());
    if (at_ >= text_.size()) return make(token_kind::end, 0);

    const char c = text_[at_];
    if (c == '\n') return make(token_kind::newline, 1);
    if (c == '=') return make(token_kind::equals, 1);
    if (c == '\'') return quoted_string();
    if (is_letter(c)) {
        const auto name = name_length();
        const auto unquoted = unquoted_length();
        return unquoted > name ? make(token_kind::unquoted, unquoted)
                               : make(token_kind::name, name);
    }
    const auto integer = integer_length();
    const auto real = real_length();
    if (real > integer) return make(token_kind::real, real);
    if (integer > 0) return make(token_kind::integer, integer);
    return make(token_kind::stray, 1);
}

token lexer::make(token_kind kind, std::size_t length)
{
    token made{kind, std::string(text_.substr(at_, length)), line_, at_};
    at_ += length;
    if (kind == token_kind::newline) ++line_;
    return made;
}

/// A quote behind a backslash ends the string only if no later quote on the line does: the longest
/// match wins. The backslash stays in the text.
token lexer::quoted_string()
{
    token made{token_kind::quoted, {}, line_, at_};
    std::size_t end_escaped = 0;  // of the last quote behind a backslash
    std::size_t text_escaped = 0;
    for (auto i = at_ + 1; i < text_.size() && text_[i] != '\n'; ++i) {
        if (text_[i] != '\'') {
            made.text += text_[i];
        } else if (text_[i - 1] == '\\') {
            end_escaped = i + 1;
            text_escaped = made.text.size();
            made.text += '\'';
        } else if (at(i + 1) == '\'') {
            made.text += '\'';
            ++i;
        } else {
            at_ = i + 1;
            return made;
        }
    }
    if (end_escaped == 0) return make(token_kind::unterminated, 1);
    made.text.resize(text_escaped);
    at_ = end_escaped;
    return made;
}

std::size_t lexer::name_length() const
{
    auto i = at_;
    while (is_letter(at(i)) || is_digit(at(i))) ++i;
    return i - at_;
}

std::size_t lexer::unquoted_length() const
{
    constexpr std::string_view marks = "-.:/";
    auto i = at_;
    while (is_letter(at(i)) || is_digit(at(i)) ||
           (i < text_.size() && marks.find(text_[i]) != std::string_view::npos))
        ++i;
    return i - at_;
}

std::size_t lexer::integer_length() const
{
    auto i = at_;
    if (at(i) == '+' || at(i) == '-') ++i;
    if (!is_digit(at(i))) return 0;
    if (at(i) == '0' && at(i + 1) == 'x' && is_hex(at(i + 2))) {
        i += 2;
        while (is_hex(at(i))) ++i;
    } else {
        while (is_digit(at(i))) ++i;
    }
    while (is_ascii_letter(at(i))) ++i;
    return i - at_;
}

std::size_t lexer::real_length() const
{
    auto i = at_;
    if (at(i) == '+' || at(i) == '-') ++i;
    while (is_digit(at(i))) ++i;
    if (at(i) != '.') return 0;
    ++i;
    while (is_digit(at(i))) ++i;
    if (at(i) == 'e' || at(i) == 'E') {
        auto exponent = i + 1;
        if (at(exponent) == '+' || at(exponent) == '-') ++exponent;
        if (is_digit(at(exponent))) {
            while (is_digit(at(exponent))) ++exponent;
            i = exponent;
        }
    }
    return i - at_;
}

void lexer::skip_line()
{
    at_ = std::min(text_.find('\n', at_), text_.size());
    if (at_ == text_.size()) return;
    ++at_;
    ++line_;
}

std::string_view lexer::rest_of_line(std::size_t begin) const
{
    const auto end = std::min(text_.find('\n', begin), text_.size());
    return trimmed(text_.substr(begin, end - begin));
}

}  // namespace pgtorii::config
