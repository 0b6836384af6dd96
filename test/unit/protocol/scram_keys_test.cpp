#include "protocol/scram_keys.hpp"

#include "protocol/authentication.hpp"
#include "protocol/base64.hpp"

#include <catch2/catch.hpp>

#include <array>
#include <chrono>
#include <cstdio>
#include <set>

namespace pgtorii::protocol {
namespace {

using namespace std::string_literals;

/// What PostgreSQL 15 has stored for "pencil" with the salt of RFC 7677 (its keys are in there).
constexpr auto pencil = "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$"
                        "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:"
                        "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";

std::vector<unsigned char> salt_of(const scram_verifier& from)
{
    return {from.salt.begin(), from.salt.end()};
}

TEST_CASE("Keys are those of RFC 7677")
{
    const auto known = scram_verifier::parse(pencil).value();
    CHECK(known.iteration_count == 4'096);
    CHECK(known.salt.size() == 16);
    CHECK_FALSE(known.is_mock);
    CHECK(known.to_text() == pencil);
    CHECK(known.fits("pencil"));
    CHECK_FALSE(known.fits("Pencil"));
    CHECK_FALSE(known.fits(""));
    const auto keys = derive_scram_keys("pencil", salt_of(known), 4'096).value();
    CHECK(scram_verifier::from_keys(keys, known.salt, 4'096)->to_text() == pencil);
}

TEST_CASE("A verifier's text has one right form")
{
    const std::string good = pencil;
    for (std::size_t size = 0; size < good.size(); ++size)
        CHECK_FALSE(scram_verifier::parse(good.substr(0, size)).has_value());
    const auto with = [&](const std::string& old, const std::string& fresh) {
        auto text = good;
        return text.replace(text.find(old), old.size(), fresh);
    };
    for (const auto& wrong :
         {good + "x", good + "=", " "s + good, with("SCRAM", "scram"), with("4096", "0"),
          with("4096", "-1"), with("4096", "+1"), with("4096", "2147483648"), with("4096", ""),
          with("W22ZaJ0SNY7soEsUEjb6gQ==", ""), with("W22Z", "W2 Z"), with("gQ==", "gR=="),
          with("WG5d", ""), with("wfPL", "????"), std::string(5'000, 'x')}) {
        INFO(wrong);
        CHECK_FALSE(scram_verifier::parse(wrong).has_value());
    }
    CHECK(scram_verifier::parse(with("4096", "2147483647")).has_value());
}

TEST_CASE("A new verifier has a new salt, and fits its password")
{
    std::set<std::string> salts;
    for (int round = 0; round < 20; ++round) {
        const auto password = "se\xc3\xb1or" + std::to_string(round);
        const auto made = scram_verifier::from_password(password, 10).value();
        CHECK(made.salt.size() == scram_salt_bytes);
        CHECK(salts.insert(made.salt).second);
        CHECK(made.fits(password));
        CHECK(scram_verifier::parse(made.to_text())->fits(password));
        CHECK_FALSE(made.fits(password + "x"));
    }
    // As PostgreSQL, the password is prepared first.
    CHECK(scram_verifier::from_password("u\xcc\x88", 10)->fits("\xc3\xbc"));
}

TEST_CASE("A mock verifier is always the same, and fits nothing")
{
    const std::array<unsigned char, 4> secret{1, 2, 3, 4};
    const std::array<unsigned char, 4> other{1, 2, 3, 5};
    const auto made = scram_verifier::mock("alice", secret).value();
    CHECK(made.is_mock);
    CHECK(made.iteration_count == 4'096);
    CHECK(made.salt.size() == scram_salt_bytes);
    CHECK(made.to_text() == scram_verifier::mock("alice", secret)->to_text());
    CHECK(made.salt != scram_verifier::mock("bob", secret)->salt);
    CHECK(made.salt != scram_verifier::mock("alice", other)->salt);
    auto keys = scram_verifier::from_password("x", 10).value();
    keys.is_mock = true;
    CHECK_FALSE(keys.fits("x"));
}

TEST_CASE("The cache gives keys for the very password, salt and rounds")
{
    scram_key_cache cache{2};
    const std::vector<unsigned char> salt{1, 2, 3};
    const std::vector<unsigned char> other{1, 2};
    const auto keys = derive_scram_keys("p", salt, 2).value();
    CHECK(cache.find("p", salt, 2) == nullptr);
    cache.put("p", salt, 2, keys);
    REQUIRE(cache.find("p", salt, 2) != nullptr);
    CHECK(is_equal(cache.find("p", salt, 2)->client_key, keys.client_key));
    CHECK(cache.find("p", salt, 3) == nullptr);
    CHECK(cache.find("p", other, 2) == nullptr);
    CHECK(cache.find("q", salt, 2) == nullptr);
    CHECK(cache.find("\x03p", other, 2) == nullptr);
    cache.put("q", salt, 2, keys);
    CHECK(cache.find("p", salt, 2) != nullptr);
    cache.put("r", salt, 2, keys);  // q was not used for the longest time
    CHECK(cache.find("q", salt, 2) == nullptr);
    CHECK(cache.find("p", salt, 2) != nullptr);
    CHECK(cache.find("r", salt, 2) != nullptr);
    CHECK(cache.size() == 2);
    cache.put("r", salt, 2, keys);
    CHECK(cache.size() == 2);
    cache.clear();
    CHECK(cache.find("p", salt, 2) == nullptr);
    scram_key_cache none{0};
    none.put("p", salt, 2, keys);
    CHECK(none.size() == 0);
}

TEST_CASE("MD5 answers are checked by the stored form")
{
    const std::array<std::byte, 4> salt{std::byte{1}, std::byte{2}, std::byte{0xfe}, std::byte{0}};
    const std::array<std::byte, 4> other{};
    const auto stored = md5_verifier("alice", "pencil").value();
    CHECK(stored.size() == 35);
    const auto answer = md5_response("alice", "pencil", salt).value();
    CHECK(md5_response_of_verifier(stored, salt).value() == answer);
    CHECK(is_md5_response(answer, stored, salt));
    CHECK_FALSE(is_md5_response(answer, stored, other));
    CHECK_FALSE(is_md5_response(stored, stored, salt));
    CHECK_FALSE(is_md5_response("", stored, salt));
    CHECK_FALSE(is_md5_response(answer + "x", stored, salt));
    CHECK_FALSE(is_md5_response("", "", salt));
    CHECK_FALSE(is_md5_response("md5", "md5", salt));
    CHECK(fits_md5_verifier(stored, "alice", "pencil"));
    CHECK_FALSE(fits_md5_verifier(stored, "bob", "pencil"));
    CHECK_FALSE(fits_md5_verifier("", "alice", "pencil"));
}

TEST_CASE("How long 4096 rounds take", "[.][benchmark]")
{
    const std::vector<unsigned char> salt(16, 7);
    const auto begin = std::chrono::steady_clock::now();
    constexpr int rounds = 200;
    for (int round = 0; round < rounds; ++round)
        REQUIRE(derive_scram_keys("a password", salt, scram_iteration_count).has_value());
    const std::chrono::duration<double, std::milli> taken =
        std::chrono::steady_clock::now() - begin;
    std::printf("%.2f ms each\n", taken.count() / rounds);
}

}  // namespace
}  // namespace pgtorii::protocol
