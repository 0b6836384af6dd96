#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <utility>

namespace pgtorii::ha {

/// What sessions of all workers and the sampler on the control thread know in common about causal
/// reads: who has asked, how far the primary had written at a time after that, and how far each
/// standby has replayed. Outlives workers and sampler. No locks: reading costs a few loads.
///
/// A *ticket* stands for a moment: that of request(). A *floor* is a position in the primary's WAL
/// that was asked for after that moment, so a server that has replayed it shows everything that had
/// been committed by then. What a session does:
///
/// 1. When anything that is not proven read-only has ended on the primary, and before the client is
///    told so (in `global` mode another session may be told by it): `ticket = board.request()`, and
///    the floor that it had is forgotten. In `global` mode a session takes `last_ticket()` at the
///    start of each read instead, and with another ticket than before forgets its floor.
/// 2. Before a read, with a ticket that is not zero: without a floor, or when is_current(floor) is
///    false (there is another primary now), `floor = board.floor_for(ticket)`. It keeps the floor:
///    a later call may give a higher one, and a session that asks again each time may never be
///    served. Null: the floor is unknown, and so is every standby's fitness.
/// 3. With a floor: every node for which has_replayed(node, floor) holds may serve the read.
/// 4. Otherwise: register as a waiter, *then* want(), and look again at steps 2 and 3 after each
///    round of the sampler (its `on_sample`); or go to the primary. A read that a standby would
///    have served calls want() even when it doesn't wait: positions are forgotten while nobody
///    wants them.
///
/// Ticket 0 is before all others: nothing has been written as far as this process knows.
class causal_board {
public:
    static constexpr std::size_t node_count_max = 128;

    struct floor {
        std::uint64_t lsn = 0;
        std::uint32_t timeline = 0;
        friend bool operator==(const floor&, const floor&) = default;
    };

    /// `wake` is called, on whatever thread, when somebody asks while the sampler sleeps: once for
    /// each sleep.
    explicit causal_board(std::function<void()> wake) : wake_(std::move(wake)) {}
    causal_board(const causal_board&) = delete;
    causal_board& operator=(const causal_board&) = delete;

    // For sessions, on any thread.

    /// A ticket for this moment; wakes the sampler. Every sample that is begun after this call
    /// satisfies it, and none that was begun before.
    std::uint64_t request();
    /// Somebody waits, or would have liked to read at a standby: the sampler goes on for a while.
    void want();
    /// The newest ticket of anybody.
    std::uint64_t last_ticket() const { return requested_.load(); }
    /// A floor for this ticket, once a sample that was begun after it has come back from the
    /// present primary.
    std::optional<floor> floor_for(std::uint64_t ticket) const;
    /// Whether the primary still writes the floor's timeline, as far as is known. If not, the floor
    /// says nothing any more.
    bool is_current(const floor& known) const;
    /// Whether that node has replayed the floor, on its timeline, which must be current. False for
    /// what is not known; always false for the primary.
    bool has_replayed(int node, const floor& wanted) const;

    // For the sampler, on the control thread.

    /// The newest ticket; a sample begun after this call satisfies all up to it.
    std::uint64_t requested() const { return requested_.load(); }
    /// A sample of the primary: tickets up to `covered` are satisfied by `known`.
    void publish_floor(std::uint64_t covered, const floor& known);
    /// All floors are unknown until the next one is published: there is another primary.
    void forget_floors();
    /// How far a node has replayed. A floor of all zeros: not known.
    void publish_position(int node, const floor& replayed);
    /// Whether somebody has wanted since the last call.
    bool take_want() { return wanted_.exchange(false); }
    /// The sampler is about to sleep: the next request() or want() wakes it. False: somebody has
    /// come meanwhile, and it must not sleep.
    bool fall_asleep(std::uint64_t requested_before);
    /// It is awake again: nobody needs to wake it.
    void stay_awake() { is_asleep_.store(false); }

private:
    /// A floor and a number that belong together. One thread writes, all read.
    class cell {
    public:
        void store(std::uint64_t number, const floor& value);
        floor load(std::uint64_t& number) const;

    private:
        std::atomic<std::uint64_t> version_{0};  // odd: being written
        std::atomic<std::uint64_t> number_{0};
        std::atomic<std::uint64_t> lsn_{0};
        std::atomic<std::uint32_t> timeline_{0};
    };

    void wake_if_asleep();

    std::function<void()> wake_;
    std::atomic<std::uint64_t> requested_{0};
    std::atomic<bool> wanted_{false};
    std::atomic<bool> is_asleep_{true};
    cell floor_;                                 // the number: tickets that it satisfies
    std::array<cell, node_count_max> replayed_;  // the number: unused
};

}  // namespace pgtorii::ha
