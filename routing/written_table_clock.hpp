#pragma once

#include "core/base/clock.hpp"
#include "routing/written_tables.hpp"

#include <chrono>
#include <cstddef>
#include <functional>
#include <list>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>

namespace pgtorii::routing {

/// When tables were written last, by anybody through this process: for
/// disable_load_balance_on_write = dml_adaptive_global (routing.md, section 7). Tables are told
/// apart as in written_tables. Bounded: when it is full, the table that was written least recently
/// is forgotten. Safe to use from all threads: one mutex, held for a look-up.
class written_table_clock {
public:
    struct limits {
        std::size_t table_count_max = 2'048;
        std::chrono::milliseconds cold_start{2'000};
        /// A table that is written all the time is kept for so long since the first write; zero:
        /// without a limit.
        std::chrono::milliseconds staleness_max{60'000};
    };

    written_table_clock(const limits& bounds, clock::time_point start);

    /// After a reload.
    void set_limits(const limits& bounds);

    /// A transaction that wrote `tables` of `database` has been committed.
    void note(std::string_view database, const written_tables& tables, clock::time_point now);

    /// Whether a read of `table` must see writes that a standby may lack: it was written less than
    /// `lifetime` ago.
    bool is_recent(std::string_view database, std::string_view table, clock::time_point now,
                   std::chrono::microseconds lifetime) const;
    /// Whether tables of `database` that nobody named were.
    bool is_everything_recent(std::string_view database, clock::time_point now,
                              std::chrono::microseconds lifetime) const;
    /// What was written just before the start nobody here has seen.
    bool is_cold(clock::time_point now) const;
    std::size_t size() const;

private:
    struct entry {
        std::string key;
        clock::time_point first;
        clock::time_point last;
    };
    bool is_recent_key(const std::string& key, clock::time_point now,
                       std::chrono::microseconds lifetime) const;
    void touch(std::string key, clock::time_point now);

    mutable std::mutex mutex_;
    limits limits_;
    clock::time_point start_;
    std::list<entry> by_time_;  // newest write first; the keys of by_key_ look into it
    std::unordered_map<std::string_view, std::list<entry>::iterator> by_key_;
};

}  // namespace pgtorii::routing
