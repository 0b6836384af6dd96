#include "core/runtime/worker.hpp"

#include "core/base/always_assert.hpp"

#include <cerrno>
#include <sys/eventfd.h>
#include <system_error>
#include <unistd.h>

namespace pgtorii::runtime {

worker::worker(int index) : index_(index), wake_events_(ready_), scratch_(scratch_bytes)
{
    descriptor wake{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
    if (!wake.is_open()) throw std::system_error(errno, std::generic_category(), "eventfd");
    wake_fd_ = wake.get();
    // Nobody waits for the event set: the edge ends epoll_wait, and the loop looks at has_posts_.
    const auto failure = wake_watch_.watch(readiness_, std::move(wake), wake_events_, 1, 0);
    if (failure) throw std::system_error(failure.value(), std::generic_category(), "epoll_ctl");
}

void worker::wake()
{
    if (has_posts_.exchange(true)) return;  // a wake-up is under way already
    const std::uint64_t one = 1;
    const auto written = ::write(wake_fd_, &one, sizeof one);
    always_assert(written == sizeof one || errno == EAGAIN);
}

void worker::stop()
{
    is_stopping_ = true;
    wake();
}

int worker::timeout_of_next_wait() const
{
    const auto next = deadlines_.next();
    if (!next) return -1;
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(*next - now_).count();
    return static_cast<int>(std::clamp<std::int64_t>(left, 0, 60'000));
}

void worker::drain_ready()
{
    // Those that are ready now: who becomes ready meanwhile, by yielding for one, has its turn
    // after the next look at the sockets.
    ready_list now_ready;
    now_ready.swap(ready_);
    while (!now_ready.empty()) {
        auto& front = now_ready.front();
        now_ready.pop_front();
        front.resume();
    }
    while (!deferred_.empty()) {
        const auto last = std::move(deferred_.back());
        deferred_.pop_back();
        last();
    }
}

void worker::run()
{
    while (!is_stopping_) {
        readiness_.wait(ready_.empty() ? timeout_of_next_wait() : 0);
        now_ = clock::now();
        if (has_posts_) {
            std::uint64_t count = 0;
            [[maybe_unused]] const auto taken = ::read(wake_fd_, &count, sizeof count);
            has_posts_ = false;  // before the posts run: one that comes meanwhile wakes us again
            context_.restart();
            context_.poll();
        }
        deadlines_.expire(now_);
        drain_ready();
    }
    // What was posted last (sessions handing back what they hold) still runs.
    context_.restart();
    context_.poll();
    while (!ready_.empty() || !deferred_.empty()) drain_ready();
}

std::unique_ptr<std::byte[]> worker::borrow_buffer()
{
    if (spare_buffers_.empty()) return std::make_unique_for_overwrite<std::byte[]>(buffer_bytes);
    auto buffer = std::move(spare_buffers_.back());
    spare_buffers_.pop_back();
    return buffer;
}

void worker::return_buffer(std::unique_ptr<std::byte[]> buffer)
{
    if (buffer && spare_buffers_.size() < spare_buffer_count_max) {
        spare_buffers_.push_back(std::move(buffer));
    }
}

}  // namespace pgtorii::runtime
