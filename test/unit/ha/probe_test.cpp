#include "ha/probe.hpp"

#include "ha/error.hpp"
#include "protocol/byte_reader.hpp"

#include <catch2/catch.hpp>

#include <functional>
#include <random>

using namespace pgtorii;
using namespace pgtorii::ha;
using protocol::message_buffer;

namespace {

using row = std::vector<std::optional<std::string_view>>;

const check_login login{.user = "monitor", .database = "postgres", .password = "secret"};

std::span<const std::byte> bytes_of(std::string_view text)
{
    return protocol::as_byte_span(text);
}

void add_answer(message_buffer& out, std::initializer_list<row> rows)
{
    out.row_description({"a"});
    for (const auto& each : rows) out.data_row(each);
    out.command_complete("SELECT").ready_for_query('I');
}

void add_error(message_buffer& out, std::string severity, std::string sqlstate)
{
    out.error_response({.severity = std::move(severity),
                        .sqlstate = std::move(sqlstate),
                        .message = "no such luck",
                        .detail = {},
                        .hint = {}});
}

message_buffer start_of_server(std::string_view version = "15.4 (Debian 15.4-1)")
{
    message_buffer out;
    const std::array<std::byte, 4> secret{};
    out.authentication_ok()
        .parameter_status("server_version", version)
        .parameter_status("is_superuser", "on")
        .backend_key_data(1234, secret)
        .ready_for_query('I');
    return out;
}

/// All that a primary with one standby says, from its first message on.
message_buffer words_of_primary()
{
    auto out = start_of_server();
    add_answer(out, {{"f"}});
    add_answer(out, {{"16/B374D848"}});
    add_answer(out, {{"-7000000000000000000", "3", "0000000400000016000000B3"}});
    add_answer(out,
               {{"standby one", "streaming", "sync"}, {"walreceiver", std::nullopt, std::nullopt}});
    add_answer(out, {{"200", "3", "10"}});
    return out;
}

message_buffer words_of_standby()
{
    auto out = start_of_server();
    add_answer(out, {{"t"}});
    add_answer(out, {{"0/3000060"}});
    add_answer(out, {{"7000000000000000000", "4", std::nullopt}});
    add_answer(out, {});
    add_answer(out, {{"100", "3", std::nullopt}});
    return out;
}

observation outcome_of(const message_buffer& said, const check_login& as = login)
{
    probe talk(as);
    talk.on_bytes(said.bytes());
    if (!talk.is_done()) talk.on_end();
    return talk.take_result();
}

void check_primary(const observation& seen)
{
    CHECK(seen.verdict == verdict::answered);
    CHECK_FALSE(seen.facts.in_recovery);
    CHECK(seen.facts.lsn == 0x16'B374'D848);
    CHECK(seen.facts.timeline == 4);
    CHECK(seen.facts.system_identifier == static_cast<std::uint64_t>(-7'000'000'000'000'000'000));
    REQUIRE(seen.facts.receivers.size() == 2);
    CHECK(seen.facts.receivers[0].application_name == "standby one");
    CHECK(seen.facts.receivers[0].state == "streaming");
    CHECK(seen.facts.receivers[0].sync_state == "sync");
    CHECK(seen.facts.receivers[1].state.empty());
    CHECK(seen.facts.connection_count_max == 187);
}

/// The texts of the Query messages in what a probe sends.
std::vector<std::string> questions_in(std::span<const std::byte> sent)
{
    std::vector<std::string> found;
    while (const auto header = protocol::peek_header(sent)) {
        if (sent.size() < header->total()) break;
        REQUIRE(header->type == 'Q');
        const auto body = sent.subspan(5, header->body_size() - 1);
        found.emplace_back(protocol::as_text(body));
        sent = sent.subspan(header->total());
    }
    return found;
}

}  // namespace

TEST_CASE("A probe says who it is, asks its questions at once, and keeps the connection")
{
    probe talk(login);
    message_buffer expected;
    expected.startup_message("monitor", "postgres", {});
    CHECK(std::ranges::equal(talk.output(), expected.bytes()));
    talk.on_sent();
    CHECK(talk.output().empty());

    talk.on_bytes(start_of_server().bytes());
    const auto questions = questions_in(talk.output());
    REQUIRE(questions.size() == 5);
    CHECK(questions[0] == "SELECT pg_catalog.pg_is_in_recovery()");
    CHECK(questions[1].find("pg_last_wal_replay_lsn") != std::string::npos);
    CHECK_FALSE(talk.is_done());
}

TEST_CASE("Servers older than 10 are asked by their names of functions")
{
    probe talk(login);
    talk.on_sent();
    talk.on_bytes(start_of_server("9.6.24").bytes());
    const auto questions = questions_in(talk.output());
    REQUIRE(questions.size() == 5);
    CHECK(questions[1].find("pg_last_xlog_replay_location") != std::string::npos);
    CHECK(questions[2].find("pg_xlogfile_name") != std::string::npos);
}

TEST_CASE("What servers say is understood")
{
    check_primary(outcome_of(words_of_primary()));
    const auto seen = outcome_of(words_of_standby());
    CHECK(seen.verdict == verdict::answered);
    CHECK(seen.facts.in_recovery);
    CHECK(seen.facts.lsn == 0x300'0060);
    CHECK(seen.facts.timeline == 4);
    CHECK(seen.facts.receivers.empty());
    CHECK(seen.facts.connection_count_max == 97);
}

TEST_CASE("Only the role must be known")
{
    auto said = start_of_server();
    add_answer(said, {{"t"}});
    for (int i = 0; i < 4; ++i) {
        add_error(said, "ERROR", "0A000");
        said.ready_for_query('I');
    }
    const auto seen = outcome_of(said);
    CHECK(seen.verdict == verdict::answered);
    CHECK(seen.facts.in_recovery);
    CHECK(seen.facts.lsn == 0);
    CHECK(seen.facts.timeline == 0);
    CHECK(seen.sqlstate.empty());
}

TEST_CASE("Values that make no sense are not known")
{
    auto said = start_of_server();
    add_answer(said, {{"f"}});
    const auto lsn = GENERATE("", "16", "16/", "/16", "1/100000000", "x/1", "16/ 1", "-1/1");
    add_answer(said, {{lsn}});
    add_answer(said, {{"99999999999999999999", "-3", "xyz"}});
    add_answer(said, {{}, {"a", "b", "c"}});
    const auto most = GENERATE("", "-5", "3", "many", "99999999999999999999");
    add_answer(said, {{most, "4", std::nullopt}});
    const auto seen = outcome_of(said);
    CHECK(seen.verdict == verdict::answered);
    CHECK(seen.facts.lsn == 0);
    CHECK(seen.facts.timeline == 0);
    CHECK(seen.facts.system_identifier == 0);
    CHECK(seen.facts.receivers.size() == 2);
    CHECK(seen.facts.connection_count_max == 0);
}

TEST_CASE("A server that says no is there")
{
    message_buffer said;
    SECTION("before the log-in") {}
    SECTION("after it")
    {
        said.authentication_ok();
    }
    SECTION("at the first question")
    {
        said = start_of_server();
    }
    add_error(said, "FATAL", "57P03");
    const auto seen = outcome_of(said);
    CHECK(seen.verdict == verdict::refused);
    CHECK(seen.sqlstate == "57P03");
    CHECK(seen.message == "no such luck");
    CHECK(seen.failure == errc::server_refused);
}

TEST_CASE("A server that shuts down between questions says no, too")
{
    auto said = start_of_server();
    add_answer(said, {{"f"}});
    add_error(said, "FATAL", "57P01");
    const auto seen = outcome_of(said);
    CHECK(seen.verdict == verdict::refused);
    CHECK(seen.sqlstate == "57P01");
}

TEST_CASE("Passwords are given when they are asked for")
{
    probe talk(login);
    talk.on_sent();
    message_buffer asked;
    message_buffer expected;
    SECTION("in clear")
    {
        asked.authentication_cleartext_password();
        expected.password_message("secret");
    }
    SECTION("as md5")
    {
        const std::array<std::byte, 4> salt{std::byte{1}, std::byte{2}, std::byte{3}, std::byte{4}};
        asked.authentication_md5_password(salt);
        expected.password_message(*protocol::md5_response("monitor", "secret", salt));
    }
    talk.on_bytes(asked.bytes());
    CHECK(std::ranges::equal(talk.output(), expected.bytes()));
    talk.on_bytes(words_of_primary().bytes());
    REQUIRE(talk.is_done());
    CHECK(talk.take_result().verdict == verdict::answered);
}

TEST_CASE("Without a password, a server that asks for one has refused")
{
    auto without = login;
    without.password.clear();
    message_buffer asked;
    const std::array<std::string_view, 1> mechanisms{"SCRAM-SHA-256"};
    SECTION("clear")
    {
        asked.authentication_cleartext_password();
    }
    SECTION("scram")
    {
        asked.authentication_sasl(mechanisms);
    }
    const auto seen = outcome_of(asked, without);
    CHECK(seen.verdict == verdict::refused);
    CHECK(seen.failure == errc::password_missing);
    CHECK(seen.sqlstate.empty());
}

TEST_CASE("Authentication that we don't speak is a refusal")
{
    message_buffer asked;
    const std::array<std::string_view, 1> mechanisms{"SCRAM-SHA-512"};
    const std::array<std::byte, 9> gss{std::byte{'R'}, {}, {}, {}, std::byte{8}, {}, {}, {},
                                       std::byte{7}};
    SECTION("another mechanism")
    {
        asked.authentication_sasl(mechanisms);
    }
    SECTION("gss")
    {
        asked.raw(gss);
    }
    CHECK(outcome_of(asked).failure == errc::authentication_unsupported);
}

TEST_CASE("A SCRAM exchange that the server does not finish lets nobody in")
{
    const std::array<std::string_view, 2> mechanisms{"SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"};
    probe talk(login);
    talk.on_sent();
    message_buffer said;
    said.authentication_sasl(mechanisms);
    talk.on_bytes(said.bytes());
    REQUIRE(talk.output()[0] == std::byte{'p'});
    said.clear();
    SECTION("it goes on without a proof")
    {
        said.authentication_ok();
    }
    SECTION("it begins again")
    {
        said.authentication_sasl(mechanisms);
    }
    SECTION("it jumps to the end")
    {
        said.authentication_sasl_final("v=AAAA");
    }
    SECTION("its nonce is not ours")
    {
        said.authentication_sasl_continue("r=x,s=AAAA,i=4096");
    }
    SECTION("it says nonsense")
    {
        said.authentication_sasl_continue("nonsense");
    }
    talk.on_bytes(said.bytes());
    REQUIRE(talk.is_done());
    const auto seen = talk.take_result();
    CHECK(seen.verdict == verdict::absent);
    CHECK(seen.failure);
}

TEST_CASE("Messages that don't fit end the look")
{
    message_buffer said;
    SECTION("an answer before the log-in")
    {
        said.ready_for_query('I');
    }
    SECTION("a row before a question")
    {
        said.authentication_ok().data_row(row{"t"});
    }
    SECTION("a log-in twice")
    {
        said.authentication_ok().authentication_ok();
    }
    SECTION("a copy")
    {
        said = start_of_server();
        said.copy_done();
    }
    SECTION("no answer to the first question")
    {
        said = start_of_server();
        add_answer(said, {});
    }
    SECTION("another answer to the first question")
    {
        said = start_of_server();
        add_answer(said, {{"maybe"}});
    }
    const auto seen = outcome_of(said);
    CHECK(seen.verdict == verdict::absent);
    CHECK(seen.failure == errc::reply_unexpected);
}

TEST_CASE("A server can't make a probe keep much")
{
    auto said = start_of_server();
    add_answer(said, {{"f"}});
    SECTION("by a long message")
    {
        const std::string text(probe::message_bytes_max, 'x');
        add_answer(said, {{text}});
    }
    SECTION("by many messages")
    {
        const std::string text(1000, 'x');
        for (int i = 0; i < 1100; ++i)
            said.notice_response({.severity = "NOTICE",
                                  .sqlstate = "00000",
                                  .message = text,
                                  .detail = {},
                                  .hint = {}});
    }
    SECTION("by many receivers")
    {
        add_answer(said, {});
        add_answer(said, {});
        for (std::size_t i = 0; i <= probe::receiver_count_max; ++i)
            said.data_row(row{"a", "b", "c"});
    }
    CHECK(outcome_of(said).failure == errc::reply_too_big);
}

TEST_CASE("Malformed messages end the look")
{
    message_buffer said;
    SECTION("an unknown type")
    {
        said.raw(bytes_of(std::string_view("?\0\0\0\4", 5)));
    }
    SECTION("a length below 4")
    {
        said.raw(bytes_of(std::string_view("R\0\0\0\3", 5)));
    }
    SECTION("a length beyond reason")
    {
        said.raw(bytes_of("R\x7f\xff\xff\xff"));
    }
    SECTION("a row that ends early")
    {
        said = start_of_server();
        said.raw(bytes_of(std::string_view("D\0\0\0\x0b\0\1\0\0\0\4t", 12)));
    }
    SECTION("a row with bytes left")
    {
        said = start_of_server();
        said.raw(bytes_of(std::string_view("D\0\0\0\x07\0\0x", 8)));
    }
    SECTION("a row of many columns")
    {
        said = start_of_server();
        said.data_row(row{"t", "t", "t", "t", "t"});
    }
    CHECK(outcome_of(said).failure == errc::reply_malformed);
}

TEST_CASE("Pieces of any size make the same conversation, and an end anywhere is a lost connection")
{
    const auto said = words_of_primary();
    for (std::size_t cut = 0; cut < said.size(); ++cut) {
        INFO("cut at " << cut);
        probe whole(login);
        whole.on_bytes(said.bytes().first(cut));
        REQUIRE_FALSE(whole.is_done());
        whole.on_bytes(said.bytes().subspan(cut));
        REQUIRE(whole.is_done());
        REQUIRE(whole.take_result().facts.lsn == 0x16'B374'D848);

        const auto seen = [&] {
            probe talk(login);
            talk.on_bytes(said.bytes().first(cut));
            talk.on_end();
            return talk.take_result();
        }();
        REQUIRE(seen.verdict == verdict::absent);
        REQUIRE(seen.failure == errc::connection_lost);
    }
    probe talk(login);
    for (const auto byte : said.bytes()) talk.on_bytes({&byte, 1});
    REQUIRE(talk.is_done());
    check_primary(talk.take_result());
}

TEST_CASE("Bytes without sense never do harm")
{
    std::minstd_rand random(20240501);
    const auto any = [&](std::size_t limit) { return static_cast<std::size_t>(random()) % limit; };
    const auto original = words_of_primary();
    for (int round = 0; round < 20'000; ++round) {
        INFO("round " << round);
        std::vector<std::byte> said(original.bytes().begin(), original.bytes().end());
        if (round % 4 == 0) said.resize(any(200));
        for (std::size_t i = 0; i <= any(8) && !said.empty(); ++i) {
            said[any(said.size())] = static_cast<std::byte>(any(256));
        }
        probe talk(login);
        std::span<const std::byte> rest = said;
        while (!rest.empty()) {
            const auto piece = rest.first(1 + any(rest.size()));
            talk.on_bytes(piece);
            talk.on_sent();
            rest = rest.subspan(piece.size());
        }
        if (!talk.is_done()) talk.on_end();
        const auto seen = talk.take_result();
        REQUIRE((seen.verdict == verdict::answered) == !seen.failure);
    }
}
