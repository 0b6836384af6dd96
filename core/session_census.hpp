#pragma once

#include "core/census.hpp"

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

namespace pgtorii::core {

class session_home;

/// A census under way: every worker hands in the facts of its own sessions, and the last one sees
/// to it that whoever asked is told. Nothing is kept up to date for it, and nothing locked: an
/// unasked session costs nothing. It outlives the session that has asked.
class census_taking {
public:
    explicit census_taking(int worker_count);

    /// Once for each worker, on any thread. True: it was the last one.
    bool hand_in(int worker, std::vector<session_facts> sessions);
    /// All have handed in, and collect() may be called. Any thread.
    bool is_complete() const { return missing_count_.load(std::memory_order_acquire) == 0; }
    /// The sessions of all workers, the oldest first. Once.
    std::vector<session_facts> collect();

private:
    std::vector<std::vector<session_facts>> parts_;  // by worker: each writes its own
    std::atomic<int> missing_count_;
};

/// Asks all workers. When the last one has answered, client_session::on_census is called for
/// `session`, if it is still there. Home worker of that session.
std::shared_ptr<census_taking> start_census(session_home& home, std::uint64_t session);

}  // namespace pgtorii::core
