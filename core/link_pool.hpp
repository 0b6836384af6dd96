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

using link_list = std::vector<std::unique_ptr<server_link>>;

struct waiting_session;

/// The turns of one user, or of one database, over all their pools. Guarded as a pool is.
struct turn_group {
    std::size_t count = 0;
    std::size_t count_max = 0;  ///< Zero: no limit of its own.
    bool is_full() const { return count_max > 0 && count >= count_max; }
};

/// The links of one user, database and set of start-up parameters. Guarded by the link_pool's
/// mutex.
struct pool {
    std::string key;  ///< The canonical start-up message: equal keys, equal sessions.
    std::string user;
    std::string database;
    std::string application_name;  ///< Of the start-up message: what redirect lists look at.
    std::size_t link_count = 0;    ///< Parked, leased and opening.
    std::unordered_map<int, std::deque<std::unique_ptr<server_link>>>
        parked;  ///< By node; the newest at the back.
    /// Set when a server let this user in without asking for anything. While it is there, a login
    /// needs no server.
    std::shared_ptr<const core::welcome> welcome;

    std::size_t turn_count = 0;
    std::shared_ptr<turn_group> of_user;
    std::shared_ptr<turn_group> of_database;
    std::list<waiting_session*> queue;  ///< The sessions that wait for a turn of it, in order.
};

/// A session in the queue for its turn.
struct waiting_session {
    std::shared_ptr<pool> of;
    int worker = 0;             ///< That of the session.
    clock::time_point since{};  ///< When it began to wait.
    /// Runs once, under the pool's mutex. `is_here`: on the session's own worker; else it may only
    /// post.
    std::function<void(bool is_here)> granted;
    /// What came with the turn: links of its pool, watched on its worker by nobody.
    link_list links;
    std::list<waiting_session*>::iterator place{};
    /// False once a turn was granted, and then nobody but the session itself has to do with this.
    std::atomic<bool> is_queued{false};
};

/// How many turns there may be.
struct turn_limits {
    std::size_t count_max = 1;          ///< num_init_children * max_pool: links of a node.
    std::size_t count_max_of_pool = 1;  ///< num_init_children
    std::size_t queue_count_max = 0;    ///< Who may wait; zero: everybody.
    /// Those of some users and databases, by name.
    std::unordered_map<std::string, std::size_t> of_users{};
    std::unordered_map<std::string, std::size_t> of_databases{};
    /// Links of single nodes, by id.
    std::unordered_map<int, std::size_t> of_nodes{};
};

/// All links that no session holds, and the budget of links: num_init_children * max_pool for each
/// node.
///
/// A session first takes a *turn* (there are as many as a node may have links, and fewer for one
/// pool, user or database), waiting first-in-first-out when all are taken, and gives it back at its
/// end. With a turn, one link to each node is its due: links in use at a node are never more than
/// the turns, so a full node always has a parked link to close in favour of a new one, and two
/// sessions that each hold one node's link and want the other's can't wait for each other. Look-ups
/// in the catalog hold one link and wait for nothing; those that use an extra turn may make
/// `extra_turn_count_max` links more than the budget for the moment.
///
/// Process-wide behind one mutex, held for a few map operations. Where sessions share links, their
/// workers keep turns and links between two transactions (idle_leases) and come here only when
/// somebody waits. Parked links are not watched by anybody: `take` looks whether they are still
/// silent.
class link_pool {
public:
    explicit link_pool(turn_limits limits);
    ~link_pool();

    static constexpr std::size_t extra_turn_count_max = 2;

    /// A waiter on another worker goes first when it has waited so much longer than those here.
    static constexpr std::chrono::milliseconds local_preference{5};

    std::size_t link_count_max() const { return limits_.count_max; }
    /// New limits of users, databases and nodes; turns and links above them are not called back.
    void set_limits(const turn_limits& limits);
    /// Each turn may need a link to this node: there are no more turns than it has links for.
    /// Negative: there is no primary.
    void set_primary(int node);

    /// The pool of `key`, made when it is not there.
    std::shared_ptr<pool> find(std::string_view key, std::string_view user,
                               std::string_view database);

    /// Takes a turn of `of`, if one is free and nobody waits for it.
    bool take_turn(const std::shared_ptr<pool>& of);
    enum class turn : std::uint8_t { taken, queued, refused };
    /// The same; or `who` is queued and will be told; or as many are queued as may be.
    turn take_turn_or_queue(waiting_session& who);
    /// Gives a turn of `of` back, on `worker`; the next in the queue gets it. `links`: what is held
    /// with it, all fit to be parked; they go along to a session of the same pool and worker, or
    /// are parked.
    void return_turn(pool& of, int worker, link_list&& links = {}, clock::time_point now = {});
    /// Leaves the queue. False: the turn has been granted meanwhile and is the caller's to return.
    bool leave_queue(waiting_session& who);
    bool is_queued(const waiting_session& who) const;
    /// For a look-up in the catalog, which never waits: a turn that is free now, or else one of
    /// `extra_turn_count_max` that sessions don't have, so that look-ups go on while all turns are
    /// taken. With it goes one link, and the look-up returns it by return_look_up_turn.
    enum class look_up_turn : std::uint8_t { none, session, extra };
    look_up_turn take_look_up_turn(pool& of);
    void return_look_up_turn(pool& of, int worker, look_up_turn which);
    /// Whether anybody stands in the queue; a look without the mutex. Who keeps a turn idle looks
    /// after it has told so (idle_leases), and who waits looks at the idle ones after it has
    /// queued: one of them sees the other.
    bool has_waiters() const { return waiter_count_.load(std::memory_order_seq_cst) > 0; }
    /// How many stand before `who` in the queue of its pool.
    std::size_t count_ahead_of(const waiting_session& who) const;

    /// A parked link of this pool and node that is alive, or null: the caller makes one.
    std::unique_ptr<server_link> take(pool& from, int node);
    /// A new, unconnected link, counted from now on. Needs a turn. A parked link of another pool
    /// may be closed for it. Null: the node has a limit of its own, and all its links are in use.
    std::unique_ptr<server_link> make(const std::shared_ptr<pool>& home, int node);
    /// Parks a clean link. The caller has detached its session's state from it. Where the extra
    /// turns have made more links than there may be, it is closed instead.
    void put(std::unique_ptr<server_link> link, clock::time_point now);

    void set_welcome(pool& of, std::shared_ptr<const core::welcome> what);
    std::shared_ptr<const core::welcome> welcome_of(const pool& of) const;

    /// Closes links parked longer than `life_time` (zero: no limit), a tenth less for some so that
    /// they don't all go at once, but keeps the newest `kept_count` of each pool and node; and
    /// pools that nobody uses.
    void expire(clock::time_point now, std::chrono::seconds life_time, std::size_t kept_count = 0);
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

    /// For ~server_link.
    void forget(server_link& gone);
    std::unique_ptr<server_link> oldest_parked(int node);
    static std::shared_ptr<turn_group>&
    group_of(std::unordered_map<std::string, std::shared_ptr<turn_group>>& groups,
             const std::unordered_map<std::string, std::size_t>& limits, const std::string& name);
    bool has_turn_for(const pool& of) const;
    std::size_t link_limit_of(int node) const;
    void bound_turns();
    void count_turn(pool& of, int by);
    waiting_session* next_waiter(const pool* of, int worker) const;
    void leave(waiting_session& who);
    void grant_free_turns(int worker);
    void grant(waiting_session& who, int worker);

    turn_limits limits_;
    mutable std::mutex mutex_;
    std::unordered_map<std::string, std::shared_ptr<pool>> pools_;
    std::unordered_map<std::string, std::shared_ptr<turn_group>> users_;
    std::unordered_map<std::string, std::shared_ptr<turn_group>> databases_;
    std::unordered_map<int, std::size_t> link_counts_;  // by node
    int primary_ = -1;
    std::size_t turn_count_max_ = 1;  // limits_.count_max, or what the primary has links for
    std::size_t turn_count_ = 0;
    std::size_t extra_turn_count_ = 0;
    std::vector<pool*> waited_for_;  // pools with a queue
    std::atomic<std::size_t> waiter_count_{0};
};

}  // namespace pgtorii::core
