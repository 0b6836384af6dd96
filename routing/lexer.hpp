#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace pgtorii::routing {

enum class token_kind : std::uint8_t {
    end,
    word,         // keyword or unquoted identifier
    quoted_word,  // "identifier"
    string,       // any string constant: '..', E'..', $tag$..$tag$, ... without its prefix
    number,
    parameter,  // $1
    op,
    punctuation,  // one of , ; ( ) [ ] . : and every byte that is nothing else
    open_quote,   // a quote or comment without its end; the rest of the text
};

struct token {
    token_kind kind = token_kind::end;
    std::string_view text;
};

/// Splits a text into tokens by PostgreSQL's rules (scan.l of version 15), as far as ends of quotes
/// and comments and the number of tokens need it. It never judges SQL. Views live as long as the
/// text.
class lexer {
public:
    explicit lexer(std::string_view sql) : sql_(sql) {}

    /// The next token; blanks and comments are skipped. After `end` or `open_quote` always `end`.
    token next();

private:
    char at(std::size_t where) const { return where < sql_.size() ? sql_[where] : '\0'; }
    bool skip_blanks();
    token take(token_kind kind, std::size_t stop);
    token quoted(token_kind kind, char quote, bool has_escapes);
    token word();
    token number();
    token dollar();
    token operators();

    std::string_view sql_;
    std::size_t position_ = 0;
    std::size_t signs_end_ = 0;
};

constexpr bool is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}
constexpr bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}
constexpr bool is_high(char c)
{
    return static_cast<unsigned char>(c) >= 0x80;
}
constexpr bool is_word_start(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || is_high(c);
}
constexpr bool is_word_part(char c)
{
    return is_word_start(c) || is_digit(c) || c == '$';
}

}  // namespace pgtorii::routing
