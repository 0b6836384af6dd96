#pragma once

#include "core/base/result.hpp"
#include "protocol/error.hpp"
#include "protocol/pg_error.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

/// Readers for the bodies of server messages (without type byte and length word). They look at
/// nothing outside the body and never allocate; what they return looks into it. A server is not
/// trusted either. Errors: as in client_messages.hpp.
namespace pgtorii::protocol {

/// The fields of an ErrorResponse or NoticeResponse; any of them may be missing.
struct error_fields {
    std::optional<std::string_view> severity_localized;  ///< S
    std::optional<std::string_view> severity;            ///< V: never localized, since 9.6
    std::optional<std::string_view> sqlstate;            ///< C
    std::optional<std::string_view> message;             ///< M
    std::optional<std::string_view> detail;              ///< D
    std::optional<std::string_view> hint;                ///< H
    std::optional<std::string_view> routine;             ///< R: of the server's source

    /// V, else S, else nothing.
    std::string_view severity_or_empty() const
    {
        return severity ? *severity : severity_localized.value_or(std::string_view{});
    }
    /// After FATAL and PANIC the server closes the connection.
    bool is_fatal() const;
    /// A copy that owns its text.
    pg_error to_error() const;
};

/// What a RowDescription says of its columns' names and types, as one number other than zero: equal
/// for equal results, whatever their formats and origins. Zero: not readable, or not whole.
std::uint64_t shape_of_row(std::span<const std::byte> body);

struct parameter_status_message {
    std::string_view name;
    std::string_view value;
};

struct backend_key_data_message {
    std::uint32_t pid = 0;
    std::span<const std::byte> secret;  ///< 4 bytes in protocol 3.0, up to 256 in 3.2.
};

/// What the server asks for, or that it asks no more.
enum class authentication_code : std::uint32_t {
    ok = 0,
    kerberos_v5 = 2,
    cleartext_password = 3,
    md5_password = 5,
    gss = 7,
    gss_continue = 8,
    sspi = 9,
    sasl = 10,
    sasl_continue = 11,
    sasl_final = 12,
};

struct authentication_message {
    std::uint32_t code = 0;           ///< See authentication_code; any value may come.
    std::span<const std::byte> rest;  ///< What follows the code.

    bool is(authentication_code which) const { return code == static_cast<std::uint32_t>(which); }
};

/// Mechanism names of AuthenticationSASL, in the server's order of preference.
struct sasl_mechanisms {
    static constexpr std::size_t count_max = 16;
    std::array<std::string_view, count_max> names;
    std::size_t count = 0;

    bool contains(std::string_view name) const;
};

struct negotiate_protocol_version_message {
    std::uint32_t version = 0;  ///< Full version number, 196608 = 3.0.
    std::uint32_t option_count = 0;
};

/// The fields of an ErrorResponse or NoticeResponse. Never fails: of a broken body it gives the
/// fields before the break, since whoever has an error to report has no use for a second one.
error_fields read_error(std::span<const std::byte> body);
[[nodiscard]] result<parameter_status_message>
read_parameter_status(std::span<const std::byte> body);
[[nodiscard]] result<backend_key_data_message>
read_backend_key_data(std::span<const std::byte> body);
/// The command tag, as "SELECT 1".
[[nodiscard]] result<std::string_view> read_command_complete(std::span<const std::byte> body);
/// The transaction status: 'I', 'T' or 'E'.
[[nodiscard]] result<char> read_ready_for_query(std::span<const std::byte> body);
[[nodiscard]] result<authentication_message> read_authentication(std::span<const std::byte> body);
/// The four salt bytes of an md5_password request.
[[nodiscard]] result<std::array<std::byte, 4>> read_md5_salt(const authentication_message& from);
[[nodiscard]] result<sasl_mechanisms> read_sasl_mechanisms(const authentication_message& from);
[[nodiscard]] result<negotiate_protocol_version_message>
read_negotiate_protocol_version(std::span<const std::byte> body);

/// Whether the ErrorResponse that begins with these body bytes (maybe only the first of it) ends
/// the connection. Severities stand at its head, so the first 64 bytes are enough.
bool is_fatal_error(std::span<const std::byte> body_begin);

}  // namespace pgtorii::protocol
