#pragma once

#include "core/base/clock.hpp"

#include <algorithm>
#include <chrono>
#include <optional>
#include <utility>

namespace pgtorii::ha {

/// When one server is looked at: first at once, then a pause after each look, and soon after a
/// session has reported trouble. Reports are bounded: however many come, looks that they ask for
/// begin at least `report_interval` after the begin of the look before.
class check_schedule {
public:
    static constexpr clock::duration report_interval = std::chrono::milliseconds(100);

    /// When the next look is due; `pause` as cluster_state tells it now. time_point::max(): not
    /// until a report. Not while a look is under way.
    clock::time_point due(std::optional<clock::duration> pause) const
    {
        if (!was_begun_) return clock::time_point::min();
        const auto by_pause = pause ? ended_ + *pause : clock::time_point::max();
        return is_reported_ ? std::min(begun_ + report_interval, by_pause) : by_pause;
    }

    /// A session has seen trouble. One that comes during a look asks for another one: that look may
    /// have begun before.
    void on_report() { is_reported_ = true; }

    /// A look begins. Whether a report asked for it.
    bool begin(clock::time_point now)
    {
        begun_ = now;
        was_begun_ = true;
        return std::exchange(is_reported_, false);
    }
    void end(clock::time_point now) { ended_ = now; }

private:
    clock::time_point begun_{};
    clock::time_point ended_{};
    bool was_begun_ = false;
    bool is_reported_ = false;
};

}  // namespace pgtorii::ha
