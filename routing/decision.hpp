#pragma once

#include "core/base/clock.hpp"
#include "ha/cluster_view.hpp"
#include "routing/catalog_facts.hpp"
#include "routing/statement_facts.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace pgtorii::routing {

class rules;                // routing/rules.hpp: the compiled routing parameters
class written_tables;       // routing/written_tables.hpp
class written_table_clock;  // routing/written_table_clock.hpp

/// Where a statement goes. `all` of Pgpool-II does not appear: transaction control goes to the
/// primary and the session carries its effect to other servers when it uses them (DESIGN: session
/// state is data).
enum class target : std::uint8_t { primary, balanced, local };

/// Why. SHOW, logs and metrics print it: see text_of.
enum class reason : std::uint8_t {
    read_balanced,
    load_balance_off,
    no_standby,      // no valid balanced node other than the primary
    text_rule,       // allow_sql_comments off and a leading comment, VALUES first ...
    statement_kind,  // this kind always goes to the primary
    unparsed,
    multi_statement,
    row_lock,
    data_modifying_with,
    writing_function,
    system_catalog,
    temporary_table,
    query_pattern,
    function_list,
    transaction_failed,
    transaction_written,
    session_written,  // disable_load_balance_on_write = always or trans_transaction
    transaction_isolation,
    transaction_not_shared,  // the session keeps this transaction on the primary
    session_pinned,          // session state that only the primary's link has
    replication_delay,
    catalog_unknown,  // the catalog has not been asked for the text's names, or gave no answer
    unlogged_table,
    table_written,     // dml_adaptive: a table that this reads was written (lately)
    cold_start,        // dml_adaptive_global: what was written before the start is not known
    transaction_ddl,   // DDL in this transaction: the rest of it sees what only the primary has
    prepared_unknown,  // EXECUTE of a statement that the session doesn't know
    not_replayed,      // causal reads: no standby has replayed what was written
    portal_place,      // a portal is where it was bound
    remembered_write,  // repair: a standby has refused this text before
    local_command,
};

/// Words for operators, e.g. "the transaction has written": the one text for the log, EXPLAIN
/// (ROUTE) and `pgtorii route`.
std::string_view text_of(reason why);
/// A short name for counts and metrics, e.g. "transaction_written".
std::string_view name_of(reason why);
/// "primary", "balanced", "local".
std::string_view name_of(target where);

struct decision {
    routing::target target = routing::target::primary;
    routing::reason reason = routing::reason::statement_kind;
};

/// What the decision needs to know of the session. session_tracker::traits() fills in most of it.
struct session_traits {
    bool in_transaction = false;         ///< The last ReadyForQuery told T or E.
    bool transaction_failed = false;     ///< It told E.
    bool transaction_written = false;    ///< A statement of this transaction counted as a write.
    bool transaction_shareable = false;  ///< A standby may join: read committed, no savepoint.
    bool transaction_has_ddl = false;    ///< DDL was seen in this transaction.
    bool session_written = false;        ///< Any write since the session began.
    bool session_transaction_written =
        false;                    ///< A write inside an explicit transaction, likewise.
    bool session_pinned = false;  ///< Temporary tables, set_config and other state of one link.
    /// Of the transaction that is open; unspecified: what the default says.
    isolation transaction_isolation = isolation::unspecified;
    /// default_transaction_isolation; unspecified: not known to be changed.
    isolation default_isolation = isolation::unspecified;
    /// Tables that this transaction has written (dml_adaptive); null: none.
    const written_tables* written = nullptr;

    /// What the catalog says of this text's names (of EXECUTE and PREPARE: of the prepared text's,
    /// see content_of); null: not known (yet).
    const catalog_facts* catalog = nullptr;
    /// Of EXECUTE: the facts of the PREPARE or Parse that made the statement; null: not known.
    const query_facts* prepared = nullptr;
    bool is_extended = false;  ///< The text came in a Parse: SHOW POOL_x and the like are not ours.
    int balanced_node = -1;    ///< The session's load balance node, or -1: none chosen yet.
    bool is_remembered_write = false;  ///< Repair: a standby has refused this statement before.
    bool is_not_replayed = false;      ///< Causal reads: no standby has what must be seen.

    // For dml_adaptive_global.
    const written_table_clock* table_clock = nullptr;  ///< Null: nothing is kept of others' writes.
    std::string_view database{};
    clock::time_point now{};
};

/// The facts whose content a decision about `facts` judges, and whose names the catalog is to be
/// asked for: those of the prepared statement for PREPARE, of the explained one for EXPLAIN
/// (ROUTE), else `facts` themselves. For EXECUTE: content_of the facts of what prepared it. The
/// answer lives as long as what `facts` is.
const query_facts_ptr& content_of(const query_facts_ptr& facts);

/// Where the statements of `facts` (one Query text, or one Parse text) go, and why. Pure; allocates
/// nothing. The reason catalog_unknown means that only the catalog's answer is missing: ask it
/// about the names in content_of, and decide again.
decision decide(const query_facts& facts, const session_traits& session,
                const ha::cluster_view& view, const rules& rules);

/// What one rule says of a statement.
struct rule_verdict {
    std::string_view rule;  ///< E.g. "row locks".
    std::string_view finding;
    routing::reason reason = reason::read_balanced;  ///< read_balanced: no objection.
    bool decides = false;  ///< The first rule with an objection; with none, the last rule.
};

/// All rules in their order, those behind the one that decides too: what decide() finds, told.
std::vector<rule_verdict> explain(const query_facts& facts, const session_traits& session,
                                  const ha::cluster_view& view, const rules& rules);

/// The answer of EXPLAIN (ROUTE), a line for each row of it. `node` is the one chosen; -1: none.
std::vector<std::string> lines_of(const decision& found, int node,
                                  const std::vector<rule_verdict>& verdicts);

/// Whether `facts` make a transaction "writing" under these rules (routing.md, section 5): any of
/// the statements does. Sessions use this and not statement_facts::counts_as_write, which knows
/// neither the function lists, nor the text rule, nor the catalog. `prepared` as in session_traits.
bool counts_as_write(const query_facts& facts, const rules& rules,
                     const catalog_facts* catalog = nullptr, const query_facts* prepared = nullptr);

/// Picks the load balance node by weight among valid nodes, as routing.md section 6 says; `draw` is
/// uniform in [0,1). The primary when no node has a weight; -1 when no node is valid.
int choose_node(const ha::cluster_view& view, double draw);

}  // namespace pgtorii::routing
