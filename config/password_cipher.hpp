#pragma once

#include "config/load.hpp"
#include "config/secret.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// The encryption of AES entries in pool_passwd, as pg_enc makes them: AES-256-CBC with key and
/// initial vector from the text of the key by OpenSSL's EVP_BytesToKey (SHA-1, one round, no salt),
/// in base64. Equal passwords give equal texts; it keeps a password from being read in passing, not
/// from whoever has the key's file. Source: Pgpool-II, pg_enc.
namespace pgtorii::config {

/// A key is this long at most: what follows in the first line of its file does not count.
inline constexpr std::size_t pool_key_bytes_max = 255;

/// In base64, without the prefix AES. Nothing when the library refuses.
std::optional<std::string> encrypt_password(std::string_view password, std::string_view key);

/// Nothing when `base64` was not made with this key.
std::optional<secret> decrypt_password(std::string_view base64, std::string_view key);

struct pool_key_outcome {
    std::optional<secret> key;  ///< Nothing: there is no such file, or it is of no use.
    std::vector<diagnostic> diagnostics;
};

/// The first line of the key's file. A missing file is no problem of its own: only who needs the
/// key has one.
pool_key_outcome read_pool_key(const std::string& path);

}  // namespace pgtorii::config
