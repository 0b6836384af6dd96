#pragma once

#include "core/base/result.hpp"
#include "protocol/error.hpp"
#include "protocol/scram_keys.hpp"
#include "protocol/scram_message.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace pgtorii::protocol {

/// What a client says of channel binding.
struct scram_binding {
    enum class kind : std::uint8_t {
        none,         ///< n: it has none, as without TLS.
        not_offered,  ///< y: it has, and believes that the server has not.
        used,         ///< p: SCRAM-SHA-256-PLUS; `data` is the tls-server-end-point.
    };
    kind what = kind::none;
    std::string data;

    /// "n,,", "y,," or "p=tls-server-end-point,,".
    std::string gs2_header() const;
    std::string_view mechanism() const;
};

/// The client of one SCRAM-SHA-256 or SCRAM-SHA-256-PLUS exchange. Order of calls: first_message;
/// final_message, or challenge and answer; verify. The log-in may go on only when verify gives no
/// error, since only then has the server shown that it knows the password too.
///
/// With a password at hand, final_message does all in one go. Otherwise the keys come from
/// elsewhere: from derive_scram_keys on another thread, from a scram_key_cache, or from a client's
/// own log-in by the same verifier, when salt and rounds have no meaning.
/// Source: RFC 5802, RFC 5929, RFC 7677; PostgreSQL, sasl-authentication.
class scram_client {
public:
    /// A hostile server may ask for billions of rounds; this many take about half a second.
    static constexpr std::uint32_t iteration_count_max = 1'000'000;
    static constexpr std::size_t nonce_bytes_max = scram_nonce_bytes_max;
    static constexpr std::size_t salt_bytes_max = 1'024;
    static constexpr std::size_t message_bytes_max = 4'096;

    /// `nonce` is random, printable and without a comma: make_nonce. PostgreSQL takes the user's
    /// name from the start-up message, so `user` stays empty.
    scram_client(std::string_view password, std::string nonce, std::string_view user = {});
    /// For keys that come by answer().
    scram_client(scram_binding binding, std::string nonce);
    /// As the first one, with channel binding.
    scram_client(std::string_view password, scram_binding binding, std::string nonce);
    ~scram_client();
    scram_client(const scram_client&) = delete;
    scram_client& operator=(const scram_client&) = delete;

    /// 18 random bytes in base64. Error: errc::crypto_failed.
    [[nodiscard]] static result<std::string> make_nonce();

    /// The data of SASLInitialResponse, which names mechanism().
    std::string first_message();
    std::string_view mechanism() const { return binding_.mechanism(); }

    /// What keys have to be derived from.
    struct derivation {
        std::vector<unsigned char> salt;
        std::uint32_t iteration_count = 0;
    };
    /// Reads the data of AuthenticationSASLContinue.
    [[nodiscard]] result<derivation> challenge(std::string_view server_first);
    /// The data of SASLResponse.
    [[nodiscard]] result<std::string> answer(const scram_client_keys& keys);

    /// challenge and answer, for a client made with a password. Takes as long as the server's
    /// iteration count says.
    [[nodiscard]] result<std::string> final_message(std::string_view server_first);

    /// Checks the data of AuthenticationSASLFinal: {} when the server has proven itself.
    [[nodiscard]] error_code verify(std::string_view server_final);

private:
    enum class step : std::uint8_t { start, first_sent, challenged, final_sent, done };

    step step_ = step::start;
    scram_binding binding_;
    std::string password_;
    std::string nonce_;
    std::string first_bare_;
    std::string server_first_;
    std::string server_nonce_;  // ours and its own
    scram_key server_signature_;
};

}  // namespace pgtorii::protocol
