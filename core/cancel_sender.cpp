#include "core/cancel_sender.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>

namespace pgtorii::core {

namespace {

constexpr std::uint32_t event_io = 1;
constexpr std::uint32_t event_late = 2;

}  // namespace

runtime::descriptor connecting_socket(const ha::socket_address& address, bool& is_connected)
{
    const auto* const target = reinterpret_cast<const sockaddr*>(address.storage.data());
    runtime::descriptor socket{
        ::socket(target->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
    if (!socket.is_open()) return socket;
    if (target->sa_family != AF_UNIX) {
        const int on = 1;
        ::setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        ::setsockopt(socket.get(), SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    }
    is_connected = ::connect(socket.get(), target, address.length) == 0;
    // A full backlog of a Unix socket is EAGAIN: there is nothing to wait for, so it counts as a
    // failure.
    if (!is_connected && errno != EINPROGRESS) {
        const int cause = errno;
        socket.close();
        errno = cause;
    }
    return socket;
}

cancel_sender::cancel_sender(runtime::worker& home, const ha::socket_address& address,
                             std::string request, std::function<void()> done)
    : home_(home),
      events_(home.ready()),
      deadline_(events_, event_late),
      address_(address),
      request_(std::move(request)),
      done_(std::move(done))
{
}

void cancel_sender::start()
{
    root_ = run();
    root_.start();
}

runtime::task<> cancel_sender::run()
{
    home_.arm(deadline_, time_limit);
    co_await send();
    server_.close();
    deadline_.disarm();
    done_();
}

runtime::task<> cancel_sender::send()
{
    bool is_connected = false;
    auto socket = connecting_socket(address_, is_connected);
    if (!socket.is_open()) co_return;
    if (server_.open(home_.source(), std::move(socket), events_, event_io, event_io)) co_return;
    if (!is_connected) {
        server_.want_connected();
        while (!server_.is_writable()) {
            if (co_await events_ & event_late) co_return;
        }
        if (server_.connect_outcome()) co_return;
    }
    // 16 bytes into an empty socket buffer: all of them fit, or the connection is no good.
    const auto sent = server_.write(std::as_bytes(std::span{request_}));
    if (!sent || *sent != request_.size()) co_return;
    std::array<std::byte, 64> ignored;
    for (;;) {
        const auto got = server_.read(ignored);
        if (got.has_error()) co_return;
        if (*got == 0 && (co_await events_ & event_late)) co_return;
    }
}

}  // namespace pgtorii::core
