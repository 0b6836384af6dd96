#include "core/client_session.hpp"

#include "core/base/always_assert.hpp"
#include "core/runtime/log.hpp"
#include "protocol/message.hpp"

#include <fmt/format.h>

#include <exception>

namespace pgtorii::core {

using runtime::task;

client_session::client_session(session_home& home, std::uint64_t id, runtime::descriptor socket,
                               std::string peer_host, int peer_port)
    : home_(home),
      id_(id),
      events_(home.loop.ready()),
      deadline_(events_, event_deadline),
      input_(home.loop),
      peer_host_(std::move(peer_host)),
      peer_port_(peer_port),
      settings_(home.settings)
{
    const auto failure = client_.open(home.loop.source(), std::move(socket), events_,
                                      event_client_in, event_client_out);
    if (failure) client_is_gone_ = true;
}

client_session::~client_session()
{
    // A session that was cut short (the gate is closing) gives back what it holds all the same.
    if (has_key_) home_.services.cancels.remove(pid_);
    leave_queue();
    cancels_.clear();
    links_.clear();
    return_turn();
    unpin();
}

void client_session::start()
{
    root_ = run();
    root_.start();
}

task<> client_session::run()
{
    // An exception here is a bug or exhausted memory: it costs this session, not the process.
    try {
        work_ = home_.take_work();
        const bool is_in = !is_over() && co_await log_in();
        if (is_in) co_await serve();
        if (!is_in && deadline_has_passed_ && has_key_) log_late_login();
    } catch (const std::exception& failure) {
        log(config::message_level::error, "session ended by an internal error", failure.what());
        for (auto& link : links_) link->is_spoiled = true;
        home_.replies.clear();  // half an answer in it must never reach another client
        client_is_gone_ = true;
    }
    deadline_.disarm();
    if (!client_is_gone_) flush_client();
    if (settings_->log_disconnections && has_key_) log_end();
    client_.close();
    input_.consume(input_.size());
    output_.clear();
    if (has_key_) home_.services.cancels.remove(pid_);
    has_key_ = false;
    bool is_clean = true;
    try {
        if (!work_) work_ = home_.take_work();  // an exception took it away
        if (!is_ending_) share_links();
        co_await give_back_links();
    } catch (const std::exception&) {
        is_clean = false;
    }
    if (!is_clean) links_.clear();
    return_turn();
    home_.retire(id_);
}

/// Takes note of what has happened besides what the caller waits for. The client's bytes are taken
/// as far as there is room, so that a client that leaves is seen while its statement runs or waits.
void client_session::note(std::uint32_t events)
{
    if (events & event_end) is_ending_ = true;
    if (events & event_cancel) cancel_is_requested_ = true;
    if (events & event_deadline) deadline_has_passed_ = true;
    if (events & event_pause) pause_has_passed_ = true;
    if (events & event_client_in && !client_is_gone_) {
        // Once more after a read that came short only if the peer has closed: its end has no edge
        // of its own.
        while (client_.is_readable() && input_.has_room() && read_client(input_.size() + 1)) {
        }
        if (!input_.has_room() && client_.has_hung_up()) client_is_gone_ = true;
    }
}

/// Reads what the client has sent, up to `wanted` bytes in all or a buffer full. False: the client
/// is gone.
bool client_session::read_client(std::size_t wanted)
{
    if (!client_.is_readable() || client_is_gone_) return !client_is_gone_;
    const auto room = input_.prepare(wanted);
    const auto got = client_.read(room);
    if (got.has_error()) {
        client_is_gone_ = true;
        if (input_.is_empty()) input_.consume(0);
        return false;
    }
    input_.commit(*got);
    if (input_.is_empty()) input_.consume(0);
    return true;
}

/// Sends what is pending. False: the client is gone.
bool client_session::flush_client()
{
    if (output_.is_empty() || client_is_gone_) return !client_is_gone_;
    if (!client_.is_writable()) return true;
    const auto sent = client_.write(output_.bytes());
    if (sent.has_error()) {
        client_is_gone_ = true;
        output_.clear();
        return false;
    }
    output_.consume(*sent);
    return true;
}

void client_session::send_client(std::span<const std::byte> bytes)
{
    if (client_is_gone_ || bytes.empty()) return;
    if (!output_.is_empty()) {
        output_.append(bytes);
        return;
    }
    const auto sent = client_.is_writable() ? client_.write(bytes) : result<std::size_t>{0};
    if (sent.has_error()) {
        client_is_gone_ = true;
        return;
    }
    output_.append(bytes.subspan(*sent));
}

/// Sends what was built in the home's reply buffer.
void client_session::send_replies()
{
    send_client(home_.replies.bytes());
    home_.replies.clear();
}

void client_session::send_error(const protocol::pg_error& error)
{
    home_.replies.error_response(error);
    send_replies();
}

/// The last words to a client: the session ends after them.
void client_session::send_fatal(const protocol::pg_error& error)
{
    if (has_said_goodbye_) return;
    has_said_goodbye_ = true;
    auto fatal = error;
    fatal.severity = "FATAL";
    home_.replies.error_response(fatal);
    send_replies();
}

void client_session::log_end() const
{
    const auto length =
        std::chrono::duration_cast<std::chrono::milliseconds>(clock::now() - began_);
    const auto seconds = length.count() / 1000;
    log(config::message_level::log,
        fmt::format("frontend disconnection: session time: {}:{:02}:{:02}.{:03} user={} "
                    "database={} host={} port={}",
                    seconds / 3600, seconds / 60 % 60, seconds % 60, length.count() % 1000, user(),
                    database(), peer_host_, peer_port_));
}

void client_session::log(config::message_level level, std::string_view message,
                         std::string_view detail) const
{
    if (!runtime::log::enabled(level)) return;
    const runtime::log::origin from{.application = application_name().empty()
                                                       ? std::string_view{"[unknown]"}
                                                       : application_name(),
                                    .process_kind = "CHILD",
                                    .user = user(),
                                    .database = database()};
    runtime::log::write(level, from, {.message = message, .detail = detail});
}

}  // namespace pgtorii::core
