#include "ha/probe_io.hpp"

#include "ha/error.hpp"
#include "ha/probe.hpp"
#include "protocol/writer.hpp"

#include <algorithm>
#include <utility>

namespace pgtorii::ha {
namespace {

clock::time_point after(clock::time_point start, std::chrono::milliseconds limit)
{
    return limit.count() == 0 ? clock::time_point::max() : start + limit;
}

probe_connection::socket::endpoint_type endpoint_of(const socket_address& address)
{
    return {address.storage.data(), address.length};
}

}  // namespace

runtime::awaitable<error_code> connect(probe_connection& to,
                                       const std::vector<socket_address>& addresses,
                                       std::chrono::milliseconds limit, clock::time_point deadline)
{
    error_code failure = errc::name_unresolved;
    for (const auto& address : addresses) {
        const auto until = std::min(after(clock::now(), limit), deadline);
        to.limit_to(until);
        const auto outcome =
            co_await to.stream.async_connect(endpoint_of(address), runtime::tuple_token);
        failure = std::get<0>(outcome);
        if (to.is_late()) failure = until < deadline ? errc::connect_late : errc::check_late;
        if (!failure) break;
        if (clock::now() >= deadline) break;
        error_code ignored;
        to.stream.close(ignored);
    }
    to.limit_to(deadline);
    co_return failure;
}

void probe_connection::limit_to(clock::time_point deadline)
{
    deadline_ = deadline;
    is_late_ = false;
    if (deadline == clock::time_point::max()) {
        timer_.cancel();
        return;
    }
    timer_.expires_at(deadline);
    timer_.async_wait([weak = weak_from_this()](error_code failure) {
        const auto self = weak.lock();
        // A wait that had ended already when the limit was moved is no limit any more.
        if (failure || !self || clock::now() < self->deadline_) return;
        self->is_late_ = true;
        error_code ignored;
        self->stream.close(ignored);
    });
}

void probe_connection::close()
{
    timer_.cancel();
    if (!stream.is_open()) return;
    protocol::message_buffer goodbye;
    goodbye.terminate();
    error_code ignored;
    stream.non_blocking(true, ignored);
    stream.write_some(boost::asio::buffer(goodbye.bytes().data(), goodbye.size()), ignored);
    stream.close(ignored);
}

runtime::awaitable<probe_outcome> look_at(runtime::executor home, const node_config& node,
                                          address_source& addresses)
{
    probe_outcome outcome;
    outcome.seen.node = node.id;
    const auto deadline = after(clock::now(), node.check_timeout);
    auto resolved = co_await addresses.resolve(deadline);
    if (!resolved) {
        outcome.seen.failure = resolved.error();
        co_return outcome;
    }
    const auto connection = std::make_shared<probe_connection>(home);
    auto failure = co_await connect(*connection, *resolved, node.connect_timeout, deadline);
    probe talk(node.login);
    if (!failure) {
        failure = co_await converse(*connection, talk);
        if (connection->is_late()) failure = errc::check_late;
    }
    if (!failure) outcome.seen = talk.take_result();
    connection->limit_to(clock::time_point::max());
    outcome.seen.node = node.id;
    outcome.seen.addresses = std::move(*resolved);
    if (failure)
        outcome.seen.failure = failure;
    else if (outcome.seen.verdict == verdict::answered)
        outcome.connection = connection;
    if (!outcome.connection) connection->close();
    co_return outcome;
}

}  // namespace pgtorii::ha
