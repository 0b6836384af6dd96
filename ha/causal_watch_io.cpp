#include "ha/causal_watch_io.hpp"

#include "core/runtime/log.hpp"
#include "ha/error.hpp"
#include "ha/position_talk.hpp"
#include "ha/probe_io.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

namespace pgtorii::ha {

/// A connection and the conversation on it. A coroutine that uses it keeps it; the server may have
/// dropped it meanwhile.
struct causal_watch::channel {
    channel(runtime::executor home, const check_login& login)
        : connection(std::make_shared<probe_connection>(home)),
          talk(login)
    {
    }

    std::shared_ptr<probe_connection> connection;
    position_talk talk;
    clock::time_point answered{};
};

/// What belongs to the sampling of one server. Made once for each node id.
struct causal_watch::server {
    server(runtime::executor home, int id) : node(id), wake(home) {}

    int node;
    runtime::timer wake;
    check_login login;
    std::vector<socket_address> addresses;
    std::chrono::milliseconds connect_timeout{};
    std::shared_ptr<causal_watch::channel> channel;
    bool is_readable = false;  // while nothing was asked: news, or the end
    bool has_failed = false;   // and the log has been told
};

causal_watch::causal_watch(boost::asio::io_context& control, const settings_ptr& settings,
                           causal_board& board, std::function<void()> on_sample)
    : home_(control.get_executor()),
      sampler_(board),
      on_sample_(std::move(on_sample)),
      tasks_(home_)
{
    configure(settings);
}

causal_watch::~causal_watch() = default;

void causal_watch::configure(const settings_ptr& settings)
{
    sampler_.configure(*settings);
    is_on_ = settings->causal_reads != config::causality::off;
    configs_ = cluster_config_of(*settings).nodes;
}

void causal_watch::reconfigure(const settings_ptr& settings)
{
    configure(settings);
    add_servers();
    on_wake();
}

void causal_watch::on_view(const cluster_view& view)
{
    sampler_.on_view(view);
    nodes_ = view.nodes;
    add_servers();
    if (sampler_.take_news()) on_sample_();
    on_wake();
}

void causal_watch::add_servers()
{
    while (is_on_ && servers_.size() < nodes_.size()) {
        servers_.push_back(std::make_shared<server>(home_, static_cast<int>(servers_.size())));
        tasks_.spawn([this, at = servers_.back()] { return sample(at); });
    }
    for (const auto& at : servers_) take_in(*at);
}

/// The newest view and configuration of the server. A connection that doesn't fit them is closed.
void causal_watch::take_in(server& at)
{
    const auto id = static_cast<std::size_t>(at.node);
    const bool is_there = id < nodes_.size() && id < configs_.size() && nodes_[id].is_valid();
    const auto login = is_there ? configs_[id].login : check_login{};
    const auto addresses = is_there ? nodes_[id].addresses : std::vector<socket_address>{};
    if (at.login != login || at.addresses != addresses) disconnect(at);
    at.login = login;
    at.addresses = addresses;
    if (is_there) at.connect_timeout = nodes_[id].connect_timeout;
}

void causal_watch::on_wake()
{
    for (const auto& at : servers_) at->wake.cancel();
}

void causal_watch::stop()
{
    tasks_.stop();
    for (const auto& at : servers_) disconnect(*at);
}

void causal_watch::disconnect(server& at)
{
    if (const auto dropped = std::exchange(at.channel, nullptr)) dropped->connection->close();
    at.is_readable = false;
    sampler_.on_disconnected(at.node);
}

runtime::awaitable<void> causal_watch::sample(server_ptr at)
{
    for (;;) {
        co_await until_due(at);
        const auto question = sampler_.begin(at->node, clock::now());
        if (!question) continue;
        const auto answer = co_await ask(at, question->of_primary);
        if (tasks_.is_stopped()) co_return;
        if (answer)
            sampler_.on_answer(*question, *answer);
        else {
            disconnect(*at);
            sampler_.on_failure(*question, clock::now());
        }
        tell(*at, answer ? error_code() : answer.error());
        if (sampler_.take_news()) on_sample_();
    }
}

/// Waits for the server's turn. What comes on its connection meanwhile is taken, and a connection
/// that nobody needs is closed.
runtime::awaitable<void> causal_watch::until_due(server_ptr at)
{
    for (;;) {
        if (std::exchange(at->is_readable, false)) take_unasked(*at);
        const auto now = clock::now();
        sampler_.step(now);
        auto due = sampler_.due(at->node);
        if (due <= now) co_return;
        if (at->channel && !sampler_.is_awake()) {
            due = at->channel->answered + idle_time;
            if (due <= now) {
                disconnect(*at);
                due = clock::time_point::max();
            }
        }
        if (sampler_.take_news()) on_sample_();
        watch_channel(at);
        at->wake.expires_at(due);
        const auto woken = co_await at->wake.async_wait(runtime::tuple_token);
        static_cast<void>(woken);
        error_code ignored;
        if (at->channel) at->channel->connection->stream.cancel(ignored);
    }
}

/// While nothing is asked: wakes the server's task when something comes, its end above all.
void causal_watch::watch_channel(const server_ptr& at)
{
    if (!at->channel) return;
    const auto on_readable = [weak = std::weak_ptr(at)](error_code failure) {
        const auto self = weak.lock();
        if (failure || !self) return;
        self->is_readable = true;
        self->wake.cancel();
    };
    at->channel->connection->stream.async_wait(probe_connection::socket::wait_read, on_readable);
}

/// What a server says without having been asked: a changed parameter, or goodbye.
void causal_watch::take_unasked(server& at)
{
    if (!at.channel) return;
    auto& stream = at.channel->connection->stream;
    auto& talk = at.channel->talk;
    std::array<std::byte, 4096> buffer;
    error_code failure;
    stream.non_blocking(true, failure);
    const auto size = stream.read_some(boost::asio::buffer(buffer), failure);
    if (failure == boost::asio::error::would_block) return;
    if (!failure) talk.on_bytes(std::span(buffer).first(size));
    if (failure || talk.failure()) disconnect(at);
}

/// Asks once; opens the connection first when there is none. A server that has no position gives
/// zeros.
runtime::awaitable<result<causal_board::floor>> causal_watch::ask(server_ptr at, bool of_primary)
{
    const bool is_new = !at->channel;
    if (is_new) at->channel = std::make_shared<channel>(home_, at->login);
    const auto used = at->channel;
    auto& connection = *used->connection;
    error_code failure;
    if (is_new) {
        const auto addresses = at->addresses;
        const auto deadline = clock::now() + login_limit;
        failure = co_await connect(connection, addresses, at->connect_timeout, deadline);
        if (!failure) failure = co_await converse(connection, used->talk);
        if (!failure) failure = used->talk.failure();
    }
    if (!failure) {
        used->talk.ask(of_primary);
        connection.limit_to(clock::now() + answer_limit);
        failure = co_await converse(connection, used->talk);
        if (!failure) failure = used->talk.failure();
    }
    if (connection.is_late()) failure = errc::check_late;
    connection.limit_to(clock::time_point::max());
    if (!failure && at->channel != used) failure = errc::connection_lost;
    if (failure) co_return failure;
    used->answered = clock::now();
    co_return used->talk.position().value_or(causal_board::floor());
}

/// The log hears of a server that can't be asked once, and once when it can be asked again.
void causal_watch::tell(server& at, error_code failure)
{
    const bool had_failed = std::exchange(at.has_failed, static_cast<bool>(failure));
    if (at.has_failed == had_failed) return;
    const auto text = failure ? fmt::format("could not ask node {} for its WAL position: {}",
                                            at.node, failure.message())
                              : fmt::format("node {} tells its WAL position again", at.node);
    runtime::log::write(config::message_level::log, {}, {.message = text});
}

}  // namespace pgtorii::ha
