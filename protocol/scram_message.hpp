#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

/// What both sides of a SCRAM exchange read and write. Source: RFC 5802, section 7.
namespace pgtorii::protocol {

inline constexpr std::string_view scram_sha_256_plus = "SCRAM-SHA-256-PLUS";
inline constexpr std::string_view tls_server_end_point = "tls-server-end-point";

inline constexpr std::size_t scram_nonce_bytes_max = 512;

/// Takes "<name>=<value>" off the head of `text`, up to a comma or the end.
std::optional<std::string_view> take_attribute(std::string_view& text, char name);

/// Printable ASCII without commas; may be empty.
bool is_scram_nonce(std::string_view text);

/// The value of "c=": the header of the exchange with the binding's data behind it, in base64.
std::string channel_binding_attribute(std::string_view gs2_header, std::string_view data);

}  // namespace pgtorii::protocol
