#include "routing/fact_cache.hpp"
#include "routing/literal_key.hpp"
#include "test/unit/routing/facts_dump.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <fstream>
#include <random>
#include <string>
#include <vector>

using namespace pgtorii;
using namespace pgtorii::routing;

namespace {

const text_rules plain;

const std::vector<std::string> seeds{
    "SELECT abalance FROM pgbench_accounts WHERE aid = 12345;",
    "UPDATE t SET a = a + -5, b = 'it''s' WHERE c = 1.5e3 AND d IN (1, 2, 3)",
    "INSERT INTO t (a, b) VALUES (1, 'x'), (2, 'y') RETURNING a",
    "SELECT t1.a, \"T 2\".b FROM t1 JOIN \"T 2\" ON t1.a=\"T 2\".b WHERE f('x', 2) > $1 LIMIT 10 "
    "OFFSET 20",
    "DELETE FROM t WHERE a BETWEEN 1 AND 99999999999 OR b LIKE 'a%'",
    "SELECT a::numeric(10,2), b::varchar(20), INTERVAL '1 day', DATE '2020-01-01', c[1], int '5' "
    "FROM t",
    "SELECT x::float(24), random() FROM t WHERE a = E'a\\'b' AND b = $$c$$ /* c */ -- d",
    "SELECT nextval('s'), 't'::regclass, setval('s', 1)",
    "SELECT 1; SELECT 2",
    "SELECT 'a'\n'b', 'c' 'd', 1.5, .5, 1., 0x1F, 1_000, 123abc, 2147483647, 2147483648, "
    "0000000001",
    "WITH x AS (SELECT 1) SELECT * FROM x, pg_class WHERE 'ä' = 'b' FOR UPDATE",
    "MERGE INTO t USING u ON t.a = u.a WHEN MATCHED AND t.b > 5 THEN UPDATE SET c = 'x'",
    "SELECT CASE a WHEN 1 THEN 'one' ELSE 'many' END, array[1,2,3], row(1,'x') FROM t ORDER BY 1, "
    "2",
    "VALUES (1, 'a'), (2, 'b')",
    "SELECT 1 INTO x",
    "SELECT B'101', X'1F', N'x', U&'x', U&\"y\" FROM t",
    "SET x = 'y'",
    "SELECT int[3] '{1}', a <@ b, c->>'k', d #>> '{a,b}', e ? 'f', - 1, -1, +1, - -1 FROM t",
    "SELECT $q$a;b$q$, $$c$$, $1, $q1$ $q$ $q1$ FROM t /* a /* b */ c */ WHERE d = 'e' -- f",
    "SELECT U&'d\\0061t' UESCAPE '!', U&\"d!0061t\" UESCAPE '!', E'\\x41\\'', e'' FROM u",
    "SELECT a @+@ 1, 'sad'::mood, f(2), s.g('x') FROM s.t WHERE a OPERATOR(s.+) 3 > 4",
    "WITH x AS (SELECT 1), y AS (SELECT * FROM x WHERE a = 'b') SELECT * FROM y, z LIMIT 5",
    "PREPARE p AS SELECT * FROM t WHERE a = $1 AND b = 'c' AND d = 5",
    "EXPLAIN (ROUTE) SELECT * FROM t WHERE a = 1 AND b = 'c'",
    "SELECT interval(3) '1 second', timestamp(0) 'now', time(3) '1:00', bit(3) '101', char(5) 'x'",
};

const std::vector<std::string> pieces{
    "'",
    "''",
    "\"",
    "\\",
    "$",
    "$$",
    "$1",
    "$t$",
    "--",
    "/*",
    "*/",
    "-",
    "+",
    ".",
    "..",
    "e",
    "E",
    "1",
    "0",
    "9",
    "1.5",
    "1e5",
    "12345678901",
    "0000000001",
    "2147483647",
    "2147483648",
    ";",
    ",",
    "(",
    ")",
    "[",
    "]",
    " ",
    "\n",
    "\t",
    "\r",
    "\f",
    "\v",
    "\x01",
    "\x02",
    "\x7F",
    "\xC3\xA4",
    "\xE4",
    "\xFF",
    "x",
    "E'",
    "B'",
    "X'",
    "U&'",
    "N'",
    "u&\"",
    "float",
    "float(54)",
    "::float(0)",
    " FLOAT ( 25 ) ",
    "'a'",
    "'b'",
    "1a",
    "a1",
    "_",
    "::",
    ":=",
    "|",
    "?",
    "@-",
    "~",
    "nextval('a')",
    "set_config('a','b',true)",
    "regclass '",
    "::regclass",
    "AND",
    " UNION SELECT 1",
    " FOR UPDATE",
    "UESCAPE '!'",
    " '",
    "' ",
    "0x",
    "1_0",
    "\"\"",
    "=-",
};

/// Small changes at random places, most of them to literals.
std::string mutate(std::string text, std::mt19937& random)
{
    const auto upto = [&random](std::size_t limit) { return random() % limit; };
    for (std::size_t changes = upto(4) + 1; changes > 0; --changes) {
        const auto where = text.empty() ? 0 : upto(text.size() + 1);
        const auto digit = text.find_first_of("0123456789", where);
        switch (upto(5)) {
        case 0: text.insert(where, pieces[upto(pieces.size())]); break;
        case 1: text.erase(where, upto(3)); break;
        case 2:
            if (digit != std::string::npos) text[digit] = static_cast<char>('0' + upto(10));
            break;
        case 3:
            if (digit != std::string::npos) text.replace(digit, 1, pieces[upto(pieces.size())]);
            break;
        default:
            if (const auto quote = text.find('\'', where); quote != std::string::npos) {
                text.insert(quote + 1, pieces[upto(pieces.size())]);
            }
        }
    }
    return text;
}

std::vector<std::string> corpus()
{
    auto texts = seeds;
    std::ifstream file(PGTORII_SOURCE_DIR "/test/unit/routing/routing-cases.tsv");
    std::string line;
    std::getline(file, line);
    while (std::getline(file, line)) {
        const auto from = line.find('\t') + 1;
        texts.push_back(line.substr(from, line.find('\t', from) - from));
    }
    return texts;
}

std::string key_of(std::string_view sql)
{
    std::string key;
    return make_literal_key(sql, key) ? key : "refused";
}

}  // namespace

TEST_CASE("What the cache answers is what analysis answers")
{
    constexpr unsigned seed = 20'260'101;
    INFO("seed " << seed);
    std::mt19937 random(seed);
    fact_cache cache({}, {}, 1);
    analyzer direct({});
    const auto texts = corpus();
    for (int i = 0; i < 20'000; ++i) {
        // Half of the time a well-formed seed, whose key other mutations of it share.
        const auto& base =
            random() % 2 == 0 ? seeds[random() % seeds.size()] : texts[random() % texts.size()];
        const auto text = mutate(base, random);
        const auto cached = cache.find_or_analyze(text, plain);
        const auto facts = direct.analyze(text);
        const auto expected = dump(facts);
        if (facts.is_parsed && facts.is_multi() && outline(text, {}).is_single) {
            FAIL_CHECK("several statements, but not by their tokens: " << text);
        }
        if (dump(*cached) != expected) {
            INFO("text: " << text);
            CHECK(dump(*cached) == expected);
        }
        // Under standard_conforming_strings = off a backslash may hide a quote.
        const auto other = cache.find_or_analyze(text, text_rules{false, true});
        const bool is_clear = std::all_of(text.begin(), text.end(), [](char c) {
            return static_cast<unsigned char>(c) < 0x80 && c != '\\';
        });
        const auto expected_other = is_clear ? expected : dump(unreadable(text));
        if (dump(*other) != expected_other) {
            INFO("text under other rules: " << text);
            CHECK(dump(*other) == expected_other);
        }
    }
    // The test would prove nothing if the cache never answered.
    CHECK(cache.counts().key_hits > 500);
    CHECK(cache.counts().exact_hits > 100);
}

TEST_CASE("Keys keep apart what the grammar tells apart")
{
    CHECK(key_of("SELECT 1") == key_of("SELECT 42"));
    CHECK(key_of("SELECT 'a;''b'") == key_of("SELECT ''"));
    CHECK(key_of("SELECT 1.5") == key_of("SELECT 9999999999"));
    CHECK(key_of("SELECT 1.5") == key_of("SELECT 2147483648"));
    CHECK(key_of("SELECT 1") == key_of("SELECT 2147483647"));
    CHECK(key_of("SELECT 1") != key_of("SELECT 1.5"));
    CHECK(key_of("SELECT 1") != key_of("SELECT '1'"));
    CHECK(key_of("SELECT 1") != key_of("SELECT  1"));
    CHECK(key_of("SELECT a1") != key_of("SELECT a2"));
    CHECK(key_of("SELECT $1") != key_of("SELECT $2"));
    CHECK(key_of("SELECT \"1\"") != key_of("SELECT \"2\""));
    CHECK(key_of("SELECT 'a'\n'b'") != key_of("SELECT 'a' 'b'"));
    CHECK(key_of("SELECT 'grün'") == key_of("SELECT 'rot'"));
    for (const char* refused :
         {"SELECT E'a'",        "SELECT e'a'",   "SELECT B'1'",       "SELECT X'1'",
          "SELECT N'a'",        "SELECT U&'a'",  "SELECT U&\"a\"",    "SELECT $$a$$",
          "SELECT $a$b$a$",     "SELECT 'a\\b'", "SELECT 1 -- c",     "SELECT /* c */ 1",
          "SELECT 'open",       "SELECT \"open", "SELECT \xC3\xA4",   "SELECT \"\xC3\xA4\"",
          "SELECT 1a",          "SELECT 1e",     "SELECT 1..2",       "SELECT .5",
          "SELECT 0x1",         "SELECT 1_0",    "SELECT 0000000001", "SELECT \x01",
          "SELECT a::FLOAT(3)", "SELECT $1a",    "SELECT 1$"}) {
        INFO(refused);
        CHECK(key_of(refused) == "refused");
    }
}

TEST_CASE("Texts that differ in literals share facts when literals don't matter")
{
    fact_cache cache({}, {}, 1);
    const auto first = cache.find_or_analyze("SELECT a FROM t WHERE b = 1 AND c = 'x'", plain);
    CHECK(cache.find_or_analyze("SELECT a FROM t WHERE b = 22 AND c = 'y'", plain) == first);
    CHECK(cache.counts().key_hits == 1);
    SECTION("and one that comes again and again is found by its exact text")
    {
        for (int i = 0; i < 3; ++i) {
            CHECK(cache.find_or_analyze("SELECT a FROM t WHERE b = 3 AND c = 'z'", plain) == first);
        }
        CHECK(cache.counts().key_hits == 3);
        CHECK(cache.counts().exact_hits == 1);
        return;
    }
    const auto sequence = cache.find_or_analyze("SELECT nextval('a')", plain);
    CHECK(cache.find_or_analyze("SELECT nextval('b')", plain) != sequence);
    CHECK(cache.find_or_analyze("SELECT nextval('a')", plain) == sequence);
    CHECK(cache.counts().exact_hits == 1);
}

TEST_CASE("Under other lexical rules only unmistakable texts are read")
{
    fact_cache cache({}, {}, 1);
    for (const auto& rules : {text_rules{false, true}, text_rules{true, false}}) {
        CHECK(cache.find_or_analyze("SELECT 'a'", rules)->is_parsed);
        for (const char* text : {"SELECT 'a\\'", "SELECT '\x83\\'", "SELECT '\xC3\xA4'"}) {
            INFO(text);
            // Known or not under the usual rules.
            cache.find_or_analyze(text, plain);
            const auto facts = cache.find_or_analyze(text, rules);
            CHECK_FALSE(facts->is_parsed);
            CHECK(facts->first().effects_unknown);
        }
    }
}

TEST_CASE("Query patterns look at the exact text without its double quotes")
{
    fact_cache cache({}, {}, 1);
    const auto matches = [&cache](const char* text) {
        return cache.find_or_analyze(text, plain)->matches_query_pattern;
    };
    CHECK_FALSE(matches("SELECT 't2'"));
    auto parsed =
        config::pattern_list::parse(".*'t2'.*;select x from y", config::pattern_syntax::queries);
    REQUIRE(parsed.has_value());
    cache.set_query_patterns(std::make_shared<const config::pattern_list>(std::move(*parsed)));
    CHECK(matches("SELECT 't2'"));
    CHECK_FALSE(matches("SELECT 't3'"));
    CHECK(matches("SELECT 't2'"));
    CHECK(matches("SELECT \"x\" FROM \"y\""));
    CHECK(cache.counts().key_hits == 0);
    cache.set_query_patterns(nullptr);
    CHECK_FALSE(matches("SELECT 't2'"));
}

TEST_CASE("The cache keeps to its bytes and drops what was used least recently")
{
    cache_limits limits;
    limits.bytes_max = 64 * 1024;
    fact_cache cache(limits, {}, 1);
    const auto kept = cache.find_or_analyze("SELECT 1 FROM kept", plain);
    for (int i = 0; i < 2'000; ++i) {
        cache.find_or_analyze("SELECT 1 FROM t" + std::to_string(i), plain);
        cache.find_or_analyze("SET a = " + std::to_string(i), plain);
        CHECK(cache.find_or_analyze("SELECT 1 FROM kept", plain) == kept);
        REQUIRE(cache.bytes() <= limits.bytes_max);
    }
    CHECK(cache.bytes() > limits.bytes_max / 2);
    SECTION("a text that was dropped is analysed again, and alike")
    {
        const auto misses = cache.counts().misses;
        CHECK(cache.find_or_analyze("SELECT 1 FROM t0", plain)->first().relations.front() == "t0");
        CHECK(cache.counts().misses == misses + 1);
    }
    SECTION("long texts are analysed each time")
    {
        const auto text = "SELECT '" + std::string(limits.text_bytes_max, 'x') + "'";
        CHECK(cache.find_or_analyze(text, plain)->is_parsed);
        const auto misses = cache.counts().misses;
        cache.find_or_analyze(text, plain);
        CHECK(cache.counts().misses == misses + 1);
    }
}

TEST_CASE("A hash depends on every byte, on the length and on the seed")
{
    const std::string text(100, 'a');
    for (std::size_t length = 0; length < text.size(); ++length) {
        const auto part = text.substr(0, length);
        CHECK(hash_of(part, 1) != hash_of(part, 2));
        CHECK(hash_of(part, 1) != hash_of(text, 1));
        for (std::size_t i = 0; i < length; ++i) {
            auto other = part;
            other[i] = 'b';
            CHECK(hash_of(other, 1) != hash_of(part, 1));
        }
    }
}
