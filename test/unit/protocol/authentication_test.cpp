#include "protocol/authentication.hpp"

#include "protocol/scram_client.hpp"

#include <catch2/catch.hpp>

#include <array>
#include <random>
#include <set>

namespace pgtorii::protocol {
namespace {

using namespace std::string_literals;

/// The exchange of RFC 7677, section 3.
namespace rfc_7677 {
const auto nonce = "rOprNGfwEbeRWgbNEkqO"s;
const auto server_nonce = "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"s;
const auto server_first = "r=" + server_nonce + ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
const auto client_final =
    "c=biws,r=" + server_nonce + ",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
const auto server_final = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="s;
}  // namespace rfc_7677

/// What becomes of a server's first message.
error_code answer_to(const std::string& server_first)
{
    scram_client client("pencil", rfc_7677::nonce, "user");
    client.first_message();
    return client.final_message(server_first).error();
}

TEST_CASE("The MD5 response hashes the stored form with the salt")
{
    const std::array<std::byte, 4> salt{std::byte{1}, std::byte{2}, std::byte{0xfe}, std::byte{0}};
    CHECK(md5_response("alice", "pencil", salt).value() == "md5093a08fd92d2fc9665c0ceb60841135c");
}

TEST_CASE("The SCRAM exchange of RFC 7677")
{
    scram_client client("pencil", rfc_7677::nonce, "user");
    CHECK(client.first_message() == "n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
    CHECK(client.final_message(rfc_7677::server_first).value() == rfc_7677::client_final);
    CHECK_FALSE(client.verify(rfc_7677::server_final));
}

TEST_CASE("A SCRAM exchange as with PostgreSQL: no user, a password beyond ASCII")
{
    scram_client client("se\xc3\xb1or, =secret", "fyko+d2lbbFgONRv9qkxdawL");
    CHECK(client.first_message() == "n,,n=,r=fyko+d2lbbFgONRv9qkxdawL");
    CHECK(client
              .final_message("r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j"
                             ",s=AAECAwQFBgcICQoLDA0ODw==,i=10000")
              .value() == "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j"
                          ",p=754iaQhDJQU32vT7T9SSn+VRNd7DWpVQm2aXSMnucVE=");
    CHECK_FALSE(client.verify("v=+oirZ6RH4IdwPqZh/RQbUZyP4jdoPidccV5JWOCjp5c="));
}

TEST_CASE("A user's name is escaped")
{
    scram_client client("x", "abc", "a,b=c");
    CHECK(client.first_message() == "n,,n=a=2Cb=3Dc,r=abc");
}

TEST_CASE("A server that does not know the password is found out")
{
    const auto verify = [](const std::string& server_final) {
        scram_client client("pencil", rfc_7677::nonce, "user");
        client.first_message();
        REQUIRE(client.final_message(rfc_7677::server_first).has_value());
        return client.verify(server_final);
    };
    CHECK(verify("v=7rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=") == errc::scram_signature_wrong);
    CHECK(verify("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95A==") == errc::scram_signature_wrong);
    CHECK(verify("e=invalid-proof") == errc::scram_rejected);
    CHECK(verify("") == errc::scram_message_malformed);
    CHECK(verify("v=") == errc::scram_message_malformed);
    CHECK(verify("v=???") == errc::scram_message_malformed);
    CHECK(verify(rfc_7677::server_final + ",x=y") == errc::scram_message_malformed);
    CHECK(verify(rfc_7677::server_final + ",") == errc::scram_message_malformed);
    CHECK(verify(std::string(5'000, 'v')) == errc::scram_message_malformed);
    const auto& good = rfc_7677::server_final;
    for (std::size_t size = 0; size != good.size(); ++size) {
        CHECK(verify(good.substr(0, size)).failed());
    }
}

TEST_CASE("A hostile first message of the server is refused")
{
    const auto r = "r=" + rfc_7677::server_nonce;
    const auto s = ",s=W22ZaJ0SNY7soEsUEjb6gQ=="s;
    SECTION("its nonce has to go on from ours")
    {
        CHECK(answer_to("r=" + rfc_7677::nonce + s + ",i=4096") == errc::scram_nonce_mismatch);
        CHECK(answer_to("r=" + s + ",i=4096") == errc::scram_nonce_mismatch);
        CHECK(answer_to("r=x" + rfc_7677::server_nonce + s + ",i=1") == errc::scram_nonce_mismatch);
        CHECK(answer_to(r + std::string(500, 'x') + s + ",i=1") == errc::scram_message_malformed);
        CHECK(answer_to(r + "\x7f" + s + ",i=1") == errc::scram_message_malformed);
        CHECK(answer_to(r + "\n" + s + ",i=1") == errc::scram_message_malformed);
    }
    SECTION("its rounds are bounded")
    {
        CHECK_FALSE(answer_to(r + s + ",i=1"));
        CHECK(answer_to(r + s + ",i=0") == errc::scram_iterations_out_of_range);
        CHECK(answer_to(r + s + ",i=1000001") == errc::scram_iterations_out_of_range);
        CHECK(answer_to(r + s + ",i=2147483648") == errc::scram_iterations_out_of_range);
        CHECK(answer_to(r + s + ",i=99999999999999999999") == errc::scram_iterations_out_of_range);
        for (const auto* text : {"", "-1", "+1", " 1", "1 ", "0x10", "1e3"}) {
            CHECK(answer_to(r + s + ",i=" + text) == errc::scram_message_malformed);
        }
    }
    SECTION("its salt is canonical base64 of a moderate size")
    {
        for (const auto* text : {"", "W22Z=", "W22", "W22Za===", "W2 Z", "W2\nZ", "====", "W2=Z",
                                 "W22ZaJ0SNY7soEsUEjb6gR=="}) {
            CHECK(answer_to(r + ",s=" + text + ",i=1") == errc::scram_message_malformed);
        }
        CHECK_FALSE(answer_to(r + ",s=" + std::string(1'364, 'A') + ",i=1"));
        CHECK(answer_to(r + ",s=" + std::string(1'368, 'A') + ",i=1") ==
              errc::scram_message_malformed);
    }
    SECTION("its attributes come in their order, and nothing else")
    {
        for (const auto& text :
             {""s, ","s, r, r + s, r + s + ",", r + ",i=1" + s, "m=x," + r + s, r + s + ",i=1,",
              r + s + ",i=1,x=y", "," + r + s + ",i=1", std::string(5'000, 'r')}) {
            INFO(text);
            CHECK(answer_to(text) == errc::scram_message_malformed);
        }
    }
    SECTION("cut at any byte it is no good, but for the last digits of the rounds")
    {
        const auto& good = rfc_7677::server_first;
        for (std::size_t size = 0; size + 3 < good.size(); ++size) {
            CHECK(answer_to(good.substr(0, size)).failed());
        }
    }
    SECTION("random changes do no harm")
    {
        std::mt19937 engine(9);
        const auto good = r + s + ",i=7";
        for (int round = 0; round != 20'000; ++round) {
            auto text = good;
            for (auto count = engine() % 3 + 1; count != 0; --count) {
                text[engine() % text.size()] = static_cast<char>(engine());
            }
            const auto failure = answer_to(text);
            if (!text.starts_with("r=" + rfc_7677::nonce)) REQUIRE(failure.failed());
        }
    }
}

TEST_CASE("Nonces are printable and differ")
{
    std::set<std::string> seen;
    for (int count = 0; count != 100; ++count) {
        const auto nonce = scram_client::make_nonce().value();
        CHECK(nonce.size() == 24);
        CHECK(nonce.find(',') == nonce.npos);
        CHECK(seen.insert(nonce).second);
    }
}

TEST_CASE("Secrets are equal when all their bytes are")
{
    CHECK(equal_in_constant_time("", ""));
    CHECK(equal_in_constant_time("secret", "secret"));
    CHECK_FALSE(equal_in_constant_time("secret", "secreT"));
    CHECK_FALSE(equal_in_constant_time("secret", "secre"));
    auto secret = "secret"s;
    wipe(secret);
    CHECK(secret.empty());
}

}  // namespace
}  // namespace pgtorii::protocol
