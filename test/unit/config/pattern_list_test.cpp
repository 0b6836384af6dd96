#include "config/pattern_list.hpp"

#include <catch2/catch.hpp>

using namespace pgtorii::config;

namespace {

struct match_case {
    const char* list;
    const char* subject;
    bool matches;
};

pattern_list parsed(std::string_view text, pattern_syntax syntax)
{
    auto list = pattern_list::parse(text, syntax);
    INFO(text);
    if (!list) FAIL(list.error().message);
    return std::move(*list);
}

}  // namespace

TEST_CASE("Names match as POSIX extended expressions, whole and whatever the case")
{
    const match_case cases[] = {
        {"", "", false},
        {",,", "", false},
        {"foo", "foo", true},
        {"foo", "FOO", true},
        {"FOO", "foo", true},
        {"foo", "foox", false},
        {"foo", "xfoo", false},
        {"get_.*", "get_currval", true},
        {"get_.*,set_.*", "set_x", true},
        {"get_.*, set_.*", "set_x", true},  // trimmed
        {"^foo", "foo", true},
        {"^foo", "foox", false},
        {"foo$", "foo", true},
        {"public\\.t", "public.t", true},
        {"public\\.t", "publicxt", false},
        {"public.t", "publicxt", true},
        // No group is added around the alternatives.
        {"a|b", "axxx", true},
        {"a|b", "xxxb", true},
        {"a|b", "xbx", false},
        {"(a|b)", "axxx", false},
        {"[0-9]+", "123", true},
        {"[0-9]+", "12a", false},
        {"[^0-9]+", "abc", true},
        {"[]x]+", "]x]", true},
        {"[^]x]+", "abc", true},
        {"[^]x]+", "a]c", false},
        {"[[:digit:]]{2}", "12", true},
        {"[[:alpha:]_][[:alnum:]_]*", "a_1", true},
        {"a{2}", "aa", true},
        {"a{2}", "aaa", false},
        {"a.c", "a\nc", true},
        {"a+?", "aa", true},
        // A backslash is an ordinary character inside brackets.
        {"[\\w]", "\\", true},
        {"[\\w]", "w", true},
        {"[\\w]", "x", false},
        {"[\\.]", ".", true},
        // GNU's additions
        {"\\w+", "a_1", true},
        {"\\w+", "a-1", false},
        {"a\\sb", "a b", true},
        {"a\\Sb", "a b", false},
        {".*\\bfoo\\b.*", "a foo b", true},
        {".*\\<foo\\>.*", "a foo b", true},
        {".*\\<foo\\>.*", "a foob", false},
        {"\\$x", "$x", true},
        {"\\*", "*", true},
        {"\xc3\xa4.*", "\xc3\xa4\xc3\xb6", true},
        {"\xff+", "\xff\xff", true},  // no UTF-8
        {"foo\\$", "foo$bar", true},  // ends in a dollar sign, though an escaped one
    };
    for (const auto& each : cases) {
        INFO(each.list << " on " << each.subject);
        CHECK(parsed(each.list, pattern_syntax::names).matches(each.subject) == each.matches);
    }
}

TEST_CASE("Query patterns end at a semicolon and see the whole text")
{
    const match_case cases[] = {
        {".*FOR REPORT.*", "select 1 for report x", true},
        {"SELECT 1", "SELECT 1;", false},
        {".*a.*;.*b.*", "SELECT b", true},
        {"SELECT 1\\;", "SELECT 1;", true},
        {"SELECT 1\\;", "SELECT 1", false},
        {".*name = \\'x\\'.*", "select * from t where name = 'x'", true},
        {".*\\(x\\).*", "f(x)", true},
        {"a; b", " b", true},  // not trimmed
        {"a; b", "b", false},
        {".*one, two.*", "one, two", true},
        {".*x.*", "a\nx\nb", true},
        {"a{1,}", "aaaa", true},
        {"a{,2}", "aa", true},
        {"a{,2}", "aaa", false},
        {"a{2", "a{2", true},
        {";;", "", false},
    };
    for (const auto& each : cases) {
        INFO(each.list << " on " << each.subject);
        CHECK(parsed(each.list, pattern_syntax::queries).matches(each.subject) == each.matches);
    }
}

TEST_CASE("A pattern that does not compile is named, with the reason")
{
    for (const auto* bad :
         {"a(", "a)", "[a", "[[:alpha:]", "[[:nonsense:]]", "*a|*", "a\\", "\\d+", "\\1", "(a)\\1",
          "\\n", "[[.x.]]", "[[=x=]]", "a{3000}", "good, (bad"}) {
        const auto list = pattern_list::parse(bad, pattern_syntax::names);
        INFO(bad);
        REQUIRE_FALSE(list.has_value());
        CHECK(list.error().message.find("is no regular expression: ") != std::string::npos);
        CHECK_FALSE(list.error().message.ends_with(": "));
    }
    const auto list = pattern_list::parse("\\d+", pattern_syntax::names);
    CHECK(list.error().message ==
          "\"\\d+\" is no regular expression: \\d means nothing in a POSIX regular expression");
}

TEST_CASE("A list knows its size and its text, and an empty one matches nothing")
{
    CHECK(parsed("a,b", pattern_syntax::names).size() == 2);
    CHECK(parsed("a, b", pattern_syntax::names).text() == "a, b");
    CHECK(pattern_list().empty());
    CHECK_FALSE(pattern_list().matches(""));
}

TEST_CASE("Matching takes linear time where a backtracking matcher takes for ever")
{
    const auto list = parsed("(a*)*b", pattern_syntax::names);
    CHECK_FALSE(list.matches(std::string(100'000, 'a')));
}
