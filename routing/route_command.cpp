#include "routing/route_command.hpp"

#include "routing/lexer.hpp"
#include "routing/text_outline.hpp"

#include <algorithm>
#include <array>

namespace pgtorii::routing {

namespace {

/// More words than any list of options has.
constexpr int token_count_max = 100;

bool is_punctuation(const token& now, char c)
{
    return now.kind == token_kind::punctuation && now.text[0] == c;
}

bool is_route(const token& now)
{
    return (now.kind == token_kind::word && equals_ignoring_case(now.text, "route")) ||
           (now.kind == token_kind::quoted_word && now.text == "\"route\"");
}

/// The value of an option that takes it back.
bool is_off(const token& value)
{
    constexpr std::array<std::string_view, 6> words{"off", "false", "0", "'off'", "'false'", "'0'"};
    return std::any_of(words.begin(), words.end(), [&](std::string_view word) {
        return equals_ignoring_case(value.text, word);
    });
}

}  // namespace

std::optional<std::string_view> explained_text(std::string_view sql)
{
    lexer tokens(sql);
    auto now = tokens.next();
    while (is_punctuation(now, ';')) now = tokens.next();
    if (now.kind != token_kind::word || !equals_ignoring_case(now.text, "explain")) return {};
    if (!is_punctuation(tokens.next(), '(')) return {};
    bool explains_route = false;
    int left = token_count_max;
    for (bool is_last = false; !is_last;) {
        const auto option = tokens.next();
        if (--left < 0) return {};
        if (option.kind != token_kind::word && option.kind != token_kind::quoted_word) return {};
        bool is_on = true;
        for (now = tokens.next(); !is_punctuation(now, ','); now = tokens.next()) {
            is_last = is_punctuation(now, ')');
            if (is_last) break;
            if (--left < 0) return {};
            if (now.kind == token_kind::end || now.kind == token_kind::open_quote) return {};
            if (now.kind == token_kind::punctuation) return {};
            if (is_off(now)) is_on = false;
        }
        if (is_route(option)) explains_route = is_on;
    }
    if (!explains_route) return {};
    auto rest = sql.substr(static_cast<std::size_t>(now.text.data() + 1 - sql.data()));
    while (!rest.empty() && is_blank(rest.front())) rest.remove_prefix(1);
    return rest;
}

}  // namespace pgtorii::routing
