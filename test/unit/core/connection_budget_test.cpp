#include "core/connection_budget.hpp"

#include <catch2/catch.hpp>

using namespace pgtorii;

namespace {

std::optional<core::budget_shortage> shortage(int children, int pools, int most, int clients = 0)
{
    config::settings values;
    values.num_init_children = children;
    values.max_pool = pools;
    values.max_client_connections = clients;
    ha::node_view node;
    node.id = 1;
    node.connection_count_max = most;
    return core::find_budget_shortage(values, node);
}

}  // namespace

TEST_CASE("A server that lets in fewer connections than may be opened is told of, with the numbers")
{
    CHECK_FALSE(shortage(32, 4, 0));  // it does not tell
    CHECK_FALSE(shortage(32, 4, 132));
    const auto found = shortage(32, 4, 131);
    REQUIRE(found);
    CHECK(found->message == "node 1 lets in 131 connections, and up to 132 may be opened to it");
    CHECK(found->detail.find("32 * 4 = 128 for clients, and 4 for pgtorii itself") !=
          std::string::npos);
    CHECK(found->detail.find("max_client_connections") == std::string::npos);
    CHECK(shortage(32, 4, 131, 5000)->detail.find("At most 5000 clients") != std::string::npos);
    CHECK_FALSE(shortage(10, 0, 14));  // max_pool = 0 counts as 1
    CHECK(shortage(2147483647, 2, 100));
}
