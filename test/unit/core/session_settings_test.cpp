#include "core/session_settings.hpp"

#include <catch2/catch.hpp>

#include <memory>

namespace {

using pgtorii::core::session_settings;
using pgtorii::routing::setting_change;
using pgtorii::routing::statement_facts;
using pgtorii::routing::statement_kind;
using texts = std::vector<std::string>;

statement_facts setting(setting_change change, std::string name = {})
{
    statement_facts facts;
    facts.kind =
        change == setting_change::discard_all ? statement_kind::discard : statement_kind::set;
    facts.change = change;
    facts.name = std::move(name);
    return facts;
}

}  // namespace

TEST_CASE("A setting counts once its transaction has committed")
{
    session_settings record;
    record.completed(setting(setting_change::set, "search_path"), "SET search_path TO a", true);
    CHECK(record.version() == 0);
    CHECK(record.has_uncommitted());
    SECTION("committed")
    {
        record.committed();
        CHECK(record.statements_after(0) == texts{"SET search_path TO a"});
        CHECK_FALSE(record.has_uncommitted());
    }
    SECTION("rolled back")
    {
        record.rolled_back();
        record.committed();
        CHECK(record.version() == 0);
        CHECK(record.statements_after(0).empty());
    }
}

TEST_CASE("A link gets what it lacks, in the order in which it was set")
{
    session_settings record;
    record.completed(setting(setting_change::set, "b"), "SET b = 1", false);
    const auto between = record.version();
    record.completed(setting(setting_change::set, "a"), "SET a = 1", false);
    record.completed(setting(setting_change::set, "b"), "SET b = 2", false);
    CHECK(record.statements_after(0) == texts{"SET a = 1", "SET b = 2"});
    CHECK(record.statements_after(between) == texts{"SET a = 1", "SET b = 2"});
    CHECK(record.statements_after(record.version()).empty());
}

TEST_CASE("RESET ALL forgets all settings but the role")
{
    session_settings record;
    record.completed(setting(setting_change::set, "role"), "SET ROLE r", false);
    record.completed(setting(setting_change::set, "a"), "SET a = 1", false);
    record.completed(setting(setting_change::reset_all), "RESET ALL", false);
    CHECK(record.statements_after(0) == texts{"SET ROLE r", "RESET ALL"});
}

TEST_CASE("SET SESSION AUTHORIZATION resets the role")
{
    session_settings record;
    record.completed(setting(setting_change::set, "role"), "SET ROLE r", false);
    record.completed(setting(setting_change::set, "session_authorization"),
                     "SET SESSION AUTHORIZATION u", false);
    CHECK(record.statements_after(0) == texts{"SET SESSION AUTHORIZATION u"});
}

TEST_CASE("A link of another session is brought from its settings to this one's")
{
    const auto record_of = [](std::initializer_list<std::pair<const char*, const char*>> settings) {
        session_settings record;
        for (const auto& [name, sql] : settings)
            record.completed(setting(setting_change::set, name), sql, false);
        return record.link_settings();
    };
    const auto between = [](const auto& from, const auto& to) {
        return session_settings::statements_between(from, to);
    };
    const auto none = record_of({});
    const auto a = record_of({{"a", "SET a = 1"}});
    const auto ab = record_of({{"a", "SET a = 1"}, {"b", "SET b = 2"}});
    const auto ba = record_of({{"b", "SET b = 2"}, {"a", "SET a = 1"}});
    const auto role = record_of({{"a", "SET a = 1"}, {"role", "SET ROLE r"}});
    CHECK(none == nullptr);
    CHECK(between(none, none).empty());
    CHECK(between(ab, record_of({{"a", "SET a = 1"}, {"b", "SET b = 2"}})).empty());
    CHECK(between(none, ab) == texts{"SET a = 1", "SET b = 2"});
    CHECK(between(a, ab) == texts{"SET b = 2"});
    CHECK(between(ab, none) == texts{"RESET ALL"});
    CHECK(between(ab, a) == texts{"RESET ALL", "SET a = 1"});
    CHECK(between(ab, ba) == texts{"RESET ALL", "SET b = 2", "SET a = 1"});
    CHECK(between(a, role) == texts{"SET ROLE r"});
    CHECK(between(role, ab) == texts{"RESET SESSION AUTHORIZATION", "RESET ROLE", "RESET ALL",
                                     "SET a = 1", "SET b = 2"});

    session_settings record;
    record.completed(setting(setting_change::set, "a"), "SET a = 1", false);
    record.completed(setting(setting_change::reset, "a"), "RESET a", false);
    CHECK(record.link_settings() == nullptr);
    record.completed(setting(setting_change::set, "b"), "SET b = 1", false);
    record.completed(setting(setting_change::set, "a"), "SET a = 2", false);
    record.completed(setting(setting_change::set, "b"), "SET b = 3", false);
    CHECK(between(none, record.link_settings()) == texts{"SET a = 2", "SET b = 3"});
    record.completed(setting(setting_change::discard_all), "DISCARD ALL", false);
    CHECK(record.link_settings() == nullptr);
}

TEST_CASE("A text is read by settings of its time")
{
    session_settings record;
    const auto start = record.text_settings_now();
    CHECK(start == nullptr);
    record.completed(setting(setting_change::set, "work_mem"), "SET work_mem = 1", false);
    CHECK(record.text_settings_now() == nullptr);
    record.completed(setting(setting_change::set, "datestyle"), "SET DateStyle = a", true);
    const auto inside = record.text_settings_now();
    REQUIRE(inside);
    record.rolled_back();
    CHECK(record.text_settings_now() == nullptr);
    CHECK(session_settings::statements_between(inside, record.text_settings_now()) ==
          texts{"RESET datestyle"});
    CHECK(session_settings::statements_between(record.text_settings_now(), inside) ==
          texts{"SET DateStyle = a"});
    CHECK(session_settings::statements_between(inside, inside).empty());
    record.completed(setting(setting_change::set, "search_path"), "SET search_path = p", true);
    CHECK(record.search_path_now() == "SET search_path = p");
    record.completed(setting(setting_change::reset_all), "RESET ALL", true);
    CHECK(record.search_path_now().empty());
}

TEST_CASE("DISCARD ALL begins the record anew, and older links need it too")
{
    session_settings record;
    record.completed(setting(setting_change::set, "a"), "SET a = 1", false);
    const auto before = record.version();
    record.completed(setting(setting_change::discard_all), "DISCARD ALL", false);
    record.completed(setting(setting_change::set, "b"), "SET b = 1", false);
    CHECK(record.statements_after(before) == texts{"DISCARD ALL", "SET b = 1"});
    CHECK(record.statements_after(record.version()).empty());
}

TEST_CASE("Every SET SESSION CHARACTERISTICS is kept, since each names only some")
{
    session_settings record;
    const std::string first =
        "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL REPEATABLE READ";
    const std::string second = "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY";
    record.completed(setting(setting_change::set, "session characteristics"), first, false);
    record.completed(setting(setting_change::set, "session characteristics"), second, false);
    record.committed();
    CHECK(record.statements_after(0) == texts{first, second});
}

TEST_CASE("SET LOCAL leaves no record")
{
    session_settings record;
    record.completed(setting(setting_change::set_local, "a"), "SET LOCAL a = 1", true);
    record.committed();
    CHECK(record.version() == 0);
}

TEST_CASE("Settings follow their savepoints")
{
    session_settings record;
    const auto mark = [&record](statement_kind kind, std::string name) {
        statement_facts facts;
        facts.kind = kind;
        facts.name = std::move(name);
        record.completed(facts, {}, true);
    };
    const auto set = [&record](std::string name) {
        record.completed(setting(setting_change::set, name), "SET " + name, true);
    };
    set("a");
    mark(statement_kind::savepoint, "s");
    set("b");
    mark(statement_kind::savepoint, "t");
    set("c");
    SECTION("ROLLBACK TO takes back what came after, and the savepoint stays")
    {
        mark(statement_kind::rollback_to_savepoint, "s");
        set("d");
        mark(statement_kind::rollback_to_savepoint, "s");
        record.committed();
        CHECK(record.statements_after(0) == texts{"SET a"});
    }
    SECTION("RELEASE keeps it, and forgets the savepoints inside")
    {
        mark(statement_kind::release_savepoint, "s");
        record.committed();
        CHECK(record.statements_after(0) == texts{"SET a", "SET b", "SET c"});
    }
    SECTION("the innermost of one name counts")
    {
        mark(statement_kind::savepoint, "s");
        set("d");
        mark(statement_kind::rollback_to_savepoint, "s");
        record.committed();
        CHECK(record.statements_after(0) == texts{"SET a", "SET b", "SET c"});
    }
    SECTION("a savepoint that was never seen makes the record uncertain until DISCARD ALL")
    {
        mark(statement_kind::rollback_to_savepoint, "other");
        CHECK_FALSE(record.is_certain());
        record.committed();
        record.completed(setting(setting_change::discard_all), "DISCARD ALL", false);
        CHECK(record.is_certain());
    }
}

TEST_CASE("Too many settings, or too long ones, are not kept")
{
    session_settings record;
    SECTION("too many")
    {
        for (int i = 0; i < 600; ++i) {
            record.completed(setting(setting_change::set, "x.a" + std::to_string(i)), "SET", false);
        }
    }
    SECTION("too long")
    {
        record.completed(setting(setting_change::set, "a"), std::string(10'000, 'x'), false);
        CHECK(record.version() == 0);
    }
    CHECK_FALSE(record.is_certain());
}

TEST_CASE("The namespace of a session is what decides how names resolve")
{
    session_settings record;
    const auto space = std::make_shared<pgtorii::routing::catalog_namespace>();
    const auto set = [&record](std::string name, std::string text, bool in_transaction) {
        record.completed(setting(setting_change::set, std::move(name)), text, in_transaction);
    };
    set("search_path", "SET search_path TO a", false);
    set("role", "SET ROLE r", false);
    record.remember_namespace(space);
    set("work_mem", "SET work_mem TO 1", false);
    CHECK(record.known_namespace() == space);
    set("search_path", "SET search_path TO b", false);
    CHECK(record.known_namespace() == nullptr);
    const texts in_order{"SET ROLE r", "SET search_path TO b"};
    CHECK(record.namespace_statements() == in_order);
    CHECK(record.has_certain_namespace());
    SECTION("RESET ALL leaves the role")
    {
        record.remember_namespace(space);
        record.completed(setting(setting_change::reset_all), "RESET ALL", false);
        CHECK(record.namespace_statements() == texts{"SET ROLE r"});
        CHECK(record.known_namespace() == nullptr);
    }
    SECTION("DISCARD ALL leaves nothing")
    {
        record.completed(setting(setting_change::discard_all), "DISCARD ALL", false);
        CHECK(record.namespace_statements().empty());
    }
    SECTION("inside a transaction it is not certain until the end")
    {
        set("work_mem", "SET work_mem TO 2", true);
        CHECK(record.has_certain_namespace());
        set("search_path", "SET search_path TO c", true);
        CHECK_FALSE(record.has_certain_namespace());
        record.rolled_back();
        CHECK(record.has_certain_namespace());
        CHECK(record.namespace_statements() == in_order);
    }
    SECTION("a SET LOCAL counts to the end of its transaction")
    {
        record.completed(setting(setting_change::set_local, "role"), "SET LOCAL ROLE x", true);
        CHECK_FALSE(record.has_certain_namespace());
        record.committed();
        CHECK(record.has_certain_namespace());
    }
    SECTION("a record that isn't certain has no namespace")
    {
        set("a", std::string(10'000, 'x'), false);
        CHECK_FALSE(record.has_certain_namespace());
    }
}
