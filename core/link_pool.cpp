#include "core/link_pool.hpp"

#include "core/base/always_assert.hpp"
#include "protocol/startup.hpp"

#include <algorithm>

namespace pgtorii::core {

// Links are never destroyed under the mutex: their destructor comes back for it.

link_pool::link_pool(turn_limits limits) : limits_(std::move(limits))
{
    bound_turns();
}

link_pool::~link_pool()
{
    drop_all();
    always_assert(
        std::ranges::all_of(link_counts_, [](const auto& each) { return each.second == 0; }));
}

std::shared_ptr<turn_group>&
link_pool::group_of(std::unordered_map<std::string, std::shared_ptr<turn_group>>& groups,
                    const std::unordered_map<std::string, std::size_t>& limits,
                    const std::string& name)
{
    auto& found = groups[name];
    if (!found) {
        const auto limit = limits.find(name);
        found = std::make_shared<turn_group>(
            turn_group{.count_max = limit == limits.end() ? 0 : limit->second});
    }
    return found;
}

std::shared_ptr<pool> link_pool::find(std::string_view key, std::string_view user,
                                      std::string_view database)
{
    const std::lock_guard guard{mutex_};
    auto& found = pools_[std::string{key}];
    if (!found) {
        found = std::make_shared<pool>();
        found->key = key;
        found->user = user;
        found->database = database;
        found->application_name = protocol::startup_value(key, "application_name");
        found->of_user = group_of(users_, limits_.of_users, found->user);
        found->of_database = group_of(databases_, limits_.of_databases, found->database);
    }
    return found;
}

void link_pool::set_limits(const turn_limits& limits)
{
    const std::lock_guard guard{mutex_};
    // The rest is bound to the servers' own limits, and needs a restart.
    limits_.queue_count_max = limits.queue_count_max;
    limits_.of_users = limits.of_users;
    limits_.of_databases = limits.of_databases;
    limits_.of_nodes = limits.of_nodes;
    bound_turns();
    const auto apply = [](auto& groups, const auto& wanted) {
        for (auto& [name, group] : groups) {
            const auto limit = wanted.find(name);
            group->count_max = limit == wanted.end() ? 0 : limit->second;
        }
    };
    apply(users_, limits_.of_users);
    apply(databases_, limits_.of_databases);
    grant_free_turns(-1);
}

void link_pool::set_primary(int node)
{
    const std::lock_guard guard{mutex_};
    primary_ = node;
    bound_turns();
    grant_free_turns(-1);
}

/// How many links a node may have.
std::size_t link_pool::link_limit_of(int node) const
{
    const auto own = limits_.of_nodes.find(node);
    return own == limits_.of_nodes.end() ? limits_.count_max
                                         : std::min(own->second, limits_.count_max);
}

/// A turn must not be worth nothing: who has one gets a link to the primary. Extra turns of
/// look-ups are within a limit of the node's own, or they would take a session's last link.
void link_pool::bound_turns()
{
    turn_count_max_ = limits_.count_max;
    if (!limits_.of_nodes.contains(primary_)) return;
    const auto limit = limits_.of_nodes.at(primary_);
    const auto less = limit > extra_turn_count_max ? limit - extra_turn_count_max : 1;
    turn_count_max_ = std::min(turn_count_max_, less);
}

bool link_pool::has_turn_for(const pool& of) const
{
    return turn_count_ < turn_count_max_ && of.turn_count < limits_.count_max_of_pool &&
           !of.of_user->is_full() && !of.of_database->is_full();
}

void link_pool::count_turn(pool& of, int by)
{
    always_assert(by > 0 || (turn_count_ > 0 && of.turn_count > 0));
    const auto more = static_cast<std::size_t>(by);
    turn_count_ += more;
    of.turn_count += more;
    of.of_user->count += more;
    of.of_database->count += more;
}

bool link_pool::take_turn(const std::shared_ptr<pool>& of)
{
    const std::lock_guard guard{mutex_};
    // Waiters whom limits of their own hold back don't hold back others.
    if (!of->queue.empty() || !has_turn_for(*of) || next_waiter(nullptr, -1)) return false;
    count_turn(*of, 1);
    return true;
}

link_pool::turn link_pool::take_turn_or_queue(waiting_session& who)
{
    const std::lock_guard guard{mutex_};
    auto& of = *who.of;
    if (of.queue.empty() && has_turn_for(of) && !next_waiter(nullptr, -1)) {
        count_turn(of, 1);
        return turn::taken;
    }
    const auto waiting = waiter_count_.load(std::memory_order_relaxed);
    if (limits_.queue_count_max > 0 && waiting >= limits_.queue_count_max) return turn::refused;
    if (of.queue.empty()) waited_for_.push_back(&of);
    who.place = of.queue.insert(of.queue.end(), &who);
    who.is_queued.store(true, std::memory_order_relaxed);
    waiter_count_.fetch_add(1, std::memory_order_seq_cst);
    return turn::queued;
}

/// Who gets a turn that becomes free: whoever has waited longest of those that may have one; on
/// `worker`, one of the same pool (if any is named) is preferred within bounds, since its link
/// needn't move.
waiting_session* link_pool::next_waiter(const pool* of, int worker) const
{
    waiting_session* oldest = nullptr;
    for (const auto* each : waited_for_) {
        auto* const front = each->queue.front();
        if ((!oldest || front->since < oldest->since) && has_turn_for(*each)) oldest = front;
    }
    if (!oldest || (oldest->worker == worker && oldest->of.get() == of)) return oldest;
    if (!of || !has_turn_for(*of)) return oldest;
    for (auto* const each : of->queue) {
        if (each->since > oldest->since + local_preference) break;
        if (each->worker == worker) return each;
    }
    return oldest;
}

void link_pool::leave(waiting_session& who)
{
    auto& of = *who.of;
    of.queue.erase(who.place);
    if (of.queue.empty()) std::erase(waited_for_, &of);
    waiter_count_.fetch_sub(1, std::memory_order_seq_cst);
}

void link_pool::grant(waiting_session& who, int worker)
{
    leave(who);
    count_turn(*who.of, 1);
    who.granted(who.worker == worker);
    // The last that is done with it: from here on its session may destroy it, without the mutex.
    who.is_queued.store(false, std::memory_order_release);
}

/// One turn that was given back may let several on: those of a user or database with room again.
void link_pool::grant_free_turns(int worker)
{
    while (auto* const next = next_waiter(nullptr, worker)) grant(*next, worker);
}

void link_pool::return_turn(pool& of, int worker, link_list&& links, clock::time_point now)
{
    {
        const std::lock_guard guard{mutex_};
        count_turn(of, -1);
        if (links.empty()) return grant_free_turns(worker);
        auto* const next = next_waiter(&of, worker);
        if (next && next->worker == worker && next->of.get() == &of) {
            next->links = std::move(links);
            grant(*next, worker);
            return grant_free_turns(worker);
        }
        // Its links are still in use: nobody may take the turn before they are parked.
        count_turn(of, 1);
    }
    for (auto& each : links) put(std::move(each), now);
    links.clear();
    const std::lock_guard guard{mutex_};
    count_turn(of, -1);
    grant_free_turns(worker);
}

bool link_pool::leave_queue(waiting_session& who)
{
    if (!who.is_queued.load(std::memory_order_acquire)) return false;
    const std::lock_guard guard{mutex_};
    if (!who.is_queued.load(std::memory_order_relaxed)) return false;
    leave(who);
    who.is_queued.store(false, std::memory_order_relaxed);
    return true;
}

bool link_pool::is_queued(const waiting_session& who) const
{
    if (!who.is_queued.load(std::memory_order_acquire)) return false;
    // It may be in the middle of being granted.
    const std::lock_guard guard{mutex_};
    return who.is_queued.load(std::memory_order_relaxed);
}

link_pool::look_up_turn link_pool::take_look_up_turn(pool& of)
{
    const std::lock_guard guard{mutex_};
    if (has_turn_for(of) && waited_for_.empty()) {
        count_turn(of, 1);
        return look_up_turn::session;
    }
    if (extra_turn_count_ == extra_turn_count_max) return look_up_turn::none;
    ++extra_turn_count_;
    return look_up_turn::extra;
}

void link_pool::return_look_up_turn(pool& of, int worker, look_up_turn which)
{
    if (which == look_up_turn::session) return return_turn(of, worker);
    if (which != look_up_turn::extra) return;
    const std::lock_guard guard{mutex_};
    always_assert(extra_turn_count_ > 0);
    --extra_turn_count_;
}

std::size_t link_pool::count_ahead_of(const waiting_session& who) const
{
    const std::lock_guard guard{mutex_};
    std::size_t count = 0;
    for (const auto* each : who.of->queue) {
        if (each == &who) break;
        ++count;
    }
    return count;
}

std::unique_ptr<server_link> link_pool::take(pool& from, int node)
{
    for (;;) {
        std::unique_ptr<server_link> link;
        {
            const std::lock_guard guard{mutex_};
            const auto found = from.parked.find(node);
            if (found == from.parked.end() || found->second.empty()) return nullptr;
            // The newest: its server process is the warmest, and the oldest may expire.
            link = std::move(found->second.back());
            found->second.pop_back();
        }
        if (runtime::is_silent(link->parked_fd())) return link;
    }
}

std::unique_ptr<server_link> link_pool::oldest_parked(int node)
{
    std::deque<std::unique_ptr<server_link>>* oldest = nullptr;
    for (auto& [key, each] : pools_) {
        const auto found = each->parked.find(node);
        if (found == each->parked.end() || found->second.empty()) continue;
        if (!oldest || found->second.front()->returned_at < oldest->front()->returned_at) {
            oldest = &found->second;
        }
    }
    if (!oldest) return nullptr;
    auto link = std::move(oldest->front());
    oldest->pop_front();
    return link;
}

std::unique_ptr<server_link> link_pool::make(const std::shared_ptr<pool>& home, int node)
{
    std::unique_ptr<server_link> closed_for_it;
    {
        const std::lock_guard guard{mutex_};
        auto& count = link_counts_[node];
        const auto limit = link_limit_of(node);
        if (count >= limit) closed_for_it = oldest_parked(node);
        if (count >= limit && !closed_for_it && limits_.of_nodes.contains(node)) return nullptr;
        // The closed one is still counted until it is destroyed below, so the count may pass its
        // limit by this one.
        ++count;
        ++home->link_count;
    }
    return std::make_unique<server_link>(*this, home, node);
}

void link_pool::put(std::unique_ptr<server_link> link, clock::time_point now)
{
    link->park();
    link->returned_at = now;
    std::unique_ptr<server_link> surplus;  // declared before the guard, so destroyed after it
    const std::lock_guard guard{mutex_};
    if (link_counts_[link->node()] > link_limit_of(link->node())) {
        surplus = std::move(link);
        return;
    }
    link->home()->parked[link->node()].push_back(std::move(link));
}

void link_pool::set_welcome(pool& of, std::shared_ptr<const core::welcome> what)
{
    const std::lock_guard guard{mutex_};
    of.welcome = std::move(what);
}

std::shared_ptr<const core::welcome> link_pool::welcome_of(const pool& of) const
{
    const std::lock_guard guard{mutex_};
    return of.welcome;
}

void link_pool::expire(clock::time_point now, std::chrono::seconds life_time,
                       std::size_t kept_count)
{
    const auto is_old = [&](const server_link& link) {
        // By its own number, so that links of one moment go one after the other.
        constexpr unsigned steps = 100;
        const auto less = life_time * (link.backend_pid % steps) / (10 * steps);
        return life_time.count() > 0 && link.returned_at + life_time - less <= now;
    };
    link_list expired;  // declared before the guard, so destroyed after it
    const std::lock_guard guard{mutex_};
    for (auto each = pools_.begin(); each != pools_.end();) {
        auto& present = *each->second;
        for (auto& [node, links] : present.parked) {
            for (auto link = links.begin(); link != links.end() && links.size() > kept_count;) {
                if (!is_old(**link)) {
                    ++link;
                    continue;
                }
                expired.push_back(std::move(*link));
                link = links.erase(link);
            }
        }
        const bool is_unused = present.link_count == 0 && each->second.use_count() == 1;
        each = is_unused ? pools_.erase(each) : std::next(each);
    }
    const auto is_unused = [](const auto& group) { return group.second.use_count() == 1; };
    std::erase_if(users_, is_unused);
    std::erase_if(databases_, is_unused);
}

void link_pool::drop_node(int node)
{
    link_list dropped;
    const std::lock_guard guard{mutex_};
    for (auto& [key, each] : pools_) {
        const auto found = each->parked.find(node);
        if (found == each->parked.end()) continue;
        std::ranges::move(found->second, std::back_inserter(dropped));
        found->second.clear();
    }
}

void link_pool::drop_database(std::string_view database)
{
    link_list dropped;
    const std::lock_guard guard{mutex_};
    for (auto& [key, each] : pools_) {
        if (each->database != database) continue;
        for (auto& [node, links] : each->parked)
            std::ranges::move(links, std::back_inserter(dropped));
        each->parked.clear();
    }
}

void link_pool::drop_all()
{
    link_list dropped;
    const std::lock_guard guard{mutex_};
    for (auto& [key, each] : pools_) {
        for (auto& [node, links] : each->parked)
            std::ranges::move(links, std::back_inserter(dropped));
        each->parked.clear();
    }
}

std::size_t link_pool::turn_count() const
{
    const std::lock_guard guard{mutex_};
    return turn_count_;
}

std::size_t link_pool::waiting_count() const
{
    const std::lock_guard guard{mutex_};
    return waiter_count_.load(std::memory_order_relaxed);
}

std::size_t link_pool::link_count(int node) const
{
    const std::lock_guard guard{mutex_};
    const auto found = link_counts_.find(node);
    return found == link_counts_.end() ? 0 : found->second;
}

std::size_t link_pool::parked_count() const
{
    const std::lock_guard guard{mutex_};
    std::size_t count = 0;
    for (const auto& [key, each] : pools_) {
        for (const auto& [node, links] : each->parked) count += links.size();
    }
    return count;
}

std::vector<parked_link_facts> link_pool::parked_links() const
{
    std::vector<parked_link_facts> found;
    const std::lock_guard guard{mutex_};
    for (const auto& [key, each] : pools_) {
        for (const auto& [node, links] : each->parked) {
            for (const auto& link : links) {
                found.push_back({each->user, each->database, link->facts()});
            }
        }
    }
    return found;
}

void link_pool::forget(server_link& gone)
{
    const std::lock_guard guard{mutex_};
    auto& count = link_counts_[gone.node()];
    always_assert(count > 0 && gone.home()->link_count > 0);
    --count;
    if (--gone.home()->link_count == 0) gone.home()->welcome.reset();
}

}  // namespace pgtorii::core
