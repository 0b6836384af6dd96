#include "core/idle_leases.hpp"

#include "core/base/always_assert.hpp"

#include <algorithm>
#include <ranges>
#include <utility>

namespace pgtorii::core {

namespace {

/// How many of a pool are looked at for links with the wanted settings.
constexpr std::size_t look_count_max = 8;

bool has_settings(const link_list& links, const session_settings::link_settings_ptr& wanted)
{
    return std::ranges::all_of(links, [&wanted](const auto& link) {
        return session_settings::are_equal(link->settings, wanted);
    });
}

}  // namespace

idle_leases::idle_leases(link_pool& owner, int worker, runtime::ready_list& ready)
    : owner_(owner),
      worker_(worker),
      nobody_(ready)
{
}

idle_leases::~idle_leases()
{
    release_all();
}

void idle_leases::put(pool& of, link_list&& links, clock::time_point now)
{
    always_assert(!links.empty());
    if (owner_.has_waiters()) return owner_.return_turn(of, worker_, std::move(links), now);
    for (const auto& each : links) {
        each->transport.watch_for(nobody_, 0, 0);
        each->returned_at = now;
    }
    if (spare_.empty()) {
        leases_.emplace_back();
    } else {
        leases_.splice(leases_.end(), spare_, spare_.begin());
    }
    auto& made = leases_.back();
    made.of = &of;
    made.links = std::move(links);
    made.since = now;
    by_pool_[&of].push_back(std::prev(leases_.end()));
    count_.store(leases_.size(), std::memory_order_seq_cst);
    if (owner_.has_waiters()) release_all();
}

link_list idle_leases::take(const pool& of, const session_settings::link_settings_ptr& settings)
{
    for (;;) {
        const auto found = by_pool_.find(&of);
        if (found == by_pool_.end() || found->second.empty()) return {};
        const auto& present = found->second;
        // The newest: its server process is the warmest, and the oldest may be given back.
        auto chosen = present.back();
        std::size_t looked = 0;
        for (const auto each : std::views::reverse(present)) {
            if (looked++ == look_count_max) break;
            if (!has_settings(each->links, settings)) continue;
            chosen = each;
            break;
        }
        auto links = remove(chosen);
        const auto home = links.front()->home();
        // A link that has something to say (a FATAL, the end) is of no use to anybody.
        std::erase_if(links, [](const auto& link) {
            return link->transport.is_readable() || link->transport.has_hung_up();
        });
        if (!links.empty()) return links;
        owner_.return_turn(*home, worker_);
    }
}

/// Takes it out of the books.
link_list idle_leases::remove(lease_list::iterator which)
{
    auto& present = by_pool_.find(which->of)->second;
    if (present.back() == which) {
        present.pop_back();
    } else {
        std::erase(present, which);
    }
    // An empty entry stays until the sweep, so that a busy pool allocates nothing.
    spare_.splice(spare_.begin(), leases_, which);
    count_.store(leases_.size(), std::memory_order_seq_cst);
    return std::move(which->links);
}

void idle_leases::release(lease_list::iterator which)
{
    const auto since = which->since;
    auto links = remove(which);
    const auto home = links.front()->home();
    owner_.return_turn(*home, worker_, std::move(links), since);
}

bool idle_leases::release_oldest()
{
    if (leases_.empty()) return false;
    release(leases_.begin());
    return true;
}

void idle_leases::release_all()
{
    while (release_oldest()) {
    }
    by_pool_.clear();
    spare_.clear();
}

void idle_leases::release_pool(const pool& of)
{
    for (auto found = by_pool_.find(&of); found != by_pool_.end() && !found->second.empty();
         found = by_pool_.find(&of)) {
        release(found->second.front());
    }
}

void idle_leases::release_unused_since(clock::time_point then)
{
    while (!leases_.empty() && leases_.front().since <= then) release_oldest();
    std::erase_if(by_pool_, [](const auto& each) { return each.second.empty(); });
    spare_.clear();
}

void idle_leases::drop_if(const std::function<bool(const server_link&)>& is_wrong)
{
    for (auto each = leases_.begin(); each != leases_.end();) {
        const auto which = each++;
        if (std::ranges::none_of(which->links, [&](const auto& link) { return is_wrong(*link); }))
            continue;
        const auto since = which->since;
        auto links = remove(which);
        const auto home = links.front()->home();
        std::erase_if(links, [&](const auto& link) { return is_wrong(*link); });
        owner_.return_turn(*home, worker_, std::move(links), since);
    }
}

}  // namespace pgtorii::core
