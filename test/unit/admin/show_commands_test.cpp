#include "admin/show_commands.hpp"

#include "config/load.hpp"
#include "protocol/message.hpp"

#include <catch2/catch.hpp>

#include <cstdlib>
#include <ctime>
#include <set>

using namespace pgtorii;
using admin::admin_source;
using admin::result_table;
using admin::show_answer;

namespace {

config::settings settings_of(const std::string& more)
{
    auto outcome = config::load_text("pgpool.conf", R"(
backend_hostname0 = '10.0.0.1'
backend_port0 = 5432
backend_weight0 = 1
backend_hostname1 = 'db2'
backend_port1 = 5433
backend_weight1 = 3
backend_application_name1 = 'server1'
backend_flag1 = 'DISALLOW_TO_FAILOVER'
health_check_period = 10
)" + more + "\n");
    for (const auto& remark : outcome.diagnostics) UNSCOPED_INFO(config::to_text(remark));
    REQUIRE_FALSE(outcome.has_errors());
    return outcome.values;
}

/// Two servers: a primary that is up and a standby that is waiting.
std::shared_ptr<ha::cluster_view> a_view()
{
    ::setenv("TZ", "UTC", 1);
    ::tzset();
    auto view = std::make_shared<ha::cluster_view>();
    view->primary = 0;
    view->nodes.resize(2);
    auto& first = view->nodes[0];
    first.id = 0;
    first.hostname = "10.0.0.1";
    first.port = 5432;
    first.weight_normalized = 0.25;
    first.status = ha::node_status::up;
    first.role = ha::node_role::primary;
    first.answers = true;
    first.replication_delay = 77;  // never shown for the primary
    first.last_status_change = std::chrono::system_clock::from_time_t(1'790'000'000);
    auto& second = view->nodes[1];
    second.id = 1;
    second.hostname = "db2";
    second.port = 5433;
    second.weight_normalized = 0.75;
    second.status = ha::node_status::waiting;
    second.role = ha::node_role::standby;
    second.answers = true;
    second.replication_state = "streaming";
    second.replication_sync_state = "async";
    second.replication_delay = 1234;
    second.replication_delay_time = std::chrono::microseconds(1'999'999);
    second.last_status_change = std::chrono::system_clock::from_time_t(1'790'000'001);
    return view;
}

std::vector<core::node_counts> some_counts()
{
    core::node_counters counters;
    for (int i = 0; i < 5; ++i) counters.count(0, routing::statement_class::select);
    counters.count(0, routing::statement_class::insert);
    counters.count(0, routing::statement_class::update);
    counters.count(0, routing::statement_class::update);
    counters.count(0, routing::statement_class::delete_);
    for (int i = 0; i < 3; ++i) counters.count(0, routing::statement_class::ddl);
    for (int i = 0; i < 4; ++i) counters.count(0, routing::statement_class::other);
    counters.count_error(0, core::error_severity::panic);
    for (int i = 0; i < 2; ++i) counters.count_error(0, core::error_severity::fatal);
    for (int i = 0; i < 6; ++i) counters.count_error(0, core::error_severity::error);
    counters.count(1, routing::statement_class::select);
    return counters.snapshot();
}

result_table table_of(const show_answer& made)
{
    if (const auto* const error = std::get_if<protocol::pg_error>(&made)) FAIL(error->message);
    return std::get<result_table>(made);
}

protocol::pg_error error_of(const show_answer& made)
{
    REQUIRE(std::holds_alternative<protocol::pg_error>(made));
    return std::get<protocol::pg_error>(made);
}

result_table pool_table(std::string_view name, const config::settings& settings,
                        ha::cluster_view_ptr view = a_view(), int balanced_node = 1)
{
    const auto counts = some_counts();
    return table_of(admin::show_pool(name, {.view = std::move(view),
                                            .settings = settings,
                                            .counters = counts,
                                            .session_balanced_node = balanced_node}));
}

std::string joined(const std::vector<std::string>& row)
{
    std::string text;
    for (const auto& each : row) text += (text.empty() ? "" : "|") + each;
    return text;
}

std::string value_of(const result_table& table, std::string_view item)
{
    std::string found = "no such item";
    for (const auto& row : table.rows) {
        if (row[0] == item) found = row[1];
    }
    return found;
}

using type_list = std::vector<char>;

/// The types of the messages in a buffer, which must be well-formed.
type_list types_of(const protocol::message_buffer& buffer)
{
    type_list types;
    auto rest = buffer.bytes();
    while (!rest.empty()) {
        const auto message = protocol::whole_message(rest);
        REQUIRE(message);
        types.push_back(message->type);
        rest = rest.subspan(message->whole.size());
    }
    return types;
}

std::string_view text_of(const protocol::message_buffer& buffer)
{
    return {reinterpret_cast<const char*>(buffer.bytes().data()), buffer.bytes().size()};
}

}  // namespace

TEST_CASE("SHOW POOL_VERSION begins with a version that scripts understand")
{
    const auto table = pool_table("pool_version", settings_of(""));
    CHECK(joined(table.columns) == "pool_version");
    REQUIRE(table.rows.size() == 1);
    CHECK(table.rows[0][0].starts_with("4.7.2 (pgtorii "));
    CHECK(table.rows[0][0].ends_with(")"));
}

TEST_CASE("SHOW POOL_NODES has Pgpool-II's columns and words")
{
    const auto table = pool_table("pool_nodes", settings_of(""));
    CHECK(joined(table.columns) ==
          "node_id|hostname|port|status|pg_status|lb_weight|role|pg_role|select_cnt|load_balance_"
          "node|"
          "replication_delay|replication_state|replication_sync_state|last_status_change");
    REQUIRE(table.rows.size() == 2);
    CHECK(joined(table.rows[0]) ==
          "0|10.0.0.1|5432|up|up|0.250000|primary|primary|5|false|0|||2026-09-21 14:13:20");
    CHECK(joined(table.rows[1]) == "1|db2|5433|waiting|up|0.750000|standby|standby|1|true|1234|"
                                   "streaming|async|2026-09-21 14:13:21");
}

TEST_CASE("Delays are shown as time where they are measured so")
{
    constexpr std::size_t delay = 10;
    auto settings = settings_of("delay_threshold_by_time = 100");
    SECTION("by the threshold") {}
    SECTION("by the command")
    {
        settings = settings_of("replication_delay_source_cmd = 'x'");
    }
    const auto table = pool_table("pool_nodes", settings);
    CHECK(table.rows[0][delay] == "0");
    CHECK(table.rows[1][delay] == "1.999999 second");
    CHECK(value_of(pool_table("pool_status", settings), "standby_delay1") == "1999999");
}

TEST_CASE("SHOW POOL_NODES tells of a node only what was examined")
{
    constexpr std::size_t status = 3;
    constexpr std::size_t pg_status = 4;
    constexpr std::size_t role = 6;
    constexpr std::size_t pg_role = 7;
    constexpr std::size_t balanced = 9;

    SECTION("without health check the server's state is unknown")
    {
        const auto table = pool_table("pool_nodes", settings_of("health_check_period1 = 0"));
        CHECK(table.rows[0][pg_status] == "up");
        CHECK(table.rows[1][pg_status] == "unknown");
        CHECK(table.rows[1][pg_role] == "unknown");
        CHECK(table.rows[1][role] == "standby");
    }
    SECTION("without replication check its role is unknown")
    {
        const auto table = pool_table("pool_nodes", settings_of("sr_check_period = 0"));
        CHECK(table.rows[0][pg_status] == "up");
        CHECK(table.rows[0][pg_role] == "unknown");
    }
    SECTION("a server that does not answer is down, its role unknown")
    {
        auto view = a_view();
        view->nodes[0].answers = false;
        view->nodes[0].status = ha::node_status::down;
        view->primary = -1;
        const auto table = pool_table("pool_nodes", settings_of(""), view);
        CHECK(table.rows[0][status] == "down");
        CHECK(table.rows[0][pg_status] == "down");
        CHECK(table.rows[0][role] == "standby");
        CHECK(table.rows[0][pg_role] == "unknown");
    }
    SECTION("in other modes there is a main node and replicas")
    {
        const auto settings = settings_of("backend_clustering_mode = 'raw'");
        const auto table = pool_table("pool_nodes", settings);
        CHECK(table.rows[0][role] == "main");
        CHECK(table.rows[0][pg_role] == "main");
        CHECK(table.rows[1][role] == "replica");
        CHECK(table.rows[1][pg_role] == "replica");
    }
    SECTION("every status has its word")
    {
        auto view = a_view();
        view->nodes[0].status = ha::node_status::unused;
        view->nodes[1].status = ha::node_status::quarantine;
        const auto table = pool_table("pool_nodes", settings_of(""), view);
        CHECK(table.rows[0][status] == "unused");
        CHECK(table.rows[1][status] == "quarantine");
    }
    SECTION("a session that has not chosen a node yet balances to none")
    {
        const auto table = pool_table("pool_nodes", settings_of(""), a_view(), -1);
        CHECK(table.rows[0][balanced] == "false");
        CHECK(table.rows[1][balanced] == "false");
    }
}

TEST_CASE("Node tables leave out holes between node ids, and are empty without a view")
{
    auto view = a_view();
    view->nodes.push_back(view->nodes[1]);
    view->nodes[1] = {};
    view->nodes[1].id = 1;
    view->nodes[2].id = 2;
    for (const auto* name : {"pool_nodes", "pool_backend_stats"}) {
        const auto table = pool_table(name, settings_of(""), view);
        REQUIRE(table.rows.size() == 2);
        CHECK(table.rows[1][0] == "2");
        CHECK(pool_table(name, settings_of(""), nullptr).rows.empty());
    }
}

TEST_CASE("SHOW POOL_BACKEND_STATS prints the counters")
{
    const auto table = pool_table("pool_backend_stats", settings_of(""));
    CHECK(joined(table.columns) ==
          "node_id|hostname|port|status|role|select_cnt|insert_cnt|update_cnt|delete_cnt|ddl_cnt|"
          "other_cnt|panic_cnt|fatal_cnt|error_cnt");
    REQUIRE(table.rows.size() == 2);
    CHECK(joined(table.rows[0]) == "0|10.0.0.1|5432|up|primary|5|1|2|1|3|4|1|2|6");
    CHECK(joined(table.rows[1]) == "1|db2|5433|waiting|standby|1|0|0|0|0|0|0|0|0");
}

TEST_CASE("SHOW POOL_CACHE answers as with the cache off")
{
    const auto table = pool_table("pool_cache", settings_of(""));
    CHECK(table.columns.size() == 9);
    CHECK(table.columns[2] == "cache_hit_ratio");
    REQUIRE(table.rows.size() == 1);
    CHECK(joined(table.rows[0]) == "0|0|0.00|0|0|0|0|0|0");
}

TEST_CASE("SHOW POOL_STATUS lists Pgpool-II 4.7's items, with its numbers for words")
{
    const auto settings =
        settings_of("log_min_messages = 'debug1'\nclient_min_messages = 'notice'\n"
                    "unix_socket_permissions = 0750\nlisten_addresses = 'localhost'");
    const auto table = pool_table("pool_status", settings);
    CHECK(joined(table.columns) == "item|value|description");
    CHECK(table.rows.size() == 165);
    CHECK(table.rows.front()[0] == "backend_clustering_mode");
    CHECK(table.rows.back()[0] == "backend_application_name1");
    CHECK(value_of(table, "backend_clustering_mode") == "1");
    CHECK(value_of(table, "listen_addresses") == "localhost");
    CHECK(value_of(table, "unix_socket_permissions") == "0750");
    CHECK(value_of(table, "log_min_messages") == "14");
    CHECK(value_of(table, "client_min_messages") == "18");
    CHECK(value_of(table, "log_error_verbosity") == "1");
    CHECK(value_of(table, "syslog_facility") == "LOCAL0");
    CHECK(value_of(table, "log_standby_delay") == "2");
    CHECK(value_of(table, "disable_load_balance_on_write") == "2");
    CHECK(value_of(table, "load_balance_mode") == "1");
    CHECK(value_of(table, "log_connections") == "0");
    CHECK(value_of(table, "authentication_timeout") == "60");
    CHECK(value_of(table, "memqcache_total_size") == "67108864");
    CHECK(value_of(table, "reset_query_list") == "ABORT;DISCARD ALL");
    CHECK(value_of(table, "database_redirect_preference_list") == "(null)");
    CHECK(value_of(table, "read_only_function_list").empty());
    CHECK(value_of(table, "memqcache_cache_oiddir") != "no such item");
    CHECK(value_of(table, "memqcache_cache_hits") == "0");
    CHECK(value_of(table, "backend_hostname1") == "db2");
    CHECK(value_of(table, "backend_weight1") == "0.750000");
    CHECK(value_of(table, "backend_status1") == "waiting");
    CHECK(value_of(table, "standby_delay1") == "1234");
    CHECK(value_of(table, "backend_flag0") == "ALLOW_TO_FAILOVER");
    CHECK(value_of(table, "backend_flag1") == "DISALLOW_TO_FAILOVER");

    std::set<std::string> items;
    for (const auto& row : table.rows) {
        CHECK(items.insert(row[0]).second);
        CHECK(row[2].size() <= 79);
        // pgpool_setup counts these to see how many nodes there are.
        if (row[0].find("backend_data") != std::string::npos) CHECK(row[0].size() == 23);
    }
}

TEST_CASE("SHOW POOL_STATUS shows no password, and long values are cut")
{
    const auto settings =
        settings_of("sr_check_password = 'secret1'\nhealth_check_password = 'secret2'\n"
                    "recovery_password = 'secret3'\nwd_lifecheck_password = 'secret4'\n"
                    "wd_authkey = 'secret5'\nfailover_command = '" +
                    std::string(510, 'x') + "\xc3\xa9" + "'");
    const auto table = pool_table("pool_status", settings);
    for (const auto& row : table.rows) CHECK(joined(row).find("secret") == std::string::npos);
    CHECK(value_of(table, "failover_command") == std::string(510, 'x'));
}

TEST_CASE("SHOW POOL_STATUS lists watchdog and heartbeat nodes before the interfaces")
{
    const auto table =
        pool_table("pool_status", settings_of("hostname0 = 'gate1'\nwd_port0 = 9000\n"
                                              "pgpool_port0 = 9999\n"
                                              "heartbeat_hostname0 = 'gate1'\n"
                                              "heartbeat_port0 = 9694"));
    CHECK(table.rows.size() == 171);
    std::size_t at = 0;
    while (table.rows[at][0] != "hostname0") ++at;
    const char* const expected[] = {"hostname0",
                                    "pgpool_port0",
                                    "wd_port0",
                                    "heartbeat_hostname0",
                                    "heartbeat_device0",
                                    "heartbeat_port0",
                                    "wd_monitoring_interfaces_list"};
    for (const auto* name : expected) CHECK(table.rows[at++][0] == name);
}

namespace {

/// A session of each activity, and two parked links.
core::census a_census()
{
    using activity = core::session_activity;
    const auto at = [](int seconds) {
        return std::chrono::system_clock::from_time_t(1'790'000'000 + seconds);
    };
    const core::link_facts to_first{.node = 0,
                                    .backend_pid = 501,
                                    .connected_at = at(1),
                                    .leased_at = at(5),
                                    .returned_at = at(4),
                                    .lease_count = 3};
    const core::link_facts to_second{.node = 1,
                                     .backend_pid = 601,
                                     .connected_at = at(6),
                                     .leased_at = at(6),
                                     .returned_at = {},
                                     .lease_count = 1};
    core::session_facts reader{.pid = 77,
                               .activity = activity::idle_in_transaction,
                               .began_at = at(0),
                               .user = "jo",
                               .database = "shop",
                               .client_host = "10.0.0.7",
                               .client_port = 4711,
                               .idle_duration = std::chrono::seconds{2},
                               .client_idle_limit = std::chrono::seconds{65},
                               .balanced_node = 1,
                               .links = {to_second, to_first}};
    auto busy = reader;
    busy.pid = 78;
    busy.activity = activity::serving;
    busy.client_host = "[local]";
    busy.client_port = 0;
    busy.idle_duration = busy.client_idle_limit = {};
    busy.links = {};
    auto leaving = busy;
    leaving.pid = 79;
    leaving.activity = activity::leaving;
    leaving.links = {to_first};
    core::session_facts newcomer;
    newcomer.began_at = at(9);
    auto parked = to_first;
    parked.backend_pid = 502;
    return {.sessions = {reader, busy, leaving, newcomer},
            .parked = {{"jo", "shop", parked}, {"ann", "shop", to_second}},
            .link_count_max = 4};
}

result_table session_table(std::string_view name, const std::string& more)
{
    const auto settings = settings_of(more);
    const auto everybody = a_census();
    return table_of(admin::show_pool(
        name, {.view = a_view(), .settings = settings, .counters = {}, .everybody = &everybody}));
}

}  // namespace

TEST_CASE("SHOW POOL_PROCESSES has a row for each session and each place that is left")
{
    const auto table = session_table("pool_processes", "num_init_children = 5");
    CHECK(joined(table.columns) ==
          "pool_pid|start_time|client_connection_count|database|username|backend_connection_time|"
          "pool_counter|status");
    REQUIRE(table.rows.size() == 5);
    CHECK(joined(table.rows[0]) ==
          "77|2026-09-21 14:13:20|0|shop|jo|2026-09-21 14:13:26|1|Idle in transaction");
    CHECK(joined(table.rows[1]) == "78|2026-09-21 14:13:20|0|shop|jo|||Execute command");
    CHECK(joined(table.rows[2]) == "0|2026-09-21 14:13:29|0|||||Connecting");
    CHECK(joined(table.rows[3]) == "0|1970-01-01 00:00:00|0|||||Wait for connection");
    CHECK(table.rows[4] == table.rows[3]);
    // More sessions than places: Pgpool-II could not serve them at once.
    CHECK(session_table("pool_processes", "num_init_children = 1").rows.size() == 3);
}

TEST_CASE("SHOW POOL_POOLS has a row for each connection to a server and each place that is left")
{
    const auto table = session_table("pool_pools", "");
    CHECK(joined(table.columns) ==
          "pool_pid|start_time|client_connection_count|pool_id|backend_id|database|username|"
          "backend_connection_time|client_connection_time|client_disconnection_time|"
          "client_idle_duration|majorversion|minorversion|pool_counter|pool_backendpid|"
          "pool_connected|status|load_balance_node|client_host|client_port|statement");
    REQUIRE(table.rows.size() == 2 * 4);  // the budget of both nodes
    CHECK(joined(table.rows[0]) ==
          "77|2026-09-21 14:13:20|0|0|0|shop|jo|2026-09-21 14:13:21|2026-09-21 14:13:25|"
          "2026-09-21 14:13:24|2 (1:03 before client disconnected)|3|0|3|501|1|"
          "Idle in transaction|0|10.0.0.7|4711|");
    CHECK(joined(table.rows[1]) ==
          "77|2026-09-21 14:13:20|0|0|1|shop|jo|2026-09-21 14:13:26|2026-09-21 14:13:26||"
          "2 (1:03 before client disconnected)|3|0|1|601|1|Idle in transaction|1|10.0.0.7|4711|");
    CHECK(joined(table.rows[2]) ==
          "79|2026-09-21 14:13:20|0|0|0|shop|jo|2026-09-21 14:13:21|2026-09-21 14:13:25|"
          "2026-09-21 14:13:24|0|3|0|3|501|0|Wait for connection|0|[local]||");
    CHECK(joined(table.rows[3]) ==
          "0||0|0|0|shop|jo|2026-09-21 14:13:21|2026-09-21 14:13:25|2026-09-21 14:13:24|0|3|0|3|"
          "502|0|Wait for connection|0|||");
    CHECK(joined(table.rows[4]) == "0||0|1|0||||||0|0|0|0|0|0|Wait for connection|0|||");
    CHECK(joined(table.rows[5]) ==
          "0||0|0|1|shop|ann|2026-09-21 14:13:26|2026-09-21 14:13:26||0|3|0|1|601|0|"
          "Wait for connection|0|||");
    CHECK(table.rows[7][3] == "2");
    CHECK(table.rows[7][4] == "1");
}

TEST_CASE("Only the tables of sessions need a census")
{
    const core::node_counters counters;
    const core::pin_board pins;
    const admin::show_commands commands{counters, pins};
    const auto needs = [&](routing::statement_kind kind, const char* name) {
        routing::statement_facts statement;
        statement.kind = kind;
        statement.name = name;
        return commands.needs_census(statement);
    };
    CHECK(needs(routing::statement_kind::pool_show, "pool_processes"));
    CHECK(needs(routing::statement_kind::pool_show, "pool_pools"));
    CHECK_FALSE(needs(routing::statement_kind::pool_show, "pool_nodes"));
    CHECK_FALSE(needs(routing::statement_kind::pool_show, "pool_nosuch"));
    CHECK_FALSE(needs(routing::statement_kind::pgpool_show, "pool_processes"));
}

TEST_CASE("Commands without an answer yet are refused by name")
{
    const auto settings = settings_of("");
    const admin_source source{.view = a_view(), .settings = settings, .counters = {}};
    for (const std::string name : {"pool_health_check_stats"}) {
        const auto error = error_of(admin::show_pool(name, source));
        CHECK(error.sqlstate == "0A000");
        CHECK(error.message.find("SHOW " + name) != std::string::npos);
    }
    const auto error = error_of(admin::show_pool("pool_nope", source));
    CHECK(error.sqlstate == "42704");
    CHECK(error.message == "unrecognized configuration parameter \"pool_nope\"");
}

TEST_CASE("PGPOOL SHOW gives a column of the parameter's name, or three columns")
{
    const auto settings = settings_of("");
    const auto one = table_of(admin::show_parameters("authentication_timeout", settings));
    CHECK(joined(one.columns) == "authentication_timeout");
    REQUIRE(one.rows.size() == 1);
    CHECK(one.rows[0][0] == "1min");

    const auto indexed = table_of(admin::show_parameters("backend_port", settings));
    CHECK(joined(indexed.columns) == "item|value|description");
    REQUIRE(indexed.rows.size() == 2);
    CHECK(indexed.rows[1][0] == "backend_port1");
    CHECK(indexed.rows[1][1] == "5433");

    CHECK(table_of(admin::show_parameters("watchdog", settings)).rows.empty());
    const auto all = table_of(admin::show_parameters("all", settings));
    CHECK(value_of(all, "backend_hostname0") == "10.0.0.1");
    CHECK(value_of(all, "load_balance_mode") == "on");

    const auto unknown = error_of(admin::show_parameters("nope", settings));
    CHECK(unknown.severity == "ERROR");
    CHECK(unknown.message == "config variable \"nope\" not found");
    const auto too_high = error_of(admin::show_parameters("backend_port128", settings));
    CHECK(too_high.message == "invalid index 128 for configuration parameter \"backend_port\"");
    CHECK(too_high.detail == "allowed index is between 0 and 127");
}

TEST_CASE("A table goes out as row description, rows and command complete")
{
    result_table table{.columns = {"a", "b"}, .rows = {{"1", ""}, {"2", "two"}}, .tag = {}};
    protocol::message_buffer out;
    admin::encode(table, out);
    CHECK(types_of(out) == type_list{'T', 'D', 'D', 'C'});

    protocol::message_buffer expected;
    const std::vector<std::string> first{"1", ""};
    const std::vector<std::string> second{"2", "two"};
    expected.row_description({"a", "b"})
        .data_row(first)
        .data_row(second)
        .command_complete("SELECT 2");
    CHECK(std::ranges::equal(out.bytes(), expected.bytes()));

    out.clear();
    table.rows.clear();
    admin::encode(table, out);
    CHECK(types_of(out) == type_list{'T', 'C'});

    out.clear();
    admin::encode({.columns = {}, .rows = {}, .tag = "SET"}, out);
    expected.clear();
    expected.command_complete("SET");
    CHECK(std::ranges::equal(out.bytes(), expected.bytes()));
}

TEST_CASE("SHOW POOL_PINS prints who keeps its links, the oldest first")
{
    ::setenv("TZ", "UTC", 1);
    ::tzset();
    core::pin_board board;
    const std::chrono::system_clock::time_point start{};
    const auto add = [&](std::uint64_t session, const char* user, const char* why, int second) {
        board.add({0, session},
                  {user, "shop", "app", "[local](0)", why, start + std::chrono::seconds{second}});
    };
    add(1, "late", "LISTEN", 9);
    add(2, "early", "temporary tables", 1);
    add(3, "gone", "LOAD", 2);
    board.remove({0, 3});
    const auto pins = board.all();
    const auto settings = settings_of("");
    const auto answer = admin::show_pool(
        "pool_pins", {.view = a_view(), .settings = settings, .counters = {}, .pins = pins});
    const auto& table = std::get<admin::result_table>(answer);
    CHECK(table.columns == std::vector<std::string>{"username", "database", "application_name",
                                                    "client", "reason", "since"});
    REQUIRE(table.rows.size() == 2);
    CHECK(table.rows[0] == std::vector<std::string>{"early", "shop", "app", "[local](0)",
                                                    "temporary tables", "1970-01-01 00:00:01"});
    CHECK(table.rows[1][4] == "LISTEN");
}

TEST_CASE("A session's statement is answered by its kind")
{
    const core::node_counters counters;
    core::pin_board pins;
    const admin::show_commands commands{counters, pins};
    const auto settings = settings_of("");
    const ha::cluster_view_ptr view = a_view();
    protocol::message_buffer out;
    config::session_changes changes;
    routing::statement_facts statement;
    const auto ask = [&](routing::statement_kind kind, std::string name,
                         std::optional<std::string> value = std::nullopt) {
        statement.kind = kind;
        statement.name = std::move(name);
        statement.has_value = value.has_value();
        statement.value = value.value_or("");
        out.clear();
        const auto own = changes.over(settings);
        return commands.answer({.statement = statement,
                                .settings = own,
                                .configured = settings,
                                .changes = changes,
                                .view = view,
                                .balanced_node = 0},
                               out);
    };
    using enum routing::statement_kind;

    CHECK_FALSE(ask(pool_show, "pool_nodes"));
    CHECK(types_of(out) == type_list{'T', 'D', 'D', 'C'});
    CHECK_FALSE(ask(pgpool_show, "port"));
    CHECK(types_of(out) == type_list{'T', 'D', 'C'});

    SECTION("an error leaves the buffer as it was")
    {
        for (const auto kind : {pool_show, pgpool_show, pgpool_set, pgpool_reset, select}) {
            const auto error = ask(kind, "nope");
            REQUIRE(error);
            CHECK(error->severity == "ERROR");
            CHECK(error->sqlstate.size() == 5);
            CHECK(out.is_empty());
        }
        CHECK(ask(pgpool_set, "nosuch", "1")->sqlstate == "42704");
        CHECK(ask(pgpool_set, "port", "1")->sqlstate == "55P02");
        const auto bad_unit = ask(pgpool_set, "client_idle_limit", "5 parsecs");
        REQUIRE(bad_unit);
        CHECK(bad_unit->sqlstate == "22023");
        CHECK(bad_unit->hint.starts_with("Valid units for this parameter are"));
    }
    SECTION("PGPOOL SET changes what SHOW shows, until RESET")
    {
        CHECK_FALSE(ask(pgpool_set, "log_statement", "on"));
        CHECK(types_of(out) == type_list{'C'});
        CHECK(text_of(out).find("SET") != std::string::npos);
        CHECK_FALSE(ask(pgpool_show, "log_statement"));
        CHECK(text_of(out).find("on") != std::string::npos);
        CHECK_FALSE(ask(pgpool_reset, "log_statement"));
        CHECK(text_of(out).find("RESET") == std::string::npos);
        CHECK(changes.empty());
        CHECK_FALSE(ask(pgpool_set, "client_idle_limit", "5"));
        CHECK_FALSE(ask(pgpool_reset, "all"));
        CHECK(text_of(out).find("RESET") != std::string::npos);
        CHECK(changes.empty());
    }
}
