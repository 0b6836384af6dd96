#include "routing/analyze.hpp"
#include "routing/lexer.hpp"
#include "routing/text_outline.hpp"

#include <catch2/catch.hpp>

#include <string>
#include <vector>

using namespace pgtorii::routing;

namespace {

std::vector<std::string> tokens_of(std::string_view sql)
{
    std::vector<std::string> found;
    lexer tokens(sql);
    for (auto now = tokens.next(); now.kind != token_kind::end; now = tokens.next()) {
        found.emplace_back(now.kind == token_kind::open_quote ? "<open>" : now.text);
    }
    return found;
}

using list = std::vector<std::string>;

std::string repeated(std::string_view unit, int count)
{
    std::string whole;
    for (int i = 0; i < count; ++i) whole += unit;
    return whole;
}

/// A text of `count` units: before, unit..., middle, closing...
struct shape {
    const char* before;
    const char* unit;
    const char* middle;
    const char* closing;
    std::string text(int count) const
    {
        return before + repeated(unit, count) + middle + repeated(closing, count);
    }
};

// Each makes the tree deeper by each unit.
const std::vector<shape> deep_shapes{
    {"SELECT 1", "+1", "", ""},
    {"SELECT 1", "+-", "1", ""},
    {"SELECT a", " || b", "", ""},
    {"SELECT ", "- ", "a", ""},
    {"SELECT ", "-+", "a", ""},
    {"SELECT ", "NOT ", "a", ""},
    {"SELECT a", "::int", "", ""},
    {"SELECT a", " IS NULL", "", ""},
    {"SELECT a", " COLLATE \"C\"", "", ""},
    {"SELECT a", " AT TIME ZONE b", "", ""},
    {"SELECT ", "(", "1", ")"},
    {"SELECT ", "(", "1", "+1)"},
    {"SELECT ", "(SELECT ", "1", ")"},
    {"SELECT * FROM ", "(SELECT * FROM ", "t", ") x"},
    {"SELECT 1 WHERE ", "EXISTS (SELECT 1 WHERE ", "true", ")"},
    {"SELECT ", "f(", "1", ")"},
    {"SELECT ", "f(a, b, ", "1", ", c)"},
    {"SELECT ", "CASE WHEN a THEN ", "1", " END"},
    {"SELECT ", "CASE WHEN a AND b THEN c ELSE ", "1", " END"},
    {"SELECT ", "CASE a.end WHEN b THEN ", "1", " END"},
    {"SELECT ", "ARRAY[", "1", "]"},
    {"SELECT a", "[a", "[1]", "]"},
    {"SELECT 1", " UNION SELECT 1, 2", "", ""},
    {"SELECT 1", " EXCEPT (SELECT 1", "", ")"},
    {"SELECT * FROM t", " JOIN t ON a AND b", "", ""},
    {"SELECT * FROM t", " JOIN t", "", " ON true"},
    {"", "WITH a AS (", "SELECT 1", ") SELECT 1"},
    {"SELECT 1 WHERE ", "a AND (b OR (", "c", "))"},
    {"SELECT ", "a IN (SELECT ", "1", ")"},
    {"SELECT ", "ROW(1, ", "1", ", 2)"},
    {"SELECT ", "'a' LIKE ALL (ARRAY[", "a", "])"},
    {"EXPLAIN SELECT ", "(", "1", ")"},
    {"CREATE VIEW v AS SELECT ", "(SELECT ", "1", ")"},
};

}  // namespace

TEST_CASE("Tokens end where PostgreSQL ends them")
{
    CHECK(tokens_of("SELECT a.b, 'it''s' FROM \"x\"\"y\"") ==
          list{"SELECT", "a", ".", "b", ",", "'it''s'", "FROM", "\"x\"\"y\""});
    CHECK(tokens_of("E'a\\'b' x") == list{"'a\\'b'", "x"});
    CHECK(tokens_of("'a\\' x") == list{"'a\\'", "x"});
    CHECK(tokens_of("U&'a' U&\"b\" N'c' x'd' U & v") ==
          list{"'a'", "\"b\"", "'c'", "'d'", "U", "&", "v"});
    CHECK(tokens_of("$$a;b$$ $t$ $$ $t$ $1 a$$b$$ $") ==
          list{"$$a;b$$", "$t$ $$ $t$", "$1", "a$$b$$", "$"});
    CHECK(tokens_of("1.5e-3 .5 1..2 7") == list{"1.5e-3", ".5", "1", ".", ".2", "7"});
    CHECK(tokens_of("a/* x /* y */ z */b--c\nd") == list{"a", "b", "d"});
    CHECK(tokens_of("a<=b||c+--d") == list{"a", "<=", "b", "||", "c", "+"});
    CHECK(tokens_of("a=-1 +-+ @- <>-") == list{"a", "=", "-", "1", "+", "-", "+", "@-", "<>", "-"});
    CHECK(tokens_of("a*/**/b") == list{"a", "*", "b"});
    CHECK(tokens_of("") == list{});
    for (const char* open : {"'a", "\"a", "$$a", "$x$a$y$", "E'a\\'", "/* /* */", "'a''"}) {
        INFO(open);
        CHECK(tokens_of(open).back() == "<open>");
    }
}

TEST_CASE("An outline tells single statements from several")
{
    const auto is_single = [](std::string_view sql) { return outline(sql, {}).is_single; };
    CHECK(is_single(""));
    CHECK(is_single(";; SELECT 1 ;; -- x"));
    CHECK(is_single("SELECT ';'"));
    CHECK_FALSE(is_single("SELECT 1; SELECT 2"));
    CHECK_FALSE(is_single("SELECT 1;;x"));
    CHECK_FALSE(is_single("SELECT '"));
    SECTION("also beyond the limits")
    {
        analyze_limits small;
        small.tokens_max = 10;
        const auto long_one = "SELECT " + repeated("1,", 100) + "1";
        CHECK(outline(long_one, small).is_single);
        CHECK_FALSE(outline(long_one, small).is_bounded);
        CHECK_FALSE(outline(long_one + ";x", small).is_single);
        small.scan_tokens_max = 100;
        CHECK_FALSE(outline(long_one, small).is_closed);
        small = {};
        small.scan_bytes_max = 5;
        CHECK_FALSE(outline("SELECT 1", small).is_closed);
        CHECK_FALSE(outline("SELECT 1", small).is_single);
    }
}

TEST_CASE("Wide texts are within bounds")
{
    const std::vector<shape> wide_shapes{
        {"SELECT 1 IN (1", ",2", ")", ""},
        {"SELECT 1 WHERE a = 1", " AND b = 'x'", "", ""},
        {"SELECT 1 WHERE a = 1", " OR b = 2 AND c = 3", "", ""},
        {"INSERT INTO t VALUES (1)", ", (2)", "", ""},
        {"SELECT CASE a", " WHEN 1 THEN 2", " END", ""},
        {"SELECT 1", "; SELECT 1", "", ""},
    };
    for (const auto& wide : wide_shapes) {
        INFO(wide.before << wide.unit);
        CHECK(outline(wide.text(700), {}).is_bounded);
        CHECK(analyze(wide.text(700), {})->is_parsed);
    }
    SECTION("up to the tokens")
    {
        CHECK_FALSE(outline(wide_shapes[0].text(20'000), {}).is_bounded);
    }
    SECTION("up to the bytes")
    {
        const auto text = "SELECT '" + std::string(300'000, 'x') + "'";
        CHECK_FALSE(outline(text, {}).is_bounded);
        CHECK_FALSE(analyze(text, {})->first().effects_unknown);
    }
}

TEST_CASE("Deep texts are refused before the parser, and moderate ones reach it")
{
    for (const auto& deep : deep_shapes) {
        INFO(deep.before << deep.unit);
        CHECK(outline(deep.text(20), {}).is_bounded);
        CHECK(analyze(deep.text(20), {})->is_parsed);
        CHECK_FALSE(outline(deep.text(1'000), {}).is_bounded);
        CHECK_FALSE(analyze(deep.text(1'000), {})->is_parsed);
        CHECK_FALSE(analyze(deep.text(100'000), {})->is_parsed);
    }
}

TEST_CASE("Whatever is just within the bounds is parsed or refused, never more")
{
    // The parser sees the deepest that each shape may reach.
    for (const auto& deep : deep_shapes) {
        INFO(deep.before << deep.unit);
        int low = 1;
        int high = 1'000;
        while (low + 1 < high) {
            const int middle = (low + high) / 2;
            (outline(deep.text(middle), {}).is_bounded ? low : high) = middle;
        }
        CHECK(low >= 20);
        const auto facts = analyze(deep.text(low), {});
        CHECK(facts->statements.size() == 1);
    }
}

TEST_CASE("Brackets that don't match are counted and not followed")
{
    for (const char* unit :
         {"(", ")", "[", "]", "CASE ", "END ", "(]", "[)", "(CASE)", "CASE ( END "}) {
        INFO(unit);
        CHECK_FALSE(analyze("SELECT " + repeated(unit, 5'000), {})->is_parsed);
        CHECK_FALSE(analyze("SELECT 1" + repeated(unit, 50), {})->is_parsed);
    }
}
