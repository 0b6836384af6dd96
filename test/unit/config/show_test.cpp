#include "config/show.hpp"

#include "config/load.hpp"
#include "config/parameter.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <set>

using namespace pgtorii::config;

namespace {

settings sample()
{
    const auto outcome = load_text(
        "f", "backend_hostname0 = 'h0'\nbackend_port0 = 5432\nbackend_weight0 = 0.5\n"
             "backend_hostname1 = '/tmp'\nbackend_port1 = 5433\nbackend_weight1 = 1\n"
             "backend_flag1 = 'ALWAYS_PRIMARY|DISALLOW_TO_FAILOVER'\n"
             "health_check_period = 30\nhealth_check_period1 = 2min\n"
             "sr_check_password = 'secret'\nhealth_check_password1 = 'secret'\n"
             "pool_passwd = 'secret'\nwd_authkey = 'key'\nrecovery_password = 'secret'\n"
             "wd_lifecheck_password = 'secret'\nreset_query_list = 'ABORT; DISCARD ALL'\n");
    for (const auto& remark : outcome.diagnostics) FAIL(to_text(remark));
    return outcome.values;
}

std::string value_of(const show_answer& answer)
{
    const auto* text = std::get_if<std::string>(&answer);
    return text != nullptr ? *text : "not one value";
}

/// "item=value" of each row.
std::vector<std::string> lines(const show_answer& answer)
{
    std::vector<std::string> found;
    REQUIRE(std::holds_alternative<std::vector<show_row>>(answer));
    for (const auto& row : std::get<std::vector<show_row>>(answer)) {
        CHECK_FALSE(row.description.empty());
        found.push_back(row.item + "=" + row.value);
    }
    return found;
}

}  // namespace

TEST_CASE("One parameter shows as one value, as it would be configured")
{
    const auto values = sample();
    const struct {
        const char* name;
        const char* expected;
    } cases[] = {
        {"port", "9999"},
        {"ssl", "off"},
        {"connection_cache", "on"},
        {"authentication_timeout", "1min"},
        {"recovery_timeout", "90s"},
        {"memqcache_total_size", "64MB"},
        {"memqcache_maxcache", "400kB"},
        {"log_rotation_age", "1d"},
        {"log_rotation_size", "10MB"},
        {"client_idle_limit", "0"},
        {"connect_timeout0", "10000"},
        {"health_check_period0", "30"},
        {"health_check_period1", "120"},
        {"health_check_period5", "30"},
        {"backend_weight0", "0.5"},
        {"backend_weight1", "1"},
        {"backend_hostname1", "/tmp"},
        {"backend_port5", "0"},
        {"backend_hostname5", ""},
        {"backend_flag0", "ALLOW_TO_FAILOVER"},
        {"backend_flag1", "DISALLOW_TO_FAILOVER|ALWAYS_PRIMARY"},
        {"unix_socket_permissions", "0777"},
        {"log_file_mode", "384"},
        {"log_min_messages", "warning"},
        {"backend_clustering_mode", "streaming_replication"},
        {"reset_query_list", "ABORT; DISCARD ALL"},
        {"pool_passwd", "*****"},
        {"sr_check_password", "*****"},
        {"health_check_password1", "*****"},
        {"recovery_password", "*****"},
        {"wd_lifecheck_password", "*****"},
        {"wd_authkey", "key"},
        {"failover_command", ""},
        {"worker_threads", "0"},
        {"query_wait_timeout", "2min"},
    };
    for (const auto& each : cases) {
        INFO(each.name);
        CHECK(value_of(show(values, each.name)) == each.expected);
    }
}

TEST_CASE("An indexed parameter without index shows the value without index, then each node's")
{
    const auto values = sample();
    CHECK(lines(show(values, "backend_port")) ==
          std::vector<std::string>{"backend_port0=5432", "backend_port1=5433"});
    CHECK(lines(show(values, "health_check_period")) ==
          std::vector<std::string>{"health_check_period=30", "health_check_period0=30",
                                   "health_check_period1=120"});
    CHECK(lines(show(values, "wd_port")).empty());
}

TEST_CASE("Groups show all members of each configured slot")
{
    const auto values = sample();
    const auto backend = lines(show(values, "backend"));
    REQUIRE(backend.size() == 12);
    CHECK(backend[0] == "backend_hostname0=h0");
    CHECK(backend[1] == "backend_port0=5432");
    CHECK(backend[2] == "backend_weight0=0.5");
    CHECK(backend[3] == "backend_data_directory0=");
    CHECK(backend[4] == "backend_application_name0=");
    CHECK(backend[5] == "backend_flag0=ALLOW_TO_FAILOVER");
    CHECK(backend[6] == "backend_hostname1=/tmp");

    const auto health = lines(show(values, "health_check"));
    REQUIRE(health.size() == 24);
    CHECK(health[0] == "health_check_period=30");
    CHECK(health[7] == "connect_timeout=10000");
    CHECK(health[8] == "health_check_period0=30");
    CHECK(health[23] == "connect_timeout1=10000");
    CHECK(lines(show(values, "watchdog")).empty());
    CHECK(lines(show(values, "heartbeat")).empty());
}

TEST_CASE("ALL shows the groups, then the others by falling length; old names are left out")
{
    const auto rows = show_all(sample());
    CHECK(rows.size() == 206 + 23);  // Pgpool-II's newest version has 206 with two backends
    CHECK(rows[0].item == "backend_hostname0");
    CHECK(rows[12].item == "health_check_period");
    for (std::size_t i = 12 + 24 + 1; i < rows.size(); ++i)
        CHECK(rows[i - 1].item.size() >= rows[i].item.size());
    std::set<std::string> items;
    for (const auto& row : rows) {
        CHECK(items.insert(row.item).second);
        CHECK(row.value != "secret");
    }
    for (const auto* hidden : {"socket_dir", "logdir", "delegate_IP", "fail_over_on_backend_error"})
        CHECK_FALSE(items.contains(hidden));
    CHECK(items.contains("port"));
    CHECK(lines(show(sample(), "all")).size() == rows.size());
}

TEST_CASE("Errors of SHOW have Pgpool-II's texts")
{
    const settings values;
    const auto error = [&](const char* name) { return std::get<show_error>(show(values, name)); };
    CHECK(error("nope").message == "config variable \"nope\" not found");
    CHECK(error("PORT").message == "config variable \"PORT\" not found");
    CHECK(error("").message == "config variable \"\" not found");
    CHECK(error("backend_port128").message ==
          "invalid index 128 for configuration parameter \"backend_port\"");
    CHECK(error("backend_port128").detail == "allowed index is between 0 and 127");
    CHECK(error("backend_portx").message == "invalid index value for parameter \"backend_portx\" ");
    CHECK(error("backend_portx").detail == "index part contains the invalid non digit character");
}
