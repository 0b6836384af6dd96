#include "routing/text_outline.hpp"

#include "routing/lexer.hpp"

#include <algorithm>
#include <array>
#include <vector>

namespace pgtorii::routing {

namespace {

char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

template <std::size_t Count>
bool is_one_of(std::string_view word, const std::array<std::string_view, Count>& list)
{
    return std::any_of(list.begin(), list.end(),
                       [word](auto name) { return equals_ignoring_case(word, name); });
}

/// An upper bound of the height of the syntax tree. Whatever stands between two separators may
/// become a chain, so each of its tokens counts one and a bracket counts all that is in it;
/// separators (comma, AND, OR, arms of CASE) part siblings, of which the highest counts. Set
/// operations and joins chain across separators.
class height_estimate {
public:
    height_estimate() { levels_.push_back({}); }

    void chain(std::uint32_t count) { levels_.back().element += count; }
    void link() { ++levels_.back().links; }
    void separate()
    {
        auto& level = levels_.back();
        level.highest = std::max(level.highest, level.element);
        level.element = 0;
    }
    void open(char bracket)
    {
        levels_.push_back({});
        levels_.back().bracket = bracket;
    }
    void close(char bracket)
    {
        // What CASE opened ends with its bracket, when a column is called "case".
        while (levels_.size() > 1 && levels_.back().bracket == 'c' && bracket != 'c') fold();
        if (levels_.size() > 1 && levels_.back().bracket == bracket) fold();
    }
    std::uint32_t total()
    {
        while (levels_.size() > 1) fold();
        separate();
        return levels_.back().highest + levels_.back().links;
    }

private:
    struct level {
        std::uint32_t element = 0;
        std::uint32_t highest = 0;
        std::uint32_t links = 0;
        char bracket = '\0';
    };

    void fold()
    {
        separate();
        const level done = levels_.back();
        levels_.pop_back();
        levels_.back().element += done.highest + done.links + 2;
    }

    std::vector<level> levels_;
};

constexpr std::array<std::string_view, 5> separators{"and", "or", "when", "then", "else"};
constexpr std::array<std::string_view, 4> links{"union", "intersect", "except", "join"};

void weigh_word(std::string_view word, height_estimate& height)
{
    if (is_one_of(word, separators)) {
        height.separate();
    } else if (is_one_of(word, links)) {
        height.link();
    } else if (equals_ignoring_case(word, "case")) {
        height.open('c');
    } else if (equals_ignoring_case(word, "end")) {
        height.close('c');
    } else {
        height.chain(1);
    }
}

void weigh_punctuation(char c, height_estimate& height)
{
    switch (c) {
    case '(':
    case '[': height.open(c); break;
    case ')': height.close('('); break;
    case ']': height.close('['); break;
    case ',':
    case ';': height.separate(); break;
    case '.': break;
    default: height.chain(1); break;
    }
}

void weigh(const token& now, bool is_name, height_estimate& height)
{
    if (now.kind == token_kind::word && !is_name) {
        weigh_word(now.text, height);
    } else if (now.kind == token_kind::punctuation) {
        weigh_punctuation(now.text[0], height);
    } else if (now.kind == token_kind::word || now.kind == token_kind::op) {
        height.chain(1);
    }
}

}  // namespace

bool equals_ignoring_case(std::string_view left, std::string_view right)
{
    return left.size() == right.size() &&
           std::equal(left.begin(), left.end(), right.begin(),
                      [](char a, char b) { return lower(a) == lower(b); });
}

text_outline outline(std::string_view sql, const analyze_limits& limits)
{
    constexpr std::uint64_t semicolon_weight = 5;  // what one more statement costs the parser
    text_outline found;
    lexer tokens(sql.substr(0, limits.scan_bytes_max));
    height_estimate height;
    std::uint64_t count = 0;
    bool has_statement = false;
    bool is_between = false;  // after a semicolon that ends the first statement
    bool is_multi = false;
    bool is_name = false;  // a.end and AS end name columns
    for (;;) {
        const token now = tokens.next();
        if (now.kind == token_kind::end || now.kind == token_kind::open_quote) {
            found.is_closed = now.kind == token_kind::end && sql.size() <= limits.scan_bytes_max;
            break;
        }
        if (count >= limits.scan_tokens_max) break;
        const bool is_semicolon = now.kind == token_kind::punctuation && now.text == ";";
        count += is_semicolon ? semicolon_weight : 1;
        // Inside brackets a semicolon ends nothing (CREATE RULE ... DO (a; b)); counting it is on
        // the safe side.
        if (is_semicolon) {
            is_between = has_statement;
        } else {
            if (!has_statement && now.kind == token_kind::word) found.first_word = now.text;
            is_multi = is_multi || is_between;
            has_statement = true;
        }
        if (count > limits.tokens_max) continue;  // only is_single is wanted now
        weigh(now, is_name, height);
        is_name = now.text == "." || equals_ignoring_case(now.text, "as");
    }
    found.is_closed = found.is_closed && sql.find('\0') == std::string_view::npos;
    found.is_single = found.is_closed && !is_multi;
    found.is_bounded = sql.size() <= limits.bytes_max && count <= limits.tokens_max &&
                       height.total() <= limits.height_max;
    return found;
}

}  // namespace pgtorii::routing
