#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace pgtorii::routing {

/// What a statement is, as far as sessions and routing tell statements apart.
enum class statement_kind : std::uint8_t {
    empty,     // nothing but blanks, semicolons and comments
    unparsed,  // libpg_query refused it, or it is over the bounds of the scan
    select,    // SELECT, TABLE, VALUES, WITH ... SELECT, set operations
    insert,
    update,
    delete_,
    merge,
    copy_to,    // COPY ... TO STDOUT
    copy_from,  // COPY ... FROM STDIN
    copy_file,  // COPY with a server file or program
    begin,      // BEGIN, START TRANSACTION
    commit,     // COMMIT, END
    rollback,   // ROLLBACK, ABORT
    savepoint,
    release_savepoint,
    rollback_to_savepoint,
    prepare_transaction,
    commit_prepared,  // also ROLLBACK PREPARED
    set,              // SET, SET LOCAL, RESET, RESET ALL: see session_effect
    set_transaction,  // SET TRANSACTION, SET SESSION CHARACTERISTICS
    set_constraints,
    show,
    discard,
    prepare,     // SQL-level PREPARE
    execute,     // SQL-level EXECUTE
    deallocate,  // SQL-level DEALLOCATE
    declare_cursor,
    cursor,  // FETCH, MOVE, CLOSE
    listen,  // LISTEN, UNLISTEN
    notify,
    lock,
    explain,
    explain_route,  // EXPLAIN (ROUTE): `inner` has the facts of the statement explained
    call,           // CALL, DO
    load,
    maintenance,  // VACUUM, ANALYZE, CLUSTER, REINDEX, CHECKPOINT, REFRESH ...
    ddl,
    pool_show,     // SHOW POOL_*: `name` holds the lower-case command name, e.g. pool_nodes
    pgpool_show,   // PGPOOL SHOW x: `name` holds the argument, folded ("all" for ALL)
    pgpool_set,    // PGPOOL SET x TO value: `name` and `value`; DEFAULT gives no value
    pgpool_reset,  // PGPOOL RESET x: `name`
    other,
};

/// The classes that SHOW POOL_BACKEND_STATS counts (sql-interface.md, section 8).
enum class statement_class : std::uint8_t { select, insert, update, delete_, ddl, other };

/// Pgpool-II's kinds of destination (routing.md, section 1).
enum class destination : std::uint8_t {
    primary,   // P
    balanced,  // L: a read that may be balanced
    all,       // A: transaction control and session state
    local,     // answered by pgtorii itself
};

/// How SET and its like change the session.
enum class setting_change : std::uint8_t {
    none,
    set,        // SET name ..., SET SESSION ...: lasts for the session
    set_local,  // SET LOCAL: lasts for the transaction
    reset,      // RESET name, SET name TO DEFAULT
    reset_all,
    discard_all,
};

enum class isolation : std::uint8_t { unspecified, read_committed, repeatable_read, serializable };

struct query_facts;

/// What the text of one statement tells. Depends on the text alone, so it is cached.
struct statement_facts {
    statement_kind kind = statement_kind::unparsed;
    statement_class stats_class = statement_class::other;
    routing::destination destination = routing::destination::primary;

    bool is_read = false;  ///< Proven to change nothing by its text: a unit or transaction of these
                           ///< needs no primary.
    bool counts_as_write = true;  ///< Makes a transaction "writing" (routing.md, section 5).

    // Session effects. A true flag means that the text may have it.
    setting_change change = setting_change::none;
    std::string name;   ///< Of the setting (folded to lower case; "role", "session_authorization"),
                        ///< or see the kinds.
    std::string value;  ///< Of pgpool_set; of explain_route the text that is explained.
    bool drops_database = false;  ///< DROP DATABASE: `name` is the database.
    bool has_value = false;
    bool creates_temp = false;      ///< Creates a temporary table, view or sequence.
    bool calls_set_config = false;  ///< set_config(): a setting may change inside a SELECT.
    bool takes_advisory_lock = false;
    bool holds_cursor = false;  ///< DECLARE ... WITH HOLD.
    bool effects_unknown =
        false;  ///< May have session effects that the text does not show (DO, CALL, unparsed ...).
    bool lists_statements = false;  ///< Reads which prepared statements the session has.
    bool runs_texts = false;        ///< Calls a builtin function that runs a query given as text.
    bool uses_sequence_state =
        false;  ///< nextval, setval, currval, lastval: what currval answers is session state.

    // What keeps a read from being balanced; also the reason that decide() names.
    bool has_row_lock = false;  ///< FOR UPDATE, NO KEY UPDATE, SHARE, KEY SHARE, at any depth.
    bool has_into = false;      ///< SELECT ... INTO.
    bool has_modifying_with =
        false;  ///< INSERT, UPDATE, DELETE or MERGE inside a WITH, at any depth.
    bool calls_writing_function = false;  ///< A builtin function that is not known as read-only.
    bool calls_unknown_function =
        false;                    ///< A function that is no builtin: only the catalog could tell.
    bool asks_functions = false;  ///< Likewise, or a builtin one that is not called by its schema:
                                  ///< a user's own of that name may be meant.
    bool reads_system_catalog = false;
    bool reads_temp_schema = false;  ///< Names a relation as pg_temp.x.

    /// DDL, also CREATE TABLE AS and SELECT INTO: what the catalog said before may be wrong now.
    bool changes_schema = false;
    /// May write tables that `targets` does not name (CALL, a function of a user's, unparsed ...).
    bool writes_unknown = false;

    // Transaction control.
    /// Of BEGIN, SET TRANSACTION, SET SESSION CHARACTERISTICS, and of SET and RESET of
    /// transaction_isolation and default_transaction_isolation.
    isolation begin_isolation = isolation::unspecified;
    /// begin_isolation is that of transactions to come; RESET and DEFAULT leave it unspecified.
    bool changes_default_isolation = false;
    bool begin_read_only = false;
    bool begin_read_write = false;
    bool begin_deferrable = false;
    bool chain = false;  ///< COMMIT/ROLLBACK AND CHAIN.

    // Where the statement stands in the text. Zero length: the whole text (facts of a normalised
    // key never have one).
    std::uint32_t text_offset = 0;
    std::uint32_t text_length = 0;

    // Names as written, schema.name where qualified, quotes removed.
    std::vector<std::string> relations;  ///< Read or written; names of WITH queries are none.
    std::vector<std::string> functions;
    std::vector<std::string> operators;   ///< Those that PostgreSQL itself has not.
    std::vector<std::string> cast_types;  ///< Of explicit casts, likewise.
    std::vector<std::string> targets;     ///< Tables that it writes or locks rows of.
    std::vector<std::string> executed;    ///< Prepared statements that an EXECUTE inside it names.

    /// Of PREPARE the facts of the statement that it prepares, of EXPLAIN (ROUTE) of the one that
    /// it explains; else null.
    std::shared_ptr<const query_facts> inner;
};

/// What one Query or Parse text tells: its statements in order. Immutable and shared between
/// sessions of one worker.
struct query_facts {
    std::vector<statement_facts>
        statements;  ///< At least one; a text without any holds one `empty`.
    bool is_parsed = false;
    /// False: the facts hold for every text that differs from this one in literals only.
    bool depends_on_literals = true;

    /// It may mean prepared statements by their names, or list them.
    bool names_statements = true;
    /// By its text it leaves nothing on its server and reads nothing that others may have left.
    bool is_stateless = false;

    // For the text rule of routing.md, section 4.1; the first character counts, not the first
    // token.
    bool starts_with_blank = false;
    bool starts_like_read =
        true;  ///< After blanks comes one of s S w W t T ( ; or the end of the text.

    bool matches_query_pattern =
        false;  ///< Of primary_routing_query_pattern_list; set by fact_cache only.

    bool is_multi() const { return statements.size() > 1; }
    const statement_facts& first() const { return statements.front(); }
};

using query_facts_ptr = std::shared_ptr<const query_facts>;

}  // namespace pgtorii::routing
