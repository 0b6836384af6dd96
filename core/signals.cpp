#include "core/signals.hpp"

#include "core/runtime/log.hpp"

#include <csignal>
#include <utility>

namespace pgtorii::core {

signal_request request_of(int signal_number)
{
    switch (signal_number) {
    case SIGTERM: return signal_request::stop_smart;
    case SIGINT: return signal_request::stop_fast;
    case SIGQUIT: return signal_request::stop_immediate;
    case SIGHUP: return signal_request::reload;
    case SIGUSR1: return signal_request::report_usr1;
    default: return signal_request::none;
    }
}

signal_watch::signal_watch(boost::asio::io_context& home, handler on_request)
    : signals_(home, SIGTERM, SIGINT, SIGQUIT),
      on_request_(std::move(on_request))
{
    signals_.add(SIGHUP);
    signals_.add(SIGUSR1);
    // Pgpool-II uses these inside; from outside they must not end the process.
    std::signal(SIGUSR2, SIG_IGN);
    std::signal(SIGPIPE, SIG_IGN);
    wait();
}

void signal_watch::wait()
{
    signals_.async_wait([this](const boost::system::error_code& failure, int signal_number) {
        if (failure) return;
        wait();
        on_request_(request_of(signal_number), signal_number);
    });
}

}  // namespace pgtorii::core
