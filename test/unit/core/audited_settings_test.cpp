#include "core/audited_settings.hpp"

#include <catch2/catch.hpp>

#include <string>

using namespace pgtorii;
using core::audited_settings;

namespace {

audited_settings::settings setting(const std::string& value)
{
    return {{.name = "own.setting", .sql = "SET own.setting = '" + value + "'"}};
}

}  // namespace

TEST_CASE("What a server shows of settings is known by user and settings")
{
    audited_settings known;
    known.learn("first", setting("1"), "as shown");
    REQUIRE(known.find("first", setting("1")));
    CHECK(*known.find("first", setting("1")) == "as shown");
    CHECK_FALSE(known.find("second", setting("1")));
    CHECK_FALSE(known.find("first", setting("2")));
    known.learn("first", setting("1"), "otherwise");
    CHECK(*known.find("first", setting("1")) == "otherwise");
}

TEST_CASE("Sessions with settings that are long, and never the same, don't fill the memory")
{
    // A record holds 500 settings of up to 8 KiB: a count alone would bound nothing.
    audited_settings known;
    const std::string filling(8000, 'x');
    for (int number = 0; number < 2000; ++number) {
        const auto of = setting(filling + std::to_string(number));
        known.learn("user", of, filling);
        REQUIRE(known.bytes() <= audited_settings::bytes_max);
        REQUIRE(known.find("user", of));
    }
    CHECK_FALSE(known.find("user", setting(filling + "0")));
}

TEST_CASE("What alone is too large is known until the next comes")
{
    audited_settings known;
    const std::string filling(2 * audited_settings::bytes_max, 'x');
    known.learn("user", setting(filling), "as shown");
    CHECK(known.find("user", setting(filling)));
    known.learn("user", setting("1"), "as shown");
    CHECK_FALSE(known.find("user", setting(filling)));
    CHECK(known.find("user", setting("1")));
}
