#include "core/runtime/readiness.hpp"

#include "core/base/always_assert.hpp"
#include "core/runtime/event_set.hpp"

#include <array>
#include <cerrno>
#include <sys/epoll.h>
#include <system_error>

namespace pgtorii::runtime {

namespace {

error_code last_error()
{
    return {errno, boost::system::system_category()};
}

}  // namespace

struct readiness::batch {
    std::array<epoll_event, batch_count_max> events;
    int next = 0;
    int count = 0;
};

readiness::readiness() : epoll_(::epoll_create1(EPOLL_CLOEXEC))
{
    if (!epoll_.is_open()) throw std::system_error(errno, std::generic_category(), "epoll_create1");
}

void readiness::wait(int timeout)
{
    batch told;
    told.count = ::epoll_wait(epoll_.get(), told.events.data(), batch_count_max, timeout);
    current_ = &told;
    for (told.next = 0; told.next < told.count;) {
        const auto& event = told.events[static_cast<std::size_t>(told.next++)];
        if (event.data.ptr)
            static_cast<watched_descriptor*>(event.data.ptr)->on_events(event.events);
    }
    current_ = nullptr;
}

error_code readiness::add(int fd, watched_descriptor& target, std::uint32_t interest)
{
    epoll_event event{};
    event.events = interest;
    event.data.ptr = &target;
    return ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) == 0 ? error_code{} : last_error();
}

error_code readiness::change(int fd, watched_descriptor& target, std::uint32_t interest)
{
    epoll_event event{};
    event.events = interest;
    event.data.ptr = &target;
    return ::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &event) == 0 ? error_code{} : last_error();
}

void readiness::remove(int fd, watched_descriptor& target)
{
    epoll_event event{};
    const int removed = ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, &event);
    always_assert(removed == 0);
    if (!current_) return;
    for (int i = current_->next; i < current_->count; ++i) {
        auto& left = current_->events[static_cast<std::size_t>(i)];
        if (left.data.ptr == &target) left.data.ptr = nullptr;
    }
}

error_code watched_descriptor::watch(readiness& source, descriptor fd, event_set& target,
                                     std::uint32_t in_bit, std::uint32_t out_bit)
{
    always_assert(!is_open() && fd.is_open());
    interest_ = EPOLLIN | EPOLLRDHUP | EPOLLET;
    const auto failure = source.add(fd.get(), *this, interest_);
    if (failure) return failure;
    source_ = &source;
    target_ = &target;
    fd_ = std::move(fd);
    in_bit_ = in_bit;
    out_bit_ = out_bit;
    is_readable = false;
    is_writable = true;
    peer_closed = false;
    return {};
}

descriptor watched_descriptor::unwatch()
{
    if (source_ && is_open()) source_->remove(fd_.get(), *this);
    source_ = nullptr;
    target_ = nullptr;
    return std::move(fd_);
}

void watched_descriptor::close()
{
    unwatch().close();
}

void watched_descriptor::want_write()
{
    is_writable = false;
    if (interest_ & EPOLLOUT) return;
    // A change re-arms the edge: a socket that became writable in between is told at once.
    interest_ |= EPOLLOUT;
    const auto failure = source_->change(fd_.get(), *this, interest_);
    always_assert(!failure);
}

void watched_descriptor::on_events(std::uint32_t events)
{
    std::uint32_t bits = 0;
    if (events & (EPOLLERR | EPOLLHUP | EPOLLRDHUP)) peer_closed = true;
    if (events & (EPOLLIN | EPOLLERR | EPOLLHUP | EPOLLRDHUP)) {
        is_readable = true;
        bits |= in_bit_;
    }
    if (events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) {
        // An edge that nobody asked for (a Unix socket tells one at each read of its peer) wakes
        // nobody.
        if (!is_writable) bits |= out_bit_;
        is_writable = true;
    }
    if (bits) target_->raise(bits);
}

}  // namespace pgtorii::runtime
