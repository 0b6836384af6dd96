#pragma once

#include "core/base/result.hpp"
#include "core/runtime/readiness.hpp"

#include <cstddef>
#include <span>
#include <sys/uio.h>

namespace pgtorii::runtime {

/// The byte stream under a client or a link: today a TCP or Unix socket, with room for a TLS state
/// beside it, so that sessions never learn the difference. Non-blocking and readiness-based: no
/// buffer is ever lent to a pending operation, so an idle connection holds none. Home worker only.
class transport {
public:
    /// Takes a connected (or connecting) non-blocking socket and watches it on `source`.
    error_code open(readiness& source, descriptor socket, event_set& target, std::uint32_t in_bit,
                    std::uint32_t out_bit)
    {
        return watch_.watch(source, std::move(socket), target, in_bit, out_bit);
    }
    /// From now on another one on the same worker is told.
    void watch_for(event_set& target, std::uint32_t in_bit, std::uint32_t out_bit)
    {
        watch_.tell(target, in_bit, out_bit);
    }
    bool is_open() const { return watch_.is_open(); }
    void close() { watch_.close(); }
    /// Ends the watch; the socket stays open and is the caller's.
    descriptor detach() { return watch_.unwatch(); }
    int fd() const { return watch_.fd(); }

    /// There may be something to read: an edge came and no read has found the stream empty since.
    bool is_readable() const { return watch_.is_readable; }
    /// The peer has closed its side, or the connection is broken: reads will come to the end.
    bool has_hung_up() const { return watch_.peer_closed; }
    bool is_writable() const { return watch_.is_writable; }

    /// Reads what is there, at most `into`. Zero bytes: nothing there now. Errors: error::eof at
    /// the end of the stream, else the system's. A read that fills less than `into` clears
    /// is_readable, unless the peer hung up.
    [[nodiscard]] result<std::size_t> read(std::span<std::byte> into);

    /// Writes what fits now of `bytes`; less than all means that is_writable is false until the out
    /// bit is raised.
    [[nodiscard]] result<std::size_t> write(std::span<const std::byte> bytes);
    [[nodiscard]] result<std::size_t> write(std::span<const iovec> pieces);

    /// For a socket in non-blocking connect: asks for the out bit; then the outcome.
    void want_connected() { watch_.want_write(); }
    error_code connect_outcome() const;

private:
    result<std::size_t> written(long outcome, std::size_t wanted);

    watched_descriptor watch_;
};

/// Whether an idle, unwatched socket is alive and silent. A pooled link that has something to say
/// (a FATAL, the end) is of no use to anybody.
bool is_silent(int fd);

}  // namespace pgtorii::runtime
