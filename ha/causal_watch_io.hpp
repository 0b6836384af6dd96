#pragma once

#include "config/settings.hpp"
#include "core/base/result.hpp"
#include "core/runtime/executor.hpp"
#include "core/runtime/task_group.hpp"
#include "ha/causal_board.hpp"
#include "ha/causal_sampler.hpp"
#include "ha/cluster_config.hpp"
#include "ha/cluster_view.hpp"

#include <boost/asio/io_context.hpp>

#include <functional>
#include <memory>
#include <vector>

namespace pgtorii::ha {

/// Asks servers for their WAL positions while causal reads need them: one task for each server, so
/// that one which hangs delays no other. causal_sampler decides, the board tells the sessions.
///
/// A connection to a server is opened when it is first asked, closed when it fails, when an answer
/// takes longer than `answer_limit`, and `idle_time` after the last answer. With causal_reads = off
/// nothing runs.
///
/// Belongs to the control thread.
class causal_watch {
public:
    using settings_ptr = std::shared_ptr<const config::settings>;

    static constexpr clock::duration answer_limit = std::chrono::seconds(1);
    static constexpr clock::duration login_limit = std::chrono::seconds(5);
    static constexpr clock::duration idle_time = std::chrono::seconds(30);

    /// `on_sample` is called on the control thread after each answer that has changed the board.
    causal_watch(boost::asio::io_context& control, const settings_ptr& settings,
                 causal_board& board, std::function<void()> on_sample);
    ~causal_watch();
    causal_watch(const causal_watch&) = delete;
    causal_watch& operator=(const causal_watch&) = delete;

    /// The cluster has changed. Before sessions are told: an answer of a former primary must not
    /// meet the ticket of a session that has written to the new one.
    void on_view(const cluster_view& view);
    /// Another configuration, after a reload.
    void reconfigure(const settings_ptr& settings);
    /// The board wants the sampler to be woken (post this to the control thread).
    void on_wake();

    /// Ends all sampling. Then join(), before the watch is destroyed.
    void stop();
    runtime::awaitable<void> join() { return tasks_.join(); }

private:
    struct channel;
    struct server;
    using server_ptr = std::shared_ptr<server>;

    runtime::awaitable<void> sample(server_ptr at);
    runtime::awaitable<void> until_due(server_ptr at);
    runtime::awaitable<result<causal_board::floor>> ask(server_ptr at, bool of_primary);
    void watch_channel(const server_ptr& at);
    void take_unasked(server& at);
    void add_servers();
    void configure(const settings_ptr& settings);
    void disconnect(server& at);
    void take_in(server& at);
    void tell(server& at, error_code failure);

    runtime::executor home_;
    causal_sampler sampler_;
    std::function<void()> on_sample_;
    bool is_on_ = false;
    std::vector<node_config> configs_;
    std::vector<node_view> nodes_;  // as last told
    std::vector<server_ptr> servers_;
    runtime::task_group tasks_;
};

}  // namespace pgtorii::ha
