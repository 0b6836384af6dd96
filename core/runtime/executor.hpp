#pragma once

#include "core/base/clock.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/wait_traits.hpp>

namespace pgtorii::runtime {

/// The concrete executor of every io_context of ours: nothing is paid for type erasure.
using executor = boost::asio::io_context::executor_type;

/// A coroutine of the control plane. Sessions on workers use the leaner runtime::task.
template <class Value = void>
using awaitable = boost::asio::awaitable<Value, executor>;

/// `co_await operation(tuple_token)` gives a tuple that begins with the error_code: a peer that
/// leaves is no exception.
inline constexpr boost::asio::as_tuple_t<boost::asio::deferred_t> tuple_token{
    boost::asio::deferred};

/// A timer on the clock of every deadline.
using timer = boost::asio::basic_waitable_timer<clock, boost::asio::wait_traits<clock>, executor>;

}  // namespace pgtorii::runtime
