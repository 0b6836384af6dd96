#pragma once

#include "config/settings.hpp"
#include "core/base/clock.hpp"
#include "ha/causal_board.hpp"
#include "ha/cluster_view.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <vector>

namespace pgtorii::ha {

/// A question to one server: how far has it written (the primary) or replayed (a standby)?
struct position_question {
    int node = -1;
    bool of_primary = false;
    std::uint64_t covers = 0;      ///< Tickets up to this one are satisfied by the answer.
    std::uint64_t generation = 0;  ///< An answer from before the node's last change is dropped.
};

/// Which server is asked for its WAL position and when, what an answer means for the board, and
/// when the sampling stops. Knows no socket, timer or clock; times never go back. Belongs to the
/// control thread, as the writing side of the board.
///
/// It is *awake* while somebody needs it: until ten polls after the last request or want, and
/// longer while tickets are open or a valid standby has not replayed the newest floor, but then at
/// most `want_lifetime` (or causal_reads_timeout, if that is longer) after it. Awake, each node is
/// looked at once a poll, and asked only if its answer could change something. Asleep, nothing is
/// asked until the board wakes it.
///
/// Invariants:
/// - `covers` is read from the board when a question begins, before its driver sends it: a ticket
/// is
///   satisfied only by a question begun after it.
/// - Answers of a server that was the primary at their question and is another one's standby now
///   are dropped, as are those of a node that has been away meanwhile.
/// - A standby's position is known only while the connection that has told it stands: a standby
///   that crashes may serve an older state when it comes back.
class causal_sampler {
public:
    static constexpr int polls_after_want = 10;
    static constexpr clock::duration want_lifetime = std::chrono::seconds(10);
    static constexpr clock::duration pause_after_failure = std::chrono::milliseconds(500);

    explicit causal_sampler(causal_board& board) : board_(board) {}

    /// causal_reads, causal_reads_poll and causal_reads_timeout; at first it is off, and with
    /// another mode than streaming replication it always is.
    void configure(const config::settings& settings);
    /// The cluster has changed. To be told before any session is.
    void on_view(const cluster_view& view);

    /// Looks whether it is still needed, and falls asleep if not. Before due() and begin().
    void step(clock::time_point now);
    bool is_awake() const { return is_awake_; }
    /// When the node is to be looked at next; time_point::max(): not before a wake-up or a new
    /// view.
    clock::time_point due(int node) const;
    /// The node's turn. Null: there is nothing to ask it now.
    std::optional<position_question> begin(int node, clock::time_point now);
    /// What it has answered.
    void on_answer(const position_question& asked, const causal_board::floor& position);
    /// It has not answered, or there was no connection.
    void on_failure(const position_question& asked, clock::time_point now);
    /// The connection to the node has ended, or is about to.
    void on_disconnected(int node);

    /// Whether the board has changed since the last call.
    bool take_news() { return std::exchange(has_news_, false); }

private:
    struct record {
        bool is_valid = false;
        bool is_primary = false;
        std::vector<socket_address> addresses;
        std::uint64_t generation = 0;
        causal_board::floor position;  // of a standby; zeros: not known
        clock::time_point next = clock::time_point::min();
    };

    static bool is_standby(const record& node) { return node.is_valid && !node.is_primary; }
    void read_requests(clock::time_point now);
    bool is_needed(clock::time_point now) const;
    bool has_open_ticket() const { return requested_ > covered_; }
    bool is_behind(const record& node) const;
    void place(int node, const causal_board::floor& position);
    void forget_floors();

    causal_board& board_;
    bool is_on_ = false;
    clock::duration poll_ = std::chrono::milliseconds(10);
    clock::duration lifetime_ = want_lifetime;
    std::vector<record> nodes_;
    int primary_ = -1;             // the last one that was known
    std::uint64_t requested_ = 0;  // as last read from the board
    std::uint64_t covered_ = 0;
    causal_board::floor floor_;  // the newest; zeros: not known
    std::optional<clock::time_point> last_call_;
    bool is_awake_ = false;
    bool has_news_ = false;
};

}  // namespace pgtorii::ha
