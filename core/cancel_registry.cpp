#include "core/cancel_registry.hpp"

#include "core/base/always_assert.hpp"
#include "protocol/startup.hpp"

#include <algorithm>
#include <openssl/crypto.h>
#include <openssl/rand.h>

namespace pgtorii::core {

namespace {

void draw(std::span<std::byte> into)
{
    const int drawn =
        ::RAND_bytes(reinterpret_cast<unsigned char*>(into.data()), static_cast<int>(into.size()));
    always_assert(drawn == 1);
}

}  // namespace

cancel_key cancel_registry::add(place where, std::size_t secret_bytes)
{
    static_assert(sizeof(short_secret) == protocol::cancel_secret_bytes_3_0);
    static_assert(sizeof(long_secret) == protocol::cancel_secret_bytes_3_2);
    entry made;
    made.session = where.session;
    made.worker = where.worker;
    if (secret_bytes == sizeof(long_secret)) {
        made.longer = std::make_unique<long_secret>();
        draw(*made.longer);
    } else {
        always_assert(secret_bytes == sizeof(short_secret));
        draw(made.secret);
    }
    cancel_key key;
    const auto bytes = made.bytes();
    key.secret.assign(bytes.begin(), bytes.end());
    for (;;) {
        draw(std::as_writable_bytes(std::span{&key.pid, 1}));
        key.pid &= 0x7fffffff;
        if (key.pid == 0) continue;
        const std::lock_guard guard{mutex_};
        if (sessions_.try_emplace(key.pid, std::move(made)).second) return key;
    }
}

void cancel_registry::remove(std::uint32_t pid)
{
    const std::lock_guard guard{mutex_};
    sessions_.erase(pid);
}

std::optional<cancel_registry::place> cancel_registry::find(std::uint32_t pid,
                                                            std::span<const std::byte> secret) const
{
    const std::lock_guard guard{mutex_};
    const auto found = sessions_.find(pid);
    if (found == sessions_.end()) return std::nullopt;
    const auto wanted = found->second.bytes();
    if (secret.size() != wanted.size() ||
        ::CRYPTO_memcmp(secret.data(), wanted.data(), wanted.size()) != 0) {
        return std::nullopt;
    }
    return place{.worker = found->second.worker, .session = found->second.session};
}

std::size_t cancel_registry::size() const
{
    const std::lock_guard guard{mutex_};
    return sessions_.size();
}

}  // namespace pgtorii::core
