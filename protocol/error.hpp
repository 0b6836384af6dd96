#pragma once

#include "core/base/result.hpp"

#include <type_traits>

namespace pgtorii::protocol {

/// What can be wrong with bytes that came from a client or a server.
enum class errc {
    length_too_small = 1,
    length_too_big,
    unknown_message_type,
    message_truncated,
    string_unterminated,
    trailing_bytes,
    bad_count,
    bad_value,
    scram_message_malformed,
    scram_nonce_mismatch,
    scram_iterations_out_of_range,
    scram_rejected,
    scram_signature_wrong,
    crypto_failed,
};

/// The category of errc; its messages are for operators.
const boost::system::error_category& error_category();

/// Found by argument-dependent lookup: makes `error_code failure = errc::bad_value;` work.
inline error_code make_error_code(errc value)
{
    return {static_cast<int>(value), error_category()};
}

}  // namespace pgtorii::protocol

template <>
struct boost::system::is_error_code_enum<pgtorii::protocol::errc> : std::true_type {};
