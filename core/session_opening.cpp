// Opening a link: connect, log in, and pass the server's challenge on to the client.

#include "core/client_session.hpp"

#include "core/link_login.hpp"

namespace pgtorii::core {

using runtime::task;

namespace {

/// The longest time that a link may take from connect to ReadyForQuery beyond the connect itself.
constexpr std::chrono::seconds link_login_limit{60};

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
        link.connected_at = home_.loop.now();
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
    write_link(link, std::as_bytes(std::span{pool_->key}));
    link_login login{link, user(), relays};
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
        login.feed(scratch.first(*got));
        using step = link_login::step;
        for (auto next = login.next(); next != step::need_more; next = login.next()) {
            if (next == step::ready || next == step::failed) co_return login.outcome();
            if (next == step::notice) {
                if (relays) send_client(login.message());
                continue;
            }
            if (!co_await relay_challenge(link, login.message(), next == step::ask)) {
                outcome.what = opening::outcome::abandoned;
                co_return outcome;
            }
        }
    }
}

}  // namespace pgtorii::core
