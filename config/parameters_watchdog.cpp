#include "config/parameter_tables.hpp"
#include "config/row.hpp"

namespace pgtorii::config {
namespace {

constexpr parameter watchdog_rows[] = {
    slot<&settings::watchdog_nodes, &watchdog_node::hostname>(
        "hostname", "localhost",
        "Host name of this Pgpool node, also its identity in the watchdog cluster."),
    slot<&settings::watchdog_nodes, &watchdog_node::pgpool_port>("pgpool_port", "0",
                                                                 "Client port of this Pgpool node.")
        .range(1024, 65535),
    slot<&settings::watchdog_nodes, &watchdog_node::wd_port>(
        "wd_port", "0",
        "Watchdog TCP port of this Pgpool node; the highest index set gives the cluster size.")
        .range(1024, 65535),
    slot<&settings::heartbeats, &heartbeat::heartbeat_device>(
        "heartbeat_device", "",
        "Semicolon-separated network devices matched by position with the heartbeat addresses; "
        "needs root.")
        .separated_by(';'),
    slot<&settings::heartbeats, &heartbeat::heartbeat_hostname>(
        "heartbeat_hostname", "",
        "Semicolon-separated addresses for heartbeat signals of this Pgpool node.")
        .separated_by(';'),
    slot<&settings::heartbeats, &heartbeat::heartbeat_port>(
        "heartbeat_port", "0", "UDP port for heartbeat signals of this Pgpool node.")
        .range(1024, 65535),
    row<&settings::allow_multiple_failover_requests_from_node>(
        "allow_multiple_failover_requests_from_node", "off",
        "Lets repeated failure reports from one watchdog node count as separate votes toward "
        "failover consensus."),
    row<&settings::arping_cmd>("arping_cmd",
                               "/usr/bin/sudo /usr/sbin/arping -U $_IP_$ -w 1 -I eth0",
                               "Command that announces the virtual IP after it is brought up; "
                               "$_IP_$ is replaced, no shell is used."),
    row<&settings::arping_path>("arping_path", "/usr/sbin",
                                "Directory prefixed to arping_cmd unless it starts with a slash."),
    row<&settings::clear_memqcache_on_escalation>(
        "clear_memqcache_on_escalation", "on",
        "Empties the shared-memory query cache when this node becomes the watchdog leader.")
        .at_reload(),
    row<&settings::delegate_ip>(
        "delegate_IP", "", "Old spelling of delegate_ip (from 4.4 an alias that logs a warning).")
        .old_name_of("delegate_ip"),
    row<&settings::delegate_ip>(
        "delegate_ip", "", "Virtual IP address held by the watchdog leader; empty disables it.")
        .from("4.4"),
    row<&settings::enable_consensus_with_half_votes>(
        "enable_consensus_with_half_votes", "off",
        "In clusters with an even number of watchdog nodes, treats exactly half of the votes as a "
        "majority."),
    row<&settings::failover_require_consensus>(
        "failover_require_consensus", "on",
        "With the watchdog on and a quorum present, waits for enough watchdog nodes to report the "
        "same backend failure before failing over."),
    row<&settings::failover_when_quorum_exists>(
        "failover_when_quorum_exists", "on",
        "With the watchdog on, lets a failover go ahead only while the Pgpool cluster has a "
        "quorum; otherwise the failing node is quarantined locally."),
    row<&settings::if_cmd_path>(
        "if_cmd_path", "/sbin",
        "Directory prefixed to if_up_cmd and if_down_cmd unless they start with a slash."),
    row<&settings::if_down_cmd>("if_down_cmd", "/usr/bin/sudo /sbin/ip addr del $_IP_$/24 dev eth0",
                                "Command that takes the virtual IP down; $_IP_$ is replaced, "
                                "arguments are split on spaces and no shell is used."),
    row<&settings::if_up_cmd>("if_up_cmd",
                              "/usr/bin/sudo /sbin/ip addr add $_IP_$/24 dev eth0 label eth0:0",
                              "Command that brings the virtual IP up; $_IP_$ is replaced, "
                              "arguments are split on spaces and no shell is used."),
    row<&settings::ping_path>(
        "ping_path", "/bin",
        "Directory that holds the ping program used to verify the virtual IP."),
    row<&settings::trusted_server_command>("trusted_server_command", "ping -q -c3 %h",
                                           "Shell command testing one trusted server; %h is the "
                                           "host, %% a percent sign, any other escape is dropped.")
        .at_reload()
        .from("4.4"),
    row<&settings::trusted_servers>("trusted_servers", "",
                                    "Comma-separated hosts whose reachability stands for a working "
                                    "upstream network; no spaces are trimmed."),
    row<&settings::use_watchdog>("use_watchdog", "off",
                                 "Turns on the watchdog (coordination among several Pgpool nodes); "
                                 "requires a pgpool_node_id file beside pgpool.conf."),
    row<&settings::wd_authkey>(
        "wd_authkey", "",
        "Shared secret for watchdog messages, heartbeat signals and watchdog IPC clients; empty "
        "disables authentication and SHOW prints it in clear.")
        .at_reload(),
    row<&settings::wd_de_escalation_command>(
        "wd_de_escalation_command", "",
        "Shell command (no placeholders) run when this node gives up leadership, before the "
        "virtual IP is released.")
        .at_reload(),
    row<&settings::wd_escalation_command>(
        "wd_escalation_command", "",
        "Shell command (no placeholders) run when this node becomes watchdog leader, before the "
        "virtual IP is brought up.")
        .at_reload(),
    row<&settings::wd_heartbeat_deadtime>(
        "wd_heartbeat_deadtime", "30s",
        "Silence after which a Pgpool node is declared dead in heartbeat mode.")
        .range(1, int_max),
    row<&settings::wd_heartbeat_keepalive>("wd_heartbeat_keepalive", "2s",
                                           "Interval between heartbeat signals sent.")
        .range(1, int_max),
    row<&settings::wd_heartbeat_listen_addresses>(
        "wd_heartbeat_listen_addresses", "",
        "Semicolon-separated addresses that override the local heartbeat_hostname entry for "
        "receiving heartbeats; * means all.")
        .separated_by(';')
        .from("4.7.1"),
    row<&settings::wd_heartbeat_listen_port>("wd_heartbeat_listen_port", "0",
                                             "Overrides the local heartbeat_port entry for "
                                             "receiving heartbeats; 0 keeps heartbeat_port.")
        .from("4.7.1"),
    row<&settings::wd_no_show_node_removal_timeout>(
        "wd_initial_node_showup_time", "0",
        "Name of wd_no_show_node_removal_timeout in 4.3.0 only.")
        .at_reload()
        .old_name_of("wd_no_show_node_removal_timeout"),
    row<&settings::wd_interval>("wd_interval", "10s", "Interval between life checks."),
    row<&settings::wd_ipc_socket_dir>(
        "wd_ipc_socket_dir", socket_directory,
        "Directory of the Unix socket through which local tools talk to the watchdog."),
    row<&settings::wd_life_point>(
        "wd_life_point", "3",
        "Failed query-mode life checks before a Pgpool node is declared dead."),
    row<&settings::wd_lifecheck_dbname>("wd_lifecheck_dbname", "template1",
                                        "Database name for the query-mode life check.")
        .at_reload(),
    row<&settings::wd_lifecheck_method>("wd_lifecheck_method", "heartbeat",
                                        "How Pgpool nodes check that each other are alive."),
    row<&settings::wd_lifecheck_password>(
        "wd_lifecheck_password", "",
        "Password for wd_lifecheck_user (plain, TEXT- or AES-prefixed; md5 is refused); empty "
        "means look it up in pool_passwd.")
        .at_reload()
        .password(),
    row<&settings::wd_lifecheck_query>(
        "wd_lifecheck_query", "SELECT 1",
        "Query sent to the other Pgpool nodes when wd_lifecheck_method is query."),
    row<&settings::wd_lifecheck_user>("wd_lifecheck_user", "",
                                      "User name for the query-mode life check.")
        .at_reload(),
    row<&settings::wd_listen_address>("wd_listen_address", "",
                                      "Overrides the local hostname entry as the address that the "
                                      "watchdog listens on; * means all.")
        .from("4.7.1"),
    row<&settings::wd_listen_port>(
        "wd_listen_port", "0",
        "Overrides the local wd_port entry as the port that the watchdog listens on.")
        .range(1024, 65535)
        .from("4.7.1"),
    row<&settings::wd_lost_node_removal_timeout>(
        "wd_lost_node_removal_timeout", "0",
        "Time after which a lost watchdog node stops counting as a cluster member; 0 disables "
        "removal.")
        .at_reload(),
    row<&settings::wd_monitoring_interfaces_list>(
        "wd_monitoring_interfaces_list", "",
        "Network interfaces whose link state is monitored; any means all but loopback and an empty "
        "list disables it."),
    row<&settings::wd_no_show_node_removal_timeout>(
        "wd_no_show_node_removal_timeout", "0",
        "Time after which a configured watchdog node that never appeared stops counting as a "
        "cluster member; 0 disables removal.")
        .at_reload()
        .from("4.3.1"),
    row<&settings::wd_priority>("wd_priority", "1",
                                "Weight of this node in watchdog leader elections; higher wins."),
    row<&settings::wd_remove_shutdown_nodes>(
        "wd_remove_shutdown_nodes", "off",
        "Drops a watchdog node that shut down cleanly from cluster membership at once, shrinking "
        "the vote count.")
        .at_reload(),
};

constexpr section watchdog_sections[] = {
    {"watchdog", watchdog_rows},
};

}  // namespace

std::span<const section> watchdog_parameters()
{
    return watchdog_sections;
}

}  // namespace pgtorii::config
