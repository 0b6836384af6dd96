// What a statement is, and what the details of its kind tell.

#include "routing/kind_table.hpp"
#include "routing/statement_reader.hpp"
#include "routing/text_outline.hpp"

#include <algorithm>
#include <array>
#include <memory>

namespace pgtorii::routing {

namespace {

using sk = statement_kind;

// Bits of DeclareCursorStmt.options and numbers of LockStmt.mode: parsenodes.h and lockdefs.h.
constexpr std::int64_t cursor_option_hold = 0x0020;
constexpr std::int64_t lock_mode_row_share = 2;

isolation isolation_of(std::string_view level)
{
    if (equals_ignoring_case(level, "serializable")) return isolation::serializable;
    if (equals_ignoring_case(level, "repeatable read")) return isolation::repeatable_read;
    // PostgreSQL runs READ UNCOMMITTED as READ COMMITTED.
    return isolation::read_committed;
}

/// Statements among those of kind `ddl` after which all that the catalog said still holds.
bool keeps_schema(std::string_view type)
{
    constexpr auto types = std::to_array<std::string_view>(
        {"TruncateStmt", "CommentStmt", "SecLabelStmt", "AlterSystemStmt"});
    return std::find(types.begin(), types.end(), type) != types.end();
}

}  // namespace

void statement_reader::classify_transaction(const tree_object& node)
{
    const auto& row = kind_of_transaction(text_in(node, "kind"));
    facts_.kind = row.kind;
    facts_.destination = row.where;
    facts_.counts_as_write = row.is_write;
    facts_.chain = flag_in(node, "chain");
    facts_.name = text_in(node, "savepoint_name");
    classify_options(node, "options");
}

/// Options of BEGIN, SET TRANSACTION and SET SESSION CHARACTERISTICS.
void statement_reader::classify_options(const tree_object& node, std::string_view key)
{
    tree_array options;
    if (node[key].get(options) != simdjson::SUCCESS) return;
    for (const tree_element item : options) {
        tree_object option;
        tree_element value;
        if (item["DefElem"].get(option) != simdjson::SUCCESS) continue;
        if (option["arg"].get(value) != simdjson::SUCCESS) continue;
        const auto name = text_in(option, "defname");
        if (name == "transaction_isolation")
            facts_.begin_isolation = isolation_of(constant_text(value));
        if (name == "transaction_read_only") {
            const bool is_read_write = is_off(constant_text(value));
            facts_.begin_read_only = !is_read_write;
            facts_.begin_read_write = is_read_write;
        }
        if (name == "transaction_deferrable")
            facts_.begin_deferrable = !is_off(constant_text(value));
    }
}

void statement_reader::classify_set(const tree_object& node)
{
    const auto how = text_in(node, "kind");
    facts_.name = lower_case(text_in(node, "name"));
    if (how == "VAR_SET_MULTI") {
        facts_.kind = statement_kind::set_transaction;
        classify_options(node, "args");
        // SET SESSION CHARACTERISTICS lasts; the other two are over with the transaction.
        if (facts_.name == "session characteristics") facts_.change = setting_change::set;
    } else if (how == "VAR_RESET_ALL") {
        facts_.change = setting_change::reset_all;
    } else if (flag_in(node, "is_local")) {
        facts_.change = setting_change::set_local;
    } else if (how == "VAR_RESET" || how == "VAR_SET_DEFAULT") {
        facts_.change = setting_change::reset;
    } else {
        facts_.change = setting_change::set;
    }
    classify_isolation(node, how);
    if (facts_.begin_read_write || facts_.begin_isolation == isolation::serializable) {
        facts_.destination = destination::primary;
    }
    if (facts_.kind != statement_kind::set_transaction) return;
    // READ ONLY and DEFERRABLE alone write nothing and forbid nothing.
    facts_.counts_as_write =
        facts_.begin_isolation != isolation::unspecified || facts_.begin_read_write;
}

/// What SET and RESET do to the level of this transaction, or of those to come.
void statement_reader::classify_isolation(const tree_object& node, std::string_view how)
{
    const bool is_default = facts_.name == "default_transaction_isolation";
    facts_.changes_default_isolation =
        is_default || (facts_.name == "session characteristics" &&
                       facts_.begin_isolation != isolation::unspecified);
    tree_array values;
    tree_element value;
    if (how != "VAR_SET_VALUE" || node["args"].get(values) != simdjson::SUCCESS ||
        values.at(0).get(value) != simdjson::SUCCESS) {
        return;
    }
    if (is_default || facts_.name == "transaction_isolation") {
        facts_.begin_isolation = isolation_of(constant_text(value));
    }
    facts_.begin_read_write =
        facts_.name == "transaction_read_only" && is_off(constant_text(value));
}

void statement_reader::classify_copy(const tree_object& node)
{
    if (has(node, "filename") || flag_in(node, "is_program")) {
        facts_.kind = statement_kind::copy_file;
    } else if (!flag_in(node, "is_from")) {
        facts_.kind = statement_kind::copy_to;
        facts_.destination = destination::balanced;
    }
}

void statement_reader::classify_explain(const tree_object& node)
{
    tree_array options;
    if (node["options"].get(options) == simdjson::SUCCESS) {
        for (const tree_element item : options) {
            tree_object option;
            if (item["DefElem"].get(option) != simdjson::SUCCESS) continue;
            if (text_in(option, "defname") != "analyze") continue;
            tree_element value;
            is_analyzed_ =
                option["arg"].get(value) != simdjson::SUCCESS || !is_off(constant_text(value));
        }
    }
    explains_select_ = node["query"]["SelectStmt"].error() == simdjson::SUCCESS;
    const bool executes = node["query"]["ExecuteStmt"].error() == simdjson::SUCCESS;
    facts_.writes_unknown = is_analyzed_ && executes;
}

/// PREPARE is judged by what it prepares: those facts stand apart.
void statement_reader::classify_prepare(const tree_object& node)
{
    facts_.name = text_in(node, "name");
    tree_object wrapper;
    tree_object prepared;
    if (node["query"].get(wrapper) != simdjson::SUCCESS || wrapper.size() != 1) return;
    const auto field = *wrapper.begin();
    if (field.value.get(prepared) != simdjson::SUCCESS) return;
    query_facts inner;
    inner.is_parsed = true;
    auto& statement = inner.statements.emplace_back();
    statement_reader(statement).read(field.key, prepared);
    if (statement.destination == destination::balanced) facts_.destination = destination::balanced;
    facts_.counts_as_write = statement.counts_as_write;
    facts_.inner = std::make_shared<const query_facts>(std::move(inner));
}

void statement_reader::classify_ddl(std::string_view type, const tree_object& node)
{
    facts_.changes_schema = !keeps_schema(type);
    if (type == "DropdbStmt") {
        facts_.drops_database = true;
        facts_.name = text_in(node, "dbname");
    }
}

void statement_reader::classify(std::string_view type, const tree_object& node)
{
    const auto& row = kind_of_node(type);
    facts_.kind = row.kind;
    facts_.stats_class = row.stats_class;
    facts_.destination = row.where;
    facts_.counts_as_write = row.is_write;
    switch (row.kind) {
    case sk::begin: classify_transaction(node); break;
    case sk::set: classify_set(node); break;
    case sk::copy_from: classify_copy(node); break;
    case sk::explain: classify_explain(node); break;
    case sk::prepare: classify_prepare(node); break;
    case sk::show:
    case sk::execute: facts_.name = text_in(node, "name"); break;
    case sk::ddl: classify_ddl(type, node); break;
    case sk::deallocate:
        facts_.name = text_in(node, "name");
        if (facts_.name.empty()) facts_.destination = destination::all;
        break;
    case sk::discard:
        facts_.name = lower_case(text_in(node, "target"));
        facts_.name.erase(0, std::string_view("discard_").size());
        if (facts_.name == "all") facts_.change = setting_change::discard_all;
        break;
    case sk::declare_cursor:
        facts_.name = text_in(node, "portalname");
        facts_.holds_cursor = (number_in(node, "options") & cursor_option_hold) != 0;
        break;
    case sk::lock:
        if (number_in(node, "mode") <= lock_mode_row_share) facts_.destination = destination::all;
        break;
    case sk::call: facts_.effects_unknown = facts_.writes_unknown = true; break;
    default: break;
    }
    if (facts_.kind == sk::commit_prepared || facts_.kind == sk::other) {
        facts_.writes_unknown = true;
    }
}

/// What depends on nodes anywhere in the tree.
void statement_reader::finish()
{
    const bool changes_nothing = !facts_.has_row_lock && !facts_.has_into &&
                                 !facts_.has_modifying_with && !facts_.calls_writing_function &&
                                 !facts_.calls_unknown_function;
    switch (facts_.kind) {
    case sk::select:
    case sk::copy_to:
        if (facts_.has_row_lock || facts_.has_into || facts_.has_modifying_with) {
            facts_.destination = destination::primary;
        }
        facts_.is_read = changes_nothing;
        facts_.counts_as_write = !changes_nothing;
        facts_.changes_schema = facts_.has_into;
        facts_.creates_temp = facts_.creates_temp || (facts_.has_into && names_temp_);
        break;
    case sk::explain:
        facts_.counts_as_write = is_analyzed_ && !(explains_select_ && changes_nothing);
        facts_.is_read = !facts_.counts_as_write;
        break;
    case sk::show: facts_.is_read = true; break;
    case sk::ddl:
        // CREATE x pg_temp.y, of whatever kind.
        if (names_temp_) facts_.creates_temp = true;
        break;
    case sk::set:
        // With pg_temp in front of the search_path a plain CREATE TABLE makes a temporary one.
        if (names_temp_) facts_.effects_unknown = true;
        break;
    default: break;
    }
    // Temporary objects are the session's own: they change nothing for others.
    if (facts_.creates_temp) facts_.changes_schema = false;
    finish_targets();
}

/// The targets of INSERT and its like are known; those of other kinds are all relations that they
/// name. Rows that are locked must be read where they are locked.
void statement_reader::finish_targets()
{
    const bool is_utility = facts_.kind == sk::copy_from || facts_.kind == sk::copy_file ||
                            facts_.kind == sk::ddl || facts_.kind == sk::maintenance;
    if (is_utility || facts_.has_row_lock || facts_.has_into) facts_.targets = facts_.relations;
}

void statement_reader::read(std::string_view type, const tree_object& node)
{
    classify(type, node);
    walk_statement(type, node);
    finish();
}

}  // namespace pgtorii::routing
