#include "ha/cluster_state.hpp"

#include "core/base/always_assert.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <string_view>
#include <utility>

namespace pgtorii::ha {
namespace {

using namespace std::chrono_literals;

constexpr clock::duration pause_while_searching = 1s;  // Pgpool-II's
constexpr clock::duration pause_while_down = 1s;
constexpr clock::duration pause_while_starting = 1s;
constexpr clock::duration pause_while_denied = 5s;  // each look is a FATAL in the server's log
constexpr clock::duration pause_min = 100ms;
/// At the start the first server that is not in recovery waits this long for the others to be seen.
constexpr clock::duration settle_time = 900ms;

std::string place_of(const node_config& node)
{
    return fmt::format("{}:{}", node.hostname, node.port);
}

bool is_same_server(const node_config& one, const node_config& other)
{
    return one.is_configured == other.is_configured && one.hostname == other.hostname &&
           one.port == other.port;
}

/// The server lives but doesn't know our user, password or database: time alone will not change
/// that.
bool is_denial(std::string_view sqlstate)
{
    return sqlstate.empty() || sqlstate.starts_with("28") || sqlstate.starts_with("3D");
}

std::size_t receiver_count(const server_facts& facts)
{
    return static_cast<std::size_t>(
        std::ranges::count(facts.receivers, "streaming", &replication_row::state));
}

}  // namespace

cluster_state::cluster_state(cluster_config config, moment start)
    : config_(std::move(config)),
      delays_(config_.delay)
{
    for (const auto& node : config_.nodes) records_.push_back(record{.config = node});
    settle(start);
    publish_if_changed(start.wall);
}

cluster_view_ptr cluster_state::on(observation seen, moment when)
{
    always_assert(seen.node >= 0 && static_cast<std::size_t>(seen.node) < records_.size());
    auto& node = records_[static_cast<std::size_t>(seen.node)];
    node.look = ++look_count_;
    node.is_seen = true;
    if (!seen.addresses.empty() && seen.addresses != node.addresses) {
        if (!node.addresses.empty()) tell(cluster_event::kind::node_renamed, node);
        node.addresses = std::move(seen.addresses);
    }
    switch (seen.verdict) {
    case verdict::absent: note_absent(node, seen); break;
    case verdict::refused: note_refused(node, seen); break;
    case verdict::answered: note_answered(node, seen); break;
    }
    node.last = seen.verdict;
    settle(when);
    if (node.last == verdict::answered) measure(node, when.now);
    auto next = publish_if_changed(when.wall);
    if (node.last == verdict::answered) tell_delay(node.config.id, when.now);
    return next;
}

cluster_view_ptr cluster_state::on_delays(const std::vector<int>& nodes,
                                          const std::vector<std::chrono::microseconds>& delays,
                                          moment when)
{
    always_assert(nodes.size() == delays.size());
    for (std::size_t i = 0; i < nodes.size(); ++i) delays_.on_command(nodes[i], delays[i]);
    auto next = publish_if_changed(when.wall);
    for (const auto node : nodes) tell_delay(node, when.now);
    return next;
}

cluster_view_ptr cluster_state::on_connected(int node, moment when)
{
    always_assert(node >= 0 && static_cast<std::size_t>(node) < records_.size());
    auto& connected = records_[static_cast<std::size_t>(node)];
    // A late report: the node went down meanwhile.
    if (status_of(connected) == node_status::waiting) connected.was_connected = true;
    return publish_if_changed(when.wall);
}

cluster_view_ptr cluster_state::on_configuration(cluster_config config, moment when)
{
    auto before = std::exchange(records_, {});
    config_ = std::move(config);
    delays_.configure(config_.delay);
    for (std::size_t id = 0; id < config_.nodes.size(); ++id) {
        if (id < before.size() && is_same_server(before[id].config, config_.nodes[id])) {
            records_.push_back(std::move(before[id]));
            records_.back().config = config_.nodes[id];
        } else {
            // One that joins while sessions are served gets none before it has answered.
            records_.push_back(record{.config = config_.nodes[id], .is_down = true});
            delays_.forget(static_cast<int>(id));
        }
    }
    if (primary_ >= static_cast<int>(records_.size())) primary_ = -1;
    if (main_ >= static_cast<int>(records_.size())) main_ = -1;
    settle(when);
    return publish_if_changed(when.wall);
}

std::optional<clock::duration> cluster_state::pause_until_next_look(int node) const
{
    if (node < 0 || static_cast<std::size_t>(node) >= records_.size()) return std::nullopt;
    const auto& at = records_[static_cast<std::size_t>(node)];
    if (!at.config.is_configured) return std::nullopt;

    std::optional<clock::duration> pause;
    const auto at_most = [&pause](clock::duration limit) {
        pause = pause ? std::min(*pause, limit) : limit;
    };
    const bool is_denied = at.is_seen && at.last == verdict::refused && is_denial(at.refusal);
    if (at.config.check_period > 0ms) at_most(at.config.check_period);
    if (is_searching()) at_most(is_denied ? pause_while_denied : pause_while_searching);
    if (at.is_seen && at.last == verdict::refused && !is_denied) at_most(pause_while_starting);
    if (at.is_seen && at.last == verdict::absent) {
        const bool is_tolerated = at.failure_count <= at.config.failure_count_max && !at.is_down;
        at_most(is_tolerated ? std::max<clock::duration>(at.config.retry_delay, pause_min)
                             : pause_while_down);
    }
    if (wants_second_look(at)) at_most(clock::duration::zero());
    return pause;
}

std::vector<cluster_event> cluster_state::take_events()
{
    return std::exchange(events_, {});
}

// What one look means for its node.

void cluster_state::note_absent(record& node, const observation& seen)
{
    node.cause = seen.failure.message();
    if (node.failure_count < std::numeric_limits<int>::max()) ++node.failure_count;
    if (node.is_down) return;
    const int tolerated =
        seen.was_reported && config_.trusts_reports ? 0 : node.config.failure_count_max;
    if (node.failure_count > tolerated && !node.config.disallow_failover) {
        node.is_down = true;
        tell(cluster_event::kind::node_down, node, node.cause);
    } else if (node.failure_count == 1) {
        tell(cluster_event::kind::check_failed, node, node.cause);
    }
}

void cluster_state::note_refused(record& node, const observation& seen)
{
    const bool is_news = node.last != verdict::refused || node.refusal != seen.sqlstate;
    node.failure_count = 0;
    node.refusal = seen.sqlstate;
    node.cause = seen.message.empty() ? seen.failure.message()
                                      : fmt::format("{} ({})", seen.message, seen.sqlstate);
    if (is_news && !node.is_down) tell(cluster_event::kind::check_refused, node, node.cause);
}

void cluster_state::note_answered(record& node, observation& seen)
{
    const bool was_standby = node.has_facts && node.facts.in_recovery;
    const bool was_claiming = node.has_facts && !node.facts.in_recovery;
    node.failure_count = 0;
    node.answer = node.look;
    if (!seen.facts.in_recovery && !was_claiming) node.claim = node.look;
    node.facts = std::move(seen.facts);
    node.has_facts = true;
    if (node.is_down) {
        // Raw mode: while the main node is down, one that was down before it must not take its
        // place.
        if (is_raw() && main_ >= 0 && main_ != node.config.id && !is_usable(main_)) return;
        node.is_down = false;
        node.was_connected = true;
        node.has_returned = true;
    }
    if (!is_raw() && node.facts.in_recovery && !was_standby) {
        tell(cluster_event::kind::standby_found, node);
    }
}

// Which node is the primary.

bool cluster_state::compares_histories() const
{
    return config_.mode == config::clustering_mode::streaming_replication && flagged_primary() < 0;
}

int cluster_state::flagged_primary() const
{
    for (const auto& node : records_) {
        if (node.config.is_configured && node.config.always_primary) return node.config.id;
    }
    return -1;
}

bool cluster_state::is_usable(int node) const
{
    const auto& at = records_[static_cast<std::size_t>(node)];
    return at.config.is_configured && !at.is_down && !at.is_replaced;
}

bool cluster_state::is_seen_by_all() const
{
    return std::ranges::all_of(
        records_, [](const record& node) { return node.is_seen || !node.config.is_configured; });
}

int cluster_state::choose_primary(clock::time_point now)
{
    if (is_raw()) return choose_main();
    const int flagged = flagged_primary();
    if (flagged < 0) return choose_by_asking(now);
    const auto& node = records_[static_cast<std::size_t>(flagged)];
    return node.is_seen && !node.is_down ? flagged : -1;
}

int cluster_state::choose_main()
{
    if (main_ >= 0 && is_usable(main_)) return main_;
    for (const auto& node : records_) {
        // A name that has not been resolved yet is no place to send anybody.
        if (!node.is_seen || !is_usable(node.config.id)) continue;
        if (main_ >= 0) records_[static_cast<std::size_t>(main_)].is_replaced = true;
        return main_ = node.config.id;
    }
    return -1;
}

int cluster_state::choose_by_asking(clock::time_point now)
{
    const record* best = nullptr;
    for (const auto& node : records_) {
        if (is_candidate(node) && (!best || is_better(node, *best))) best = &node;
    }
    if (primary_ >= 0) {
        const auto& present = records_[static_cast<std::size_t>(primary_)];
        if (stays_primary(present)) {
            // It can't be seen now, and another server has been promoted after it: that one it is.
            const bool is_displaced = compares_histories() && best && best != &present &&
                                      present.last != verdict::answered &&
                                      best->facts.timeline > present.facts.timeline &&
                                      present.facts.timeline != 0;
            return is_displaced ? best->config.id : primary_;
        }
    }
    if (!best) return -1;
    if (had_primary_ || is_seen_by_all()) return best->config.id;
    if (!first_claim_) first_claim_ = now;
    return now - *first_claim_ >= settle_time ? best->config.id : -1;
}

bool cluster_state::stays_primary(const record& node) const
{
    if (!node.config.is_configured || node.is_down) return false;
    if (!node.has_facts || node.facts.in_recovery) return false;
    if (!compares_histories()) return true;
    return !is_stale(node) && !is_foreign(node);
}

bool cluster_state::is_candidate(const record& node) const
{
    if (!node.config.is_configured || node.is_down) return false;
    if (!node.is_seen || node.last != verdict::answered || node.facts.in_recovery) return false;
    if (!compares_histories()) return true;
    return !is_stale(node) && (!is_foreign(node) || !home_answers());
}

bool cluster_state::is_better(const record& one, const record& other) const
{
    if (!compares_histories()) return false;  // the lower id comes first
    if (one.facts.timeline != other.facts.timeline) {
        return one.facts.timeline > other.facts.timeline;
    }
    return receiver_count(one.facts) > receiver_count(other.facts);
}

bool cluster_state::is_stale(const record& node) const
{
    return !is_foreign(node) && node.facts.timeline != 0 && node.facts.timeline < timeline_;
}

bool cluster_state::is_foreign(const record& node) const
{
    return system_identifier_ != 0 && node.facts.system_identifier != 0 &&
           node.facts.system_identifier != system_identifier_;
}

bool cluster_state::home_answers() const
{
    return std::ranges::any_of(records_, [this](const record& node) {
        return node.is_seen && node.last == verdict::answered &&
               node.facts.system_identifier == system_identifier_;
    });
}

cluster_state::fitness cluster_state::fitness_of(const record& node) const
{
    if (is_raw()) return node.is_replaced ? fitness::replaced : fitness::fit;
    if (!compares_histories() || !node.has_facts) return fitness::fit;
    if (is_foreign(node)) return fitness::foreign;
    if (node.facts.in_recovery || node.config.id == primary_) return fitness::fit;
    if (is_stale(node)) return fitness::stale;
    // Only a primary that has answered since refutes the claim: it may just have been replaced.
    const bool is_refuted =
        primary_ >= 0 && records_[static_cast<std::size_t>(primary_)].answer > node.claim;
    return is_refuted ? fitness::second_primary : fitness::fit;
}

bool cluster_state::wants_second_look(const record& node) const
{
    if (!compares_histories() || node.config.id != primary_) return false;
    return std::ranges::any_of(records_, [&node](const record& other) {
        return &other != &node && other.has_facts && !other.facts.in_recovery &&
               other.last == verdict::answered && other.claim > node.look;
    });
}

void cluster_state::learn_from_primary()
{
    if (primary_ < 0 || !compares_histories()) return;
    const auto& node = records_[static_cast<std::size_t>(primary_)];
    if (node.last != verdict::answered) return;
    if (is_foreign(node)) timeline_ = 0;
    if (node.facts.system_identifier != 0) system_identifier_ = node.facts.system_identifier;
    timeline_ = std::max(timeline_, node.facts.timeline);
}

// How far standbys are behind.

void cluster_state::measure(const record& node, clock::time_point now)
{
    if (node.config.id == primary_)
        delays_.on_primary(node.facts, config_.nodes, now);
    else if (node.facts.in_recovery)
        delays_.on_standby(node.config.id, node.facts.lsn, now);
}

void cluster_state::tell_delay(int node, clock::time_point now)
{
    const auto id = static_cast<std::size_t>(node);
    if (id >= records_.size() || primary_ < 0 || node == primary_) return;
    const auto& seen = view_->nodes[id];
    if (!seen.is_valid() || !delays_.begins_log(node, seen.replication_delay, now)) return;
    tell(cluster_event::kind::standby_delayed, records_[id]);
    events_.back().delay_bytes = seen.replication_delay;
    if (delays_.config().by_time) events_.back().delay_time = seen.replication_delay_time;
}

// Telling.

void cluster_state::settle(moment when)
{
    const int before = primary_;
    primary_ = choose_primary(when.now);
    had_primary_ = had_primary_ || primary_ >= 0;
    learn_from_primary();
    tell_returns();
    if (primary_ != before) {
        delays_.on_primary_changed();
        tell_primary(before);
    }
    tell_fitness();
    tell_search(when.now);
}

void cluster_state::tell(cluster_event::kind what, const record& node, std::string cause)
{
    events_.push_back({.what = what,
                       .node = node.config.id,
                       .other_node = primary_,
                       .place = place_of(node.config),
                       .cause = std::move(cause)});
}

void cluster_state::tell_returns()
{
    for (auto& node : records_) {
        const bool is_news = std::exchange(node.has_returned, false);
        // One that may not serve is told of by its fitness.
        if (is_news && fitness_of(node) == fitness::fit) tell(cluster_event::kind::node_up, node);
    }
}

std::string cluster_state::why_lost(const record& node) const
{
    if (node.last != verdict::answered) return node.cause;
    if (node.has_facts && node.facts.in_recovery) return "It is in recovery now.";
    if (is_stale(node) || is_foreign(node)) return "Its data belong to another history.";
    return "The configuration has changed.";
}

void cluster_state::tell_primary(int before)
{
    using enum cluster_event::kind;
    if (is_raw()) {
        if (primary_ >= 0) tell(main_found, records_[static_cast<std::size_t>(primary_)]);
        return;
    }
    if (before >= 0) {
        const auto& node = records_[static_cast<std::size_t>(before)];
        tell(primary_lost, node, why_lost(node));
    }
    if (primary_ >= 0) tell(primary_found, records_[static_cast<std::size_t>(primary_)]);
}

void cluster_state::tell_fitness()
{
    using enum cluster_event::kind;
    for (auto& node : records_) {
        // Of one that is down, this has been told; whether it may serve matters when it answers
        // again.
        if (node.is_down) {
            node.told = fitness::fit;
            continue;
        }
        const auto before = std::exchange(node.told, fitness_of(node));
        if (node.told == before) continue;
        switch (node.told) {
        case fitness::fit: tell(node_up, node); break;
        case fitness::second_primary: tell(second_primary, node); break;
        case fitness::stale: tell(stale_timeline, node); break;
        case fitness::foreign: tell(foreign_system, node); break;
        case fitness::replaced: tell(main_replaced, node); break;
        }
    }
}

void cluster_state::tell_search(clock::time_point now)
{
    using enum cluster_event::kind;
    if (!is_searching() || records_.empty()) {
        search_start_.reset();
        search_warning_given_ = false;
        return;
    }
    if (!search_start_) {
        // At the start, the first round of looks is no search yet.
        if (!had_primary_ && !is_seen_by_all()) return;
        search_start_ = now;
        tell(search_started, records_.front());
    }
    const auto limit = config_.search_warning_after;
    if (!search_warning_given_ && limit > 0ms && now - *search_start_ >= limit) {
        search_warning_given_ = true;
        tell(search_is_long, records_.front());
    }
}

node_status cluster_state::status_of(const record& node) const
{
    if (!node.config.is_configured) return node_status::unused;
    if (node.is_down || fitness_of(node) != fitness::fit) return node_status::down;
    return node.was_connected ? node_status::up : node_status::waiting;
}

node_role cluster_state::role_of(const record& node) const
{
    if (node.config.id == primary_) return node_role::primary;
    return node.has_facts ? node_role::standby : node_role::unknown;
}

node_view cluster_state::describe(const record& node, double weight_sum) const
{
    node_view out;
    out.id = node.config.id;
    out.hostname = node.config.hostname;
    out.port = node.config.port;
    out.addresses = node.addresses;
    out.connect_timeout = node.config.connect_timeout;
    out.weight = node.config.weight;
    out.weight_normalized = weight_sum > 0 ? node.config.weight / weight_sum : 0;
    out.status = status_of(node);
    out.role = role_of(node);
    out.answers = node.is_seen && node.last == verdict::answered;
    if (node.has_facts) {
        out.pg_role = node.facts.in_recovery ? node_role::standby : node_role::primary;
    }
    out.always_primary = node.config.always_primary;
    out.disallow_failover = node.config.disallow_failover;
    out.data_directory = node.config.data_directory;
    out.application_name = node.config.application_name;
    describe_replication(out, node);
    return out;
}

void cluster_state::describe_replication(node_view& out, const record& node) const
{
    out.replay_lsn = node.facts.lsn;
    out.timeline = node.facts.timeline;
    out.connection_count_max = node.facts.connection_count_max;
    if (is_raw() || primary_ < 0 || node.config.id == primary_) return;
    const auto& primary = records_[static_cast<std::size_t>(primary_)].facts;
    out.replication_delay_time = delays_.time_of(node.config.id);
    const bool is_measured = config_.delay.is_measured && config_.delay.command.empty();
    if (is_measured && node.has_facts && primary.lsn > node.facts.lsn) {
        const auto distance = primary.lsn - node.facts.lsn;
        constexpr auto limit = std::numeric_limits<std::int64_t>::max();
        out.replication_delay = distance > static_cast<std::uint64_t>(limit)
                                    ? limit
                                    : static_cast<std::int64_t>(distance);
    }
    if (node.config.application_name.empty()) return;
    for (const auto& row : primary.receivers) {  // of several rows the last, as Pgpool-II
        if (row.application_name != node.config.application_name) continue;
        out.replication_state = row.state;
        out.replication_sync_state = row.sync_state;
    }
}

cluster_view_ptr cluster_state::publish_if_changed(std::chrono::system_clock::time_point wall)
{
    double weight_sum = 0;
    for (const auto& node : records_) {
        if (node.config.is_configured) weight_sum += node.config.weight;
    }
    auto next = std::make_shared<cluster_view>();
    next->epoch = view_ ? view_->epoch + 1 : 1;
    next->primary = primary_;
    for (const auto& node : records_) {
        auto& out = next->nodes.emplace_back(describe(node, weight_sum));
        const auto* const before = view_ && static_cast<std::size_t>(out.id) < view_->nodes.size()
                                       ? &view_->nodes[static_cast<std::size_t>(out.id)]
                                       : nullptr;
        const bool is_same = before && before->status == out.status && before->role == out.role;
        out.last_status_change = is_same ? before->last_status_change : wall;
    }
    if (view_ && view_->primary == next->primary && view_->nodes == next->nodes) return nullptr;
    view_ = std::move(next);
    return view_;
}

}  // namespace pgtorii::ha
