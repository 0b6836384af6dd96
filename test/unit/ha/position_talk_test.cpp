#include "ha/position_talk.hpp"

#include "ha/error.hpp"
#include "protocol/byte_reader.hpp"

#include <catch2/catch.hpp>

using namespace pgtorii;
using namespace pgtorii::ha;
using protocol::message_buffer;
using position = causal_board::floor;

namespace {

using row = std::vector<std::optional<std::string_view>>;

message_buffer start_of_server(std::string_view version = "15.4")
{
    message_buffer out;
    const std::array<std::byte, 4> secret{};
    out.authentication_ok()
        .parameter_status("server_version", version)
        .backend_key_data(1234, secret)
        .ready_for_query('I');
    return out;
}

message_buffer answer_of(const row& columns)
{
    message_buffer out;
    out.row_description({"a"});
    out.data_row(columns);
    out.command_complete("SELECT 1").ready_for_query('I');
    return out;
}

message_buffer error_of(std::string severity)
{
    message_buffer out;
    out.error_response({.severity = std::move(severity),
                        .sqlstate = "55000",
                        .message = "recovery is in progress",
                        .detail = {},
                        .hint = {}});
    return out;
}

const check_login monitor{.user = "monitor", .database = "postgres", .password = ""};

void log_in(position_talk& talk, std::string_view version = "15.4")
{
    talk.on_sent();
    talk.on_bytes(start_of_server(version).bytes());
}

std::string question_in(position_talk& talk)
{
    auto sent = std::string(protocol::as_text(talk.output()));
    talk.on_sent();
    return sent;
}

}  // namespace

TEST_CASE("One connection serves many questions, and answers have position and timeline")
{
    position_talk talk(monitor);
    CHECK_FALSE(talk.is_done());
    talk.on_sent();
    talk.on_bytes(start_of_server().bytes());
    REQUIRE(talk.is_done());
    CHECK_FALSE(talk.failure());

    talk.ask(true);
    CHECK_FALSE(talk.is_done());
    CHECK(question_in(talk).find("pg_current_wal_insert_lsn()") != std::string::npos);
    talk.on_bytes(answer_of({"1/10", "000000030000000100000000", "16", "8192"}).bytes());
    REQUIRE(talk.is_done());
    CHECK(talk.position() == position{.lsn = 0x1'0000'0010, .timeline = 3});

    talk.ask(false);
    CHECK_FALSE(talk.position());
    CHECK(question_in(talk).find("pg_last_wal_replay_lsn()") != std::string::npos);
    const auto said = answer_of({"0/FF", "12"});
    for (const auto byte : said.bytes()) {
        talk.on_bytes(std::span(&byte, 1));
    }
    REQUIRE(talk.is_done());
    CHECK(talk.position() == position{.lsn = 0xff, .timeline = 12});
}

TEST_CASE("Right behind a page's header nothing has been written: the page's start counts")
{
    struct row_of_case {
        std::string_view lsn;
        std::string_view offset;
        std::uint64_t expected;
    };
    constexpr row_of_case cases[] = {
        {"0/4000028", "40", 0x400'0000},       // first page of a segment: a long header
        {"0/4002018", "8216", 0x400'2000},     // another page: a short one
        {"0/4002020", "8224", 0x400'2020},     // something stands behind the header
        {"0/4002028", "8232", 0x400'2028},     // a long header's length, not in a first page
        {"0/4000018", "24", 0x400'0018},       // a first page has no short header
        {"0/4100028", "1048616", 0x410'0028},  // a first page only of smaller segments
    };
    for (const auto& each : cases) {
        INFO(each.lsn);
        position_talk talk(monitor);
        log_in(talk);
        talk.ask(true);
        talk.on_bytes(
            answer_of({each.lsn, "000000010000000000000004", each.offset, "8192"}).bytes());
        REQUIRE(talk.position());
        CHECK(talk.position()->lsn == each.expected);
    }
}

TEST_CASE("Servers older than 10 are asked for positions by their own names")
{
    position_talk talk(monitor);
    log_in(talk, "9.6.24");
    talk.ask(true);
    CHECK(question_in(talk).find("pg_current_xlog_insert_location()") != std::string::npos);
}

TEST_CASE("A server without a position has none, and may be asked again")
{
    position_talk talk(monitor);
    log_in(talk);
    talk.ask(true);
    talk.on_sent();
    SECTION("an error")
    {
        auto said = error_of("ERROR");
        said.ready_for_query('I');
        talk.on_bytes(said.bytes());
    }
    SECTION("nulls")
    {
        talk.on_bytes(answer_of({std::nullopt, std::nullopt, "1"}).bytes());
    }
    SECTION("no timeline")
    {
        talk.on_bytes(answer_of({"0/1", std::nullopt, "0"}).bytes());
    }
    SECTION("words")
    {
        talk.on_bytes(answer_of({"here", std::nullopt, "1"}).bytes());
    }
    SECTION("no row")
    {
        message_buffer said;
        said.row_description({"a"});
        said.command_complete("SELECT 0").ready_for_query('I');
        talk.on_bytes(said.bytes());
    }
    REQUIRE(talk.is_done());
    CHECK_FALSE(talk.failure());
    CHECK_FALSE(talk.position());
    talk.ask(false);
    talk.on_bytes(answer_of({"0/1", "1"}).bytes());
    CHECK(talk.position());
}

TEST_CASE("What doesn't fit ends the conversation")
{
    position_talk talk(monitor);
    SECTION("a refused log-in")
    {
        talk.on_bytes(error_of("FATAL").bytes());
        CHECK(talk.failure() == errc::server_refused);
    }
    SECTION("a password that we have not")
    {
        message_buffer said;
        said.authentication_cleartext_password();
        talk.on_bytes(said.bytes());
        CHECK(talk.failure() == errc::password_missing);
    }
    SECTION("a goodbye while idle")
    {
        log_in(talk);
        talk.on_bytes(error_of("FATAL").bytes());
        CHECK(talk.failure() == errc::server_refused);
    }
    SECTION("an answer to nothing")
    {
        log_in(talk);
        talk.on_bytes(answer_of({"0/1", "1"}).bytes());
        CHECK(talk.failure() == errc::reply_unexpected);
    }
    SECTION("the end")
    {
        log_in(talk);
        talk.ask(true);
        talk.on_end();
        CHECK(talk.failure() == errc::connection_lost);
    }
    SECTION("a changed parameter is no trouble")
    {
        log_in(talk);
        message_buffer said;
        said.parameter_status("TimeZone", "UTC");
        talk.on_bytes(said.bytes());
        CHECK_FALSE(talk.failure());
    }
}
