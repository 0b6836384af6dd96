#include "protocol/authentication.hpp"

#include "core/base/always_assert.hpp"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <vector>

namespace pgtorii::protocol {
namespace {

using digest = std::array<unsigned char, 32>;

/// gs2-header of a client that does not support channel binding, and its base64 form.
constexpr std::string_view gs2_header = "n,,";
constexpr std::string_view gs2_header_base64 = "biws";

const unsigned char* bytes_of(std::string_view text)
{
    return reinterpret_cast<const unsigned char*>(text.data());
}

std::string to_hex(std::span<const unsigned char> bytes)
{
    static constexpr std::string_view digits = "0123456789abcdef";
    std::string text;
    for (const unsigned value : bytes) {
        text += digits[value >> 4];
        text += digits[value & 15];
    }
    return text;
}

/// Hex form of the MD5 of two strings, one after the other.
result<std::string> md5_hex(std::string_view first, std::string_view second)
{
    std::string input;
    input.reserve(first.size() + second.size());
    input.append(first).append(second);
    std::array<unsigned char, 16> hash{};
    const int ok = EVP_Digest(input.data(), input.size(), hash.data(), nullptr, EVP_md5(), nullptr);
    wipe(input);
    if (ok != 1) return errc::crypto_failed;
    return to_hex(hash);
}

std::string to_base64(std::span<const unsigned char> bytes)
{
    std::string text((bytes.size() + 2) / 3 * 4 + 1, '\0');
    const int size = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()), bytes.data(),
                                     static_cast<int>(bytes.size()));
    text.resize(static_cast<std::size_t>(size));
    return text;
}

/// The bytes of a base64 text in its one canonical form, without blanks; nothing for others.
std::optional<std::vector<unsigned char>> from_base64(std::string_view text)
{
    if (text.empty() || text.size() % 4 != 0) return std::nullopt;
    std::vector<unsigned char> bytes(text.size() / 4 * 3);
    const int size = EVP_DecodeBlock(bytes.data(), bytes_of(text), static_cast<int>(text.size()));
    if (size < 0) return std::nullopt;
    bytes.resize(static_cast<std::size_t>(size));
    if (text.ends_with("==")) bytes.pop_back();
    if (text.ends_with('=')) bytes.pop_back();
    // The library takes blanks, and bits behind the last byte.
    if (to_base64(bytes) != text) return std::nullopt;
    return bytes;
}

/// Takes "<name>=<value>" off the head of `text`, up to a comma or the end.
std::optional<std::string_view> take_attribute(std::string_view& text, char name)
{
    if (text.size() < 2 || text[0] != name || text[1] != '=') return std::nullopt;
    const auto comma = text.find(',');
    const auto value = text.substr(2, comma == text.npos ? text.npos : comma - 2);
    text = comma == text.npos ? std::string_view{} : text.substr(comma + 1);
    return value;
}

bool is_nonce(std::string_view text)
{
    return std::all_of(text.begin(), text.end(),
                       [](char c) { return c > ' ' && c < '\x7f' && c != ','; });
}

bool hmac(std::span<const unsigned char> key, std::string_view text, digest& out)
{
    unsigned size = 0;
    return HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), bytes_of(text), text.size(),
                out.data(), &size) != nullptr &&
           size == out.size();
}

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

/// A digest that is overwritten when it goes.
struct secret_digest {
    digest bytes{};
    secret_digest() = default;
    ~secret_digest() { OPENSSL_cleanse(bytes.data(), bytes.size()); }
    secret_digest(const secret_digest&) = delete;
    secret_digest& operator=(const secret_digest&) = delete;
};

}  // namespace

bool equal_in_constant_time(std::string_view a, std::string_view b)
{
    return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

void wipe(std::string& secret)
{
    OPENSSL_cleanse(secret.data(), secret.size());
    secret.clear();
}

result<std::string> md5_response(std::string_view user, std::string_view password,
                                 std::span<const std::byte, 4> salt)
{
    auto stored = md5_hex(password, user);
    if (!stored) return stored.error();
    const std::string_view salt_text(reinterpret_cast<const char*>(salt.data()), salt.size());
    auto salted = md5_hex(*stored, salt_text);
    wipe(*stored);
    if (!salted) return salted.error();
    return "md5" + *salted;
}

scram_client::scram_client(std::string_view password, std::string nonce, std::string_view user)
    : password_(password),
      nonce_(std::move(nonce)),
      first_bare_("n=" + escape_name(user) + ",r=" + nonce_)
{
    always_assert(!nonce_.empty() && is_nonce(nonce_));
}

scram_client::~scram_client()
{
    wipe(password_);
    OPENSSL_cleanse(server_signature_.data(), server_signature_.size());
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
    return std::string(gs2_header) + first_bare_;
}

result<std::string> scram_client::final_message(std::string_view server_first)
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
    if (nonce->size() > nonce_bytes_max || !is_nonce(*nonce)) return errc::scram_message_malformed;
    if (nonce->size() <= nonce_.size() || !nonce->starts_with(nonce_)) {
        return errc::scram_nonce_mismatch;
    }
    const auto salt = from_base64(*salt_text);
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
    std::string message = "c=" + std::string(gs2_header_base64) + ",r=" + std::string(*nonce);
    digest proof{};
    if (const auto failure = sign(*salt, iteration_count, message, proof)) return failure;
    message += ",p=" + to_base64(proof);
    step_ = step::final_sent;
    return message;
}

/// The calculation of RFC 5802, section 3: gives the proof, keeps the signature to expect.
error_code scram_client::sign(std::span<const unsigned char> salt, std::uint32_t iteration_count,
                              const std::string& without_proof, digest& proof)
{
    const std::string signed_text = first_bare_ + ',' + server_first_ + ',' + without_proof;
    secret_digest salted_password;
    secret_digest client_key;
    secret_digest stored_key;
    secret_digest server_key;
    digest client_signature{};
    const bool is_done =
        PKCS5_PBKDF2_HMAC(password_.data(), static_cast<int>(password_.size()), salt.data(),
                          static_cast<int>(salt.size()), static_cast<int>(iteration_count),
                          EVP_sha256(), static_cast<int>(salted_password.bytes.size()),
                          salted_password.bytes.data()) == 1 &&
        hmac(salted_password.bytes, "Client Key", client_key.bytes) &&
        EVP_Digest(client_key.bytes.data(), client_key.bytes.size(), stored_key.bytes.data(),
                   nullptr, EVP_sha256(), nullptr) == 1 &&
        hmac(stored_key.bytes, signed_text, client_signature) &&
        hmac(salted_password.bytes, "Server Key", server_key.bytes) &&
        hmac(server_key.bytes, signed_text, server_signature_);
    wipe(password_);
    if (!is_done) return errc::crypto_failed;
    for (std::size_t index = 0; index != proof.size(); ++index) {
        proof[index] = client_key.bytes[index] ^ client_signature[index];
    }
    return {};
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
    if (signature->size() != server_signature_.size() ||
        CRYPTO_memcmp(signature->data(), server_signature_.data(), signature->size()) != 0) {
        return errc::scram_signature_wrong;
    }
    return {};
}

}  // namespace pgtorii::protocol
