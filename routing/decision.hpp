#pragma once

#include "ha/cluster_view.hpp"
#include "routing/catalog_facts.hpp"
#include "routing/statement_facts.hpp"

#include <cstdint>
#include <string_view>

namespace pgtorii::routing {

class rules;  // routing/rules.hpp: the compiled routing parameters

/// Where a statement goes. `all` of Pgpool-II does not appear: transaction control goes to the primary and the session
/// carries its effect to other servers when it uses them (DESIGN: session state is data).
enum class target : std::uint8_t { primary, balanced, local };

/// Why. SHOW, logs and metrics print it: see text_of.
enum class reason : std::uint8_t {
    read_balanced,
    load_balance_off,
    no_standby,              // no valid balanced node other than the primary
    text_rule,               // allow_sql_comments off and a leading comment, VALUES first ...
    statement_kind,          // this kind always goes to the primary
    unparsed,
    multi_statement,
    row_lock,
    data_modifying_with,
    writing_function,
    unknown_function,
    system_catalog,
    temporary_table,
    query_pattern,
    function_list,
    transaction_failed,
    transaction_written,
    session_written,         // disable_load_balance_on_write = always or trans_transaction
    transaction_isolation,
    transaction_not_shared,  // the session keeps this transaction on the primary
    session_pinned,          // session state that only the primary's link has
    replication_delay,
    catalog_unknown,         // the catalog has not been asked for the text's names, or gave no answer
    unlogged_table,
    table_written,           // dml_adaptive: the transaction has written a table that this reads
    transaction_ddl,         // DDL in this transaction: the rest of it sees what only the primary has
    prepared_unknown,        // EXECUTE of a statement that the session doesn't know
    not_replayed,            // causal reads: no standby has replayed what was written
    portal_place,            // a portal is where it was bound
    remembered_write,        // repair: a standby has refused this text before
    local_command,
};

/// Words for operators, e.g. "the transaction has written".
std::string_view text_of(reason why);

struct decision {
    routing::target target = routing::target::primary;
    routing::reason reason = routing::reason::statement_kind;
};

/// What the decision needs to know of the session.
struct session_traits {
    bool in_transaction = false;         ///< The last ReadyForQuery told T or E.
    bool transaction_failed = false;     ///< It told E.
    bool transaction_written = false;    ///< A statement of this transaction counted as a write.
    bool transaction_shareable = false;  ///< A standby may join: plain BEGIN at read committed, no savepoint.
    bool session_written = false;        ///< Any write since the session began.
    bool session_transaction_written = false;  ///< A write inside an explicit transaction since the session began.
    bool session_pinned = false;         ///< Temporary tables, set_config and other state that only one link has.
    bool transaction_has_ddl = false;  ///< DDL was seen in this transaction.
    /// What the catalog says of this text's names; null: not known (yet).
    const catalog_facts* catalog = nullptr;
    /// Of EXECUTE: the facts of the PREPARE that made it; null: not known.
    const query_facts* prepared = nullptr;
    bool is_extended = false;  ///< The text came in a Parse: SHOW POOL_x and PGPOOL are not ours there.
    int balanced_node = -1;    ///< The session's load balance node, or -1: none chosen yet.
};

/// Where the statements of `facts` (one Query text, or one Parse text) go, and why. Pure.
decision decide(const query_facts& facts, const session_traits& session, const ha::cluster_view& view,
                const rules& rules);

/// Whether `facts` make a transaction "writing" under these rules (routing.md, section 5): any of the statements does.
/// Sessions use this and not statement_facts::counts_as_write, which knows neither the function lists nor the text rule.
bool counts_as_write(const query_facts& facts, const rules& rules);

/// Picks the load balance node by weight among valid nodes, as routing.md section 6 says; `draw` is uniform in [0,1).
/// The primary when no node has a weight; -1 when no node is valid.
int choose_node(const ha::cluster_view& view, double draw);

}  // namespace pgtorii::routing
