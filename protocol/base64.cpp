#include "protocol/base64.hpp"

#include <openssl/evp.h>

namespace pgtorii::protocol {

std::string to_base64(std::span<const unsigned char> bytes)
{
    std::string text((bytes.size() + 2) / 3 * 4 + 1, '\0');
    const int size = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()), bytes.data(),
                                     static_cast<int>(bytes.size()));
    text.resize(static_cast<std::size_t>(size));
    return text;
}

std::optional<std::vector<unsigned char>> from_base64(std::string_view text)
{
    if (text.empty() || text.size() % 4 != 0) return std::nullopt;
    std::vector<unsigned char> bytes(text.size() / 4 * 3);
    const int size =
        EVP_DecodeBlock(bytes.data(), reinterpret_cast<const unsigned char*>(text.data()),
                        static_cast<int>(text.size()));
    if (size < 0) return std::nullopt;
    bytes.resize(static_cast<std::size_t>(size));
    if (text.ends_with("==")) bytes.pop_back();
    if (text.ends_with('=')) bytes.pop_back();
    // The library takes blanks, and bits behind the last byte.
    if (to_base64(bytes) != text) return std::nullopt;
    return bytes;
}

}  // namespace pgtorii::protocol
