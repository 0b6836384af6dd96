// A session's links: taking its turn, opening, bringing state, joining a transaction, giving back.

#include "core/client_session.hpp"

#include "core/base/always_assert.hpp"
#include "protocol/message.hpp"
#include "protocol/server_messages.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace pgtorii::core {

using runtime::task;

namespace {

/// The longest time that a link may take from connect to ReadyForQuery beyond the connect itself.
constexpr std::chrono::seconds link_login_limit{60};
/// The longest wait for a primary: a failover that takes longer is told to the client.
constexpr std::chrono::seconds primary_wait_limit{30};
/// How soon a primary that refused a connection is tried again.
constexpr std::chrono::seconds primary_retry_pause{1};
/// The longest time for reset queries at the end of a session.
constexpr std::chrono::seconds reset_limit{10};
/// A client that has gone may cost this much of reading before its statement is cancelled.
constexpr std::size_t drained_bytes_max = 256 * 1024;

const ha::node_view* node_of(const ha::cluster_view& view, int id)
{
    if (id < 0 || static_cast<std::size_t>(id) >= view.nodes.size()) return nullptr;
    return &view.nodes[static_cast<std::size_t>(id)];
}

/// PostgreSQL's commands that would be blocked by an idle connection to these.
bool is_template(const std::string& database)
{
    return database == "template0" || database == "template1";
}

}  // namespace

server_link* client_session::link_to(int node)
{
    for (const auto& link : links_) {
        if (link->node() == node) return link.get();
    }
    return nullptr;
}

/// The node that the session's writes go to. Inside a transaction the one that has it, whatever the
/// view says since.
int client_session::main_node() const
{
    if (is_exclusive_) return links_.empty() ? -1 : links_.front()->node();
    return transaction_status_ == 'I' ? home_.view->primary : transaction_node_;
}

server_link* client_session::primary_link()
{
    return link_to(main_node());
}

/// The link to `node` when nothing at all has to be done before the unit can go there. The way of
/// almost every query.
server_link* client_session::ready_link(int node)
{
    auto* const link = link_to(node);
    if (!link || !link->ledger.is_idle() || link->cancels_under_way > 0) return nullptr;
    if (!is_exclusive_ && link->settings_version != settings_record_.version()) {
        // The one that ran the SET has it already; on_ready keeps its version current.
        return nullptr;
    }
    const bool joins = transaction_status_ != 'I' && link != primary_link();
    if (joins && !link->in_shared_transaction) return nullptr;
    return link;
}

/// Makes the link of `way` ready, whatever it takes. A reader that can't be had makes way for the
/// primary. Null: the unit can't be served; the client has been told (or is gone).
task<server_link*> client_session::prepare(route& way)
{
    if (!co_await take_turn(true)) {
        tell_not_served({.sqlstate = "53300",
                         .message = "sorry, too many clients already",
                         .detail = fmt::format("No server connection became free within {} s.",
                                               settings_->query_wait_timeout.count())});
        co_return nullptr;
    }
    const auto give_up = home_.loop.now() + primary_wait_limit;
    while (!is_over()) {
        if (way.node < 0 && !co_await wait_for_primary(give_up)) {
            tell_not_served({.sqlstate = "57P03", .message = "no primary server is available"});
            co_return nullptr;
        }
        if (way.node < 0) way.node = main_node();
        auto* link = link_to(way.node);
        if (!link) {
            const auto outcome = co_await obtain_link(way.node);
            link = link_to(way.node);
            if (outcome.what != opening::outcome::ready) {
                if (!give_way(way, outcome)) co_return nullptr;
                continue;
            }
        }
        const auto state = co_await bring_state(*link);
        if (state == readiness_of_link::ready) co_return link;
        if (is_over()) co_return nullptr;
        if (state == readiness_of_link::not_shareable) {
            // The server is sound, only this transaction can't be shared.
            transaction_shareable_ = false;
            way = resolve({routing::target::primary, routing::reason::transaction_isolation});
            continue;
        }
        // A prelude that fails is never shown as the client's error: the link goes, and the primary
        // serves.
        opening failed;
        failed.error = {.sqlstate = "08006",
                        .message = fmt::format("connection to server {} was lost", way.node)};
        drop_link(*link);
        if (!give_way(way, failed)) co_return nullptr;
    }
    co_return nullptr;
}

/// Why a unit that waited is not served: the client has cancelled it, or `otherwise`.
void client_session::tell_not_served(const protocol::pg_error& otherwise)
{
    if (is_over()) return;
    const bool is_cancelled = std::exchange(cancel_is_requested_, false);
    const protocol::pg_error cancelled{.sqlstate = "57014",
                                       .message = "canceling statement due to user request"};
    send_error(is_cancelled ? cancelled : otherwise);
}

/// A link to a node that the session has none to: a parked one, or a new one.
task<opening> client_session::obtain_link(int node)
{
    opening outcome;
    if (auto parked = home_.services.pool.take(*pool_, node)) {
        auto& link = *parked;
        links_.push_back(std::move(parked));
        if (!link.transport.open(home_.loop.source(), link.unpark(), events_, event_link_in,
                                 event_link_out)) {
            outcome.what = opening::outcome::ready;
        }
        co_return outcome;
    }
    links_.push_back(home_.services.pool.make(pool_, node));
    auto& link = *links_.back();
    outcome = co_await open_link(link, false);
    if (outcome.what == opening::outcome::ready) co_return outcome;
    drop_link(link);
    if (outcome.what == opening::outcome::unreachable) home_.services.report_trouble(node);
    if (outcome.what != opening::outcome::abandoned) {
        log(config::message_level::warning,
            fmt::format("failed to create a backend {} connection", node), outcome.error.message);
    }
    co_return outcome;
}

/// The link of `way` can't be had. Finds another way: false when there is none, and the client has
/// been told.
bool client_session::give_way(route& way, const opening& outcome)
{
    if (is_over()) return false;
    const bool is_reader = way.node != main_node();
    const bool has_transaction = transaction_status_ != 'I';
    if (is_reader || !has_transaction) {
        if (avoided_epoch_ != home_.view->epoch) avoided_nodes_.clear();
        avoided_epoch_ = home_.view->epoch;
        avoided_nodes_.push_back(way.node);
    }
    if (is_reader) {
        way = resolve({routing::target::primary, routing::reason::no_standby});
        return true;
    }
    auto told = outcome.error;
    if (told.message.empty()) {
        told = {.sqlstate = "08006",
                .message = fmt::format("failed to create a backend {} connection", way.node)};
    }
    if (has_transaction || is_exclusive_) {
        // What the transaction had done went with its link.
        send_fatal(told);
        is_ending_ = true;
        return false;
    }
    if (outcome.what == opening::outcome::unreachable) {
        way.node = -1;  // until the control plane has seen it too, and perhaps found another
        return true;
    }
    told.severity = "ERROR";
    send_error(told);
    return false;
}

/// Makes a link fit for the session's next unit: what is under way there ends, settings and
/// transaction are brought.
task<client_session::readiness_of_link> client_session::bring_state(server_link& link)
{
    // What is under way there is ours: the end of a transaction, a cancel request.
    while (!link.ledger.is_idle() || link.cancels_under_way > 0) {
        is_own_work_ = true;
        const bool goes_on = pump(link);
        is_own_work_ = false;
        if (!goes_on || is_over()) co_return readiness_of_link::lost;
        if (link.ledger.is_idle() && link.cancels_under_way == 0) break;
        note(co_await events_);
    }
    if (!is_exclusive_ && link.settings_version != settings_record_.version() &&
        !co_await bring_settings(link)) {
        co_return readiness_of_link::lost;
    }
    const bool joins = transaction_status_ != 'I' && link.node() != main_node();
    if (!joins || link.in_shared_transaction || co_await join_transaction(link))
        co_return readiness_of_link::ready;
    co_return link.is_spoiled || !link.ledger.is_idle() ? readiness_of_link::lost
                                                        : readiness_of_link::not_shareable;
}

/// Waits first-in-first-out for the right to hold links. False: cancelled, late, or the session is
/// over.
task<bool> client_session::take_turn(bool may_tell)
{
    if (has_turn_) co_return true;
    auto& pool = home_.services.pool;
    if (pool.take_turn(waiting_)) {
        has_turn_ = true;
        co_return true;
    }
    if (may_tell) {
        home_.replies.notice_response(
            {.severity = "NOTICE",
             .sqlstate = "53300",
             .message = "waiting for a server connection",
             .detail = fmt::format(
                 "All {} server connections are in use, and {} clients are before this one.",
                 pool.link_count_max(), pool.count_ahead_of(waiting_)),
             .hint = "num_init_children * max_pool bounds the connections to a server."});
        send_replies();
        if (settings_->query_wait_timeout.count() > 0) {
            home_.loop.arm(deadline_, settings_->query_wait_timeout);
        }
    }
    bool is_granted = false;
    while (!is_granted && !is_over() && !cancel_is_requested_ && !deadline_has_passed_) {
        const auto events = co_await events_;
        if (events & event_turn) is_granted = true;
        note(events);
        flush_client();
    }
    if (may_tell) deadline_.disarm();
    if (may_tell && is_granted) deadline_has_passed_ = false;
    if (is_granted) {
        has_turn_ = true;
        // A client that left in the same moment: the session ends, and the turn goes on to the
        // next.
        co_return !is_over();
    }
    if (!pool.leave_queue(waiting_)) {
        has_turn_ = true;  // granted meanwhile: kept for the next statement, or returned at the end
    }
    if (may_tell) deadline_has_passed_ = false;
    co_return false;
}

/// Waits until the view has a primary that this session has not just found unreachable, or (since
/// one refused connect is no verdict) a second has passed since. False: not by `until`.
task<bool> client_session::wait_for_primary(clock::time_point until)
{
    bool is_found = false;
    waits_for_view_ = true;
    while (!is_over() && !cancel_is_requested_ && !deadline_has_passed_) {
        const auto node = home_.view->primary;
        const bool is_avoided = avoided_epoch_ == home_.view->epoch &&
                                std::ranges::find(avoided_nodes_, node) != avoided_nodes_.end();
        is_found = node >= 0 && !is_avoided;
        if (is_found || home_.loop.now() >= until) break;
        if (!pause_.is_armed()) home_.loop.arm(pause_, primary_retry_pause);
        note(co_await events_);
        flush_client();
        if (std::exchange(pause_has_passed_, false)) avoided_nodes_.clear();
    }
    waits_for_view_ = false;
    pause_.disarm();
    pause_has_passed_ = false;
    co_return is_found;
}

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
            if (header->length < 4 || header->total() > 1024 * 1024) {
                outcome.error.message = "the server sent a malformed message";
                co_return outcome;
            }
            if (received.size() - used < header->total()) break;
            const auto whole = std::span<const std::byte>{received}.subspan(used, header->total());
            const auto body = whole.subspan(5);
            used += header->total();
            switch (header->type) {
            case 'R': {
                const auto asked = protocol::read_authentication(body);
                if (!asked) co_return outcome;
                if (asked->code == 0) break;  // our welcome has one
                if (!relays) {
                    outcome.what = opening::outcome::challenged;
                    outcome.error = {.sqlstate = "28000",
                                     .message = fmt::format(
                                         "server {} asks user \"{}\" for a password, which is not "
                                         "at hand",
                                         link.node(), user_)};
                    co_return outcome;
                }
                // 3: clear text, 5: md5, 10 to 12: SASL. Others need what a relay can't give.
                const bool is_known = asked->code == 3 || asked->code == 5 ||
                                      (asked->code >= 10 && asked->code <= 12);
                if (!is_known) {
                    outcome.what = opening::outcome::challenged;
                    outcome.error = {.sqlstate = "28000",
                                     .message = fmt::format(
                                         "authentication method {} requested by server {} can't be "
                                         "passed through",
                                         asked->code, link.node())};
                    co_return outcome;
                }
                link.was_challenged = true;
                if (!co_await relay_challenge(link, whole, asked->code != 12)) {
                    outcome.what = opening::outcome::abandoned;
                    co_return outcome;
                }
                break;
            }
            case 'S':
                if (const auto told = protocol::read_parameter_status(body)) {
                    link.parameters.emplace_back(told->name, told->value);
                }
                break;
            case 'K':
                if (const auto key = protocol::read_backend_key_data(body)) {
                    link.backend_pid = key->pid;
                    link.cancel_secret.assign(key->secret.begin(), key->secret.end());
                }
                break;
            case 'N':
                if (relays) send_client(whole);
                break;
            case 'E':
                outcome.what = opening::outcome::refused;
                outcome.error = protocol::read_error(body).to_error();
                co_return outcome;
            case 'Z':
                if (used != received.size()) co_return outcome;
                link.status = 'I';
                link.is_message_cut = false;
                outcome.what = opening::outcome::ready;
                co_return outcome;
            default:
                outcome.error.message = "the server sent an unexpected message during login";
                co_return outcome;
            }
        }
        received.erase(received.begin(), received.begin() + static_cast<std::ptrdiff_t>(used));
    }
}

/// Runs a query of ours on an idle link and waits for its end. False: it failed, or the link is
/// lost.
task<bool> client_session::run_own(server_link& link, std::string_view sql)
{
    home_.replies.query(sql);
    write_link(link, home_.replies.bytes());
    home_.replies.clear();
    link.ledger.expect(protocol::expected_kind::query, own_tag, true);
    own_work_failed_ = false;
    own_work_value_.clear();
    is_own_work_ = true;
    bool goes_on = true;
    while (goes_on) {
        goes_on = pump(link);
        if (!goes_on || link.ledger.is_idle()) break;
        is_own_work_ = false;
        note(co_await events_);
        is_own_work_ = true;
        const bool is_late = is_giving_back_ ? deadline_has_passed_ : client_is_gone_;
        if (is_ending_ || is_late) goes_on = false;
    }
    is_own_work_ = false;
    if (!goes_on) link.is_spoiled = true;
    co_return goes_on && !own_work_failed_;
}

/// Brings the session's settings to a link, awaited to the end before anything of the client may
/// follow.
task<bool> client_session::bring_settings(server_link& link)
{
    const auto wanted = settings_record_.version();
    for (const auto& statement : settings_record_.statements_after(link.settings_version)) {
        if (!co_await run_own(link, statement)) co_return false;
        if (statement == "DISCARD ALL") link.statements.clear();
    }
    link.settings_version = wanted;
    link.reads_committed = false;
    co_return true;
}

/// A reader joins the session's transaction: BEGIN there, if its isolation is the one under which
/// two servers may share a transaction.
task<bool> client_session::join_transaction(server_link& link)
{
    if (!link.reads_committed) {
        if (!co_await run_own(link, "SHOW default_transaction_isolation")) co_return false;
        if (own_work_value_ != "read committed") co_return false;
        link.reads_committed = true;
    }
    if (!co_await run_own(link, "BEGIN")) co_return false;
    link.in_shared_transaction = link.status == 'T';
    co_return link.in_shared_transaction;
}

/// Fails the primary's part of the transaction, after a reader's part has failed: then the primary
/// itself refuses what follows and answers COMMIT with ROLLBACK, and nothing is committed that the
/// client was told has failed.
task<bool> client_session::fail_transaction()
{
    auto* const primary = primary_link();
    if (!primary) co_return true;
    // An ordinary mistake with an ordinary error: no side effect, and it tells the reader of the
    // server's log why.
    co_await run_own(*primary, "ROLLBACK TO SAVEPOINT \"pgtorii: a read on a standby has failed\"");
    co_return primary->transport.is_open() && primary->status == 'E';
}

/// The transaction has ended on the primary; a reader's part ends without anybody waiting for it.
void client_session::leave_shared_transaction(server_link& link, bool commits)
{
    link.in_shared_transaction = false;
    home_.replies.query(commits ? "COMMIT" : "ROLLBACK");
    const std::string message{reinterpret_cast<const char*>(home_.replies.bytes().data()),
                              home_.replies.bytes().size()};
    home_.replies.clear();
    write_link(link, std::as_bytes(std::span{message}));
    link.ledger.expect(protocol::expected_kind::query, own_tag, true);
}

void client_session::send_cancel(server_link& link)
{
    if (link.backend_pid == 0 || link.ledger.is_idle()) return;
    home_.replies.cancel_request(link.backend_pid, link.cancel_secret);
    std::string request{reinterpret_cast<const char*>(home_.replies.bytes().data()),
                        home_.replies.bytes().size()};
    home_.replies.clear();
    ++link.cancels_under_way;
    // Found again by its node: the link may be gone by the time the request is through.
    auto done = [this, node = link.node(), pid = link.backend_pid] {
        if (auto* const there = link_to(node); there && there->backend_pid == pid)
            --there->cancels_under_way;
        events_.raise(event_cancel_sent);
        home_.loop.defer([&home = home_, session = id_] {
            if (auto* const found = home.find(session)) {
                std::erase_if(found->cancels_, [](const auto& each) { return each->is_done(); });
            }
        });
    };
    cancels_.push_back(std::make_unique<cancel_sender>(home_.loop, link.address, std::move(request),
                                                       std::move(done)));
    cancels_.back()->start();
}

void client_session::drop_link(server_link& link)
{
    lost_error_ = {};
    std::erase_if(links_, [&link](const auto& each) { return each.get() == &link; });
}

/// Reads a link that the client has left in the middle of something, until it owes nothing.
task<> client_session::drain(server_link& link)
{
    // A message that was cut can't be ended. An extended unit without its Sync could: but a Sync
    // would commit what the client has not asked to be committed, where the server rolls back when
    // the connection closes.
    bool goes_on = link.transport.is_open() && stream_bytes_ == 0 && !link.ledger.awaits_sync();
    is_open_ended_ = false;
    bool has_ended_copy = false;
    is_own_work_ = true;
    while (goes_on && (!link.ledger.is_idle() || link.cancels_under_way > 0) && !is_ending_) {
        // The server may ask for COPY data only now.
        if (link.ledger.is_copying_in() && !std::exchange(has_ended_copy, true)) {
            home_.replies.copy_fail("the client has gone");
            link.ledger.copy_ended();
            write_link(link, home_.replies.bytes());
            home_.replies.clear();
        }
        goes_on = pump(link) && !link.ledger.awaits_sync();
        // Rows for a client that has gone: without us the server would notice now, at its next
        // write.
        if (drained_bytes_ > drained_bytes_max && link.cancels_under_way == 0) {
            drained_bytes_ = 0;
            send_cancel(link);
        }
        if (!goes_on || (link.ledger.is_idle() && link.cancels_under_way == 0)) break;
        if (link.ledger.is_copying_in() && !has_ended_copy) continue;
        is_own_work_ = false;
        note(co_await events_);
        is_own_work_ = true;
        if (deadline_has_passed_) goes_on = false;
    }
    is_own_work_ = false;
    if (!goes_on || !link.ledger.is_idle()) link.is_spoiled = true;
}

/// The end of the session: each link is reset and parked, or closed when that can't be.
task<> client_session::give_back_links()
{
    is_giving_back_ = true;
    for (std::size_t i = 0; i < links_.size();) {
        auto& link = *links_[i];
        const bool is_reader_at_work = !link.ledger.is_idle() && unit_is_read_;
        deadline_has_passed_ = false;
        if (is_reader_at_work) {
            // Nobody wants its rows. A write runs to its end, as without us.
            send_cancel(link);
            home_.loop.arm(deadline_, reset_limit);
        }
        co_await drain(link);
        deadline_.disarm();
        const bool is_wanted =
            settings_->connection_cache && !link.was_challenged && !is_template(database_);
        bool is_clean = is_wanted && !link.is_spoiled && !is_ending_ && link.transport.is_open();
        if (is_clean) {
            home_.loop.arm(deadline_, reset_limit);
            deadline_has_passed_ = false;
            for (const auto& statement : settings_->reset_query_list) {
                const bool is_abort = statement == "ABORT" || statement == "abort";
                if (is_abort && link.status == 'I') continue;
                if (!is_clean) break;
                is_clean = co_await run_own(link, statement) && !deadline_has_passed_;
            }
            deadline_.disarm();
        }
        const bool is_settled = link.ledger.is_idle() && !link.ledger.may_owe_more() &&
                                link.cancels_under_way == 0 && link.output.is_empty() &&
                                link.carry.empty() && link.skip_bytes == 0;
        if (!is_clean || !is_settled || link.status != 'I' || !link.transport.is_open()) {
            ++i;
            continue;
        }
        link.statements.clear();
        link.settings_version = 0;
        link.in_shared_transaction = false;
        link.reads_committed = false;
        auto clean = std::move(links_[i]);
        links_.erase(links_.begin() + static_cast<std::ptrdiff_t>(i));
        home_.services.pool.put(std::move(clean), home_.loop.now());
    }
    cancels_.clear();
    links_.clear();
}

}  // namespace pgtorii::core
