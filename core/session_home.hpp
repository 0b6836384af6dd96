#pragma once

#include "config/session_change.hpp"
#include "config/settings.hpp"
#include "core/audited_settings.hpp"
#include "core/cancel_registry.hpp"
#include "core/catalog_generations.hpp"
#include "core/census.hpp"
#include "core/idle_leases.hpp"
#include "core/link_pool.hpp"
#include "core/node_counters.hpp"
#include "core/pin_board.hpp"
#include "core/prepared_statements.hpp"
#include "core/runtime/worker.hpp"
#include "core/unit_at_work.hpp"
#include "ha/causal_board.hpp"
#include "ha/cluster_view.hpp"
#include "protocol/pg_error.hpp"
#include "protocol/writer.hpp"
#include "routing/catalog_facts.hpp"
#include "routing/fact_cache.hpp"
#include "routing/repair_memory.hpp"
#include "routing/rules.hpp"
#include "routing/written_table_clock.hpp"

#include <atomic>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace pgtorii::core {

class catalog_service;
class client_session;
class session_settings;

using settings_ptr = std::shared_ptr<const config::settings>;
using rules_ptr = std::shared_ptr<const routing::rules>;

/// Answers the statements that pgtorii serves itself (SHOW POOL_*, PGPOOL SHOW ...). The admin
/// folder gives it: core knows nothing of admin.
class local_commands {
public:
    struct question {
        const routing::statement_facts& statement;
        const config::settings& settings;    ///< The session's.
        const config::settings& configured;  ///< What PGPOOL RESET goes back to.
        config::session_changes& changes;    ///< PGPOOL SET and RESET: the answer changes them.
        const ha::cluster_view_ptr& view;
        int balanced_node;
        const census* everybody = nullptr;  ///< Given when needs_census says so.
    };
    virtual ~local_commands() = default;
    /// Whether the answer to this statement tells of all sessions.
    virtual bool needs_census(const routing::statement_facts& statement) const = 0;
    /// Appends RowDescription, DataRows and CommandComplete (no ReadyForQuery), or returns why not.
    virtual std::optional<protocol::pg_error> answer(const question& asked,
                                                     protocol::message_buffer& out) const = 0;
};

/// What sessions of all workers share. Outlives them.
struct gate_services {
    link_pool& pool;
    cancel_registry& cancels;
    node_counters& counters;
    catalog_generations& generations;
    const local_commands& commands;
    /// A session saw trouble with a node (a failed connect, a lost link): look at it now. Any
    /// thread.
    std::function<void(int node)> report_trouble;
    /// A first session has a link to a node that was `waiting`. Any thread.
    std::function<void(int node)> report_connected;
    /// Runs a function on the home of that worker. Any thread.
    std::function<void(int worker, std::function<void(class session_home&)>)> run_on;
    /// Somebody waits for a turn: workers that keep idle ones give them back. Any thread.
    std::function<void()> recall_idle;
    /// Closes the idle links to a database, so that it can be dropped. Any thread.
    std::function<void(const std::string& database)> drop_database;
    /// What is known of floors and replay positions; its head says what a session must do.
    ha::causal_board& causal;
    /// What was written lately: for disable_load_balance_on_write = dml_adaptive_global.
    routing::written_table_clock& tables;
    /// Sessions that keep their links in a pool mode that shares them.
    pin_board& pins;
    /// run_on takes numbers below this.
    int worker_count = 0;
};

/// Everything of one worker that its sessions use. Lives and is used on that worker; the control
/// plane reaches it by posted functions.
class session_home {
public:
    session_home(runtime::worker& worker_loop, gate_services& shared, settings_ptr first_settings,
                 ha::cluster_view_ptr first_view);
    ~session_home();

    runtime::worker& loop;
    gate_services& services;
    settings_ptr settings;
    rules_ptr rules;
    ha::cluster_view_ptr view;
    routing::fact_cache facts;
    routing::repair_memory repaired;
    core::statement_ids statement_ids;
    idle_leases idle;
    audited_settings audited;
    const routing::query_facts_ptr
        unreadable_facts;  ///< Of a text that is too long to be looked at.
    std::minstd_rand random;
    /// Room for a unit of a session, as new. Given back when the session goes idle, so that there
    /// is as much of it as units are under way.
    std::unique_ptr<unit_at_work> take_work();
    void return_work(std::unique_ptr<unit_at_work> done);
    /// Scratch for building replies; empty between uses.
    protocol::message_buffer replies;

    /// Starts a session for an accepted socket. `peer`: for the log, "127.0.0.1" and the port, or
    /// "[local]".
    void adopt(runtime::descriptor socket, std::string peer_host, int peer_port);
    /// A session has ended: it is destroyed at the end of this turn of the loop.
    void retire(std::uint64_t session);
    client_session* find(std::uint64_t session);
    template <class Visit>
    void for_each_session(Visit visit) const
    {
        for (const auto& [id, session] : sessions_) visit(std::as_const(*session));
    }

    /// What the catalog says of the names in this text, as the session's settings make them
    /// resolve. Null: not known (yet), or the session's namespace isn't (a SET in the present
    /// transaction). One look into a hash table for a text that was answered before. Valid until
    /// the next call here or to ask_catalog.
    const routing::catalog_facts* catalog_facts_for(const pool& of, session_settings& of_session,
                                                    const routing::query_facts_ptr& text);
    /// Has the catalog asked what catalog_facts_for doesn't know. True: client_session::
    /// on_catalog_answered will be called for `session` (perhaps more than once, perhaps without an
    /// answer: then this is to be called again), within about catalog_wait_timeout. False: there
    /// will be no answer soon, the statement belongs to the primary.
    bool ask_catalog(const std::shared_ptr<pool>& of, session_settings& of_session,
                     const routing::query_facts_ptr& text, std::uint64_t session);
    /// The schema of this database has changed, and the change is committed: what any worker knows
    /// of it holds no more.
    void forget_catalog(std::string_view database) { services.generations.changed(database); }

    void publish(settings_ptr new_settings);
    void publish(ha::cluster_view_ptr new_view);
    /// The causal board has news: tells the sessions in `causal_waiters`, and empties it.
    void on_causal_sample();
    /// Sessions that wait for a standby to replay their floor. One that still waits after a sample
    /// puts itself in again; one that has ended meanwhile is no harm.
    std::vector<std::uint64_t> causal_waiters;
    /// Tells every session to end: at once, or (smart) when it has nothing more to do is the
    /// caller's choice by waiting.
    void end_sessions();
    /// The number of sessions: read by the acceptor of the control thread to choose a worker.
    std::atomic<std::size_t> session_count{0};

private:
    /// More than that are under way only in a rush.
    static constexpr std::size_t spare_work_count_max = 128;

    std::vector<std::unique_ptr<unit_at_work>> spare_work_;  // the one used last at the end
    std::unordered_map<std::uint64_t, std::unique_ptr<client_session>> sessions_;
    std::uint64_t next_id_ = 1;
    std::unique_ptr<catalog_service> catalog_;
};

}  // namespace pgtorii::core
