#include "core/runtime/transport.hpp"

#include <boost/asio/error.hpp>

#include <cerrno>
#include <sys/socket.h>

namespace pgtorii::runtime {

namespace {

error_code last_error()
{
    return {errno, boost::system::system_category()};
}

}  // namespace

result<std::size_t> transport::read(std::span<std::byte> into)
{
    for (;;) {
        const auto got = ::recv(watch_.fd(), into.data(), into.size(), 0);
        if (got > 0) {
            const auto count = static_cast<std::size_t>(got);
            // A short read has emptied the stream: what comes later is a new edge. Only an end of
            // stream that was told together with these bytes would come without one.
            if (count < into.size() && !watch_.peer_closed) watch_.is_readable = false;
            return count;
        }
        if (got == 0) return error_code{boost::asio::error::eof};
        if (errno == EINTR) continue;
        if (errno == EAGAIN || errno == EWOULDBLOCK) {
            watch_.is_readable = false;
            return std::size_t{0};
        }
        return last_error();
    }
}

result<std::size_t> transport::written(long outcome, std::size_t wanted)
{
    if (outcome >= 0) {
        const auto count = static_cast<std::size_t>(outcome);
        if (count < wanted) watch_.want_write();
        return count;
    }
    if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) {
        watch_.want_write();
        return std::size_t{0};
    }
    return last_error();
}

result<std::size_t> transport::write(std::span<const std::byte> bytes)
{
    return written(::send(watch_.fd(), bytes.data(), bytes.size(), MSG_NOSIGNAL), bytes.size());
}

result<std::size_t> transport::write(std::span<const iovec> pieces)
{
    std::size_t wanted = 0;
    for (const auto& piece : pieces) wanted += piece.iov_len;
    msghdr message{};
    message.msg_iov = const_cast<iovec*>(pieces.data());
    message.msg_iovlen = pieces.size();
    return written(::sendmsg(watch_.fd(), &message, MSG_NOSIGNAL), wanted);
}

error_code transport::connect_outcome() const
{
    int code = 0;
    socklen_t length = sizeof code;
    if (::getsockopt(watch_.fd(), SOL_SOCKET, SO_ERROR, &code, &length) != 0) return last_error();
    return {code, boost::system::system_category()};
}

bool is_silent(int fd)
{
    std::byte probe;
    const auto got = ::recv(fd, &probe, 1, MSG_PEEK | MSG_DONTWAIT);
    return got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
}

}  // namespace pgtorii::runtime
