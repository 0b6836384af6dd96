#pragma once

#include "config/secret.hpp"
#include "core/command_line.hpp"

#include <cstdint>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>

namespace pgtorii::admin::passwd {

/// A call that makes no sense, or that has failed: what() tells the user.
class refused : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

/// What a password becomes.
enum class form : std::uint8_t {
    aes,    ///< pg_enc's
    md5,    ///< pg_md5's with -m: with the user's name in it
    scram,  ///< a SCRAM-SHA-256 verifier
    pcp,    ///< pg_md5's without -m: for pcp.conf
};

struct options {
    form what = form::aes;
    bool updates = false;  ///< -m
    bool wants_help = false;
    bool asks_for_key = false;               ///< -P
    std::optional<config::secret> key;       ///< -K
    std::string key_file;                    ///< -k, or from the surroundings; may be empty.
    std::string config_file;                 ///< -f
    std::string user;                        ///< -u
    std::string input_file;                  ///< -i
    std::optional<config::secret> password;  ///< The argument.
};

/// Reads what stands behind the word "passwd". Throws refused.
options parse_options(std::span<const std::string> arguments, const core::surroundings& around);

extern const char* const options_help;

}  // namespace pgtorii::admin::passwd
