// Units of the client's stream: where one ends, what is in it, and where it goes.

#include "core/client_session.hpp"

#include "protocol/client_messages.hpp"
#include "protocol/message.hpp"
#include "routing/choose_node.hpp"

#include <algorithm>
#include <utility>

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
        if (check_message(*header)) {
            refuse_message(*header);
            return {.what = unit::kind::broken};
        }
        if (discards_until_sync_) {
            if (header->type == 'X') return {.what = unit::kind::terminate};
            if (header->type == 'S') {
                discards_until_sync_ = false;
                input_.consume(header->total());
                home_.replies.ready_for_query(status());
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
        case 'p': refuse_message(*header); return {.what = unit::kind::broken};
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
        if (check_message(*header)) break;  // found again, and told, when its turn comes
        const bool is_extended =
            std::string_view{"PBDECHSF"}.find(header->type) != std::string_view::npos;
        // A Query inside a unit is looked at as a whole.
        const bool is_coming = header->type == 'Q' && at == 0 && present.size() < header->total() &&
                               header->total() <= whole_bytes();
        if (is_coming) break;
        if (!is_extended) {
            scanned_bytes_ = 0;
            return {.what = unit::kind::extended, .bytes = at, .is_whole = false, .has_end = false};
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
    const bool is_broken = present.size() - at >= protocol::frame_header::size &&
                           check_message(*protocol::peek_header(present.subspan(at)));
    const bool is_full = present.size() >= whole_bytes();
    if (!is_broken && !is_full) return {};
    scanned_bytes_ = 0;
    return {.what = unit::kind::extended, .bytes = at, .is_whole = false, .has_end = false};
}

const routing::query_facts_ptr& client_session::analyze(std::string_view sql)
{
    work_->facts = home_.facts.find_or_analyze(sql, text_rules_);
    return work_->facts;
}

// Where it goes
// ------------------------------------------------------------------------------------

/// A node that reads may go to, as far as the view and this session know.
bool client_session::is_fit(int node) const
{
    return node >= 0 && static_cast<std::size_t>(node) < home_.view->nodes.size() &&
           home_.view->nodes[static_cast<std::size_t>(node)].is_valid() &&
           std::ranges::find(avoided_nodes_, node) == avoided_nodes_.end();
}

/// The session's load balance node: drawn when it begins, when the last one is not fit any more,
/// and for each statement outside of transactions under statement_level_load_balance (routing.md,
/// section 6).
void client_session::choose_balanced_node()
{
    if (avoided_epoch_ != home_.view->epoch) avoided_nodes_.clear();
    // Inside a transaction the reader that has joined goes on: another one would be one more
    // participant.
    const bool draws_anew =
        settings_->statement_level_load_balance && status() == 'I' && !is_in_unit_;
    const auto draw = [this] {
        return std::uniform_real_distribution<double>{0.0, 1.0}(home_.random);
    };
    if ((draws_anew && !std::exchange(has_drawn_, true)) || !is_fit(balanced_node_)) {
        const auto* const wish = rules()->redirect(user(), database(), pool_->application_name);
        balanced_node_ = routing::choose_node(*home_.view, wish, draw());
    }
    if (!settings_->prefer_lower_delay_standby || status() != 'I' || !is_fit(balanced_node_))
        return;
    const auto& node = home_.view->nodes[static_cast<std::size_t>(balanced_node_)];
    if (node.id == home_.view->primary || !rules()->is_late(node)) return;
    const int nearer = routing::choose_least_delayed(*home_.view, *rules(), draw());
    if (nearer >= 0) balanced_node_ = nearer;
}

/// The node for the read at hand: the load balance node, or another standby that has replayed what
/// the read must see.
void client_session::choose_reader()
{
    choose_balanced_node();
    reader_node_ = balanced_node_;
    if (!is_causal() || !is_fit(balanced_node_) || balanced_node_ == home_.view->primary) return;
    if (has_replayed(balanced_node_) || status() != 'I' || is_in_unit_) return;
    for (const auto& node : home_.view->nodes) {
        const bool may_serve = node.id != home_.view->primary && node.weight > 0 &&
                               is_fit(node.id) && !rules()->is_late(node);
        if (!may_serve || !has_replayed(node.id)) continue;
        reader_node_ = node.id;
        return;
    }
}

/// A query whose content is judged: the only kind that the catalog is asked for.
bool client_session::is_balancing_query(const routing::query_facts& facts) const
{
    if (is_exclusive_ || facts.is_multi()) return false;
    switch (facts.first().kind) {
    case routing::statement_kind::select:
    case routing::statement_kind::copy_to:
    case routing::statement_kind::prepare:
    case routing::statement_kind::execute:
    case routing::statement_kind::deallocate: return true;
    default: return false;
    }
}

/// What the catalog says for a decision about `facts`. Null: not known (work_->question is what is
/// missing then), or not needed.
const routing::catalog_facts* client_session::catalog_of(const routing::query_facts_ptr& facts,
                                                         const routing::query_facts_ptr& prepared)
{
    work_->question = nullptr;
    if (!is_balancing_query(*facts)) return nullptr;
    const auto kind = facts->first().kind;
    const bool is_name =
        kind == routing::statement_kind::execute || kind == routing::statement_kind::deallocate;
    if (is_name && !prepared) return nullptr;
    const auto& content = routing::content_of(is_name ? prepared : facts);
    if (!content || !pool_) return nullptr;
    const auto* const known = home_.catalog_facts_for(*pool_, settings_record_, content);
    if (!known) work_->question = content;
    return known;
}

routing::session_traits client_session::traits_for(const routing::query_facts_ptr& facts,
                                                   std::string_view sql,
                                                   const routing::query_facts_ptr& prepared,
                                                   bool is_extended)
{
    choose_reader();
    auto known = tracker_.traits();
    known.session_pinned = known.session_pinned || !settings_record_.is_certain() || is_exclusive_;
    known.is_extended = is_extended;
    known.prepared = prepared.get();
    known.catalog = catalog_of(facts, prepared);
    known.balanced_node = reader_node_;
    known.is_remembered_write = is_remembered_write(sql);
    known.is_not_replayed = is_causal() && is_fit(reader_node_) &&
                            reader_node_ != home_.view->primary && !has_replayed(reader_node_);
    if (rules()->parameters().disable_load_balance_on_write ==
        config::write_effect::dml_adaptive_global) {
        known.table_clock = &home_.services.tables;
        known.database = database();
        known.now = home_.loop.now();
    }
    return known;
}

/// Where a statement may go.
routing::decision client_session::judge(const routing::query_facts_ptr& facts, std::string_view sql,
                                        bool is_extended)
{
    const auto prepared = prepared_facts(*facts);
    // What a name stands for the session alone knows for certain: each server has what it needed.
    const bool is_forgetting = prepared && !is_extended && !facts->is_multi() &&
                               facts->first().kind == routing::statement_kind::deallocate;
    if (is_forgetting) return {target::local, routing::reason::local_command};
    return routing::decide(*facts, traits_for(facts, sql, prepared, is_extended), *home_.view,
                           *rules());
}

/// Fills in the node of a decision.
client_session::route client_session::resolve(routing::decision why)
{
    route way{.node = main_node(), .why = why};
    if (is_exclusive_ && way.why.target == target::balanced) way.why.target = target::primary;
    if (way.why.target != target::balanced) return way;
    if (!is_fit(reader_node_)) choose_reader();
    if (is_fit(reader_node_)) way.node = reader_node_;
    if (way.node == main_node()) way.why.target = target::primary;
    return way;
}

client_session::route client_session::route_query(std::string_view sql)
{
    work_->needed_statements.clear();
    unit_has_end_ = true;
    const auto facts = analyze(sql);
    const auto& first = facts->first();
    if (first.kind == routing::statement_kind::explain_route && first.inner) {
        // The answer is ours, but may have to wait for the catalog as the statement itself would.
        const auto inner = resolve(judge(first.inner, first.value, false));
        if (must_wait(inner)) return inner;
    }
    for (const auto& each : facts->statements) need_statement(each);
    return resolve(judge(facts, sql, false));
}

/// EXPLAIN (ROUTE): the way of the statement in it, rule by rule.
std::vector<std::string> client_session::explain_route()
{
    const auto& asked = work_->facts->first();
    if (!asked.inner) return {};
    const auto prepared = prepared_facts(*asked.inner);
    const auto known = traits_for(asked.inner, asked.value, prepared, false);
    const auto way = resolve(judge(asked.inner, asked.value, false));
    const auto verdicts = routing::explain(*asked.inner, known, *home_.view, *rules());
    const bool has_node = way.why.target != target::local;
    return routing::lines_of(way.why, has_node ? way.node : -1, verdicts);
}

}  // namespace pgtorii::core
