#include "core/runtime/deadlines.hpp"

#include <algorithm>

namespace pgtorii::runtime {

void deadlines::arm(deadline& which, clock::duration length, clock::time_point now)
{
    which.disarm();
    which.due_ = now + length;
    auto found = std::ranges::find(rows_, length, &row::length);
    if (found == rows_.end()) {
        // A length that went out of use (a reload, a computed wait) leaves its row when that is
        // empty.
        std::erase_if(rows_, [](const row& each) { return each.waiting.empty(); });
        found = rows_.emplace(rows_.end());
        found->length = length;
    }
    found->waiting.push_back(which);
}

std::optional<clock::time_point> deadlines::next() const
{
    std::optional<clock::time_point> earliest;
    for (const auto& each : rows_) {
        if (each.waiting.empty()) continue;
        const auto due = each.waiting.front().due_;
        if (!earliest || due < *earliest) earliest = due;
    }
    return earliest;
}

void deadlines::expire(clock::time_point now)
{
    for (auto& each : rows_) {
        while (!each.waiting.empty() && each.waiting.front().due_ <= now) {
            auto& due = each.waiting.front();
            due.disarm();
            due.target_.raise(due.bit_);
        }
    }
}

}  // namespace pgtorii::runtime
