#include "config/parameter.hpp"

#include <catch2/catch.hpp>

#include <cmath>

using namespace pgtorii::config;

namespace {

struct number_case {
    const char* name;
    const char* text;
    const char* expected;  // as a plain number; null: refused
};

std::string plain(const value& got)
{
    if (const auto* flag = std::get_if<bool>(&got)) return *flag ? "on" : "off";
    if (const auto* whole = std::get_if<std::int64_t>(&got)) return std::to_string(*whole);
    if (const auto* real = std::get_if<double>(&got)) return std::to_string(*real);
    return std::get<std::string>(got);
}

const parameter& row_of(const std::string& name)
{
    const auto* row = find_plain(name) != nullptr ? find_plain(name) : find_indexed(name);
    REQUIRE(row != nullptr);
    return *row;
}

problem failure_of(const char* name, const char* text)
{
    const auto parsed = parse_value(row_of(name), name, text);
    REQUIRE_FALSE(parsed.has_value());
    return parsed.error();
}

}  // namespace

TEST_CASE("Booleans are words or their beginnings, in any case, and nothing else")
{
    for (const auto* text : {"on", "ON", "true", "t", "tr", "TRUE", "y", "ye", "yes", "Yes", "1"}) {
        INFO(text);
        const auto parsed = parse_value(row_of("ssl"), "ssl", text);
        REQUIRE(parsed.has_value());
        CHECK(std::get<bool>(*parsed));
    }
    for (const auto* text : {"off", "of", "OFF", "false", "f", "fal", "n", "no", "No", "0"}) {
        INFO(text);
        const auto parsed = parse_value(row_of("ssl"), "ssl", text);
        REQUIRE(parsed.has_value());
        CHECK_FALSE(std::get<bool>(*parsed));
    }
    for (const auto* text :
         {"maybe", "2", "10", "o", "", " on", "on ", "onn", "yess", "01", "+1"}) {
        INFO(text);
        const auto failure = failure_of("ssl", text);
        CHECK(failure.message ==
              "invalid value for parameter \"ssl\": \"" + std::string(text) + "\"");
        CHECK(failure.hint == "Write on or off.");
    }
}

TEST_CASE("Integers are read as Pgpool-II reads them, and junk is refused")
{
    const number_case cases[] = {
        // C's bases
        {"max_pool", "10", "10"},
        {"max_pool", "010", "8"},
        {"max_pool", "0x10", "16"},
        {"max_pool", "0X1f", "31"},
        {"max_pool", "+7", "7"},
        {"max_pool", " 7 ", "7"},
        {"max_pool", "\t7", "7"},
        {"max_pool", "08", nullptr},
        {"max_pool", "0x", nullptr},
        {"max_pool", "", nullptr},
        {"max_pool", " ", nullptr},
        {"max_pool", "seven", nullptr},
        {"max_pool", "7x", nullptr},
        {"max_pool", "7 7", nullptr},
        {"max_pool", "--7", nullptr},
        {"max_pool", "- 7", nullptr},
        {"max_pool", "1,000", nullptr},
        {"max_pool", "7s", nullptr},
        // Rounding is half to even.
        {"max_pool", "2.6", "3"},
        {"max_pool", "2.5", "2"},
        {"max_pool", "3.5", "4"},
        {"max_pool", ".6", "1"},
        {"max_pool", "1e1", "10"},
        {"max_pool", "1E1", "10"},
        {"max_pool", "1e", nullptr},
        {"max_pool", "inf", nullptr},
        {"max_pool", "nan", nullptr},
        // Range
        {"max_pool", "2147483647", "2147483647"},
        {"max_pool", "2147483648", nullptr},
        {"max_pool", "-1", nullptr},
        {"max_pool", "-0.4", "0"},
        {"max_pool", "99999999999999999999999999", nullptr},
        {"max_pool", "1e400", nullptr},
        {"max_pool", "1e99999", nullptr},
        {"port", "1023", nullptr},
        {"port", "1024", "1024"},
        {"port", "65535", "65535"},
        {"port", "65536", nullptr},
        {"client_idle_limit_in_recovery", "-1", "-1"},
        {"client_idle_limit_in_recovery", "-2", nullptr},
        {"delay_threshold", "9223372036854775807", "9223372036854775807"},
        {"delay_threshold", "9223372036854775808", nullptr},
        {"delay_threshold", "0x7fffffffffffffff", "9223372036854775807"},
        {"relcache_expire", "9223372036854775807", "9223372036854775807"},
        // Octal modes need the leading zero.
        {"unix_socket_permissions", "0777", "511"},
        {"unix_socket_permissions", "0700", "448"},
        {"unix_socket_permissions", "511", "511"},
        {"unix_socket_permissions", "777", nullptr},
        {"log_file_mode", "0600", "384"},
        // Times
        {"authentication_timeout", "30", "30"},
        {"authentication_timeout", "30s", "30"},
        {"authentication_timeout", "2min", "120"},
        {"authentication_timeout", "2 min", "120"},
        {"authentication_timeout", " 2 min ", "120"},
        {"authentication_timeout", "1.5min", "90"},
        {"authentication_timeout", "1h", "3600"},
        {"authentication_timeout", "1d", "86400"},
        {"authentication_timeout", "1499ms", "1"},
        {"authentication_timeout", "1500ms", "2"},
        {"authentication_timeout", "2500ms", "2"},
        {"authentication_timeout", "500000us", "0"},
        {"authentication_timeout", "2MIN", nullptr},
        {"authentication_timeout", "2m", nullptr},
        {"authentication_timeout", "2 min 3", nullptr},
        {"authentication_timeout", "min", nullptr},
        {"authentication_timeout", "2kB", nullptr},
        {"authentication_timeout", "24856d", nullptr},
        {"delay_threshold_by_time", "2s", "2000"},
        {"delay_threshold_by_time", "2", "2"},
        {"log_rotation_age", "1d", "1440"},
        {"log_rotation_age", "90s", "2"},
        // Sizes
        {"memqcache_maxcache", "400kB", "409600"},
        {"memqcache_maxcache", "1MB", "1048576"},
        {"memqcache_maxcache", "512B", "512"},
        {"memqcache_maxcache", "0.5kB", "512"},
        {"memqcache_maxcache", "1KB", nullptr},
        {"memqcache_maxcache", "1mb", nullptr},
        {"memqcache_maxcache", "2GB", nullptr},
        {"memqcache_total_size", "1TB", "1099511627776"},
        {"memqcache_total_size", "8388607TB", "9223370937343148032"},
        {"memqcache_total_size", "8388608TB", nullptr},
        {"log_rotation_size", "10MB", "10240"},
        {"log_rotation_size", "512B", "0"},
        {"log_rotation_size", "2GB", nullptr},
        // Those that take no unit, and their indexed forms that do
        {"health_check_period", "5", "5"},
        {"replication_delay_source_timeout", "10", "10"},
        {"replication_delay_source_timeout", "10s", nullptr},
        {"replication_delay_source_timeout", "0", nullptr},
        // Ours
        {"analyze_bytes_max", "1kB", "1024"},
        {"analyze_bytes_max", "1023", nullptr},
        {"analyze_bytes_max", "17MB", nullptr},
    };
    for (const auto& each : cases) {
        INFO(each.name << " = '" << each.text << "'");
        const auto parsed = parse_value(row_of(each.name), each.name, each.text);
        CHECK(parsed.has_value() == (each.expected != nullptr));
        if (parsed && each.expected) CHECK(plain(*parsed) == each.expected);
    }
}

TEST_CASE("The unindexed health check parameters refuse suffixes, the indexed ones take them")
{
    for (const auto* name : {"health_check_period", "health_check_timeout",
                             "health_check_retry_delay", "connect_timeout"}) {
        INFO(name);
        CHECK_FALSE(parse_value(*find_plain(name), name, "5s").has_value());
        CHECK(parse_value(*find_plain(name), name, "5").has_value());
        CHECK(parse_value(*find_indexed(name), name, "5s").has_value());
    }
    CHECK(std::get<std::int64_t>(*parse_value(*find_indexed("connect_timeout"), "", "5s")) == 5000);
}

TEST_CASE("What is wrong with a number is said in Pgpool-II's words")
{
    CHECK(failure_of("client_idle_limit", "-5").message ==
          "-5 is outside the valid range for parameter \"client_idle_limit\" (0 .. 2147483647)");
    const auto junk = failure_of("client_idle_limit", "abc");
    CHECK(junk.message == "invalid value for parameter \"client_idle_limit\": \"abc\"");
    CHECK(failure_of("client_idle_limit", "5x").hint ==
          "Valid units for this parameter are \"us\", \"ms\", \"s\", \"min\", \"h\", and \"d\".");
    CHECK(failure_of("memqcache_maxcache", "5x").hint ==
          "Valid units for this parameter are \"B\", \"kB\", \"MB\", \"GB\", and \"TB\".");
    CHECK(failure_of("health_check_period", "5s").hint ==
          "Write a plain number of seconds: this parameter takes no unit.");
    CHECK(failure_of("max_pool", "5x").hint ==
          "Write a whole number from 0 to 2147483647 without a unit.");
    CHECK(failure_of("unix_socket_permissions", "777").hint ==
          "Write it with a leading zero, in octal: 0 to 0777.");
}

TEST_CASE("Reals are numbers, whole")
{
    const number_case cases[] = {
        {"backend_weight", "1", "1.000000"},
        {"backend_weight", "0.5", "0.500000"},
        {"backend_weight", "1e2", "100.000000"},
        {"backend_weight", " 2 ", "2.000000"},
        {"backend_weight", "100000000", "100000000.000000"},
        {"backend_weight", "100000001", nullptr},
        {"backend_weight", "-1", nullptr},
        {"backend_weight", "one", nullptr},
        {"backend_weight", "", nullptr},
        {"backend_weight", "1x", nullptr},
        {"backend_weight", "nan", nullptr},
        {"backend_weight", "inf", nullptr},
        {"backend_weight", "1,5", nullptr},
        {"track_table_mutation_ttl_factor", "0.5", nullptr},
    };
    for (const auto& each : cases) {
        INFO(each.name << " = '" << each.text << "'");
        const auto parsed = parse_value(row_of(each.name), each.name, each.text);
        CHECK(parsed.has_value() == (each.expected != nullptr));
        if (parsed && each.expected) CHECK(plain(*parsed) == each.expected);
    }
}

TEST_CASE("Words of enumerations have any case, no blanks, and aliases")
{
    const auto shown = [](const char* name, const char* text) {
        const auto parsed = parse_value(row_of(name), name, text);
        return parsed ? to_text(row_of(name), *parsed) : "refused";
    };
    CHECK(shown("log_min_messages", "debug2") == "debug");
    CHECK(shown("log_min_messages", "DEBUG") == "debug");
    CHECK(shown("log_min_messages", "Log") == "log");
    CHECK(shown("log_min_messages", " log") == "refused");
    CHECK(shown("check_temp_table", "on") == "catalog");
    CHECK(shown("check_temp_table", "off") == "none");
    CHECK(shown("backend_clustering_mode", "slony") == "logical_replication");
    CHECK(shown("syslog_facility", "local3") == "LOCAL3");
    CHECK(shown("log_error_verbosity", "default") == "default");
    CHECK(failure_of("memqcache_method", "disk").hint == "Available values: shmem, memcached.");
}

TEST_CASE("Integers with a unit are shown in the largest unit that divides them")
{
    const struct {
        const char* name;
        std::int64_t native;
        const char* expected;
    } cases[] = {
        {"authentication_timeout", 90, "90s"},
        {"authentication_timeout", 120, "2min"},
        {"authentication_timeout", 3600, "1h"},
        {"authentication_timeout", 86400, "1d"},
        {"authentication_timeout", 0, "0"},
        {"client_idle_limit_in_recovery", -1, "-1"},
        {"delay_threshold_by_time", 1500, "1500ms"},
        {"delay_threshold_by_time", 2000, "2s"},
        {"log_rotation_age", 1440, "1d"},
        {"log_rotation_age", 90, "90min"},
        {"log_rotation_size", 10240, "10MB"},
        {"log_rotation_size", 1, "1kB"},
        {"memqcache_maxcache", 409600, "400kB"},
        {"memqcache_maxcache", 1000, "1000B"},
        {"memqcache_total_size", 67108864, "64MB"},
        {"health_check_period", 120, "120"},
        {"connect_timeout", 10000, "10000"},
        {"unix_socket_permissions", 511, "0777"},
        {"unix_socket_permissions", 0, "0000"},
        {"log_file_mode", 384, "384"},
    };
    for (const auto& each : cases) {
        INFO(each.name << " " << each.native);
        CHECK(to_text(*find_plain(each.name), each.native) == each.expected);
    }
    CHECK(to_text(*find_indexed("health_check_period"), std::int64_t{120}) == "120");
    CHECK(to_text(*find_indexed("backend_weight"), 0.5) == "0.5");
    CHECK(to_text(*find_indexed("backend_weight"), 1.0) == "1");
    CHECK(to_text(*find_plain("ssl"), true) == "on");
}

TEST_CASE("Lists and flags are checked item by item")
{
    settings values;
    const auto set = [&](const char* name, const char* text) {
        const auto failure = assign(values, row_of(name), 0, name, text);
        return failure ? failure->message : "";
    };
    CHECK(set("listen_addresses", " a , b ,,c,") == "");
    CHECK(values.listen_addresses.items == std::vector<std::string>{"a", "b", "c"});
    CHECK(values.listen_addresses.text == " a , b ,,c,");
    CHECK(set("listen_addresses", "") == "");
    CHECK(values.listen_addresses.empty());
    CHECK(set("reset_query_list", "ABORT; DISCARD ALL;") == "");
    CHECK(values.reset_query_list.items == std::vector<std::string>{"ABORT", "DISCARD ALL"});
    CHECK(set("log_destination", "stderr, syslog") == "");
    CHECK(values.log_destination.contains("syslog"));
    CHECK(set("log_destination", "stderr,SYSLOG") ==
          "invalid value for parameter \"log_destination\": \"SYSLOG\" is not known");
    CHECK(values.log_destination.contains("syslog"));  // unchanged
    CHECK(set("dml_adaptive_object_relationship_list", "f():t, a:b") == "");
    for (const auto* bad : {"a", "a:", ":b", "a:b,c"}) {
        INFO(bad);
        CHECK(set("dml_adaptive_object_relationship_list", bad) != "");
    }
    CHECK(set("backend_flag", "DISALLOW_TO_FAILOVER | ALWAYS_PRIMARY") == "");
    CHECK_FALSE(values.backends[0].backend_flag.allow_to_failover);
    CHECK(values.backends[0].backend_flag.always_primary);
    CHECK(set("backend_flag", "") == "");
    CHECK(values.backends[0].backend_flag == backend_flags{});
    CHECK(set("backend_flag", "allow_to_failover") != "");
    CHECK(set("backend_flag", "ALLOW_TO_FAILOVER|DISALLOW_TO_FAILOVER") != "");
}

TEST_CASE("Values with a zero byte are refused")
{
    const std::string text("1\0x", 3);
    for (const auto* name : {"ssl", "max_pool", "work_dir", "syslog_facility"}) {
        INFO(name);
        const auto parsed = parse_value(row_of(name), name, text);
        REQUIRE_FALSE(parsed.has_value());
        CHECK(parsed.error().message.find("\\x00") != std::string::npos);
    }
}

TEST_CASE("LOG has a rank of its own in the server log")
{
    using enum message_level;
    const message_level rising[] = {debug5, debug4,  debug3, debug2, debug1, info,
                                    notice, warning, error,  log,    fatal,  panic};
    for (std::size_t level = 0; level < std::size(rising); ++level) {
        for (std::size_t minimum = 0; minimum < std::size(rising); ++minimum) {
            INFO(level << " " << minimum);
            CHECK(is_logged(rising[level], rising[minimum]) == (level >= minimum));
        }
    }
    CHECK(is_sent_to_client(log, debug1));
    CHECK_FALSE(is_sent_to_client(log, notice));
    CHECK(is_sent_to_client(info, error));
}

TEST_CASE("The pool mode of a user comes before that of the database")
{
    settings values;
    CHECK(pool_mode_of(values, "joe", "shop") == pool_mode::session);
    values.pool_mode = pool_mode::transaction;
    values.database_pool_mode_list.items = {"shop:statement", "shop:session", "other : statement"};
    values.user_pool_mode_list.items = {"jim:transaction"};
    CHECK(pool_mode_of(values, "joe", "none") == pool_mode::transaction);
    CHECK(pool_mode_of(values, "joe", "shop") == pool_mode::session);  // the last one counts
    CHECK(pool_mode_of(values, "joe", "other") == pool_mode::statement);
    CHECK(pool_mode_of(values, "jim", "shop") == pool_mode::transaction);
    const auto* const row = find_plain("user_pool_mode_list");
    REQUIRE(row);
    for (const std::string text : {"", "a:session", "a:session, b:transaction,c:statement"}) {
        INFO(text);
        CHECK_FALSE(row->set(values, 0, *row, text));
    }
    for (const std::string text : {"a", "a:", ":session", "a:Session", "a:b", "a:session:"}) {
        INFO(text);
        CHECK(row->set(values, 0, *row, text));
    }
}

TEST_CASE("Connection limits are numbers by name, the last of a name counts")
{
    settings values;
    const auto* const row = find_plain("user_connection_limit_list");
    REQUIRE(row);
    REQUIRE_FALSE(row->set(values, 0, *row, "joe:2, jim : 10,joe:3"));
    const auto limits = connection_limits(values.user_connection_limit_list);
    CHECK(limits.size() == 2);
    CHECK(limits.at("joe") == 3);
    CHECK(limits.at("jim") == 10);
    for (const std::string text : {"joe", "joe:", ":3", "joe:x", "joe:0", "joe:-1", "joe:3x",
                                   "joe:1000001", "joe:99999999999999999999"}) {
        INFO(text);
        CHECK(row->set(values, 0, *row, text));
    }
}
