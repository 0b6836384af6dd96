#include "admin/route_judge.hpp"

#include "core/base/always_assert.hpp"
#include "routing/choose_node.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <functional>

namespace pgtorii::admin::route {

namespace {

using routing::statement_facts;
using routing::statement_kind;

/// Draws that stand for the sessions of which shares are told.
constexpr int draw_count = 1000;

/// A cache of one process that reads files: nobody makes its keys collide on purpose.
constexpr std::uint64_t cache_seed = 1;

int primary_of(const ha::cluster_view& view)
{
    const auto flagged = std::ranges::find_if(view.nodes, &ha::node_view::always_primary);
    return flagged != view.nodes.end() ? flagged->id : view.main_node();
}

/// The command tag, as far as sessions look at it.
std::string_view tag_of(const statement_facts& facts, char status)
{
    switch (facts.kind) {
    case statement_kind::empty: return "";
    case statement_kind::commit: return status == 'E' ? "ROLLBACK" : "COMMIT";
    case statement_kind::rollback: return "ROLLBACK";
    case statement_kind::prepare_transaction:
        return status == 'E' ? "ROLLBACK" : "PREPARE TRANSACTION";
    default: return "DONE";
    }
}

bool ends_transaction(const statement_facts& facts)
{
    return facts.kind == statement_kind::commit || facts.kind == statement_kind::rollback ||
           facts.kind == statement_kind::prepare_transaction;
}

/// Whether the server runs it in a transaction of this status.
bool is_run(const statement_facts& facts, char status)
{
    return status != 'E' || ends_transaction(facts) ||
           facts.kind == statement_kind::rollback_to_savepoint;
}

/// The status behind a statement that succeeds.
char status_after(const statement_facts& facts, char status)
{
    if (ends_transaction(facts)) return facts.chain && status != 'I' ? 'T' : 'I';
    if (facts.kind == statement_kind::begin) return 'T';
    if (facts.kind == statement_kind::rollback_to_savepoint && status == 'E') return 'T';
    return status;
}

}  // namespace

ha::cluster_view view_of(const config::settings& settings)
{
    ha::cluster_view view;
    double sum = 0;
    for (const auto& each : settings.backends) sum += each.configured ? each.backend_weight : 0;
    for (const auto& each : settings.backends) {
        ha::node_view node;
        node.id = static_cast<int>(view.nodes.size());
        node.hostname = each.backend_hostname;
        node.port = each.backend_port;
        node.weight = each.backend_weight;
        node.weight_normalized = each.configured && sum > 0 ? each.backend_weight / sum : 0;
        node.status = each.configured ? ha::node_status::up : ha::node_status::unused;
        node.role = ha::node_role::standby;
        node.pg_role = ha::node_role::standby;
        node.answers = each.configured;
        node.always_primary = each.configured && each.backend_flag.always_primary;
        view.nodes.push_back(std::move(node));
    }
    view.primary = primary_of(view);
    if (view.primary >= 0) {
        auto& primary = view.nodes[static_cast<std::size_t>(view.primary)];
        primary.role = primary.pg_role = ha::node_role::primary;
    }
    return view;
}

std::string text_of(const node_shares& nodes)
{
    if (nodes.size() == 1) return fmt::format("node {}", nodes.front().node);
    std::string text;
    for (const auto& each : nodes) {
        if (!text.empty()) text += ", ";
        text += fmt::format("node {} {} %", each.node, each.percent);
    }
    return text;
}

bool verdict::goes_elsewhere(const verdict& other) const
{
    return !std::ranges::equal(*nodes, *other.nodes, {}, &node_share::node, &node_share::node);
}

judge::judge(core::settings_ptr settings, const catalog_model& catalog)
    : settings_(std::move(settings)),
      catalog_(catalog),
      rules_(std::make_shared<const routing::rules>(routing::make_rules(*settings_))),
      view_(view_of(*settings_)),
      facts_({.bytes_max = static_cast<std::size_t>(settings_->fact_cache_size)}, {}, cache_seed),
      unreadable_(std::make_shared<const routing::query_facts>(routing::unreadable({})))
{
    always_assert(view_.primary >= 0);
    facts_.set_query_patterns(settings_->primary_routing_query_pattern_list);
    primary_ = {{view_.primary, 100}};
}

const node_shares* judge::shares_of(const config::redirect_list::entry* wish)
{
    const auto [found, is_new] = shares_.try_emplace(wish);
    if (!is_new) return &found->second;
    std::map<int, int> hits;
    for (int i = 0; i < draw_count; ++i)
        ++hits[routing::choose_node(view_, wish, (i + 0.5) / draw_count)];
    for (const auto& [node, count] : hits)
        found->second.push_back({node, (count * 100 + draw_count / 2) / draw_count});
    return &found->second;
}

const routing::rules& judge::rules_of(const session& of) const
{
    return of.own ? *of.own->rules() : *rules_;
}

judge::session& judge::session_of(const event& what)
{
    const auto found = by_name_.find(what.session);
    if (found != by_name_.end()) {
        sessions_.splice(sessions_.begin(), sessions_, found->second);
        return sessions_.front();
    }
    if (sessions_.size() >= open_sessions_max) {
        by_name_.erase(sessions_.back().name);
        sessions_.pop_back();
        ++forgotten_;
    }
    auto& made = sessions_.emplace_front();
    made.name = what.session;
    made.database = what.database;
    made.balanced = shares_of(rules_->redirect(what.user, what.database, what.application));
    by_name_.emplace(made.name, sessions_.begin());
    ++session_count_;
    return made;
}

std::optional<verdict> judge::take(const event& what)
{
    if (what.what == event_kind::end) {
        const auto found = by_name_.find(what.session);
        if (found == by_name_.end()) return std::nullopt;
        const auto gone = found->second;
        by_name_.erase(found);
        sessions_.erase(gone);
        return std::nullopt;
    }
    auto& of = session_of(what);
    const auto hash = std::hash<std::string_view>{}(what.sql);
    if (what.what == event_kind::statement) {
        settle(of);
        const auto found = judge_statement(of, what);
        of.pending.text_hash = hash;
        of.pending.is_completed = what.is_completed;
        return found;
    }
    const bool is_pending = of.pending.facts && !of.pending.is_completed &&
                            (what.sql.empty() || hash == of.pending.text_hash);
    std::optional<verdict> found;
    if (!is_pending) {
        // Logs that tell of statements when they are done don't tell of those that fail.
        settle(of);
        if (!what.sql.empty()) found = judge_statement(of, what);
    }
    fail(of);
    return found;
}

verdict judge::judge_statement(session& of, const event& what)
{
    const bool is_too_long =
        what.is_cut || what.sql.size() > static_cast<std::size_t>(settings_->analyze_bytes_max);
    const auto facts = is_too_long ? unreadable_ : facts_.find_or_analyze(what.sql, {});
    const auto& first = facts->first();
    routing::query_facts_ptr prepared;
    if (first.kind == statement_kind::execute || first.kind == statement_kind::deallocate) {
        const auto known = of.prepared.find(first.name);
        if (known != of.prepared.end()) prepared = known->second;
    }
    const auto content = routing::content_of(prepared ? prepared : facts);
    const auto catalog = catalog_.facts_of(*content);
    const auto& rules = rules_of(of);
    auto traits = of.tracker.traits();
    traits.is_extended = what.is_extended;
    traits.catalog = catalog.get();
    traits.prepared = prepared.get();
    traits.database = of.database;
    const auto why = routing::decide(*facts, traits, view_, rules);
    switch (why.target) {
    case routing::target::local: change_settings(of, first); return {why, &nowhere_};
    case routing::target::primary:
    case routing::target::balanced: break;
    }
    of.tracker.sent(*facts, rules, {.catalog = catalog.get(), .prepared = prepared.get()});
    of.pending.facts = facts;
    return {why, why.target == routing::target::primary ? &primary_ : of.balanced};
}

/// PGPOOL SET and RESET of a script, as a session makes them.
void judge::change_settings(session& of, const statement_facts& command)
{
    if (command.kind == statement_kind::pgpool_set) {
        if (!of.own) of.own = std::make_unique<core::own_settings>();
        std::optional<std::string_view> wanted;
        if (command.has_value) wanted = command.value;
        // One that is refused changes nothing; the session is told then.
        (void)of.own->changes.change(command.name, wanted, *settings_);
    } else if (command.kind == statement_kind::pgpool_reset && of.own) {
        if (command.name == "all") {
            of.own->changes.clear();
        } else {
            (void)of.own->changes.change(command.name, std::nullopt, *settings_);
        }
    } else {
        return;
    }
    if (of.own) of.own->refresh(settings_, true);
}

/// What was sent last has succeeded.
void judge::settle(session& of)
{
    const auto facts = std::exchange(of.pending, {}).facts;
    if (!facts) return;
    char status = of.tracker.status();
    for (const auto& each : facts->statements) {
        if (!is_run(each, status)) break;
        of.tracker.completed(each, tag_of(each, status));
        status = status_after(each, status);
        switch (each.kind) {
        case statement_kind::prepare:
            if (of.prepared.size() < prepared_max) of.prepared[each.name] = facts;
            break;
        case statement_kind::deallocate:
            if (each.name.empty()) {
                of.prepared.clear();
            } else {
                of.prepared.erase(each.name);
            }
            break;
        case statement_kind::discard:
            if (each.change == routing::setting_change::discard_all) of.prepared.clear();
            break;
        default: break;
        }
    }
    of.tracker.ready(status);
}

/// What was sent last has failed, or something else has failed the transaction.
void judge::fail(session& of)
{
    const auto facts = std::exchange(of.pending, {}).facts;
    char status = of.tracker.status();
    bool has_ended = false;
    if (facts) {
        // Which statement of several has failed is not told: the last one, say.
        for (const auto& each : facts->statements) {
            has_ended = ends_transaction(each);
            if (!has_ended) status = status_after(each, status);
        }
    }
    const bool is_open = status != 'I' && !has_ended;
    of.tracker.ready(is_open ? 'E' : 'I');
}

}  // namespace pgtorii::admin::route
