#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace pgtorii::config {

enum class token_kind : std::uint8_t {
    name,      // fit for a parameter's name; as a value, an unquoted string
    unquoted,  // other unquoted strings: host.example:5432, a/b
    quoted,    // 'text': `text` of the token is without the quotes
    integer,   // +1, 0x1f, 10min: with a suffix that touches it
    real,      // 1.5, -.5e3
    equals,
    newline,
    unterminated,  // a quote without its end
    stray,         // one byte that begins no token
    end,
};

struct token {
    token_kind kind = token_kind::end;
    std::string text;
    std::size_t line = 1;
    std::size_t begin = 0;  ///< Offset of its first byte.
};

/// Cuts pgpool.conf into tokens as Pgpool-II's lexer does (longest match wins; blank, tab and CR
/// separate), with two relaxations where that one fails: a doubled quote inside quotes is one
/// quote, and a comment may end the file. Never reads outside of the text, which must outlive it;
/// any bytes are legal. Copies look ahead.
class lexer {
public:
    explicit lexer(std::string_view text) : text_(text) {}

    /// The next token; `end` again and again at the end.
    token next();

    /// Goes behind the newline that ends the line of the last token.
    void skip_line();

    /// From `begin` to the end of its line, without blanks at its ends.
    std::string_view rest_of_line(std::size_t begin) const;

private:
    token make(token_kind kind, std::size_t length);
    token quoted_string();
    std::size_t name_length() const;
    std::size_t unquoted_length() const;
    std::size_t integer_length() const;
    std::size_t real_length() const;
    char at(std::size_t offset) const { return offset < text_.size() ? text_[offset] : '\0'; }

    std::string_view text_;
    std::size_t at_ = 0;
    std::size_t line_ = 1;
};

}  // namespace pgtorii::config
