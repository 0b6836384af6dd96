#include "core/session_limits.hpp"

#include <catch2/catch.hpp>

using namespace pgtorii;
using core::idle_limit;
using std::chrono::seconds;

namespace {

idle_limit limit_of(int client, int transaction, bool in_transaction)
{
    config::settings values;
    values.client_idle_limit = seconds{client};
    values.idle_in_transaction_timeout = seconds{transaction};
    return core::idle_limit_of(values, in_transaction);
}

}  // namespace

TEST_CASE("An idle client has the limit that is reached first")
{
    using kind = idle_limit::kind;
    struct row {
        int client;
        int transaction;
        kind outside;
        kind inside;
        int length_inside;
    };
    const row rows[] = {
        {0, 0, kind::none, kind::none, 0},          {5, 0, kind::client, kind::client, 5},
        {0, 7, kind::none, kind::transaction, 7},   {5, 7, kind::client, kind::client, 5},
        {7, 5, kind::client, kind::transaction, 5}, {5, 5, kind::client, kind::transaction, 5},
    };
    for (const auto& each : rows) {
        INFO(each.client << " " << each.transaction);
        const auto outside = limit_of(each.client, each.transaction, false);
        CHECK(outside.what == each.outside);
        CHECK(outside.length == seconds{each.client});
        const auto inside = limit_of(each.client, each.transaction, true);
        CHECK(inside.what == each.inside);
        CHECK(inside.length == seconds{each.length_inside});
    }
}

TEST_CASE("The last words to an idle client name the limit")
{
    const auto idle = core::idle_limit_error(limit_of(5, 0, false));
    CHECK(idle.severity == "FATAL");
    CHECK(idle.sqlstate == "57000");
    CHECK(idle.message == "unable to read data");
    CHECK(idle.detail ==
          "child connection forced to terminate due to client_idle_limit:5 is reached");
    const auto in_transaction = core::idle_limit_error(limit_of(0, 5, true));
    CHECK(in_transaction.severity == "FATAL");
    CHECK(in_transaction.sqlstate == "25P03");
    CHECK(in_transaction.message == "terminating connection due to idle-in-transaction timeout");
}

TEST_CASE("message_size_max holds for messages of all types, beside PostgreSQL's own limits")
{
    using protocol::errc;
    const auto check = [](char type, std::uint32_t length, std::int64_t most) {
        return core::check_message_size(protocol::frame_header{type, length}, most);
    };
    CHECK_FALSE(check('Q', 20'000, 20'000));
    CHECK(check('Q', 20'001, 20'000) == errc::length_too_big);
    CHECK(check('d', 20'001, 20'000) == errc::length_too_big);
    CHECK(check('C', protocol::small_message_length_max + 1, 20'000) == errc::length_too_big);
    CHECK(check('Q', 3, 20'000) == errc::length_too_small);
    CHECK(check('!', 20'001, 20'000) == errc::unknown_message_type);
    CHECK(check('Q', 0xffff'ffff, std::int64_t{1} << 30) == errc::length_too_big);
}

TEST_CASE("A reload that leaves the limits of idle clients alone wakes nobody")
{
    const config::settings before;
    auto after = before;
    after.num_init_children = 99;
    CHECK_FALSE(core::has_other_idle_limits(before, after));
    after.client_idle_limit = seconds{1};
    CHECK(core::has_other_idle_limits(before, after));
    after = before;
    after.idle_in_transaction_timeout = seconds{1};
    CHECK(core::has_other_idle_limits(before, after));
}
