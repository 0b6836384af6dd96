#pragma once

#include "config/settings.hpp"
#include "core/cancel_registry.hpp"
#include "core/catalog_generations.hpp"
#include "core/command_line.hpp"
#include "core/link_pool.hpp"
#include "core/listener.hpp"
#include "core/node_counters.hpp"
#include "core/runtime/executor.hpp"
#include "core/runtime/task_group.hpp"
#include "core/runtime/worker.hpp"
#include "core/session_home.hpp"
#include "core/signals.hpp"
#include "ha/causal_board.hpp"
#include "ha/causal_watch_io.hpp"
#include "ha/cluster_view.hpp"
#include "ha/monitor_io.hpp"

#include <boost/asio/io_context.hpp>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace pgtorii::core {

/// The whole process: the control context (acceptors, monitor, signals), the workers with their
/// sessions, and what they share. Made, run and destroyed by main's thread, which is the control
/// thread.
class gate {
public:
    /// Opens the listening sockets. Throws listen_failure. `load_again` reads the configuration
    /// file at a reload: null when there is something wrong with it (and it has said what).
    gate(settings_ptr settings, node_counters& counters, pin_board& pins,
         const local_commands& commands,
         std::function<settings_ptr(const config::settings&)> load_again);
    ~gate();

    /// Serves until a signal ends it. `ready` runs once clients can connect.
    void run(const std::function<void()>& ready);

private:
    struct lane {
        explicit lane(int index) : loop(index) {}
        runtime::worker loop;
        std::unique_ptr<session_home>
            home;  // made and destroyed on the control thread while the loop does not run
        std::thread thread;
    };

    void open_listeners();
    void start_workers();
    runtime::awaitable<> accept_from(const listening_socket& from);
    void hand_over(runtime::descriptor socket);
    void on_signal(signal_request request, int signal_number);
    runtime::awaitable<> sweep();
    runtime::awaitable<> shut_down();
    void reload();
    void publish(ha::cluster_view_ptr view);
    void check_budget(const ha::node_view& node);
    std::size_t session_count() const;
    template <class Function>
    void on_each_home(Function function);

    settings_ptr settings_;
    std::function<settings_ptr(const config::settings&)> load_again_;
    boost::asio::io_context control_{1};
    signal_watch signals_;
    runtime::task_group acceptors_;
    runtime::task_group tasks_;
    link_pool pool_;
    cancel_registry cancels_;
    catalog_generations generations_;
    ha::causal_board causal_;
    routing::written_table_clock tables_;
    gate_services services_;
    ha::cluster_view_ptr view_;
    std::vector<listening_socket> listeners_;
    std::vector<std::unique_ptr<lane>> lanes_;
    std::unique_ptr<ha::monitor> monitor_;
    std::unique_ptr<ha::causal_watch> causal_watch_;
    std::optional<stop_mode> stopping_;
    std::vector<int> checked_counts_;  // by node: its connection_count_max, as last checked
};

}  // namespace pgtorii::core
