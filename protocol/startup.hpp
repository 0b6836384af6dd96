#pragma once

#include "protocol/pg_error.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pgtorii::protocol {

/// Limits of a start-up packet, its length word included. Source: PostgreSQL, ProcessStartupPacket.
inline constexpr std::uint32_t startup_length_min = 8;
inline constexpr std::uint32_t startup_length_max = 10'004;

/// What the first word after the length says.
inline constexpr std::uint32_t protocol_version_3_0 = 196'608;
inline constexpr std::uint32_t protocol_version_3_2 = 196'610;
inline constexpr std::uint32_t cancel_request_code = 80'877'102;
inline constexpr std::uint32_t ssl_request_code = 80'877'103;
inline constexpr std::uint32_t gssenc_request_code = 80'877'104;

/// The newest minor of protocol 3 that we serve. 3.1 has never been used, and is 3.0 by another
/// name.
inline constexpr std::uint16_t protocol_minor_max = 2;

/// Bytes of the cancel keys that we give: from 3.2 on they may have up to cancel_secret_bytes_max,
/// and older clients take four.
inline constexpr std::size_t cancel_secret_bytes_3_0 = 4;
inline constexpr std::size_t cancel_secret_bytes_3_2 = 32;

/// Name and value of the settings in a start-up message.
using startup_parameters = std::vector<std::pair<std::string, std::string>>;

enum class replication_mode : std::uint8_t { none, physical, database };

/// What the bytes of a new connection are.
struct startup_result {
    enum class kind : std::uint8_t {
        need_more,        ///< The packet is not whole yet.
        ssl_request,      ///< To be answered 'S' or 'N', then comes another packet.
        gssenc_request,   ///< The same with 'G' or 'N'.
        cancel_request,   ///< See cancel_pid and cancel_secret.
        startup_message,  ///< See user and what follows it.
        direct_tls,       ///< A TLS handshake without SSLRequest; nothing is consumed.
        refused,          ///< See error; the connection ends.
    };

    kind what = kind::need_more;
    /// Bytes that the packet takes; zero for need_more, direct_tls and refused.
    std::size_t consumed = 0;

    // Of a cancel_request.
    std::uint32_t cancel_pid = 0;
    std::vector<std::byte> cancel_secret;

    // Of a startup_message.
    std::uint16_t minor = 0;  ///< Of protocol 3, as asked for.
    std::string user;
    std::string database;  ///< The user's name when the client named none.
    /// All others, sorted by name without regard to case (as PostgreSQL compares setting names);
    /// of repeated ones the last. Without user, database, replication and _pq_. options.
    startup_parameters parameters;
    replication_mode replication = replication_mode::none;
    std::vector<std::string> negotiated;  ///< Names that begin with _pq_., in their order.

    bool is_replication() const { return replication != replication_mode::none; }
    /// A NegotiateProtocolVersion has to be sent before anything else: minor_served(), and all of
    /// `negotiated`, since we know no such option.
    bool needs_negotiation() const { return minor > protocol_minor_max || !negotiated.empty(); }
    /// The minor that the session goes on with.
    std::uint16_t minor_served() const { return std::min(minor, protocol_minor_max); }
    std::size_t cancel_secret_bytes() const
    {
        return minor_served() >= 2 ? cancel_secret_bytes_3_2 : cancel_secret_bytes_3_0;
    }

    // Of refused.
    pg_error error;
    /// The client speaks a protocol before 3: message_buffer::error_response_before_v3 is what it
    /// understands.
    bool is_before_v3 = false;
};

/// The start-up packet of protocol 3.0 for servers, in one canonical form: two sessions with equal
/// packets can share a server connection. `parameters` as in startup_result.
std::string startup_packet(std::string_view user, std::string_view database,
                           const startup_parameters& parameters);

/// Reads the packets that may come before authentication. One object for each connection: it knows
/// which requests may still come. PostgreSQL takes one SSLRequest and one GSSENCRequest at most.
class startup_parser {
public:
    /// Looks at all unconsumed bytes of the connection. Cheap while the packet is not whole; an
    /// impossible length is refused as soon as its four bytes are there.
    [[nodiscard]] startup_result parse(std::span<const std::byte> input);

    /// The connection is encrypted from here on: no request for encryption may follow.
    void encryption_started() { is_first_packet_ = may_request_ssl_ = may_request_gssenc_ = false; }

private:
    bool is_first_packet_ = true;
    bool may_request_ssl_ = true;
    bool may_request_gssenc_ = true;
};

}  // namespace pgtorii::protocol
