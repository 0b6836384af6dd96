#include "routing/tree_facts.hpp"

#include "routing/builtin_functions.hpp"
#include "routing/kind_table.hpp"
#include "routing/text_outline.hpp"

#include <simdjson.h>

#include <array>
#include <string>
#include <utility>

namespace pgtorii::routing {

namespace {

using simdjson::dom::array;
using simdjson::dom::element;
using simdjson::dom::object;
using sk = statement_kind;

// Bits of DeclareCursorStmt.options and numbers of LockStmt.mode: parsenodes.h and lockdefs.h.
constexpr std::int64_t cursor_option_hold = 0x0020;
constexpr std::int64_t lock_mode_row_share = 2;

std::string_view text(const object& node, std::string_view key)
{
    std::string_view found;
    if (node[key].get(found) != simdjson::SUCCESS) return {};
    return found;
}

std::int64_t number(const object& node, std::string_view key)
{
    std::int64_t found = 0;
    if (node[key].get(found) != simdjson::SUCCESS) return 0;
    return found;
}

bool flag(const object& node, std::string_view key)
{
    bool found = false;
    return node[key].get(found) == simdjson::SUCCESS && found;
}

bool has(const object& node, std::string_view key)
{
    return node[key].error() == simdjson::SUCCESS;
}

/// The words of a list of String nodes; at most three, as in catalog.schema.name.
struct qualified_name {
    std::array<std::string_view, 3> parts{};
    std::size_t count = 0;

    std::string_view last() const { return count == 0 ? std::string_view() : parts[count - 1]; }
    std::string_view schema() const { return count < 2 ? std::string_view() : parts[count - 2]; }
};

qualified_name name_of(const object& node, std::string_view key)
{
    qualified_name found;
    array list;
    if (node[key].get(list) != simdjson::SUCCESS) return found;
    for (const element item : list) {
        std::string_view word;
        if (item["String"]["sval"].get(word) != simdjson::SUCCESS) continue;
        if (found.count == found.parts.size()) {
            found.parts = {found.parts[1], found.parts[2]};
            --found.count;
        }
        found.parts[found.count++] = word;
    }
    return found;
}

std::string joined(std::string_view schema, std::string_view name)
{
    std::string whole;
    whole.reserve(schema.size() + 1 + name.size());
    if (!schema.empty()) whole.append(schema).append(1, '.');
    return whole.append(name);
}

bool is_temp_schema(std::string_view schema)
{
    return schema == "pg_temp" || schema.starts_with("pg_temp_");
}

/// The text of a constant, wherever SET and options allow one: 'x', x, 1, on.
std::string_view constant(const element& value)
{
    std::string_view found;
    if (value["A_Const"]["sval"]["sval"].get(found) == simdjson::SUCCESS) return found;
    if (value["A_Const"]["fval"]["fval"].get(found) == simdjson::SUCCESS) return found;
    if (value["String"]["sval"].get(found) == simdjson::SUCCESS) return found;
    object integer;
    if (value["A_Const"]["ival"].get(integer) == simdjson::SUCCESS ||
        value["Integer"].get(integer) == simdjson::SUCCESS) {
        return number(integer, "ival") == 0 ? "0" : "1";  // as a boolean
    }
    return {};
}

bool is_off(std::string_view value)
{
    for (const std::string_view word :
         {"off", "of", "false", "fals", "fal", "fa", "f", "no", "n", "0"}) {
        if (equals_ignoring_case(value, word)) return true;
    }
    return false;
}

std::string lower(std::string_view word)
{
    std::string folded(word);
    for (char& c : folded) {
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    }
    return folded;
}

isolation isolation_of(std::string_view level)
{
    if (equals_ignoring_case(level, "serializable")) return isolation::serializable;
    if (equals_ignoring_case(level, "repeatable read")) return isolation::repeatable_read;
    // PostgreSQL runs READ UNCOMMITTED as READ COMMITTED.
    return isolation::read_committed;
}

/// One statement: visits every node of its tree and collects what stands anywhere in it.
class statement_reader {
public:
    explicit statement_reader(statement_facts& facts) : facts_(facts) {}

    void read(std::string_view type, const object& node);
    bool names_literal_object() const { return names_literal_object_; }

private:
    void walk(const element& value);
    void visit_field(std::string_view key, const element& value, const object& parent);
    void add_relation(const object& range_var);
    void add_function(const object& call);
    void note_cast(const object& cast);

    void classify(std::string_view type, const object& node);
    void classify_transaction(const object& node);
    void classify_options(const object& node, std::string_view key);
    void classify_set(const object& node);
    void classify_copy(const object& node);
    void classify_explain(const object& node);
    void finish();

    statement_facts& facts_;
    bool names_temp_ = false;
    bool names_literal_object_ = false;
    bool is_analyzed_ = false;     // EXPLAIN ANALYZE
    bool explains_select_ = true;  // EXPLAIN or PREPARE of a SELECT
};

void statement_reader::walk(const element& value)
{
    if (object node; value.get(node) == simdjson::SUCCESS) {
        for (const auto field : node) visit_field(field.key, field.value, node);
    } else if (array list; value.get(list) == simdjson::SUCCESS) {
        for (const element item : list) walk(item);
    }
}

void statement_reader::visit_field(std::string_view key, const element& value, const object& parent)
{
    if (key == "FuncCall" || key == "funccall") {
        if (object call; value.get(call) == simdjson::SUCCESS) add_function(call);
    } else if (key == "relname") {
        add_relation(parent);  // only RangeVar has this field
    } else if (key == "LockingClause") {
        facts_.has_row_lock = true;
    } else if (key == "intoClause") {
        facts_.has_into = true;
    } else if (key == "InsertStmt" || key == "UpdateStmt" || key == "DeleteStmt" ||
               key == "MergeStmt") {
        facts_.has_modifying_with = true;
    } else if (key == "TypeCast") {
        if (object cast; value.get(cast) == simdjson::SUCCESS) note_cast(cast);
    } else if (key == "sval") {
        std::string_view word;
        if (value.get(word) == simdjson::SUCCESS && word.starts_with("pg_temp")) names_temp_ = true;
    }
    if (value.is_object() || value.is_array()) walk(value);
}

void statement_reader::add_relation(const object& range_var)
{
    const auto schema = text(range_var, "schemaname");
    const auto name = text(range_var, "relname");
    if (text(range_var, "relpersistence") == "t") facts_.creates_temp = true;
    if (is_temp_schema(schema)) {
        facts_.reads_temp_schema = true;
        names_temp_ = true;
    }
    if (schema == "pg_catalog" || (schema.empty() && name.starts_with("pg_"))) {
        facts_.reads_system_catalog = true;
    }
    facts_.relations.push_back(joined(schema, name));
}

void statement_reader::add_function(const object& call)
{
    const auto name = name_of(call, "funcname");
    facts_.functions.push_back(joined(name.schema(), name.last()));
    const bool may_be_builtin = name.schema().empty() || name.schema() == "pg_catalog";
    const auto effect = may_be_builtin ? effect_of_builtin(name.last()) : function_effect::unknown;
    switch (effect) {
    case function_effect::read_only: break;
    case function_effect::unknown: facts_.calls_unknown_function = true; break;
    case function_effect::writing: facts_.calls_writing_function = true; break;
    case function_effect::changes_setting:
        facts_.calls_writing_function = true;
        facts_.calls_set_config = true;
        break;
    case function_effect::takes_advisory_lock:
        facts_.calls_writing_function = true;
        facts_.takes_advisory_lock = true;
        break;
    case function_effect::uses_sequence:
        facts_.calls_writing_function = true;
        facts_.uses_sequence_state = true;
        break;
    }
}

/// 'name'::regclass and its kin: the literal is a name.
void statement_reader::note_cast(const object& cast)
{
    object type;
    if (cast["typeName"].get(type) != simdjson::SUCCESS) return;
    if (name_of(type, "names").last().starts_with("reg")) names_literal_object_ = true;
}

void statement_reader::classify_transaction(const object& node)
{
    const auto& row = kind_of_transaction(text(node, "kind"));
    facts_.kind = row.kind;
    facts_.destination = row.where;
    facts_.counts_as_write = row.is_write;
    facts_.chain = flag(node, "chain");
    facts_.name = text(node, "savepoint_name");
    classify_options(node, "options");
}

/// Options of BEGIN, SET TRANSACTION and SET SESSION CHARACTERISTICS.
void statement_reader::classify_options(const object& node, std::string_view key)
{
    array options;
    if (node[key].get(options) != simdjson::SUCCESS) return;
    for (const element item : options) {
        object option;
        element value;
        if (item["DefElem"].get(option) != simdjson::SUCCESS) continue;
        if (option["arg"].get(value) != simdjson::SUCCESS) continue;
        const auto name = text(option, "defname");
        if (name == "transaction_isolation") facts_.begin_isolation = isolation_of(constant(value));
        if (name == "transaction_read_only") {
            const bool is_read_write = is_off(constant(value));
            facts_.begin_read_only = !is_read_write;
            facts_.begin_read_write = is_read_write;
        }
        if (name == "transaction_deferrable") facts_.begin_deferrable = !is_off(constant(value));
    }
}

void statement_reader::classify_set(const object& node)
{
    const auto how = text(node, "kind");
    facts_.name = lower(text(node, "name"));
    if (how == "VAR_SET_MULTI") {
        facts_.kind = statement_kind::set_transaction;
        classify_options(node, "args");
        // SET SESSION CHARACTERISTICS lasts; the other two are over with the transaction.
        if (facts_.name == "session characteristics") facts_.change = setting_change::set;
    } else if (how == "VAR_RESET_ALL") {
        facts_.change = setting_change::reset_all;
    } else if (flag(node, "is_local")) {
        facts_.change = setting_change::set_local;
    } else if (how == "VAR_RESET" || how == "VAR_SET_DEFAULT") {
        facts_.change = setting_change::reset;
    } else {
        facts_.change = setting_change::set;
    }
    array values;
    element value;
    if (how == "VAR_SET_VALUE" && node["args"].get(values) == simdjson::SUCCESS &&
        values.at(0).get(value) == simdjson::SUCCESS) {
        if (facts_.name == "transaction_isolation")
            facts_.begin_isolation = isolation_of(constant(value));
        const bool is_serializable = facts_.name.ends_with("transaction_isolation") &&
                                     isolation_of(constant(value)) == isolation::serializable;
        facts_.begin_read_write = facts_.name == "transaction_read_only" && is_off(constant(value));
        if (is_serializable) facts_.destination = destination::primary;
    }
    if (facts_.begin_read_write) facts_.destination = destination::primary;
    if (facts_.kind != statement_kind::set_transaction) return;
    if (facts_.begin_isolation == isolation::serializable)
        facts_.destination = destination::primary;
    // READ ONLY and DEFERRABLE alone write nothing and forbid nothing.
    facts_.counts_as_write =
        facts_.begin_isolation != isolation::unspecified || facts_.begin_read_write;
}

void statement_reader::classify_copy(const object& node)
{
    if (has(node, "filename") || flag(node, "is_program")) {
        facts_.kind = statement_kind::copy_file;
    } else if (!flag(node, "is_from")) {
        facts_.kind = statement_kind::copy_to;
        facts_.destination = destination::balanced;
    }
}

void statement_reader::classify_explain(const object& node)
{
    array options;
    if (node["options"].get(options) == simdjson::SUCCESS) {
        for (const element item : options) {
            object option;
            if (item["DefElem"].get(option) != simdjson::SUCCESS) continue;
            if (text(option, "defname") != "analyze") continue;
            element value;
            is_analyzed_ =
                option["arg"].get(value) != simdjson::SUCCESS || !is_off(constant(value));
        }
    }
}

void statement_reader::classify(std::string_view type, const object& node)
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
    case sk::explain: classify_explain(node); [[fallthrough]];
    case sk::prepare:
        explains_select_ = node["query"]["SelectStmt"].error() == simdjson::SUCCESS;
        facts_.name = text(node, "name");
        break;
    case sk::show: facts_.name = text(node, "name"); break;
    case sk::execute: facts_.name = text(node, "name"); break;
    case sk::ddl:
        if (type == "DropdbStmt") {
            facts_.drops_database = true;
            facts_.name = text(node, "dbname");
        }
        break;
    case sk::deallocate:
        facts_.name = text(node, "name");
        if (facts_.name.empty()) facts_.destination = destination::all;
        break;
    case sk::discard:
        facts_.name = lower(text(node, "target"));
        facts_.name.erase(0, std::string_view("discard_").size());
        if (facts_.name == "all") facts_.change = setting_change::discard_all;
        break;
    case sk::declare_cursor:
        facts_.name = text(node, "portalname");
        facts_.holds_cursor = (number(node, "options") & cursor_option_hold) != 0;
        break;
    case sk::lock:
        if (number(node, "mode") <= lock_mode_row_share) facts_.destination = destination::all;
        break;
    case sk::call: facts_.effects_unknown = true; break;
    default: break;
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
        break;
    case sk::explain:
        facts_.counts_as_write = is_analyzed_ && !(explains_select_ && changes_nothing);
        facts_.is_read = !facts_.counts_as_write;
        break;
    case sk::prepare: facts_.counts_as_write = !(explains_select_ && changes_nothing); break;
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
}

void statement_reader::read(std::string_view type, const object& node)
{
    classify(type, node);
    for (const auto field : node) visit_field(field.key, field.value, node);
    finish();
}

bool is_data_statement(statement_kind kind)
{
    return kind == sk::select || kind == sk::insert || kind == sk::update || kind == sk::delete_ ||
           kind == sk::merge;
}

}  // namespace

struct tree_reader::parser {
    simdjson::dom::parser json;
};

// The parser keeps memory for the largest tree that it has seen, several times its size: not beyond
// this one.
constexpr std::size_t kept_json_bytes_max = 256 * 1024;

tree_reader::tree_reader() : parser_(std::make_unique<parser>()) {}
tree_reader::~tree_reader() = default;

bool tree_reader::read(std::string_view json, query_facts& facts)
{
    const bool is_read = read_tree(json, facts);
    if (json.size() > kept_json_bytes_max) parser_->json = simdjson::dom::parser();
    return is_read;
}

bool tree_reader::read_tree(std::string_view json, query_facts& facts)
{
    element root;
    array statements;
    if (parser_->json.parse(json.data(), json.size()).get(root) != simdjson::SUCCESS) return false;
    if (root["stmts"].get(statements) != simdjson::SUCCESS) return false;
    bool names_literal_object = false;
    for (const element item : statements) {
        object wrapper;
        object node;
        if (item["stmt"].get(wrapper) != simdjson::SUCCESS || wrapper.size() != 1) return false;
        const auto field = *wrapper.begin();
        if (field.value.get(node) != simdjson::SUCCESS) return false;
        auto& statement = facts.statements.emplace_back();
        statement_reader reader(statement);
        reader.read(field.key, node);
        names_literal_object = names_literal_object || reader.names_literal_object();
        if (object position; item.get(position) == simdjson::SUCCESS) {
            statement.text_offset = static_cast<std::uint32_t>(number(position, "stmt_location"));
            statement.text_length = static_cast<std::uint32_t>(number(position, "stmt_len"));
        }
    }
    if (facts.statements.empty()) {
        auto& nothing = facts.statements.emplace_back();
        nothing.kind = statement_kind::empty;
        nothing.stats_class = statement_class::select;
        nothing.destination = destination::balanced;
        nothing.is_read = true;
        nothing.counts_as_write = false;
    }
    const auto& first = facts.first();
    facts.depends_on_literals = facts.is_multi() || !is_data_statement(first.kind) ||
                                names_literal_object || first.calls_set_config ||
                                first.takes_advisory_lock || first.uses_sequence_state;
    return true;
}

}  // namespace pgtorii::routing
