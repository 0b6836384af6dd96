#include "config/ident_map.hpp"

#include "test/unit/config/memory_files.hpp"

#include <catch2/catch.hpp>

#include <random>

using namespace pgtorii::config;
using pgtorii::test::memory_files;
using namespace std::string_literals;

namespace {

ident_maps_outcome read(std::string_view text, std::map<std::string, std::string> files = {})
{
    return load_ident_maps_text("/etc/pool_ident.conf", text, memory_files(std::move(files)));
}

ident_maps maps(std::string_view text)
{
    auto outcome = read(text);
    INFO(text);
    if (outcome.has_errors()) FAIL(to_text(outcome.diagnostics[0]));
    return std::move(outcome.maps);
}

}  // namespace

TEST_CASE("Without a map the names must be equal, byte for byte")
{
    const ident_maps none;
    CHECK(none.allows("", "alice", "alice"));
    CHECK_FALSE(none.allows("", "Alice", "alice"));
    CHECK_FALSE(none.allows("", "", ""));
    CHECK_FALSE(none.allows("people", "alice", "alice"));
}

TEST_CASE("A map says who may log in as whom")
{
    const auto in = maps("# map name user\npeople alice bob\npeople \"Alice B\" alice\n"
                         "people carol carol\npeople carol root\nothers alice root\n"
                         "any dave all\nany eve \"all\"\nroles frank +staff\n");
    CHECK(in.allows("people", "alice", "bob"));
    CHECK_FALSE(in.allows("people", "alice", "alice"));
    CHECK(in.allows("people", "Alice B", "alice"));
    CHECK(in.allows("people", "carol", "root"));
    CHECK_FALSE(in.allows("people", "alice", "root"));
    CHECK(in.allows("others", "alice", "root"));
    CHECK(in.allows("any", "dave", "whoever"));
    CHECK_FALSE(in.allows("any", "eve", "whoever"));
    CHECK(in.allows("any", "eve", "all"));
    CHECK_FALSE(in.allows("roles", "frank", "x"));
    CHECK(in.allows("roles", "frank", "x",
                    [](std::string_view role) -> std::optional<bool> { return role == "staff"; }));
    CHECK(in.has("roles"));
    CHECK_FALSE(in.has("role"));
}

TEST_CASE("An expression's parentheses go into the user's name")
{
    const auto in = maps("m /^(.*)@example\\.com$ \\1\nm /^(.*)@other$ x_\\1_y\n"
                         "m /^root$ /^adm\nm /^(q)?w$ \"\\1z\"\n");
    CHECK(in.allows("m", "alice@example.com", "alice"));
    CHECK_FALSE(in.allows("m", "alice@example.com", "bob"));
    CHECK_FALSE(in.allows("m", "alice@example.com.evil", "alice"));
    CHECK(in.allows("m", "alice@other", "x_alice_y"));
    CHECK(in.allows("m", "root", "admin"));
    CHECK_FALSE(in.allows("m", "root", "xadm"));
    CHECK(in.allows("m", "w", "z"));
    SECTION("and mean nothing else there")
    {
        CHECK_FALSE(in.allows("m", "all@example.com", "bob"));
        CHECK_FALSE(in.allows("m", "+staff@example.com", "bob",
                              [](std::string_view) -> std::optional<bool> { return true; }));
        CHECK_FALSE(in.allows("m", "/.*@example.com", "bob"));
    }
}

TEST_CASE("Wrong lines refuse the file")
{
    for (const auto* wrong : {"a b\n", "a b c d\n", "a b,c d\n", "m /( x\n", "m /x \\1\n",
                              "m x /(\n", "m x +\n", "include gone\n"}) {
        INFO(wrong);
        const auto outcome = read("ok ok ok\n"s + wrong);
        CHECK(outcome.has_errors());
        CHECK(outcome.maps.entries().empty());
    }
    CHECK_FALSE(read("").has_errors());
    CHECK_FALSE(read("include x\n", {{"/etc/x", "a b c\n"}}).has_errors());
}

TEST_CASE("Random bytes never crash the reader")
{
    constexpr std::string_view likely = "\"#\n\r\t /@+\\1()*,abm\0\xff";
    std::mt19937 random(3);
    for (int round = 0; round < 5'000; ++round) {
        std::string text;
        for (auto size = random() % 60; size != 0; --size) text += likely[random() % likely.size()];
        const auto outcome = read(text);
        (void)outcome.maps.allows("a", "b", "m");
    }
}
