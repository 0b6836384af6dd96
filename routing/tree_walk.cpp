// What stands anywhere in a statement's tree: relations, functions, operators, casts, locks.

#include "routing/builtin_functions.hpp"
#include "routing/builtin_names.hpp"
#include "routing/statement_reader.hpp"

#include <algorithm>

namespace pgtorii::routing {

namespace {

bool is_temp_schema(std::string_view schema)
{
    return schema == "pg_temp" || schema.starts_with("pg_temp_");
}

bool is_data_change(std::string_view type)
{
    return type == "InsertStmt" || type == "UpdateStmt" || type == "DeleteStmt" ||
           type == "MergeStmt";
}

/// Nodes that may have a WITH clause. `larg` and `rarg` are the sides of UNION and its like.
bool is_query_node(std::string_view type)
{
    return type == "SelectStmt" || type == "larg" || type == "rarg" || is_data_change(type);
}

}  // namespace

void statement_reader::walk(const tree_element& value)
{
    if (tree_object node; value.get(node) == simdjson::SUCCESS) {
        for (const auto field : node) visit_field(field.key, field.value, node);
    } else if (tree_array list; value.get(list) == simdjson::SUCCESS) {
        for (const tree_element item : list) walk(item);
    }
}

/// A statement with what its WITH clause names: those names are no relations in it.
void statement_reader::walk_statement(std::string_view type, const tree_object& node)
{
    tree_object with;
    const bool has_with = node["withClause"].get(with) == simdjson::SUCCESS;
    if (has_with) walk_with(with, flag_in(with, "recursive"));
    for (const auto field : node) {
        if (has_with && field.key == "withClause") continue;
        // The target of a change is a table, whatever WITH names.
        tree_object range_var;
        if (field.key == "relation" && is_data_change(type) &&
            field.value.get(range_var) == simdjson::SUCCESS) {
            add_relation(range_var, true);
            continue;
        }
        visit_field(field.key, field.value, node);
    }
    if (!has_with) return;
    tree_array queries;
    if (with["ctes"].get(queries) != simdjson::SUCCESS) return;
    for (const tree_element each : queries) note_name_of_with(each, -1);
}

/// Each WITH query sees those before it, under RECURSIVE all of them.
void statement_reader::walk_with(const tree_object& with, bool is_recursive)
{
    tree_array queries;
    if (with["ctes"].get(queries) != simdjson::SUCCESS) return;
    if (is_recursive) {
        for (const tree_element each : queries) note_name_of_with(each, 1);
    }
    for (const tree_element each : queries) {
        walk(each);
        if (!is_recursive) note_name_of_with(each, 1);
    }
}

void statement_reader::note_name_of_with(const tree_element& with_query, int change)
{
    std::string_view name;
    if (with_query["CommonTableExpr"]["ctename"].get(name) != simdjson::SUCCESS) return;
    with_names_[name] += change;
}

void statement_reader::visit_field(std::string_view key, const tree_element& value,
                                   const tree_object& parent)
{
    if (is_query_node(key)) {
        if (is_data_change(key)) facts_.has_modifying_with = true;
        if (tree_object node; value.get(node) == simdjson::SUCCESS) walk_statement(key, node);
        return;
    }
    if (key == "FuncCall" || key == "funccall") {
        if (tree_object call; value.get(call) == simdjson::SUCCESS) add_function(call);
    } else if (key == "A_Expr") {
        if (tree_object node; value.get(node) == simdjson::SUCCESS) add_operator(node, "name");
    } else if (key == "operName" || key == "useOp") {
        add_operator(parent, key);
    } else if (key == "relname") {
        add_relation(parent, false);  // only RangeVar has this field
    } else if (key == "LockingClause") {
        facts_.has_row_lock = true;
    } else if (key == "intoClause") {
        facts_.has_into = true;
    } else if (key == "ExecuteStmt") {
        if (tree_object node; value.get(node) == simdjson::SUCCESS)
            facts_.executed.emplace_back(text_in(node, "name"));
    } else if (key == "TypeCast") {
        if (tree_object cast; value.get(cast) == simdjson::SUCCESS) note_cast(cast);
    } else if (key == "sval") {
        std::string_view word;
        if (value.get(word) == simdjson::SUCCESS && word.starts_with("pg_temp")) names_temp_ = true;
    }
    if (value.is_object() || value.is_array()) walk(value);
}

void statement_reader::add_relation(const tree_object& range_var, bool is_target)
{
    const auto schema = text_in(range_var, "schemaname");
    const auto name = text_in(range_var, "relname");
    if (!is_target && schema.empty()) {
        const auto known = with_names_.find(name);
        if (known != with_names_.end() && known->second > 0) return;
    }
    if (text_in(range_var, "relpersistence") == "t") facts_.creates_temp = true;
    if (is_temp_schema(schema)) {
        facts_.reads_temp_schema = true;
        names_temp_ = true;
    }
    if (schema == "pg_catalog" || (schema.empty() && name.starts_with("pg_"))) {
        facts_.reads_system_catalog = true;
    }
    if (name == "pg_prepared_statements") facts_.lists_statements = true;
    facts_.relations.push_back(joined(schema, name));
    if (is_target) facts_.targets.push_back(facts_.relations.back());
}

void statement_reader::add_function(const tree_object& call)
{
    const auto name = name_in(call, "funcname");
    facts_.functions.push_back(name.joined());
    const bool may_be_builtin = name.schema().empty() || name.schema() == "pg_catalog";
    const auto effect = may_be_builtin ? effect_of_builtin(name.last()) : function_effect::unknown;
    if (name.last() == "pg_prepared_statement") facts_.lists_statements = true;
    // Without its schema a builtin name may be a user's own function, by its argument types.
    if (effect == function_effect::unknown || name.schema().empty()) facts_.asks_functions = true;
    facts_.calls_writing_function =
        facts_.calls_writing_function ||
        (effect != function_effect::read_only && effect != function_effect::unknown);
    switch (effect) {
    case function_effect::read_only:
    case function_effect::writing: break;
    case function_effect::unknown: facts_.calls_unknown_function = true; break;
    case function_effect::runs_query: facts_.writes_unknown = facts_.runs_texts = true; break;
    case function_effect::changes_setting: facts_.calls_set_config = true; break;
    case function_effect::takes_advisory_lock: facts_.takes_advisory_lock = true; break;
    case function_effect::uses_sequence: facts_.uses_sequence_state = true; break;
    }
}

/// Only operators that the catalog has something to tell about. BETWEEN and its like have words for
/// names.
void statement_reader::add_operator(const tree_object& node, std::string_view key)
{
    const auto name = name_in(node, key);
    const auto symbol = name.last();
    if (symbol.empty() || (symbol[0] >= 'A' && symbol[0] <= 'Z')) return;
    const bool may_be_builtin = name.schema().empty() || name.schema() == "pg_catalog";
    if (may_be_builtin && is_builtin_operator(symbol)) return;
    facts_.operators.push_back(name.joined());
}

void statement_reader::note_cast(const tree_object& cast)
{
    tree_object type;
    if (cast["typeName"].get(type) != simdjson::SUCCESS) return;
    const auto name = name_in(type, "names");
    if (name.last().starts_with("reg")) names_literal_object_ = true;
    const bool may_be_builtin = name.schema().empty() || name.schema() == "pg_catalog";
    if (name.count == 0 || (may_be_builtin && is_builtin_type(name.last()))) return;
    facts_.cast_types.push_back(name.joined());
}

}  // namespace pgtorii::routing
