#include "config/redirect_list.hpp"

#include <catch2/catch.hpp>

using namespace pgtorii::config;

namespace {

redirect_list parsed(std::string_view text)
{
    auto list = redirect_list::parse(text);
    INFO(text);
    if (!list) FAIL(list.error().message);
    return std::move(*list);
}

}  // namespace

TEST_CASE("Redirects have a pattern, a node and a ratio")
{
    const auto list = parsed("postgres:primary,db[01]:0(0.5), app:standby(0.25, any : 127 (1)");
    REQUIRE(list.entries().size() == 4);
    CHECK(list.entries()[0].target == redirect_target::primary);
    CHECK(list.entries()[0].ratio == 1);
    CHECK(list.entries()[1].target == redirect_target::node);
    CHECK(list.entries()[1].node == 0);
    CHECK(list.entries()[1].ratio == 0.5);
    CHECK(list.entries()[2].target == redirect_target::standby);
    CHECK(list.entries()[2].ratio == 0.25);
    CHECK(list.entries()[3].node == 127);

    CHECK(list.find("POSTGRES") == &list.entries()[0]);
    CHECK(list.find("db1") == &list.entries()[1]);
    CHECK(list.find("app") == &list.entries()[2]);  // trimmed
    CHECK(list.find("db2") == nullptr);
    CHECK(list.find("") == nullptr);
}

TEST_CASE("The first match wins")
{
    const auto list = parsed("a.*:1,ab:2");
    CHECK(list.find("ab")->node == 1);
}

TEST_CASE("A colon of a pattern belongs to it: the last one divides")
{
    CHECK(parsed("[[:alpha:]]+:1").find("abc")->node == 1);
    CHECK(parsed("(a|b):1(0.5)").find("b")->ratio == 0.5);
}

TEST_CASE("Empty lists and items are legal")
{
    CHECK(parsed("").empty());
    CHECK(parsed(",, ,").empty());
    CHECK(parsed("a:1,,b:2,").entries().size() == 2);
    CHECK(parsed("a:1, b:2").text() == "a:1, b:2");
}

TEST_CASE("What Pgpool-II misreads silently is refused")
{
    for (const auto* bad : {"a",
                            "a:0,b",
                            "a:",
                            ":0",
                            "a:PRIMARY",
                            "a:Standby",
                            "a:master",
                            "a:128",
                            "a:-1",
                            "a:1x",
                            "a:00000",
                            "a:0(x)",
                            "a:0()",
                            "a:0(1.5)",
                            "a:0(-1)",
                            "a:0(nan)",
                            "a:0(0.5)x",
                            "a(:0",
                            "a:99999999999999999999",
                            "(0.5)"}) {
        INFO(bad);
        const auto list = redirect_list::parse(bad);
        REQUIRE_FALSE(list.has_value());
        CHECK_FALSE(list.error().message.empty());
        CHECK_FALSE(list.error().hint.empty());
    }
}
