// Units of the client's stream: where one ends, what is in it, and where it goes.

#include "core/client_session.hpp"

#include "protocol/client_messages.hpp"
#include "protocol/message.hpp"
#include "routing/choose_node.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace pgtorii::core {

namespace {

using routing::target;

}  // namespace

/// The next unit, as far as it is there; reads from the client when that is needed. `none`: wait
/// for more.
client_session::unit client_session::next_unit()
{
    // A reply that the client has not taken yet comes before more work, so that what waits is
    // bounded.
    if (!output_.is_empty() || is_message_under_way()) return {};
    for (;;) {
        const auto present = input_.bytes();
        const auto header = protocol::peek_header(present);
        if (discard_bytes_ > 0 && !present.empty()) {
            const auto count = std::min(discard_bytes_, present.size());
            discard_bytes_ -= count;
            input_.consume(count);
            continue;
        }
        if (!header) {
            if (!client_.is_readable() || !read_client(present.size() + 1)) return {};
            if (input_.bytes().size() == present.size()) return {};
            continue;
        }
        if (const auto wrong = protocol::check_client_header(*header)) {
            const bool is_unknown = wrong == protocol::errc::unknown_message_type;
            send_fatal({.sqlstate = "08P01",
                        .message = is_unknown
                                       ? fmt::format("invalid frontend message type {}",
                                                     static_cast<int>(
                                                         static_cast<unsigned char>(header->type)))
                                       : std::string{"invalid message length"}});
            return {.what = unit::kind::broken};
        }
        if (discards_until_sync_) {
            if (header->type == 'X') return {.what = unit::kind::terminate};
            if (header->type == 'S') {
                discards_until_sync_ = false;
                input_.consume(header->total());
                home_.replies.ready_for_query(status_for_client());
                send_replies();
                if (!output_.is_empty()) return {};
                continue;
            }
            discard_bytes_ = header->total();
            continue;
        }
        const auto total = header->total();
        switch (header->type) {
        case 'd':
        case 'c':
        case 'f':
            // The rest of a COPY that has failed; PostgreSQL drops it too.
            discard_bytes_ = total;
            continue;
        case 'X': return {.what = unit::kind::terminate};
        case 'Q': {
            const auto whole_max = static_cast<std::size_t>(settings_->analyze_bytes_max) + 6;
            if (present.size() >= total) return {.what = unit::kind::query, .bytes = total};
            if (total > whole_max) {
                return {.what = unit::kind::query, .bytes = present.size(), .is_whole = false};
            }
            if (!client_.is_readable() || !read_client(total)) return {};
            if (input_.bytes().size() == present.size()) return {};
            continue;
        }
        case 'p':
            send_fatal({.sqlstate = "08P01", .message = "invalid frontend message type 112"});
            return {.what = unit::kind::broken};
        default: {
            const auto found = next_extended();
            if (found.what != unit::kind::none) return found;
            const auto wanted = std::min(
                std::max(2 * present.size(), runtime::worker::buffer_bytes), whole_bytes());
            if (!client_.is_readable() || !read_client(wanted)) return {};
            if (input_.bytes().size() == present.size()) return {};
            continue;
        }
        }
    }
}

/// An extended unit: up to its Sync when all of that is there, or a segment of it up to a Flush. A
/// client that sends more than is kept gets its unit served as it comes, by the primary.
client_session::unit client_session::next_extended()
{
    const auto present = input_.bytes();
    auto at = scanned_bytes_;
    while (const auto header = protocol::peek_header(present.subspan(at))) {
        if (protocol::check_client_header(*header))
            break;  // found again, and told, when its turn comes
        const bool is_extended =
            std::string_view{"PBDECHSF"}.find(header->type) != std::string_view::npos;
        if (!is_extended) {
            scanned_bytes_ = 0;
            return {
                .what = unit::kind::extended, .bytes = at, .is_whole = false, .has_end = false};
        }
        if (present.size() - at < header->total()) break;
        at += header->total();
        if (header->type == 'S' || header->type == 'F' || header->type == 'H') {
            scanned_bytes_ = 0;
            const bool is_call = header->type == 'F' && at == header->total() && !is_in_unit_;
            return {.what = is_call ? unit::kind::function_call : unit::kind::extended,
                    .bytes = at,
                    .has_end = header->type != 'H'};
        }
    }
    scanned_bytes_ = at;
    const bool is_broken =
        present.size() - at >= protocol::frame_header::size &&
        protocol::check_client_header(*protocol::peek_header(present.subspan(at)));
    const bool is_full = present.size() >= whole_bytes();
    if (!is_broken && !is_full) return {};
    scanned_bytes_ = 0;
    return {.what = unit::kind::extended, .bytes = at, .is_whole = false, .has_end = false};
}

routing::session_traits client_session::traits() const
{
    return {.in_transaction = transaction_status_ != 'I',
            .transaction_failed = transaction_status_ == 'E',
            .transaction_written = transaction_written_,
            .transaction_shareable = transaction_shareable_ && !settings_record_.has_uncommitted(),
            .session_written = session_written_,
            .session_transaction_written = session_transaction_written_,
            .session_pinned = is_pinned_ || !settings_record_.is_certain() || is_exclusive_,
            .balanced_node = balanced_node_};
}

const routing::query_facts_ptr& client_session::analyze(std::string_view sql)
{
    facts_ = home_.facts.find_or_analyze(sql, text_rules_);
    return facts_;
}

/// Fills in the node of a decision.
client_session::route client_session::resolve(routing::decision why)
{
    route way{.node = main_node(), .why = why};
    if (is_exclusive_ && way.why.target == target::balanced) way.why.target = target::primary;
    if (way.why.target != target::balanced) return way;
    if (avoided_epoch_ != home_.view->epoch) avoided_nodes_.clear();
    const auto is_fit = [this](int node) {
        return node >= 0 && static_cast<std::size_t>(node) < home_.view->nodes.size() &&
               home_.view->nodes[static_cast<std::size_t>(node)].is_valid() &&
               std::ranges::find(avoided_nodes_, node) == avoided_nodes_.end();
    };
    // Inside a transaction the reader that has joined goes on: another one would be one more
    // participant.
    const bool draws_anew = settings_->statement_level_load_balance && transaction_status_ == 'I';
    if (draws_anew || !is_fit(balanced_node_)) {
        const double draw = std::uniform_real_distribution<double>{0.0, 1.0}(home_.random);
        const auto* const wish = home_.rules->redirect(user_, database_, startup_application_name_);
        balanced_node_ = routing::choose_node(*home_.view, wish, draw);
    }
    if (is_fit(balanced_node_)) way.node = balanced_node_;
    if (way.node == main_node()) way.why.target = target::primary;
    return way;
}

/// Where a statement that came alone may go.
routing::decision client_session::judge(const routing::query_facts& facts, std::string_view sql,
                                        bool is_extended)
{
    auto known = traits();
    known.is_extended = is_extended;
    auto why = routing::decide(facts, known, *home_.view, *home_.rules);
    if (why.target == target::balanced && is_remembered_write(sql))
        why = {target::primary, routing::reason::remembered_write};
    return why;
}

bool client_session::must_wait(const route& way) const
{
    (void)way;
    return false;
}

runtime::task<client_session::route> client_session::wait_to_route(unit& what)
{
    co_return route_unit(what);
}

client_session::route client_session::route_query(std::string_view sql)
{
    const auto facts = analyze(sql);
    return resolve(judge(*facts, sql, false));
}

}  // namespace pgtorii::core
