#include "protocol/scram_server.hpp"

#include "protocol/authentication.hpp"
#include "protocol/login_errors.hpp"
#include "protocol/scram_client.hpp"

#include <catch2/catch.hpp>

#include <array>
#include <random>

namespace pgtorii::protocol {
namespace {

using namespace std::string_literals;

const auto client_nonce = "rOprNGfwEbeRWgbNEkqO"s;
const auto server_nonce = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"s;
const auto end_point = "\x01\x02\x03 certificate \0 hash"s;

scram_verifier pencil()
{
    return scram_verifier::parse("SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$"
                                 "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:"
                                 "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=")
        .value();
}

error_code first_error(std::string_view mechanism, const std::string& data, bool has_tls = false)
{
    scram_server server{pencil(), server_nonce, has_tls ? std::optional{end_point} : std::nullopt};
    return server.client_first(mechanism, data).error();
}

/// What becomes of a last message behind a good first one.
error_code final_error(const std::string& data)
{
    scram_server server{pencil(), server_nonce};
    REQUIRE(server.client_first(scram_sha_256, "n,,n=user,r=" + client_nonce));
    return server.client_final(data).error();
}

const auto good_final =
    "c=biws,r=" + client_nonce + server_nonce + ",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";

TEST_CASE("The server of the exchange of RFC 7677")
{
    scram_server server{pencil(), server_nonce};
    CHECK(server.client_first(scram_sha_256, "n,,n=user,r=" + client_nonce).value() ==
          "r=" + client_nonce + server_nonce + ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096");
    CHECK(server.client_final(good_final).value() ==
          "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
    // What it has learned logs in by the same verifier.
    CHECK(scram_verifier::from_keys(server.client_keys(), pencil().salt, 4'096)->to_text() ==
          pencil().to_text());
}

TEST_CASE("Mechanisms with channel binding are offered on TLS only")
{
    CHECK(offered_scram_mechanisms(false).size() == 1);
    CHECK(offered_scram_mechanisms(false)[0] == "SCRAM-SHA-256");
    CHECK(offered_scram_mechanisms(true)[0] == "SCRAM-SHA-256-PLUS");
    CHECK(offered_scram_mechanisms(true)[1] == "SCRAM-SHA-256");
    for (const auto* mechanism : {"", "SCRAM-SHA-1", "scram-sha-256", "SCRAM-SHA-256-PLUS"})
        CHECK(first_error(mechanism, "n,,n=,r=abc") == errc::scram_mechanism_unknown);
}

TEST_CASE("What a client says of channel binding fits its mechanism and our offer")
{
    const auto bare = "n=,r=abc"s;
    const auto p = "p=tls-server-end-point,,"s;
    CHECK_FALSE(first_error(scram_sha_256, "n,," + bare));
    CHECK_FALSE(first_error(scram_sha_256, "y,," + bare));
    CHECK_FALSE(first_error(scram_sha_256, "n,," + bare, true));
    CHECK_FALSE(first_error(scram_sha_256_plus, p + bare, true));
    CHECK(first_error(scram_sha_256, "y,," + bare, true) == errc::scram_binding_denied);
    CHECK(first_error(scram_sha_256, p + bare) == errc::scram_binding_not_selected);
    CHECK(first_error(scram_sha_256, p + bare, true) == errc::scram_binding_not_selected);
    CHECK(first_error(scram_sha_256_plus, "n,," + bare, true) == errc::scram_binding_missing);
    CHECK(first_error(scram_sha_256_plus, "y,," + bare, true) == errc::scram_binding_missing);
    CHECK(first_error(scram_sha_256_plus, "p=tls-unique,," + bare, true) ==
          errc::scram_binding_unsupported);
    CHECK(first_error(scram_sha_256_plus, "p=tls-exporter", true) ==
          errc::scram_binding_unsupported);
    CHECK(first_error(scram_sha_256_plus, "p", true) == errc::scram_client_malformed);
    CHECK(first_error(scram_sha_256_plus, "p=tls-server-end-point", true) ==
          errc::scram_client_malformed);
    CHECK(first_error(scram_sha_256, "n,a=root," + bare) == errc::scram_identity_unsupported);
    CHECK(first_error(scram_sha_256, "n,,m=x," + bare) == errc::scram_extension_unsupported);
}

TEST_CASE("A client's malformed first message is refused")
{
    for (const auto& text :
         {""s, "n"s, "n,"s, "n,,"s, "n,,n="s, "n,,r=abc"s, "n,,n=,r="s, "n,,n=,r=abc,"s,
          "n,,n=,r=abc,,"s, "n,,n=,r=abc,x"s, "n,,n=,r=abc,1=x"s, "x,,n=,r=abc"s, "n;,n=,r=abc"s,
          "n,x,n=,r=abc"s, "n,,n=\0,r=abc"s, "n,,n=,r="s + std::string(513, 'x'),
          std::string(2'000, 'n')}) {
        INFO(text);
        CHECK(first_error(scram_sha_256, text) == errc::scram_client_malformed);
    }
    CHECK(first_error(scram_sha_256, "n,,n=,r=a\nb") == errc::scram_nonce_unprintable);
    CHECK(first_error(scram_sha_256, "n,,n=,r=a\x80") == errc::scram_nonce_unprintable);
    CHECK_FALSE(first_error(scram_sha_256, "n,,n=,r=abc,x=y,Z=1"));
}

TEST_CASE("A client's wrong last message is refused")
{
    const auto r = ",r=" + client_nonce + server_nonce;
    const auto p = ",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="s;
    CHECK_FALSE(final_error(good_final));
    CHECK(final_error("c=eSws" + r + p) == errc::scram_binding_unexpected);
    CHECK(final_error("c=biwsx" + r + p) == errc::scram_binding_unexpected);
    CHECK(final_error("c=" + r + p) == errc::scram_binding_unexpected);
    CHECK(final_error("c=biws,r=" + client_nonce + p) == errc::scram_nonce_wrong);
    CHECK(final_error("c=biws" + r + "x" + p) == errc::scram_nonce_wrong);
    CHECK(final_error("c=biws,r=" + p) == errc::scram_nonce_wrong);
    CHECK(final_error("c=biws" + r + ",p=eHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=") ==
          errc::scram_proof_wrong);
    CHECK(final_error("c=biws" + r + ",x=y" + p) == errc::scram_proof_wrong);  // it is signed
    for (const auto& text :
         {""s, "c=biws"s, "c=biws" + r, "c=biws" + p, r.substr(1) + p,
          "c=biws" + r + ",p=", "c=biws" + r + p + ",", "c=biws" + r + p + "x",
          "c=biws" + r + p.substr(0, 20), "c=biws" + r + "," + p, "c=biws" + r + ",1=x" + p,
          "c=biws"s + r + "\0"s + p, std::string(2'000, 'c')}) {
        INFO(text);
        CHECK(final_error(text) == errc::scram_client_malformed);
    }
    for (std::size_t size = 0; size != good_final.size(); ++size)
        CHECK(final_error(good_final.substr(0, size)).failed());
    SECTION("random changes don't get in")
    {
        std::mt19937 random(7);
        for (int round = 0; round < 20'000; ++round) {
            auto text = good_final;
            for (auto count = random() % 3 + 1; count != 0; --count)
                text[random() % text.size()] = static_cast<char>(random());
            if (text != good_final) REQUIRE(final_error(text).failed());
        }
    }
}

TEST_CASE("Both sides agree on generated exchanges, and only when they should")
{
    std::mt19937 random(99);
    const auto word = [&] {
        std::string made;
        for (auto size = random() % 20 + 1; size != 0; --size)
            made += static_cast<char>('!' + random() % 90);
        for (char& c : made) c = c == ',' ? '.' : c;
        return made;
    };
    int agreed = 0;
    for (int round = 0; round < 5'000; ++round) {
        const auto password = word();
        auto verifier = scram_verifier::from_password(password, 1 + random() % 3).value();
        const bool has_tls = random() % 2 == 0;
        const bool is_right = random() % 4 != 0;
        const bool is_mock = random() % 8 == 0;
        const bool is_same_channel = random() % 4 != 0;
        verifier.is_mock = is_mock;
        scram_server server{verifier, word(), has_tls ? std::optional{end_point} : std::nullopt};
        scram_binding binding;
        if (has_tls && random() % 2 == 0) {
            binding.what = scram_binding::kind::used;
            binding.data = is_same_channel ? end_point : "another";
        } else if (!has_tls && random() % 2 == 0) {
            binding.what = scram_binding::kind::not_offered;
        }
        const bool is_bound = binding.what == scram_binding::kind::used;
        scram_client client{is_right ? password : password + "x", binding, word()};
        const auto first = server.client_first(client.mechanism(), client.first_message());
        REQUIRE(first);
        const auto proof = client.final_message(*first);
        REQUIRE(proof);
        const auto last = server.client_final(*proof);
        const bool may_pass = is_right && !is_mock && (!is_bound || is_same_channel);
        REQUIRE(last.has_value() == may_pass);
        if (!last) {
            CHECK(last.error() == (is_bound && !is_same_channel ? errc::scram_binding_wrong
                                                                : errc::scram_proof_wrong));
            continue;
        }
        ++agreed;
        REQUIRE_FALSE(client.verify(*last));

        // The keys log in again without the password, as a pooler has to at the servers.
        scram_server again{verifier, word(), std::nullopt};
        scram_client by_keys{scram_binding{}, word()};
        const auto asked = again.client_first(by_keys.mechanism(), by_keys.first_message());
        REQUIRE(by_keys.challenge(*asked).has_value());
        const auto end = again.client_final(by_keys.answer(server.client_keys()).value());
        REQUIRE(end);
        REQUIRE_FALSE(by_keys.verify(*end));
    }
    CHECK(agreed > 1'000);
}

TEST_CASE("A user who does not exist gets the same exchange, and the same error")
{
    const std::array<unsigned char, 16> secret{9};
    scram_server server{scram_verifier::mock("nobody", secret).value(), server_nonce};
    scram_client client{"pencil", client_nonce};
    const auto first = server.client_first(scram_sha_256, client.first_message()).value();
    CHECK(first.find(",i=4096") != first.npos);
    const auto last = server.client_final(client.final_message(first).value());
    CHECK(last.error() == errc::scram_proof_wrong);
    CHECK(scram_failed(last.error(), "nobody").message == password_failed("nobody").message);
}

TEST_CASE("A client is told in PostgreSQL's words")
{
    const auto check = [](const pg_error& told, std::string_view code, std::string_view message) {
        CHECK(told.severity == "FATAL");
        CHECK(told.sqlstate == code);
        CHECK(told.message == message);
    };
    check(password_failed("u"), "28P01", "password authentication failed for user \"u\"");
    check(authentication_failed("PAM", "u"), "28000", "PAM authentication failed for user \"u\"");
    check(refused_by_hba({.host = "10.0.0.1", .user = "u", .database = "d"}), "28000",
          "no pool_hba.conf entry for host \"10.0.0.1\", user \"u\", database \"d\", SSL off");
    check(refused_by_hba({.host = "", .user = "u", .database = "d", .is_encrypted = true}), "28000",
          "no pool_hba.conf entry for host \"[local]\", user \"u\", database \"d\", SSL on");
    check(unexpected_answer(true, 'Q'), "08P01", "expected SASL response, got message type 81");
    check(authentication_late(), "57014", "canceling authentication due to timeout");
    struct row {
        errc why;
        const char* sqlstate;
        const char* message;
    };
    for (const auto& each :
         {row{errc::scram_mechanism_unknown, "08P01",
              "client selected an invalid SASL authentication mechanism"},
          row{errc::scram_client_malformed, "08P01", "malformed SCRAM message"},
          row{errc::scram_binding_not_selected, "08P01", "malformed SCRAM message"},
          row{errc::scram_binding_missing, "08P01", "malformed SCRAM message"},
          row{errc::scram_binding_denied, "28000", "SCRAM channel binding negotiation error"},
          row{errc::scram_binding_unsupported, "08P01", "unsupported SCRAM channel-binding type"},
          row{errc::scram_binding_unexpected, "08P01",
              "unexpected SCRAM channel-binding attribute in client-final-message"},
          row{errc::scram_binding_wrong, "28000", "SCRAM channel binding check failed"},
          row{errc::scram_identity_unsupported, "0A000",
              "client uses authorization identity, but it is not supported"},
          row{errc::scram_extension_unsupported, "0A000",
              "client requires an unsupported SCRAM extension"},
          row{errc::scram_nonce_unprintable, "08P01", "non-printable characters in SCRAM nonce"},
          row{errc::scram_nonce_wrong, "08P01", "invalid SCRAM response"},
          row{errc::scram_proof_wrong, "28P01", "password authentication failed for user \"u\""},
          row{errc::crypto_failed, "28P01", "password authentication failed for user \"u\""}})
        check(scram_failed(each.why, "u"), each.sqlstate, each.message);
}

}  // namespace
}  // namespace pgtorii::protocol
