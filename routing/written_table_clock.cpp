#include "routing/written_table_clock.hpp"

#include "core/base/always_assert.hpp"

#include <algorithm>
#include <utility>

namespace pgtorii::routing {

namespace {

/// No name of a database holds a zero byte.
std::string key_of(std::string_view database, std::string_view table)
{
    std::string key(database);
    key.push_back('\0');
    for (const char c : last_part(table)) {
        key.push_back(c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c);
    }
    return key;
}

/// The key of "everything in this database": as long as no table has an empty name.
std::string everything_key(std::string_view database)
{
    return key_of(database, {});
}

}  // namespace

written_table_clock::written_table_clock(const limits& bounds, clock::time_point start)
    : limits_(bounds),
      start_(start)
{
}

void written_table_clock::set_limits(const limits& bounds)
{
    const std::lock_guard lock(mutex_);
    limits_ = bounds;
}

void written_table_clock::note(std::string_view database, const written_tables& tables,
                               clock::time_point now)
{
    if (tables.is_empty()) return;
    const std::lock_guard lock(mutex_);
    if (tables.is_everything()) touch(everything_key(database), now);
    for (const auto& name : tables.names()) touch(key_of(database, name), now);
}

void written_table_clock::touch(std::string key, clock::time_point now)
{
    if (const auto known = by_key_.find(key); known != by_key_.end()) {
        auto& at = *known->second;
        const bool is_stale =
            limits_.staleness_max.count() > 0 && now - at.first >= limits_.staleness_max;
        if (is_stale) at.first = now;
        at.last = std::max(at.last, now);
        by_time_.splice(by_time_.begin(), by_time_, known->second);
        return;
    }
    while (!by_time_.empty() && by_time_.size() >= limits_.table_count_max) {
        by_key_.erase(by_time_.back().key);
        by_time_.pop_back();
    }
    by_time_.push_front({std::move(key), now, now});
    const bool is_new = by_key_.emplace(by_time_.front().key, by_time_.begin()).second;
    always_assert(is_new);
}

bool written_table_clock::is_recent_key(const std::string& key, clock::time_point now,
                                        std::chrono::microseconds lifetime) const
{
    const std::lock_guard lock(mutex_);
    const auto known = by_key_.find(key);
    if (known == by_key_.end()) return false;
    const auto& at = *known->second;
    if (limits_.staleness_max.count() > 0 && now - at.first >= limits_.staleness_max) return false;
    return now - at.last < lifetime;
}

bool written_table_clock::is_recent(std::string_view database, std::string_view table,
                                    clock::time_point now, std::chrono::microseconds lifetime) const
{
    return is_recent_key(key_of(database, table), now, lifetime);
}

bool written_table_clock::is_everything_recent(std::string_view database, clock::time_point now,
                                               std::chrono::microseconds lifetime) const
{
    return is_recent_key(everything_key(database), now, lifetime);
}

bool written_table_clock::is_cold(clock::time_point now) const
{
    const std::lock_guard lock(mutex_);
    return now - start_ < limits_.cold_start;
}

std::size_t written_table_clock::size() const
{
    const std::lock_guard lock(mutex_);
    return by_time_.size();
}

}  // namespace pgtorii::routing
