#pragma once

#include "core/base/clock.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <unordered_map>
#include <utility>

namespace pgtorii::routing {

/// Statements that a standby has refused because they write, by fingerprint: they go to the primary
/// at once. Bounded: the oldest is forgotten first. One for each worker, used by its thread only.
class repair_memory {
public:
    bool is_empty() const { return expiry_.empty(); }

    bool contains(std::uint64_t fingerprint, clock::time_point now) const
    {
        const auto found = expiry_.find(fingerprint);
        return found != expiry_.end() && now < found->second;
    }

    /// `life_time` zero: for ever. `count_max` zero: nothing is remembered.
    void remember(std::uint64_t fingerprint, clock::time_point now, std::chrono::seconds life_time,
                  std::size_t count_max)
    {
        const auto until = life_time.count() > 0 ? now + life_time : clock::time_point::max();
        if (count_max == 0) return;
        const auto [place, is_new] = expiry_.insert_or_assign(fingerprint, until);
        if (is_new) order_.push_back(fingerprint);
        while (order_.size() > count_max) {
            expiry_.erase(order_.front());
            order_.pop_front();
        }
    }

private:
    std::unordered_map<std::uint64_t, clock::time_point> expiry_;
    std::deque<std::uint64_t> order_;  // oldest first
};

}  // namespace pgtorii::routing
