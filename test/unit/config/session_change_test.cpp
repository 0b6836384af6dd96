#include "config/session_change.hpp"

#include "config/load.hpp"
#include "config/parameter.hpp"

#include <catch2/catch.hpp>

#include <set>

using namespace pgtorii::config;

TEST_CASE("PGPOOL SET changes what a session may change, and RESET undoes it")
{
    const auto configured = load_text("f", "client_idle_limit = 100").values;
    session_changes changes;
    const auto set = [&](const char* name, std::optional<std::string_view> value) {
        const auto failure = changes.change(name, value, configured);
        return failure ? failure->told.message : "";
    };
    const auto now = [&] { return changes.over(configured); };
    CHECK(set("client_idle_limit", "2min") == "");
    CHECK(now().client_idle_limit.count() == 120);
    CHECK(set("client_idle_limit", "3min") == "");
    CHECK(now().client_idle_limit.count() == 180);
    CHECK(set("log_min_messages", "DEBUG5") == "");
    CHECK(now().log_min_messages == message_level::debug5);
    CHECK(set("client_idle_limit", std::nullopt) == "");
    CHECK(now().client_idle_limit.count() == 100);
    CHECK_FALSE(changes.empty());
    CHECK(set("log_min_messages", std::nullopt) == "");
    CHECK(changes.empty());
    CHECK(set("log_statement", "on") == "");
    changes.clear();
    CHECK_FALSE(now().log_statement);
    CHECK(set("log_statement", std::nullopt) == "");  // nothing to undo is no error
}

TEST_CASE("PGPOOL SET refuses with Pgpool-II's words, and changes nothing then")
{
    const settings configured;
    session_changes changes;
    const auto set = [&](const char* name, std::optional<std::string_view> value,
                         change_failure what) {
        const auto failure = changes.change(name, value, configured);
        REQUIRE(failure);
        CHECK(failure->what == what);
        return failure->told.message;
    };
    for (const auto* const other : {"port", "check_temp_table", "backend_port0"}) {
        const auto expected =
            std::string("invalid Context, value for parameter \"") + other + "\" cannot be changed";
        CHECK(set(other, "5555", change_failure::not_in_session) == expected);
        CHECK(set(other, std::nullopt, change_failure::not_in_session) == expected);
    }
    const auto unknown = change_failure::unknown_name;
    CHECK(set("nosuch", "1", unknown) == "unrecognized configuration parameter \"nosuch\"");
    CHECK(set("nosuch", std::nullopt, unknown) ==
          "unrecognized configuration parameter \"nosuch\"");
    CHECK(set("hostname_x", "1", unknown) == "unrecognized configuration parameter \"hostname_x\"");
    const auto bad = change_failure::bad_value;
    CHECK(set("client_idle_limit", "-5", bad) ==
          "-5 is outside the valid range for parameter \"client_idle_limit\" (0 .. 2147483647)");
    CHECK(set("client_idle_limit", "abc", bad) ==
          "invalid value for parameter \"client_idle_limit\": \"abc\"");
    CHECK(set("log_statement", "nonsense", bad) ==
          "invalid value for parameter \"log_statement\": \"nonsense\"");
    CHECK(set("log_error_verbosity", "loud", bad) ==
          "invalid value for parameter \"log_error_verbosity\": \"loud\"");
    CHECK(changes.empty());
}

TEST_CASE("A reload leaves the session what it has set, and brings the rest")
{
    session_changes changes;
    CHECK_FALSE(changes.change("log_statement", "on", settings{}));
    const auto reloaded = load_text("f", "log_statement = off\nallow_sql_comments = on\n").values;
    const auto now = changes.over(reloaded);
    CHECK(now.log_statement);
    CHECK(now.allow_sql_comments);
    CHECK_FALSE(changes.change("log_statement", std::nullopt, reloaded));
    CHECK_FALSE(changes.over(reloaded).log_statement);
}

TEST_CASE("Twelve parameters may be set in a session")
{
    std::set<std::string> names;
    for_each_parameter([&](const section&, const parameter& row) {
        if (row.context == context::session) names.emplace(row.name);
    });
    CHECK(names == std::set<std::string>{
                       "log_statement", "log_per_node_statement", "notice_per_node_statement",
                       "log_client_messages", "log_backend_messages", "check_unlogged_table",
                       "allow_sql_comments", "client_idle_limit", "client_idle_limit_in_recovery",
                       "log_error_verbosity", "client_min_messages", "log_min_messages"});
}
