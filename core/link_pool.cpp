#include "core/link_pool.hpp"

#include "core/base/always_assert.hpp"

#include <algorithm>

namespace pgtorii::core {

// Links are never destroyed under the mutex: their destructor comes back for it.

link_pool::~link_pool()
{
    drop_all();
    always_assert(
        std::ranges::all_of(link_counts_, [](const auto& each) { return each.second == 0; }));
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
    }
    return found;
}

bool link_pool::take_turn(waiting_session& who)
{
    const std::lock_guard guard{mutex_};
    if (turn_count_ < link_count_max_ && queue_.empty()) {
        ++turn_count_;
        return true;
    }
    who.place = queue_.insert(queue_.end(), &who);
    waiter_count_.store(queue_.size(), std::memory_order_relaxed);
    who.is_queued = true;
    return false;
}

void link_pool::return_turn()
{
    const std::lock_guard guard{mutex_};
    always_assert(turn_count_ > 0);
    if (queue_.empty()) {
        --turn_count_;
        return;
    }
    auto* const next = queue_.front();
    queue_.pop_front();
    waiter_count_.store(queue_.size(), std::memory_order_relaxed);
    next->is_queued = false;
    next->granted();
}

bool link_pool::leave_queue(waiting_session& who)
{
    const std::lock_guard guard{mutex_};
    if (!who.is_queued) return false;
    queue_.erase(who.place);
    waiter_count_.store(queue_.size(), std::memory_order_relaxed);
    who.is_queued = false;
    return true;
}

link_pool::look_up_turn link_pool::take_look_up_turn()
{
    const std::lock_guard guard{mutex_};
    if (turn_count_ < link_count_max_ && queue_.empty()) {
        ++turn_count_;
        return look_up_turn::session;
    }
    if (extra_turn_count_ == extra_turn_count_max) return look_up_turn::none;
    ++extra_turn_count_;
    return look_up_turn::extra;
}

void link_pool::return_look_up_turn(look_up_turn which)
{
    if (which == look_up_turn::session) return_turn();
    if (which != look_up_turn::extra) return;
    const std::lock_guard guard{mutex_};
    always_assert(extra_turn_count_ > 0);
    --extra_turn_count_;
}

std::size_t link_pool::count_ahead_of(const waiting_session& who) const
{
    const std::lock_guard guard{mutex_};
    const auto found = std::ranges::find(queue_, &who);
    return static_cast<std::size_t>(std::distance(queue_.begin(), found));
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
        if (count >= link_count_max_) closed_for_it = oldest_parked(node);
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
    if (link_counts_[link->node()] > link_count_max_) {
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

void link_pool::expire(clock::time_point now, std::chrono::seconds life_time)
{
    link_list expired;  // declared before the guard, so destroyed after it
    const std::lock_guard guard{mutex_};
    for (auto each = pools_.begin(); each != pools_.end();) {
        auto& present = *each->second;
        for (auto& [node, links] : present.parked) {
            while (life_time.count() > 0 && !links.empty() &&
                   links.front()->returned_at + life_time <= now) {
                expired.push_back(std::move(links.front()));
                links.pop_front();
            }
        }
        const bool is_unused = present.link_count == 0 && each->second.use_count() == 1;
        each = is_unused ? pools_.erase(each) : std::next(each);
    }
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
    return queue_.size();
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
