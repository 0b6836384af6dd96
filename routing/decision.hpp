#pragma once

#include "ha/cluster_view.hpp"
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
