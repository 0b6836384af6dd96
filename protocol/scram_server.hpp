#pragma once

#include "core/base/result.hpp"
#include "protocol/error.hpp"
#include "protocol/scram_keys.hpp"
#include "protocol/scram_message.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace pgtorii::protocol {

/// The mechanisms of an AuthenticationSASL, in our order of preference: with channel binding only
/// on a connection that has TLS.
std::span<const std::string_view> offered_scram_mechanisms(bool has_channel_binding);

/// The server of one SCRAM-SHA-256 or SCRAM-SHA-256-PLUS exchange. Order of calls: offered
/// mechanisms out, client_first, client_final; an error ends it, and login_errors.hpp tells what
/// the client is told. For a user without a verifier the exchange is the same with a mock one, and
/// fails at its end.
/// Source: RFC 5802, RFC 5929, RFC 7677; PostgreSQL, sasl-authentication.
class scram_server {
public:
    static constexpr std::size_t message_bytes_max = 1'024;

    /// `nonce` as of scram_client::make_nonce. `end_point`: the tls-server-end-point of the very
    /// certificate that this connection was made with; nothing: channel binding is not offered.
    scram_server(scram_verifier verifier, std::string nonce,
                 std::optional<std::string> end_point = std::nullopt);

    /// The data of AuthenticationSASLContinue for that of SASLInitialResponse.
    [[nodiscard]] result<std::string> client_first(std::string_view mechanism,
                                                   std::string_view data);
    /// The data of AuthenticationSASLFinal for that of SASLResponse: the client has proven itself.
    [[nodiscard]] result<std::string> client_final(std::string_view data);

    /// Of a client that has proven itself: what logs in as this user at all servers that keep the
    /// same verifier.
    const scram_client_keys& client_keys() const;

private:
    enum class step : std::uint8_t { start, challenged, proven, failed };

    error_code read_gs2_header(std::string_view& data);
    error_code check_binding(std::string_view attribute) const;
    error_code check_proof(std::string_view without_proof, std::string_view proof_text);

    step step_ = step::start;
    scram_verifier verifier_;
    std::string nonce_;  // the client's and ours, once it has sent its own
    std::optional<std::string> end_point_;
    bool is_binding_ = false;
    std::string gs2_header_;
    std::string first_bare_;
    std::string server_first_;
    scram_client_keys keys_;
    scram_key server_signature_;
};

}  // namespace pgtorii::protocol
