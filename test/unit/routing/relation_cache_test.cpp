#include "routing/relation_cache.hpp"

#include "protocol/writer.hpp"

#include <catch2/catch.hpp>

#include <atomic>
#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace {

using namespace pgtorii;
using namespace std::chrono_literals;
using routing::catalog_name;
using routing::catalog_namespace_ptr;
using routing::catalog_question;
using routing::look_up_failure;
using routing::name_kind;
using routing::query_facts_ptr;
using routing::relation_cache;
using asked = relation_cache::asked;
using number = std::atomic<std::uint64_t>;

query_facts_ptr text_with(std::vector<std::string> relations,
                          std::vector<std::string> functions = {})
{
    routing::query_facts facts;
    facts.statements.emplace_back();
    facts.statements[0].relations = std::move(relations);
    facts.statements[0].functions = std::move(functions);
    return std::make_shared<const routing::query_facts>(std::move(facts));
}

/// The server's answer: every relation is a table of its own name, whose letters say what it is.
catalog_question answer_about(const std::vector<catalog_name>& names, const std::string& prefix)
{
    catalog_question question{names};
    const auto add = [&question](std::size_t item, std::string_view what,
                                 std::optional<std::string_view> table) {
        protocol::message_buffer out;
        const auto number_text = std::to_string(item);
        const std::vector<std::optional<std::string_view>> values{number_text, what, table};
        out.data_row(values);
        REQUIRE(question.add_row(out.bytes().subspan(5)));
    };
    for (std::size_t i = 0; i < names.size(); ++i) {
        if (names[i].kind == name_kind::relation) add(i, "table", prefix + names[i].name);
        if (names[i].name.find('u') != std::string::npos) add(i, "unlogged", {});
        if (names[i].name.find('v') != std::string::npos) add(i, "volatile", {});
    }
    return question;
}

struct fixture {
    explicit fixture(routing::relation_cache_limits limits = {}) : cache(limits) {}

    std::shared_ptr<number> generation = std::make_shared<number>(0);
    relation_cache cache;
    catalog_namespace_ptr space = cache.space_of("key", "db", {}, generation);
    clock::time_point now{};

    const routing::catalog_facts* find(const query_facts_ptr& text)
    {
        return cache.find(space, text, now);
    }
    asked ask(const query_facts_ptr& text, std::uint64_t waiter = 1)
    {
        return cache.ask(space, text, waiter, now, started);
    }
    std::vector<std::uint64_t> answer()
    {
        return cache.answered(started.id, answer_about(started.names, "s."), now);
    }
    void learn(const query_facts_ptr& text)
    {
        REQUIRE(ask(text) == asked::start);
        answer();
        REQUIRE(find(text));
    }
    relation_cache::look_up started;
};

}  // namespace

TEST_CASE("A text is asked for once, and then known")
{
    fixture it;
    const auto text = text_with({"t", "u"}, {"f"});
    CHECK_FALSE(it.find(text));
    REQUIRE(it.ask(text, 1) == asked::start);
    CHECK(it.ask(text, 2) == asked::waiting);
    CHECK(it.ask(text_with({"t"}), 3) == asked::waiting);
    CHECK(it.ask(text, 2) == asked::waiting);
    CHECK(it.answer() == std::vector<std::uint64_t>{1, 2, 3});
    const auto* const facts = it.find(text);
    REQUIRE(facts);
    CHECK(facts->reads_unlogged_table);
    CHECK_FALSE(facts->calls_volatile_function);
    CHECK(facts->tables == std::vector<std::string>{"s.t", "s.u"});
    CHECK(it.find(text) == facts);
    SECTION("another text of known names needs no question")
    {
        REQUIRE(it.find(text_with({"t"})));
        CHECK_FALSE(it.find(text_with({"t"}))->reads_unlogged_table);
    }
    SECTION("only what is not known is asked")
    {
        REQUIRE(it.ask(text_with({"t", "w"})) == asked::start);
        CHECK(it.started.names == std::vector<catalog_name>{{name_kind::relation, "w"}});
    }
    SECTION("another namespace knows nothing of it")
    {
        CHECK_FALSE(
            it.cache.find(it.cache.space_of("other", "db", {}, it.generation), text, it.now));
    }
}

TEST_CASE("A text without names is known")
{
    fixture it;
    REQUIRE(it.find(text_with({})));
    CHECK(it.cache.verdict_count() == 0);
}

TEST_CASE("Namespaces of one key are one")
{
    fixture it;
    CHECK(it.cache.space_of("key", "db", {}, it.generation) == it.space);
    CHECK(it.cache.space_of("other", "db", {}, it.generation) != it.space);
}

TEST_CASE("What is known ends with its time and with the schema")
{
    fixture it{{.life_time = 10s}};
    const auto text = text_with({"t"});
    it.learn(text);
    SECTION("time")
    {
        it.now += 9s;
        CHECK(it.find(text));
        const auto more = text_with({"t", "x"});
        it.learn(more);
        it.now += 1s;
        CHECK_FALSE(it.find(text));
        CHECK_FALSE(it.find(more));  // its oldest part counts
    }
    SECTION("the schema changes")
    {
        ++*it.generation;
        CHECK_FALSE(it.find(text));
        it.learn(text);
    }
    SECTION("the schema changes while a question is under way")
    {
        const auto more = text_with({"x"});
        REQUIRE(it.ask(more, 1) == asked::start);
        const auto first = it.started;
        ++*it.generation;
        REQUIRE(it.ask(more, 2) == asked::start);  // the old answer would be of no use
        const auto second = it.started;
        CHECK(it.cache.answered(first.id, answer_about(first.names, "old."), it.now) ==
              std::vector<std::uint64_t>{1});
        CHECK_FALSE(it.find(more));
        CHECK(it.ask(more, 1) == asked::waiting);
        CHECK(it.cache.answered(second.id, answer_about(second.names, "new."), it.now) ==
              std::vector<std::uint64_t>{2, 1});
        REQUIRE(it.find(more));
        CHECK(it.find(more)->tables == std::vector<std::string>{"new.x"});
    }
}

TEST_CASE("After a failure nothing is asked for a while")
{
    fixture it;
    const auto text = text_with({"t"});
    const auto other = text_with({"x"});
    REQUIRE(it.ask(text) == asked::start);
    SECTION("the server did not answer this question: others go on")
    {
        it.cache.failed(it.started.id, look_up_failure::refused_text, it.now);
        CHECK_FALSE(it.find(text));
        CHECK(it.ask(text) == asked::refused);
        CHECK(it.ask(other) == asked::start);
        it.now += relation_cache::refusal_time;
        it.learn(text);
    }
    SECTION("there was no server: nobody asks")
    {
        it.cache.failed(it.started.id, look_up_failure::no_server, it.now);
        CHECK(it.ask(other) == asked::refused);
        it.now += relation_cache::refusal_time;
        it.learn(other);
    }
    SECTION("the user is not let in: nobody asks for longer")
    {
        it.cache.failed(it.started.id, look_up_failure::not_admitted, it.now);
        it.now += relation_cache::refusal_time;
        CHECK(it.ask(other) == asked::refused);
        it.now += relation_cache::long_refusal_time;
        it.learn(other);
    }
    SECTION("there was no place: the next one tries again")
    {
        CHECK(it.cache.failed(it.started.id, look_up_failure::busy, it.now) ==
              std::vector<std::uint64_t>{1});
        it.learn(text);
    }
    CHECK(it.cache.look_up_count() <= 1);
}

TEST_CASE("A text that can't be asked is refused without a question")
{
    fixture it;
    CHECK(it.ask(text_with({std::string(100'000, 'x')})) == asked::refused);
    CHECK(it.cache.look_up_count() == 0);
}

TEST_CASE("All of it has limits")
{
    fixture it{{.entry_count_max = 10, .verdict_count_max = 20, .look_up_count_max = 3}};
    SECTION("names: the oldest go")
    {
        const auto first = text_with({"first"});
        const auto used = text_with({"used"});
        it.learn(first);
        it.learn(used);
        for (int i = 0; i < 30; ++i) {
            it.learn(text_with({"t" + std::to_string(i)}));
            REQUIRE(it.find(text_with({"used"})));
            CHECK(it.cache.entry_count() <= 10);
            CHECK(it.cache.verdict_count() <= 20);
        }
        CHECK_FALSE(it.find(text_with({"first"})));
    }
    SECTION("a text with more names than are kept is known all the same")
    {
        std::vector<std::string> many;
        for (int i = 0; i < 50; ++i) many.push_back("t" + std::to_string(i));
        it.learn(text_with(many));
        CHECK(it.cache.entry_count() == 10);
    }
    SECTION("databases don't push each other out")
    {
        it.learn(text_with({"first"}));
        const auto other = it.cache.space_of("other", "other db", {}, it.generation);
        for (int i = 0; i < 10; ++i) {
            const auto text = text_with({"t" + std::to_string(i)});
            REQUIRE(it.cache.ask(other, text, 1, it.now, it.started) == asked::start);
            it.answer();
        }
        CHECK(it.cache.entry_count() == 11);
        CHECK(it.find(text_with({"first"})));
    }
    SECTION("look-ups under way")
    {
        for (int i = 0; i < 3; ++i) {
            CHECK(it.ask(text_with({"t" + std::to_string(i)})) == asked::start);
        }
        CHECK(it.ask(text_with({"one more"})) == asked::refused);
    }
}

TEST_CASE("The cache says what a stupid map says")
{
    using twin_key = std::pair<std::size_t, std::string>;  // namespace, relation
    struct twin_entry {
        std::string prefix;
        std::uint64_t generation;
        clock::time_point ends_at;
    };
    for (unsigned seed = 1; seed <= 30; ++seed) {
        CAPTURE(seed);
        std::minstd_rand random{seed};
        const auto draw = [&random](std::size_t count) { return random() % count; };
        relation_cache cache{{.entry_count_max = 1000, .life_time = 20s}};
        const auto generation = std::make_shared<number>(0);
        std::vector<catalog_namespace_ptr> spaces;
        for (const auto* key : {"a", "b", "c"}) {
            spaces.push_back(cache.space_of(key, "db", {}, generation));
        }
        std::vector<query_facts_ptr> texts;
        std::vector<std::vector<std::string>> names;
        for (int i = 0; i < 12; ++i) {
            std::set<std::string> chosen;
            for (auto left = 1 + draw(3); left > 0; --left) {
                chosen.insert(std::string(1, static_cast<char>('a' + draw(8))));
            }
            names.emplace_back(chosen.begin(), chosen.end());
            texts.push_back(text_with(names.back()));
        }
        std::map<twin_key, twin_entry> known;
        std::map<twin_key, std::uint64_t> asked_at;  // generation, of names under way
        struct flight {
            relation_cache::look_up what;
            std::size_t space;
            std::uint64_t generation;
        };
        std::vector<flight> flights;
        clock::time_point now{};
        const auto is_known = [&](std::size_t space, const std::string& name) {
            const auto found = known.find({space, name});
            return found != known.end() && found->second.generation == *generation &&
                   now < found->second.ends_at;
        };
        for (int step = 0; step < 600; ++step) {
            const auto space = draw(spaces.size());
            const auto text = draw(texts.size());
            switch (draw(8)) {
            case 0: now += std::chrono::seconds(draw(4)); break;
            case 1:
                if (draw(10) == 0) ++*generation;
                break;
            case 2:
            case 3: {
                if (flights.empty()) break;
                const auto at = draw(flights.size());
                const auto flight = flights[at];
                flights.erase(flights.begin() + static_cast<std::ptrdiff_t>(at));
                const auto prefix = std::to_string(step) + ".";
                cache.answered(flight.what.id, answer_about(flight.what.names, prefix), now);
                for (const auto& each : flight.what.names) {
                    const auto under_way = asked_at.find({flight.space, each.name});
                    if (under_way != asked_at.end() && under_way->second == flight.generation) {
                        asked_at.erase(under_way);
                    }
                    if (flight.generation != *generation) continue;
                    known[{flight.space, each.name}] = {prefix, flight.generation, now + 20s};
                }
                break;
            }
            case 4:
            case 5: {
                if (cache.find(spaces[space], texts[text], now)) break;
                std::vector<catalog_name> missing;
                for (const auto& name : names[text]) {
                    const auto under_way = asked_at.find({space, name});
                    const bool is_asked =
                        under_way != asked_at.end() && under_way->second == *generation;
                    if (!is_known(space, name) && !is_asked) {
                        missing.push_back({name_kind::relation, name});
                    }
                }
                relation_cache::look_up started;
                const auto answer = cache.ask(spaces[space], texts[text], 7, now, started);
                REQUIRE(answer == (missing.empty() ? asked::waiting : asked::start));
                if (answer != asked::start) break;
                REQUIRE(started.names == missing);
                flights.push_back({started, space, *generation});
                for (const auto& each : missing) asked_at[{space, each.name}] = *generation;
                break;
            }
            default: {
                const auto* const found = cache.find(spaces[space], texts[text], now);
                bool are_all_known = true;
                std::set<std::string> wanted;
                for (const auto& name : names[text]) {
                    are_all_known = are_all_known && is_known(space, name);
                    if (are_all_known) wanted.insert(known[{space, name}].prefix + name);
                }
                if (are_all_known) REQUIRE(found);
                // A text may be known a little longer than its names, never with other facts.
                if (found && are_all_known) {
                    CHECK(found->tables == std::vector<std::string>(wanted.begin(), wanted.end()));
                }
                if (found) CHECK(found->tables.size() == names[text].size());
                break;
            }
            }
        }
    }
}
