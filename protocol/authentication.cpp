#include "protocol/authentication.hpp"

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <array>

namespace pgtorii::protocol {
namespace {

constexpr std::size_t md5_verifier_bytes = 35;

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

result<std::string> md5_verifier(std::string_view user, std::string_view password)
{
    auto hash = md5_hex(password, user);
    if (!hash) return hash.error();
    std::string made;
    made.reserve(md5_verifier_bytes);
    made.append("md5").append(*hash);
    wipe(*hash);
    return made;
}

result<std::string> md5_response_of_verifier(std::string_view verifier,
                                             std::span<const std::byte, 4> salt)
{
    if (verifier.size() != md5_verifier_bytes || !verifier.starts_with("md5"))
        return errc::bad_value;
    const std::string_view salt_text(reinterpret_cast<const char*>(salt.data()), salt.size());
    auto salted = md5_hex(verifier.substr(3), salt_text);
    if (!salted) return salted.error();
    return "md5" + *salted;
}

result<std::string> md5_response(std::string_view user, std::string_view password,
                                 std::span<const std::byte, 4> salt)
{
    auto stored = md5_verifier(user, password);
    if (!stored) return stored.error();
    auto answer = md5_response_of_verifier(*stored, salt);
    wipe(*stored);
    return answer;
}

bool is_md5_response(std::string_view answer, std::string_view verifier,
                     std::span<const std::byte, 4> salt)
{
    const auto wanted = md5_response_of_verifier(verifier, salt);
    return wanted && equal_in_constant_time(answer, *wanted);
}

bool fits_md5_verifier(std::string_view verifier, std::string_view user, std::string_view password)
{
    auto own = md5_verifier(user, password);
    if (!own) return false;
    const bool is_equal = equal_in_constant_time(*own, verifier);
    wipe(*own);
    return is_equal;
}

}  // namespace pgtorii::protocol
