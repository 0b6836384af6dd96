#include "config/reload.hpp"

#include "config/load.hpp"

#include <catch2/catch.hpp>

using namespace pgtorii::config;

namespace {

using names = std::vector<std::string>;

settings file(const char* text)
{
    const auto outcome = load_text("f", text);
    for (const auto& remark : outcome.diagnostics) FAIL(to_text(remark));
    return outcome.values;
}

}  // namespace

TEST_CASE("A reload of the same file changes nothing")
{
    const auto text =
        "port = 5555\nbackend_port0 = 5432\nwrite_function_list = 'a'\nwd_port1 = 9000";
    const auto outcome = reload(file(text), file(text));
    CHECK(outcome.changed.empty());
    CHECK(outcome.kept.empty());
}

TEST_CASE("Parameters that need a restart keep their running value")
{
    const auto outcome =
        reload(file("port = 5555\nlog_connections = off\nbackend_clustering_mode = raw"),
               file("port = 5556\nlog_connections = on\nlisten_addresses = 'x'"));
    CHECK(outcome.values.port == 5555);
    CHECK(outcome.values.listen_addresses.items == names{"localhost"});
    CHECK(outcome.values.backend_clustering_mode == clustering_mode::raw);
    CHECK(outcome.values.log_connections);
    CHECK(outcome.changed == names{"log_connections"});
    CHECK(outcome.kept == names{"listen_addresses", "port", "backend_clustering_mode"});
}

TEST_CASE("A parameter that is gone from the file goes back to its default")
{
    const auto outcome =
        reload(file("client_idle_limit = 100\nwrite_function_list = 'a'\nbackend_port0 = 5432\n"
                    "health_check_period0 = 5\nhealth_check_period = 7"),
               file("backend_port0 = 5432\nhealth_check_period = 7"));
    CHECK(outcome.values.client_idle_limit.count() == 0);
    CHECK(outcome.values.write_function_list->empty());
    CHECK(outcome.values.backends[0].health_check_period.count() == 7);
    CHECK(outcome.changed ==
          names{"client_idle_limit", "write_function_list", "health_check_period0"});
}

TEST_CASE("Backends are added, never moved or removed")
{
    const auto running = file("backend_hostname0 = 'a'\nbackend_port0 = 5432\n"
                              "backend_hostname1 = 'b'\nbackend_port1 = 5433\n"
                              "backend_data_directory0 = '/old'");
    SECTION("a new one comes in whole")
    {
        auto outcome = reload(running, file("backend_hostname0 = 'a'\nbackend_port0 = 5432\n"
                                            "backend_hostname1 = 'b'\nbackend_port1 = 5433\n"
                                            "backend_data_directory0 = '/old'\n"
                                            "backend_hostname3 = 'd'\nbackend_port3 = 5435\n"));
        REQUIRE(outcome.values.backends.size() == 4);
        CHECK(outcome.values.backends[3].backend_hostname == "d");
        CHECK_FALSE(outcome.values.backends[2].configured);
        CHECK(outcome.kept.empty());
        CHECK(outcome.changed.front() == "backend_hostname3");
    }
    SECTION("host and port stay, weight, name and flag change")
    {
        const auto outcome =
            reload(running, file("backend_hostname0 = 'x'\nbackend_port0 = 5999\n"
                                 "backend_weight0 = 3\nbackend_flag0 = 'DISALLOW_TO_FAILOVER'\n"
                                 "backend_application_name0 = 'n'\n"
                                 "backend_data_directory0 = '/new'\n"
                                 "backend_hostname1 = 'b'\nbackend_port1 = 5433\n"));
        const auto& node = outcome.values.backends[0];
        CHECK(node.backend_hostname == "a");
        CHECK(node.backend_port == 5432);
        CHECK(node.backend_data_directory == "/old");
        CHECK(node.backend_weight == 3);
        CHECK(node.backend_application_name == "n");
        CHECK_FALSE(node.backend_flag.allow_to_failover);
        CHECK(outcome.kept ==
              names{"backend_hostname0", "backend_port0", "backend_data_directory0"});
        CHECK(outcome.changed ==
              names{"backend_weight0", "backend_application_name0", "backend_flag0"});
    }
    SECTION("the data directory changes while the node is detached")
    {
        const auto outcome = reload(running,
                                    file("backend_hostname0 = 'a'\nbackend_port0 = 5432\n"
                                         "backend_hostname1 = 'b'\nbackend_port1 = 5433\n"
                                         "backend_data_directory0 = '/new'"),
                                    {true});
        CHECK(outcome.values.backends[0].backend_data_directory == "/new");
        CHECK(outcome.kept.empty());
    }
    SECTION("one that is gone stays")
    {
        const auto outcome = reload(running, file("backend_hostname0 = 'a'\nbackend_port0 = 5432\n"
                                                  "backend_data_directory0 = '/old'"));
        REQUIRE(outcome.values.backends.size() == 2);
        CHECK(outcome.values.backends[1].configured);
        CHECK(outcome.values.backends[1].backend_hostname == "b");
        CHECK(outcome.kept == names{"backend_port1"});
        CHECK(outcome.changed.empty());
    }
}

TEST_CASE("Compiled patterns are shared by copies, and replaced by a reload")
{
    const auto running = file("write_function_list = 'a.*'");
    const auto copy = running;
    CHECK(copy.write_function_list == running.write_function_list);
    const auto outcome = reload(running, file("write_function_list = 'b.*'"));
    CHECK_FALSE(outcome.values.write_function_list->matches("a1"));
    CHECK(outcome.values.write_function_list->matches("b1"));
    CHECK(copy.write_function_list->matches("a1"));
}
