#pragma once

#include "core/base/result.hpp"
#include "protocol/error.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace pgtorii::protocol {

/// Sizes of a message's length word (which counts itself, not the type byte).
struct length_range {
    std::uint32_t min = 4;
    std::uint32_t max = 4;
};

/// PostgreSQL's limit for messages that carry data: an allocation may be 1 GiB - 1.
inline constexpr std::uint32_t message_length_max = 0x3fff'ffff;
/// PostgreSQL's limit for client messages that carry names and numbers only.
inline constexpr std::uint32_t small_message_length_max = 10'000;
/// PostgreSQL's limit for a client's authentication messages.
inline constexpr std::uint32_t password_message_length_max = 65'535;
/// Longest cancel key of protocol 3.2; 3.0 has 4 bytes.
inline constexpr std::size_t cancel_secret_bytes_max = 256;

namespace body {
/// A body of exactly `bytes`.
constexpr length_range fixed(std::uint32_t bytes)
{
    return {4 + bytes, 4 + bytes};
}
/// A body of at least `bytes`, as long as PostgreSQL can make one.
constexpr length_range at_least(std::uint32_t bytes)
{
    return {4 + bytes, message_length_max};
}
/// A body of at least `bytes` in a message whose length word is at most `length_max`.
constexpr length_range bounded(std::uint32_t bytes, std::uint32_t length_max)
{
    return {4 + bytes, length_max};
}
}  // namespace body

enum class direction : std::uint8_t { from_client, from_server };

/// One type of message. Source: PostgreSQL, protocol-message-formats; limits: its src/backend/tcop.
struct message_info {
    char type;
    std::string_view name;
    protocol::direction direction;
    length_range length;
};

/// Every message with a type byte, declared once.
inline constexpr std::array message_table{
    message_info{'B', "Bind", direction::from_client, body::at_least(8)},
    message_info{'C', "Close", direction::from_client, body::bounded(2, small_message_length_max)},
    message_info{'D', "Describe", direction::from_client,
                 body::bounded(2, small_message_length_max)},
    message_info{'E', "Execute", direction::from_client,
                 body::bounded(5, small_message_length_max)},
    message_info{'F', "FunctionCall", direction::from_client, body::at_least(10)},
    message_info{'H', "Flush", direction::from_client, body::fixed(0)},
    message_info{'P', "Parse", direction::from_client, body::at_least(4)},
    message_info{'Q', "Query", direction::from_client, body::at_least(1)},
    message_info{'S', "Sync", direction::from_client, body::fixed(0)},
    message_info{'X', "Terminate", direction::from_client, body::fixed(0)},
    message_info{'c', "CopyDone", direction::from_client, body::fixed(0)},
    message_info{'d', "CopyData", direction::from_client, body::at_least(0)},
    message_info{'f', "CopyFail", direction::from_client,
                 body::bounded(1, small_message_length_max)},
    message_info{'p', "PasswordMessage", direction::from_client,
                 body::bounded(0, password_message_length_max)},

    message_info{'1', "ParseComplete", direction::from_server, body::fixed(0)},
    message_info{'2', "BindComplete", direction::from_server, body::fixed(0)},
    message_info{'3', "CloseComplete", direction::from_server, body::fixed(0)},
    message_info{'A', "NotificationResponse", direction::from_server, body::at_least(6)},
    message_info{'C', "CommandComplete", direction::from_server, body::at_least(1)},
    message_info{'D', "DataRow", direction::from_server, body::at_least(2)},
    message_info{'E', "ErrorResponse", direction::from_server, body::at_least(1)},
    message_info{'G', "CopyInResponse", direction::from_server, body::at_least(3)},
    message_info{'H', "CopyOutResponse", direction::from_server, body::at_least(3)},
    message_info{'I', "EmptyQueryResponse", direction::from_server, body::fixed(0)},
    message_info{'K', "BackendKeyData", direction::from_server,
                 body::bounded(8, 4 + 4 + cancel_secret_bytes_max)},
    message_info{'N', "NoticeResponse", direction::from_server, body::at_least(1)},
    message_info{'R', "Authentication", direction::from_server,
                 body::bounded(4, password_message_length_max)},
    message_info{'S', "ParameterStatus", direction::from_server, body::at_least(2)},
    message_info{'T', "RowDescription", direction::from_server, body::at_least(2)},
    message_info{'V', "FunctionCallResponse", direction::from_server, body::at_least(4)},
    message_info{'W', "CopyBothResponse", direction::from_server, body::at_least(3)},
    message_info{'Z', "ReadyForQuery", direction::from_server, body::fixed(1)},
    message_info{'c', "CopyDone", direction::from_server, body::fixed(0)},
    message_info{'d', "CopyData", direction::from_server, body::at_least(0)},
    message_info{'n', "NoData", direction::from_server, body::fixed(0)},
    message_info{'s', "PortalSuspended", direction::from_server, body::fixed(0)},
    message_info{'t', "ParameterDescription", direction::from_server, body::at_least(2)},
    message_info{'v', "NegotiateProtocolVersion", direction::from_server,
                 body::bounded(8, small_message_length_max)},
};

/// From type byte to length_range for one direction; {1, 0}, which nothing fits, where there is no
/// such message.
using length_lookup = std::array<length_range, 256>;

constexpr length_lookup make_length_lookup(direction from)
{
    length_lookup lookup{};
    for (auto& range : lookup) range = length_range{1, 0};
    for (const auto& row : message_table) {
        if (row.direction == from) lookup[static_cast<unsigned char>(row.type)] = row.length;
    }
    return lookup;
}

inline constexpr length_lookup client_lengths = make_length_lookup(direction::from_client);
inline constexpr length_lookup server_lengths = make_length_lookup(direction::from_server);

/// A whole message in somebody's buffer: valid as long as that buffer's bytes.
struct message_view {
    char type = 0;
    std::span<const std::byte> body;   ///< Without type byte and length word.
    std::span<const std::byte> whole;  ///< With them, as it goes over the wire.
};

/// Reads a big-endian integer; the caller has checked that the bytes are there.
constexpr std::uint32_t read_uint32(const std::byte* at)
{
    return std::to_integer<std::uint32_t>(at[0]) << 24 |
           std::to_integer<std::uint32_t>(at[1]) << 16 |
           std::to_integer<std::uint32_t>(at[2]) << 8 | std::to_integer<std::uint32_t>(at[3]);
}

/// Reads a big-endian integer; the caller has checked that the bytes are there.
constexpr std::uint16_t read_uint16(const std::byte* at)
{
    return static_cast<std::uint16_t>(std::to_integer<unsigned>(at[0]) << 8 |
                                      std::to_integer<unsigned>(at[1]));
}

/// Type byte and length word: the first five bytes of every message but the start-up packets.
struct frame_header {
    static constexpr std::size_t size = 5;

    char type = 0;
    std::uint32_t length = 0;  ///< Bytes after the type byte, the length word included.

    /// Bytes of the whole message.
    constexpr std::size_t total() const { return std::size_t{length} + 1; }
    /// Bytes after the header. Only for a checked length (at least 4).
    constexpr std::size_t body_size() const { return std::size_t{length} - 4; }
};

/// Whether a message with this header may come from that side. check_client_header and
/// check_server_header tell why not.
constexpr bool is_possible(const length_lookup& lengths, frame_header header)
{
    const auto range = lengths[static_cast<unsigned char>(header.type)];
    return header.length >= range.min && header.length <= range.max;
}

/// The header at the head of `input`, unchecked; nullopt while fewer than five bytes are there.
constexpr std::optional<frame_header> peek_header(std::span<const std::byte> input)
{
    if (input.size() < frame_header::size) return std::nullopt;
    return frame_header{static_cast<char>(input[0]), read_uint32(input.data() + 1)};
}

/// Bytes that follow the type byte of the message at the head of `input`, the length word included.
/// Errors: errc::message_truncated (fewer than five bytes), errc::length_too_small (below 4),
/// errc::length_too_big (above `limit`). Never allocates.
/// Source: PostgreSQL, protocol-message-formats. Start-up packets have no type byte: see
/// startup.hpp.
[[nodiscard]] result<std::uint32_t> message_length(std::span<const std::byte> input,
                                                   std::uint32_t limit);

/// Whether a message with this header may come from a client: {}, errc::unknown_message_type,
/// errc::length_too_small or errc::length_too_big. The limits are PostgreSQL's own.
[[nodiscard]] error_code check_client_header(frame_header header);

/// The same for a message of a server.
[[nodiscard]] error_code check_server_header(frame_header header);

/// The row of this type in message_table, or null.
const message_info* find_message(direction from, char type);

/// PostgreSQL's name of the message, "unknown message" when there is none. For logs.
std::string_view name_of(direction from, char type);

/// The whole message at the head of `input`, or nullopt while a part of it is missing. The header
/// must have been checked: a length below 4 is asserted against.
std::optional<message_view> whole_message(std::span<const std::byte> input);

}  // namespace pgtorii::protocol
