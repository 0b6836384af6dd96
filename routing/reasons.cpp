#include "core/base/always_assert.hpp"
#include "routing/decision.hpp"

#include <array>
#include <cstddef>

namespace pgtorii::routing {

namespace {

struct reason_row {
    reason why;
    std::string_view name;
    std::string_view text;
};

constexpr reason_row reason_rows[] = {
    {reason::read_balanced, "read_balanced", "a read that may be balanced"},
    {reason::load_balance_off, "load_balance_off", "load balancing is off"},
    {reason::no_standby, "no_standby", "no standby is available"},
    {reason::text_rule, "text_rule", "the text does not start like a read"},
    {reason::statement_kind, "statement_kind", "statements of this kind go to the primary"},
    {reason::unparsed, "unparsed", "the text could not be parsed"},
    {reason::multi_statement, "multi_statement", "several statements in one message"},
    {reason::row_lock, "row_lock", "the query locks rows"},
    {reason::data_modifying_with, "data_modifying_with",
     "the query modifies data in a WITH clause"},
    {reason::writing_function, "writing_function", "the query calls a function that may write"},
    {reason::system_catalog, "system_catalog", "the query reads a system catalog"},
    {reason::temporary_table, "temporary_table", "the query reads a temporary table"},
    {reason::query_pattern, "query_pattern", "the text matches primary_routing_query_pattern_list"},
    {reason::function_list, "function_list", "the function lists say that the query may write"},
    {reason::transaction_failed, "transaction_failed", "the transaction has failed"},
    {reason::transaction_written, "transaction_written", "the transaction has written"},
    {reason::session_written, "session_written", "the session has written"},
    {reason::transaction_isolation, "transaction_isolation",
     "the isolation level needs the primary"},
    {reason::transaction_not_shared, "transaction_not_shared",
     "the transaction stays on the primary"},
    {reason::session_pinned, "session_pinned",
     "the session has state that only one server connection has"},
    {reason::replication_delay, "replication_delay", "the standby is too far behind"},
    {reason::catalog_unknown, "catalog_unknown",
     "the catalog has not answered for the names in the query"},
    {reason::unlogged_table, "unlogged_table", "the query reads an unlogged table"},
    {reason::table_written, "table_written",
     "a table that the query reads was written in the transaction or lately"},
    {reason::cold_start, "cold_start", "writes from before the start are not known yet"},
    {reason::transaction_ddl, "transaction_ddl", "the transaction has changed the schema"},
    {reason::prepared_unknown, "prepared_unknown",
     "the prepared statement is not known to the session"},
    {reason::not_replayed, "not_replayed", "no standby has replayed what was written before"},
    {reason::portal_place, "portal_place", "a portal is where it was bound"},
    {reason::remembered_write, "remembered_write", "a standby has refused this statement before"},
    {reason::local_command, "local_command", "answered by pgtorii itself"},
};

constexpr bool is_in_order()
{
    std::size_t expected = 0;
    for (const auto& row : reason_rows) {
        if (static_cast<std::size_t>(row.why) != expected++) return false;
    }
    return expected == static_cast<std::size_t>(reason::local_command) + 1;
}
static_assert(is_in_order(), "one row for each reason, in the order of the enumerators");

const reason_row& row_of(reason why)
{
    const auto index = static_cast<std::size_t>(why);
    always_assert(index < std::size(reason_rows));
    return reason_rows[index];
}

}  // namespace

std::string_view text_of(reason why)
{
    return row_of(why).text;
}

std::string_view name_of(reason why)
{
    return row_of(why).name;
}

std::string_view name_of(target where)
{
    switch (where) {
    case target::primary: return "primary";
    case target::balanced: return "balanced";
    case target::local: return "local";
    }
    return "unknown";
}

}  // namespace pgtorii::routing
