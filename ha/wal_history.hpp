#pragma once

#include "core/base/clock.hpp"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace pgtorii::ha {

/// When the primary was seen how far in its WAL. Tells how long a standby must at least be behind:
/// what the primary had written at a look, and the standby has not replayed now, is older than that
/// look. pg_stat_replication's replay_lag can't tell: it stands still, or is null, while nothing is
/// replayed.
class wal_history {
public:
    static constexpr std::size_t entry_count_max = 128;

    /// The primary was at `lsn`. `now` never goes back. A position behind an earlier one (another
    /// primary, another history) forgets what was before.
    void on_position(std::uint64_t lsn, clock::time_point now);
    /// For how long at least something that is not replayed at `lsn` had been there at `now`.
    clock::duration overdue(std::uint64_t lsn, clock::time_point now) const;
    void clear() { entries_.clear(); }

    std::size_t entry_count() const { return entries_.size(); }

private:
    struct entry {
        std::uint64_t lsn;
        clock::time_point seen;
    };

    void thin_out();

    std::vector<entry> entries_;  // by position, and so by time
};

}  // namespace pgtorii::ha
