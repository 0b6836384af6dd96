#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace pgtorii::config {

/// An address of a client. An IPv4 address in IPv6 form (::ffff:a.b.c.d, as a socket for both
/// families tells it) is an IPv4 address.
class ip_address {
public:
    static constexpr std::size_t ipv4_bytes = 4;
    static constexpr std::size_t ipv6_bytes = 16;

    /// 0.0.0.0
    ip_address() = default;
    /// From bytes as they are in a sockaddr: in network order.
    explicit ip_address(std::span<const std::uint8_t, ipv4_bytes> ipv4);
    explicit ip_address(std::span<const std::uint8_t, ipv6_bytes> ipv6);

    /// Numbers only, never a name. Of IPv6, a scope (%eth0) is read over, as the servers do.
    static std::optional<ip_address> parse(std::string_view text);

    bool is_ipv4() const { return is_ipv4_; }
    std::span<const std::uint8_t> bytes() const
    {
        return {bytes_.data(), is_ipv4_ ? ipv4_bytes : ipv6_bytes};
    }
    std::string to_text() const;

    bool operator==(const ip_address&) const = default;

private:
    bool is_ipv4_ = true;
    std::array<std::uint8_t, ipv6_bytes> bytes_{};
};

/// Addresses that are equal where the mask has ones.
class ip_network {
public:
    /// The first `prefix` bits count. Nothing when it is beyond the family's bits. `is_mapped`: the
    /// address was written in IPv6 form, and the prefix with it.
    static std::optional<ip_network> of_prefix(const ip_address& address, unsigned prefix,
                                               bool is_mapped = false);
    /// Nothing when the families differ.
    static std::optional<ip_network> of_mask(const ip_address& address, const ip_address& mask);

    bool contains(const ip_address& address) const;

    bool operator==(const ip_network&) const = default;

private:
    ip_network(const ip_address& address, std::span<const std::uint8_t> mask);

    ip_address address_;
    std::array<std::uint8_t, ip_address::ipv6_bytes> mask_{};
};

}  // namespace pgtorii::config
