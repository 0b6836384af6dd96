#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

namespace pgtorii::core {

/// The cancel key that a session was given: random bits, never a server's, so that it says nothing
/// about servers and a former user of a link can't cancel the next one's queries.
struct cancel_key {
    std::uint32_t pid =
        0;  ///< Positive, as clients expect of a process id. No two sessions' equal.
    std::vector<std::byte> secret;
};

/// Which worker and session a cancel key names. Process-wide; one short look under a mutex for each
/// login, end of a session, and cancel request.
class cancel_registry {
public:
    struct place {
        int worker = 0;
        std::uint64_t session = 0;
    };

    /// A new key, whose secret has protocol::cancel_secret_bytes_3_0 or _3_2 bytes.
    cancel_key add(place where, std::size_t secret_bytes);
    void remove(std::uint32_t pid);
    /// The session that was given this key. Secrets are compared in constant time.
    std::optional<place> find(std::uint32_t pid, std::span<const std::byte> secret) const;
    std::size_t size() const;

private:
    using short_secret = std::array<std::byte, 4>;
    using long_secret = std::array<std::byte, 32>;
    struct entry {
        std::uint64_t session = 0;
        int worker = 0;
        short_secret secret{};
        std::unique_ptr<long_secret> longer;  // instead, for clients that take one

        std::span<const std::byte> bytes() const
        {
            if (longer) return *longer;
            return secret;
        }
    };

    mutable std::mutex mutex_;
    std::unordered_map<std::uint32_t, entry> sessions_;  // by pid
};

}  // namespace pgtorii::core
