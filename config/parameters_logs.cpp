#include "config/parameter_tables.hpp"
#include "config/row.hpp"

namespace pgtorii::config {
namespace {

constexpr word log_targets[] = {{"stderr", 0}, {"syslog", 0}};

constexpr parameter logs_rows[] = {
    row<&settings::client_min_messages>("client_min_messages", "notice",
                                        "Lowest message level sent to clients.")
        .in_session(),
    row<&settings::log_backend_messages>(
        "log_backend_messages", "none",
        "Whether backend protocol messages are logged, and whether repeats are collapsed.")
        .in_session()
        .from("4.6"),
    row<&settings::log_client_messages>("log_client_messages", "off",
                                        "Logs the protocol messages received from clients.")
        .in_session(),
    row<&settings::log_connections>("log_connections", "off",
                                    "Writes a log line for each client connection accepted.")
        .at_reload(),
    row<&settings::log_destination>(
        "log_destination", "stderr",
        "Where server messages go: any combination of the listed targets, comma separated.")
        .at_reload()
        .of(log_targets),
    row<&settings::log_directory>("log_directory", "/tmp/pgpool_logs",
                                  "Directory for files written by the log collector.")
        .at_reload(),
    row<&settings::log_disconnections>("log_disconnections", "off",
                                       "Writes a log line when a client session ends.")
        .at_reload(),
    row<&settings::log_error_verbosity>("log_error_verbosity", "default",
                                        "Amount of detail per log message.")
        .in_session(),
    row<&settings::log_file_mode>("log_file_mode", "0600",
                                  "Mode bits of log collector files; write it with a leading 0 for "
                                  "octal (SHOW prints decimal).")
        .at_reload(),
    row<&settings::log_filename>("log_filename", "pgpool-%Y-%m-%d_%H%M%S.log",
                                 "strftime pattern for log collector file names.")
        .at_reload(),
    row<&settings::log_hostname>(
        "log_hostname", "off",
        "Resolves client addresses to host names for connection logs and process titles.")
        .at_reload(),
    row<&settings::log_line_prefix>("log_line_prefix", "%m: %a pid %p: ",
                                    "Template put before every log line; knows %a %p %P %t %m %d "
                                    "%u %l %% with optional padding digits.")
        .at_reload(),
    row<&settings::log_min_messages>(
        "log_min_messages", "warning",
        "Lowest message level written to the server log (LOG sorts between ERROR and FATAL).")
        .in_session(),
    row<&settings::log_pcp_processes>(
        "log_pcp_processes", "off",
        "Controls whether normal start and exit of PCP worker processes is logged.")
        .at_reload()
        .from("4.5"),
    row<&settings::log_per_node_statement>(
        "log_per_node_statement", "off", "Logs each statement once per backend that it is sent to.")
        .in_session(),
    row<&settings::log_rotation_age>(
        "log_rotation_age", "1d", "Age at which the log collector starts a new file; 0 disables.")
        .at_reload(),
    row<&settings::log_rotation_size>(
        "log_rotation_size", "10MB",
        "Size at which the log collector starts a new file; 0 disables.")
        .at_reload()
        .in(unit::kilobytes)
        .range(0, 2097151),
    row<&settings::log_statement>("log_statement", "off", "Logs every SQL statement received.")
        .in_session(),
    row<&settings::log_truncate_on_rotation>("log_truncate_on_rotation", "off",
                                             "On time-based rotation, overwrites an existing log "
                                             "file of the same name instead of appending.")
        .at_reload(),
    row<&settings::logging_collector>(
        "logging_collector", "off",
        "Starts a log collector that captures stderr into rotated files."),
    row<&settings::notice_per_node_statement>(
        "notice_per_node_statement", "off",
        "Like log_per_node_statement but emitted at NOTICE level, so clients see it; internal "
        "queries are left out.")
        .in_session()
        .from("4.3.12"),
    row<&settings::syslog_facility>("syslog_facility", "LOCAL0", "Syslog facility.").at_reload(),
    row<&settings::syslog_ident>("syslog_ident", "pgpool", "Program name used for syslog messages.")
        .at_reload(),
};

constexpr section logs_sections[] = {
    {"logs", logs_rows},
};

}  // namespace

std::span<const section> logs_parameters()
{
    return logs_sections;
}

}  // namespace pgtorii::config
