#include "config/password_cipher.hpp"

#include "config/secret_file.hpp"
#include "config/text.hpp"

#include <fmt/format.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <memory>

namespace pgtorii::config {
namespace {

constexpr std::size_t aes_block_bytes = 16;
constexpr std::size_t password_bytes_max = 64 << 10;

const unsigned char* bytes_of(std::string_view text)
{
    return reinterpret_cast<const unsigned char*>(text.data());
}

unsigned char* bytes_of(std::string& text)
{
    return reinterpret_cast<unsigned char*>(text.data());
}

/// A context for one direction with the key of `key_text`, or null.
class cipher {
public:
    enum class direction : int { decrypt = 0, encrypt = 1 };

    cipher(std::string_view key_text, direction way)
    {
        const auto* const kind = EVP_aes_256_cbc();
        std::array<unsigned char, EVP_MAX_KEY_LENGTH> key{};
        std::array<unsigned char, EVP_MAX_IV_LENGTH> vector{};
        is_ready_ =
            context_ != nullptr &&
            EVP_BytesToKey(kind, EVP_sha1(), nullptr, bytes_of(key_text),
                           static_cast<int>(key_text.size()), 1, key.data(), vector.data()) > 0 &&
            EVP_CipherInit_ex(context_.get(), kind, nullptr, key.data(), vector.data(),
                              static_cast<int>(way)) == 1;
        OPENSSL_cleanse(key.data(), key.size());
        OPENSSL_cleanse(vector.data(), vector.size());
    }

    /// False: refused. `out` has been wiped then.
    bool run(std::string_view in, std::string& out)
    {
        out.assign(in.size() + aes_block_bytes, '\0');
        int size = 0;
        int rest = 0;
        const bool is_done = is_ready_ &&
                             EVP_CipherUpdate(context_.get(), bytes_of(out), &size, bytes_of(in),
                                              static_cast<int>(in.size())) == 1 &&
                             EVP_CipherFinal_ex(context_.get(), bytes_of(out) + size, &rest) == 1;
        if (is_done)
            out.resize(static_cast<std::size_t>(size + rest));
        else
            wipe(out);
        return is_done;
    }

private:
    std::unique_ptr<EVP_CIPHER_CTX, void (*)(EVP_CIPHER_CTX*)> context_{EVP_CIPHER_CTX_new(),
                                                                        &EVP_CIPHER_CTX_free};
    bool is_ready_ = false;
};

}  // namespace

std::optional<std::string> encrypt_password(std::string_view password, std::string_view key)
{
    std::string sealed;
    if (password.size() > password_bytes_max ||
        !cipher{key, cipher::direction::encrypt}.run(password, sealed))
        return std::nullopt;
    std::string text((sealed.size() + 2) / 3 * 4 + 1, '\0');
    const int size =
        EVP_EncodeBlock(bytes_of(text), bytes_of(sealed), static_cast<int>(sealed.size()));
    text.resize(static_cast<std::size_t>(size));
    return text;
}

std::optional<secret> decrypt_password(std::string_view base64, std::string_view key)
{
    if (base64.empty() || base64.size() % 4 != 0 || base64.size() > 2 * password_bytes_max)
        return std::nullopt;
    std::string sealed(base64.size() / 4 * 3, '\0');
    const int size =
        EVP_DecodeBlock(bytes_of(sealed), bytes_of(base64), static_cast<int>(base64.size()));
    if (size < 0) return std::nullopt;
    auto bytes = static_cast<std::size_t>(size);
    if (base64.ends_with('=')) --bytes;
    if (base64.ends_with("==")) --bytes;
    sealed.resize(bytes);
    std::string password;
    if (!cipher{key, cipher::direction::decrypt}.run(sealed, password)) return std::nullopt;
    std::optional<secret> made{secret{password}};
    wipe(password);
    return made;
}

pool_key_outcome read_pool_key(const std::string& path)
{
    pool_key_outcome made;
    auto file = read_secret_file(path, pool_key_bytes_max + 1);
    if (file.failure == ENOENT) return made;
    if (file.failure != 0) {
        made.diagnostics.push_back({severity::error,
                                    path,
                                    0,
                                    fmt::format("could not read the key file {}: {}",
                                                in_quotes(path), std::strerror(file.failure)),
                                    {}});
        return made;
    }
    if (file.is_open_to_others || file.is_open_to_group)
        made.diagnostics.push_back(
            {severity::warning, path, 0,
             fmt::format("the key file {} is open to its group or to others", in_quotes(path)),
             "Let only its owner read it: chmod 0600."});
    auto line = file.bytes.view();
    line = line.substr(0, line.find('\n')).substr(0, pool_key_bytes_max);
    if (line.empty())
        made.diagnostics.push_back({severity::error,
                                    path,
                                    0,
                                    fmt::format("the key file {} is empty", in_quotes(path)),
                                    {}});
    else
        made.key.emplace(line);
    return made;
}

}  // namespace pgtorii::config
