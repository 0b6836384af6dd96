#pragma once

#include "core/base/result.hpp"
#include "protocol/error.hpp"

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

/// Passwords on either side of an authentication, without I/O.
namespace pgtorii::protocol {

/// The mechanism without channel binding, as named in AuthenticationSASL.
inline constexpr std::string_view scram_sha_256 = "SCRAM-SHA-256";

/// The answer to AuthenticationMD5Password: "md5" and 32 hex digits.
/// Error: errc::crypto_failed (a library in FIPS mode has no MD5).
[[nodiscard]] result<std::string> md5_response(std::string_view user, std::string_view password,
                                               std::span<const std::byte, 4> salt);

/// "md5" and 32 hex digits: what PostgreSQL and pool_passwd store. Error: errc::crypto_failed.
[[nodiscard]] result<std::string> md5_verifier(std::string_view user, std::string_view password);

/// The answer of one who knows the stored form only, which is as good as the password.
[[nodiscard]] result<std::string> md5_response_of_verifier(std::string_view verifier,
                                                           std::span<const std::byte, 4> salt);

/// Whether a client's answer is the right one for the stored form. Takes the same time for all
/// answers of one size. False, too, when there is no stored form or no MD5.
bool is_md5_response(std::string_view answer, std::string_view verifier,
                     std::span<const std::byte, 4> salt);

/// Whether a password in clear is that of the stored form. False, too, when there is no MD5.
bool fits_md5_verifier(std::string_view verifier, std::string_view user, std::string_view password);

/// Compares secrets in a time that depends on their sizes only.
bool equal_in_constant_time(std::string_view a, std::string_view b);

/// Overwrites a secret in a way that the compiler keeps, then clears it.
void wipe(std::string& secret);

}  // namespace pgtorii::protocol
