#include "routing/pgpool_command.hpp"

#include "routing/lexer.hpp"
#include "routing/text_outline.hpp"

#include <algorithm>
#include <array>
#include <string>

namespace pgtorii::routing {

namespace {

constexpr std::array<std::string_view, 9> pool_shows{
    "pool_status",  "pool_pools", "pool_processes",          "pool_nodes",
    "pool_version", "pool_cache", "pool_health_check_stats", "pool_backend_stats",
    "pool_pins",
};

/// Tokens of one statement, read from left to right.
class command_reader {
public:
    explicit command_reader(std::string_view sql) : tokens_(sql) { advance(); }

    bool take_word(std::string_view word)
    {
        if (now_.kind != token_kind::word || !equals_ignoring_case(now_.text, word)) return false;
        advance();
        return true;
    }
    bool take_operator(std::string_view text)
    {
        if (now_.kind != token_kind::op || now_.text != text) return false;
        advance();
        return true;
    }
    void skip_semicolons()
    {
        while (now_.text == ";") advance();
    }
    bool is_at_end() const { return now_.kind == token_kind::end || now_.text == ";"; }

    /// An identifier: folded, or without its quotes.
    std::optional<std::string> take_name()
    {
        std::string name;
        if (now_.kind == token_kind::word) {
            name = folded(now_.text);
        } else if (now_.kind == token_kind::quoted_word && now_.text.front() == '"') {
            name = without_quotes(now_.text);
        } else {
            return std::nullopt;
        }
        advance();
        return name;
    }

    /// 'text', word, "word", or a number with its sign.
    std::optional<std::string> take_value()
    {
        if (now_.kind == token_kind::string && now_.text.front() == '\'') {
            auto value = without_quotes(now_.text);
            advance();
            return value;
        }
        std::string sign;
        if (now_.kind == token_kind::op && (now_.text == "-" || now_.text == "+")) {
            if (now_.text == "-") sign = "-";
            advance();
            if (now_.kind != token_kind::number) return std::nullopt;
        }
        if (now_.kind != token_kind::number) return take_name();
        auto value = sign.append(now_.text);
        advance();
        return value;
    }

private:
    void advance() { now_ = tokens_.next(); }

    static std::string folded(std::string_view word)
    {
        std::string low(word);
        std::transform(low.begin(), low.end(), low.begin(), [](char c) {
            return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
        });
        return low;
    }
    static std::string without_quotes(std::string_view quoted)
    {
        const char quote = quoted.front();
        std::string plain;
        for (std::size_t i = 1; i + 1 < quoted.size(); ++i) {
            if (quoted[i] == quote) ++i;  // doubled
            plain.push_back(quoted[i]);
        }
        return plain;
    }

    lexer tokens_;
    token now_;
};

}  // namespace

std::optional<statement_facts> pgpool_command(std::string_view sql)
{
    command_reader reader(sql);
    reader.skip_semicolons();
    if (!reader.take_word("pgpool")) return std::nullopt;
    statement_facts facts;
    facts.destination = destination::local;
    facts.counts_as_write = false;
    const bool is_set = reader.take_word("set");
    if (is_set) {
        facts.kind = statement_kind::pgpool_set;
    } else if (reader.take_word("show")) {
        facts.kind = statement_kind::pgpool_show;
    } else if (reader.take_word("reset")) {
        facts.kind = statement_kind::pgpool_reset;
    } else {
        return std::nullopt;
    }
    auto name = reader.take_name();
    if (!name) return std::nullopt;
    facts.name = std::move(*name);
    if (is_set) {
        if (!reader.take_word("to") && !reader.take_operator("=")) return std::nullopt;
        if (!reader.take_word("default")) {
            auto value = reader.take_value();
            if (!value) return std::nullopt;
            facts.value = std::move(*value);
            facts.has_value = true;
        }
    }
    if (!reader.is_at_end()) return std::nullopt;
    return facts;
}

bool is_pool_show(std::string_view name)
{
    return std::find(pool_shows.begin(), pool_shows.end(), name) != pool_shows.end();
}

}  // namespace pgtorii::routing
