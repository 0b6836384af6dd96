#include "core/cancel_registry.hpp"

#include <catch2/catch.hpp>

#include <random>
#include <set>

using pgtorii::core::cancel_key;
using pgtorii::core::cancel_registry;

TEST_CASE("A cancel key finds its own session, and nothing else does")
{
    cancel_registry keys;
    std::vector<cancel_key> given;
    std::set<std::uint32_t> pids;
    constexpr std::uint64_t count = 2'000;
    for (std::uint64_t session = 0; session < count; ++session) {
        const std::size_t bytes = session % 2 == 0 ? 4 : 32;
        given.push_back(keys.add({static_cast<int>(session % 7), session}, bytes));
        const auto& key = given.back();
        CHECK(key.secret.size() == bytes);
        CHECK(key.pid > 0);
        CHECK(key.pid <= 0x7fff'ffff);
        CHECK(pids.insert(key.pid).second);
    }
    CHECK(keys.size() == count);
    std::minstd_rand random{1};
    for (std::uint64_t session = 0; session < count; ++session) {
        const auto& key = given[session];
        const auto found = keys.find(key.pid, key.secret);
        REQUIRE(found);
        CHECK(found->session == session);
        CHECK(found->worker == static_cast<int>(session % 7));
        // Any bit of it, its length, another's secret.
        auto wrong = key.secret;
        wrong[random() % wrong.size()] ^= std::byte(1U << random() % 8);
        CHECK_FALSE(keys.find(key.pid, wrong));
        CHECK_FALSE(keys.find(key.pid, std::span{key.secret}.first(key.secret.size() - 1)));
        CHECK_FALSE(keys.find(key.pid, {}));
        wrong = key.secret;
        wrong.push_back(std::byte{0});
        CHECK_FALSE(keys.find(key.pid, wrong));
        CHECK_FALSE(keys.find(key.pid, given[(session + 2) % count].secret));
    }
    for (const auto& key : given) {
        keys.remove(key.pid);
        CHECK_FALSE(keys.find(key.pid, key.secret));
    }
    CHECK(keys.size() == 0);
    keys.remove(1);
}
