// Opening a link: connect, log in, and pass the server's challenge on to the client.

#include "core/client_session.hpp"

#include "protocol/message.hpp"
#include "protocol/server_messages.hpp"

#include <fmt/format.h>

namespace pgtorii::core {

using runtime::task;

namespace {

/// The longest time that a link may take from connect to ReadyForQuery beyond the connect itself.
constexpr std::chrono::seconds link_login_limit{60};
/// The longest message that a server may send during login.
constexpr std::size_t login_message_bytes_max = 1024 * 1024;

const ha::node_view* node_of(const ha::cluster_view& view, int id)
{
    if (id < 0 || static_cast<std::size_t>(id) >= view.nodes.size()) return nullptr;
    return &view.nodes[static_cast<std::size_t>(id)];
}

}  // namespace

/// Connects and logs in. `relays`: the server's challenge goes to the client and its answer back.
task<opening> client_session::open_link(server_link& link, bool relays)
{
    const auto* const node = node_of(*home_.view, link.node());
    if (!node || node->addresses.empty()) {
        opening failed;
        failed.error.message = "the host name does not resolve";
        co_return failed;
    }
    const bool was_waiting = node->status == ha::node_status::waiting;
    // While a client logs in, its own timer is running and is the shorter one.
    const bool uses_timer = !deadline_.is_armed();
    if (uses_timer && node->connect_timeout.count() > 0) {
        home_.loop.arm(deadline_, node->connect_timeout);
    }
    auto outcome = co_await connect_link(link);
    if (outcome.what == opening::outcome::ready) {
        if (uses_timer) home_.loop.arm(deadline_, link_login_limit);
        outcome = co_await start_link(link, relays);
    }
    if (uses_timer) {
        deadline_.disarm();
        if (deadline_has_passed_) {
            deadline_has_passed_ = false;
            outcome.what = opening::outcome::unreachable;
            outcome.error.message = "timeout";
        }
    }
    if (outcome.what == opening::outcome::ready && was_waiting) {
        home_.services.report_connected(link.node());
    }
    co_return outcome;
}

task<opening> client_session::connect_link(server_link& link)
{
    opening outcome;
    const auto* const node = node_of(*home_.view, link.node());
    const auto addresses = node->addresses;  // the view may change while we wait
    for (const auto& address : addresses) {
        bool is_connected = false;
        auto socket = connecting_socket(address, is_connected);
        if (!socket.is_open()) {
            outcome.error.message = error_code{errno, boost::system::system_category()}.message();
            continue;
        }
        link.transport.close();
        link.address = address;
        if (link.transport.open(home_.loop.source(), std::move(socket), events_, event_link_in,
                                event_link_out)) {
            continue;
        }
        if (!is_connected) {
            link.transport.want_connected();
            while (!link.transport.is_writable() && !is_over() && !deadline_has_passed_) {
                note(co_await events_);
                flush_client();
            }
        }
        if (is_over() || deadline_has_passed_) {
            outcome.what = opening::outcome::abandoned;
            co_return outcome;
        }
        if (const auto failure = link.transport.connect_outcome()) {
            outcome.error.message = failure.message();
            continue;
        }
        outcome.what = opening::outcome::ready;
        co_return outcome;
    }
    co_return outcome;
}

/// Sends the start-up message and takes the server's answers up to ReadyForQuery.
task<opening> client_session::start_link(server_link& link, bool relays)
{
    opening outcome;
    write_link(link, std::as_bytes(std::span{startup_packet_}));
    std::vector<std::byte> received;
    for (;;) {
        if (is_over() || deadline_has_passed_) {
            outcome.what = opening::outcome::abandoned;
            co_return outcome;
        }
        if (!flush_link(link)) co_return outcome;
        const auto scratch = home_.loop.scratch();
        const auto got = link.transport.read(scratch);
        if (got.has_error()) {
            outcome.error.message = "the server closed the connection unexpectedly";
            co_return outcome;
        }
        if (*got == 0) {
            note(co_await events_);
            flush_client();
            continue;
        }
        received.insert(received.end(), scratch.begin(),
                        scratch.begin() + static_cast<std::ptrdiff_t>(*got));
        std::size_t used = 0;
        while (const auto header = protocol::peek_header(std::span{received}.subspan(used))) {
            if (protocol::check_server_header(*header) ||
                header->total() > login_message_bytes_max) {
                outcome.error.message = "the server sent a malformed message";
                co_return outcome;
            }
            if (received.size() - used < header->total()) break;
            const auto whole = std::span<const std::byte>{received}.subspan(used, header->total());
            used += header->total();
            const auto next = on_login_message(link, header->type, whole, relays, outcome);
            if (next == login_step::fail) co_return outcome;
            if (next == login_step::ready) {
                // Nothing may follow ReadyForQuery that nobody has asked for.
                if (used != received.size()) outcome.what = opening::outcome::unreachable;
                co_return outcome;
            }
            const bool asks = next == login_step::relay || next == login_step::relay_only;
            if (asks && !co_await relay_challenge(link, whole, next == login_step::relay)) {
                outcome.what = opening::outcome::abandoned;
                co_return outcome;
            }
        }
        received.erase(received.begin(), received.begin() + static_cast<std::ptrdiff_t>(used));
    }
}

/// One message of a server during login. `fail`: `outcome` tells why.
client_session::login_step client_session::on_login_message(server_link& link, char type,
                                                            std::span<const std::byte> whole,
                                                            bool relays, opening& outcome)
{
    const auto body = whole.subspan(protocol::frame_header::size);
    switch (type) {
    case 'R': return on_challenge(link, body, relays, outcome);
    case 'S':
        if (const auto told = protocol::read_parameter_status(body)) {
            link.parameters.emplace_back(told->name, told->value);
        }
        return login_step::go_on;
    case 'K':
        if (const auto key = protocol::read_backend_key_data(body)) {
            link.backend_pid = key->pid;
            link.cancel_secret.assign(key->secret.begin(), key->secret.end());
        }
        return login_step::go_on;
    case 'N':
        if (relays) send_client(whole);
        return login_step::go_on;
    case 'E':
        outcome.what = opening::outcome::refused;
        outcome.error = protocol::read_error(body).to_error();
        return login_step::fail;
    case 'Z':
        if (!link.is_authenticated) break;
        link.status = 'I';
        link.is_message_cut = false;
        outcome.what = opening::outcome::ready;
        return login_step::ready;
    default: break;
    }
    outcome.error.message = "the server sent an unexpected message during login";
    return login_step::fail;
}

client_session::login_step client_session::on_challenge(server_link& link,
                                                        std::span<const std::byte> body,
                                                        bool relays, opening& outcome)
{
    const auto asked = protocol::read_authentication(body);
    if (!asked) return login_step::fail;
    using code = protocol::authentication_code;
    if (asked->is(code::ok)) {
        link.is_authenticated = true;  // our welcome has an AuthenticationOk of its own
        return login_step::go_on;
    }
    outcome.what = opening::outcome::challenged;
    if (!relays) {
        outcome.error = {.sqlstate = "28000",
                         .message =
                             fmt::format("server {} asks user \"{}\" for a password, which is "
                                         "not at hand",
                                         link.node(), user_)};
        return login_step::fail;
    }
    // Others need what a relay can't give.
    const bool is_sasl = asked->is(code::sasl) || asked->is(code::sasl_continue);
    if (!asked->is(code::cleartext_password) && !asked->is(code::md5_password) && !is_sasl &&
        !asked->is(code::sasl_final)) {
        outcome.error = {.sqlstate = "28000",
                         .message =
                             fmt::format("authentication method {} requested by server {} can't "
                                         "be passed through",
                                         asked->code, link.node())};
        return login_step::fail;
    }
    outcome.what = opening::outcome::unreachable;
    link.was_challenged = true;
    return asked->is(code::sasl_final) ? login_step::relay_only : login_step::relay;
}

}  // namespace pgtorii::core
