// SHOW POOL_PROCESSES and SHOW POOL_POOLS: where Pgpool-II has a process, we have a session.

#include "admin/local_time.hpp"
#include "admin/pool_tables.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace pgtorii::admin {

namespace {

using core::link_facts;
using core::session_activity;
using core::session_facts;

constexpr std::string_view word_of_free_place = "Wait for connection";

std::string_view word_of(session_activity what)
{
    switch (what) {
    case session_activity::logging_in: return "Connecting";
    case session_activity::serving: return "Execute command";
    case session_activity::idle: return "Idle";
    case session_activity::idle_in_transaction: return "Idle in transaction";
    case session_activity::leaving: return word_of_free_place;
    }
    return "";
}

/// Empty: never.
std::string time_or_empty(core::wall_time when)
{
    return when == core::wall_time{} ? std::string{} : local_time(when);
}

/// Seconds; with a limit also how much of it is left.
std::string idle_text(const session_facts& session)
{
    const auto idle = session.idle_duration.count();
    const auto limit = session.client_idle_limit.count();
    if (limit == 0 || session.activity == session_activity::leaving) return std::to_string(idle);
    const auto left = std::max<std::int64_t>(limit - idle, 0);
    return fmt::format("{} ({}:{:02} before client disconnected)", idle, left / 60, left % 60);
}

/// The one that a session took first: where it has more, they are to other servers.
const link_facts* main_link(const session_facts& session)
{
    return session.links.empty() ? nullptr : &session.links.front();
}

std::vector<std::string> process_row(const session_facts& session)
{
    const auto* const link = main_link(session);
    return {std::to_string(session.pid),
            local_time(session.began_at),
            "0",
            session.database,
            session.user,
            link ? time_or_empty(link->connected_at) : "",
            link ? std::to_string(link->lease_count) : "",
            std::string{word_of(session.activity)}};
}

/// As Pgpool-II shows a place without a process in dynamic process management.
std::vector<std::string> free_process_row()
{
    return {"0", local_time({}), "0", "", "", "", "", std::string{word_of_free_place}};
}

/// The cells that a connection has in common with all others, in use or not.
struct pool_cells {
    std::string pid;
    std::string began_at;
    std::size_t pool_id = 0;
    std::string user;
    std::string database;
    std::string idle = "0";
    bool is_connected = false;
    std::string_view status = word_of_free_place;
    bool is_balanced = false;
    std::string client_host;
    std::string client_port;
};

std::vector<std::string> pool_row(const pool_cells& cells, int node, const link_facts* link)
{
    // The last statement is not kept: an idle session has no room for it.
    const std::string statement;
    return {cells.pid,
            cells.began_at,
            "0",
            std::to_string(cells.pool_id),
            std::to_string(node),
            cells.database,
            cells.user,
            link ? time_or_empty(link->connected_at) : "",
            link ? time_or_empty(link->leased_at) : "",
            link ? time_or_empty(link->returned_at) : "",
            cells.idle,
            link ? "3" : "0",
            "0",
            link ? std::to_string(link->lease_count) : "0",
            link ? std::to_string(link->backend_pid) : "0",
            cells.is_connected ? "1" : "0",
            std::string{cells.status},
            cells.is_balanced ? "1" : "0",
            cells.client_host,
            cells.client_port,
            statement};
}

pool_cells cells_of(const session_facts& session)
{
    return {.pid = std::to_string(session.pid),
            .began_at = local_time(session.began_at),
            .pool_id = 0,
            .user = session.user,
            .database = session.database,
            .idle = idle_text(session),
            .is_connected = session.activity != session_activity::leaving,
            .status = word_of(session.activity),
            .is_balanced = false,
            .client_host = session.client_host,
            .client_port =
                session.client_port > 0 ? std::to_string(session.client_port) : std::string{}};
}

/// The places of one node that no session has, numbered: those of parked links, then free ones.
void append_places(const core::census& everybody, int node, std::size_t used_count,
                   result_table& table)
{
    pool_cells cells;
    cells.pid = "0";
    for (const auto& each : everybody.parked) {
        if (each.link.node != node) continue;
        cells.user = each.user;
        cells.database = each.database;
        table.rows.push_back(pool_row(cells, node, &each.link));
        ++cells.pool_id;
    }
    cells.user.clear();
    cells.database.clear();
    while (used_count + cells.pool_id < everybody.link_count_max) {
        table.rows.push_back(pool_row(cells, node, nullptr));
        ++cells.pool_id;
    }
}

}  // namespace

result_table pool_processes_table(const admin_source& source)
{
    result_table table;
    table.columns = {"pool_pid",     "start_time", "client_connection_count",
                     "database",     "username",   "backend_connection_time",
                     "pool_counter", "status"};
    if (!source.everybody) return table;
    for (const auto& each : source.everybody->sessions) {
        // Its client has gone: for whoever counts clients it is a free place.
        if (each.activity != session_activity::leaving) table.rows.push_back(process_row(each));
    }
    const auto place_count = static_cast<std::size_t>(source.settings.num_init_children);
    while (table.rows.size() < place_count) table.rows.push_back(free_process_row());
    return table;
}

result_table pool_pools_table(const admin_source& source)
{
    result_table table;
    table.columns = {"pool_pid",
                     "start_time",
                     "client_connection_count",
                     "pool_id",
                     "backend_id",
                     "database",
                     "username",
                     "backend_connection_time",
                     "client_connection_time",
                     "client_disconnection_time",
                     "client_idle_duration",
                     "majorversion",
                     "minorversion",
                     "pool_counter",
                     "pool_backendpid",
                     "pool_connected",
                     "status",
                     "load_balance_node",
                     "client_host",
                     "client_port",
                     "statement"};
    if (!source.everybody || !source.view) return table;
    std::vector<std::size_t> used_counts(source.view->nodes.size());
    for (const auto& session : source.everybody->sessions) {
        auto links = session.links;
        std::ranges::sort(links, {}, &link_facts::node);
        auto cells = cells_of(session);
        for (const auto& link : links) {
            cells.is_balanced = link.node == session.balanced_node;
            table.rows.push_back(pool_row(cells, link.node, &link));
            const auto index = static_cast<std::size_t>(link.node);
            if (index < used_counts.size()) ++used_counts[index];
        }
    }
    for (const auto& node : source.view->nodes) {
        if (node.port == 0) continue;
        append_places(*source.everybody, node.id, used_counts[static_cast<std::size_t>(node.id)],
                      table);
    }
    return table;
}

}  // namespace pgtorii::admin
