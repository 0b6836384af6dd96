#include "core/gate.hpp"

#include "core/base/always_assert.hpp"
#include "core/connection_budget.hpp"
#include "core/runtime/log.hpp"
#include "protocol/writer.hpp"

#include <boost/asio/posix/basic_stream_descriptor.hpp>
#include <fmt/format.h>

#include <arpa/inet.h>
#include <cerrno>
#include <cstring>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>

namespace pgtorii::core {

namespace {

namespace asio = boost::asio;
using runtime::awaitable;
using runtime::tuple_token;

constexpr std::chrono::milliseconds accept_pause{100};
constexpr std::chrono::seconds sweep_period{1};
constexpr std::chrono::milliseconds smart_look_period{50};
constexpr std::chrono::seconds goodbye_limit{2};

void log(config::message_level level, std::string_view message, std::string_view detail = {},
         std::string_view hint = {})
{
    runtime::log::write(level, {}, {.message = message, .detail = detail, .hint = hint});
}

/// Ten thousand clients need as many descriptors: the soft limit is a default for programs that use
/// select().
void raise_descriptor_limit()
{
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &limit);
}

int backlog_of(const config::settings& settings)
{
    const auto wanted =
        std::int64_t{settings.num_init_children} * settings.listen_backlog_multiplier;
    return static_cast<int>(std::clamp<std::int64_t>(wanted, 128, 10'000));
}

/// node_connection_limit_list, which was checked when it was read.
std::unordered_map<int, std::size_t> node_limits_of(const config::settings& settings)
{
    std::unordered_map<int, std::size_t> limits;
    for (const auto& [node, count] : config::connection_limits(settings.node_connection_limit_list))
        limits[std::stoi(node)] = count;
    return limits;
}

turn_limits turn_limits_of(const config::settings& settings)
{
    const auto children = static_cast<std::size_t>(settings.num_init_children);
    const auto pools_of_child = static_cast<std::size_t>(std::max(settings.max_pool, 1));
    return {.count_max = children * pools_of_child,
            .count_max_of_pool = children,
            .queue_count_max = static_cast<std::size_t>(settings.query_wait_queue_max),
            .of_users = config::connection_limits(settings.user_connection_limit_list),
            .of_databases = config::connection_limits(settings.database_connection_limit_list),
            .of_nodes = node_limits_of(settings)};
}

routing::written_table_clock::limits table_limits_of(const config::settings& settings)
{
    return {.table_count_max = static_cast<std::size_t>(settings.track_table_mutation_table_size),
            .cold_start = settings.track_table_mutation_cold_start_duration,
            .staleness_max = settings.track_table_mutation_max_staleness};
}

int worker_count_of(const config::settings& settings)
{
    if (settings.worker_threads > 0) return settings.worker_threads;
    return static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
}

std::string peer_host(const sockaddr_storage& address)
{
    char text[INET6_ADDRSTRLEN] = "";
    if (address.ss_family == AF_INET) {
        ::inet_ntop(AF_INET, &reinterpret_cast<const sockaddr_in&>(address).sin_addr, text,
                    sizeof text);
    } else if (address.ss_family == AF_INET6) {
        ::inet_ntop(AF_INET6, &reinterpret_cast<const sockaddr_in6&>(address).sin6_addr, text,
                    sizeof text);
    } else {
        return "[local]";
    }
    return text;
}

int peer_port(const sockaddr_storage& address)
{
    if (address.ss_family == AF_INET)
        return ntohs(reinterpret_cast<const sockaddr_in&>(address).sin_port);
    if (address.ss_family == AF_INET6)
        return ntohs(reinterpret_cast<const sockaddr_in6&>(address).sin6_port);
    return 0;
}

/// For a client that there is no room for: PostgreSQL's own words, best effort.
void refuse(int socket)
{
    protocol::message_buffer words;
    words.error_response(
        {.severity = "FATAL", .sqlstate = "53300", .message = "sorry, too many clients already"});
    [[maybe_unused]] const auto sent =
        ::send(socket, words.bytes().data(), words.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
}

}  // namespace

gate::gate(settings_ptr settings, node_counters& counters, pin_board& pins,
           const local_commands& commands,
           std::function<settings_ptr(const config::settings&)> load_again)
    : settings_(std::move(settings)),
      load_again_(std::move(load_again)),
      signals_(control_,
               [this](signal_request request, int number) { on_signal(request, number); }),
      acceptors_(control_.get_executor()),
      tasks_(control_.get_executor()),
      pool_(turn_limits_of(*settings_)),
      causal_([this] { asio::post(control_, [this] { causal_watch_->on_wake(); }); }),
      tables_(table_limits_of(*settings_), clock::now()),
      services_{
          .pool = pool_,
          .cancels = cancels_,
          .counters = counters,
          .generations = generations_,
          .commands = commands,
          .report_trouble = [this](int node) { monitor_->kick(node, ha::trouble::link_lost); },
          .report_connected = [this](int node) { monitor_->session_connected(node); },
          .run_on =
              [this](int worker, std::function<void(session_home&)> function) {
                  auto& there = *lanes_[static_cast<std::size_t>(worker)];
                  there.loop.post(
                      [home = there.home.get(), work = std::move(function)] { work(*home); });
              },
          .recall_idle =
              [this] {
                  for (const auto& each : lanes_) {
                      if (each->home->idle.count() == 0) continue;
                      each->loop.post([home = each->home.get()] { home->idle.release_all(); });
                  }
              },
          .drop_database =
              [this](const std::string& name) {
                  on_each_home([this, name](session_home& home) {
                      home.idle.drop_if([&name](const server_link& link) {
                          return link.home()->database == name;
                      });
                      // After it: until now this worker may have given some back.
                      pool_.drop_database(name);
                  });
              },
          .causal = causal_,
          .tables = tables_,
          .pins = pins,
          .worker_count = worker_count_of(*settings_)}
{
    raise_descriptor_limit();
    monitor_ = std::make_unique<ha::monitor>(
        control_, settings_, [this](ha::cluster_view_ptr view) { publish(std::move(view)); });
    view_ = monitor_->view();
    causal_watch_ = std::make_unique<ha::causal_watch>(control_, settings_, causal_, [this] {
        on_each_home([](session_home& home) { home.on_causal_sample(); });
    });
    causal_watch_->on_view(*view_);
    open_listeners();
    for (int i = 0; i < services_.worker_count; ++i) {
        auto made = std::make_unique<lane>(i);
        made->home = std::make_unique<session_home>(made->loop, services_, settings_, view_);
        lanes_.push_back(std::move(made));
    }
}

gate::~gate() = default;

void gate::open_listeners()
{
    const int backlog = backlog_of(*settings_);
    for (const auto& directory : settings_->unix_socket_directories) {
        listeners_.push_back(
            listening_socket::open_unix(directory, settings_->port, backlog,
                                        static_cast<unsigned>(settings_->unix_socket_permissions),
                                        settings_->unix_socket_group));
    }
    for (const auto& host : settings_->listen_addresses) {
        for (auto& each : listening_socket::open_tcp(host, settings_->port, backlog)) {
            listeners_.push_back(std::move(each));
        }
    }
    for (const auto& each : listeners_)
        log(config::message_level::log, fmt::format("listening on {}", each.name()));
}

template <class Function>
void gate::on_each_home(Function function)
{
    for (auto& each : lanes_) {
        each->loop.post([home = each->home.get(), function] { function(*home); });
    }
}

std::size_t gate::session_count() const
{
    std::size_t count = 0;
    for (const auto& each : lanes_)
        count += each->home->session_count.load(std::memory_order_relaxed);
    return count;
}

void gate::publish(ha::cluster_view_ptr view)
{
    for (const auto& node : view->nodes) {
        if (!node.is_valid()) pool_.drop_node(node.id);
        check_budget(node);
    }
    view_ = view;
    pool_.set_primary(view->primary);
    causal_watch_->on_view(*view);  // before sessions see it: see causal_watch
    on_each_home([view](session_home& home) { home.publish(view); });
}

/// Once for each server and each answer of it.
void gate::check_budget(const ha::node_view& node)
{
    if (node.connection_count_max == 0) return;
    const auto index = static_cast<std::size_t>(node.id);
    if (checked_counts_.size() <= index) checked_counts_.resize(index + 1);
    if (std::exchange(checked_counts_[index], node.connection_count_max) ==
        node.connection_count_max) {
        return;
    }
    if (const auto short_of = find_budget_shortage(*settings_, node)) {
        log(config::message_level::warning, short_of->message, short_of->detail, short_of->hint);
    }
}

void gate::start_workers()
{
    for (auto& each : lanes_) {
        each->thread = std::thread([&loop = each->loop] { loop.run(); });
    }
}

void gate::run(const std::function<void()>& ready)
{
    start_workers();
    tasks_.spawn([this] { return sweep(); });
    for (const auto& each : listeners_) {
        acceptors_.spawn([this, &each] { return accept_from(each); });
    }
    monitor_->start();
    ready();
    control_.run();
    for (auto& each : lanes_) each->loop.stop();
    for (auto& each : lanes_) each->thread.join();
    // Sessions that were cut short give back what they hold, while pool and registry are there.
    for (auto& each : lanes_) each->home.reset();
    listeners_.clear();
}

/// Accepts until the listener is closed. Each client goes to the worker with the fewest sessions
/// and stays there.
awaitable<> gate::accept_from(const listening_socket& from)
{
    // The descriptor is the listener's: released below, never closed by Asio.
    asio::posix::basic_stream_descriptor<runtime::executor> watched{control_.get_executor(),
                                                                    from.fd()};
    runtime::timer pause{control_.get_executor()};
    const auto cancelled = co_await asio::this_coro::cancellation_state;
    while (cancelled.cancelled() == asio::cancellation_type::none) {
        const auto [failure] =
            co_await watched.async_wait(asio::posix::descriptor_base::wait_read, tuple_token);
        if (failure) break;
        for (;;) {
            const int fd = ::accept4(from.fd(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
            if (fd >= 0) {
                hand_over(runtime::descriptor{fd});
                continue;
            }
            if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
                log(config::message_level::warning,
                    fmt::format("could not accept new connection: {}", std::strerror(errno)), {},
                    "Raise the limit of open files (ulimit -n).");
                pause.expires_after(accept_pause);
                const auto [stopped] = co_await pause.async_wait(tuple_token);
                if (stopped) break;
            }
            if (errno != EINTR && errno != ECONNABORTED) break;
        }
    }
    watched.release();
}

void gate::hand_over(runtime::descriptor socket)
{
    const auto limit = static_cast<std::size_t>(settings_->max_client_connections);
    if (limit > 0 && session_count() >= limit) {
        refuse(socket.get());
        return;
    }
    sockaddr_storage address{};
    socklen_t length = sizeof address;
    ::getpeername(socket.get(), reinterpret_cast<sockaddr*>(&address), &length);
    if (address.ss_family == AF_INET || address.ss_family == AF_INET6) {
        const int on = 1;
        ::setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        ::setsockopt(socket.get(), SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    }
    auto* least = lanes_.front().get();
    for (const auto& each : lanes_) {
        if (each->home->session_count.load(std::memory_order_relaxed) <
            least->home->session_count.load(std::memory_order_relaxed)) {
            least = each.get();
        }
    }
    least->home->session_count.fetch_add(1, std::memory_order_relaxed);
    least->loop.post([home = least->home.get(),
                      fd = std::make_shared<runtime::descriptor>(std::move(socket)),
                      host = peer_host(address),
                      port = peer_port(address)] { home->adopt(std::move(*fd), host, port); });
}

void gate::on_signal(signal_request request, int signal_number)
{
    switch (request) {
    case signal_request::none: return;
    case signal_request::report_usr1:
        log(config::message_level::log, "Pgpool-II parent process received SIGUSR1");
        return;
    case signal_request::reload: reload(); return;
    case signal_request::stop_smart:
    case signal_request::stop_fast:
    case signal_request::stop_immediate: break;
    }
    const auto mode = request == signal_request::stop_smart  ? stop_mode::smart
                      : request == signal_request::stop_fast ? stop_mode::fast
                                                             : stop_mode::immediate;
    log(config::message_level::log, fmt::format("shutting down by signal {}", signal_number));
    const bool is_first = !stopping_;
    // A harder mode overtakes a softer one that is under way; never the other way round.
    if (is_first || mode > *stopping_) stopping_ = mode;
    if (is_first) tasks_.spawn([this] { return shut_down(); });
}

/// Ends everything, in order: no new clients, the clients there are, the control plane.
awaitable<> gate::shut_down()
{
    runtime::timer pause{control_.get_executor()};
    acceptors_.stop();
    co_await acceptors_.join();
    listeners_.clear();
    while (*stopping_ == stop_mode::smart && session_count() > 0) {
        pause.expires_after(smart_look_period);
        (void)co_await pause.async_wait(tuple_token);
    }
    if (*stopping_ != stop_mode::immediate) {
        on_each_home([](session_home& home) { home.end_sessions(); });
        const auto limit = clock::now() + goodbye_limit;
        while (session_count() > 0 && clock::now() < limit && *stopping_ != stop_mode::immediate) {
            pause.expires_after(smart_look_period / 5);
            (void)co_await pause.async_wait(tuple_token);
        }
    }
    monitor_->stop();
    co_await monitor_->join();
    causal_watch_->stop();
    co_await causal_watch_->join();
    signals_.stop();
    log(config::message_level::log, "Pgpool-II system is shutdown");
    // The last task of the group can't join its own group: run() ends when nothing is left to wait
    // for.
    tasks_.stop();
}

/// Once a second: parked links that are past connection_life_time, pools that nobody uses, and what
/// workers keep for sessions that don't come.
awaitable<> gate::sweep()
{
    runtime::timer pause{control_.get_executor()};
    for (;;) {
        pause.expires_after(sweep_period);
        const auto [stopped] = co_await pause.async_wait(tuple_token);
        if (stopped) co_return;
        const auto now = clock::now();
        pool_.expire(now, settings_->connection_life_time,
                     static_cast<std::size_t>(settings_->min_pool_size));
        for (const auto& each : lanes_) {
            if (each->home->idle.count() == 0) continue;
            each->loop.post([home = each->home.get(), now] {
                home->idle.release_unused_since(now - sweep_period);
            });
        }
    }
}

void gate::reload()
{
    log(config::message_level::log, "reload config files.");
    auto fresh = load_again_(*settings_);
    if (!fresh) return;
    settings_ = std::move(fresh);
    runtime::log::configure(*settings_);
    monitor_->reconfigure(settings_);
    causal_watch_->reconfigure(settings_);
    tables_.set_limits(table_limits_of(*settings_));
    pool_.set_limits(turn_limits_of(*settings_));
    on_each_home([settings = settings_](session_home& home) { home.publish(settings); });
}

}  // namespace pgtorii::core
