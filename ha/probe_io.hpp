#pragma once

#include "core/runtime/executor.hpp"
#include "ha/address_source_io.hpp"
#include "ha/cluster_config.hpp"
#include "ha/observation.hpp"

#include <boost/asio/basic_stream_socket.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/write.hpp>

#include <array>
#include <chrono>
#include <cstddef>
#include <memory>
#include <span>
#include <tuple>
#include <vector>

namespace pgtorii::ha {

/// A connection to a server for looking at it, and the time limit of what is being done on it. Held
/// by shared_ptr: its timer must find it gone. Control thread only.
class probe_connection : public std::enable_shared_from_this<probe_connection> {
public:
    using socket =
        boost::asio::basic_stream_socket<boost::asio::generic::stream_protocol, runtime::executor>;

    explicit probe_connection(runtime::executor home) : stream(home), timer_(home) {}

    socket stream;

    /// Closes the stream at `deadline`, unless another call comes before. time_point::max(): no
    /// limit.
    void limit_to(clock::time_point deadline);
    /// A limit has closed the stream.
    bool is_late() const { return is_late_; }
    /// Says goodbye as far as the socket takes it without waiting, and closes.
    void close();

private:
    runtime::timer timer_;
    clock::time_point deadline_ = clock::time_point::max();
    bool is_late_ = false;
};

/// Tries the addresses in order; gives the last one's error. One address never takes longer than
/// `limit` (zero: no limit), all together not longer than `deadline`, which stays the connection's
/// limit after it.
runtime::awaitable<error_code> connect(probe_connection& to,
                                       const std::vector<socket_address>& addresses,
                                       std::chrono::milliseconds limit, clock::time_point deadline);

/// Plays a conversation until it `is_done`: sends its output(), gives it what comes. The error, if
/// any, is the connection's. Both must outlive it.
template <class Talk>
runtime::awaitable<error_code> converse(probe_connection& with, Talk& talk)
{
    std::array<std::byte, 4096> buffer;
    while (!talk.is_done()) {
        const auto out = talk.output();
        if (!out.empty()) {
            const auto written = co_await boost::asio::async_write(
                with.stream, boost::asio::buffer(out.data(), out.size()), runtime::tuple_token);
            talk.on_sent();
            if (std::get<0>(written)) co_return std::get<0>(written);
        }
        const auto read =
            co_await with.stream.async_read_some(boost::asio::buffer(buffer), runtime::tuple_token);
        const auto failure = std::get<0>(read);
        if (failure == boost::asio::error::eof)
            talk.on_end();
        else if (failure)
            co_return failure;
        else
            talk.on_bytes(std::span(buffer).first(std::get<1>(read)));
    }
    co_return error_code{};
}

struct probe_outcome {
    observation seen;
    /// When the server answered: the connection, logged in and idle. Whatever comes on it, its end
    /// above all, means that the server should be looked at again.
    std::shared_ptr<probe_connection> connection;
};

/// Looks at a server once: resolves its name, connects to its addresses in order, logs in and asks.
/// Never takes longer than check_timeout, and for one address never longer than connect_timeout.
/// `node` and `addresses` must outlive it.
runtime::awaitable<probe_outcome> look_at(runtime::executor home, const node_config& node,
                                          address_source& addresses);

}  // namespace pgtorii::ha
