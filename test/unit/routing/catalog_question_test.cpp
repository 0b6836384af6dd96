#include "routing/catalog_question.hpp"

#include "protocol/writer.hpp"

#include <catch2/catch.hpp>

#include <array>
#include <initializer_list>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace {

using namespace pgtorii;
using routing::catalog_name;
using routing::catalog_question;
using routing::name_kind;

std::vector<std::byte> row(std::initializer_list<std::optional<std::string_view>> fields)
{
    protocol::message_buffer out;
    const std::vector<std::optional<std::string_view>> values{fields};
    out.data_row(values);
    const auto body = out.bytes().subspan(5);
    return {body.begin(), body.end()};
}

catalog_question about(std::vector<catalog_name> names)
{
    return catalog_question{std::move(names)};
}

/// What stands outside of the string literals of a text; false when a literal has no end.
bool strip_literals(std::string_view sql, bool backslash_escapes, std::string& rest)
{
    for (std::size_t i = 0; i < sql.size(); ++i) {
        if (sql[i] != '\'') {
            rest += sql[i];
            continue;
        }
        const bool is_escape = backslash_escapes || (i > 0 && sql[i - 1] == 'E');
        for (++i;; ++i) {
            if (i >= sql.size()) return false;
            if (is_escape && sql[i] == '\\') {
                ++i;
            } else if (sql[i] == '\'') {
                if (i + 1 >= sql.size() || sql[i + 1] != '\'') break;
                ++i;
            }
        }
    }
    return true;
}

}  // namespace

TEST_CASE("The names of a text are asked once each, by kind")
{
    routing::query_facts facts;
    facts.statements.resize(2);
    facts.statements[0].relations = {"t", "app.u", "t"};
    facts.statements[1].functions = {"t", "f", ""};
    const std::vector<catalog_name> wanted{{name_kind::relation, "app.u"},
                                           {name_kind::relation, "t"},
                                           {name_kind::function, "f"},
                                           {name_kind::function, "t"}};
    CHECK(routing::names_of(facts) == wanted);
    CHECK_FALSE(routing::is_nameless(facts));
    facts.statements.clear();
    facts.statements.emplace_back();
    CHECK(routing::is_nameless(facts));
}

TEST_CASE("A question is qualified throughout")
{
    std::string sql;
    REQUIRE(strip_literals(about({{name_kind::relation, "t"},
                                  {name_kind::function, "f"},
                                  {name_kind::operator_, "app.+"},
                                  {name_kind::cast_type, "c"}})
                               .sql(),
                           false, sql));
    // A bare operator, or one of the words that mean one.
    for (std::size_t at = sql.find_first_of("=<>~|"); at != std::string::npos;
         at = sql.find_first_of("=<>~|", at + 1)) {
        const auto before = sql.rfind("OPERATOR(pg_catalog.", at);
        CHECK(before != std::string::npos);
        CHECK(at - before <= std::string_view{"OPERATOR(pg_catalog.<>"}.size());
    }
    for (const auto* word : {" IN ", " LIKE ", " BETWEEN ", " USING", "DISTINCT FROM", " ORDER "}) {
        CHECK(sql.find(word) == std::string::npos);
    }
    for (const auto* name : {"to_regclass(", "current_schemas(", "regexp_matches(", "strpos("}) {
        for (auto at = sql.find(name); at != std::string::npos; at = sql.find(name, at + 1)) {
            CHECK(sql.substr(at - 11, 11) == "pg_catalog.");
        }
    }
    for (auto at = sql.find("::"); at != std::string::npos; at = sql.find("::", at + 1)) {
        CHECK(sql.substr(at + 2, 11) == "pg_catalog.");
    }
}

TEST_CASE("No name breaks out of its quotes, whatever the server thinks of backslashes")
{
    std::minstd_rand random{1};
    const std::string_view letters = "'\\\"a.E$;-/*\xc3\xa9";
    for (int round = 0; round < 2000; ++round) {
        std::vector<catalog_name> names;
        for (int i = 0; i < 3; ++i) {
            std::string name{"n"};
            for (auto left = random() % 12; left > 0; --left) {
                name += letters[random() % letters.size()];
            }
            names.push_back({static_cast<name_kind>(random() % 4), name});
        }
        std::vector<catalog_name> plain;
        for (const auto& each : names) {
            std::string name;
            for (const char c : each.name) name += c == '.' ? '.' : 'x';
            plain.push_back({each.kind, name});
        }
        const auto sql = about(names).sql();
        std::string found;
        std::string wanted;
        std::string found_with_escapes;
        REQUIRE(strip_literals(sql, false, found));
        REQUIRE(strip_literals(sql, true, found_with_escapes));
        REQUIRE(strip_literals(about(plain).sql(), false, wanted));
        std::erase(found, 'E');
        std::erase(found_with_escapes, 'E');
        std::erase(wanted, 'E');
        CHECK(found == wanted);
        CHECK(found_with_escapes == wanted);
    }
}

TEST_CASE("Too many names, too long ones and impossible ones are not asked")
{
    const auto can = [](std::vector<catalog_name> names) {
        return catalog_question::is_answerable(names);
    };
    CHECK(can({{name_kind::relation, "t"}}));
    CHECK_FALSE(can({{name_kind::relation, std::string("a\0b", 3)}}));
    CHECK_FALSE(can({{name_kind::relation, std::string(70'000, 'x')}}));
    CHECK_FALSE(can({{name_kind::relation, std::string(1000, '.')}}));
    CHECK_FALSE(can(std::vector<catalog_name>(501, {name_kind::relation, "t"})));
}

TEST_CASE("Rows are facts about their names")
{
    auto question = about({{name_kind::relation, "a"}, {name_kind::function, "f"}});
    REQUIRE(question.add_row(row({"0", "unlogged", {}})));
    REQUIRE(question.add_row(row({"0", "table", "public.b"})));
    REQUIRE(question.add_row(row({"0", "table", "public.a"})));
    REQUIRE(question.add_row(row({"0", "table", "public.a"})));
    REQUIRE(question.add_row(row({"1", "volatile", {}})));
    CHECK(question.answer(0).reads_unlogged_table);
    CHECK_FALSE(question.answer(0).calls_volatile_function);
    CHECK(question.answer(0).tables == std::vector<std::string>{"public.a", "public.b"});
    CHECK(question.answer(1).calls_volatile_function);
    SECTION("the other kinds")
    {
        REQUIRE(question.add_row(row({"0", "locks", {}})));
        REQUIRE(question.add_row(row({"0", "catalog", {}})));
        REQUIRE(question.add_row(row({"0", "temporary", {}})));
        CHECK(question.answer(0).locks_rows);
        CHECK(question.answer(0).reads_system_catalog);
        CHECK(question.answer(0).reads_temporary_table);
    }
    SECTION("more tables than are kept: none can be excluded")
    {
        for (int i = 0; i < 1000; ++i) {
            REQUIRE(question.add_row(row({"0", "table", "public.t" + std::to_string(i)})));
        }
        CHECK(question.answer(0).tables.size() <= catalog_question::table_count_max);
        CHECK_FALSE(question.answer(0).tables_are_all);
        CHECK_FALSE(question.answer(1).tables_are_all);
    }
}

TEST_CASE("What is no answer is not taken for one")
{
    auto question = about({{name_kind::relation, "a"}});
    CHECK_FALSE(question.add_row(row({"1", "unlogged", {}})));
    CHECK_FALSE(question.add_row(row({"-1", "unlogged", {}})));
    CHECK_FALSE(question.add_row(row({"0x", "unlogged", {}})));
    CHECK_FALSE(question.add_row(row({"", "unlogged", {}})));
    CHECK_FALSE(question.add_row(row({{}, "unlogged", {}})));
    CHECK_FALSE(question.add_row(row({"0", {}, {}})));
    CHECK_FALSE(question.add_row(row({"0", "something", {}})));
    CHECK_FALSE(question.add_row(row({"0", "table", {}})));
    CHECK_FALSE(question.add_row(row({"0", "unlogged"})));
    CHECK_FALSE(question.add_row(row({"0", "unlogged", {}, {}})));
    const auto whole = row({"0", "table", "public.t"});
    for (std::size_t length = 0; length < whole.size(); ++length) {
        CHECK_FALSE(question.add_row(std::span{whole}.first(length)));
    }
    auto longer = whole;
    longer.push_back(std::byte{0});
    CHECK_FALSE(question.add_row(longer));
    CHECK(question.answer(0).tables.empty());
}
