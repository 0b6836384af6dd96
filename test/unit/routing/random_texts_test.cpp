// Texts of any shape: nothing crashes, and nothing takes more steps than its length allows.
#include "routing/analyze.hpp"
#include "routing/decision.hpp"
#include "routing/lexer.hpp"
#include "routing/rules.hpp"
#include "test/unit/routing/facts_dump.hpp"

#include <catch2/catch.hpp>

#include <random>
#include <string>
#include <vector>

using namespace pgtorii;
using namespace pgtorii::routing;

namespace {

/// A pair that nests, and what may stand between.
struct nest {
    const char* open;
    const char* close;
};

const std::vector<nest> nests{
    {"(", ")"},
    {"(SELECT ", ")"},
    {"f(", ")"},
    {"CASE WHEN ", " THEN 1 END"},
    {"ARRAY[", "]"},
    {"(WITH x AS (SELECT ", ") SELECT 1)"},
    {"/*", "*/"},
    {"NOT ", ""},
    {"- ", ""},
    {"1 + ", ""},
    {"a AND ", ""},
    {"(SELECT 1 UNION SELECT ", ")"},
    {"EXISTS (SELECT 1 FROM t WHERE ", ")"},
    {"COALESCE(", ", 1)"},
    {"", "::text"},
    {"", " IS NULL"},
    {"", "[1]"},
    {"'", "'"},
    {"$q$", "$q$"},
};

const std::vector<std::string> starts{
    "SELECT ",
    "INSERT INTO t SELECT ",
    "UPDATE t SET a = ",
    "DELETE FROM t WHERE ",
    "EXPLAIN SELECT ",
    "EXPLAIN (ROUTE) SELECT ",
    "PREPARE p AS SELECT ",
    "COPY (SELECT ",
    "WITH x AS (",
    "VALUES (",
    "CREATE VIEW v AS SELECT ",
    "(",
    "SET x = ",
    "DO ",
    "EXPLAIN (",
    "",
};

const std::vector<std::string> leaves{
    "1",        "a",           "'x'",         "$1",    "f()",      "t.a",  "*",
    "random()", "E'\\''",      "\"a\"",       ",",     ";",        ") ",   "(",
    " FROM t",  " WHERE ",     "1,2,3",       "--x\n", "\xC3\xA4", "\xE4", " @+@ ",
    "::mood",   " UNION ALL ", " JOIN u ON ", " AND ", "[",        "]",    "'",
    "\"",       "$$",          "/*",          "*/",    "CASE ",    " END", "EXECUTE p",
};

/// One that is SQL: brackets of all kinds around a constant.
std::string sound_text(std::mt19937& random)
{
    std::string text = "SELECT ";
    std::string tail;
    for (auto depth = random() % 40; depth > 0; --depth) {
        const auto& each = nests[random() % nests.size()];
        if (each.open[0] == '\'' || each.open[0] == '$' || each.open[0] == '/') continue;
        text += each.open;
        tail.insert(0, each.close);
    }
    return text + "1" + tail;
}

std::string random_text(std::mt19937& random)
{
    if (random() % 4 == 0) return sound_text(random);
    const auto upto = [&random](std::size_t limit) { return random() % limit; };
    std::string text = starts[upto(starts.size())];
    std::string tail;
    // Mostly short; now and then far beyond all bounds.
    const std::size_t length = upto(20) == 0 ? upto(30'000) : upto(60);
    const auto& favourite = nests[upto(nests.size())];
    const bool is_deep = upto(2) == 0;
    for (std::size_t i = 0; i < length; ++i) {
        if (is_deep || upto(3) == 0) {
            const auto& each = upto(4) == 0 ? nests[upto(nests.size())] : favourite;
            text += each.open;
            // Closed in the wrong order, or not at all, as often as rightly.
            if (upto(3) > 0) tail.insert(upto(2) == 0 ? 0 : tail.size(), each.close);
        } else {
            text += leaves[upto(leaves.size())];
        }
    }
    return text + leaves[upto(leaves.size())] + tail;
}

std::size_t token_count(std::string_view sql)
{
    std::size_t count = 0;
    lexer tokens(sql);
    while (tokens.next().kind != token_kind::end) ++count;
    return count;
}

}  // namespace

TEST_CASE("Texts of any shape are read without harm, and alike each time")
{
    constexpr unsigned seed = 4'711;
    INFO("seed " << seed);
    std::mt19937 random(seed);
    analyzer first({});
    analyzer second({});
    const rules plain{routing_parameters{}};
    ha::cluster_view view;
    view.nodes.resize(2);
    for (auto& node : view.nodes) node.status = ha::node_status::up;
    view.nodes[1].id = 1;
    view.primary = 0;
    int parsed_count = 0;
    for (int i = 0; i < 3'000; ++i) {
        const auto text = random_text(random);
        INFO("text " << i << ": " << text.substr(0, 200));
        const auto facts = first.analyze(text);
        REQUIRE_FALSE(facts.statements.empty());
        if (facts.is_parsed) ++parsed_count;
        const auto tokens = token_count(text);
        REQUIRE(tokens <= text.size() + 1);
        // No more is kept of a text than it holds.
        REQUIRE(facts.statements.size() <= tokens + 1);
        for (const auto& each : facts.statements) {
            REQUIRE(each.relations.size() + each.functions.size() + each.operators.size() <=
                    2 * tokens);
        }
        if (!outline(text, {}).is_bounded) REQUIRE_FALSE(facts.is_parsed);
        const auto found = decide(facts, {}, view, plain);
        if (!facts.is_parsed && found.target != target::local) {
            REQUIRE(found.target == target::primary);
            REQUIRE(counts_as_write(facts, plain));
        }
        REQUIRE(dump(second.analyze(text)) == dump(facts));
    }
    CHECK(parsed_count > 500);
}

TEST_CASE("Much smaller bounds hold too")
{
    std::mt19937 random(99);
    analyze_limits small;
    small.bytes_max = 400;
    small.tokens_max = 40;
    small.height_max = 12;
    small.scan_bytes_max = 2'000;
    small.scan_tokens_max = 200;
    analyzer bounded(small);
    for (int i = 0; i < 3'000; ++i) {
        const auto text = random_text(random);
        const auto facts = bounded.analyze(text);
        if (facts.first().kind == statement_kind::explain_route) continue;
        if (!outline(text, small).is_bounded) {
            REQUIRE(facts.first().kind == statement_kind::unparsed);
        }
    }
}
