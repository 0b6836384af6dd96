#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>

#include <cstdint>
#include <functional>

namespace pgtorii::core {

/// What a signal to the process asks for (Pgpool-II's meaning).
enum class signal_request : std::uint8_t {
    none,
    stop_smart,      // SIGTERM: wait for all sessions to end
    stop_fast,       // SIGINT
    stop_immediate,  // SIGQUIT
    reload,          // SIGHUP
    report_usr1,     // SIGUSR1: only logged
};

signal_request request_of(int signal_number);

/// Catches the signals of signal_request, ignores SIGPIPE, and makes SIGUSR2 harmless. `on_request`
/// runs on the context's thread, with the signal's number. Only one may exist.
class signal_watch {
public:
    using handler = std::function<void(signal_request, int signal_number)>;

    signal_watch(boost::asio::io_context& home, handler on_request);
    /// No call comes after it. On the context's thread, or when that does not run.
    void stop() { signals_.cancel(); }

private:
    void wait();

    boost::asio::signal_set signals_;
    handler on_request_;
};

}  // namespace pgtorii::core
