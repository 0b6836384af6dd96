#pragma once

#include "core/server_link.hpp"

#include <array>
#include <atomic>
#include <chrono>
#include <deque>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace pgtorii::core {

/// An idle connection to these would block PostgreSQL's CREATE DATABASE: none is kept.
inline bool is_template_database(std::string_view database)
{
    return database == "template0" || database == "template1";
}

/// What a login answers to a client: the server's own, kept while the pool has a link.
struct welcome {
    std::vector<std::pair<std::string, std::string>> parameters;
};

/// The links of one user, database and set of start-up parameters. Guarded by the link_pool's
/// mutex.
struct pool {
    std::string key;  ///< The canonical start-up message: equal keys, equal sessions.
    std::string user;
    std::string database;
    std::size_t link_count = 0;  ///< Parked, leased and opening.
    std::unordered_map<int, std::deque<std::unique_ptr<server_link>>>
        parked;  ///< By node; the newest at the back.
    /// Set when a server let this user in without asking for anything. While it is there, a login
    /// needs no server.
    std::shared_ptr<const core::welcome> welcome;
};

/// A session in the queue for its turn. Its `granted` runs once, under the pool's mutex: it may
/// only post.
struct waiting_session {
    std::function<void()> granted;
    std::list<waiting_session*>::iterator place{};
    bool is_queued = false;
};

/// All links that no session holds, and the budget of links: num_init_children * max_pool for each
/// node.
///
/// A session first takes a *turn* (there are as many as a node may have links), waiting
/// first-in-first-out when all are taken, and gives it back at its end. With a turn, one link to
/// each node is its due: links in use at a node are never more than the turns, so a full node
/// always has a parked link to close in favour of a new one, and two sessions that each hold one
/// node's link and want the other's can't wait for each other. Look-ups in the catalog hold one
/// link and wait for nothing; those that use an extra turn may make `extra_turn_count_max` links
/// more than the budget for the moment.
///
/// Process-wide behind one mutex, held for a few map operations at a session's first statement and
/// at its end, never on the way of a query. Parked links are not watched by anybody: `take` looks
/// whether they are still silent.
class link_pool {
public:
    explicit link_pool(std::size_t link_count_max) : link_count_max_(link_count_max) {}
    ~link_pool();

    static constexpr std::size_t extra_turn_count_max = 2;

    std::size_t link_count_max() const { return link_count_max_; }

    /// The pool of `key`, made when it is not there.
    std::shared_ptr<pool> find(std::string_view key, std::string_view user,
                               std::string_view database);

    /// Takes a turn: true at once, or false: `who` is queued and will be told.
    bool take_turn(waiting_session& who);
    /// Gives it back; the first in the queue gets it.
    void return_turn();
    /// Leaves the queue. False: the turn has been granted meanwhile and is the caller's to return.
    bool leave_queue(waiting_session& who);
    /// For a look-up in the catalog, which never waits: a turn that is free now, or else one of
    /// `extra_turn_count_max` that sessions don't have, so that look-ups go on while all turns are
    /// taken. With it goes one link, and the look-up returns it by return_look_up_turn.
    enum class look_up_turn : std::uint8_t { none, session, extra };
    look_up_turn take_look_up_turn();
    void return_look_up_turn(look_up_turn which);
    /// Whether anybody stands in the queue; a look without the mutex, so it may be a moment old.
    bool has_waiters() const { return waiter_count_.load(std::memory_order_relaxed) > 0; }
    /// How many stand before `who`.
    std::size_t count_ahead_of(const waiting_session& who) const;

    /// A parked link of this pool and node that is alive, or null: the caller makes one.
    std::unique_ptr<server_link> take(pool& from, int node);
    /// A new, unconnected link, counted from now on. Needs a turn. A parked link of another pool
    /// may be closed for it.
    std::unique_ptr<server_link> make(const std::shared_ptr<pool>& home, int node);
    /// Parks a clean link. The caller has detached its session's state from it. Where the extra
    /// turns have made more links than there may be, it is closed instead.
    void put(std::unique_ptr<server_link> link, clock::time_point now);

    void set_welcome(pool& of, std::shared_ptr<const core::welcome> what);
    std::shared_ptr<const core::welcome> welcome_of(const pool& of) const;

    /// Closes links parked longer than `life_time` (zero: no limit), and pools that nobody uses.
    void expire(clock::time_point now, std::chrono::seconds life_time);
    /// Closes all parked links to a node that is down.
    void drop_node(int node);
    /// Closes all parked links to a database, so that it can be dropped.
    void drop_database(std::string_view database);
    /// Closes all parked links.
    void drop_all();

    /// Of all parked links, in no order. For SHOW.
    std::vector<parked_link_facts> parked_links() const;

    /// For tests and SHOW.
    std::size_t turn_count() const;
    std::size_t waiting_count() const;
    std::size_t link_count(int node) const;
    std::size_t parked_count() const;

private:
    friend class server_link;
    using link_list = std::vector<std::unique_ptr<server_link>>;

    /// For ~server_link.
    void forget(server_link& gone);
    std::unique_ptr<server_link> oldest_parked(int node);

    const std::size_t link_count_max_;
    mutable std::mutex mutex_;
    std::unordered_map<std::string, std::shared_ptr<pool>> pools_;
    std::unordered_map<int, std::size_t> link_counts_;  // by node
    std::size_t turn_count_ = 0;
    std::size_t extra_turn_count_ = 0;
    std::list<waiting_session*> queue_;
    std::atomic<std::size_t> waiter_count_{0};  // of queue_
};

}  // namespace pgtorii::core
