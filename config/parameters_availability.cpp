#include "config/parameter_tables.hpp"
#include "config/row.hpp"

namespace pgtorii::config {
namespace {

constexpr parameter health_check_rows[] = {
    row<&settings::health_check_period>("health_check_period", "0",
                                        "Interval between health checks; 0 disables them.")
        .at_reload()
        .plain_number(),
    slot<&settings::backends, &backend::health_check_period>(
        "health_check_period", "0",
        "Per-node override of health_check_period for the backend with this node id."),
    row<&settings::health_check_timeout>(
        "health_check_timeout", "20",
        "Time after which a health-check connection attempt is given up; 0 disables the timeout.")
        .at_reload()
        .plain_number(),
    slot<&settings::backends, &backend::health_check_timeout>(
        "health_check_timeout", "20",
        "Per-node override of health_check_timeout for the backend with this node id."),
    row<&settings::health_check_user>("health_check_user", "", "User for health-check connections.")
        .at_reload(),
    slot<&settings::backends, &backend::health_check_user>(
        "health_check_user", "",
        "Per-node override of health_check_user for the backend with this node id."),
    row<&settings::health_check_password>(
        "health_check_password", "",
        "Password for the health-check user (plain, TEXT-, AES- or md5-prefixed); empty means look "
        "it up in pool_passwd.")
        .at_reload()
        .password(),
    slot<&settings::backends, &backend::health_check_password>(
        "health_check_password", "",
        "Per-node override of health_check_password for the backend with this node id.")
        .password(),
    row<&settings::health_check_database>(
        "health_check_database", "postgres",
        "Database for health checks; empty tries postgres and then template1.")
        .at_reload(),
    slot<&settings::backends, &backend::health_check_database>(
        "health_check_database", "postgres",
        "Per-node override of health_check_database for the backend with this node id."),
    row<&settings::health_check_max_retries>("health_check_max_retries", "0",
                                             "Failed checks tolerated before failover starts.")
        .at_reload(),
    slot<&settings::backends, &backend::health_check_max_retries>(
        "health_check_max_retries", "0",
        "Per-node override of health_check_max_retries for the backend with this node id."),
    row<&settings::health_check_retry_delay>("health_check_retry_delay", "1",
                                             "Pause between retries of a failed health check.")
        .at_reload()
        .plain_number(),
    slot<&settings::backends, &backend::health_check_retry_delay>(
        "health_check_retry_delay", "1",
        "Per-node override of health_check_retry_delay for the backend with this node id."),
    row<&settings::connect_timeout>("connect_timeout", "10000",
                                    "Time limit for the connect call to a backend, for ordinary "
                                    "sessions as well as health checks; 0 means none.")
        .at_reload()
        .plain_number(),
    slot<&settings::backends, &backend::connect_timeout>(
        "connect_timeout", "10000",
        "Per-node override of connect_timeout for the backend with this node id."),
    row<&settings::health_check_test>("health_check_test", "off",
                                      "Testing aid: lets a backend_down_request file in the work "
                                      "directory fake backend failures for the health check.")
        .from("4.3.1"),
};

constexpr parameter failover_rows[] = {
    row<&settings::auto_failback>("auto_failback", "off",
                                  "Re-attaches a detached standby automatically once the primary "
                                  "reports it as streaming again.")
        .at_reload(),
    row<&settings::auto_failback_interval>("auto_failback_interval", "1min",
                                           "Minimum time between two automatic failbacks.")
        .at_reload(),
    row<&settings::detach_false_primary>(
        "detach_false_primary", "off",
        "In streaming mode, detaches extra primaries that the standbys do not replicate from.")
        .at_reload(),
    row<&settings::failover_on_backend_error>(
        "fail_over_on_backend_error", "on",
        "Deprecated spelling of failover_on_backend_error; setting it logs a warning.")
        .at_reload()
        .old_name_of("failover_on_backend_error"),
    row<&settings::failback_command>(
        "failback_command", "",
        "Shell command run when a backend is attached; takes the failover placeholders.")
        .at_reload(),
    row<&settings::failover_command>(
        "failover_command", "",
        "Shell command run when a backend is detached; takes the failover placeholders.")
        .at_reload(),
    row<&settings::failover_on_backend_error>(
        "failover_on_backend_error", "on",
        "Treats a read or write error on a backend socket as a node failure and starts a failover.")
        .at_reload(),
    row<&settings::failover_on_backend_shutdown>(
        "failover_on_backend_shutdown", "off",
        "Starts a failover when a backend reports an administrative or crash shutdown error code "
        "(57P01, 57P02) to a session.")
        .at_reload(),
    row<&settings::follow_primary_command>(
        "follow_primary_command", "",
        "Shell command run, in streaming mode after a primary change or a promote request, once "
        "for each backend left in down state; takes the failover placeholders.")
        .at_reload(),
    row<&settings::search_primary_node_timeout>(
        "search_primary_node_timeout", "5min",
        "How long to look for a primary at startup and after a failover; 0 means forever.")
        .at_reload(),
};

constexpr parameter online_recovery_rows[] = {
    row<&settings::client_idle_limit_in_recovery>(
        "client_idle_limit_in_recovery", "0",
        "Idle limit for clients during the second recovery stage; -1 disconnects them at once and "
        "0 disables it.")
        .in_session()
        .range(-1, int_max)
        .without_effect(
            "only native replication has a second recovery stage: use streaming_replication"),
    row<&settings::recovery_1st_stage_command>(
        "recovery_1st_stage_command", "",
        "Script file name, inside the data directory of the main or primary node, run for the "
        "first recovery stage.")
        .at_reload(),
    row<&settings::recovery_2nd_stage_command>(
        "recovery_2nd_stage_command", "",
        "Script file name, inside the data directory of the main node, run for the second recovery "
        "stage (replicating modes only).")
        .at_reload()
        .without_effect(
            "only native replication has a second recovery stage: use streaming_replication"),
    row<&settings::recovery_database>("recovery_database", "postgres",
                                      "Database in which the pgpool_recovery functions are called; "
                                      "an empty string means postgres.")
        .at_reload()
        .from("4.7"),
    row<&settings::recovery_password>("recovery_password", "",
                                      "Password for recovery_user (plain, TEXT- or AES-prefixed; "
                                      "md5 is refused); empty means look it up in pool_passwd.")
        .at_reload()
        .password(),
    row<&settings::recovery_timeout>(
        "recovery_timeout", "90s",
        "How long online recovery waits for clients to leave and for the recovered node to start.")
        .at_reload(),
    row<&settings::recovery_user>("recovery_user", "", "Superuser for online recovery connections.")
        .at_reload(),
};

constexpr section availability_sections[] = {
    {"health check", health_check_rows},
    {"failover", failover_rows},
    {"online recovery", online_recovery_rows},
};

}  // namespace

std::span<const section> availability_parameters()
{
    return availability_sections;
}

}  // namespace pgtorii::config
