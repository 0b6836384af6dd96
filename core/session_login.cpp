// A client's start-up: what it asks for, who lets it in, and the welcome.

#include "core/client_session.hpp"

#include "core/base/always_assert.hpp"
#include "protocol/message.hpp"
#include "protocol/server_messages.hpp"

#include <fmt/format.h>

namespace pgtorii::core {

using runtime::task;

namespace {

/// A login waits so long for a primary before it tries the main node.
constexpr std::chrono::seconds primary_wait_limit{5};
/// And so long in all, when authentication_timeout is longer.
constexpr std::chrono::seconds login_wait_limit{30};

protocol::pg_error no_server_error()
{
    return {.severity = "FATAL",
            .sqlstate = "57P03",
            .message = "pgpool is not accepting any new connections",
            .detail = "all backend nodes are down, pgpool requires at least one valid node",
            .hint = "repair the backend nodes and restart pgpool"};
}

}  // namespace

/// Everything up to the first ReadyForQuery. False: the session is over.
task<bool> client_session::log_in()
{
    // One timer for all of it: the start-up packet, the wait for a server, the password.
    if (settings_->authentication_timeout.count() > 0) {
        home_.loop.arm(deadline_, settings_->authentication_timeout);
    }
    protocol::startup_result asked;
    if (!co_await read_startup(asked)) co_return false;

    const auto packet = protocol::startup_packet(asked.user, asked.database, asked.parameters);
    pool_ = home_.services.pool.find(packet, asked.user, asked.database);
    for (const auto& [name, value] : asked.parameters) note_parameter(name, value);
    if (settings_->log_connections) {
        log(config::message_level::log, "new connection received",
            fmt::format("connecting host={} port={}", peer_host_, peer_port_));
    }
    if (asked.is_replication()) {
        send_fatal({.sqlstate = "0A000",
                    .message = "replication connections are not supported",
                    .hint = "Connect to the server itself for replication."});
        co_return false;
    }
    mode_ = config::pool_mode_of(*settings_, user(), database());

    const auto key =
        home_.services.cancels.add({home_.loop.index(), id_}, asked.cancel_secret_bytes());
    pid_ = key.pid;
    has_key_ = true;
    if (const auto known = home_.services.pool.welcome_of(*pool_)) {
        send_welcome(*known, key);
    } else if (!co_await log_in_at_server(key)) {
        co_return false;
    }
    deadline_.disarm();
    deadline_has_passed_ = false;
    is_logged_in_ = !is_over();
    co_return is_logged_in_;
}

/// Reads until the client has said what it wants. SSLRequest and GSSENCRequest are refused with
/// 'N', once each.
task<bool> client_session::read_startup(protocol::startup_result& asked)
{
    protocol::startup_parser parser;
    for (;;) {
        const auto packet = parser.parse(input_.bytes());
        using kind = protocol::startup_result::kind;
        switch (packet.what) {
        case kind::need_more:
            flush_client();
            if (deadline_has_passed_ || is_over()) co_return false;  // silently, as PostgreSQL
            note(co_await events_);
            continue;
        case kind::ssl_request:
        case kind::gssenc_request: {
            input_.consume(packet.consumed);
            constexpr std::byte no{'N'};
            send_client({&no, 1});
            continue;
        }
        case kind::cancel_request:
            serve_cancel_request(packet.cancel_secret, packet.cancel_pid);
            co_return false;
        case kind::direct_tls: co_return false;
        case kind::refused:
            log(config::message_level::log, packet.error.message,
                fmt::format("start-up packet from host={} port={}", peer_host_, peer_port_));
            if (packet.is_before_v3) {
                home_.replies.error_response_before_v3(packet.error);
                send_replies();
            } else {
                send_fatal(packet.error);
            }
            co_return false;
        case kind::startup_message:
            input_.consume(packet.consumed);
            asked = packet;
            if (asked.needs_negotiation()) {
                home_.replies.negotiate_protocol_version(asked.minor_served(), asked.negotiated);
                send_replies();
            }
            co_return true;
        }
    }
}

/// A cancel request has no answer: the connection just ends. It reaches the session that was given
/// this key, if any.
void client_session::serve_cancel_request(std::span<const std::byte> secret, std::uint32_t pid)
{
    if (settings_->log_client_messages) {
        log(config::message_level::log, "Cancel message from frontend.",
            fmt::format("process id: {}", pid));
    }
    const auto place = home_.services.cancels.find(pid, secret);
    if (!place) {
        log(config::message_level::log, "invalid cancel key");
        return;
    }
    home_.services.run_on(place->worker, [session = place->session](session_home& there) {
        if (auto* const found = there.find(session)) found->request_cancel();
    });
}

/// Opens a link with the client's start-up message and lets the server decide: what it asks, the
/// client answers.
///
/// A server that asks for nothing has let this user in: the link goes to the pool, and its welcome
/// serves later logins while the pool lives. A server that asks proves the client once, to itself:
/// that link is the session's own to its end.
task<bool> client_session::log_in_at_server(const cancel_key& key)
{
    const auto turn = co_await take_turn(false);
    if (turn != turn_outcome::taken) {
        if (turn == turn_outcome::refused) {
            send_fatal({.sqlstate = "53300", .message = "sorry, too many clients already"});
        } else if (!is_over() && deadline_has_passed_) {
            send_fatal({.sqlstate = "57014", .message = "canceling authentication due to timeout"});
        }
        co_return false;
    }
    if (!co_await open_login_link()) co_return false;
    auto& opened = *links_.back();
    auto told = std::make_shared<welcome>(welcome{opened.parameters});
    send_welcome(*told, key);
    is_exclusive_ = opened.was_challenged;
    if (!is_exclusive_) {
        home_.services.pool.set_welcome(*pool_, std::move(told));
        // The link is leased at the first statement, by whoever comes first.
        if (settings_->connection_cache) {
            has_turn_ = false;
            home_.services.pool.return_turn(*pool_, home_.loop.index(), std::exchange(links_, {}),
                                            home_.loop.now());
        }
    }
    if (!links_.empty()) links_.back()->note_leased(home_.loop.now());
    co_return !is_over();
}

/// The link of a login, to the primary; right after the start, and while a failover is under way,
/// that is waited for. Without a primary the main node lets clients in, who can read there. False:
/// the client has been told.
task<bool> client_session::open_login_link()
{
    const auto give_up = home_.loop.now() + login_wait_limit;
    for (;;) {
        const bool has_primary =
            co_await wait_for_primary(std::min(give_up, home_.loop.now() + primary_wait_limit));
        if (is_over()) co_return false;
        const int node = has_primary ? home_.view->primary : home_.view->main_node();
        opening outcome;
        if (node >= 0) {
            auto made = home_.services.pool.make(pool_, node);
            if (!made) {
                send_fatal(no_room_error(node));
                co_return false;
            }
            links_.push_back(std::move(made));
            outcome = co_await open_link(*links_.back(), true);
            if (outcome.what == opening::outcome::ready) co_return true;
            drop_link(*links_.back());
        }
        if (is_over()) co_return false;
        if (deadline_has_passed_) {
            send_fatal({.sqlstate = "57014", .message = "canceling authentication due to timeout"});
            co_return false;
        }
        if (outcome.what == opening::outcome::challenged ||
            outcome.what == opening::outcome::refused) {
            log(config::message_level::log, outcome.error.message,
                fmt::format("login from host={} port={}", peer_host_, peer_port_));
            send_fatal(outcome.error);
            co_return false;
        }
        if (node >= 0) avoid(node);
        if (home_.loop.now() < give_up && outcome.what == opening::outcome::unreachable) continue;
        send_fatal(node < 0
                       ? no_server_error()
                       : protocol::pg_error{.sqlstate = "57P03",
                                            .message = fmt::format(
                                                "failed to create a backend {} connection", node),
                                            .detail = outcome.error.message});
        co_return false;
    }
}

/// AuthenticationOk (unless the server's own was relayed), ParameterStatus, the session's cancel
/// key, ReadyForQuery.
void client_session::send_welcome(const welcome& told, const cancel_key& key)
{
    home_.replies.authentication_ok();
    for (const auto& [name, value] : told.parameters) {
        home_.replies.parameter_status(name, value);
        note_parameter(name, value);
    }
    home_.replies.backend_key_data(key.pid, key.secret);
    home_.replies.ready_for_query('I');
    send_replies();
}

/// Passes a challenge of the server on, and the client's answer back. False: the login is over.
task<bool> client_session::relay_challenge(server_link& link, std::span<const std::byte> challenge,
                                           bool wants_answer)
{
    send_client(challenge);
    if (!wants_answer) co_return true;
    for (;;) {
        const auto present = input_.bytes();
        const auto header = protocol::peek_header(present);
        if (header) {
            if (header->type != 'p') {
                send_fatal({.sqlstate = "08P01",
                            .message = fmt::format(
                                "expected password response, got message type {}",
                                static_cast<int>(static_cast<unsigned char>(header->type)))});
                co_return false;
            }
            if (protocol::check_client_header(*header)) {
                send_fatal({.sqlstate = "08P01", .message = "invalid message length"});
                co_return false;
            }
            if (present.size() >= header->total()) {
                write_link(link, present.first(header->total()));
                input_.consume(header->total());
                co_return true;
            }
        }
        const auto wanted = header ? header->total() : present.size() + 1;
        if (client_.is_readable() && read_client(wanted) && input_.size() > present.size())
            continue;
        flush_client();
        if (is_over() || deadline_has_passed_) co_return false;
        note(co_await events_);
    }
}

}  // namespace pgtorii::core
