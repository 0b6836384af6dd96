#pragma once

#include "config/pattern_list.hpp"
#include "config/redirect_list.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace pgtorii::config {

/// Where Unix sockets of servers and our own stand unless configured: Debian's directory.
/// Pgpool-II's own default is /tmp, and Debian's package of it is built with this one too.
inline constexpr const char* socket_directory = "/var/run/postgresql";

/// Node ids of backends and watchdog nodes, and indexes of heartbeat addresses.
inline constexpr std::size_t backend_index_max = 127;
inline constexpr std::size_t watchdog_index_max = 127;
inline constexpr std::size_t heartbeat_index_max = 255;

/// Message levels in their usual order. LOG has a rank of its own: see is_logged.
enum class message_level : std::uint8_t {
    debug5,
    debug4,
    debug3,
    debug2,
    debug1,
    log,
    info,
    notice,
    warning,
    error,
    fatal,
    panic,
};

/// Whether the server log takes a message when log_min_messages is `minimum`: LOG sorts between
/// ERROR and FATAL there, both as the message's level and as the minimum.
bool is_logged(message_level level, message_level minimum);

/// Whether a client gets a message when client_min_messages is `minimum`: the usual order, and INFO
/// always.
bool is_sent_to_client(message_level level, message_level minimum);

enum class clustering_mode : std::uint8_t {
    streaming_replication,
    native_replication,  // refused at load
    logical_replication,
    raw,
    snapshot_isolation,  // refused at load
};
enum class management_mode : std::uint8_t { static_, dynamic };
enum class management_strategy : std::uint8_t { aggressive, gentle, lazy };
enum class message_detail : std::uint8_t { none, terse, verbose };
enum class verbosity : std::uint8_t { terse, default_, verbose };
enum class facility : std::uint8_t {
    local0,
    local1,
    local2,
    local3,
    local4,
    local5,
    local6,
    local7
};
enum class write_effect : std::uint8_t {
    off,
    transaction,
    trans_transaction,
    always,
    dml_adaptive,
    dml_adaptive_global,
};
enum class delay_logging : std::uint8_t { always, if_over_threshold, none };
enum class lifecheck : std::uint8_t { query, heartbeat, external };
enum class cache_store : std::uint8_t { shmem, memcached };
enum class causality : std::uint8_t { off, session, global };
/// How long a session keeps a server connection: to its end, to its transaction's, or (without
/// transactions of several statements) to its statement's.
enum class pool_mode : std::uint8_t { session, transaction, statement };
/// What to do with a session that has called a function of users in a pool mode that shares
/// connections: the function may have left anything on the connection.
enum class unknown_function_policy : std::uint8_t { audit, pin, trust };
enum class temp_table_check : std::uint8_t { catalog, trace, none };
enum class catalog_node : std::uint8_t { primary, load_balance_node };

/// A list parameter: its items, and its text as configured, which SHOW prints.
struct string_list {
    std::string text;
    std::vector<std::string> items;

    auto begin() const { return items.begin(); }
    auto end() const { return items.end(); }
    bool empty() const { return items.empty(); }
    std::size_t size() const { return items.size(); }
    bool contains(const std::string& item) const;
    bool operator==(const string_list&) const = default;
};

/// backend_flagN.
struct backend_flags {
    bool allow_to_failover = true;
    bool always_primary = false;
    bool operator==(const backend_flags&) const = default;
};

/// One server (Pgpool-II: backend node). The health check members hold the node's own value where
/// the file has one, else that of the parameter without index.
struct backend {
    bool configured = false;  ///< It has a port. False for a hole between node ids.
    std::string
        backend_hostname;  ///< Of a configured node never empty; a leading slash: socket directory.
    int backend_port = 0;
    double backend_weight = 0;
    std::string backend_data_directory;
    std::string backend_application_name;
    backend_flags backend_flag;

    std::chrono::seconds health_check_period{};   ///< Zero: no health check.
    std::chrono::seconds health_check_timeout{};  ///< Zero: no limit.
    std::string health_check_user;
    std::string health_check_password;
    std::string health_check_database;
    int health_check_max_retries = 0;
    std::chrono::seconds health_check_retry_delay{};
    std::chrono::milliseconds connect_timeout{};  ///< Zero: no limit.
};

/// One node of the watchdog cluster: a pgtorii or Pgpool-II.
struct watchdog_node {
    bool configured = false;  ///< It has a wd_port.
    std::string hostname = "localhost";
    int pgpool_port = 0;
    int wd_port = 0;
};

struct heartbeat {
    bool configured = false;  ///< It has a port.
    string_list heartbeat_device;
    string_list heartbeat_hostname;
    int heartbeat_port = 0;
};

/// All parameters, each under its own name; a default-constructed one holds the defaults of the
/// parameter table (config/parameter.hpp, which also has the meanings). Times are in the
/// parameter's native unit, and sizes in bytes unless the comment says otherwise. Copies share the
/// compiled patterns. "Zero: no limit" holds for every time limit.
struct settings {
    settings();

    // connections
    string_list listen_addresses;
    int listen_backlog_multiplier{};
    string_list pcp_listen_addresses;
    int pcp_port{};
    string_list pcp_socket_dir;
    int port{};
    bool serialize_accept{};
    string_list unix_socket_directories;
    std::string unix_socket_group;
    int unix_socket_permissions{};

    // authentication
    bool allow_clear_text_frontend_auth{};
    std::chrono::seconds authentication_timeout{};
    bool enable_pool_hba{};
    std::string pool_passwd;

    // clustering mode
    clustering_mode backend_clustering_mode{};
    bool replication_mode{};

    // backends: index is the node id; as many as the highest configured one needs
    std::vector<backend> backends;

    // pools
    std::chrono::seconds child_life_time{};
    int child_max_connections{};
    std::chrono::seconds client_idle_limit{};
    bool connection_cache{};
    std::chrono::seconds connection_life_time{};
    int max_pool{};
    int max_spare_children{};
    int min_spare_children{};
    int num_init_children{};
    management_mode process_management_mode{};
    management_strategy process_management_strategy{};
    int reserved_connections{};
    string_list reset_query_list;

    // logs
    message_level client_min_messages{};
    message_detail log_backend_messages{};
    bool log_client_messages{};
    bool log_connections{};
    string_list log_destination;  ///< "stderr", "syslog".
    std::string log_directory;
    bool log_disconnections{};
    verbosity log_error_verbosity{};
    int log_file_mode{};
    std::string log_filename;
    bool log_hostname{};
    std::string log_line_prefix;
    message_level log_min_messages{};
    bool log_pcp_processes{};
    bool log_per_node_statement{};
    std::chrono::minutes log_rotation_age{};
    std::int64_t log_rotation_size{};  ///< In kB.
    bool log_statement{};
    bool log_truncate_on_rotation{};
    bool logging_collector{};
    bool notice_per_node_statement{};
    facility syslog_facility{};
    std::string syslog_ident;

    // load balancing
    bool allow_sql_comments{};
    std::shared_ptr<const redirect_list> app_name_redirect_preference_list;
    std::shared_ptr<const redirect_list> database_redirect_preference_list;
    write_effect disable_load_balance_on_write{};
    string_list dml_adaptive_object_relationship_list;  ///< Items "left:right".
    bool ignore_leading_white_space{};
    bool load_balance_mode{};
    std::shared_ptr<const pattern_list> primary_routing_query_pattern_list;
    std::shared_ptr<const pattern_list> read_only_function_list;
    bool statement_level_load_balance{};
    std::chrono::milliseconds track_table_mutation_cold_start_duration{};
    std::chrono::milliseconds track_table_mutation_max_staleness{};
    int track_table_mutation_table_buckets{};
    int track_table_mutation_table_size{};
    double track_table_mutation_ttl_factor{};
    std::shared_ptr<const redirect_list> user_redirect_preference_list;
    std::shared_ptr<const pattern_list> write_function_list;

    // native replication: read, and without effect
    bool failover_if_affected_tuples_mismatch{};
    bool insert_lock{};
    std::string lobj_lock_table;
    bool replicate_select{};
    bool replication_stop_on_mismatch{};

    // streaming replication check
    std::int64_t delay_threshold{};
    std::chrono::milliseconds delay_threshold_by_time{};
    delay_logging log_standby_delay{};
    bool prefer_lower_delay_standby{};
    std::string replication_delay_source_cmd;
    std::chrono::seconds replication_delay_source_timeout{};
    std::string sr_check_database;
    std::string sr_check_password;
    std::chrono::seconds sr_check_period{};
    std::string sr_check_user;

    // health check: what holds for nodes without a value of their own; use those of `backend`
    std::chrono::seconds health_check_period{};
    std::chrono::seconds health_check_timeout{};
    std::string health_check_user;
    std::string health_check_password;
    std::string health_check_database;
    int health_check_max_retries{};
    std::chrono::seconds health_check_retry_delay{};
    std::chrono::milliseconds connect_timeout{};
    bool health_check_test{};

    // failover
    bool auto_failback{};
    std::chrono::seconds auto_failback_interval{};
    bool detach_false_primary{};
    std::string failback_command;
    std::string failover_command;
    bool failover_on_backend_error{};
    bool failover_on_backend_shutdown{};
    std::string follow_primary_command;
    std::chrono::seconds search_primary_node_timeout{};

    // online recovery
    std::chrono::seconds client_idle_limit_in_recovery{};  ///< -1: disconnect at once.
    std::string recovery_1st_stage_command;
    std::string recovery_2nd_stage_command;
    std::string recovery_database;
    std::string recovery_password;
    std::chrono::seconds recovery_timeout{};
    std::string recovery_user;

    // watchdog
    std::vector<watchdog_node> watchdog_nodes;  ///< Index is the watchdog node id.
    std::vector<heartbeat> heartbeats;
    bool allow_multiple_failover_requests_from_node{};
    std::string arping_cmd;
    std::string arping_path;
    bool clear_memqcache_on_escalation{};
    std::string delegate_ip;
    bool enable_consensus_with_half_votes{};
    bool failover_require_consensus{};
    bool failover_when_quorum_exists{};
    std::string if_cmd_path;
    std::string if_down_cmd;
    std::string if_up_cmd;
    std::string ping_path;
    std::string trusted_server_command;
    string_list trusted_servers;
    bool use_watchdog{};
    std::string wd_authkey;
    std::string wd_de_escalation_command;
    std::string wd_escalation_command;
    std::chrono::seconds wd_heartbeat_deadtime{};
    std::chrono::seconds wd_heartbeat_keepalive{};
    string_list wd_heartbeat_listen_addresses;
    int wd_heartbeat_listen_port{};
    std::chrono::seconds wd_interval{};
    std::string wd_ipc_socket_dir;
    int wd_life_point{};
    std::string wd_lifecheck_dbname;
    lifecheck wd_lifecheck_method{};
    std::string wd_lifecheck_password;
    std::string wd_lifecheck_query;
    std::string wd_lifecheck_user;
    std::string wd_listen_address;
    int wd_listen_port{};
    std::chrono::seconds wd_lost_node_removal_timeout{};
    string_list wd_monitoring_interfaces_list;
    std::chrono::seconds wd_no_show_node_removal_timeout{};
    int wd_priority{};
    bool wd_remove_shutdown_nodes{};

    // ssl
    bool ssl{};
    std::string ssl_ca_cert;
    std::string ssl_ca_cert_dir;
    std::string ssl_cert;
    std::string ssl_ciphers;
    std::string ssl_crl_file;
    std::string ssl_dh_params_file;
    std::string ssl_ecdh_curve;
    std::string ssl_key;
    std::string ssl_passphrase_command;
    bool ssl_prefer_server_ciphers{};

    // query cache
    std::shared_ptr<const pattern_list> cache_safe_memqcache_table_list;
    std::shared_ptr<const pattern_list> cache_unsafe_memqcache_table_list;
    bool memory_cache_enabled{};
    bool memqcache_auto_cache_invalidation{};
    std::int64_t memqcache_cache_block_size{};
    std::chrono::seconds memqcache_expire{};
    int memqcache_max_num_cache{};
    std::int64_t memqcache_maxcache{};
    std::string memqcache_memcached_host;
    int memqcache_memcached_port{};
    cache_store memqcache_method{};
    std::string memqcache_oiddir;
    std::int64_t memqcache_total_size{};

    // relation cache and misc
    temp_table_check check_temp_table{};
    bool check_unlogged_table{};
    bool enable_shared_relcache{};
    std::string pid_file_name;
    std::chrono::seconds relcache_expire{};
    catalog_node relcache_query_target{};
    int relcache_size{};
    std::string work_dir;

    // pgtorii: our own
    int worker_threads{};  ///< Zero: one for each core.
    std::chrono::seconds
        query_wait_timeout{};          ///< Longest wait of a client for a server connection.
    std::int64_t analyze_bytes_max{};  ///< Longer texts are not parsed.
    std::int64_t fact_cache_size{};    ///< Of each worker, for facts of statements.
    int max_client_connections{};      ///< Zero: as many as there are file descriptors.
    causality causal_reads{};
    std::chrono::milliseconds causal_reads_poll{};
    std::chrono::milliseconds causal_reads_timeout{};
    std::int64_t repair_bytes_max{};              ///< Zero: no repair.
    int repair_memory_size{};                     ///< Statements.
    std::chrono::seconds repair_memory_expire{};  ///< Zero: never.
    std::chrono::milliseconds catalog_wait_timeout{};
    config::pool_mode pool_mode{};
    string_list user_pool_mode_list;      ///< "name:mode"; comes before the next.
    string_list database_pool_mode_list;  ///< "name:mode"; comes before pool_mode.
    unknown_function_policy pin_unknown_functions{};
    int query_wait_queue_max{};  ///< Clients that wait for a server connection; zero: no limit.
    int min_pool_size{};         ///< Connections of a pool to a server that don't expire.
    string_list user_connection_limit_list;              ///< "name:count"
    string_list database_connection_limit_list;          ///< "name:count"
    string_list node_connection_limit_list;              ///< "node id:count"
    std::chrono::seconds idle_in_transaction_timeout{};  ///< Zero: no limit.
    std::int64_t message_size_max{};                     ///< Bytes of a client's message.
};

/// The pool mode of this user's sessions in this database.
pool_mode pool_mode_of(const settings& of, std::string_view user, std::string_view database);

/// The items of one of the connection limit lists, by name; the last of a name counts.
std::unordered_map<std::string, std::size_t> connection_limits(const string_list& list);
/// A whole number from 1 to 1,000,000, or nothing.
std::optional<std::size_t> count_from(std::string_view text);

}  // namespace pgtorii::config
