#include "ha/causal_sampler.hpp"

#include "core/base/always_assert.hpp"

#include <algorithm>

namespace pgtorii::ha {

static_assert(causal_board::node_count_max > config::backend_index_max);

void causal_sampler::configure(const config::settings& settings)
{
    // WAL positions of different servers say something of each other only in one history.
    const bool has_history =
        settings.backend_clustering_mode == config::clustering_mode::streaming_replication;
    is_on_ = has_history && settings.causal_reads != config::causality::off;
    poll_ = std::max<clock::duration>(settings.causal_reads_poll, std::chrono::milliseconds(1));
    lifetime_ = std::max<clock::duration>(want_lifetime, settings.causal_reads_timeout);
}

void causal_sampler::on_view(const cluster_view& view)
{
    always_assert(view.nodes.size() <= causal_board::node_count_max);
    // While no primary is known, what is known of the last one stays true.
    if (view.primary >= 0 && view.primary != primary_) {
        primary_ = view.primary;
        forget_floors();
    }
    for (auto id = view.nodes.size(); id < nodes_.size(); ++id) place(static_cast<int>(id), {});
    nodes_.resize(view.nodes.size());
    for (const auto& seen : view.nodes) {
        auto& node = nodes_[static_cast<std::size_t>(seen.id)];
        const bool is_primary = seen.id == view.primary;
        const bool is_same = node.is_valid == seen.is_valid() && node.is_primary == is_primary &&
                             node.addresses == seen.addresses;
        if (is_same) continue;
        node.is_valid = seen.is_valid();
        node.is_primary = is_primary;
        node.addresses = seen.addresses;
        node.next = clock::time_point::min();
        ++node.generation;
        place(seen.id, {});
    }
}

void causal_sampler::step(clock::time_point now)
{
    for (;;) {
        if (board_.take_want()) last_call_ = now;
        read_requests(now);
        is_awake_ = is_needed(now);
        if (is_awake_) return board_.stay_awake();
        if (board_.fall_asleep(requested_)) return;
    }
}

void causal_sampler::read_requests(clock::time_point now)
{
    const auto requested = board_.requested();
    if (requested != requested_) last_call_ = now;
    requested_ = requested;
}

bool causal_sampler::is_needed(clock::time_point now) const
{
    if (!is_on_ || !last_call_) return false;
    if (std::ranges::none_of(nodes_, is_standby)) return false;
    if (now < *last_call_ + polls_after_want * poll_) return true;
    if (now >= *last_call_ + lifetime_) return false;
    return has_open_ticket() ||
           std::ranges::any_of(nodes_, [this](const record& node) { return is_behind(node); });
}

/// A standby whose next answer could let it serve more reads.
bool causal_sampler::is_behind(const record& node) const
{
    if (!is_standby(node)) return false;
    if (node.position.timeline == 0) return true;
    if (floor_.timeline == 0) return false;
    return node.position.timeline != floor_.timeline || node.position.lsn < floor_.lsn;
}

clock::time_point causal_sampler::due(int node) const
{
    const auto id = static_cast<std::size_t>(node);
    if (!is_awake_ || id >= nodes_.size() || !nodes_[id].is_valid) {
        return clock::time_point::max();
    }
    return nodes_[id].next;
}

std::optional<position_question> causal_sampler::begin(int node, clock::time_point now)
{
    if (due(node) > now) return std::nullopt;
    auto& at = nodes_[static_cast<std::size_t>(node)];
    at.next = now + poll_;
    if (at.is_primary) {
        read_requests(now);
        if (!has_open_ticket()) return std::nullopt;
    } else if (!is_behind(at)) {
        return std::nullopt;
    }
    return position_question{.node = node,
                             .of_primary = at.is_primary,
                             .covers = requested_,
                             .generation = at.generation};
}

void causal_sampler::on_answer(const position_question& asked, const causal_board::floor& position)
{
    const auto id = static_cast<std::size_t>(asked.node);
    if (id >= nodes_.size() || nodes_[id].generation != asked.generation) return;
    if (!asked.of_primary) return place(asked.node, position);
    always_assert(asked.covers >= covered_ || position.timeline == 0);
    if (position.timeline == 0) return;
    covered_ = asked.covers;
    floor_ = position;
    board_.publish_floor(covered_, floor_);
    has_news_ = true;
}

void causal_sampler::on_failure(const position_question& asked, clock::time_point now)
{
    const auto id = static_cast<std::size_t>(asked.node);
    if (id >= nodes_.size() || nodes_[id].generation != asked.generation) return;
    nodes_[id].next = now + pause_after_failure;
    if (!asked.of_primary) place(asked.node, {});
}

void causal_sampler::on_disconnected(int node)
{
    if (static_cast<std::size_t>(node) < nodes_.size()) place(node, {});
}

void causal_sampler::place(int node, const causal_board::floor& position)
{
    auto& known = nodes_[static_cast<std::size_t>(node)].position;
    if (known == position) return;
    known = position;
    board_.publish_position(node, position);
    has_news_ = true;
}

void causal_sampler::forget_floors()
{
    covered_ = 0;
    floor_ = {};
    board_.forget_floors();
    has_news_ = true;
}

}  // namespace pgtorii::ha
