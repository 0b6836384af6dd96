// What ends a session whose client is silent: its limits, the wait, and the last words.

#include "core/session_limits.hpp"

#include "core/client_session.hpp"

#include <fmt/format.h>

#include <utility>

namespace pgtorii::core {

idle_limit idle_limit_of(const config::settings& settings, bool in_transaction)
{
    const auto client = settings.client_idle_limit;
    const auto transaction =
        in_transaction ? settings.idle_in_transaction_timeout : std::chrono::seconds{0};
    const bool has_client = client.count() > 0;
    const bool has_transaction = transaction.count() > 0;
    if (has_transaction && (!has_client || transaction <= client)) {
        return {idle_limit::kind::transaction, transaction};
    }
    if (has_client) return {idle_limit::kind::client, client};
    return {};
}

protocol::pg_error idle_limit_error(const idle_limit& limit)
{
    if (limit.what == idle_limit::kind::transaction) {
        return {.severity = "FATAL",
                .sqlstate = "25P03",
                .message = "terminating connection due to idle-in-transaction timeout"};
    }
    return {.severity = "FATAL",
            .sqlstate = "57000",
            .message = "unable to read data",
            .detail = fmt::format("child connection forced to terminate due to "
                                  "client_idle_limit:{} is reached",
                                  limit.length.count())};
}

error_code check_message_size(protocol::frame_header header, std::int64_t length_max)
{
    if (!protocol::is_possible(protocol::client_lengths, header))
        return protocol::check_client_header(header);
    if (header.length > length_max) return protocol::errc::length_too_big;
    return {};
}

bool has_other_idle_limits(const config::settings& before, const config::settings& after)
{
    return before.client_idle_limit != after.client_idle_limit ||
           before.idle_in_transaction_timeout != after.idle_in_transaction_timeout;
}

/// In the middle of a unit everything has been answered, and what comes next is the client's.
/// COPY data is not waited for with a limit, as Pgpool-II does not.
bool client_session::is_unit_waiting(const server_link& link) const
{
    return is_open_ended_ && stream_bytes_ == 0 && link.ledger.is_settled() &&
           !link.ledger.is_copying_in() && link.output.is_empty();
}

idle_limit client_session::limit_of_idle() const
{
    return idle_limit_of(*settings_, status() != 'I' || is_in_unit_);
}

/// Before a wait for the client's next message. A client that has not taken its replies yet is
/// slow, not idle.
void client_session::begin_idle()
{
    if (is_idle() || !output_.is_empty()) return;
    idle_since_ = home_.loop.now();
    const auto limit = limit_of_idle();
    if (limit.what != idle_limit::kind::none) home_.loop.arm(deadline_, limit.length);
}

/// The client has said something.
void client_session::end_idle()
{
    if (!is_idle()) return;
    idle_since_ = {};
    deadline_.disarm();
    deadline_has_passed_ = false;
}

/// What a wait of an idle session has brought. Each byte of the client starts its time anew, since
/// a long message may come slowly.
void client_session::note_idle(std::uint32_t events)
{
    if (events & event_client_in) end_idle();
    if (events & event_limits && is_idle()) {
        end_idle();
        take_settings();
    }
}

/// The client has been silent for longer than it may: it is told, and the session is to end.
bool client_session::has_idled_too_long()
{
    if (!is_idle() || !deadline_has_passed_) return false;
    const auto told = idle_limit_error(limit_of_idle());
    log(config::message_level::log, told.message, told.detail);
    // In the middle of a message (a notification that came in part) nothing else can be said.
    if (!is_message_under_way()) send_fatal(told);
    return true;
}

/// The client is told by whoever waited for it. PostgreSQL logs this as an error of the client's.
void client_session::log_late_login() const
{
    log(config::message_level::log, "canceling authentication due to timeout",
        fmt::format("login from host={} port={}", peer_host_, peer_port_));
}

/// A message that may not come, or not now, or is longer than it may be: where the next one begins
/// can't be known.
void client_session::refuse_message(protocol::frame_header header)
{
    const auto wrong = check_message(header);
    const bool has_bad_length = wrong && wrong != protocol::errc::unknown_message_type;
    const auto type = static_cast<int>(static_cast<unsigned char>(header.type));
    send_fatal({.sqlstate = "08P01",
                .message = has_bad_length ? std::string{"invalid message length"}
                                          : fmt::format("invalid frontend message type {}", type)});
}

}  // namespace pgtorii::core
