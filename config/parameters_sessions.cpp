#include "config/parameter_tables.hpp"
#include "config/row.hpp"

namespace pgtorii::config {
namespace {

constexpr parameter connections_rows[] = {
    row<&settings::listen_addresses>(
        "listen_addresses", "localhost",
        "Addresses to listen on for clients; * is all interfaces and an empty value disables TCP."),
    row<&settings::listen_backlog_multiplier>("listen_backlog_multiplier", "2",
                                              "The listen backlog is this times num_init_children.")
        .range(1, int_max),
    row<&settings::pcp_listen_addresses>("pcp_listen_addresses", "localhost",
                                         "Addresses to listen on for PCP administration clients; * "
                                         "is all interfaces and an empty value disables TCP."),
    row<&settings::pcp_port>("pcp_port", "9898", "TCP port for PCP administration clients.")
        .range(1024, 65535),
    row<&settings::pcp_socket_dir>(
        "pcp_socket_dir", socket_directory,
        "Directories in which PCP Unix sockets are created (a single directory before 4.5)."),
    row<&settings::port>("port", "9999", "TCP port for clients, also part of the Unix socket name.")
        .range(1024, 65535),
    row<&settings::serialize_accept>(
        "serialize_accept", "off",
        "Takes a lock around accept so that only one idle worker process wakes per incoming "
        "client; pointless in a single-process server and ignored while child_life_time is "
        "non-zero.")
        .without_effect("one process serves all clients, so there is nothing to serialize"),
    row<&settings::unix_socket_directories>(
        "socket_dir", socket_directory,
        "Directory in which the client Unix socket is created (4.3 only).")
        .old_name_of("unix_socket_directories"),
    row<&settings::unix_socket_directories>("unix_socket_directories", socket_directory,
                                            "Directories in which client Unix sockets are created.")
        .from("4.4"),
    row<&settings::unix_socket_group>(
        "unix_socket_group", "",
        "Group owner given to the client Unix sockets; empty keeps the process default.")
        .from("4.4"),
    row<&settings::unix_socket_permissions>(
        "unix_socket_permissions", "0777",
        "Mode bits of the client Unix sockets; write it with a leading 0 for octal.")
        .range(0, 0777)
        .octal()
        .from("4.4"),
};

constexpr parameter authentication_rows[] = {
    row<&settings::allow_clear_text_frontend_auth>(
        "allow_clear_text_frontend_auth", "off",
        "When a user has no pool_passwd entry and pool_hba is off, asks the client for a "
        "clear-text password to use against an md5 or SCRAM backend.")
        .at_reload(),
    row<&settings::authentication_timeout>("authentication_timeout", "1min",
                                           "Time limit for client authentication; 0 disables it."),
    row<&settings::enable_pool_hba>("enable_pool_hba", "off",
                                    "Turns on client authentication rules from pool_hba.conf.")
        .at_reload(),
    row<&settings::pool_passwd>("pool_passwd", "pool_passwd",
                                "Path of the password file (relative to the directory of "
                                "pgpool.conf); an empty string disables it.")
        .password(),
};

constexpr parameter clustering_mode_rows[] = {
    row<&settings::backend_clustering_mode>(
        "backend_clustering_mode", "streaming_replication",
        "How backends are kept in sync, and so how queries are routed."),
    row<&settings::replication_mode>(
        "replication_mode", "off",
        "Leftover of the pre-4.2 mode switch; it routes nothing and, while "
        "failover_when_quorum_exists is on (the default), setting it on makes startup fail."),
};

constexpr parameter backends_rows[] = {
    slot<&settings::backends, &backend::backend_hostname>(
        "backend_hostname", "",
        "Host name or address of the backend, or a socket directory when it starts with a slash; "
        "empty means the compiled-in socket directory."),
    slot<&settings::backends, &backend::backend_port>(
        "backend_port", "0",
        "TCP port of the backend with this node id; a non-zero port is what makes the node exist.")
        .range(1024, 65535),
    slot<&settings::backends, &backend::backend_weight>(
        "backend_weight", "0",
        "Relative share of reads for this node; shares are normalised over all configured nodes.")
        .range(0, 100000000),
    slot<&settings::backends, &backend::backend_data_directory>(
        "backend_data_directory", "",
        "Data directory of the backend, used for recovery and in command placeholders; required on "
        "every node once a recovery stage command is set."),
    slot<&settings::backends, &backend::backend_application_name>(
        "backend_application_name", "",
        "application_name of the walreceiver of this standby, used to find its row in "
        "pg_stat_replication."),
    slot<&settings::backends, &backend::backend_flag>("backend_flag", "ALLOW_TO_FAILOVER",
                                                      "Node flags joined with |, case-sensitive."),
};

constexpr parameter pools_rows[] = {
    row<&settings::child_life_time>(
        "child_life_time", "5min",
        "Idle time after which a worker process is recycled; 0 disables it.")
        .without_effect("one process serves all clients, and needs no recycling"),
    row<&settings::child_max_connections>(
        "child_max_connections", "0",
        "Recycles a worker process after this many client sessions; 0 disables it.")
        .without_effect("one process serves all clients, and needs no recycling"),
    row<&settings::client_idle_limit>(
        "client_idle_limit", "0",
        "Disconnects a client idle this long since its last query; 0 disables it.")
        .in_session(),
    row<&settings::connection_cache>(
        "connection_cache", "on",
        "Keeps backend connections open after a client leaves so later clients with the same user "
        "and database can reuse them."),
    row<&settings::connection_life_time>(
        "connection_life_time", "0",
        "Closes a cached backend connection this long after its last use; 0 keeps it."),
    row<&settings::max_pool>(
        "max_pool", "4",
        "Times num_init_children, this is the most connections to servers that are open at once."),
    row<&settings::max_spare_children>(
        "max_spare_children", "10",
        "Upper bound of idle workers in dynamic process management; must exceed min_spare_children "
        "and not exceed num_init_children.")
        .at_reload()
        .range(1, int_max)
        .from("4.4")
        .without_effect("one process serves all clients: worker_threads sets its threads"),
    row<&settings::min_spare_children>("min_spare_children", "5",
                                       "Lower bound of idle workers in dynamic process management.")
        .at_reload()
        .range(1, int_max)
        .from("4.4")
        .without_effect("one process serves all clients: worker_threads sets its threads"),
    row<&settings::num_init_children>("num_init_children", "32",
                                      "Times max_pool, this is the most connections to servers "
                                      "that are open at once; clients beyond it wait in order.")
        .range(1, int_max),
    row<&settings::process_management_mode>(
        "process_management_mode", "static",
        "Whether worker processes are all started up front or on demand.")
        .at_reload()
        .from("4.4")
        .without_effect("one process serves all clients: worker_threads sets its threads"),
    row<&settings::process_management_strategy>(
        "process_management_strategy", "gentle",
        "How eagerly idle workers are removed in dynamic mode.")
        .at_reload()
        .from("4.4")
        .without_effect("one process serves all clients: worker_threads sets its threads"),
    row<&settings::reserved_connections>(
        "reserved_connections", "0",
        "When above 0, clients beyond num_init_children minus this number are refused with an "
        "error instead of queued."),
    row<&settings::reset_query_list>("reset_query_list", "ABORT;DISCARD ALL",
                                     "Statements sent to a backend to clean up a session before "
                                     "the connection returns to the cache.")
        .at_reload()
        .separated_by(';'),
};

constexpr section sessions_sections[] = {
    {"connections", connections_rows},
    {"authentication", authentication_rows},
    {"clustering mode", clustering_mode_rows},
    {"backends", backends_rows},
    {"pools", pools_rows},
};

}  // namespace

std::span<const section> sessions_parameters()
{
    return sessions_sections;
}

}  // namespace pgtorii::config
