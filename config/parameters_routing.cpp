#include "config/parameter_tables.hpp"
#include "config/row.hpp"

namespace pgtorii::config {
namespace {

constexpr parameter load_balancing_rows[] = {
    row<&settings::allow_sql_comments>(
        "allow_sql_comments", "off",
        "Ignores SQL comments when judging whether a query may be load balanced or cached; when "
        "off a leading comment blocks both.")
        .in_session(),
    row<&settings::app_name_redirect_preference_list>(
        "app_name_redirect_preference_list", "",
        "Maps startup application_name patterns to a preferred read node with an optional ratio; "
        "overrides the other two redirect lists.")
        .at_reload(),
    row<&settings::database_redirect_preference_list>(
        "database_redirect_preference_list", "",
        "Maps database-name patterns to a preferred read node with an optional ratio; overrides "
        "the user list.")
        .at_reload(),
    row<&settings::disable_load_balance_on_write>(
        "disable_load_balance_on_write", "transaction",
        "How far a write switches off load balancing for later reads.")
        .at_reload(),
    row<&settings::dml_adaptive_object_relationship_list>(
        "dml_adaptive_object_relationship_list", "",
        "Lists object:dependent pairs (a trailing () marks a function) so that a write to one also "
        "pins reads of the other when disable_load_balance_on_write is dml_adaptive.")
        .at_reload()
        .pairs(),
    row<&settings::ignore_leading_white_space>(
        "ignore_leading_white_space", "on",
        "Skips white space at the start of a query when deciding whether it can be load balanced.")
        .at_reload(),
    row<&settings::load_balance_mode>("load_balance_mode", "on",
                                      "Allows read-only queries to be spread over the backends."),
    row<&settings::primary_routing_query_pattern_list>(
        "primary_routing_query_pattern_list", "",
        "Patterns matched against the whole query text; a match sends the SELECT to the primary.")
        .at_reload()
        .separated_by(';')
        .of_queries(),
    row<&settings::read_only_function_list>(
        "read_only_function_list", "",
        "Patterns of functions known not to write; when set, any other function makes a SELECT a "
        "write and write_function_list is not consulted.")
        .at_reload(),
    row<&settings::statement_level_load_balance>(
        "statement_level_load_balance", "off",
        "Chooses the load-balance node anew for every read statement instead of once per session.")
        .at_reload(),
    row<&settings::track_table_mutation_cold_start_duration>(
        "track_table_mutation_cold_start_duration", "2s",
        "Time after a worker starts (or this node becomes leader) during which all reads go to the "
        "primary.")
        .at_reload()
        .range(0, 60000)
        .from("master"),
    row<&settings::track_table_mutation_max_staleness>(
        "track_table_mutation_max_staleness", "1min",
        "Cap on how long one table may be pinned to the primary counted from its first write; 0 "
        "removes the cap.")
        .at_reload()
        .range(0, 3600000)
        .from("master"),
    row<&settings::track_table_mutation_table_buckets>(
        "track_table_mutation_table_buckets", "1024",
        "Hash buckets of the shared table-mutation map.")
        .range(64, 65536)
        .from("master"),
    row<&settings::track_table_mutation_table_size>(
        "track_table_mutation_table_size", "2048",
        "Entries of the shared table-mutation map; the oldest are evicted when full.")
        .range(128, 131072)
        .from("master"),
    row<&settings::track_table_mutation_ttl_factor>(
        "track_table_mutation_ttl_factor", "5",
        "Multiplier applied to the measured replication delay to get how long a written table is "
        "read from the primary only.")
        .at_reload()
        .range(1, 100)
        .from("master"),
    row<&settings::user_redirect_preference_list>(
        "user_redirect_preference_list", "",
        "Maps user-name patterns to a preferred read node with an optional ratio; lowest priority "
        "of the three redirect lists.")
        .at_reload()
        .from("4.5"),
    row<&settings::write_function_list>(
        "write_function_list", "",
        "Patterns of functions known to write; SELECTs that call them go to the primary.")
        .at_reload(),
};

constexpr parameter native_replication_rows[] = {
    row<&settings::failover_if_affected_tuples_mismatch>(
        "failover_if_affected_tuples_mismatch", "off",
        "In the replicating modes, detaches the minority backends when the affected-row counts of "
        "a write differ between nodes.")
        .at_reload()
        .without_effect("it is for native replication, which pgtorii leaves to PostgreSQL: use "
                        "streaming_replication"),
    row<&settings::insert_lock>("insert_lock", "on",
                                "In the replicating modes, locks before an INSERT into a table "
                                "with a serial column so that all nodes assign the same value.")
        .at_reload()
        .without_effect("it is for native replication, which pgtorii leaves to PostgreSQL: use "
                        "streaming_replication"),
    row<&settings::lobj_lock_table>("lobj_lock_table", "",
                                    "Table locked while a large object is created so that every "
                                    "node assigns the same id; empty disables the rewrite.")
        .at_reload()
        .without_effect("it is for native replication, which pgtorii leaves to PostgreSQL: use "
                        "streaming_replication"),
    row<&settings::replicate_select>(
        "replicate_select", "off",
        "In the replicating modes, sends SELECT to every backend rather than to one.")
        .at_reload()
        .without_effect("it is for native replication, which pgtorii leaves to PostgreSQL: use "
                        "streaming_replication"),
    row<&settings::replication_stop_on_mismatch>(
        "replication_stop_on_mismatch", "off",
        "In the replicating modes, detaches the minority backends when reply message kinds differ "
        "between nodes, instead of only ending the session.")
        .at_reload()
        .without_effect("it is for native replication, which pgtorii leaves to PostgreSQL: use "
                        "streaming_replication"),
};

constexpr parameter streaming_replication_check_rows[] = {
    row<&settings::delay_threshold>("delay_threshold", "0",
                                    "Replication lag in WAL bytes above which a standby stops "
                                    "receiving reads; 0 disables the check.")
        .at_reload()
        .in(unit::bytes)
        .range(0, int64_max),
    row<&settings::delay_threshold_by_time>(
        "delay_threshold_by_time", "0",
        "Replication lag as time (replay_lag) above which a standby stops receiving reads; "
        "overrides delay_threshold when above 0.")
        .at_reload()
        .from("4.4"),
    row<&settings::log_standby_delay>("log_standby_delay", "if_over_threshold",
                                      "When the replication delay is logged.")
        .at_reload(),
    row<&settings::prefer_lower_delay_standby>(
        "prefer_lower_delay_standby", "off",
        "When the chosen standby lags past the threshold, picks the least delayed standby instead "
        "of falling back to the primary.")
        .at_reload(),
    row<&settings::replication_delay_source_cmd>(
        "replication_delay_source_cmd", "",
        "External shell command that prints replica delays in milliseconds (one value per replica "
        "passed as host:port), used instead of the built-in delay queries.")
        .at_reload()
        .from("master"),
    row<&settings::replication_delay_source_timeout>("replication_delay_source_timeout", "10",
                                                     "Time limit for replication_delay_source_cmd.")
        .at_reload()
        .plain_number()
        .range(1, 3600)
        .from("master"),
    row<&settings::sr_check_database>(
        "sr_check_database", "postgres",
        "Database used for replication-delay checks and primary detection.")
        .at_reload(),
    row<&settings::sr_check_password>("sr_check_password", "",
                                      "Password for sr_check_user (plain, TEXT-, AES- or "
                                      "md5-prefixed); empty means look it up in pool_passwd.")
        .at_reload()
        .password(),
    row<&settings::sr_check_period>("sr_check_period", "10s",
                                    "Interval between replication-delay checks; 0 disables them.")
        .at_reload(),
    row<&settings::sr_check_user>("sr_check_user", "",
                                  "User for replication-delay checks and primary detection; also "
                                  "used when the periodic check is off.")
        .at_reload(),
};

constexpr section routing_sections[] = {
    {"load balancing", load_balancing_rows},
    {"native replication", native_replication_rows},
    {"streaming replication check", streaming_replication_check_rows},
};

}  // namespace

std::span<const section> routing_parameters()
{
    return routing_sections;
}

}  // namespace pgtorii::config
