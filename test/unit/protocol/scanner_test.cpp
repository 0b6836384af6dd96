#include "protocol/scanner.hpp"

#include <catch2/catch.hpp>

#include <random>
#include <vector>

namespace pgtorii::protocol {
namespace {

struct seen_message {
    char type;
    std::uint32_t length;
    std::size_t place;  // in the whole stream
    friend bool operator==(const seen_message&, const seen_message&) = default;
};

void append(std::vector<std::byte>& stream, char type, std::uint32_t length)
{
    stream.push_back(std::byte(type));
    for (int shift = 24; shift >= 0; shift -= 8) stream.push_back(std::byte(length >> shift));
    // A body that looks like headers with absurd lengths.
    stream.insert(stream.end(), length < 4 ? 0 : length - 4, std::byte{0xff});
}

/// Reads a stream cut at `cuts`, as a session does: what was not looked at comes again. Messages of
/// up to `hold_max` bytes are wanted whole.
std::vector<seen_message> scan_in_pieces(const std::vector<std::byte>& stream,
                                         const std::vector<std::size_t>& cuts, std::size_t hold_max)
{
    std::vector<seen_message> seen;
    frame_scanner scanner;
    std::size_t begin = 0;  // of what the scanner has not seen or wants again
    for (const std::size_t end : cuts) {
        const auto piece = std::span(stream).subspan(begin, end - begin);
        scanner.feed(piece);
        scanned_frame frame;
        scan found = scan::exhausted;
        while ((found = scanner.next(frame)) == scan::found) {
            if (!frame.is_complete && frame.total() <= hold_max) {
                scanner.hold(frame);
                continue;
            }
            CHECK(frame.is_complete == (begin + frame.end() <= end));
            seen.push_back({frame.type, frame.length, begin + frame.offset});
        }
        REQUIRE(found == scan::exhausted);
        REQUIRE(scanner.position() <= piece.size());
        if (hold_max == 0) REQUIRE(piece.size() - scanner.position() < frame_header::size);
        begin += scanner.position();
    }
    CHECK(begin == stream.size());
    CHECK(scanner.skip() == 0);
    return seen;
}

TEST_CASE("A stream cut at any byte has the same messages")
{
    std::vector<std::byte> stream;
    std::vector<seen_message> expected;
    for (const std::uint32_t length : {4U, 30U, 4U, 5U, 9U, 300U, 4U, 17U}) {
        expected.push_back({'D', length, stream.size()});
        append(stream, 'D', length);
    }
    const std::size_t hold_max = GENERATE(0U, 20U, 1'000U);
    SECTION("in two")
    {
        for (std::size_t cut = 0; cut <= stream.size(); ++cut) {
            CHECK(scan_in_pieces(stream, {cut, stream.size()}, hold_max) == expected);
        }
    }
    SECTION("byte by byte")
    {
        std::vector<std::size_t> cuts;
        for (std::size_t cut = 1; cut <= stream.size(); ++cut) cuts.push_back(cut);
        CHECK(scan_in_pieces(stream, cuts, hold_max) == expected);
    }
    SECTION("in one")
    {
        CHECK(scan_in_pieces(stream, {stream.size()}, hold_max) == expected);
    }
}

TEST_CASE("Random streams in random pieces have the same messages")
{
    std::mt19937 engine(11);
    for (int round = 0; round != 2'000; ++round) {
        std::vector<std::byte> stream;
        std::vector<seen_message> expected;
        for (auto count = engine() % 20; count != 0; --count) {
            const std::uint32_t length = 4 + engine() % 60;
            const char type = "DTCZd"[engine() % 5];
            expected.push_back({type, length, stream.size()});
            append(stream, type, length);
        }
        std::vector<std::size_t> cuts;
        for (std::size_t at = 0; at < stream.size(); at += 1 + engine() % 40) cuts.push_back(at);
        cuts.push_back(stream.size());
        REQUIRE(scan_in_pieces(stream, cuts, engine() % 80) == expected);
    }
}

TEST_CASE("A piece tells which bytes belong to an earlier message")
{
    std::vector<std::byte> stream;
    append(stream, 'D', 104);
    append(stream, 'Z', 5);
    frame_scanner scanner;
    scanned_frame frame;
    scanner.feed(std::span(stream).first(50));
    CHECK(scanner.next(frame) == scan::found);
    CHECK_FALSE(frame.is_complete);
    CHECK(scanner.next(frame) == scan::exhausted);
    CHECK(scanner.skip() == 55);
    scanner.feed(std::span(stream).subspan(50, 20));
    CHECK(scanner.continued() == 20);
    CHECK(scanner.next(frame) == scan::exhausted);
    scanner.feed(std::span(stream).subspan(70));
    CHECK(scanner.continued() == 35);
    CHECK(scanner.next(frame) == scan::found);
    CHECK(frame.type == 'Z');
    CHECK(frame.offset == 35);
    CHECK(frame.is_complete);
}

TEST_CASE("A length that can't be ends the scan")
{
    std::vector<std::byte> stream;
    append(stream, 'C', 6);
    const auto length = GENERATE(0U, 3U, 0x4000'0000U, 0xffff'ffffU);
    stream.push_back(std::byte{'D'});
    for (int shift = 24; shift >= 0; shift -= 8) stream.push_back(std::byte(length >> shift));

    frame_scanner scanner;
    scanned_frame frame;
    scanner.feed(stream);
    CHECK(scanner.next(frame) == scan::found);
    CHECK(scanner.next(frame) == scan::bad_length);
    CHECK(scanner.next(frame) == scan::bad_length);
}

TEST_CASE("A scanner can go on in the middle of a message")
{
    std::vector<std::byte> stream(7, std::byte{0xff});
    append(stream, 'Z', 5);
    frame_scanner scanner;
    scanner.set_skip(7);
    scanner.feed(stream);
    scanned_frame frame;
    CHECK(scanner.next(frame) == scan::found);
    CHECK(frame.offset == 7);
}

}  // namespace
}  // namespace pgtorii::protocol
