#include "ha/address_source_io.hpp"

#include "ha/error.hpp"

#include <catch2/catch.hpp>

#include <arpa/inet.h>
#include <cstring>
#include <netinet/in.h>
#include <set>
#include <sys/un.h>

using namespace pgtorii;
using namespace pgtorii::ha;

namespace {

template <class Sockaddr>
Sockaddr read_as(const socket_address& address)
{
    Sockaddr out{};
    REQUIRE(address.length <= sizeof out);
    std::memcpy(&out, address.storage.data(), address.length);
    return out;
}

}  // namespace

TEST_CASE("Numeric addresses and socket directories need no resolver")
{
    SECTION("IPv4")
    {
        const auto address = literal_address("127.0.0.1", 5433);
        REQUIRE(address.has_value());
        const auto raw = read_as<sockaddr_in>(*address);
        CHECK(raw.sin_family == AF_INET);
        CHECK(ntohs(raw.sin_port) == 5433);
        CHECK(ntohl(raw.sin_addr.s_addr) == INADDR_LOOPBACK);
    }
    SECTION("IPv6")
    {
        const auto address = literal_address("::1", 5433);
        REQUIRE(address.has_value());
        const auto raw = read_as<sockaddr_in6>(*address);
        CHECK(raw.sin6_family == AF_INET6);
        CHECK(ntohs(raw.sin6_port) == 5433);
        CHECK(IN6_IS_ADDR_LOOPBACK(&raw.sin6_addr));
    }
    SECTION("a directory")
    {
        const auto address = literal_address("/var/run/postgresql", 5433);
        REQUIRE(address.has_value());
        const auto raw = read_as<sockaddr_un>(*address);
        CHECK(raw.sun_family == AF_UNIX);
        CHECK(std::string(raw.sun_path) == "/var/run/postgresql/.s.PGSQL.5433");
    }
}

TEST_CASE("A directory whose socket path is too long is an error, and a name is no address")
{
    CHECK(literal_address("/" + std::string(200, 'x'), 5433).error() == errc::socket_path_too_long);
    CHECK(literal_address("db.example.com", 5433).error() == errc::name_unresolved);
    CHECK(literal_address("", 5433).error() == errc::name_unresolved);
}

TEST_CASE("Every error has a message of its own")
{
    std::set<std::string> seen;
    const int last = static_cast<int>(errc::server_refused);
    for (int value = 1; value <= last; ++value) {
        seen.insert(error_code(static_cast<errc>(value)).message());
    }
    CHECK(seen.size() == static_cast<std::size_t>(last));
    CHECK_FALSE(seen.contains("unknown error of the server check"));
}
