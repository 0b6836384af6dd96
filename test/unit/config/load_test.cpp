#include "config/load.hpp"

#include "config/parameter.hpp"

#include <catch2/catch.hpp>
#include <fmt/format.h>

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

using namespace pgtorii::config;
namespace fs = std::filesystem;

namespace {

std::string remarks(const load_outcome& outcome)
{
    std::string text;
    for (const auto& each : outcome.diagnostics) text += to_text(each) + '\n';
    return text;
}

/// The settings of a file that must load without a remark.
settings clean(std::string_view text)
{
    const auto outcome = load_text("pgpool.conf", text);
    INFO(text);
    INFO(remarks(outcome));
    CHECK(outcome.diagnostics.empty());
    return outcome.values;
}

/// A directory of files that lasts as long as the test.
class directory {
public:
    directory()
    {
        auto pattern = (fs::temp_directory_path() / "pgtorii_config_XXXXXX").string();
        REQUIRE(::mkdtemp(pattern.data()) != nullptr);
        path_ = pattern;
    }
    ~directory() { fs::remove_all(path_); }
    directory(const directory&) = delete;
    directory& operator=(const directory&) = delete;

    std::string write(const std::string& name, std::string_view text) const
    {
        const auto file = path_ / name;
        fs::create_directories(file.parent_path());
        std::ofstream(file) << text;
        return file.string();
    }

private:
    fs::path path_;
};

}  // namespace

TEST_CASE("What Pgpool-II reads is read with the same meaning")
{
    CHECK(clean("").port == 9999);
    CHECK(clean("\n\n  \n# nothing\n").port == 9999);
    CHECK(clean("port = 5555\n").port == 5555);
    CHECK(clean("port 5555").port == 5555);
    CHECK(clean("port=5555# comment").port == 5555);
    CHECK(clean("port = '5555'").port == 5555);
    CHECK(clean("port = ' 5555 '").port == 5555);
    CHECK(clean("port = 012613").port == 5515);
    CHECK(clean("\tport\t=\t5555\r\nmax_pool = 7\r\n").max_pool == 7);
    CHECK(clean("port = 5555\nport = 5556").port == 5556);
    CHECK(clean("ssl = ye").ssl);
    CHECK(clean("ssl = 1").ssl);
    CHECK_FALSE(clean("load_balance_mode = OF").load_balance_mode);
    CHECK(clean("authentication_timeout = 2min").authentication_timeout.count() == 120);
    CHECK(clean("authentication_timeout = '2 min'").authentication_timeout.count() == 120);
    CHECK(clean("authentication_timeout = '1.5min'").authentication_timeout.count() == 90);
    CHECK(clean("memqcache_total_size = 128MB").memqcache_total_size == 128LL << 20);
    CHECK(clean("syslog_ident = 'a # b'").syslog_ident == "a # b");
    CHECK(clean("syslog_ident = 'it''s'").syslog_ident == "it's");
    CHECK(clean("syslog_ident = 'it\\'s'").syslog_ident == "it\\'s");
    CHECK(clean("syslog_ident = pgpool-2.x:y/z").syslog_ident == "pgpool-2.x:y/z");
    CHECK(clean("log_line_prefix = ''").log_line_prefix.empty());
    CHECK(clean("listen_addresses = '*'").listen_addresses.items == std::vector<std::string>{"*"});
    CHECK(clean("log_error_verbosity = verbose").log_error_verbosity == verbosity::verbose);
    CHECK(clean("log_destination = 'stderr, syslog'").log_destination.size() == 2);
    CHECK(clean("port = 5555 # last line has no newline").port == 5555);
    const auto two = clean("port = 5555 max_pool = 9 # two on a line\n");
    CHECK(two.port == 5555);
    CHECK(two.max_pool == 9);
    CHECK(clean("port 5555 max_pool 9").max_pool == 9);
}

TEST_CASE("Backends are what has a port")
{
    SECTION("holes and the order of lines are free")
    {
        const auto values = clean("backend_port2 = 5434\nbackend_hostname2 = 'c'\n"
                                  "backend_hostname00 = 'a'\nbackend_port0 = 5432\n"
                                  "backend_weight0 = 0.5\nbackend_flag2 = 'DISALLOW_TO_FAILOVER'");
        REQUIRE(values.backends.size() == 3);
        CHECK(values.backends[0].configured);
        CHECK(values.backends[0].backend_hostname == "a");
        CHECK(values.backends[0].backend_weight == 0.5);
        CHECK_FALSE(values.backends[1].configured);
        CHECK(values.backends[2].backend_hostname == "c");
        CHECK(values.backends[2].backend_weight == 0);  // not 1
        CHECK_FALSE(values.backends[2].backend_flag.allow_to_failover);
    }
    SECTION("an empty host name is the socket directory")
    {
        CHECK(clean("backend_port0 = 5432").backends[0].backend_hostname == "/var/run/postgresql");
    }
    SECTION("one without a port is not there, and that is said")
    {
        const auto outcome = load_text("f", "backend_hostname1 = 'b'\nbackend_port0 = 5432");
        CHECK(outcome.values.backends.size() == 1);
        CHECK(remarks(outcome) == "f:1: warning: backend 1 does not exist: it has no port; "
                                  "hint: Set backend_port1 too.\n");
    }
    SECTION("values of other members alone make none")
    {
        CHECK(clean("backend_weight5 = 1\nhostname0 = ''\nheartbeat_device3 = 'eth0'")
                  .backends.empty());
    }
}

TEST_CASE("Health checks of a node are its own values, else those without index")
{
    const auto values = clean("health_check_period1 = 1min\nhealth_check_period = 5\n"
                              "health_check_user = 'u'\nhealth_check_user0 = ''\n"
                              "connect_timeout1 = 3s\nhealth_check_max_retries = 3\n"
                              "backend_port0 = 5432\nbackend_port1 = 5433\n");
    CHECK(values.backends[0].health_check_period.count() == 5);
    CHECK(values.backends[1].health_check_period.count() == 60);
    CHECK(values.backends[0].health_check_user.empty());
    CHECK(values.backends[1].health_check_user == "u");
    CHECK(values.backends[0].connect_timeout.count() == 10000);
    CHECK(values.backends[1].connect_timeout.count() == 3000);
    CHECK(values.backends[0].health_check_timeout.count() == 20);
    CHECK(values.backends[1].health_check_database == "postgres");
    CHECK(values.backends[1].health_check_max_retries == 3);
}

TEST_CASE("Watchdog nodes and heartbeats are what has a port")
{
    const auto values = clean("wd_port1 = 9000\nhostname1 = 'w1'\npgpool_port1 = 9999\n"
                              "heartbeat_port0 = 9694\nheartbeat_hostname0 = 'a;b'\n"
                              "heartbeat_device0 = ''\nhostname7 = 'x'");
    REQUIRE(values.watchdog_nodes.size() == 2);
    CHECK_FALSE(values.watchdog_nodes[0].configured);
    CHECK(values.watchdog_nodes[0].hostname == "localhost");
    CHECK(values.watchdog_nodes[1].hostname == "w1");
    CHECK(values.watchdog_nodes[1].pgpool_port == 9999);
    REQUIRE(values.heartbeats.size() == 1);
    CHECK(values.heartbeats[0].heartbeat_hostname.items == std::vector<std::string>{"a", "b"});
}

TEST_CASE("What Pgpool-II misreads in silence is an error with its place and a way out")
{
    const struct {
        const char* text;
        const char* expected;  // what the remark must hold
    } cases[] = {
        // Values
        {"ssl = maybe",
         "f:1: error: invalid value for parameter \"ssl\": \"maybe\"; hint: Write on"},
        {"\n\nssl = 2", "f:3: error: invalid value"},
        {"ssl = ''", "\"ssl\": \"\""},
        {"ssl = o", "Write on or off"},
        {"max_pool = 08", "\"max_pool\": \"08\""},
        {"max_pool = 5x", "whole number"},
        {"port = 80", "80 is outside the valid range for parameter \"port\" (1024 .. 65535)"},
        {"authentication_timeout = 5MIN", "Valid units"},
        {"authentication_timeout = '5 parsecs'", "Valid units"},
        {"health_check_period = 5s", "takes no unit"},
        {"unix_socket_permissions = 777", "leading zero"},
        {"backend_weight0 = 'half'", "\"backend_weight0\": \"half\"; hint: Write a number"},
        {"backend_weight0 = '1 2'", "error: invalid value"},
        {"memqcache_method = disk", "Available values: shmem, memcached."},
        {"log_destination = 'stderr,Syslog'", "\"Syslog\" is not known"},
        {"backend_flag0 = 'allow_to_failover'", "is no flag"},
        {"backend_flag0 = 'ALLOW_TO_FAILOVER|DISALLOW_TO_FAILOVER'", "exclude each other"},
        {"write_function_list = 'good,ba(d'", "\"ba(d\" is no regular expression"},
        {"primary_routing_query_pattern_list = '['", "is no regular expression"},
        {"database_redirect_preference_list = 'a'", "has no colon"},
        {"user_redirect_preference_list = 'a:PRIMARY'", "\"PRIMARY\" is no node"},
        {"app_name_redirect_preference_list = 'a:1(half)'", "\"half\" is no ratio"},
        // Quoting
        {"work_dir = /tmp", "\"/\" can't begin the value of \"work_dir\"; hint: Put the value in "
                            "single quotes: work_dir = '/tmp'."},
        {"work_dir = /tmp # x", "work_dir = '/tmp'."},
        {"listen_addresses = *,localhost", "listen_addresses = '*,localhost'."},
        {"work_dir = \"x y\"", "work_dir = 'x y'."},
        {"authentication_timeout = 2 min", "unexpected \"min\" behind the value of "
                                           "\"authentication_timeout\"; hint: Put the value in "
                                           "single quotes: authentication_timeout = '2 min'."},
        {"authentication_timeout = 1.5min", "= '1.5min'."},
        {"listen_addresses = 127.0.0.1", "= '127.0.0.1'."},
        {"max_pool = 1e1", "= '1e1'."},
        {"syslog_ident = a,b", "= 'a,b'."},
        {"syslog_ident = 'a' b", "Nothing but a comment"},
        {"syslog_ident = 'a' 'b'", "Nothing but a comment"},
        {"syslog_ident = 'a", "no closing quote"},
        {"syslog_ident = '", "no closing quote"},
        {"port =\nmax_pool = 3", "f:1: error: \"port\" has no value"},
        {"port", "\"port\" has no value"},
        {"port = # 5555", "\"port\" has no value"},
        {"port = = 5555", "\"=\" can't begin"},
        // Grammar
        {"9x = 1", "f:1: error: syntax error at \"9x = 1\"; hint: A line is: name = value."},
        {"port: 5555", "syntax error at \"port: 5555\""},
        {"= 5", "syntax error"},
        {"'port' = 5", "syntax error"},
        {"\xef\xbb\xbfport = 5555", "byte order mark"},
        // Indexed names
        {"backend_port128 = 5432",
         "invalid index 128 for configuration parameter \"backend_port\"; "
         "hint: The index is between 0 and 127."},
        {"heartbeat_port256 = 9694", "between 0 and 255"},
        {"backend_port99999999999999999999999 = 5432", "invalid index"},
        {"hostname_x = 'a'", "invalid index value for parameter \"hostname_x\""},
        {"backend_weightx = 1", "A number stands behind backend_weight: backend_weight0"},
        {"wd_port = 9000", "A number stands behind wd_port: wd_port0, wd_port1 and so on."},
        {"backend_port = 5432", "backend_port0"},
        {"backend_port-1 = 5432", "syntax error"},
    };
    for (const auto& each : cases) {
        INFO(each.text);
        const auto outcome = load_text("f", each.text);
        INFO(remarks(outcome));
        CHECK(outcome.has_errors());
        CHECK(remarks(outcome).find(each.expected) != std::string::npos);
    }
}

TEST_CASE("A lone star is what its writer meant, with a warning")
{
    for (const auto* text : {"listen_addresses = *", "listen_addresses = * # all",
                             "listen_addresses *\nport = 5555"}) {
        const auto outcome = load_text("f", text);
        INFO(remarks(outcome));
        CHECK_FALSE(outcome.has_errors());
        CHECK(outcome.diagnostics.size() == 1);
        CHECK(outcome.values.listen_addresses.items == std::vector<std::string>{"*"});
    }
}

TEST_CASE("A zero byte in a file is an error")
{
    CHECK(load_text("f", std::string_view("port = 5555\n\0", 13)).has_errors());
    CHECK(load_text("f", std::string_view("work_dir = 'a\0b'", 16)).has_errors());
    CHECK(load_text("f", std::string_view("work_dir = \0", 12)).has_errors());
}

TEST_CASE("All errors of a file are found, and their number is bounded")
{
    const auto outcome =
        load_text("f", "ssl = maybe\n9x\nport = 80\nwork_dir = /tmp\nmax_pool = 3");
    CHECK(outcome.diagnostics.size() == 4);
    CHECK(outcome.values.max_pool == 3);

    std::string many;
    for (int i = 0; i < 100'000; ++i) many += "9x\n";
    CHECK(load_text("f", many).diagnostics.size() < 110);
    many.clear();
    for (int i = 0; i < 100'000; ++i) many += fmt::format("unknown{}_parameter = 1\n", i);
    const auto unknown = load_text("f", many);
    CHECK(unknown.diagnostics.size() < 110);
    CHECK(unknown.has_errors());  // the rest was not read
    many.clear();
    for (int i = 0; i < 100'001; ++i) many += "port 5555\n";
    CHECK(load_text("f", many).has_errors());
}

TEST_CASE("Unknown names are warnings with the nearest name")
{
    const struct {
        const char* text;
        const char* hint;
    } cases[] = {
        {"prot = 1", "Perhaps you meant \"port\"."},
        {"MAX_POOL = 1", "Perhaps you meant \"max_pool\"."},
        {"num_init_childern = 5", "Perhaps you meant \"num_init_children\"."},
        {"backed_hostname1 = 'x'", "Perhaps you meant \"backend_hostname1\"."},
        {"backend_hostnme = 'x'", "Perhaps you meant \"backend_hostname0\"."},
        {"worker_thread = 3", "Perhaps you meant \"worker_threads\"."},
        {"white_function_list = 'x'", "It is called read_only_function_list now."},
        {"follow_master_command = ''", "It is called follow_primary_command now."},
        {"master_slave_mode = on", "It is called backend_clustering_mode now."},
        {"wd_hostname = 'x'", "It is called hostname0, hostname1 ... now."},
        {"other_pgpool_hostname0 = 'x'", "It is called hostname0, hostname1 ... now."},
        {"other_wd_port12 = 9000", "It is called wd_port0, wd_port1 ... now."},
        {"heartbeat_destination0 = 'x'",
         "It is called heartbeat_hostname0, heartbeat_hostname1 ... now."},
        {"include_dir = 'x'", ""},
        {"completely_different_thing = 'x'", ""},
    };
    for (const auto& each : cases) {
        INFO(each.text);
        const auto outcome = load_text("f", each.text);
        REQUIRE(outcome.diagnostics.size() == 1);
        CHECK(outcome.diagnostics[0].level == severity::warning);
        CHECK(outcome.diagnostics[0].message.starts_with("unknown parameter \""));
        CHECK(outcome.diagnostics[0].hint == each.hint);
    }
}

TEST_CASE("A long unknown name costs little and is cut in the message")
{
    const auto outcome = load_text("f", std::string(1'000'000, 'a') + " = 1");
    REQUIRE(outcome.diagnostics.size() == 1);
    CHECK(outcome.diagnostics[0].message.size() < 200);
}

TEST_CASE("Old names set their successors, with a warning; the later line wins")
{
    const auto loaded = [](const char* text) {
        const auto outcome = load_text("f", text);
        CHECK_FALSE(outcome.has_errors());
        CHECK(outcome.diagnostics.size() == 1);
        return outcome.values;
    };
    CHECK_FALSE(loaded("fail_over_on_backend_error = off").failover_on_backend_error);
    CHECK(loaded("delegate_IP = '1.2.3.4'").delegate_ip == "1.2.3.4");
    CHECK(loaded("delegate_IP = 'a'\ndelegate_ip = 'b'").delegate_ip == "b");
    CHECK(loaded("delegate_ip = 'b'\ndelegate_IP = 'a'").delegate_ip == "a");
    CHECK(loaded("logdir = '/x'").work_dir == "/x");
    CHECK(loaded("logdir = ''").work_dir == "/var/log/postgresql");
    CHECK(loaded("socket_dir = '/x'").unix_socket_directories.items ==
          std::vector<std::string>{"/x"});
    CHECK(loaded("wd_initial_node_showup_time = 5").wd_no_show_node_removal_timeout.count() == 5);
    CHECK(remarks(load_text("f", "logdir = '/x'")) ==
          "f:1: warning: \"logdir\" is an old name of \"work_dir\"; hint: Write work_dir.\n");
}

TEST_CASE("Parameters without effect say what takes their place, unless they have the default")
{
    CHECK(clean("child_life_time = 5min\nserialize_accept = off").child_life_time.count() == 300);
    const auto outcome = load_text("f", "port = 5555\nchild_life_time = 10min");
    REQUIRE(outcome.diagnostics.size() == 1);
    CHECK(remarks(outcome) == "f:2: notice: \"child_life_time\" has no effect: one process serves "
                              "all clients, and needs no recycling\n");
    CHECK(outcome.values.child_life_time.count() == 600);
    for (const auto* text :
         {"serialize_accept = on", "child_max_connections = 5", "process_management_mode = dynamic",
          "process_management_strategy = lazy", "max_spare_children = 11", "min_spare_children = 4",
          "insert_lock = off", "replicate_select = on", "lobj_lock_table = 't'"}) {
        INFO(text);
        const auto each = load_text("f", text);
        REQUIRE(each.diagnostics.size() == 1);
        CHECK(each.diagnostics[0].level == severity::notice);
    }
}

TEST_CASE("Parameters are checked against each other")
{
    const struct {
        const char* text;
        severity level;
        const char* expected;
    } cases[] = {
        {"backend_clustering_mode = native_replication", severity::error,
         "f:1: error: backend_clust"},
        {"backend_clustering_mode = 'snapshot_isolation'", severity::error,
         "streaming_replication"},
        {"backend_clustering_mode = slony", severity::warning, "logical_replication"},
        {"replication_mode = on", severity::error, "failover_when_quorum_exists"},
        {"failover_when_quorum_exists = off\nreplication_mode = on", severity::warning, "f:2: "},
        {"use_watchdog = on", severity::error, "no wd_port is set"},
        {"heartbeat_port0 = 9694", severity::warning, "heartbeat_hostname0"},
        {"heartbeat_port1 = 9694\nuse_watchdog = on\nwd_port0 = 9000", severity::error,
         "f:1: error: heartbeat_port1 is set, but heartbeat_hostname1 is not"},
        {"recovery_1st_stage_command = 'x'\nbackend_port0 = 5432\nbackend_data_directory0 = '/d'\n"
         "backend_port1 = 5433",
         severity::error,
         "f:1: error: recovery_1st_stage_command is set, but backend_data_directory1 is not"},
        {"process_management_mode = dynamic\nmax_spare_children = 5", severity::error, "ascend"},
        {"process_management_mode = dynamic\nmax_spare_children = 33", severity::error, "ascend"},
        {"memqcache_maxcache = 2MB", severity::error, "memqcache_cache_block_size (1048576 bytes)"},
        {"memqcache_total_size = 1kB", severity::error, "memqcache_total_size (1024 bytes)"},
    };
    for (const auto& each : cases) {
        INFO(each.text);
        const auto outcome = load_text("f", each.text);
        INFO(remarks(outcome));
        bool is_there = false;
        for (const auto& remark : outcome.diagnostics)
            is_there |= remark.level == each.level &&
                        to_text(remark).find(each.expected) != std::string::npos;
        CHECK(is_there);
        CHECK(outcome.has_errors() == (each.level == severity::error));
    }
    clean("heartbeat_port0 = 9694\nwd_lifecheck_method = query");
    clean("memqcache_maxcache = 2MB\nmemqcache_method = memcached");
    clean("memqcache_maxcache = 2MB\nenable_shared_relcache = off");
    clean("recovery_1st_stage_command = 'x'\nbackend_port0 = 5432\nbackend_data_directory0 = '/d'");
}

TEST_CASE("Files are included in place, relative to the including one")
{
    const directory files;
    files.write("conf.d/a.conf", "port = 5556\ninclude b.conf\n");
    files.write("conf.d/b.conf", "max_pool = 7");
    SECTION("later lines override, and the rest of the line is read")
    {
        const auto path = files.write(
            "main.conf", "port = 5555\ninclude 'conf.d/a.conf' syslog_ident = 'x'\nmax_pool = 8\n");
        const auto outcome = load_file(path);
        INFO(remarks(outcome));
        CHECK(outcome.diagnostics.empty());
        CHECK(outcome.values.port == 5556);
        CHECK(outcome.values.max_pool == 8);
        CHECK(outcome.values.syslog_ident == "x");
    }
    SECTION("an equals sign and an absolute path are fine; errors name the included file")
    {
        const auto bad = files.write("bad.conf", "\nssl = maybe");
        const auto path = files.write("main.conf", "include = '" + bad + "'");
        CHECK(remarks(load_file(path)).find("bad.conf:2: error: invalid value") !=
              std::string::npos);
    }
    SECTION("a missing file or a directory is an error of the including file")
    {
        const auto missing =
            load_file(files.write("main.conf", "port = 5555\ninclude 'none.conf'"));
        CHECK(remarks(missing).find("main.conf:2: error: could not open included file") !=
              std::string::npos);
        CHECK(load_file(files.write("main.conf", "include 'conf.d'")).has_errors());
        CHECK(load_file(files.write("main.conf", "include 'conf.d/*.conf'")).has_errors());
    }
    SECTION("ten levels are read, not eleven")
    {
        for (int level = 1; level <= 10; ++level)
            files.write(fmt::format("{}.conf", level),
                        level < 10 ? fmt::format("include '{}.conf'", level + 1) : "port = 5557");
        CHECK(load_file(files.write("main.conf", "include '1.conf'")).values.port == 5557);
        files.write("10.conf", "include '11.conf'");
        files.write("11.conf", "port = 5558");
        const auto deep = load_file(files.write("main.conf", "include '1.conf'"));
        CHECK(deep.has_errors());
        CHECK(remarks(deep).find("maximum nesting depth") != std::string::npos);
    }
    SECTION("a file that includes itself, many times, ends")
    {
        const auto self =
            load_file(files.write("main.conf", "include main.conf\ninclude main.conf"));
        CHECK(self.has_errors());
        CHECK(self.diagnostics.size() == 1);
        std::string many;
        for (int i = 0; i < 2'000; ++i) many += "include empty.conf\n";
        files.write("empty.conf", "");
        CHECK(load_file(files.write("main.conf", many)).has_errors());
    }
}

TEST_CASE("A missing main file is a warning and gives the defaults; an unreadable one is an error")
{
    const directory files;
    const auto missing = load_file("/nonexistent/pgpool.conf");
    CHECK_FALSE(missing.has_errors());
    REQUIRE(missing.diagnostics.size() == 1);
    CHECK(to_text(missing.diagnostics[0]) ==
          "/nonexistent/pgpool.conf: warning: could not open configuration file "
          "\"/nonexistent/pgpool.conf\": No such file or directory");
    CHECK(missing.values.port == 9999);

    files.write("dir/x", "");
    const auto path = files.write("x", "");
    CHECK(load_file(fs::path(path).parent_path().string()).has_errors());
    CHECK(load_file(path).diagnostics.empty());
    CHECK(load_file(files.write("big", std::string((16 << 20) + 1, '#'))).has_errors());
}

TEST_CASE("The report for --check-config counts, and fails on errors alone")
{
    const auto good = report_of(load_text("f", "prot = 1\nchild_life_time = 1"), "f");
    CHECK(good.exit_status == 0);
    CHECK(good.text.ends_with("f: 0 errors, 1 warnings, 1 notices\n"));
    const auto bad = report_of(load_text("f", "ssl = maybe"), "f");
    CHECK(bad.exit_status == 1);
    CHECK(bad.text.starts_with("f:1: error: "));
}

TEST_CASE("Messages never carry control characters of a file to a terminal")
{
    const auto text = remarks(load_text("f", "work_dir = \x1b]0;x\nssl = '\x1b[31m\x07'\n\x1b[1m"));
    CHECK(text.find('\x1b') == std::string::npos);
    CHECK(text.find('\x07') == std::string::npos);
    CHECK(text.find("\\x1b") != std::string::npos);
}

TEST_CASE("The files of Debian's package load unchanged")
{
    if (!fs::exists("/usr/sbin/pgpool")) return;  // the package is not installed
    for (const auto* path :
         {"/usr/share/pgpool2/pgpool.conf", "/usr/share/doc/pgpool2/examples/pgpool.conf.sample"}) {
        // Minimal systems leave out documentation.
        if (std::string_view(path).starts_with("/usr/share/doc") && !fs::exists(path)) continue;
        const auto outcome = load_file(path);
        INFO(remarks(outcome));
        CHECK(outcome.diagnostics.empty());
        CHECK(outcome.values.port == 9999);

        // The same with every setting that the sample has commented out.
        std::ifstream in(path);
        std::string all;
        int count = 0;
        for (std::string line; std::getline(in, line);) {
            const bool is_setting = line.size() > 1 && line[0] == '#' && std::islower(line[1]) &&
                                    line.find(" = ") != std::string::npos;
            all += (is_setting ? line.substr(1) : line) + '\n';
            count += is_setting ? 1 : 0;
        }
        CHECK(count > 150);
        const auto uncommented = load_text("f", all);
        INFO(remarks(uncommented));
        CHECK_FALSE(uncommented.has_errors());
        CHECK(uncommented.values.backends.size() >= 1);
    }
}
