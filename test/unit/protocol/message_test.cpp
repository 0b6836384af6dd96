#include "protocol/message.hpp"

#include "protocol/writer.hpp"

#include <catch2/catch.hpp>

#include <set>
#include <utility>

namespace pgtorii::protocol {
namespace {

error_code check_client(char type, std::uint32_t length)
{
    return check_client_header(frame_header{type, length});
}

error_code check_server(char type, std::uint32_t length)
{
    return check_server_header(frame_header{type, length});
}

TEST_CASE("Every message stands in the table once, with a possible length")
{
    std::set<std::pair<direction, char>> seen;
    for (const auto& row : message_table) {
        INFO(row.name);
        CHECK(seen.emplace(row.direction, row.type).second);
        CHECK(row.length.min >= 4);
        CHECK(row.length.min <= row.length.max);
        CHECK(name_of(row.direction, row.type) == row.name);
        const auto check = row.direction == direction::from_client ? check_client : check_server;
        CHECK_FALSE(check(row.type, row.length.min));
        CHECK_FALSE(check(row.type, row.length.max));
        CHECK(check(row.type, row.length.min - 1) == errc::length_too_small);
        CHECK(check(row.type, row.length.max + 1) == errc::length_too_big);
    }
}

TEST_CASE("Only known types have a header that passes")
{
    for (int value = 0; value != 256; ++value) {
        const char type = static_cast<char>(value);
        const auto* const from_client = find_message(direction::from_client, type);
        const auto* const from_server = find_message(direction::from_server, type);
        CHECK((check_client(type, 4) == errc::unknown_message_type) == (from_client == nullptr));
        CHECK((check_server(type, 4) == errc::unknown_message_type) == (from_server == nullptr));
    }
    CHECK(name_of(direction::from_client, 'Z') == "unknown message");
    CHECK(name_of(direction::from_client, 'D') == "Describe");
    CHECK(name_of(direction::from_server, 'D') == "DataRow");
}

TEST_CASE("Messages without a body have exactly none, large ones end at PostgreSQL's limit")
{
    for (const char type : {'S', 'H', 'X', 'c'}) {
        CHECK_FALSE(check_client(type, 4));
        CHECK(check_client(type, 3) == errc::length_too_small);
        CHECK(check_client(type, 5) == errc::length_too_big);
    }
    for (const char type : {'Q', 'P', 'B', 'd'}) {
        CHECK_FALSE(check_client(type, 0x3fff'ffff));
        CHECK(check_client(type, 0x4000'0000) == errc::length_too_big);
        CHECK(check_client(type, 0xffff'ffff) == errc::length_too_big);
    }
    CHECK(check_client('D', 10'001) == errc::length_too_big);
    CHECK(check_client('p', 65'536) == errc::length_too_big);
    CHECK(check_server('Z', 6) == errc::length_too_big);
    CHECK(check_server('K', 4 + 4 + 257) == errc::length_too_big);
}

TEST_CASE("A message is found when its last byte is there")
{
    message_buffer buffer;
    buffer.query("SELECT 1").sync();
    const auto all = buffer.bytes();
    const std::size_t query_size = all.size() - 5;
    for (std::size_t size = 0; size <= all.size(); ++size) {
        const auto present = all.first(size);
        CHECK(peek_header(present).has_value() == (size >= 5));
        CHECK(message_length(present, 100).has_value() == (size >= 5));
        const auto found = whole_message(present);
        REQUIRE(found.has_value() == (size >= query_size));
        if (!found) continue;
        CHECK(found->type == 'Q');
        CHECK(found->whole.size() == query_size);
        CHECK(found->body.size() == query_size - 5);
    }
}

TEST_CASE("A length is read with its limit")
{
    const auto length_of = [](std::uint32_t length, std::uint32_t limit) {
        const std::byte input[] = {std::byte{'Q'}, std::byte(length >> 24), std::byte(length >> 16),
                                   std::byte(length >> 8), std::byte(length)};
        return message_length(input, limit);
    };
    CHECK(length_of(4, 4).value() == 4);
    CHECK(length_of(0x01020304, 0x01020304).value() == 0x01020304);
    CHECK(length_of(3, 100).error() == errc::length_too_small);
    CHECK(length_of(0, 100).error() == errc::length_too_small);
    CHECK(length_of(101, 100).error() == errc::length_too_big);
    CHECK(length_of(0x8000'0000, 0x3fff'ffff).error() == errc::length_too_big);
    CHECK(message_length({}, 100).error() == errc::message_truncated);
}

TEST_CASE("Every error of the protocol has words of its own")
{
    std::set<std::string> texts;
    for (int value = 1; value <= static_cast<int>(errc::crypto_failed); ++value) {
        const auto text = error_code(static_cast<errc>(value)).message();
        CHECK(text != "unknown protocol error");
        CHECK(texts.insert(text).second);
    }
    CHECK(error_code(errc::bad_value).category().name() == std::string("pgtorii.protocol"));
}

}  // namespace
}  // namespace pgtorii::protocol
