#include "config/ip_address.hpp"

#include <catch2/catch.hpp>

#include <random>

using namespace pgtorii::config;

namespace {

ip_address address(const char* text)
{
    const auto parsed = ip_address::parse(text);
    if (!parsed) FAIL(text);
    return *parsed;
}

}  // namespace

TEST_CASE("Addresses are numbers in the one right form")
{
    CHECK(address("10.1.2.3").to_text() == "10.1.2.3");
    CHECK(address("::1").to_text() == "::1");
    CHECK(address("2001:DB8::a").to_text() == "2001:db8::a");
    CHECK(address("fe80::1%eth0").to_text() == "fe80::1");
    for (const auto* wrong : {"", "10.1.2", "10.1.2.256", "010.1.2.3", "10.1.2.3 ", "localhost",
                              "::g", "1:2", "%eth0", "10.1.2.3%eth0"}) {
        INFO(wrong);
        CHECK_FALSE(ip_address::parse(wrong));
    }
    CHECK_FALSE(ip_address::parse(std::string(200, '1')));
    CHECK_FALSE(ip_address::parse(std::string_view("10.1.2.3\0", 9)));
}

TEST_CASE("An IPv4 address in IPv6 form is an IPv4 address")
{
    CHECK(address("::ffff:10.1.2.3") == address("10.1.2.3"));
    CHECK(address("::ffff:10.1.2.3").is_ipv4());
    CHECK_FALSE(address("::10.1.2.3").is_ipv4());
    const std::array<std::uint8_t, 16> bytes{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 10, 1, 2, 3};
    CHECK(ip_address{bytes} == address("10.1.2.3"));
}

TEST_CASE("A network holds what is equal under its mask")
{
    const auto of = [](const char* base, unsigned prefix) {
        return ip_network::of_prefix(address(base), prefix);
    };
    CHECK(of("10.1.0.0", 16)->contains(address("10.1.255.1")));
    CHECK(of("10.1.2.3", 16)->contains(address("10.1.255.1")));
    CHECK_FALSE(of("10.1.0.0", 16)->contains(address("10.2.0.0")));
    CHECK(of("0.0.0.0", 0)->contains(address("255.255.255.255")));
    CHECK_FALSE(of("0.0.0.0", 0)->contains(address("::1")));
    CHECK_FALSE(of("::", 0)->contains(address("10.1.2.3")));
    CHECK(of("::", 0)->contains(address("ffff::")));
    CHECK_FALSE(of("10.1.0.0", 33));
    CHECK(of("::1", 128));
    CHECK_FALSE(of("::1", 129));
    CHECK(ip_network::of_prefix(address("::ffff:10.0.0.0"), 104, true) == of("10.0.0.0", 8));
    CHECK_FALSE(ip_network::of_prefix(address("::ffff:10.0.0.0"), 8, true));
    CHECK_FALSE(ip_network::of_mask(address("::1"), address("255.255.255.0")));
    CHECK(ip_network::of_mask(address("10.0.0.0"), address("255.0.0.0")) == of("10.0.0.0", 8));
}

TEST_CASE("Prefixes agree with whole numbers")
{
    std::mt19937 random(11);
    for (int round = 0; round < 20'000; ++round) {
        const std::uint32_t a = static_cast<std::uint32_t>(random());
        const unsigned flipped = static_cast<unsigned>(random() % 33);
        const std::uint32_t b = flipped == 32 ? a : a ^ (1U << flipped);
        const unsigned prefix = static_cast<unsigned>(random() % 33);
        const auto of = [](std::uint32_t value) {
            const std::array<std::uint8_t, 4> bytes{
                static_cast<std::uint8_t>(value >> 24), static_cast<std::uint8_t>(value >> 16),
                static_cast<std::uint8_t>(value >> 8), static_cast<std::uint8_t>(value)};
            return ip_address{bytes};
        };
        const bool is_within = prefix == 0 || (a >> (32 - prefix)) == (b >> (32 - prefix));
        if (ip_network::of_prefix(of(a), prefix)->contains(of(b)) != is_within) FAIL(prefix);
    }
}
