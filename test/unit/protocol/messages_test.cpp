// The messages that the writer builds, read back; each also cut at every byte, and random bytes.

#include "protocol/byte_reader.hpp"
#include "protocol/client_messages.hpp"
#include "protocol/server_messages.hpp"
#include "protocol/writer.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <array>
#include <memory>
#include <random>
#include <string>

namespace pgtorii::protocol {
namespace {

using namespace std::string_literals;

/// The body of the only message in the buffer, in memory of exactly its size, so that the address
/// sanitizer sees each byte that is read outside of it.
class exact_body {
public:
    exact_body(std::span<const std::byte> bytes) : size_(bytes.size())
    {
        bytes_ = std::make_unique<std::byte[]>(size_);
        std::copy(bytes.begin(), bytes.end(), bytes_.get());
    }
    exact_body(const message_buffer& buffer) : exact_body(body_of(buffer)) {}

    operator std::span<const std::byte>() const { return {bytes_.get(), size_}; }
    std::span<const std::byte> span() const { return *this; }

private:
    static std::span<const std::byte> body_of(const message_buffer& buffer)
    {
        const auto message = whole_message(buffer.bytes());
        REQUIRE(message);
        REQUIRE(message->whole.size() == buffer.size());
        return message->body;
    }

    std::unique_ptr<std::byte[]> bytes_;
    std::size_t size_;
};

/// No proper beginning of a body, and no body with a byte more, is that message.
template <class Reader>
void check_cuts(const message_buffer& buffer, Reader read)
{
    const exact_body body(buffer);
    const auto all = body.span();
    CHECK(read(all).has_value());
    for (std::size_t size = 0; size != all.size(); ++size) {
        const exact_body cut(all.first(size));
        INFO("cut after " << size << " of " << all.size());
        CHECK(read(cut.span()).has_error());
    }
    std::vector<std::byte> longer(all.begin(), all.end());
    longer.push_back(std::byte{0});
    CHECK(read(exact_body(longer).span()).error() == errc::trailing_bytes);
}

TEST_CASE("Query, Parse and CopyFail")
{
    message_buffer buffer;
    SECTION("Query")
    {
        buffer.query("SELECT 1");
        CHECK(read_query(exact_body(buffer)).value() == "SELECT 1");
        check_cuts(buffer, read_query);
    }
    SECTION("an empty Query")
    {
        buffer.query("");
        CHECK(read_query(exact_body(buffer)).value().empty());
    }
    SECTION("text ends at its first zero byte")
    {
        buffer.query("SELECT 1\0; DROP TABLE t"s);
        CHECK(read_query(exact_body(buffer)).value() == "SELECT 1");
    }
    SECTION("Parse")
    {
        const std::array<std::uint32_t, 2> types{23, 0x8000'0001};
        buffer.parse("s1", "SELECT $1, $2", types);
        const exact_body body(buffer);
        const auto found = read_parse(body).value();
        CHECK(found.statement == "s1");
        CHECK(found.query == "SELECT $1, $2");
        CHECK(found.type_count == 2);
        CHECK(found.type(0) == 23);
        CHECK(found.type(1) == 0x8000'0001);
        check_cuts(buffer, read_parse);
    }
    SECTION("CopyFail")
    {
        buffer.copy_fail("enough");
        CHECK(read_copy_fail(exact_body(buffer)).value() == "enough");
        check_cuts(buffer, read_copy_fail);
    }
    SECTION("PasswordMessage")
    {
        buffer.password_message("secret");
        CHECK(read_password(exact_body(buffer)).value() == "secret");
        check_cuts(buffer, read_password);
    }
    SECTION("SASLInitialResponse")
    {
        buffer.sasl_initial_response("SCRAM-SHA-256", "n,,n=,r=x");
        const exact_body body(buffer);
        const auto found = read_sasl_initial_response(body).value();
        CHECK(found.mechanism == "SCRAM-SHA-256");
        CHECK(found.data == "n,,n=,r=x");
        check_cuts(buffer, read_sasl_initial_response);
        const auto of = [](std::string_view body) {
            return read_sasl_initial_response(as_byte_span(body));
        };
        CHECK_FALSE(of("X\0\xff\xff\xff\xff"s).value().data);
        CHECK(of("X\0\0\0\0\0"s).value().data == "");
        CHECK(of("X\0\xff\xff\xff\xffy"s).error() == errc::trailing_bytes);
        CHECK(of("X\0\xff\xff\xff\xfey"s).error() == errc::message_truncated);
        CHECK(of("X\0\x7f\xff\xff\xffy"s).error() == errc::message_truncated);
        CHECK(of("X\0\0\0\0\1yz"s).error() == errc::trailing_bytes);
        CHECK(of(std::string(1'025, 'x')).error() == errc::length_too_big);
    }
    SECTION("SASLResponse")
    {
        buffer.sasl_response("c=biws");
        CHECK(read_sasl_response(exact_body(buffer)).value() == "c=biws");
        CHECK(read_sasl_response(as_byte_span(std::string(1'024, 'x'))));
        CHECK_FALSE(read_sasl_response(as_byte_span(std::string(1'025, 'x'))));
    }
}

TEST_CASE("Bind")
{
    message_buffer buffer;
    SECTION("as we send it")
    {
        const std::array<std::optional<std::string_view>, 3> values{"1", std::nullopt, ""};
        buffer.bind("p", "s", values);
        const exact_body body(buffer);
        const auto found = read_bind(body).value();
        CHECK(found.portal == "p");
        CHECK(found.statement == "s");
        CHECK(found.parameter_count == 3);
        check_cuts(buffer, read_bind);
    }
    const auto read = [](const std::string& body) {
        return read_bind(exact_body(as_byte_span(body)));
    };
    const auto value = "\0\0\0\1x"s;
    SECTION("formats: none, one for all, one for each")
    {
        CHECK(read("\0s\0"s + "\0\0"s + "\0\2"s + value + value + "\0\0"s).has_value());
        CHECK(read("\0s\0"s + "\0\1\0\1"s + "\0\2"s + value + value + "\0\1\0\1"s).has_value());
        CHECK(read("\0s\0"s + "\0\2\0\1\0\0"s + "\0\2"s + value + value + "\0\3\0\1\0\0\0\1"s)
                  .has_value());
        CHECK(read("\0s\0"s + "\0\1\0\1"s + "\0\0"s + "\0\0"s).has_value());
    }
    SECTION("formats that don't fit the values")
    {
        CHECK(read("\0s\0"s + "\0\2\0\1\0\0"s + "\0\1"s + value + "\0\0"s).error() ==
              errc::bad_count);
        CHECK(
            read("\0s\0"s + "\0\2\0\1\0\0"s + "\0\3"s + value + value + value + "\0\0"s).error() ==
            errc::bad_count);
    }
    SECTION("a value longer than the message")
    {
        CHECK(read("\0s\0"s + "\0\0"s + "\0\1"s + "\0\0\0\7x"s + "\0\0"s).error() ==
              errc::message_truncated);
        CHECK(read("\0s\0"s + "\0\0"s + "\0\1"s + "\x7f\xff\xff\xff"s + "\0\0"s).error() ==
              errc::message_truncated);
        CHECK(read("\0s\0"s + "\0\0"s + "\xff\xff"s + value).error() == errc::message_truncated);
    }
}

TEST_CASE("Describe, Close, Execute and FunctionCall")
{
    message_buffer buffer;
    SECTION("Describe a statement")
    {
        buffer.describe_statement("s1");
        const exact_body body(buffer);
        CHECK(read_describe(body).value().kind == 'S');
        CHECK(read_describe(body).value().name == "s1");
        check_cuts(buffer, read_describe);
    }
    SECTION("Describe a portal")
    {
        buffer.describe_portal("");
        CHECK(read_describe(exact_body(buffer)).value().kind == 'P');
    }
    SECTION("Close")
    {
        buffer.close_portal("p1");
        const exact_body body(buffer);
        CHECK(read_close(body).value().kind == 'P');
        CHECK(read_close(body).value().name == "p1");
        buffer.clear();
        buffer.close_statement("s");
        CHECK(read_close(exact_body(buffer)).value().kind == 'S');
        check_cuts(buffer, read_close);
    }
    SECTION("an unknown kind")
    {
        CHECK(read_close(exact_body(as_byte_span("Xs\0"s))).error() == errc::bad_value);
    }
    SECTION("Execute")
    {
        buffer.execute("p", 0x0102'0304);
        const exact_body body(buffer);
        CHECK(read_execute(body).value().portal == "p");
        CHECK(read_execute(body).value().row_count_max == 0x0102'0304);
        check_cuts(buffer, read_execute);
    }
    SECTION("FunctionCall")
    {
        const auto bytes = "\0\0\4\xd2\0\1\0\1\0\2\0\0\0\1x\xff\xff\xff\xff\0\1"s;
        CHECK(read_function_call(exact_body(as_byte_span(bytes))).value().function_oid == 1234);
        for (std::size_t size = 0; size != bytes.size(); ++size) {
            CHECK(read_function_call(exact_body(as_byte_span(bytes.substr(0, size)))).has_error());
        }
    }
}

pg_error sample_error()
{
    pg_error error;
    error.sqlstate = "42601";
    error.message = "syntax error";
    error.detail = "near the end";
    error.hint = "try again";
    return error;
}

TEST_CASE("ErrorResponse and NoticeResponse")
{
    message_buffer buffer;
    SECTION("with all fields")
    {
        buffer.error_response(sample_error());
        const exact_body body(buffer);
        const auto fields = read_error(body);
        CHECK(fields.severity == "ERROR");
        CHECK(fields.severity_localized == "ERROR");
        CHECK(fields.sqlstate == "42601");
        CHECK(fields.message == "syntax error");
        CHECK(fields.detail == "near the end");
        CHECK(fields.hint == "try again");
        CHECK_FALSE(fields.is_fatal());
        CHECK(fields.to_error().hint == "try again");
    }
    SECTION("without detail and hint")
    {
        auto error = sample_error();
        error.severity = "WARNING";
        error.detail.clear();
        error.hint.clear();
        buffer.notice_response(error);
        CHECK(buffer.bytes()[0] == std::byte{'N'});
        const exact_body body(buffer);
        const auto fields = read_error(body);
        CHECK(fields.severity == "WARNING");
        CHECK_FALSE(fields.detail);
        CHECK_FALSE(fields.hint);
        CHECK(fields.to_error().detail.empty());
    }
    SECTION("fields may be missing, unknown or broken off")
    {
        CHECK_FALSE(read_error(exact_body(as_byte_span("\0"s))).sqlstate);
        CHECK(read_error(exact_body(as_byte_span("?x\0M"s + "m\0\0"s))).message == "m");
        const std::string_view broken = "C42601";
        CHECK_FALSE(read_error(exact_body(as_byte_span(broken))).sqlstate);
        const auto half = "C42601\0Mhalf"s;
        const exact_body body(as_byte_span(half));
        CHECK(read_error(body).sqlstate == "42601");
        CHECK_FALSE(read_error(body).message);
    }
    SECTION("for old clients it is a type and a text")
    {
        auto error = sample_error();
        error.severity = "FATAL";
        buffer.error_response_before_v3(error);
        CHECK(as_text(buffer.bytes()) == "EFATAL:  syntax error\n\0"s);
    }
}

TEST_CASE("The severity that is never localized decides what is fatal")
{
    const auto is_fatal = [](const std::string& body) {
        return is_fatal_error(exact_body(as_byte_span(body)));
    };
    CHECK(is_fatal("SFATAL\0VFATAL\0C57P01\0Mx\0\0"s));
    CHECK(is_fatal("SPANIK\0VPANIC\0\0"s));
    CHECK(is_fatal("SFATAL\0C57P01\0\0"s));
    CHECK(is_fatal("SFATAL\0VFATAL\0C57P"s));
    CHECK(is_fatal("SPANIC\0C57P"s));
    CHECK_FALSE(is_fatal("SERROR\0VERROR\0C42601\0\0"s));
    CHECK_FALSE(is_fatal("SFATAL\0VERROR\0\0"s));
    CHECK_FALSE(is_fatal("SERROR\0MFATAL\0\0"s));
    CHECK_FALSE(is_fatal("SFATA"s));
    CHECK_FALSE(is_fatal(""s));
}

TEST_CASE("What a server says about itself")
{
    message_buffer buffer;
    SECTION("ParameterStatus")
    {
        buffer.parameter_status("TimeZone", "UTC");
        const exact_body body(buffer);
        CHECK(read_parameter_status(body).value().name == "TimeZone");
        CHECK(read_parameter_status(body).value().value == "UTC");
        check_cuts(buffer, read_parameter_status);
    }
    SECTION("BackendKeyData, also with a long key")
    {
        const std::size_t size = GENERATE(4U, 32U, 256U);
        const std::vector<std::byte> secret(size, std::byte{7});
        buffer.backend_key_data(0x8000'0001, secret);
        const exact_body body(buffer);
        const auto found = read_backend_key_data(body).value();
        CHECK(found.pid == 0x8000'0001);
        CHECK(std::equal(found.secret.begin(), found.secret.end(), secret.begin(), secret.end()));
        CHECK_FALSE(check_server_header(*peek_header(buffer.bytes())));
    }
    SECTION("BackendKeyData with a key that can't be")
    {
        for (const std::size_t size : {0U, 4U, 7U}) {
            const std::vector<std::byte> body(size);
            CHECK(read_backend_key_data(exact_body(body)).error() == errc::message_truncated);
        }
        const std::vector<std::byte> body(4 + 257);
        CHECK(read_backend_key_data(exact_body(body)).error() == errc::length_too_big);
    }
    SECTION("CommandComplete")
    {
        buffer.command_complete("INSERT 0 1");
        CHECK(read_command_complete(exact_body(buffer)).value() == "INSERT 0 1");
        check_cuts(buffer, read_command_complete);
    }
    SECTION("ReadyForQuery")
    {
        const char status = GENERATE('I', 'T', 'E');
        buffer.ready_for_query(status);
        CHECK(read_ready_for_query(exact_body(buffer)).value() == status);
        check_cuts(buffer, read_ready_for_query);
        CHECK(read_ready_for_query(exact_body(as_byte_span("X"))).error() == errc::bad_value);
    }
    SECTION("NegotiateProtocolVersion")
    {
        const std::array<std::string, 2> options{"_pq_.a", "_pq_.b"};
        buffer.negotiate_protocol_version(0, options);
        const auto found = read_negotiate_protocol_version(exact_body(buffer)).value();
        CHECK(found.version == 196'608);
        CHECK(found.option_count == 2);
        check_cuts(buffer, read_negotiate_protocol_version);
    }
}

TEST_CASE("Authentication requests")
{
    message_buffer buffer;
    const auto read = [&buffer] {
        static std::unique_ptr<exact_body> kept;
        kept = std::make_unique<exact_body>(buffer);
        return read_authentication(*kept).value();
    };
    SECTION("plain ones")
    {
        buffer.authentication_ok();
        CHECK(read().is(authentication_code::ok));
        buffer.clear();
        buffer.authentication_cleartext_password();
        CHECK(read().is(authentication_code::cleartext_password));
        CHECK(read_authentication({}).has_error());
    }
    SECTION("MD5 has a salt of four bytes")
    {
        const std::array<std::byte, 4> salt{std::byte{1}, std::byte{0}, std::byte{255},
                                            std::byte{4}};
        buffer.authentication_md5_password(salt);
        const auto found = read();
        CHECK(read_md5_salt(found).value() == salt);
        auto bad = found;
        bad.rest = found.rest.first(3);
        CHECK(read_md5_salt(bad).error() == errc::message_truncated);
        bad.code = 3;
        CHECK(read_md5_salt(bad).error() == errc::bad_value);
    }
    SECTION("SASL lists its mechanisms")
    {
        const std::array<std::string_view, 2> names{"SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"};
        buffer.authentication_sasl(names);
        const auto found = read();
        const auto mechanisms = read_sasl_mechanisms(found).value();
        CHECK(mechanisms.count == 2);
        CHECK(mechanisms.contains("SCRAM-SHA-256"));
        CHECK_FALSE(mechanisms.contains("SCRAM-SHA-1"));
        CHECK_FALSE(mechanisms.contains(""));
        for (std::size_t size = 0; size != found.rest.size(); ++size) {
            auto cut = found;
            cut.rest = found.rest.first(size);
            CHECK(read_sasl_mechanisms(cut).has_error());
        }
    }
    SECTION("too many mechanisms")
    {
        const std::vector<std::string_view> names(17, "X");
        buffer.authentication_sasl(names);
        CHECK(read_sasl_mechanisms(read()).error() == errc::bad_count);
    }
    SECTION("SASL data")
    {
        buffer.authentication_sasl_continue("r=x");
        CHECK(read().is(authentication_code::sasl_continue));
        CHECK(as_text(read().rest) == "r=x");
        buffer.clear();
        buffer.authentication_sasl_final("v=x");
        CHECK(read().is(authentication_code::sasl_final));
    }
}

TEST_CASE("Every message that the writer builds has a header that passes")
{
    message_buffer server;
    const std::array<std::string, 1> row{"value"};
    const std::array<std::optional<std::string_view>, 2> values{"value", std::nullopt};
    const std::array<std::uint32_t, 1> types{23};
    server.row_description({"a", "b"}).data_row(row).data_row(values).empty_query_response();
    server.parse_complete().bind_complete().close_complete().no_data().portal_suspended();
    server.parameter_description(types).command_complete("SELECT 1").ready_for_query('I');
    server.error_response(sample_error()).notice_response(sample_error()).authentication_ok();
    message_buffer client;
    client.query("x").parse("", "x").bind("", "").describe_statement("").execute("").sync();
    client.close_statement("").close_portal("").flush().copy_data(as_byte_span("1")).copy_done();
    client.copy_fail("").password_message("").sasl_response("x").terminate();
    client.sasl_initial_response("SCRAM-SHA-256", "n,,n=,r=x").describe_portal("");
    const auto count = [](const message_buffer& buffer, auto check) {
        auto rest = buffer.bytes();
        std::size_t messages = 0;
        for (; !rest.empty(); ++messages) {
            const auto message = whole_message(rest);
            REQUIRE(message);
            INFO(message->type);
            CHECK_FALSE(check(*peek_header(rest)));
            rest = rest.subspan(message->whole.size());
        }
        return messages;
    };
    CHECK(count(server, check_server_header) == 15);
    CHECK(count(client, check_client_header) == 17);
}

TEST_CASE("The quick look at a header agrees with the one that says why")
{
    for (int type = 0; type < 256; ++type) {
        for (const std::uint32_t length :
             {0U, 1U, 3U, 4U, 5U, 6U, 8U, 12U, 9'999U, 10'001U, 65'535U, 65'536U, 0x3fff'ffffU,
              0x4000'0000U, 0xffff'ffffU}) {
            const frame_header header{static_cast<char>(type), length};
            INFO(type << ' ' << length);
            CHECK(is_possible(client_lengths, header) == !check_client_header(header));
            CHECK(is_possible(server_lengths, header) == !check_server_header(header));
        }
    }
}

TEST_CASE("The bytes of messages are PostgreSQL's")
{
    message_buffer buffer;
    const auto bytes = [&buffer] { return std::string(as_text(buffer.bytes())); };
    SECTION("rows")
    {
        buffer.row_description({"a"});
        CHECK(bytes() == "T\0\0\0\x1a\0\1a\0\0\0\0\0\0\0\0\0\0\x19\xff\xff\xff\xff\xff\xff\0\0"s);
        buffer.clear();
        const std::array<std::optional<std::string_view>, 2> values{"xy", std::nullopt};
        buffer.data_row(values);
        CHECK(bytes() == "D\0\0\0\x10\0\2\0\0\0\2xy\xff\xff\xff\xff"s);
    }
    SECTION("SASL")
    {
        buffer.sasl_initial_response("M", "data");
        CHECK(bytes() == "p\0\0\0\x0eM\0\0\0\0\4data"s);
    }
    SECTION("messages that are ready are taken over")
    {
        buffer.raw(as_byte_span("S\0\0\0\4"s)).sync();
        CHECK(bytes() == "S\0\0\0\4S\0\0\0\4"s);
        CHECK(buffer.take().size() == 10);
        CHECK(buffer.is_empty());
    }
    SECTION("a password is wiped")
    {
        buffer.password_message("secret").wipe();
        CHECK(buffer.is_empty());
    }
}

TEST_CASE("Readers stay within random bodies")
{
    std::mt19937 engine(3);
    for (int round = 0; round != 40'000; ++round) {
        std::vector<std::byte> bytes(engine() % 40);
        // Mostly small numbers, so that counts and lengths are plausible.
        for (auto& each : bytes) each = std::byte(engine() % 3 == 0 ? engine() : engine() % 4);
        const exact_body body(bytes);
        const auto all = body.span();
        const auto is_inside = [all](std::string_view text) {
            const auto* const begin = reinterpret_cast<const char*>(all.data());
            return text.data() >= begin && text.data() + text.size() <= begin + all.size();
        };
        if (const auto found = read_query(all)) REQUIRE(is_inside(*found));
        if (const auto found = read_parse(all)) {
            REQUIRE(is_inside(found->query));
            REQUIRE(found->types.size() == std::size_t{found->type_count} * 4);
        }
        if (const auto found = read_bind(all)) REQUIRE(is_inside(found->statement));
        if (const auto found = read_describe(all)) REQUIRE(is_inside(found->name));
        if (const auto found = read_execute(all)) REQUIRE(is_inside(found->portal));
        if (const auto found = read_parameter_status(all)) REQUIRE(is_inside(found->value));
        if (const auto found = read_backend_key_data(all)) REQUIRE(found->secret.size() >= 4);
        if (const auto found = read_function_call(all)) REQUIRE(all.size() >= 10);
        if (const auto found = read_negotiate_protocol_version(all)) REQUIRE(all.size() >= 8);
        if (const auto found = read_authentication(all)) {
            REQUIRE(found->rest.size() + 4 == all.size());
            const authentication_message sasl{10, found->rest};
            if (const auto list = read_sasl_mechanisms(sasl)) {
                REQUIRE(list->count <= sasl_mechanisms::count_max);
            }
        }
        const auto fields = read_error(all);
        if (fields.message) REQUIRE(is_inside(*fields.message));
        REQUIRE((!is_fatal_error(all) || all.size() > 5));
    }
}

}  // namespace
}  // namespace pgtorii::protocol

TEST_CASE("Results have one shape when their columns' names and types are the same")
{
    using namespace pgtorii::protocol;
    message_buffer out;
    const auto shape = [&out](std::initializer_list<std::string_view> columns) {
        out.clear();
        out.row_description(columns);
        return shape_of_row(out.bytes().subspan(5));
    };
    const auto one = shape({"a", "b"});
    CHECK(one > 1);
    CHECK(shape({"a", "b"}) == one);
    CHECK(shape({"b", "a"}) != one);
    CHECK(shape({"a"}) != one);
    CHECK(shape({}) > 1);
    out.clear();
    out.row_description({"a", "b"});
    std::vector<std::byte> body(out.bytes().begin() + 5, out.bytes().end());
    for (std::size_t at = 0; at < body.size(); ++at) {
        INFO(at);
        CHECK(shape_of_row(std::span{body}.first(at)) == 0);
    }
    // Of the first column, behind two bytes of count and its name: its table (4 bytes) and number
    // (2) make no difference, its type (4), size (2) and modifier (4) do, its format (2) doesn't.
    for (std::size_t at = 4; at < 4 + 18; ++at) {
        INFO(at);
        auto changed = body;
        changed[at] ^= std::byte{1};
        const bool is_of_type = at >= 10 && at < 20;
        CHECK((shape_of_row(changed) == one) == !is_of_type);
    }
}
