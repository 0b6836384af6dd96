#include "protocol/scram_keys.hpp"

#include "core/base/always_assert.hpp"
#include "protocol/authentication.hpp"
#include "protocol/base64.hpp"
#include "protocol/saslprep.hpp"

#include <fmt/format.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include <algorithm>
#include <charconv>
#include <limits>
#include <optional>

namespace pgtorii::protocol {
namespace {

std::span<const unsigned char> bytes_of(std::string_view text)
{
    return {reinterpret_cast<const unsigned char*>(text.data()), text.size()};
}

bool sha_256(std::span<const unsigned char> bytes, scram_key& out)
{
    return EVP_Digest(bytes.data(), bytes.size(), out.bytes().data(), nullptr, EVP_sha256(),
                      nullptr) == 1;
}

bool read_key(std::string_view text, scram_key& out)
{
    auto bytes = from_base64(text);
    const bool is_key = bytes && bytes->size() == scram_key::size;
    if (is_key) std::ranges::copy(*bytes, out.bytes().begin());
    if (bytes) OPENSSL_cleanse(bytes->data(), bytes->size());
    return is_key;
}

/// The text up to `mark`, taken off the head of `rest` with it; nothing without a mark.
std::optional<std::string_view> take_up_to(std::string_view& rest, char mark)
{
    const auto end = rest.find(mark);
    if (end == rest.npos) return std::nullopt;
    const auto taken = rest.substr(0, end);
    rest.remove_prefix(end + 1);
    return taken;
}

/// The name under which keys are kept: a hash, so that no password stands there in clear. Empty
/// when the library refuses.
std::string cache_name(std::string_view password, std::span<const unsigned char> salt,
                       std::uint32_t iteration_count)
{
    auto text = fmt::format("{}:{}:", iteration_count, salt.size());
    text.reserve(text.size() + salt.size() + password.size());
    text.append(reinterpret_cast<const char*>(salt.data()), salt.size()).append(password);
    scram_key hash;
    const bool is_done = sha_256(bytes_of(text), hash);
    wipe(text);
    if (!is_done) return {};
    return {reinterpret_cast<const char*>(hash.bytes().data()), hash.bytes().size()};
}

}  // namespace

scram_key::~scram_key()
{
    OPENSSL_cleanse(bytes_.data(), bytes_.size());
}

bool is_equal(const scram_key& a, const scram_key& b)
{
    return CRYPTO_memcmp(a.bytes().data(), b.bytes().data(), scram_key::size) == 0;
}

result<scram_key> hmac_sha_256(std::span<const unsigned char> key, std::string_view text)
{
    scram_key made;
    unsigned size = 0;
    if (HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), bytes_of(text).data(),
             text.size(), made.bytes().data(), &size) == nullptr ||
        size != scram_key::size)
        return errc::crypto_failed;
    return made;
}

result<scram_client_keys> derive_scram_keys(std::string_view password,
                                            std::span<const unsigned char> salt,
                                            std::uint32_t iteration_count)
{
    always_assert(iteration_count >= 1 &&
                  iteration_count <= std::uint32_t{std::numeric_limits<int>::max()});
    auto prepared = prepared_password(password);
    scram_key salted;
    const int is_done =
        PKCS5_PBKDF2_HMAC(prepared.data(), static_cast<int>(prepared.size()), salt.data(),
                          static_cast<int>(salt.size()), static_cast<int>(iteration_count),
                          EVP_sha256(), static_cast<int>(scram_key::size), salted.bytes().data());
    wipe(prepared);
    if (is_done != 1) return errc::crypto_failed;
    const auto client_key = hmac_sha_256(salted.bytes(), "Client Key");
    const auto server_key = hmac_sha_256(salted.bytes(), "Server Key");
    if (!client_key || !server_key) return errc::crypto_failed;
    return scram_client_keys{*client_key, *server_key};
}

result<scram_verifier> scram_verifier::parse(std::string_view text)
{
    if (text.size() > text_bytes_max) return errc::bad_value;
    const auto mechanism = take_up_to(text, '$');
    const auto rounds = take_up_to(text, ':');
    const auto salt_text = take_up_to(text, '$');
    const auto stored_key_text = take_up_to(text, ':');
    if (!mechanism || *mechanism != scram_sha_256 || !rounds || !salt_text || !stored_key_text)
        return errc::bad_value;
    scram_verifier made;
    const auto* const end = rounds->data() + rounds->size();
    const auto read = std::from_chars(rounds->data(), end, made.iteration_count);
    if (read.ec != std::errc{} || read.ptr != end || made.iteration_count < 1 ||
        made.iteration_count > std::uint32_t{std::numeric_limits<int>::max()})
        return errc::bad_value;
    const auto salt = from_base64(*salt_text);
    if (!salt || !read_key(*stored_key_text, made.stored_key) || !read_key(text, made.server_key))
        return errc::bad_value;
    made.salt.assign(salt->begin(), salt->end());
    return made;
}

std::string scram_verifier::to_text() const
{
    return fmt::format("{}${}:{}${}:{}", scram_sha_256, iteration_count, to_base64(bytes_of(salt)),
                       to_base64(stored_key.bytes()), to_base64(server_key.bytes()));
}

result<scram_verifier> scram_verifier::from_keys(const scram_client_keys& keys,
                                                 std::string_view salt,
                                                 std::uint32_t iteration_count)
{
    scram_verifier made;
    made.iteration_count = iteration_count;
    made.salt = salt;
    made.server_key = keys.server_key;
    if (!sha_256(keys.client_key.bytes(), made.stored_key)) return errc::crypto_failed;
    return made;
}

result<scram_verifier> scram_verifier::from_password(std::string_view password,
                                                     std::uint32_t iteration_count)
{
    std::string salt(scram_salt_bytes, '\0');
    if (RAND_bytes(reinterpret_cast<unsigned char*>(salt.data()), static_cast<int>(salt.size())) !=
        1)
        return errc::crypto_failed;
    const auto keys = derive_scram_keys(password, bytes_of(salt), iteration_count);
    if (!keys) return keys.error();
    return from_keys(*keys, salt, iteration_count);
}

result<scram_verifier> scram_verifier::mock(std::string_view user,
                                            std::span<const unsigned char> installation_secret,
                                            std::uint32_t iteration_count)
{
    const auto key_for = [&](std::string_view purpose) {
        return hmac_sha_256(installation_secret, fmt::format("{}:{}", purpose, user));
    };
    const auto salt = key_for("salt");
    const auto stored_key = key_for("stored key");
    const auto server_key = key_for("server key");
    if (!salt || !stored_key || !server_key) return errc::crypto_failed;
    scram_verifier made;
    made.iteration_count = iteration_count;
    made.salt.assign(salt->bytes().begin(), salt->bytes().begin() + scram_salt_bytes);
    made.stored_key = *stored_key;
    made.server_key = *server_key;
    made.is_mock = true;
    return made;
}

bool scram_verifier::fits(std::string_view password) const
{
    const auto keys = derive_scram_keys(password, bytes_of(salt), iteration_count);
    if (!keys) return false;
    const auto own = from_keys(*keys, salt, iteration_count);
    return own && is_equal(own->stored_key, stored_key) && !is_mock;
}

const scram_client_keys* scram_key_cache::find(std::string_view password,
                                               std::span<const unsigned char> salt,
                                               std::uint32_t iteration_count)
{
    const auto found = places_.find(cache_name(password, salt, iteration_count));
    if (found == places_.end()) return nullptr;
    order_.splice(order_.begin(), order_, found->second);
    return &found->second->keys;
}

void scram_key_cache::put(std::string_view password, std::span<const unsigned char> salt,
                          std::uint32_t iteration_count, const scram_client_keys& keys)
{
    auto name = cache_name(password, salt, iteration_count);
    if (name.empty() || count_max_ == 0 || places_.contains(name)) return;
    if (order_.size() == count_max_) {
        places_.erase(order_.back().name);
        order_.pop_back();
    }
    order_.push_front({name, keys});
    places_.emplace(std::move(name), order_.begin());
}

void scram_key_cache::clear()
{
    places_.clear();
    order_.clear();
}

}  // namespace pgtorii::protocol
