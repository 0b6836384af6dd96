#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace pgtorii::core {

/// The sessions that keep their links although the pool mode shares links: for SHOW POOL_PINS. Any
/// thread; a pin is rare, so one mutex will do.
class pin_board {
public:
    /// Worker and number of the session there.
    using session_key = std::pair<int, std::uint64_t>;
    struct pin {
        std::string user;
        std::string database;
        std::string application_name;
        std::string client;  ///< Address and port.
        std::string why;
        std::chrono::system_clock::time_point since;
    };

    void add(session_key session, pin what)
    {
        const std::lock_guard guard{mutex_};
        pins_.insert_or_assign(session, std::move(what));
    }
    void remove(session_key session)
    {
        const std::lock_guard guard{mutex_};
        pins_.erase(session);
    }
    /// The oldest first.
    std::vector<pin> all() const;

private:
    mutable std::mutex mutex_;
    std::map<session_key, pin> pins_;
};

}  // namespace pgtorii::core
