#pragma once

#include "core/runtime/deadlines.hpp"
#include "core/runtime/event_set.hpp"
#include "core/runtime/task.hpp"
#include "core/runtime/transport.hpp"
#include "core/runtime/worker.hpp"
#include "ha/cluster_view.hpp"

#include <cstdint>
#include <functional>
#include <span>
#include <string>

namespace pgtorii::core {

/// A connecting, non-blocking stream socket to `address`, with keepalive and no delay. Null (with
/// errno) when it fails at once. `is_connected`: no need to wait.
runtime::descriptor connecting_socket(const ha::socket_address& address, bool& is_connected);

/// One cancel request on its way to a server, over a connection of its own. It is over when the
/// server has closed that connection: by then the signal has been sent, so a link that waits for
/// the end can't have its next query hit.
class cancel_sender {
public:
    /// `done` runs once, on the worker, from inside this object: it may only mark it.
    cancel_sender(runtime::worker& home, const ha::socket_address& address, std::string request,
                  std::function<void()> done);
    void start();
    bool is_done() const { return root_.is_done(); }

private:
    runtime::task<> run();
    runtime::task<> send();

    static constexpr std::chrono::seconds time_limit{10};

    runtime::worker& home_;
    runtime::event_set events_;
    runtime::deadline deadline_;
    runtime::transport server_;
    ha::socket_address address_;
    std::string request_;
    std::function<void()> done_;
    runtime::task<> root_;
};

}  // namespace pgtorii::core
