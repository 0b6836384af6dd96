#include "protocol/scram_server.hpp"

#include "core/base/always_assert.hpp"
#include "protocol/authentication.hpp"
#include "protocol/base64.hpp"

#include <fmt/format.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <algorithm>
#include <array>

namespace pgtorii::protocol {
namespace {

constexpr std::array mechanisms{scram_sha_256_plus, scram_sha_256};

/// Reads over attributes that nobody needs, up to the end of `text`. False: that is none.
bool skip_attributes(std::string_view text)
{
    while (!text.empty()) {
        const char name = text[0];
        const bool is_letter = (name >= 'a' && name <= 'z') || (name >= 'A' && name <= 'Z');
        if (!is_letter || !take_attribute(text, name)) return false;
    }
    return true;
}

}  // namespace

std::span<const std::string_view> offered_scram_mechanisms(bool has_channel_binding)
{
    return std::span{mechanisms}.subspan(has_channel_binding ? 0 : 1);
}

scram_server::scram_server(scram_verifier verifier, std::string nonce,
                           std::optional<std::string> end_point)
    : verifier_(std::move(verifier)),
      nonce_(std::move(nonce)),
      end_point_(std::move(end_point))
{
    always_assert(!nonce_.empty() && is_scram_nonce(nonce_));
}

result<std::string> scram_server::client_first(std::string_view mechanism, std::string_view data)
{
    always_assert(step_ == step::start);
    step_ = step::failed;  // unless all goes well
    const auto offered = offered_scram_mechanisms(end_point_.has_value());
    if (std::ranges::find(offered, mechanism) == offered.end())
        return errc::scram_mechanism_unknown;
    is_binding_ = mechanism == scram_sha_256_plus;
    if (data.empty() || data.size() > message_bytes_max || data.find('\0') != data.npos)
        return errc::scram_client_malformed;

    auto rest = data;
    if (const auto failure = read_gs2_header(rest)) return failure;
    first_bare_ = rest;
    if (rest.starts_with('m')) return errc::scram_extension_unsupported;
    // The name is not looked at: the start-up message has it.
    if (!take_attribute(rest, 'n')) return errc::scram_client_malformed;
    const auto nonce = take_attribute(rest, 'r');
    if (!nonce || !skip_attributes(rest) || data.ends_with(','))
        return errc::scram_client_malformed;
    if (!is_scram_nonce(*nonce)) return errc::scram_nonce_unprintable;
    if (nonce->empty() || nonce->size() > scram_nonce_bytes_max)
        return errc::scram_client_malformed;

    nonce_.insert(0, *nonce);
    server_first_ =
        fmt::format("r={},s={},i={}", nonce_,
                    to_base64({reinterpret_cast<const unsigned char*>(verifier_.salt.data()),
                               verifier_.salt.size()}),
                    verifier_.iteration_count);
    step_ = step::challenged;
    return server_first_;
}

/// What the client says of channel binding has to fit the mechanism that it chose, and what we
/// have offered: who says that we can't, when we can, has been given another list by somebody in
/// between.
error_code scram_server::read_gs2_header(std::string_view& data)
{
    const auto whole = data;
    switch (data[0]) {
    case 'n':
    case 'y':
        if (is_binding_) return errc::scram_binding_missing;
        if (data[0] == 'y' && end_point_) return errc::scram_binding_denied;
        data.remove_prefix(1);
        if (!data.starts_with(',')) return errc::scram_client_malformed;
        data.remove_prefix(1);
        break;
    case 'p': {
        if (!is_binding_) return errc::scram_binding_not_selected;
        const auto type = take_attribute(data, 'p');
        if (!type) return errc::scram_client_malformed;
        if (*type != tls_server_end_point) return errc::scram_binding_unsupported;
        break;
    }
    default: return errc::scram_client_malformed;
    }
    if (data.starts_with("a=")) return errc::scram_identity_unsupported;
    if (!data.starts_with(',')) return errc::scram_client_malformed;
    data.remove_prefix(1);
    gs2_header_ = whole.substr(0, whole.size() - data.size());
    return {};
}

result<std::string> scram_server::client_final(std::string_view data)
{
    always_assert(step_ == step::challenged);
    step_ = step::failed;
    if (data.size() > message_bytes_max || data.find('\0') != data.npos)
        return errc::scram_client_malformed;
    // The proof is the last attribute, and what stands before it is signed.
    const auto proof_begin = data.rfind(",p=");
    if (proof_begin == data.npos) return errc::scram_client_malformed;
    const auto without_proof = data.substr(0, proof_begin);
    auto rest = without_proof;
    const auto binding = take_attribute(rest, 'c');
    const auto nonce = take_attribute(rest, 'r');
    if (!binding || !nonce || !skip_attributes(rest) || without_proof.ends_with(','))
        return errc::scram_client_malformed;
    if (const auto failure = check_binding(*binding)) return failure;
    if (!equal_in_constant_time(*nonce, nonce_)) return errc::scram_nonce_wrong;
    if (const auto failure = check_proof(without_proof, data.substr(proof_begin + 3)))
        return failure;
    step_ = step::proven;
    return "v=" + to_base64(server_signature_.bytes());
}

error_code scram_server::check_binding(std::string_view attribute) const
{
    const auto expected =
        channel_binding_attribute(gs2_header_, is_binding_ ? std::string_view{*end_point_} : "");
    if (attribute == expected) return {};
    return is_binding_ ? errc::scram_binding_wrong : errc::scram_binding_unexpected;
}

/// The client's key is what the proof and the signature differ by, and its hash is stored. A mock
/// verifier costs the same work.
error_code scram_server::check_proof(std::string_view without_proof, std::string_view proof_text)
{
    const auto proof = from_base64(proof_text);
    if (!proof || proof->size() != scram_key::size) return errc::scram_client_malformed;
    const auto signed_text = fmt::format("{},{},{}", first_bare_, server_first_, without_proof);
    const auto client_signature = hmac_sha_256(verifier_.stored_key.bytes(), signed_text);
    const auto server_signature = hmac_sha_256(verifier_.server_key.bytes(), signed_text);
    if (!client_signature || !server_signature) return errc::crypto_failed;
    std::ranges::transform(
        *proof, client_signature->bytes(), keys_.client_key.bytes().begin(),
        [](unsigned a, unsigned b) { return static_cast<unsigned char>(a ^ b); });
    scram_key stored_key;
    if (EVP_Digest(keys_.client_key.bytes().data(), scram_key::size, stored_key.bytes().data(),
                   nullptr, EVP_sha256(), nullptr) != 1)
        return errc::crypto_failed;
    const bool is_right = is_equal(stored_key, verifier_.stored_key);
    if (!is_right || verifier_.is_mock) return errc::scram_proof_wrong;
    keys_.server_key = verifier_.server_key;
    server_signature_ = *server_signature;
    return {};
}

const scram_client_keys& scram_server::client_keys() const
{
    always_assert(step_ == step::proven);
    return keys_;
}

}  // namespace pgtorii::protocol
