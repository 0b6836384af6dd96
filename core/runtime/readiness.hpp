#pragma once

#include "core/base/result.hpp"
#include "core/runtime/descriptor.hpp"

#include <cstddef>
#include <cstdint>

namespace pgtorii::runtime {

class event_set;
class watched_descriptor;

/// The one source of readiness of a worker: an epoll set of its own, edge-triggered, each
/// descriptor registered once.
///
/// Why not Asio's reactor: `async_wait` adds two epoll_ctl calls to every transaction, a read with
/// a buffer keeps the buffer for every idle client, and neither tells EPOLLRDHUP, without which an
/// edge-triggered reader that stops at a short read can miss the end of the stream. Written so that
/// io_uring or another source could take its place.
class readiness {
public:
    readiness();
    readiness(const readiness&) = delete;
    readiness& operator=(const readiness&) = delete;

    /// Waits for events and raises the bits of the descriptors that they concern. `timeout`:
    /// milliseconds, -1: no limit.
    void wait(int timeout);

    /// Registers or changes; `interest` as in epoll_event::events.
    error_code add(int fd, watched_descriptor& target, std::uint32_t interest);
    error_code change(int fd, watched_descriptor& target, std::uint32_t interest);
    void remove(int fd, watched_descriptor& target);

private:
    static constexpr int batch_count_max = 128;

    descriptor epoll_;
    // The batch being told: remove() blanks what is left of a descriptor in it.
    struct batch;
    batch* current_ = nullptr;
};

/// A descriptor under watch. `is_readable` and `is_writable` are sticky: set by an edge, cleared by
/// whoever found the socket empty or full. Raises `in_bit`/`out_bit` of its target. Home worker
/// only; not movable while it is watched.
class watched_descriptor {
public:
    watched_descriptor() = default;
    watched_descriptor(const watched_descriptor&) = delete;
    watched_descriptor& operator=(const watched_descriptor&) = delete;
    ~watched_descriptor() { close(); }

    /// Takes over `fd` (non-blocking) and watches it for input. Write readiness is watched from the
    /// first want_write on.
    error_code watch(readiness& source, descriptor fd, event_set& target, std::uint32_t in_bit,
                     std::uint32_t out_bit);
    /// Ends the watch and gives the descriptor away (to the pool, or to another worker).
    descriptor unwatch();
    void close();
    /// From now on another one is told. What has come already stands in the flags below.
    void tell(event_set& target, std::uint32_t in_bit, std::uint32_t out_bit)
    {
        target_ = &target;
        in_bit_ = in_bit;
        out_bit_ = out_bit;
    }

    int fd() const { return fd_.get(); }
    bool is_open() const { return fd_.is_open(); }
    /// Asks to be told when the socket can be written again.
    void want_write();

    /// For readiness: an edge came.
    void on_events(std::uint32_t events);

    bool is_readable = false;
    bool is_writable = true;
    bool peer_closed =
        false;  ///< EPOLLRDHUP, EPOLLHUP or EPOLLERR came: read until the end, short reads or not.

private:
    readiness* source_ = nullptr;
    event_set* target_ = nullptr;
    descriptor fd_;
    std::uint32_t in_bit_ = 0;
    std::uint32_t out_bit_ = 0;
    std::uint32_t interest_ = 0;
};

}  // namespace pgtorii::runtime
