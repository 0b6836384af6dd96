#include "core/link_login.hpp"

#include "core/link_pool.hpp"
#include "protocol/writer.hpp"

#include <catch2/catch.hpp>

#include <array>
#include <memory>
#include <span>
#include <vector>

namespace {

using namespace pgtorii;
using core::link_login;
using core::opening;
using step = link_login::step;

struct fixture {
    core::link_pool pool{{.count_max = 4, .count_max_of_pool = 4}};
    std::unique_ptr<core::server_link> link = pool.make(pool.find("key", "u", "d"), 0);
    protocol::message_buffer says;

    /// What the owner is told, when the server's bytes come in pieces of this size.
    std::vector<step> steps(link_login& login, std::size_t piece)
    {
        std::vector<step> told;
        auto rest = says.bytes();
        while (!rest.empty()) {
            const auto now = rest.first(std::min(piece, rest.size()));
            rest = rest.subspan(now.size());
            login.feed(now);
            for (auto next = login.next(); next != step::need_more; next = login.next()) {
                told.push_back(next);
                if (next == step::ready || next == step::failed) return told;
            }
        }
        return told;
    }
    void say_welcome()
    {
        const std::array<std::byte, 4> secret{std::byte{1}, std::byte{2}, std::byte{3},
                                              std::byte{4}};
        says.authentication_ok();
        says.parameter_status("server_version", "15.4");
        says.parameter_status("TimeZone", "UTC");
        says.backend_key_data(77, secret);
    }
};

}  // namespace

TEST_CASE("A server that asks for nothing lets a link in, in whatever pieces it says so")
{
    for (std::size_t piece = 1; piece < 200; ++piece) {
        fixture it;
        it.say_welcome();
        it.says.ready_for_query('I');
        link_login login{*it.link, "u", false};
        CHECK(it.steps(login, piece) == std::vector{step::ready});
        CHECK(login.outcome().what == opening::outcome::ready);
        CHECK(it.link->is_authenticated);
        CHECK_FALSE(it.link->was_challenged);
        CHECK_FALSE(it.link->is_message_cut);
        CHECK(it.link->backend_pid == 77);
        CHECK(it.link->cancel_secret.size() == 4);
        REQUIRE(it.link->parameters.size() == 2);
        CHECK(it.link->parameters[0].second == "15.4");
    }
}

TEST_CASE("A challenge is the client's matter, or the end where there is no client")
{
    fixture it;
    it.says.authentication_cleartext_password();
    SECTION("relayed")
    {
        link_login login{*it.link, "u", true};
        CHECK(it.steps(login, 1000) == std::vector{step::ask});
        CHECK(std::ranges::equal(login.message(), it.says.bytes()));
        it.says.clear();
        it.say_welcome();
        it.says.ready_for_query('I');
        CHECK(it.steps(login, 7) == std::vector{step::ready});
        CHECK(it.link->was_challenged);
    }
    SECTION("SASL has a last word that needs no answer")
    {
        it.says.clear();
        it.says.authentication_sasl_final("v=x");
        link_login login{*it.link, "u", true};
        CHECK(it.steps(login, 1000) == std::vector{step::tell});
    }
    SECTION("nobody to ask")
    {
        link_login login{*it.link, "u", false};
        CHECK(it.steps(login, 1000) == std::vector{step::failed});
        CHECK(login.outcome().what == opening::outcome::challenged);
        CHECK(login.outcome().error.sqlstate == "28000");
    }
    SECTION("a method that can't be passed through")
    {
        constexpr std::array<std::byte, 9> gss{std::byte{'R'}, std::byte{0}, std::byte{0},
                                               std::byte{0},   std::byte{8}, std::byte{0},
                                               std::byte{0},   std::byte{0}, std::byte{7}};
        link_login login{*it.link, "u", true};
        login.feed(gss);
        CHECK(login.next() == step::failed);
        CHECK(login.outcome().what == opening::outcome::challenged);
    }
}

TEST_CASE("A login that goes wrong says how")
{
    fixture it;
    link_login login{*it.link, "u", false};
    SECTION("refused by the server")
    {
        it.says.error_response(
            {.severity = "FATAL", .sqlstate = "3D000", .message = "no such database"});
        CHECK(it.steps(login, 3) == std::vector{step::failed});
        CHECK(login.outcome().what == opening::outcome::refused);
        CHECK(login.outcome().error.sqlstate == "3D000");
        return;
    }
    SECTION("ready before the client was let in")
    {
        it.says.ready_for_query('I');
    }
    SECTION("a message that has no place here")
    {
        it.says.command_complete("SELECT 1");
    }
    SECTION("more than was asked for")
    {
        it.say_welcome();
        it.says.ready_for_query('I');
        it.says.command_complete("SELECT 1");
    }
    SECTION("no message at all")
    {
        login.feed(std::as_bytes(std::span{"HTTP/1.1 400"}));
        CHECK(login.next() == step::failed);
        CHECK(login.outcome().what == opening::outcome::unreachable);
        return;
    }
    CHECK(it.steps(login, 1000).back() == step::failed);
    CHECK(login.outcome().what == opening::outcome::unreachable);
    CHECK_FALSE(login.outcome().error.message.empty());
}

TEST_CASE("Notices during a login don't disturb it")
{
    fixture it;
    it.says.notice_response({.severity = "WARNING", .sqlstate = "01000", .message = "hm"});
    it.say_welcome();
    it.says.ready_for_query('I');
    link_login login{*it.link, "u", true};
    CHECK(it.steps(login, 5) == std::vector{step::notice, step::ready});
}
