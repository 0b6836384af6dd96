#include "config/parameter_tables.hpp"
#include "config/row.hpp"

namespace pgtorii::config {
namespace {

constexpr parameter ssl_rows[] = {
    row<&settings::ssl>("ssl", "off", "Enables TLS both toward clients and toward backends."),
    row<&settings::ssl_ca_cert>(
        "ssl_ca_cert", "", "CA certificate file used to verify backend (and client) certificates.")
        .at_reload(),
    row<&settings::ssl_ca_cert_dir>(
        "ssl_ca_cert_dir", "", "Directory of CA certificates used to verify backend certificates.")
        .at_reload(),
    row<&settings::ssl_cert>("ssl_cert", "",
                             "Server certificate file for client TLS; relative paths start at the "
                             "directory of pgpool.conf.")
        .at_reload(),
    row<&settings::ssl_ciphers>("ssl_ciphers", "HIGH:MEDIUM:+3DES:!aNULL",
                                "OpenSSL cipher list for TLS 1.2 and older.")
        .at_reload(),
    row<&settings::ssl_crl_file>("ssl_crl_file", "", "Certificate revocation list file.")
        .at_reload(),
    row<&settings::ssl_dh_params_file>(
        "ssl_dh_params_file", "",
        "File with Diffie-Hellman parameters; built-in ones are used when empty or unusable.")
        .at_reload(),
    row<&settings::ssl_ecdh_curve>("ssl_ecdh_curve", "prime256v1",
                                   "Named curve for ECDH key exchange.")
        .at_reload(),
    row<&settings::ssl_key>(
        "ssl_key", "",
        "Private key file for client TLS; relative paths start at the directory of pgpool.conf.")
        .at_reload(),
    row<&settings::ssl_passphrase_command>(
        "ssl_passphrase_command", "",
        "Shell command whose first output line is the key passphrase; %p is the prompt, %% a "
        "percent sign, other escapes are kept as they are.")
        .at_reload(),
    row<&settings::ssl_prefer_server_ciphers>(
        "ssl_prefer_server_ciphers", "off",
        "Uses the server cipher order rather than the client order in the TLS handshake.")
        .at_reload(),
};

constexpr parameter query_cache_rows[] = {
    row<&settings::cache_safe_memqcache_table_list>(
        "cache_safe_memqcache_table_list", "",
        "Patterns of views and unlogged tables whose results may be cached nevertheless.")
        .at_reload(),
    row<&settings::cache_unsafe_memqcache_table_list>(
        "cache_unsafe_memqcache_table_list", "",
        "Patterns of tables whose results must never be cached; wins over the safe list.")
        .at_reload(),
    row<&settings::memory_cache_enabled>("memory_cache_enabled", "off",
                                         "Turns on the SELECT result cache."),
    row<&settings::memqcache_auto_cache_invalidation>(
        "memqcache_auto_cache_invalidation", "on",
        "Drops cached results automatically when a table that they depend on is modified.")
        .at_reload(),
    row<&settings::memqcache_cache_block_size>(
        "memqcache_cache_block_size", "1MB",
        "Block size of the shared-memory cache; one result must fit in one block.")
        .in(unit::bytes)
        .range(512, int_max),
    row<&settings::memqcache_expire>("memqcache_expire", "0",
                                     "Lifetime of cached results; 0 keeps them until invalidated."),
    row<&settings::memqcache_max_num_cache>(
        "memqcache_max_num_cache", "1000000",
        "Number of entries in the shared-memory cache hash table (rounded up to a power of two)."),
    row<&settings::memqcache_maxcache>("memqcache_maxcache", "400kB",
                                       "Largest result that is cached; must not exceed "
                                       "memqcache_cache_block_size (checked at startup, fatal).")
        .in(unit::bytes),
    row<&settings::memqcache_memcached_host>("memqcache_memcached_host", "localhost",
                                             "Host of the memcached server."),
    row<&settings::memqcache_memcached_port>("memqcache_memcached_port", "11211",
                                             "Port of the memcached server."),
    row<&settings::memqcache_method>("memqcache_method", "shmem",
                                     "Where cached results are stored."),
    row<&settings::memqcache_oiddir>(
        "memqcache_oiddir", "/var/log/pgpool/oiddir",
        "Directory in which table-to-cache-entry maps are kept for invalidation."),
    row<&settings::memqcache_total_size>(
        "memqcache_total_size", "64MB",
        "Size of the shared-memory cache; must hold at least one cache block.")
        .in(unit::bytes)
        .range(0, int64_max),
};

constexpr parameter relation_cache_and_misc_rows[] = {
    row<&settings::check_temp_table>(
        "check_temp_table", "catalog",
        "How temporary tables are detected so that reads of them go to the primary.")
        .at_reload(),
    row<&settings::check_unlogged_table>(
        "check_unlogged_table", "on",
        "Looks up whether a SELECT touches an unlogged table, which must be read from the primary.")
        .in_session(),
    row<&settings::enable_shared_relcache>(
        "enable_shared_relcache", "on",
        "Shares cached system-catalog lookups among sessions through the query-cache storage, even "
        "when the query cache itself is off."),
    row<&settings::work_dir>("logdir", "",
                             "Old spelling of work_dir; from 4.7 an alias that logs a warning and "
                             "is ignored when empty.")
        .old_name_of("work_dir"),
    row<&settings::pid_file_name>(
        "pid_file_name", "/var/run/postgresql/pgpool.pid",
        "Path of the process id file; a relative path is taken from the directory of pgpool.conf."),
    row<&settings::relcache_expire>(
        "relcache_expire", "0", "Lifetime of cached catalog lookups; 0 means they never expire.")
        .range(0, int64_max),
    row<&settings::relcache_query_target>("relcache_query_target", "primary",
                                          "Node that catalog lookups are sent to.")
        .at_reload(),
    row<&settings::relcache_size>("relcache_size", "256",
                                  "Number of entries in the per-process catalog lookup cache."),
    row<&settings::work_dir>("work_dir", "/var/log/postgresql",
                             "Directory for the pgpool_status file and lock files.")
        .from("4.7"),
};

constexpr parameter pgtorii_rows[] = {
    row<&settings::worker_threads>(
        "worker_threads", "0", "Threads that serve clients; 0 makes one for each processor core.")
        .range(0, 1024)
        .ours(),
    row<&settings::query_wait_timeout>("query_wait_timeout", "2min",
                                       "Longest wait of a client for a server connection when all "
                                       "of them are in use; 0 waits without limit.")
        .at_reload()
        .ours(),
    row<&settings::analyze_bytes_max>(
        "analyze_bytes_max", "64kB",
        "A longer statement is not parsed: it goes to the primary as it is.")
        .in(unit::bytes)
        .range(1024, 16777216)
        .at_reload()
        .ours(),
    row<&settings::fact_cache_size>(
        "fact_cache_size", "8MB",
        "Memory of each thread for what it has learnt of statements by parsing them.")
        .in(unit::bytes)
        .ours(),
    row<&settings::max_client_connections>("max_client_connections", "0",
                                           "Clients beyond this number are refused; 0 leaves the "
                                           "limit to the open files that the system allows.")
        .at_reload()
        .ours(),
    row<&settings::causal_reads>(
        "causal_reads", "off",
        "Reads see what was written before: by the same session (session), or through this process "
        "(global). Standbys serve only what they have replayed.")
        .at_reload()
        .ours(),
    row<&settings::causal_reads_poll>(
        "causal_reads_poll", "10ms",
        "How often servers are asked for their WAL positions while a causal read needs them.")
        .range(1, 10000)
        .at_reload()
        .ours(),
    row<&settings::causal_reads_timeout>(
        "causal_reads_timeout", "100ms",
        "Longest wait of a causal read for a standby that has replayed what it must see; then the "
        "primary serves it. 0 does not wait.")
        .range(0, 3600000)
        .at_reload()
        .ours(),
    row<&settings::repair_bytes_max>(
        "repair_bytes_max", "64kB",
        "A read that a standby refuses because it writes (SQLSTATE 25006) is run again on the "
        "primary when its messages are not longer than this; 0 turns that off.")
        .in(unit::bytes)
        .range(0, 16777216)
        .at_reload()
        .ours(),
    row<&settings::repair_memory_size>(
        "repair_memory_size", "1000",
        "Statements that were found to write by a standby's refusal and are remembered as writes.")
        .range(0, 1000000)
        .at_reload()
        .ours(),
    row<&settings::repair_memory_expire>(
        "repair_memory_expire", "1h",
        "How long a statement is remembered as a write after a standby has refused it; 0 is for "
        "ever.")
        .at_reload()
        .ours(),
    row<&settings::catalog_wait_timeout>(
        "catalog_wait_timeout", "1s",
        "Longest wait of a statement for the catalog's answer about the names in it; then it goes "
        "to the primary.")
        .range(0, 60000)
        .at_reload()
        .ours(),
    row<&settings::pool_mode>(
        "pool_mode", "session",
        "How long a session keeps its server connections: to its end (session), to the end of its "
        "transaction (transaction) or of its statement (statement; BEGIN is refused). What a "
        "session has set and prepared goes with it.")
        .at_reload()
        .ours(),
    row<&settings::user_pool_mode_list>(
        "user_pool_mode_list", "",
        "Pool modes of single users, as user:mode; before database_pool_mode_list and pool_mode.")
        .pairs_with(word_lists::pool_modes)
        .at_reload()
        .ours(),
    row<&settings::database_pool_mode_list>(
        "database_pool_mode_list", "",
        "Pool modes of single databases, as database:mode; before pool_mode.")
        .pairs_with(word_lists::pool_modes)
        .at_reload()
        .ours(),
    row<&settings::pin_unknown_functions>(
        "pin_unknown_functions", "audit",
        "Where server connections are shared: after a session has called a volatile function of "
        "users, the server is asked what it has left behind (audit), or the session keeps its "
        "connection (pin), or the function is trusted.")
        .at_reload()
        .ours(),
    row<&settings::query_wait_queue_max>(
        "query_wait_queue_max", "0",
        "The most clients that may wait for a server connection: one more is refused at once. 0: "
        "any number.")
        .range(0, 1'000'000)
        .at_reload()
        .ours(),
    row<&settings::min_pool_size>(
        "min_pool_size", "0",
        "So many idle connections to each server, of each user and database, outlive "
        "connection_life_time.")
        .range(0, 10'000)
        .at_reload()
        .ours(),
    row<&settings::user_connection_limit_list>(
        "user_connection_limit_list", "",
        "The most connections to a server for single users, as user:number; the sessions beyond "
        "wait.")
        .pairs_with_counts()
        .at_reload()
        .ours(),
    row<&settings::database_connection_limit_list>(
        "database_connection_limit_list", "",
        "The most connections to a server for single databases, as database:number; the sessions "
        "beyond wait.")
        .pairs_with_counts()
        .at_reload()
        .ours(),
    row<&settings::node_connection_limit_list>(
        "node_connection_limit_list", "",
        "The most connections to single servers, as node id:number. Reads go elsewhere when a "
        "standby has no more; for the primary, sessions wait. Of the primary's, two are kept for "
        "look-ups in the catalog.")
        .pairs_with_counts()
        .at_reload()
        .ours(),
    row<&settings::idle_in_transaction_timeout>(
        "idle_in_transaction_timeout", "0",
        "Disconnects a client that is idle this long inside a transaction, which is rolled back; 0 "
        "disables it.")
        .at_reload()
        .ours(),
    row<&settings::message_size_max>(
        "message_size_max", "1GB",
        "A client that announces a longer message is disconnected. Before it has logged in, "
        "PostgreSQL's own limits hold: 10000 bytes for the start-up, 64 kB for a password.")
        .in(unit::bytes)
        .range(10000, 1073741824)
        .at_reload()
        .ours(),
};

constexpr section misc_sections[] = {
    {"ssl", ssl_rows},
    {"query cache", query_cache_rows},
    {"relation cache and misc", relation_cache_and_misc_rows},
    {"pgtorii", pgtorii_rows},
};

}  // namespace

std::span<const section> misc_parameters()
{
    return misc_sections;
}

}  // namespace pgtorii::config
