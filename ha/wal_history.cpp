#include "ha/wal_history.hpp"

#include <algorithm>

namespace pgtorii::ha {

void wal_history::on_position(std::uint64_t lsn, clock::time_point now)
{
    if (lsn == 0) return;  // not known
    if (!entries_.empty() && lsn < entries_.back().lsn) entries_.clear();
    if (!entries_.empty() && lsn == entries_.back().lsn) return;  // the first look counts
    if (entries_.size() == entry_count_max) thin_out();
    entries_.push_back({.lsn = lsn, .seen = now});
}

clock::duration wal_history::overdue(std::uint64_t lsn, clock::time_point now) const
{
    const auto missed = std::ranges::upper_bound(entries_, lsn, {}, &entry::lsn);
    if (missed == entries_.end() || missed->seen >= now) return clock::duration::zero();
    return now - missed->seen;
}

/// Halves the older half: a standby that is far behind is told a little less than the truth.
void wal_history::thin_out()
{
    std::vector<entry> kept;
    kept.reserve(entry_count_max);
    for (std::size_t i = 0; i < entries_.size(); ++i) {
        if (i >= entries_.size() / 2 || i % 2 == 0) kept.push_back(entries_[i]);
    }
    entries_ = std::move(kept);
}

}  // namespace pgtorii::ha
