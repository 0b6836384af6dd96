#pragma once

#include "routing/statement_facts.hpp"

#include <string_view>

namespace pgtorii::routing {

/// What a node of the parse tree is as a statement, before its details are looked at.
struct kind_row {
    std::string_view node;
    statement_kind kind;
    statement_class stats_class;
    destination where;
    bool is_write;
};

/// By the name of the node, e.g. "SelectStmt". What has no row of its own is `ddl`.
const kind_row& kind_of_node(std::string_view node);

/// By the kind of a TransactionStmt, e.g. "TRANS_STMT_BEGIN".
const kind_row& kind_of_transaction(std::string_view word);

}  // namespace pgtorii::routing
