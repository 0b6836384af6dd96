#include "routing/kind_table.hpp"

namespace pgtorii::routing {

namespace {

using sk = statement_kind;
using sc = statement_class;
using to = destination;

// Kinds and destinations: routing.md, section 3; classes: sql-interface.md, section 8. What counts
// as a write follows Pgpool-II (routing.md, section 5), except that ROLLBACK TO and a second BEGIN
// forget nothing.
constexpr kind_row kind_rows[] = {
    {"SelectStmt", sk::select, sc::select, to::balanced, false},
    {"InsertStmt", sk::insert, sc::insert, to::primary, true},
    {"UpdateStmt", sk::update, sc::update, to::primary, true},
    {"DeleteStmt", sk::delete_, sc::delete_, to::primary, true},
    {"MergeStmt", sk::merge, sc::ddl, to::primary, true},
    {"CopyStmt", sk::copy_from, sc::ddl, to::primary, true},
    {"TransactionStmt", sk::begin, sc::other, to::all, false},
    {"VariableSetStmt", sk::set, sc::other, to::all, true},
    {"VariableShowStmt", sk::show, sc::other, to::balanced, false},
    {"ConstraintsSetStmt", sk::set_constraints, sc::ddl, to::primary, true},
    {"DiscardStmt", sk::discard, sc::other, to::all, true},
    {"PrepareStmt", sk::prepare, sc::other, to::primary, true},
    {"ExecuteStmt", sk::execute, sc::other, to::primary, true},
    {"DeallocateStmt", sk::deallocate, sc::other, to::primary, true},
    {"DeclareCursorStmt", sk::declare_cursor, sc::ddl, to::primary, true},
    {"FetchStmt", sk::cursor, sc::ddl, to::primary, true},
    {"ClosePortalStmt", sk::cursor, sc::ddl, to::primary, true},
    {"ListenStmt", sk::listen, sc::other, to::primary, true},
    {"UnlistenStmt", sk::listen, sc::other, to::primary, true},
    {"NotifyStmt", sk::notify, sc::other, to::primary, true},
    {"LockStmt", sk::lock, sc::other, to::primary, true},
    {"ExplainStmt", sk::explain, sc::other, to::primary, false},
    {"CallStmt", sk::call, sc::ddl, to::primary, true},
    {"DoStmt", sk::call, sc::ddl, to::primary, true},
    {"LoadStmt", sk::load, sc::other, to::primary, true},
    {"VacuumStmt", sk::maintenance, sc::other, to::primary, true},
    {"CheckPointStmt", sk::maintenance, sc::other, to::primary, true},
    {"ClusterStmt", sk::maintenance, sc::ddl, to::primary, true},
    {"ReindexStmt", sk::maintenance, sc::ddl, to::primary, true},
    {"RefreshMatViewStmt", sk::maintenance, sc::ddl, to::primary, true},
};

constexpr kind_row other_row{"", sk::ddl, sc::ddl, to::primary, true};

constexpr kind_row transaction_rows[] = {
    {"TRANS_STMT_BEGIN", sk::begin, sc::other, to::all, false},
    {"TRANS_STMT_START", sk::begin, sc::other, to::all, false},
    {"TRANS_STMT_COMMIT", sk::commit, sc::other, to::all, false},
    {"TRANS_STMT_ROLLBACK", sk::rollback, sc::other, to::all, false},
    {"TRANS_STMT_SAVEPOINT", sk::savepoint, sc::other, to::all, true},
    {"TRANS_STMT_RELEASE", sk::release_savepoint, sc::other, to::all, true},
    {"TRANS_STMT_ROLLBACK_TO", sk::rollback_to_savepoint, sc::other, to::all, false},
    {"TRANS_STMT_PREPARE", sk::prepare_transaction, sc::other, to::primary, true},
    {"TRANS_STMT_COMMIT_PREPARED", sk::commit_prepared, sc::other, to::primary, true},
    {"TRANS_STMT_ROLLBACK_PREPARED", sk::commit_prepared, sc::other, to::primary, true},
};

constexpr kind_row other_transaction_row{"", sk::other, sc::other, to::primary, true};

}  // namespace

const kind_row& kind_of_node(std::string_view node)
{
    for (const auto& row : kind_rows) {
        if (row.node == node) return row;
    }
    return other_row;
}

const kind_row& kind_of_transaction(std::string_view word)
{
    for (const auto& row : transaction_rows) {
        if (row.node == word) return row;
    }
    return other_transaction_row;
}

}  // namespace pgtorii::routing
