#pragma once

#include "core/link_pool.hpp"
#include "core/runtime/event_set.hpp"

#include <atomic>
#include <cstddef>
#include <functional>
#include <list>
#include <memory>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace pgtorii::core {

/// The turns, with their links, that no session of a worker needs at the moment: where sessions
/// share links, the next transaction of the same pool on this worker takes one without a lock, a
/// system call or a look at the socket, since the links stay under watch. Whoever waits for a turn
/// on any worker has them released; so has the sweep, when nobody has wanted them for a while.
///
/// One worker's; only `count` is for others.
class idle_leases {
public:
    idle_leases(link_pool& owner, int worker, runtime::ready_list& ready);
    ~idle_leases();
    idle_leases(const idle_leases&) = delete;
    idle_leases& operator=(const idle_leases&) = delete;

    /// Keeps a turn of `of` and its links: at least one, each fit to be parked, watched here. Where
    /// somebody waits for a turn, it goes there instead.
    void put(pool& of, link_list&& links, clock::time_point now);
    /// Gives one of this pool, with its turn, whose links are watched by nobody yet; preferably one
    /// whose links have these settings. Empty: there is none.
    link_list take(const pool& of, const session_settings::link_settings_ptr& settings);

    /// Gives back the longest unused one. False: there is none.
    bool release_oldest();
    void release_all();
    /// Those of one pool: somebody needs a parked link of it.
    void release_pool(const pool& of);
    /// Those that nobody has wanted since `then`.
    void release_unused_since(clock::time_point then);
    /// Closes the links for which `is_wrong`, and gives back turns that are left without one.
    void drop_if(const std::function<bool(const server_link&)>& is_wrong);

    /// How many there are. Any thread; see link_pool::has_waiters.
    std::size_t count() const { return count_.load(std::memory_order_seq_cst); }

private:
    struct lease {
        pool* of = nullptr;  // alive as long as there are links
        link_list links;
        clock::time_point since;
    };
    using lease_list = std::list<lease>;

    void release(lease_list::iterator which);
    link_list remove(lease_list::iterator which);

    link_pool& owner_;
    const int worker_;
    runtime::event_set nobody_;
    lease_list leases_;  // the newest at the back
    lease_list spare_;   // nodes to be used again
    std::unordered_map<const pool*, std::vector<lease_list::iterator>> by_pool_;
    std::atomic<std::size_t> count_{0};
};

}  // namespace pgtorii::core
