#pragma once

#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <unordered_map>

namespace pgtorii::core {

/// The cancel key that a session was given: random bits, never a server's pid, so that it says
/// nothing about servers and a former user of a link can't cancel the next one's queries.
struct cancel_key {
    std::uint32_t pid = 0;
    std::uint32_t secret = 0;
    friend bool operator==(const cancel_key&, const cancel_key&) = default;
};

/// Which worker and session a cancel key names. Process-wide; one short look under a mutex for each
/// login, end of a session, and cancel request.
class cancel_registry {
public:
    struct place {
        int worker = 0;
        std::uint64_t session = 0;
    };

    /// A key that no other session has; its pid is positive, as clients expect of a process id.
    cancel_key add(place where);
    void remove(cancel_key key);
    std::optional<place> find(cancel_key key) const;
    std::size_t size() const;

private:
    static std::uint64_t word(cancel_key key) { return std::uint64_t{key.pid} << 32 | key.secret; }

    mutable std::mutex mutex_;
    std::unordered_map<std::uint64_t, place> places_;
};

}  // namespace pgtorii::core
