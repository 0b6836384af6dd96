#include "config/unserved.hpp"

#include <catch2/catch.hpp>

namespace {

using namespace pgtorii::config;

settings with_backend()
{
    settings values;
    values.backends.resize(1);
    values.backends[0].configured = true;
    return values;
}

}  // namespace

TEST_CASE("What this version does not do is told, and a firewall that would be missing is refused")
{
    auto values = with_backend();
    CHECK(find_unserved(values, "f").empty());
    SECTION("pool_hba.conf would be a firewall")
    {
        values.enable_pool_hba = true;
        const auto found = find_unserved(values, "f");
        REQUIRE(found.size() == 1);
        CHECK(found[0].level == severity::error);
    }
    SECTION("others are warnings")
    {
        values.ssl = true;
        values.failover_command = "failover.sh";
        const auto found = find_unserved(values, "f");
        REQUIRE(found.size() == 2);
        CHECK(found[0].level == severity::warning);
        CHECK(found[1].message.find("failover_command") == 0);
    }
    SECTION("a gate without a backend")
    {
        const auto found = find_unserved(settings{}, "f");
        REQUIRE(found.size() == 1);
        CHECK(found[0].message.find("no backend") == 0);
    }
}
