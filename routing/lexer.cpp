#include "routing/lexer.hpp"

namespace pgtorii::routing {

namespace {

bool is_operator(char c)
{
    return c != '\0' && std::string_view("~!@#^&|`?+-*/%<>=").find(c) != std::string_view::npos;
}

bool is_sign(char c)
{
    return c == '+' || c == '-';
}

}  // namespace

token lexer::take(token_kind kind, std::size_t stop)
{
    const token found{kind, sql_.substr(position_, stop - position_)};
    position_ = stop;
    return found;
}

/// False: a comment without an end.
bool lexer::skip_blanks()
{
    for (;;) {
        while (position_ < sql_.size() && is_blank(sql_[position_])) ++position_;
        if (at(position_) == '-' && at(position_ + 1) == '-') {
            position_ = sql_.find_first_of("\r\n", position_);
            if (position_ == std::string_view::npos) position_ = sql_.size();
            continue;
        }
        if (at(position_) != '/' || at(position_ + 1) != '*') return true;
        std::size_t depth = 0;  // comments nest
        for (std::size_t i = position_;;) {
            if (i + 1 >= sql_.size()) return false;
            if (sql_[i] == '/' && sql_[i + 1] == '*') {
                ++depth;
                i += 2;
            } else if (sql_[i] == '*' && sql_[i + 1] == '/') {
                i += 2;
                if (--depth == 0) {
                    position_ = i;
                    break;
                }
            } else {
                ++i;
            }
        }
    }
}

token lexer::quoted(token_kind kind, char quote, bool has_escapes)
{
    const char stops[] = {quote, '\\'};
    const std::string_view stop_bytes(stops, has_escapes ? 2 : 1);
    std::size_t i = sql_.find_first_of(stop_bytes, position_ + 1);
    while (i != std::string_view::npos) {
        if (sql_[i] == quote && at(i + 1) != quote) return take(kind, i + 1);
        // Over the second of two quotes, or what a backslash escapes.
        i = sql_.find_first_of(stop_bytes, i + 2);
    }
    return take(token_kind::open_quote, sql_.size());
}

token lexer::word()
{
    std::size_t stop = position_ + 1;
    while (stop < sql_.size() && is_word_part(sql_[stop])) ++stop;
    const auto text = sql_.substr(position_, stop - position_);
    if (at(stop) == '\'' && text.size() == 1) {
        const char prefix = text[0];
        if (std::string_view("eEbBxXnN").find(prefix) != std::string_view::npos) {
            position_ = stop;
            return quoted(token_kind::string, '\'', prefix == 'e' || prefix == 'E');
        }
    }
    if (text.size() == 1 && (text[0] == 'u' || text[0] == 'U') && at(stop) == '&') {
        const char quote = at(stop + 1);
        if (quote == '\'' || quote == '"') {
            position_ = stop + 1;
            return quoted(quote == '"' ? token_kind::quoted_word : token_kind::string, quote,
                          false);
        }
    }
    return take(token_kind::word, stop);
}

token lexer::number()
{
    std::size_t stop = position_;
    while (is_digit(at(stop))) ++stop;
    if (at(stop) == '.' && at(stop + 1) != '.') {
        ++stop;
        while (is_digit(at(stop))) ++stop;
    }
    if (at(stop) == 'e' || at(stop) == 'E') {
        std::size_t exponent = stop + 1;
        if (at(exponent) == '+' || at(exponent) == '-') ++exponent;
        if (is_digit(at(exponent))) {
            stop = exponent;
            while (is_digit(at(stop))) ++stop;
        }
    }
    return take(token_kind::number, stop);
}

/// A parameter, or a string between two equal tags; a dollar sign that starts neither is one byte
/// of punctuation.
token lexer::dollar()
{
    std::size_t stop = position_ + 1;
    if (is_digit(at(stop))) {
        while (is_digit(at(stop))) ++stop;
        return take(token_kind::parameter, stop);
    }
    if (is_word_start(at(stop))) {
        while (is_word_start(at(stop)) || is_digit(at(stop))) ++stop;
    }
    if (at(stop) != '$') return take(token_kind::punctuation, position_ + 1);
    const auto tag = sql_.substr(position_, stop + 1 - position_);
    const auto close = sql_.find(tag, stop + 1);
    if (close == std::string_view::npos) return take(token_kind::open_quote, sql_.size());
    return take(token_kind::string, close + tag.size());
}

/// As PostgreSQL does, so that SQL's own operators may touch (a=-1): a sign ends an operator of
/// several characters only when that holds one of a few characters that SQL's own have not.
token lexer::operators()
{
    // Signs cut off the end of a longer run are operators of their own: no second look, or long
    // runs cost their square.
    if (position_ < signs_end_) return take(token_kind::op, position_ + 1);
    std::size_t stop = position_;
    bool may_end_in_sign = false;
    while (is_operator(at(stop))) {
        const bool is_comment =
            (at(stop) == '-' && at(stop + 1) == '-') || (at(stop) == '/' && at(stop + 1) == '*');
        if (is_comment) break;
        const bool is_special =
            std::string_view("~!@#^&|`?%").find(sql_[stop]) != std::string_view::npos;
        may_end_in_sign = may_end_in_sign || is_special;
        ++stop;
    }
    signs_end_ = stop;
    while (!may_end_in_sign && stop - position_ > 1 && is_sign(sql_[stop - 1])) --stop;
    return take(token_kind::op, stop);
}

token lexer::next()
{
    if (!skip_blanks()) return take(token_kind::open_quote, sql_.size());
    if (position_ >= sql_.size()) return {};
    const char c = sql_[position_];
    if (is_word_start(c)) return word();
    if (is_digit(c) || (c == '.' && is_digit(at(position_ + 1)))) return number();
    if (c == '\'') return quoted(token_kind::string, '\'', false);
    if (c == '"') return quoted(token_kind::quoted_word, '"', false);
    if (c == '$') return dollar();
    if (is_operator(c)) return operators();
    return take(token_kind::punctuation, position_ + 1);
}

}  // namespace pgtorii::routing
