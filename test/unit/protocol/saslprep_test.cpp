#include "protocol/saslprep.hpp"

#include <catch2/catch.hpp>

#include <random>
#include <string>

namespace pgtorii::protocol {
namespace {

using namespace std::string_literals;

TEST_CASE("Passwords are prepared as RFC 4013 says")
{
    CHECK(prepared_password("I\xc2\xadX") == "IX");                // soft hyphen
    CHECK(prepared_password("\xc2\xaa") == "a");                   // feminine ordinal
    CHECK(prepared_password("\xe2\x85\xa8") == "IX");              // Roman nine
    CHECK(prepared_password("a\xc2\xa0\xe1\x9a\x80z") == "a  z");  // spaces
    CHECK(prepared_password("u\xcc\x88") == "\xc3\xbc");           // composed
    CHECK(prepared_password("se\xc3\xb1or") == "se\xc3\xb1or");
    CHECK(prepared_password("\xef\xb7\xba").size() > 30);  // the one that grows most
}

TEST_CASE("What can't be prepared is used as it is, as PostgreSQL does")
{
    for (const auto& text :
         {""s, "user"s, "\x07"s, "a\tb\x7f"s,  // ASCII, whatever it is
          "\xc3\xb1\x07"s,                     // a control character
          "\xd8\xa7"
          "1"s,         // right to left, with a digit at the end
          "\xc8\xa1"s,  // unassigned in Unicode 3.2
          "\xc2\xad"s,  // nothing would be left
          "\xff"s, "a\xc3"s, "\xc0\x80"s, "\xed\xa0\x80"s, "\xf5\x80\x80\x80"s,  // no UTF-8
          "\xee\x80\x80"s,                                                       // private use
          "\xc3\xb1\0x"s}) {
        CHECK(prepared_password(text) == text);
    }
}

TEST_CASE("Preparing again changes nothing, and any bytes are legal")
{
    std::mt19937 random(8);
    for (int round = 0; round < 20'000; ++round) {
        std::string text;
        for (auto count = random() % 8; count != 0; --count) {
            const unsigned code = random() % 0x3100;
            if (random() % 20 == 0) {
                text += static_cast<char>(random());
            } else if (code < 0x80) {
                text += static_cast<char>(code);
            } else if (code < 0x800) {
                text += static_cast<char>(0xc0 | code >> 6);
                text += static_cast<char>(0x80 | (code & 63));
            } else {
                text += static_cast<char>(0xe0 | code >> 12);
                text += static_cast<char>(0x80 | (code >> 6 & 63));
                text += static_cast<char>(0x80 | (code & 63));
            }
        }
        const auto once = prepared_password(text);
        if (prepared_password(once) != once) FAIL(text);
    }
}

}  // namespace
}  // namespace pgtorii::protocol
