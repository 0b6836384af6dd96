#pragma once

#include "core/base/result.hpp"
#include "protocol/error.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

/// Readers for the bodies of client messages (without type byte and length word). Each looks at
/// its whole body, never outside it, demands that nothing is missing and nothing is left over, and
/// never allocates. What they return looks into the body. Errors: errc::string_unterminated,
/// errc::message_truncated, errc::trailing_bytes, errc::bad_count, errc::bad_value.
/// Source: PostgreSQL, protocol-message-formats.
namespace pgtorii::protocol {

struct parse_message {
    std::string_view statement;
    std::string_view query;
    std::uint16_t type_count = 0;
    std::span<const std::byte> types;  ///< type_count big-endian type oids.

    /// The oid of parameter `index` (from 0), zero: left to the server. `index` is below
    /// type_count.
    std::uint32_t type(std::size_t index) const;
};

struct bind_message {
    std::string_view portal;
    std::string_view statement;
    std::uint16_t parameter_count = 0;
    std::span<const std::byte> rest;  ///< What follows the two names, checked.
};

/// 'S' names a prepared statement, 'P' a portal.
struct named_object {
    char kind = 'S';
    std::string_view name;
};

struct execute_message {
    std::string_view portal;
    std::uint32_t row_count_max = 0;  ///< Zero: all. PostgreSQL also takes "negative" as all.
};

/// The first answer of a client to AuthenticationSASL.
struct sasl_initial_response {
    std::string_view mechanism;
    std::optional<std::string_view> data;  ///< Nothing: the client waits to be asked.
};

struct function_call_message {
    std::uint32_t function_oid = 0;
};

/// The text of a Query, without its zero byte.
[[nodiscard]] result<std::string_view> read_query(std::span<const std::byte> body);
[[nodiscard]] result<parse_message> read_parse(std::span<const std::byte> body);
[[nodiscard]] result<bind_message> read_bind(std::span<const std::byte> body);
[[nodiscard]] result<named_object> read_describe(std::span<const std::byte> body);
[[nodiscard]] result<named_object> read_close(std::span<const std::byte> body);
[[nodiscard]] result<execute_message> read_execute(std::span<const std::byte> body);
[[nodiscard]] result<function_call_message> read_function_call(std::span<const std::byte> body);
/// The reason that the client gives in CopyFail.
[[nodiscard]] result<std::string_view> read_copy_fail(std::span<const std::byte> body);
/// What such a message may have before authentication, as PostgreSQL bounds it.
inline constexpr std::uint32_t password_message_bytes_max = 65'535;
inline constexpr std::uint32_t sasl_message_bytes_max = 1'024;

/// The password of a PasswordMessage. SASL messages have the same type byte: what was asked for
/// last tells which one it is.
[[nodiscard]] result<std::string_view> read_password(std::span<const std::byte> body);
/// Its data is just as long as its length says.
[[nodiscard]] result<sasl_initial_response>
read_sasl_initial_response(std::span<const std::byte> body);
/// The whole body is data. Error: errc::length_too_big.
[[nodiscard]] result<std::string_view> read_sasl_response(std::span<const std::byte> body);

}  // namespace pgtorii::protocol
