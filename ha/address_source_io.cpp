#include "ha/address_source_io.hpp"

#include "ha/error.hpp"

#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <sys/un.h>
#include <utility>

namespace pgtorii::ha {
namespace {

using tcp_resolver = boost::asio::ip::basic_resolver<boost::asio::ip::tcp, runtime::executor>;

/// With addresses in hand, a resolver gets no longer than this.
constexpr clock::duration resolver_patience = std::chrono::seconds(2);

template <class Endpoint>
socket_address address_of(const Endpoint& endpoint)
{
    socket_address address;
    static_assert(sizeof(sockaddr_un) <= sizeof(address.storage));
    std::memcpy(address.storage.data(), endpoint.data(), endpoint.size());
    address.length = static_cast<std::uint32_t>(endpoint.size());
    return address;
}

}  // namespace

/// One getaddrinfo. Shared with its handler: it may outlive the address_source that asked.
struct address_source::lookup {
    explicit lookup(runtime::executor home) : resolver(home), ended(home) {}

    tcp_resolver resolver;
    runtime::timer ended;  // cancelled when the answer is there
    bool is_ended = false;
    error_code failure;
    std::vector<socket_address> addresses;
};

result<socket_address> literal_address(const std::string& hostname, int port)
{
    if (hostname.starts_with('/')) {
        const auto path = fmt::format("{}/.s.PGSQL.{}", hostname, port);
        if (path.size() >= sizeof(sockaddr_un::sun_path)) return errc::socket_path_too_long;
        return address_of(boost::asio::local::stream_protocol::endpoint(path));
    }
    error_code failure;
    const auto address = boost::asio::ip::make_address(hostname, failure);
    if (failure) return errc::name_unresolved;
    return address_of(boost::asio::ip::tcp::endpoint(address, static_cast<std::uint16_t>(port)));
}

address_source::address_source(runtime::executor home, std::string hostname, int port)
    : home_(home),
      hostname_(std::move(hostname)),
      port_(port)
{
}

address_source::~address_source()
{
    if (lookup_) lookup_->resolver.cancel();
}

void address_source::begin_lookup()
{
    lookup_ = std::make_shared<lookup>(home_);
    auto& resolver = lookup_->resolver;
    resolver.async_resolve(
        hostname_, std::to_string(port_), tcp_resolver::numeric_service,
        [shared = lookup_](error_code failure, const tcp_resolver::results_type& found) {
            shared->is_ended = true;
            shared->failure = failure;
            for (const auto& entry : found) {
                shared->addresses.push_back(address_of(entry.endpoint()));
            }
            shared->ended.cancel();
        });
}

runtime::awaitable<result<std::vector<socket_address>>>
address_source::resolve(clock::time_point deadline)
{
    const auto literal = literal_address(hostname_, port_);
    if (literal) co_return std::vector<socket_address>{*literal};
    if (literal.error() != errc::name_unresolved) co_return literal.error();

    if (!lookup_) begin_lookup();
    const auto until =
        known_.empty() ? deadline : std::min(deadline, clock::now() + resolver_patience);
    while (!lookup_->is_ended && clock::now() < until) {
        lookup_->ended.expires_at(until);
        const auto woken = co_await lookup_->ended.async_wait(runtime::tuple_token);
        static_cast<void>(woken);
    }
    error_code failure = errc::check_late;
    if (lookup_->is_ended) {
        const auto ended = std::exchange(lookup_, nullptr);
        failure = ended->failure ? ended->failure : error_code(errc::name_unresolved);
        if (!ended->addresses.empty()) known_ = ended->addresses;
    }
    if (known_.empty()) co_return failure;
    co_return known_;
}

}  // namespace pgtorii::ha
