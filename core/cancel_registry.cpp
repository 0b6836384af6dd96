#include "core/cancel_registry.hpp"

#include "core/base/always_assert.hpp"

#include <openssl/rand.h>

namespace pgtorii::core {

cancel_key cancel_registry::add(place where)
{
    for (;;) {
        cancel_key key;
        const int drawn = ::RAND_bytes(reinterpret_cast<unsigned char*>(&key), sizeof key);
        always_assert(drawn == 1);
        key.pid &= 0x7fffffff;
        if (key.pid == 0) continue;
        const std::lock_guard guard{mutex_};
        if (places_.emplace(word(key), where).second) return key;
    }
}

void cancel_registry::remove(cancel_key key)
{
    const std::lock_guard guard{mutex_};
    places_.erase(word(key));
}

std::optional<cancel_registry::place> cancel_registry::find(cancel_key key) const
{
    const std::lock_guard guard{mutex_};
    const auto found = places_.find(word(key));
    if (found == places_.end()) return std::nullopt;
    return found->second;
}

std::size_t cancel_registry::size() const
{
    const std::lock_guard guard{mutex_};
    return places_.size();
}

}  // namespace pgtorii::core
