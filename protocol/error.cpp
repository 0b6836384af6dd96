#include "protocol/error.hpp"

#include <string>

namespace pgtorii::protocol {
namespace {

const char* text_of(errc value)
{
    switch (value) {
    case errc::length_too_small: return "message length is smaller than this message can be";
    case errc::length_too_big: return "message length is beyond the limit of this message";
    case errc::unknown_message_type: return "message type is unknown in this direction";
    case errc::message_truncated: return "message ends within a field";
    case errc::string_unterminated: return "string is not terminated within its message";
    case errc::trailing_bytes: return "message goes on after its last field";
    case errc::bad_count: return "counts in the message do not agree";
    case errc::bad_value: return "field of the message has a value that is not allowed";
    case errc::scram_message_malformed: return "SCRAM message of the server is malformed";
    case errc::scram_nonce_mismatch: return "SCRAM nonce of the server does not extend ours";
    case errc::scram_iterations_out_of_range:
        return "SCRAM iteration count of the server is out of range";
    case errc::scram_rejected: return "server ended the SCRAM exchange with an error";
    case errc::scram_signature_wrong:
        return "SCRAM signature is wrong: the server does not know the password";
    case errc::crypto_failed: return "cryptographic library refused an operation";
    case errc::scram_mechanism_unknown: return "client chose a SASL mechanism that was not offered";
    case errc::scram_client_malformed: return "SCRAM message of the client is malformed";
    case errc::scram_binding_not_selected:
        return "client chose SCRAM without channel binding, and sent channel binding data";
    case errc::scram_binding_missing:
        return "client chose SCRAM with channel binding, and sent no channel binding data";
    case errc::scram_binding_denied:
        return "client believes that channel binding was not offered, though it was";
    case errc::scram_binding_unsupported:
        return "client's type of channel binding is not supported";
    case errc::scram_binding_unexpected:
        return "client's last SCRAM message has channel binding unlike its first";
    case errc::scram_binding_wrong: return "client is bound to another TLS channel";
    case errc::scram_identity_unsupported: return "client sent a SCRAM authorization identity";
    case errc::scram_extension_unsupported: return "client demands a SCRAM extension";
    case errc::scram_nonce_unprintable: return "SCRAM nonce of the client is not printable";
    case errc::scram_nonce_wrong: return "client's SCRAM nonce does not match";
    case errc::scram_proof_wrong: return "client does not know the password";
    }
    return "unknown protocol error";
}

class category final : public boost::system::error_category {
public:
    const char* name() const noexcept override { return "pgtorii.protocol"; }
    std::string message(int value) const override { return text_of(static_cast<errc>(value)); }
};

}  // namespace

const boost::system::error_category& error_category()
{
    static const category instance;
    return instance;
}

}  // namespace pgtorii::protocol
