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
    // Of a client's SCRAM messages; login_errors.hpp has what it is told.
    scram_mechanism_unknown,
    scram_client_malformed,
    scram_binding_not_selected,
    scram_binding_missing,
    scram_binding_denied,
    scram_binding_unsupported,
    scram_binding_unexpected,
    scram_binding_wrong,
    scram_identity_unsupported,
    scram_extension_unsupported,
    scram_nonce_unprintable,
    scram_nonce_wrong,
    scram_proof_wrong,
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
