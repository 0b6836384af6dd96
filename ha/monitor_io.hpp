#pragma once

#include "config/settings.hpp"
#include "core/runtime/executor.hpp"
#include "core/runtime/task_group.hpp"
#include "ha/cluster_state.hpp"
#include "ha/cluster_view.hpp"

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

namespace pgtorii::ha {

/// What a session saw of a server that makes another look worthwhile.
enum class trouble : std::uint8_t {
    connect_failed,
    link_lost,
    read_only,  ///< SQLSTATE 25006 from the one that was the primary.
    unspecified,
};

/// Watches all servers and publishes what it sees: one task for each server on the control context,
/// each at its own pace, so that a dead server holds up nothing. cluster_state decides,
/// check_schedule says when.
///
/// Every look is a new connection and a complete log-in: what still serves old sessions but lets
/// nobody in (a smart shutdown) is found out. The connection of the last good look stays open until
/// the next one begins, and its loss starts one at once, so that a crash of a server is noticed
/// when no session is there to tell.
///
/// With replication_delay_source_cmd one more task runs that command every sr_check_period.
///
/// The search for a primary never ends; search_primary_node_timeout only makes it warn.
///
/// Belongs to the control thread, except where a function says otherwise.
class monitor {
public:
    using publisher = std::function<void(cluster_view_ptr)>;
    using settings_ptr = std::shared_ptr<const config::settings>;

    /// `publish` is called on the control thread with every new view; the first one is view().
    monitor(boost::asio::io_context& control, const settings_ptr& settings, publisher publish);
    ~monitor();
    monitor(const monitor&) = delete;
    monitor& operator=(const monitor&) = delete;

    const cluster_view_ptr& view() const { return state_.view(); }

    /// Begins to watch.
    void start();
    /// Ends it: no view is published any more. Then join(), before the monitor is destroyed.
    void stop();
    runtime::awaitable<void> join() { return tasks_.join(); }

    /// Another configuration, after a reload.
    void reconfigure(const settings_ptr& settings);

    /// A session saw trouble with the server: it is looked at soon. Any thread; cheap when many
    /// report the same.
    void kick(int node, trouble why);
    /// A session has a link to a server that was `waiting`. Any thread.
    void session_connected(int node);

private:
    struct watcher;

    runtime::awaitable<void> watch(watcher* at);
    runtime::awaitable<void> until_due(watcher& at);
    runtime::awaitable<void> measure_delays();
    runtime::awaitable<void> ask_for_delays();
    void add_watchers();
    void wake_all();
    void on_kick(int node, trouble why);
    void keep_open(watcher& at);
    void publish(const cluster_view_ptr& next);
    void write_log();

    static constexpr std::size_t node_count_max = config::backend_index_max + 1;

    runtime::executor home_;
    cluster_state state_;
    publisher publish_;
    std::vector<std::unique_ptr<watcher>> watchers_;
    runtime::timer delay_wake_;
    bool delay_command_failed_ = false;  // and the log has been told
    std::array<std::atomic<bool>, node_count_max> kick_is_posted_{};
    std::shared_ptr<monitor*> self_;  // what posted functions look for: gone with the monitor
    runtime::task_group tasks_;
};

}  // namespace pgtorii::ha
