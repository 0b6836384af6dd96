#pragma once

#include "core/base/result.hpp"
#include "protocol/error.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

/// The client's side of a server's authentication, without I/O.
namespace pgtorii::protocol {

/// The mechanism of scram_client, as named in AuthenticationSASL.
inline constexpr std::string_view scram_sha_256 = "SCRAM-SHA-256";

/// The answer to AuthenticationMD5Password: "md5" and 32 hex digits.
/// Error: errc::crypto_failed (a library in FIPS mode has no MD5).
[[nodiscard]] result<std::string> md5_response(std::string_view user, std::string_view password,
                                               std::span<const std::byte, 4> salt);

/// Compares secrets in a time that depends on their sizes only.
bool equal_in_constant_time(std::string_view a, std::string_view b);

/// Overwrites a secret in a way that the compiler keeps, then clears it.
void wipe(std::string& secret);

/// The client of one SCRAM-SHA-256 exchange without channel binding. Order of calls: first_message,
/// final_message, verify; the log-in may go on only when verify gives no error, since only then has
/// the server shown that it knows the password too.
///
/// Passwords are used byte for byte: SASLprep changes nothing in ASCII, and PostgreSQL itself falls
/// back to the bytes where it can't prepare; a password with characters that normalisation would
/// change has to be stored in its prepared form.
/// Source: RFC 5802, RFC 7677; PostgreSQL, sasl-authentication.
class scram_client {
public:
    /// A hostile server may ask for billions of rounds; this many take about half a second.
    static constexpr std::uint32_t iteration_count_max = 1'000'000;
    static constexpr std::size_t nonce_bytes_max = 512;
    static constexpr std::size_t salt_bytes_max = 1'024;
    static constexpr std::size_t message_bytes_max = 4'096;

    /// `nonce` is random, printable and without a comma: make_nonce. PostgreSQL takes the user's
    /// name from the start-up message, so `user` stays empty.
    scram_client(std::string_view password, std::string nonce, std::string_view user = {});
    ~scram_client();
    scram_client(const scram_client&) = delete;
    scram_client& operator=(const scram_client&) = delete;

    /// 18 random bytes in base64. Error: errc::crypto_failed.
    [[nodiscard]] static result<std::string> make_nonce();

    /// The data of SASLInitialResponse.
    std::string first_message();
    /// The data of SASLResponse. `server_first` is the data of AuthenticationSASLContinue.
    /// Takes as long as the server's iteration count says.
    [[nodiscard]] result<std::string> final_message(std::string_view server_first);
    /// Checks the data of AuthenticationSASLFinal: {} when the server has proven itself.
    [[nodiscard]] error_code verify(std::string_view server_final);

private:
    enum class step : std::uint8_t { start, first_sent, final_sent, done };
    using digest = std::array<unsigned char, 32>;

    error_code sign(std::span<const unsigned char> salt, std::uint32_t iteration_count,
                    const std::string& without_proof, digest& proof);

    step step_ = step::start;
    std::string password_;
    std::string nonce_;
    std::string first_bare_;
    std::string server_first_;
    digest server_signature_{};
};

}  // namespace pgtorii::protocol
