// A census of all sessions, for SHOW: asked of every worker, answered by each for its own.

#include "core/session_census.hpp"

#include "core/base/always_assert.hpp"
#include "core/client_session.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

namespace pgtorii::core {

using runtime::task;

namespace {

/// A worker that does not answer in this time is stuck.
constexpr std::chrono::seconds census_wait_limit{10};

std::vector<session_facts> facts_of_sessions(const session_home& home)
{
    std::vector<session_facts> found;
    home.for_each_session(
        [&found](const client_session& each) { found.push_back(each.facts_now()); });
    return found;
}

}  // namespace

census_taking::census_taking(int worker_count)
    : parts_(static_cast<std::size_t>(worker_count)),
      missing_count_(worker_count)
{
}

bool census_taking::hand_in(int worker, std::vector<session_facts> sessions)
{
    parts_[static_cast<std::size_t>(worker)] = std::move(sessions);
    return missing_count_.fetch_sub(1, std::memory_order_acq_rel) == 1;
}

std::vector<session_facts> census_taking::collect()
{
    always_assert(is_complete());
    std::vector<session_facts> all;
    for (auto& part : parts_) std::ranges::move(part, std::back_inserter(all));
    parts_.clear();
    std::ranges::sort(all, {},
                      [](const session_facts& each) { return std::pair{each.began_at, each.pid}; });
    return all;
}

std::shared_ptr<census_taking> start_census(session_home& home, std::uint64_t session)
{
    const auto& services = home.services;
    auto taking = std::make_shared<census_taking>(services.worker_count);
    for (int worker = 0; worker < services.worker_count; ++worker) {
        services.run_on(worker, [taking, asker = home.loop.index(), session](session_home& there) {
            there.idle.release_all();  // they are counted as parked
            if (!taking->hand_in(there.loop.index(), facts_of_sessions(there))) return;
            there.services.run_on(asker, [session](session_home& back) {
                if (auto* const found = back.find(session)) found->on_census();
            });
        });
    }
    return taking;
}

session_facts client_session::facts_now() const
{
    session_facts facts{.pid = pid_,
                        .activity = session_activity::serving,
                        .began_at = wall_time_of(began_),
                        .user = std::string{user()},
                        .database = std::string{database()},
                        .client_host = peer_host_,
                        .client_port = peer_port_,
                        .idle_duration = {},
                        .client_idle_limit = settings_->client_idle_limit,
                        .balanced_node = balanced_node_,
                        .links = {}};
    if (!is_logged_in_) {
        facts.activity = session_activity::logging_in;
    } else if (!has_key_) {
        facts.activity = session_activity::leaving;
    } else if (is_idle()) {
        facts.activity =
            status() == 'I' ? session_activity::idle : session_activity::idle_in_transaction;
        facts.idle_duration =
            std::chrono::duration_cast<std::chrono::seconds>(home_.loop.now() - idle_since_);
    }
    for (const auto& link : links_) facts.links.push_back(link->facts());
    return facts;
}

/// Whether the answer to a command of ours tells of other sessions.
bool client_session::needs_census(const unit& what) const
{
    return what.what == unit::kind::query && status() != 'E' &&
           home_.services.commands.needs_census(work_->facts->first());
}

/// Answers a command after all workers have told of their sessions, or tells why not.
task<> client_session::answer_after_census(const unit& what)
{
    const auto taking = start_census(home_, id_);
    home_.loop.arm(deadline_, census_wait_limit);
    while (!taking->is_complete() && !is_over() && !cancel_is_requested_ && !deadline_has_passed_) {
        note(co_await events_);
        flush_client();
    }
    deadline_.disarm();
    deadline_has_passed_ = false;
    if (is_over()) co_return;
    if (!taking->is_complete()) {
        tell_not_served({.sqlstate = "58000", .message = "the sessions could not be counted"});
        skip_unit(what);
        co_return;
    }
    const census seen{.sessions = taking->collect(),
                      .parked = home_.services.pool.parked_links(),
                      .link_count_max = home_.services.pool.link_count_max()};
    answer_locally(what, &seen);
}

}  // namespace pgtorii::core
