// Links that a session is done with: cancel requests, draining, reset, back to the pool.

#include "core/client_session.hpp"

#include "protocol/message.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace pgtorii::core {

using runtime::task;

namespace {

/// The longest time for reset queries at the end of a session.
constexpr std::chrono::seconds reset_limit{10};
/// A client that has gone may cost this much of reading before its statement is cancelled.
constexpr std::size_t drained_bytes_max = 256 * 1024;

}  // namespace

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
    cancels_.push_front(std::make_unique<cancel_sender>(home_.loop, link.address,
                                                        std::move(request), std::move(done)));
    cancels_.front()->start();
}

void client_session::drop_link(server_link& link)
{
    lost_error_ = nullptr;
    forget_portals(link.node());
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
        const bool is_reader_at_work = !link.ledger.is_idle() && tracker_.unit_is_read();
        deadline_has_passed_ = false;
        if (is_reader_at_work) {
            // Nobody wants its rows. A write runs to its end, as without us.
            send_cancel(link);
            home_.loop.arm(deadline_, reset_limit);
        }
        co_await drain(link);
        deadline_.disarm();
        const bool is_wanted = settings_->connection_cache && !link.was_challenged &&
                               !is_template_database(database());
        bool is_clean = is_wanted && !link.is_spoiled && !is_ending_ && link.transport.is_open();
        if (is_clean) {
            home_.loop.arm(deadline_, reset_limit);
            deadline_has_passed_ = false;
            auto statements = settings_->reset_query_list.items;
            // What it has shared its links for is told by their records: they must be true.
            if (shares_links()) statements.emplace_back("DISCARD ALL");
            for (const auto& statement : statements) {
                const bool is_abort = statement == "ABORT" || statement == "abort";
                if (is_abort && link.status == 'I') continue;
                if (!is_clean) break;
                log_node_statement(link, {}, statement);
                home_.services.counters.count(link.node(), routing::statement_class::other);
                is_clean = co_await run_own(link, statement) && !deadline_has_passed_;
                if (!is_clean && !is_ending_) {
                    log(config::message_level::warning,
                        fmt::format("reset query \"{}\" failed on server {}: the connection is "
                                    "closed instead of "
                                    "being used again",
                                    statement, link.node()),
                        work_->own_value);
                }
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
        link.note_discard_all();
        link.in_shared_transaction = false;
        link.transaction_settings = 0;
        auto clean = std::move(links_[i]);
        links_.erase(links_.begin() + static_cast<std::ptrdiff_t>(i));
        home_.services.pool.put(std::move(clean), home_.loop.now());
    }
    cancels_.clear();
    links_.clear();
}

}  // namespace pgtorii::core
