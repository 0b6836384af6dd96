#include "ha/causal_board.hpp"

#include "core/base/always_assert.hpp"

namespace pgtorii::ha {

// Version, values, version. A reader that sees a value of a newer writing sees, by the release and
// acquire on that value, the odd version before it too, and reads again.
void causal_board::cell::store(std::uint64_t number, const floor& value)
{
    const auto version = version_.load(std::memory_order_relaxed);
    version_.store(version + 1, std::memory_order_relaxed);
    number_.store(number, std::memory_order_release);
    lsn_.store(value.lsn, std::memory_order_release);
    timeline_.store(value.timeline, std::memory_order_release);
    version_.store(version + 2, std::memory_order_release);
}

causal_board::floor causal_board::cell::load(std::uint64_t& number) const
{
    for (;;) {
        const auto before = version_.load(std::memory_order_acquire);
        number = number_.load(std::memory_order_acquire);
        floor value;
        value.lsn = lsn_.load(std::memory_order_acquire);
        value.timeline = timeline_.load(std::memory_order_acquire);
        const auto after = version_.load(std::memory_order_relaxed);
        if (before == after && before % 2 == 0) return value;
    }
}

// request(), want() and fall_asleep() are sequentially consistent: either the sampler sees who has
// come, or who comes sees that it sleeps.
std::uint64_t causal_board::request()
{
    // A read-modify-write: what happened before this call happened before the sampler's load that
    // sees the ticket, and so before the question that it sends after that.
    const auto ticket = requested_.fetch_add(1) + 1;
    wake_if_asleep();
    return ticket;
}

void causal_board::want()
{
    if (!wanted_.load()) wanted_.store(true);
    wake_if_asleep();
}

void causal_board::wake_if_asleep()
{
    if (is_asleep_.load() && is_asleep_.exchange(false)) wake_();
}

std::optional<causal_board::floor> causal_board::floor_for(std::uint64_t ticket) const
{
    std::uint64_t covered = 0;
    const auto known = floor_.load(covered);
    if (known.timeline == 0 || covered < ticket) return std::nullopt;
    return known;
}

bool causal_board::is_current(const floor& known) const
{
    std::uint64_t covered = 0;
    return known.timeline != 0 && floor_.load(covered).timeline == known.timeline;
}

bool causal_board::has_replayed(int node, const floor& wanted) const
{
    if (node < 0 || static_cast<std::size_t>(node) >= node_count_max) return false;
    std::uint64_t unused = 0;
    const auto replayed = replayed_[static_cast<std::size_t>(node)].load(unused);
    return replayed.timeline == wanted.timeline && replayed.lsn >= wanted.lsn && is_current(wanted);
}

void causal_board::publish_floor(std::uint64_t covered, const floor& known)
{
    floor_.store(covered, known);
}

void causal_board::forget_floors()
{
    floor_.store(0, {});
}

void causal_board::publish_position(int node, const floor& replayed)
{
    always_assert(node >= 0 && static_cast<std::size_t>(node) < node_count_max);
    replayed_[static_cast<std::size_t>(node)].store(0, replayed);
}

bool causal_board::fall_asleep(std::uint64_t requested_before)
{
    is_asleep_.store(true);
    if (requested_.load() == requested_before && !wanted_.load()) return true;
    // Whoever came may have woken us already: then this changes nothing, and a wake-up that is
    // under way finds us awake.
    is_asleep_.store(false);
    return false;
}

}  // namespace pgtorii::ha
