#pragma once

#include "core/base/clock.hpp"
#include "ha/cluster_config.hpp"
#include "ha/cluster_event.hpp"
#include "ha/cluster_view.hpp"
#include "ha/delay_meter.hpp"
#include "ha/observation.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace pgtorii::ha {

/// The present, on the clock of deadlines and on the clock of people.
struct moment {
    clock::time_point now;
    std::chrono::system_clock::time_point wall;
};

/// What the cluster looks like, from looks at its servers. Knows no socket, timer or clock: the
/// same events at the same moments always give the same views. Moments never go back.
///
/// A node is down when more looks in a row than are tolerated found nobody (one, when a session saw
/// the same), and up again when it answers. A server that refuses is alive: that alone changes
/// nothing. Roles:
/// - A node flagged ALWAYS_PRIMARY is the primary as long as it is not down.
/// - Streaming replication: a server that is not in recovery. The present primary stays while it is
/// there, whatever
///   others say of themselves. Without one: the newest timeline, then most receivers, then the
///   lowest id. A primary of the past, an older timeline than one that was primary before, and
///   servers of another cluster are never written to, and get no reads either: they are `down`.
/// - Logical replication: the same without timelines; others that are not in recovery are its
/// subscribers.
/// - Raw: the main node, which stays while it is not down. One that another has replaced stays
/// `down`, as it has missed
///   writes; and while the main node is down, only that one comes back by itself.
///
/// Invariants of every view: at most one node has the role `primary`, it is `view.primary`, it is
/// valid, and (unless it is flagged, or the mode is raw) it was not in recovery when it last
/// answered. Epochs grow.
class cluster_state {
public:
    cluster_state(cluster_config config, moment start);

    /// A server was looked at. The new view, or null when it is as before.
    cluster_view_ptr on(observation seen, moment when);
    /// replication_delay_source_cmd says how far each of these nodes is behind.
    cluster_view_ptr on_delays(const std::vector<int>& nodes,
                               const std::vector<std::chrono::microseconds>& delays, moment when);
    /// A session has opened the first link to the node since it became valid.
    cluster_view_ptr on_connected(int node, moment when);
    /// Another configuration: known nodes keep their state while host and port stay the same.
    cluster_view_ptr on_configuration(cluster_config config, moment when);

    const cluster_view_ptr& view() const { return view_; }
    const cluster_config& config() const { return config_; }

    /// How long after its last look the node should be looked at again; nullopt: only when there is
    /// a reason.
    std::optional<clock::duration> pause_until_next_look(int node) const;

    /// What happened since the last call, in order.
    std::vector<cluster_event> take_events();

private:
    /// Whether a server that is there may serve.
    enum class fitness : std::uint8_t { fit, second_primary, stale, foreign, replaced };

    /// All that is remembered of a node.
    struct record {
        node_config config;
        bool is_seen = false;        // looked at, with whatever end
        bool has_facts = false;      // it has answered
        bool is_down = false;        // too many looks in a row found nobody
        bool has_returned = false;   // just now, and the log has not been told
        bool was_connected = false;  // "up", not "waiting", while it is valid
        verdict last = verdict::absent;
        server_facts facts{};      // of the last answer
        int failure_count = 0;     // looks in a row that found nobody
        std::uint64_t look = 0;    // number of the last look
        std::uint64_t answer = 0;  // number of the last look that was answered
        std::uint64_t claim = 0;   // look since which it has said that it is not in recovery
        std::string refusal{};     // SQLSTATE of the last look, when refused
        std::string cause{};       // of the last look that was not answered
        std::vector<socket_address> addresses{};
        bool is_replaced = false;     // raw: another main node has taken over from it
        fitness told = fitness::fit;  // what the log knows
    };

    bool is_raw() const { return config_.mode == config::clustering_mode::raw; }
    bool compares_histories() const;
    bool is_searching() const { return !is_raw() && primary_ < 0; }
    int flagged_primary() const;
    bool is_usable(int node) const;
    bool is_seen_by_all() const;

    void note_absent(record& node, const observation& seen);
    void note_refused(record& node, const observation& seen);
    void note_answered(record& node, observation& seen);

    int choose_primary(clock::time_point now);
    int choose_main();
    int choose_by_asking(clock::time_point now);
    bool stays_primary(const record& node) const;
    bool is_candidate(const record& node) const;
    bool is_better(const record& one, const record& other) const;
    bool is_stale(const record& node) const;
    bool is_foreign(const record& node) const;
    bool home_answers() const;
    fitness fitness_of(const record& node) const;
    void learn_from_primary();
    bool wants_second_look(const record& node) const;

    void measure(const record& node, clock::time_point now);
    void tell_delay(int node, clock::time_point now);
    void settle(moment when);
    void tell(cluster_event::kind what, const record& node, std::string cause = {});
    std::string why_lost(const record& node) const;
    void tell_returns();
    void tell_primary(int before);
    void tell_fitness();
    void tell_search(clock::time_point now);
    node_status status_of(const record& node) const;
    node_role role_of(const record& node) const;
    node_view describe(const record& node, double weight_sum) const;
    void describe_replication(node_view& out, const record& node) const;
    cluster_view_ptr publish_if_changed(std::chrono::system_clock::time_point wall);

    cluster_config config_;
    std::vector<record> records_;
    delay_meter delays_;
    int primary_ = -1;
    int main_ = -1;  // raw: the present main node, or the last one
    std::uint64_t look_count_ = 0;
    // The newest primary that there was: what calls itself primary must belong to it.
    std::uint64_t system_identifier_ = 0;
    std::uint32_t timeline_ = 0;
    bool had_primary_ = false;
    std::optional<clock::time_point> first_claim_;
    std::optional<clock::time_point> search_start_;
    bool search_warning_given_ = false;
    std::vector<cluster_event> events_;
    cluster_view_ptr view_;
};

}  // namespace pgtorii::ha
