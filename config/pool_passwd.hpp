#pragma once

#include "config/load.hpp"
#include "config/problem.hpp"
#include "config/secret.hpp"

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

/// pool_passwd: the passwords that clients are checked by, and that prove us to servers.
/// Source: Pgpool-II, auth-methods.
namespace pgtorii::config {

enum class password_kind : std::uint8_t {
    md5,    ///< "md5" and 32 hex digits, as PostgreSQL stores them.
    aes,    ///< Encrypted, in base64: decrypt_password. The prefix AES is taken off.
    text,   ///< In clear; the prefix TEXT, if any, is taken off.
    scram,  ///< "SCRAM-SHA-256$..." as PostgreSQL stores it. Pgpool-II refuses these.
};

struct password_entry {
    password_kind kind = password_kind::text;
    secret value;

    /// The two last fields of user:password:backend_user:backend_password, which Pgpool-II reads
    /// and does not use; empty when there are none.
    std::string server_user;
    secret server_password;
};

/// The entries of a file. Immutable after loading; safe to use from all threads.
class pool_passwd {
public:
    /// Null: the user has no entry. Valid as long as this object.
    const password_entry* find(std::string_view user) const;
    std::size_t size() const { return entries_.size(); }

    /// False: the user had an entry already, which stays.
    bool add(std::string user, password_entry entry);

private:
    std::map<std::string, password_entry, std::less<>> entries_;
};

struct pool_passwd_outcome {
    pool_passwd entries;
    std::vector<diagnostic> diagnostics;  ///< An error means that the file could not be read.

    bool has_errors() const;
};

/// Reads the file. What a line lacks or has too much is a warning that names the line, never its
/// text. A missing file is a warning. Bounds: 16 MiB, 4 KiB in a line, 100 remarks.
pool_passwd_outcome load_pool_passwd(const std::string& path);
/// The same for a text; `name` stands for the file.
pool_passwd_outcome load_pool_passwd_text(const std::string& name, std::string_view text);

/// The kind of a password field, and its value without prefix.
password_entry password_entry_of(std::string_view field);

/// One entry to be written; `field` with its prefix, not escaped.
struct password_change {
    std::string user;
    secret field;
};

/// Puts entries into the file, each in the place of the user's line or else at the end, in one step
/// (replace_file); other lines stay as they are. The file is made when it is not there. Gives what
/// went wrong.
std::optional<problem> update_pool_passwd(const std::string& path,
                                          std::span<const password_change> changes);

/// The content of a file after these changes.
std::string updated_pool_passwd(std::string_view content, std::span<const password_change> changes);

}  // namespace pgtorii::config
