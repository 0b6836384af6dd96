#include "admin/route_report.hpp"
#include "admin/route_verb.hpp"
#include "test/unit/temporary_directory.hpp"

#include <catch2/catch.hpp>
#include <simdjson.h>

#include <sstream>
#include <vector>

using namespace pgtorii;

namespace {

constexpr const char* nodes = R"(
backend_hostname0 = 'a'
backend_port0 = 5432
backend_hostname1 = 'b'
backend_port1 = 5432
backend_weight0 = 0
backend_weight1 = 1
)";

struct outcome {
    int exit_code = 0;
    std::string out;
    std::string terminal;
};

outcome run(std::vector<std::string> arguments, const std::string& input = "")
{
    std::istringstream standard_input{input};
    std::ostringstream out;
    std::ostringstream terminal;
    const int code = admin::run_route(arguments, standard_input, out, terminal);
    return {code, out.str(), terminal.str()};
}

bool holds(const std::string& text, std::string_view part)
{
    return text.find(part) != std::string::npos;
}

/// A directory with pgpool.conf, and what a run of it says.
class place {
public:
    place() { write("pgpool.conf", nodes); }
    std::string write(const char* name, const std::string& text) const
    {
        test::write_file(directory_ / name, text);
        return path(name);
    }
    std::string path(const char* name) const { return (directory_ / name).string(); }
    outcome route(std::vector<std::string> more, const std::string& input = "") const
    {
        std::vector<std::string> arguments{"--config", path("pgpool.conf")};
        arguments.insert(arguments.end(), more.begin(), more.end());
        return run(std::move(arguments), input);
    }

private:
    test::temporary_directory directory_;
};

}  // namespace

TEST_CASE("route counts statements by destination and reason, in a table that is always the same")
{
    const place here;
    const auto found = here.route({"--assume-functions=read"},
                                  "BEGIN; UPDATE t SET i = 1; SELECT * FROM t; COMMIT;\n"
                                  "SELECT * FROM t; SELECT my_function(1); SELECT 1 FOR;");
    CHECK(found.exit_code == 0);
    CHECK(found.terminal.empty());
    const auto table = found.out.substr(found.out.find("\n\n") + 2);
    CHECK(found.out.starts_with("7 statements of 1 session under " + here.path("pgpool.conf")));
    CHECK(table == R"(destination        reason               statements    share
primary (node 0)   statement_kind                3   42.9 %  statements of this kind go to the primary
primary (node 0)   unparsed                      1   14.3 %  the text could not be parsed
primary (node 0)   transaction_written           1   14.3 %  the transaction has written
balanced (node 1)  read_balanced                 2   28.6 %  a read that may be balanced
)");
}

TEST_CASE("route tells each statement when asked")
{
    const place here;
    const auto found = here.route({"-v"}, "DELETE\n\tFROM t;\nSELECT 1;");
    CHECK(holds(found.out, "line:1: primary (node 0), statement_kind: statements of this kind go "
                           "to the primary\n    DELETE FROM t\n"));
    CHECK(holds(found.out, "line:3: balanced (node 1), read_balanced: "));
}

TEST_CASE("route --against names the statements that would go elsewhere, once for each text")
{
    const place here;
    const auto other = here.write(
        "other.conf", std::string{nodes} + "primary_routing_query_pattern_list = '.*orders.*'\n");
    const auto* const sql = "SELECT * FROM orders WHERE id = 1; SELECT * FROM orders WHERE id = 2;"
                            "SELECT * FROM items;";
    const auto found = here.route({"--assume-functions=read", "--against", other}, sql);
    CHECK(found.exit_code == 1);
    CHECK(holds(found.out, "2 statements would go elsewhere under " + other));
    CHECK(holds(found.out,
                "line:1: 2 statements of this text\n    SELECT * FROM orders WHERE id = 1\n"));
    CHECK(holds(found.out, ": balanced (node 1), read_balanced: "));
    CHECK(holds(found.out, other + ": primary (node 0), query_pattern: "));
    CHECK_FALSE(holds(found.out, "items"));

    const auto same = here.route({"--against", here.path("pgpool.conf")}, sql);
    CHECK(same.exit_code == 0);
    CHECK(holds(same.out, "0 statements would go elsewhere"));
}

TEST_CASE("route --fail-on makes reasons an exit code")
{
    const place here;
    const auto* const sql = "SELECT 1; SELECT 1 FOR;";
    CHECK(here.route({"--fail-on=unparsed"}, sql).exit_code == 1);
    CHECK(here.route({"--fail-on=row_lock,unparsed"}, sql).exit_code == 1);
    CHECK(here.route({"--fail-on=row_lock"}, sql).exit_code == 0);
    const auto unknown = here.route({"--fail-on=row_lock,"}, sql);
    CHECK(unknown.exit_code == 2);
    CHECK(holds(unknown.terminal, "there is no reason \"\""));
}

TEST_CASE("What route can't use is exit code 2")
{
    const place here;
    const auto broken = here.write("broken.conf", std::string{nodes} + "port = abc\n");
    const auto empty = here.write("empty.conf", "port = 1\n");
    const auto mode = here.write(
        "mode.conf", std::string{nodes} + "backend_clustering_mode = 'native_replication'\n");
    const std::vector<std::vector<std::string>> calls{
        {},
        {"--config", here.path("missing.conf")},
        {"--config", broken},
        {"--config", empty},
        {"--config", mode},
        {"--config"},
        {"--config", here.path("pgpool.conf"), here.path("missing.sql")},
        {"--config", here.path("pgpool.conf"), here.path(".")},
        {"--config", here.path("pgpool.conf"), "--against", broken},
        {"--config", here.path("pgpool.conf"), "--format=xml"},
        {"--config", here.path("pgpool.conf"), "--assume-functions=maybe"},
        {"--config", here.path("pgpool.conf"), "--schema", here.path("missing.sql")},
        {"--config", here.path("pgpool.conf"), "--schema", here.path("pgpool.conf")},
        {"--config", here.path("pgpool.conf"), "--nonsense"},
        {"-x"},
    };
    for (const auto& each : calls) {
        const auto found = run(each, "SELECT 1");
        CAPTURE(each, found.terminal);
        CHECK(found.exit_code == 2);
        CHECK_FALSE(found.terminal.empty());
    }
    CHECK(here.route({"--format=csvlog"}, "nonsense\n").exit_code == 2);
    CHECK(run({"--help"}).exit_code == 0);
}

TEST_CASE("route reads several inputs, and warns of what it could not read")
{
    const place here;
    const auto one = here.write("one.sql", "\\timing\nSELECT 1;");
    const auto two = here.write(
        "two.json", "{\"timestamp\":\"x\",\"session_id\":\"1\",\"error_severity\":\"LOG\","
                    "\"message\":\"statement: SELECT 2\"}\nnonsense\n");
    const auto found = here.route({one, "-", two, "-v"}, "SELECT 3");
    CHECK(found.exit_code == 0);
    CHECK(holds(found.out, "3 statements of 2 sessions"));
    CHECK(holds(found.out, one + ":2: "));
    CHECK(holds(found.out, two + ":1: "));
    CHECK(holds(found.terminal,
                "WARNING:  1 lines or records could not be read; the first: " + two + ":2\n"));
    CHECK(holds(found.terminal, "1 backslash commands"));
    const auto silent = here.route({"--format=csvlog"}, "");
    CHECK(silent.exit_code == 0);
    CHECK(holds(silent.terminal, "no statement was found"));
}

TEST_CASE("Redirect lists look at the session that runs a script")
{
    const place here;
    here.write("pgpool.conf",
               std::string{nodes} + "app_name_redirect_preference_list = 'reports:primary'\n");
    const auto found = here.route({"--application-name=reports"}, "SELECT 1");
    CHECK(holds(found.out, "balanced (node 0)"));
}

TEST_CASE("route --json is JSON, whatever the bytes of the statements")
{
    const place here;
    const auto other = here.write("other.conf", std::string{nodes} + "load_balance_mode = off\n");
    const auto found = here.route({"--json", "-v", "--against", other},
                                  "SELECT '\"\\\x01\t\xC3\xA9';SELECT '\xFF'; DELETE FROM t;");
    CHECK(found.exit_code == 1);
    simdjson::dom::parser parser;
    std::istringstream lines{found.out};
    std::vector<std::string> objects;
    for (std::string line; std::getline(lines, line);) objects.push_back(line);
    REQUIRE(objects.size() == 4);
    for (const auto& each : objects) {
        INFO(each);
        CHECK(parser.parse(each).error() == simdjson::SUCCESS);
    }
    simdjson::dom::element report;
    REQUIRE(parser.parse(objects.back()).get(report) == simdjson::SUCCESS);
    CHECK(std::uint64_t{report["statements"]} == 3);
    CHECK(std::string_view{report["counts"].at(0)["reason"]} == "statement_kind");
    CHECK(std::uint64_t{report["against"]["statements"]} == 2);
}

TEST_CASE("Differences are kept for a bounded number of texts")
{
    const place here;
    const auto other = here.write("other.conf", std::string{nodes} + "load_balance_mode = off\n");
    std::string sql;
    for (std::size_t i = 0; i < admin::route::report::difference_texts_max + 7; ++i)
        sql += "SELECT 1 AS column_" + std::to_string(i) + ";";
    const auto found = here.route({"--against", other}, sql);
    CHECK(holds(found.out, "and 7 statements of other texts"));
}

TEST_CASE("A text is shown on one line")
{
    using admin::route::one_line;
    CHECK(one_line("  SELECT\n\t 1  ", 100) == "SELECT 1");
    CHECK(one_line("SELECT 'abc'", 6) == "SELECT ...");
    CHECK(one_line("\xC3\xA9\xC3\xA9", 3) == "\xC3\xA9 ...");
    CHECK(one_line(std::string_view("a\0b\x1b[2J", 7), 100) == "a b [2J");
}
