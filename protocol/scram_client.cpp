#include "protocol/scram_client.hpp"

#include "core/base/always_assert.hpp"
#include "protocol/authentication.hpp"
#include "protocol/base64.hpp"

#include <openssl/evp.h>
#include <openssl/rand.h>

#include <algorithm>
#include <charconv>

namespace pgtorii::protocol {
namespace {

/// What first_message says is a list of attributes: a comma or equals sign in a name is escaped.
std::string escape_name(std::string_view name)
{
    std::string escaped;
    for (const char c : name) {
        if (c == ',') {
            escaped += "=2C";
        } else if (c == '=') {
            escaped += "=3D";
        } else {
            escaped += c;
        }
    }
    return escaped;
}

}  // namespace

std::string scram_binding::gs2_header() const
{
    switch (what) {
    case kind::none: return "n,,";
    case kind::not_offered: return "y,,";
    case kind::used: return "p=" + std::string(tls_server_end_point) + ",,";
    }
    return "n,,";
}

std::string_view scram_binding::mechanism() const
{
    return what == kind::used ? scram_sha_256_plus : scram_sha_256;
}

scram_client::scram_client(std::string_view password, std::string nonce, std::string_view user)
    : password_(password),
      nonce_(std::move(nonce)),
      first_bare_("n=" + escape_name(user) + ",r=" + nonce_)
{
    always_assert(!nonce_.empty() && is_scram_nonce(nonce_));
}

scram_client::scram_client(scram_binding binding, std::string nonce)
    : scram_client(std::string_view{}, std::move(nonce))
{
    binding_ = std::move(binding);
}

scram_client::scram_client(std::string_view password, scram_binding binding, std::string nonce)
    : scram_client(password, std::move(nonce))
{
    binding_ = std::move(binding);
}

scram_client::~scram_client()
{
    wipe(password_);
}

result<std::string> scram_client::make_nonce()
{
    std::array<unsigned char, 18> random{};
    if (RAND_bytes(random.data(), static_cast<int>(random.size())) != 1) return errc::crypto_failed;
    return to_base64(random);
}

std::string scram_client::first_message()
{
    always_assert(step_ == step::start);
    step_ = step::first_sent;
    return binding_.gs2_header() + first_bare_;
}

result<scram_client::derivation> scram_client::challenge(std::string_view server_first)
{
    always_assert(step_ == step::first_sent);
    step_ = step::done;  // unless all goes well
    if (server_first.size() > message_bytes_max) return errc::scram_message_malformed;

    std::string_view rest = server_first;
    const auto nonce = take_attribute(rest, 'r');
    const auto salt_text = take_attribute(rest, 's');
    const auto iterations_text = take_attribute(rest, 'i');
    if (!nonce || !salt_text || !iterations_text || !rest.empty() || server_first.ends_with(',')) {
        return errc::scram_message_malformed;
    }
    if (nonce->size() > nonce_bytes_max || !is_scram_nonce(*nonce)) {
        return errc::scram_message_malformed;
    }
    if (nonce->size() <= nonce_.size() || !nonce->starts_with(nonce_)) {
        return errc::scram_nonce_mismatch;
    }
    auto salt = from_base64(*salt_text);
    if (!salt || salt->size() > salt_bytes_max) return errc::scram_message_malformed;
    std::uint32_t iteration_count = 0;
    const auto* end = iterations_text->data() + iterations_text->size();
    const auto parsed = std::from_chars(iterations_text->data(), end, iteration_count);
    if (parsed.ec == std::errc::result_out_of_range) return errc::scram_iterations_out_of_range;
    if (parsed.ec != std::errc{} || parsed.ptr != end) return errc::scram_message_malformed;
    if (iteration_count < 1 || iteration_count > iteration_count_max) {
        return errc::scram_iterations_out_of_range;
    }
    server_first_ = server_first;
    server_nonce_ = *nonce;
    step_ = step::challenged;
    return derivation{std::move(*salt), iteration_count};
}

/// The calculation of RFC 5802, section 3: gives the proof, keeps the signature to expect.
result<std::string> scram_client::answer(const scram_client_keys& keys)
{
    always_assert(step_ == step::challenged);
    step_ = step::done;
    std::string message = "c=" + channel_binding_attribute(binding_.gs2_header(), binding_.data) +
                          ",r=" + server_nonce_;
    const std::string signed_text = first_bare_ + ',' + server_first_ + ',' + message;
    scram_key stored_key;
    if (EVP_Digest(keys.client_key.bytes().data(), scram_key::size, stored_key.bytes().data(),
                   nullptr, EVP_sha256(), nullptr) != 1) {
        return errc::crypto_failed;
    }
    const auto client_signature = hmac_sha_256(stored_key.bytes(), signed_text);
    const auto server_signature = hmac_sha_256(keys.server_key.bytes(), signed_text);
    if (!client_signature || !server_signature) return errc::crypto_failed;
    server_signature_ = *server_signature;
    std::array<unsigned char, scram_key::size> proof{};
    std::ranges::transform(
        keys.client_key.bytes(), client_signature->bytes(), proof.begin(),
        [](unsigned a, unsigned b) { return static_cast<unsigned char>(a ^ b); });
    message += ",p=" + to_base64(proof);
    step_ = step::final_sent;
    return message;
}

result<std::string> scram_client::final_message(std::string_view server_first)
{
    const auto asked = challenge(server_first);
    if (!asked) return asked.error();
    const auto keys = derive_scram_keys(password_, asked->salt, asked->iteration_count);
    wipe(password_);
    if (!keys) {
        step_ = step::done;
        return keys.error();
    }
    return answer(*keys);
}

error_code scram_client::verify(std::string_view server_final)
{
    always_assert(step_ == step::final_sent);
    step_ = step::done;
    if (server_final.size() > message_bytes_max) return errc::scram_message_malformed;
    std::string_view rest = server_final;
    if (take_attribute(rest, 'e')) return errc::scram_rejected;
    const auto signature_text = take_attribute(rest, 'v');
    if (!signature_text || !rest.empty() || server_final.ends_with(',')) {
        return errc::scram_message_malformed;
    }
    const auto signature = from_base64(*signature_text);
    if (!signature) return errc::scram_message_malformed;
    if (signature->size() != scram_key::size) return errc::scram_signature_wrong;
    scram_key told;
    std::ranges::copy(*signature, told.bytes().begin());
    return is_equal(told, server_signature_) ? error_code{} : errc::scram_signature_wrong;
}

}  // namespace pgtorii::protocol
