#include "protocol/startup.hpp"

#include "protocol/byte_reader.hpp"
#include "protocol/writer.hpp"

#include <catch2/catch.hpp>

#include <random>

namespace pgtorii::protocol {
namespace {

using what = startup_result::kind;
using namespace std::string_literals;

std::string word(std::uint32_t value)
{
    std::string text;
    for (int shift = 24; shift >= 0; shift -= 8) text += static_cast<char>(value >> shift);
    return text;
}

/// A start-up packet: its length, the code and the fields.
std::string packet(std::uint32_t code, std::string_view fields)
{
    return word(static_cast<std::uint32_t>(8 + fields.size())) + word(code) + std::string(fields);
}

std::string v3(std::string_view fields)
{
    return packet(protocol_version_3_0, fields);
}

startup_result parse(std::string_view bytes)
{
    startup_parser parser;
    return parser.parse(as_byte_span(bytes));
}

void check_refused(const startup_result& made, std::string_view code, std::string_view message)
{
    CHECK(made.what == what::refused);
    CHECK(made.consumed == 0);
    CHECK(made.error.severity == "FATAL");
    CHECK(made.error.sqlstate == code);
    CHECK(made.error.message == message);
}

TEST_CASE("A start-up message gives user, database and sorted parameters")
{
    const auto bytes =
        v3("user\0alice\0TimeZone\0UTC\0database\0shop\0application_name\0psql\0\0"s);
    const auto made = parse(bytes + "more");
    CHECK(made.what == what::startup_message);
    CHECK(made.consumed == bytes.size());
    CHECK(made.user == "alice");
    CHECK(made.database == "shop");
    CHECK(made.minor == 0);
    CHECK_FALSE(made.needs_negotiation());
    CHECK_FALSE(made.is_replication());
    const startup_parameters expected{{"application_name", "psql"}, {"TimeZone", "UTC"}};
    CHECK(made.parameters == expected);
}

TEST_CASE("The database is the user's name when there is none")
{
    CHECK(parse(v3("user\0alice\0\0"s)).database == "alice");
    CHECK(parse(v3("user\0alice\0database\0\0\0"s)).database == "alice");
}

TEST_CASE("Of a repeated parameter the last counts, however its name is written")
{
    const auto made = parse(v3("TimeZone\0UTC\0user\0a\0user\0b\0timezone\0GMT\0\0"s));
    CHECK(made.user == "b");
    const startup_parameters expected{{"timezone", "GMT"}};
    CHECK(made.parameters == expected);
}

TEST_CASE("Every cut of a good packet needs more")
{
    const auto bytes = v3("user\0alice\0database\0shop\0\0"s);
    startup_parser parser;
    for (std::size_t size = 0; size != bytes.size(); ++size) {
        const auto made = parser.parse(as_byte_span(std::string_view(bytes).substr(0, size)));
        CHECK(made.what == what::need_more);
        CHECK(made.consumed == 0);
    }
    CHECK(parser.parse(as_byte_span(bytes)).what == what::startup_message);
}

TEST_CASE("An impossible length is refused with its four bytes")
{
    for (const std::uint32_t length :
         {0U, 4U, 7U, 10'005U, 0x1000'0000U, 0x8000'0000U, 0xffff'ffffU}) {
        check_refused(parse(word(length)), "08P01", "invalid length of startup packet");
    }
    CHECK(parse(word(8)).what == what::need_more);
    CHECK(parse(word(10'004)).what == what::need_more);
    SECTION("the longest packet is taken")
    {
        const auto fields = "user\0"s + std::string(9'996 - 7, 'u') + "\0\0"s;
        const auto made = parse(v3(fields));
        CHECK(made.what == what::startup_message);
        CHECK(made.consumed == 10'004);
    }
    SECTION("text of another protocol")
    {
        CHECK(parse("GET / HTTP/1.1\r\n").what == what::refused);
    }
}

TEST_CASE("The packet has to end with its terminator")
{
    const auto* const message = "invalid startup packet layout: expected terminator as last byte";
    const auto fields = GENERATE(
        ""s, "user"s, "user\0"s, "user\0alice"s, "user\0alice\0"s, "user\0alice\0database\0\0"s,
        "user\0alice\0\0x"s, "user\0alice\0\0\0"s, "\0user\0alice\0\0"s, "user\0alice\0database"s);
    check_refused(parse(v3(fields)), "08P01", message);
}

TEST_CASE("A user is needed")
{
    const auto* const message = "no PostgreSQL user name specified in startup packet";
    check_refused(parse(v3("\0"s)), "28000", message);
    check_refused(parse(v3("database\0x\0\0"s)), "28000", message);
    check_refused(parse(v3("user\0\0\0"s)), "28000", message);
    check_refused(parse(v3("User\0alice\0\0"s)), "28000", message);
}

TEST_CASE("Other protocols are refused in PostgreSQL's words")
{
    check_refused(parse(packet(0x0004'0001, "user\0a\0\0"s)), "0A000",
                  "unsupported frontend protocol 4.1: server supports 3.0 to 3.2");
    const auto old = parse(packet(0x0002'0000, std::string(288, '\0')));
    check_refused(old, "0A000", "unsupported frontend protocol 2.0: server supports 3.0 to 3.2");
    CHECK(old.is_before_v3);
    CHECK_FALSE(parse(packet(0x0004'0000, "")).is_before_v3);
    CHECK(parse(packet(0, "")).is_before_v3);
}

TEST_CASE("A newer minor version or unknown protocol options are negotiated")
{
    const auto made =
        parse(packet(0x0003'270f, "user\0a\0_pq_.test_protocol_negotiation\0\0_pq_.b\0on\0\0"s));
    CHECK(made.what == what::startup_message);
    CHECK(made.minor == 9999);
    CHECK(made.needs_negotiation());
    CHECK(made.negotiated == std::vector<std::string>{"_pq_.test_protocol_negotiation", "_pq_.b"});
    CHECK(made.parameters.empty());
    CHECK(made.minor_served() == 2);
    CHECK(made.cancel_secret_bytes() == 32);
    CHECK(parse(packet(0x0003'0003, "user\0a\0\0"s)).needs_negotiation());
    CHECK(parse(packet(0x0003'0002, "user\0a\0_pq_.x\0\0\0"s)).needs_negotiation());
    SECTION("what we serve is not")
    {
        for (const std::uint32_t minor : {0U, 1U, 2U}) {
            const auto served = parse(packet(protocol_version_3_0 + minor, "user\0a\0\0"s));
            CHECK_FALSE(served.needs_negotiation());
            CHECK(served.minor_served() == minor);
            CHECK(served.cancel_secret_bytes() == (minor == 2 ? 32 : 4));
        }
    }
}

TEST_CASE("Replication is read as PostgreSQL does")
{
    const auto mode = [](std::string value) {
        return parse(v3("user\0a\0replication\0"s + value + "\0\0"s));
    };
    for (const auto* text : {"true", "on", "yes", "1", "t", "TRUE", "Y", "tr"}) {
        CHECK(mode(text).replication == replication_mode::physical);
    }
    for (const auto* text : {"false", "off", "no", "0", "f", "of", "N"}) {
        CHECK(mode(text).replication == replication_mode::none);
    }
    CHECK(mode("database").replication == replication_mode::database);
    CHECK(mode("database").is_replication());
    CHECK(mode("true").parameters.empty());
    for (const auto* text : {"", "o", "maybe", "Database", "2", "truest"}) {
        const auto made = mode(text);
        check_refused(made, "22023",
                      "invalid value for parameter \"replication\": \""s + text + "\"");
        CHECK(made.error.hint == "Valid values are: \"false\", 0, \"true\", 1, \"database\".");
    }
}

TEST_CASE("SSLRequest and GSSENCRequest may each come once")
{
    const auto ssl = packet(ssl_request_code, "");
    const auto gss = packet(gssenc_request_code, "");
    startup_parser parser;
    SECTION("in any order")
    {
        const auto first = parser.parse(as_byte_span(gss));
        CHECK(first.what == what::gssenc_request);
        CHECK(first.consumed == 8);
        CHECK(parser.parse(as_byte_span(ssl)).what == what::ssl_request);
        CHECK(parser.parse(as_byte_span(v3("user\0a\0\0"s))).what == what::startup_message);
    }
    SECTION("a second one is an unknown protocol")
    {
        CHECK(parser.parse(as_byte_span(ssl)).what == what::ssl_request);
        check_refused(parser.parse(as_byte_span(ssl)), "0A000",
                      "unsupported frontend protocol 1234.5679: server supports 3.0 to 3.2");
    }
    SECTION("none after encryption has started")
    {
        parser.encryption_started();
        CHECK(parser.parse(as_byte_span(ssl)).what == what::refused);
        CHECK(parser.parse(as_byte_span(gss)).what == what::refused);
    }
    SECTION("nothing may stand behind the code")
    {
        CHECK(parser.parse(as_byte_span(packet(ssl_request_code, "x"))).what == what::refused);
        CHECK(parser.parse(as_byte_span(packet(gssenc_request_code, "x"))).what == what::refused);
    }
}

TEST_CASE("A TLS handshake is only seen as the first byte of a connection")
{
    const auto hello = "\x16\x03\x01\x02\x00"s;
    startup_parser parser;
    CHECK(parser.parse(as_byte_span(hello.substr(0, 1))).what == what::direct_tls);
    CHECK(parser.parse(as_byte_span(hello)).consumed == 0);
    SECTION("not behind a refused SSLRequest")
    {
        CHECK(parser.parse(as_byte_span(packet(ssl_request_code, ""))).what == what::ssl_request);
        CHECK(parser.parse(as_byte_span(hello)).what == what::refused);
    }
    SECTION("not within TLS")
    {
        parser.encryption_started();
        CHECK(parser.parse(as_byte_span(hello)).what == what::refused);
    }
}

TEST_CASE("A cancel request has a key of 4 to 256 bytes")
{
    for (const std::size_t size : {4U, 32U, 256U}) {
        const auto bytes = packet(cancel_request_code, word(4711) + std::string(size, 'k'));
        const auto made = parse(bytes);
        CHECK(made.what == what::cancel_request);
        CHECK(made.consumed == bytes.size());
        CHECK(made.cancel_pid == 4711);
        CHECK(made.cancel_secret == std::vector<std::byte>(size, std::byte{'k'}));
    }
    for (const std::size_t size : {0U, 3U, 257U, 5'000U}) {
        check_refused(parse(packet(cancel_request_code, word(4711) + std::string(size, 'k'))),
                      "08P01", "invalid length of query cancel packet");
    }
    check_refused(parse(packet(cancel_request_code, "")), "08P01",
                  "invalid length of query cancel packet");
}

TEST_CASE("What we send to servers is what we would read")
{
    const startup_parameters parameters{{"application_name", "x"}, {"TimeZone", "UTC"}};
    const auto made = parse(startup_packet("alice", "shop", parameters));
    CHECK(made.user == "alice");
    CHECK(made.database == "shop");
    CHECK(made.parameters == parameters);
    message_buffer buffer;
    CHECK(parse(as_text(buffer.ssl_request().bytes())).what == what::ssl_request);
    buffer.clear();
    CHECK(parse(as_text(buffer.gssenc_request().bytes())).what == what::gssenc_request);
    buffer.clear();
    const auto secret = as_byte_span("abcd");
    const auto cancel = parse(as_text(buffer.cancel_request(77, secret).bytes()));
    CHECK(cancel.what == what::cancel_request);
    CHECK(cancel.cancel_pid == 77);
}

TEST_CASE("Random start-up bytes do no harm")
{
    std::mt19937 engine(5);
    const std::string pieces[] = {"user\0"s, "database\0"s, "replication\0"s,
                                  "true\0"s, "_pq_.x\0"s,   "\0"s,
                                  "x"s,      "TimeZone\0"s, "\xff\xfe"s};
    for (int round = 0; round != 30'000; ++round) {
        std::string fields;
        for (auto count = engine() % 12; count != 0; --count) fields += pieces[engine() % 9];
        auto bytes = v3(fields);
        if (engine() % 4 == 0) bytes[engine() % bytes.size()] = static_cast<char>(engine());
        if (engine() % 4 == 0) bytes.resize(engine() % (bytes.size() + 1));
        const auto made = parse(bytes);
        REQUIRE(made.consumed <= bytes.size());
        REQUIRE((made.what == what::refused) == !made.error.message.empty());
        if (made.what == what::startup_message) REQUIRE_FALSE(made.database.empty());
    }
}

}  // namespace
}  // namespace pgtorii::protocol
