#include "ha/cluster_config.hpp"

#include <catch2/catch.hpp>

using namespace pgtorii;
using namespace pgtorii::ha;
using namespace std::chrono_literals;

namespace {

config::settings with_one_backend()
{
    config::settings settings;
    config::backend backend;
    backend.configured = true;
    backend.backend_hostname = "db0";
    backend.backend_port = 5433;
    backend.backend_weight = 0.5;
    backend.backend_application_name = "standby0";
    backend.health_check_timeout = 7s;
    backend.health_check_max_retries = 3;
    backend.health_check_retry_delay = 2s;
    backend.connect_timeout = 1500ms;
    settings.backends.push_back(backend);
    return settings;
}

}  // namespace

TEST_CASE("A node is what the settings say of the backend")
{
    auto settings = with_one_backend();
    settings.backends[0].backend_flag = {.allow_to_failover = false, .always_primary = true};
    settings.backends.insert(settings.backends.begin(), config::backend{});  // a hole
    settings.failover_on_backend_error = false;
    settings.search_primary_node_timeout = 30s;
    const auto cluster = cluster_config_of(settings);
    CHECK_FALSE(cluster.trusts_reports);
    CHECK(cluster.search_warning_after == 30s);
    REQUIRE(cluster.nodes.size() == 2);
    CHECK_FALSE(cluster.nodes[0].is_configured);
    const auto& node = cluster.nodes[1];
    CHECK(node.id == 1);
    CHECK(node.is_configured);
    CHECK(node.hostname == "db0");
    CHECK(node.port == 5433);
    CHECK(node.weight == 0.5);
    CHECK(node.application_name == "standby0");
    CHECK(node.always_primary);
    CHECK(node.disallow_failover);
    CHECK(node.check_timeout == 7s);
    CHECK(node.failure_count_max == 3);
    CHECK(node.retry_delay == 2s);
    CHECK(node.connect_timeout == 1500ms);
}

TEST_CASE("A check logs in as sr_check_user, else as the health check's user, else as postgres")
{
    auto settings = with_one_backend();
    auto& backend = settings.backends[0];
    backend.health_check_database = "health";
    backend.health_check_password = "TEXThealthy";
    settings.sr_check_database = "check";
    settings.sr_check_password = "checked";
    const auto login = [&] { return cluster_config_of(settings).nodes[0].login; };

    CHECK(login() == check_login{"postgres", "health", "healthy"});
    backend.health_check_user = "doctor";
    CHECK(login() == check_login{"doctor", "health", "healthy"});
    settings.sr_check_user = "checker";
    CHECK(login() == check_login{"checker", "check", "checked"});
    settings.sr_check_database.clear();
    CHECK(login() == check_login{"checker", "postgres", "checked"});
}

TEST_CASE("The period of checks is the shorter one that is not zero")
{
    auto settings = with_one_backend();
    const auto period = [&](std::chrono::seconds replication, std::chrono::seconds health) {
        settings.sr_check_period = replication;
        settings.backends[0].health_check_period = health;
        return cluster_config_of(settings).nodes[0].check_period;
    };
    CHECK(period(10s, 0s) == 10s);
    CHECK(period(0s, 30s) == 30s);
    CHECK(period(10s, 3s) == 3s);
    CHECK(period(10s, 30s) == 10s);
    CHECK(period(0s, 0s) == 0s);
}
