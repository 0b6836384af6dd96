#pragma once

#include "core/base/result.hpp"
#include "protocol/error.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <span>
#include <string>
#include <string_view>

/// The secrets of SCRAM-SHA-256 and how they follow from each other. Source: RFC 5802, section 3;
/// RFC 7677; PostgreSQL, catalog-pg-authid.
namespace pgtorii::protocol {

/// Rounds that PostgreSQL takes unless it is told otherwise.
inline constexpr std::uint32_t scram_iteration_count = 4'096;
inline constexpr std::size_t scram_salt_bytes = 16;

/// A key that is overwritten when it goes.
class scram_key {
public:
    static constexpr std::size_t size = 32;

    scram_key() = default;
    ~scram_key();
    scram_key(const scram_key&) = default;
    scram_key& operator=(const scram_key&) = default;

    std::span<unsigned char, size> bytes() { return bytes_; }
    std::span<const unsigned char, size> bytes() const { return bytes_; }

private:
    std::array<unsigned char, size> bytes_{};
};

/// In a time that does not depend on the bytes.
bool is_equal(const scram_key& a, const scram_key& b);

[[nodiscard]] result<scram_key> hmac_sha_256(std::span<const unsigned char> key,
                                             std::string_view text);

/// What a client needs to log in, and what is as good as the password at all servers that keep the
/// very same verifier: never logged, never on a disk.
struct scram_client_keys {
    scram_key client_key;
    scram_key server_key;
};

/// Follows from a password by as many rounds of hashing as `iteration_count` says: at 4,096 more
/// than a millisecond. A pure function, to be run where nobody waits. The password is prepared
/// first (prepared_password). Error: errc::crypto_failed.
[[nodiscard]] result<scram_client_keys> derive_scram_keys(std::string_view password,
                                                          std::span<const unsigned char> salt,
                                                          std::uint32_t iteration_count);

/// What a server keeps of a password.
struct scram_verifier {
    static constexpr std::size_t text_bytes_max = 2'048;

    std::uint32_t iteration_count = scram_iteration_count;
    std::string salt;  ///< Bytes.
    scram_key stored_key;
    scram_key server_key;
    /// There is no such user: nobody gets in by this one.
    bool is_mock = false;

    /// From PostgreSQL's form, SCRAM-SHA-256$rounds:salt$StoredKey:ServerKey.
    /// Error: errc::bad_value.
    [[nodiscard]] static result<scram_verifier> parse(std::string_view text);
    std::string to_text() const;

    /// From the keys of derive_scram_keys with this salt. Error: errc::crypto_failed.
    [[nodiscard]] static result<scram_verifier>
    from_keys(const scram_client_keys& keys, std::string_view salt, std::uint32_t iteration_count);
    /// With a new random salt. Takes as long as derive_scram_keys.
    [[nodiscard]] static result<scram_verifier>
    from_password(std::string_view password, std::uint32_t iteration_count = scram_iteration_count);
    /// For a user who has no password here: the same each time, by a secret that this installation
    /// keeps, so that nobody can tell him from a real one.
    [[nodiscard]] static result<scram_verifier>
    mock(std::string_view user, std::span<const unsigned char> installation_secret,
         std::uint32_t iteration_count = scram_iteration_count);

    /// Whether it is this password's; never so for a mock one, which costs the same. Takes as long
    /// as derive_scram_keys.
    bool fits(std::string_view password) const;
};

/// Keys that have been derived once, for passwords that are used again and again. It belongs to one
/// thread; what was not used for the longest time goes when it is full.
class scram_key_cache {
public:
    explicit scram_key_cache(std::size_t count_max) : count_max_(count_max) {}

    /// Null: not there. Valid until the next call that isn't const.
    const scram_client_keys* find(std::string_view password, std::span<const unsigned char> salt,
                                  std::uint32_t iteration_count);
    void put(std::string_view password, std::span<const unsigned char> salt,
             std::uint32_t iteration_count, const scram_client_keys& keys);
    /// When passwords have changed.
    void clear();
    std::size_t size() const { return order_.size(); }

private:
    struct entry {
        std::string name;
        scram_client_keys keys;
    };
    using place = std::list<entry>::iterator;

    std::size_t count_max_;
    std::list<entry> order_;  // last used first
    std::map<std::string, place> places_;
};

}  // namespace pgtorii::protocol
