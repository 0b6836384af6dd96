#include "core/runtime/task_group.hpp"

#include "core/base/always_assert.hpp"
#include "core/runtime/log.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>
#include <boost/system/system_error.hpp>

#include <memory>
#include <string>

namespace pgtorii::runtime {

namespace {

/// What to tell of an exception that ended a task; empty when it is only a cancelled wait of a
/// group that stops.
std::string text_of(const std::exception_ptr& failure, bool is_stopped)
{
    try {
        std::rethrow_exception(failure);
    } catch (const boost::system::system_error& thrown) {
        if (is_stopped && thrown.code() == boost::asio::error::operation_aborted) return {};
        return thrown.what();
    } catch (const std::exception& thrown) {
        return thrown.what();
    } catch (...) {
        return "an exception of unknown type";
    }
}

}  // namespace

task_group::~task_group()
{
    always_assert(tasks_.empty());
}

void task_group::adopt(awaitable<void> body)
{
    const auto task = tasks_.emplace(tasks_.end());
    auto handler = [this, task](const std::exception_ptr& failure) { on_end(task, failure); };
    boost::asio::co_spawn(home_, std::move(body),
                          boost::asio::bind_cancellation_slot(task->slot(), std::move(handler)));
}

void task_group::on_end(task_list::iterator task, const std::exception_ptr& failure)
{
    if (failure) {
        const auto text = text_of(failure, is_stopped_);
        if (!text.empty()) {
            ++failure_count_;
            const auto message = "an exception left a background task: " + text;
            log::entry line{.message = message};
            log::write(config::message_level::error, {}, line);
        }
    }
    // A cancel from outside the running context is posted, and points to the signal: the signal
    // must outlive it.
    const auto ended = std::make_shared<task_list>();
    ended->splice(ended->begin(), tasks_, task);
    boost::asio::post(home_, [ended] {});
    if (tasks_.empty()) ended_.cancel();
}

void task_group::stop()
{
    is_stopped_ = true;
    for (auto task = tasks_.begin(); task != tasks_.end();) {
        auto& cancel =
            *task++;  // a task may end, and leave the list, while its wait is being cancelled
        cancel.emit(boost::asio::cancellation_type::terminal);
    }
}

awaitable<void> task_group::join()
{
    while (!tasks_.empty()) {
        ended_.expires_at(clock::time_point::max());
        const auto outcome = co_await ended_.async_wait(tuple_token);
        static_cast<void>(outcome);
    }
}

}  // namespace pgtorii::runtime
