#include "admin/show_commands.hpp"

#include "admin/pool_tables.hpp"
#include "config/show.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace pgtorii::admin {

namespace {

/// A SHOW command of Pgpool-II. Without a function it is one that we can't answer yet.
struct pool_command {
    std::string_view name;
    result_table (*table)(const admin_source&);
    bool needs_census = false;
};

constexpr pool_command pool_commands[] = {
    {"pool_status", &pool_status_table},
    {"pool_pools", &pool_pools_table, true},
    {"pool_processes", &pool_processes_table, true},
    {"pool_nodes", &pool_nodes_table},
    {"pool_version", &pool_version_table},
    {"pool_cache", &pool_cache_table},
    {"pool_health_check_stats", nullptr},
    {"pool_backend_stats", &pool_backend_stats_table},
    {"pool_pins", &pool_pins_table},
};

protocol::pg_error refusal(std::string_view sqlstate, std::string message, std::string detail = {},
                           std::string hint = {})
{
    protocol::pg_error error;
    error.sqlstate = sqlstate;
    error.message = std::move(message);
    error.detail = std::move(detail);
    error.hint = std::move(hint);
    return error;
}

result_table rows_table(const std::vector<config::show_row>& rows)
{
    result_table table;
    table.columns = {"item", "value", "description"};
    for (const auto& row : rows) table.rows.push_back({row.item, row.value, row.description});
    return table;
}

/// The statement of the question, as "SHOW POOL_PROCESSES", that this version has no answer to.
protocol::pg_error not_served(std::string_view command)
{
    return refusal(protocol::sqlstate::feature_not_supported,
                   fmt::format("{} is not served by this version of pgtorii", command));
}

std::string_view sqlstate_of(config::change_failure what)
{
    switch (what) {
    case config::change_failure::unknown_name: return protocol::sqlstate::undefined_object;
    case config::change_failure::not_in_session:
        return protocol::sqlstate::cant_change_runtime_param;
    case config::change_failure::bad_value: return protocol::sqlstate::invalid_parameter_value;
    }
    return protocol::sqlstate::internal_error;
}

/// A command that gives no rows.
result_table done(std::string tag)
{
    result_table table;
    table.tag = std::move(tag);
    return table;
}

show_answer answer_to(const core::local_commands::question& asked, const admin_source& source)
{
    const auto& statement = asked.statement;
    switch (statement.kind) {
    case routing::statement_kind::pool_show: return show_pool(statement.name, source);
    case routing::statement_kind::pgpool_show:
        return show_parameters(statement.name, source.settings);
    case routing::statement_kind::pgpool_set:
    case routing::statement_kind::pgpool_reset: return change_parameter(asked);
    default: return not_served("this statement");
    }
}

}  // namespace

show_answer show_pool(std::string_view name, const admin_source& source)
{
    const auto found = std::ranges::find(pool_commands, name, &pool_command::name);
    if (found == std::end(pool_commands)) {
        return refusal(protocol::sqlstate::undefined_object,
                       fmt::format("unrecognized configuration parameter \"{}\"", name));
    }
    if (!found->table) return not_served(fmt::format("SHOW {}", name));
    return found->table(source);
}

show_answer show_parameters(std::string_view name, const config::settings& settings)
{
    const auto shown = config::show(settings, name);
    if (const auto* const error = std::get_if<config::show_error>(&shown)) {
        // Pgpool-II's SQLSTATE for all of these is XX000, an internal error.
        return refusal(protocol::sqlstate::undefined_object, error->message, error->detail);
    }
    if (const auto* const rows = std::get_if<std::vector<config::show_row>>(&shown)) {
        return rows_table(*rows);
    }
    result_table table;
    table.columns = {std::string{name}};
    table.rows = {{std::get<std::string>(shown)}};
    return table;
}

show_answer change_parameter(const core::local_commands::question& asked)
{
    const auto& statement = asked.statement;
    if (statement.kind == routing::statement_kind::pgpool_reset && statement.name == "all") {
        asked.changes.clear();
        return done("RESET");
    }
    std::optional<std::string_view> wanted;
    if (statement.has_value) wanted = statement.value;
    // Pgpool-II's SQLSTATE for all of these is XX000, an internal error.
    if (auto failure = asked.changes.change(statement.name, wanted, asked.configured)) {
        return refusal(sqlstate_of(failure->what), std::move(failure->told.message), {},
                       std::move(failure->told.hint));
    }
    return done("SET");
}

bool show_commands::needs_census(const routing::statement_facts& statement) const
{
    if (statement.kind != routing::statement_kind::pool_show) return false;
    const auto found = std::ranges::find(pool_commands, statement.name, &pool_command::name);
    return found != std::end(pool_commands) && found->needs_census;
}

std::optional<protocol::pg_error> show_commands::answer(const question& asked,
                                                        protocol::message_buffer& out) const
{
    const auto counts = counters_.snapshot();
    const auto pins = pins_.all();
    const admin_source source{.view = asked.view,
                              .settings = asked.settings,
                              .counters = counts,
                              .session_balanced_node = asked.balanced_node,
                              .pins = pins,
                              .everybody = asked.everybody};
    auto made = answer_to(asked, source);
    if (auto* const error = std::get_if<protocol::pg_error>(&made)) return std::move(*error);
    encode(std::get<result_table>(made), out);
    return std::nullopt;
}

}  // namespace pgtorii::admin
