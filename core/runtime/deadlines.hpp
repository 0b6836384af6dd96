#pragma once

#include "core/base/clock.hpp"
#include "core/runtime/event_set.hpp"

#include <boost/intrusive/list.hpp>

#include <list>
#include <optional>

namespace pgtorii::runtime {

/// A deadline of a session: raises a bit when it passes. Armed and disarmed without allocation or
/// system call.
class deadline : public boost::intrusive::list_base_hook<
                     boost::intrusive::link_mode<boost::intrusive::auto_unlink>> {
public:
    deadline(event_set& target, std::uint32_t bit) : target_(target), bit_(bit) {}

    bool is_armed() const { return is_linked(); }
    void disarm()
    {
        if (is_linked()) unlink();
    }

private:
    friend class deadlines;
    event_set& target_;
    std::uint32_t bit_;
    clock::time_point due_{};
};

/// The deadlines of one worker. Those of one length stand in one FIFO list, so that arming is a
/// push at the end and the earliest is among the few fronts; an idle worker with nothing armed
/// never wakes.
class deadlines {
public:
    /// Arms `which` (again, if it was armed) for `now + length`.
    void arm(deadline& which, clock::duration length, clock::time_point now);

    /// The earliest one armed, if any.
    std::optional<clock::time_point> next() const;

    /// Raises the bits of all that are due.
    void expire(clock::time_point now);

private:
    struct row {
        clock::duration length;
        boost::intrusive::list<deadline, boost::intrusive::constant_time_size<false>> waiting;
    };
    std::list<row> rows_;  // one for each length in use: a handful
};

}  // namespace pgtorii::runtime
