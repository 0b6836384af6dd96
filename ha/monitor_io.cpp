#include "ha/monitor_io.hpp"

#include "core/base/always_assert.hpp"
#include "core/runtime/log.hpp"
#include "core/runtime/subprocess.hpp"
#include "ha/address_source_io.hpp"
#include "ha/check_schedule.hpp"
#include "ha/cluster_config.hpp"
#include "ha/delay_command.hpp"
#include "ha/probe_io.hpp"

#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>
#include <fmt/format.h>

#include <optional>
#include <string>
#include <utility>

namespace pgtorii::ha {
namespace {

constexpr std::size_t delay_output_bytes_max = 4096;

moment present()
{
    return {clock::now(), std::chrono::system_clock::now()};
}

const char* text_of(trouble why)
{
    switch (why) {
    case trouble::connect_failed: return "a session could not connect";
    case trouble::link_lost: return "a connection was lost";
    case trouble::read_only: return "the primary refused to write";
    case trouble::unspecified: break;
    }
    return "a session saw trouble";
}

}  // namespace

/// What belongs to the watching of one server. Made once for each node id, and kept until the end.
struct monitor::watcher {
    watcher(runtime::executor home, const node_config& config)
        : node(config.id),
          config(config),
          wake(home)
    {
        addresses.emplace(home, config.hostname, config.port);
    }

    int node;
    node_config config;  // a copy: a look must not see it change
    check_schedule schedule;
    runtime::timer wake;
    std::optional<address_source> addresses;  // emplaced again when host or port change
    std::shared_ptr<probe_connection> kept;
};

monitor::monitor(boost::asio::io_context& control, const settings_ptr& settings, publisher publish)
    : home_(control.get_executor()),
      state_(cluster_config_of(*settings), present()),
      publish_(std::move(publish)),
      delay_wake_(home_),
      self_(std::make_shared<monitor*>(this)),
      tasks_(home_)
{
    always_assert(state_.config().nodes.size() <= node_count_max);
}

monitor::~monitor() = default;

void monitor::start()
{
    write_log();
    add_watchers();
    tasks_.spawn([this] { return measure_delays(); });
}

void monitor::stop()
{
    tasks_.stop();
    for (auto& at : watchers_) {
        if (const auto kept = std::exchange(at->kept, nullptr)) kept->close();
    }
}

void monitor::reconfigure(const settings_ptr& settings)
{
    auto config = cluster_config_of(*settings);
    always_assert(config.nodes.size() <= node_count_max);
    publish(state_.on_configuration(std::move(config), present()));
    add_watchers();
    wake_all();
    delay_wake_.cancel();
}

void monitor::add_watchers()
{
    const auto& nodes = state_.config().nodes;
    while (watchers_.size() < nodes.size()) {
        watchers_.push_back(std::make_unique<watcher>(home_, nodes[watchers_.size()]));
        tasks_.spawn([this, at = watchers_.back().get()] { return watch(at); });
    }
}

runtime::awaitable<void> monitor::watch(watcher* at)
{
    for (;;) {
        co_await until_due(*at);
        const bool was_reported = at->schedule.begin(clock::now());
        if (const auto kept = std::exchange(at->kept, nullptr)) kept->close();
        auto outcome = co_await look_at(home_, at->config, *at->addresses);
        if (tasks_.is_stopped()) co_return;  // what ended the look was ours
        at->schedule.end(clock::now());
        at->kept = std::move(outcome.connection);
        if (at->kept) keep_open(*at);
        // The configuration may have lost the node meanwhile.
        if (static_cast<std::size_t>(at->node) < state_.config().nodes.size()) {
            outcome.seen.was_reported = was_reported;
            publish(state_.on(std::move(outcome.seen), present()));
        }
        wake_all();
    }
}

runtime::awaitable<void> monitor::until_due(watcher& at)
{
    for (;;) {
        const auto& nodes = state_.config().nodes;
        const auto id = static_cast<std::size_t>(at.node);
        auto due = clock::time_point::max();
        if (id < nodes.size() && nodes[id].is_configured) {
            if (at.config.hostname != nodes[id].hostname || at.config.port != nodes[id].port) {
                at.addresses.emplace(home_, nodes[id].hostname, nodes[id].port);
            }
            at.config = nodes[id];
            due = at.schedule.due(state_.pause_until_next_look(at.node));
        }
        if (due <= clock::now()) co_return;
        at.wake.expires_at(due);
        const auto woken = co_await at.wake.async_wait(runtime::tuple_token);
        static_cast<void>(woken);
    }
}

/// Runs the command every period while one is configured; a reload begins a period anew.
runtime::awaitable<void> monitor::measure_delays()
{
    for (;;) {
        const auto& config = state_.config().delay;
        const bool is_asked = config.is_measured && !config.command.empty();
        if (is_asked && state_.view()->primary >= 0) co_await ask_for_delays();
        if (tasks_.is_stopped()) co_return;
        const auto& present_config = state_.config().delay;
        if (!present_config.is_measured || present_config.command.empty())
            delay_wake_.expires_at(clock::time_point::max());
        else
            delay_wake_.expires_after(present_config.period);
        const auto woken = co_await delay_wake_.async_wait(runtime::tuple_token);
        static_cast<void>(woken);
    }
}

/// Without a usable answer the delays stay as they are; the log hears of the first one in a row.
runtime::awaitable<void> monitor::ask_for_delays()
{
    const auto& config = state_.config().delay;
    std::vector<int> nodes;
    runtime::shell_command command;
    command.text = delay_command_line(config.command, *state_.view(), nodes);
    command.time_limit = config.command_timeout;
    command.output_bytes_max = delay_output_bytes_max;
    if (nodes.empty()) co_return;
    const auto outcome = co_await runtime::run_shell(home_, command);
    if (tasks_.is_stopped()) co_return;
    std::string cause;
    if (!outcome.succeeded()) {
        cause = outcome.text_of_failure();
    } else if (const auto delays = read_delays(outcome.output, nodes.size())) {
        publish(state_.on_delays(nodes, *delays, present()));
    } else {
        cause = delays.error().message();
    }
    const bool had_failed = std::exchange(delay_command_failed_, !cause.empty());
    if (cause.empty() || had_failed) co_return;
    runtime::log::write(config::message_level::warning, {},
                        {.message = "replication_delay_source_cmd gave no delays",
                         .detail = cause,
                         .hint = "The delays stay as they were last measured."});
}

void monitor::wake_all()
{
    for (auto& at : watchers_) at->wake.cancel();
}

void monitor::keep_open(watcher& at)
{
    const auto on_news = [weak_self = std::weak_ptr(self_), node = at.node,
                          weak_kept = std::weak_ptr(at.kept)](error_code failure) {
        const auto self = weak_self.lock();
        const auto kept = weak_kept.lock();
        if (failure == boost::asio::error::operation_aborted || !self || !kept) return;
        auto& present_one = (*self)->watchers_[static_cast<std::size_t>(node)]->kept;
        if (present_one != kept) return;  // the next look has begun
        std::exchange(present_one, nullptr)->close();
        (*self)->on_kick(node, trouble::link_lost);
    };
    at.kept->stream.async_wait(probe_connection::socket::wait_read, on_news);
}

void monitor::kick(int node, trouble why)
{
    if (node < 0 || static_cast<std::size_t>(node) >= node_count_max) return;
    auto& is_posted = kick_is_posted_[static_cast<std::size_t>(node)];
    if (is_posted.exchange(true)) return;
    boost::asio::post(home_, [weak = std::weak_ptr(self_), node, why] {
        const auto self = weak.lock();
        if (!self) return;
        (*self)->kick_is_posted_[static_cast<std::size_t>(node)] = false;
        (*self)->on_kick(node, why);
    });
}

void monitor::on_kick(int node, trouble why)
{
    const auto id = static_cast<std::size_t>(node);
    if (tasks_.is_stopped() || id >= watchers_.size()) return;
    if (runtime::log::enabled(config::message_level::debug1)) {
        const auto text = fmt::format("checking node {} now: {}", node, text_of(why));
        runtime::log::write(config::message_level::debug1, {}, {.message = text});
    }
    watchers_[id]->schedule.on_report();
    watchers_[id]->wake.cancel();
}

void monitor::session_connected(int node)
{
    boost::asio::post(home_, [weak = std::weak_ptr(self_), node] {
        const auto self = weak.lock();
        if (!self || (*self)->tasks_.is_stopped()) return;
        auto& state = (*self)->state_;
        const auto id = static_cast<std::size_t>(node);
        if (node < 0 || id >= state.config().nodes.size()) return;
        (*self)->publish(state.on_connected(node, present()));
    });
}

void monitor::publish(const cluster_view_ptr& next)
{
    write_log();
    if (next) publish_(next);
}

void monitor::write_log()
{
    for (const auto& event : state_.take_events()) {
        const auto text = text_of(event);
        runtime::log::write(text.level, {},
                            {.message = text.message, .detail = text.detail, .hint = text.hint});
    }
}

}  // namespace pgtorii::ha
