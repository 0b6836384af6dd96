#include "admin/route_input.hpp"

#include <catch2/catch.hpp>
#include <fmt/format.h>

#include <random>
#include <sstream>

using namespace pgtorii::admin::route;

namespace {

struct taken {
    std::vector<event> events;  // without their views
    std::vector<std::string> texts;
    std::vector<std::string> sessions;
    input_counts counts;
    input_format format = input_format::sql;
};

/// Gives a stream in pieces, so that every place of a text is once the end of what is held.
class trickling_buffer : public std::streambuf {
public:
    trickling_buffer(std::string text, std::size_t piece) : text_(std::move(text)), piece_(piece) {}

protected:
    int_type underflow() override
    {
        if (position_ >= text_.size()) return traits_type::eof();
        const auto count = std::min(piece_, text_.size() - position_);
        char* const start = text_.data() + position_;
        position_ += count;
        setg(start, start, start + count);
        return traits_type::to_int_type(*start);
    }

private:
    std::string text_;
    std::size_t piece_;
    std::size_t position_ = 0;
};

taken read(const std::string& text, std::optional<input_format> format = std::nullopt,
           const limits& bounds = {})
{
    taken found;
    trickling_buffer buffer{text, 7};
    std::istream input{&buffer};
    found.format = read_input(
        input, format, bounds,
        [&](const event& each) {
            found.events.push_back(each);
            found.texts.emplace_back(each.sql);
            found.sessions.emplace_back(each.session);
        },
        found.counts);
    return found;
}

using texts = std::vector<std::string>;

texts statements(const std::string& sql)
{
    return read(sql, input_format::sql).texts;
}

std::string in_quotes(const std::string& field)
{
    std::string quoted = "\"";
    for (const char c : field) {
        if (c == '"') quoted += '"';
        quoted += c;
    }
    return quoted + '"';
}

/// A record of a csvlog as version 13 writes it.
std::string csv(const std::string& session, const std::string& severity, const std::string& message,
                const std::string& query = "")
{
    return fmt::format(
        "2026-11-27 10:00:00.123 UTC,\"joe\",\"shop\",4711,\"[local]\",{},3,\"SELECT\","
        "2026-11-27 09:59:00 UTC,3/12,0,{},00000,{},,,,,,{},,,\"psql\",\"client "
        "backend\"\n",
        session, severity, in_quotes(message), query.empty() ? "" : in_quotes(query));
}

}  // namespace

TEST_CASE("Statements end at semicolons outside of quotes, comments and brackets")
{
    CHECK(statements("SELECT 1; SELECT 2;\nSELECT 3") == texts{"SELECT 1", "SELECT 2", "SELECT 3"});
    for (const auto* const one :
         {"SELECT ';'", "SELECT E'\\';'", "SELECT \"a;b\"", "SELECT $$a;b$$", "SELECT $x$;$$;$x$",
          "SELECT 1 -- ;\n+ 2", "SELECT 1 /* ; /* ; */ ; */ + 1", "SELECT U&'\\0441;'",
          "CREATE RULE r AS ON INSERT TO t DO (SELECT 1; SELECT 2)",
          "CREATE OR REPLACE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE WHEN true THEN 1 "
          "END; SELECT 2; END",
          "CREATE PROCEDURE p() BEGIN ATOMIC INSERT INTO t VALUES (1); END", "SELECT 1e+5, 1..2",
          "SELECT 'it''s; fine'"}) {
        CHECK(statements(std::string{one} + ";") == texts{one});
        CHECK(statements(one) == texts{one});
        CHECK(statements(std::string{one} + ";SELECT 9") == texts{one, "SELECT 9"});
    }
    CHECK(statements("BEGIN; SELECT 1; END; SELECT 2;").size() == 4);
    CHECK(statements("") == texts{});
    CHECK(statements(";; -- nothing\n/* nothing */ ;") == texts{});
}

TEST_CASE("What psql does not send is no part of a statement")
{
    CHECK(statements("\n  -- a note\n\n SELECT 1;") == texts{"SELECT 1"});
    CHECK(statements("/* a hint */ SELECT 1;") == texts{"/* a hint */ SELECT 1"});
    const auto found = read("-- one\n\nSELECT 1;\n\n/* x */\nSELECT\n 2;SELECT 3;");
    CHECK(found.format == input_format::sql);
    REQUIRE(found.events.size() == 3);
    CHECK(found.events[0].line == 3);
    CHECK(found.events[1].line == 5);
    CHECK(found.events[2].line == 7);
}

TEST_CASE("Backslash commands are skipped and counted")
{
    const auto found = read("\\set ON_ERROR_STOP on\nSELECT 1;\n\\echo 'a; b'\nSELECT 2 \\gset x_\n"
                            "SELECT 3\n\\timing\n;\n\\q");
    CHECK(found.texts == texts{"SELECT 1", "SELECT 2 ", "SELECT 3\n\n"});
    CHECK(found.counts.backslash_lines == 5);
    CHECK(statements("SELECT 1\\; SELECT 2; SELECT 3;") == texts{"SELECT 1; SELECT 2", "SELECT 3"});
}

TEST_CASE("Rows of COPY FROM STDIN are no statements")
{
    const auto found = read("COPY t (a, b) FROM stdin;\n1;\t'\n2\t\"\n\\.\n\nSELECT 1;\n"
                            "COPY t FROM STDIN WITH (FORMAT csv);\n\\.\nSELECT 2;");
    CHECK(found.texts.size() == 4);
    CHECK(found.texts[1] == "SELECT 1");
    CHECK(found.texts[3] == "SELECT 2");
    CHECK(found.counts.copy_lines == 2);
    CHECK(statements("COPY (SELECT 1) TO stdout; SELECT 1;").size() == 2);
    CHECK(statements("COPY t FROM stdin;\n1\n2").size() == 1);
}

TEST_CASE("A statement above the limit is cut and does not swallow its neighbours")
{
    const std::string filling(300'000, 'x');
    const limits small{.text_bytes_max = 1'000, .record_bytes_max = 100'000};
    const auto found = read("SELECT 1; SELECT " + filling + ", 2; SELECT 3;" + "SELECT 4 -- " +
                                std::string(50'000, '-') + "\n; SELECT 5",
                            input_format::sql, small);
    REQUIRE(found.texts.size() >= 1);
    CHECK(found.texts[0] == "SELECT 1");
    // One token that is longer than all that is held: the rest can't be told.
    CHECK(found.counts.is_given_up);
    CHECK(found.counts.unreadable == 1);

    std::string list = "SELECT 0";
    for (int i = 0; i < 50'000; ++i) list += ", " + std::to_string(i);
    const auto long_one = read(list + ";SELECT 3", input_format::sql, small);
    REQUIRE(long_one.texts.size() == 2);
    CHECK(long_one.events[0].is_cut);
    CHECK(long_one.texts[0].size() == 1'000);
    CHECK_FALSE(long_one.events[1].is_cut);
    CHECK(long_one.texts[1] == "SELECT 3");
}

TEST_CASE("A csvlog tells of statements, failures and ends, by session")
{
    const auto found =
        read(csv("64.1", "LOG", "statement: SELECT 'a, \"b\"\n;'") +
             csv("64.2", "LOG", "execute S_1: UPDATE t SET i = $1") +
             csv("64.2", "LOG", "execute <unnamed>/C_2: SELECT 1") +
             csv("64.2", "LOG", "execute fetch from <unnamed>/C_2: SELECT 1") +
             csv("64.1", "LOG", "duration: 0.123 ms") +
             csv("64.1", "LOG", "duration: 0.123 ms  statement: SELECT 2") +
             csv("64.1", "LOG", "duration: 0.123 ms  parse <unnamed>: SELECT 3") +
             csv("64.1", "LOG", "duration: 0.123 ms  execute <unnamed>: SELECT 3") +
             csv("64.1", "ERROR", "division by zero", "SELECT 1/0") +
             csv("64.2", "FATAL", "terminating connection") +
             csv("64.1", "LOG", "disconnection: session time: 0:00:00.006 user=joe"));
    CHECK(found.format == input_format::csvlog);
    CHECK(found.counts.unreadable == 0);
    CHECK(found.counts.other_records == 3);
    CHECK(found.texts == texts{"SELECT 'a, \"b\"\n;'", "UPDATE t SET i = $1", "SELECT 1",
                               "SELECT 2", "SELECT 3", "SELECT 1/0", "", ""});
    CHECK(found.sessions == texts{"64.1", "64.2", "64.2", "64.1", "64.1", "64.1", "64.2", "64.1"});
    const auto& events = found.events;
    CHECK_FALSE(events[0].is_extended);
    CHECK_FALSE(events[0].is_completed);
    CHECK(events[1].is_extended);
    CHECK(events[1].line == 3);
    CHECK(events[3].is_completed);
    CHECK(events[4].is_extended);
    CHECK(events[5].what == event_kind::failure);
    CHECK(events[6].what == event_kind::end);
    CHECK(events[7].what == event_kind::end);
}

TEST_CASE("Records of versions with more columns, and of Windows, are read")
{
    auto record = csv("64.1", "LOG", "statement: SELECT 1");
    record.pop_back();
    for (const auto* const end : {"\n", ",,0\n", ",1234,-55\n", "\r\n", ",,\"x\"\r\n"}) {
        const auto found = read(record + end + record + end);
        CHECK(found.texts == texts{"SELECT 1", "SELECT 1"});
        CHECK(found.counts.unreadable == 0);
    }
}

TEST_CASE("Broken records of a csvlog are counted and cost no more than themselves")
{
    const auto good = csv("1", "LOG", "statement: SELECT 1");
    const auto count = [](const taken& found) {
        return std::pair{found.texts.size(), found.counts.unreadable};
    };
    auto open_quote = csv("1", "LOG", "statement: SELECT 2");
    open_quote.erase(open_quote.find("SELECT 2") + 8, 1);
    // What follows the lost quote makes the record one with its neighbour, until the neighbour's
    // first quote.
    CHECK(count(read(good + open_quote + good + good)) ==
          std::pair{std::size_t{3}, std::uint64_t{1}});
    CHECK(count(read(good + "nonsense\n" + good)) == std::pair{std::size_t{2}, std::uint64_t{1}});
    CHECK(count(read(good + "a,\"b\"c,d\n" + good)) == std::pair{std::size_t{2}, std::uint64_t{1}});
    CHECK(count(read(good + "\n" + good)) == std::pair{std::size_t{2}, std::uint64_t{1}});
    CHECK(count(read(good + good.substr(0, 100))) == std::pair{std::size_t{1}, std::uint64_t{1}});
    CHECK(count(read(good + std::string(500, ',') + "\n" + good)) ==
          std::pair{std::size_t{2}, std::uint64_t{1}});
    CHECK(read(good + "nonsense\n").counts.first_unreadable == 2);

    const limits small{.text_bytes_max = 100, .record_bytes_max = 100'000};
    const auto huge = csv("1", "LOG", "statement: SELECT '" + std::string(500'000, 'x') + "'");
    const auto found = read(good + huge + good, std::nullopt, small);
    CHECK(found.texts.size() == 2);
    CHECK(found.counts.unreadable >= 1);
    const auto big = csv("1", "LOG", "statement: SELECT '" + std::string(50'000, 'x') + "'");
    const auto cut = read(good + big + good, std::nullopt, small);
    REQUIRE(cut.events.size() == 3);
    CHECK(cut.events[1].is_cut);
    CHECK(cut.texts[1].size() == 100);
}

TEST_CASE("A jsonlog is read a line at a time")
{
    const std::string record =
        R"({"timestamp":"2026-11-27 10:00:00.123 UTC","user":"joe","dbname":"shop","pid":1,)"
        R"("session_id":"64.1","error_severity":"LOG","message":"statement: SELECT 'é\n\"'",)"
        R"("application_name":"psql","backend_type":"client backend"})"
        "\n";
    const std::string error =
        R"({"timestamp":"x","user":"joe","session_id":"64.1","error_severity":"ERROR",)"
        R"("message":"no","statement":"SELECT 1/0"})"
        "\n";
    const auto found = read(record + error + "\n" + record);
    CHECK(found.format == input_format::jsonlog);
    CHECK(found.texts == texts{"SELECT 'é\n\"'", "SELECT 1/0", "SELECT 'é\n\"'"});
    CHECK(found.events[1].what == event_kind::failure);
    CHECK(found.events[2].line == 4);
    CHECK(found.counts.unreadable == 0);

    for (const auto* const bad : {"{\"timestamp\":", "[1,2]", "{}", "17", "{\"a\":\"\\ud800\"}",
                                  "\x01", "{\"error_severity\":7}", "nonsense"}) {
        const auto around = read(record + bad + "\n" + record);
        CHECK(around.texts.size() == 2);
        CHECK(around.counts.unreadable == 1);
        CHECK(around.counts.first_unreadable == 2);
    }
    const auto deep = read(record + std::string(200'000, '[') + "\n" + record);
    CHECK(deep.texts.size() == 2);
    const limits small{.text_bytes_max = 100, .record_bytes_max = 1'000};
    const auto huge = read(record + "{\"x\":\"" + std::string(5'000, 'x') + "\"}\n" + record,
                           input_format::jsonlog, small);
    CHECK(huge.texts.size() == 2);
    CHECK(huge.counts.unreadable == 1);
}

TEST_CASE("The format is recognised by the head of the input")
{
    CHECK(recognise("2026-11-27 10:00:00.123 UTC,\"joe\",") == input_format::csvlog);
    CHECK(recognise("2026-11-27 10:00:00.123 UTC [1] LOG:  statement") == input_format::sql);
    CHECK(recognise("{\"timestamp\":\"") == input_format::jsonlog);
    CHECK(recognise("SELECT 1") == input_format::sql);
    CHECK(recognise("") == input_format::sql);
    CHECK(read("\xEF\xBB\xBFSELECT 1;").texts == texts{"SELECT 1"});
    CHECK(format_named("csvlog") == input_format::csvlog);
    CHECK_FALSE(format_named("csv"));
    CHECK(name_of(input_format::jsonlog) == "jsonlog");
}

TEST_CASE("Hostile bytes in any format end in counts, never in a crash or in bytes without bound")
{
    const std::vector<std::string> pieces{
        "\"",
        "\"\"",
        ",",
        "\n",
        "\r\n",
        ";",
        "'",
        "$$",
        "$a$",
        "/*",
        "*/",
        "--",
        "\\",
        "\\;",
        "{",
        "}",
        "[",
        ":",
        "(",
        ")",
        "E'",
        "U&\"",
        "1e+",
        "\\.\n",
        "copy t from stdin;\n",
        "begin ",
        "end ",
        "create function ",
        "2026-11-27 10:00:00.123 UTC,",
        "{\"timestamp\":\"x\",\"error_severity\":\"LOG\",\"message\":\"statement: SELECT 1\"}\n",
        std::string(1, '\0'),
        "\xff\xfe",
        "é",
        "+-+-",
        "statement: SELECT 1",
        csv("1", "LOG", "statement: SELECT 1")};
    std::minstd_rand random{20261127};
    for (int round = 0; round < 600; ++round) {
        std::string text;
        const auto count = random() % 60;
        for (std::size_t i = 0; i < count; ++i) text += pieces[random() % pieces.size()];
        INFO("round " << round);
        for (const auto format : {input_format::sql, input_format::csvlog, input_format::jsonlog}) {
            const limits bounds{.text_bytes_max = 64,
                                .record_bytes_max = round % 2 ? 256u : 70'000u};
            const auto found = read(text, format, bounds);
            for (const auto& each : found.texts) CHECK(each.size() <= bounds.text_bytes_max);
        }
    }
}
