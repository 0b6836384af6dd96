#include "config/ip_address.hpp"

#include <algorithm>
#include <arpa/inet.h>

namespace pgtorii::config {
namespace {

constexpr std::array<std::uint8_t, 12> mapped_head{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
constexpr std::size_t text_bytes_max = 64;  // the longest address has 45

}  // namespace

ip_address::ip_address(std::span<const std::uint8_t, ipv4_bytes> ipv4)
{
    std::ranges::copy(ipv4, bytes_.begin());
}

ip_address::ip_address(std::span<const std::uint8_t, ipv6_bytes> ipv6)
    : is_ipv4_(std::ranges::equal(ipv6.first(mapped_head.size()), mapped_head))
{
    std::ranges::copy(ipv6.subspan(is_ipv4_ ? mapped_head.size() : 0), bytes_.begin());
}

std::optional<ip_address> ip_address::parse(std::string_view text)
{
    if (text.size() > text_bytes_max || text.find('\0') != text.npos) return std::nullopt;
    const bool is_ipv6 = text.find(':') != text.npos;
    if (is_ipv6) text = text.substr(0, text.find('%'));
    const std::string terminated(text);
    std::array<std::uint8_t, ipv6_bytes> bytes{};
    if (::inet_pton(is_ipv6 ? AF_INET6 : AF_INET, terminated.c_str(), bytes.data()) != 1)
        return std::nullopt;
    if (is_ipv6) return ip_address{bytes};
    return ip_address{std::span<const std::uint8_t, ipv4_bytes>{bytes.data(), ipv4_bytes}};
}

std::string ip_address::to_text() const
{
    std::array<char, text_bytes_max> text{};
    ::inet_ntop(is_ipv4_ ? AF_INET : AF_INET6, bytes_.data(), text.data(), text.size());
    return text.data();
}

ip_network::ip_network(const ip_address& address, std::span<const std::uint8_t> mask)
    : address_(address)
{
    std::ranges::copy(mask, mask_.begin());
}

std::optional<ip_network> ip_network::of_prefix(const ip_address& address, unsigned prefix,
                                                bool is_mapped)
{
    constexpr unsigned mapped_bits = 96;
    if (address.is_ipv4() && is_mapped) {
        // A wider one takes in other IPv6 addresses, and nobody means that.
        if (prefix < mapped_bits) return std::nullopt;
        prefix -= mapped_bits;
    }
    const auto bytes = address.bytes().size();
    if (prefix > bytes * 8) return std::nullopt;
    std::array<std::uint8_t, ip_address::ipv6_bytes> mask{};
    for (unsigned bit = 0; bit < prefix; ++bit)
        mask[bit / 8] = static_cast<std::uint8_t>(mask[bit / 8] | (0x80U >> (bit % 8)));
    return ip_network{address, std::span{mask}.first(bytes)};
}

std::optional<ip_network> ip_network::of_mask(const ip_address& address, const ip_address& mask)
{
    if (address.is_ipv4() != mask.is_ipv4()) return std::nullopt;
    return ip_network{address, mask.bytes()};
}

bool ip_network::contains(const ip_address& address) const
{
    if (address.is_ipv4() != address_.is_ipv4()) return false;
    const auto here = address_.bytes();
    const auto there = address.bytes();
    for (std::size_t index = 0; index != here.size(); ++index) {
        if (((here[index] ^ there[index]) & mask_[index]) != 0) return false;
    }
    return true;
}

}  // namespace pgtorii::config
