#include "routing/catalog_question.hpp"

#include "core/base/always_assert.hpp"
#include "protocol/message.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <string_view>

namespace pgtorii::routing {

namespace {

// In the texts below every operator is written out: `a = b` would look for an operator along the
// search_path, where a user may have put one. So would IN, LIKE, BETWEEN and JOIN ... USING. What
// GROUP BY and UNION compare with is the default operator class of a type, which is no matter of
// search_path.

/// The volatility of pg_proc's row `p`. An aggregate's own row always says immutable: what it calls
/// for each row decides.
constexpr std::string_view is_volatile =
    "(p.provolatile OPERATOR(pg_catalog.=) 'v' OR EXISTS ("
    "SELECT 1 FROM pg_catalog.pg_aggregate a JOIN pg_catalog.pg_proc t ON t.oid "
    "OPERATOR(pg_catalog.=) ANY (ARRAY[a.aggtransfn::pg_catalog.oid, a.aggfinalfn::pg_catalog.oid])"
    " WHERE a.aggfnoid::pg_catalog.oid OPERATOR(pg_catalog.=) p.oid"
    " AND t.provolatile OPERATOR(pg_catalog.=) 'v'))";

/// Whether the name `w` may mean something in the schema of the row `n` of pg_namespace.
constexpr std::string_view is_in_reach =
    "CASE WHEN w.schema IS NULL THEN n.nspname OPERATOR(pg_catalog.=) ANY "
    "(pg_catalog.current_schemas(true)) ELSE n.nspname OPERATOR(pg_catalog.=) w.schema END";

/// What is run with each read of the relation `b`, as parse trees: the query of a view, the
/// conditions of row security. A materialized view has a query too, but is read as a table. In the
/// trees the numbers of builtin functions stand as well, of which pg_depend has no row; a name in a
/// tree can't look like a field, since blanks in names are escaped.
constexpr std::string_view trees =
    "SELECT r.ev_action::pg_catalog.text FROM pg_catalog.pg_class v JOIN pg_catalog.pg_rewrite r"
    " ON r.ev_class OPERATOR(pg_catalog.=) v.oid WHERE v.oid OPERATOR(pg_catalog.=) b.relation"
    " AND v.relkind OPERATOR(pg_catalog.=) 'v' AND r.ev_type OPERATOR(pg_catalog.=) '1' "
    "UNION ALL SELECT y.polqual::pg_catalog.text FROM pg_catalog.pg_class v"
    " JOIN pg_catalog.pg_policy y ON y.polrelid OPERATOR(pg_catalog.=) v.oid"
    " WHERE v.oid OPERATOR(pg_catalog.=) b.relation AND v.relrowsecurity"
    " AND (y.polcmd OPERATOR(pg_catalog.=) 'r' OR y.polcmd OPERATOR(pg_catalog.=) '*')";

/// From the relations asked to all that are read with them: `below` holds partitions, inheritance
/// children and what the trees read.
constexpr std::string_view relation_tables =
    ", below(item, relation) AS ("
    "SELECT item, relation FROM asked WHERE relation IS NOT NULL UNION "
    "SELECT b.item, m.relation FROM below b CROSS JOIN LATERAL ("
    "SELECT i.inhrelid FROM pg_catalog.pg_inherits i"
    " WHERE i.inhparent OPERATOR(pg_catalog.=) b.relation "
    "UNION ALL SELECT f.part[1]::pg_catalog.oid FROM ({0}) AS u(tree) CROSS JOIN LATERAL "
    "pg_catalog.regexp_matches(u.tree, ':relid ([0-9]+)', 'g') AS f(part)) AS m(relation)), "
    "trees(item, tree) AS (SELECT b.item, u.tree FROM below b CROSS JOIN LATERAL ({0})"
    " AS u(tree)) ";

/// One row for each thing that is so: item, what, name of a table.
constexpr std::string_view relation_rows =
    "SELECT b.item, 'catalog'::pg_catalog.text, NULL::pg_catalog.text FROM asked b"
    " JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) b.relation"
    " JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace"
    " WHERE n.nspname OPERATOR(pg_catalog.=) 'pg_catalog' "
    "UNION ALL SELECT b.item, CASE WHEN c.relpersistence OPERATOR(pg_catalog.=) 'u' THEN 'unlogged'"
    " ELSE 'temporary' END, NULL FROM below b"
    " JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) b.relation"
    " WHERE c.relpersistence OPERATOR(pg_catalog.<>) 'p' GROUP BY b.item, c.relpersistence "
    "UNION ALL SELECT v.item, 'locks', NULL FROM trees v"
    " WHERE pg_catalog.strpos(v.tree, ':rowMarks ({{') OPERATOR(pg_catalog.>) 0 GROUP BY v.item "
    "UNION ALL SELECT v.item, 'volatile', NULL FROM trees v WHERE EXISTS ("
    "SELECT 1 FROM pg_catalog.regexp_matches(v.tree,"
    " ':(?:funcid|opfuncid|aggfnoid|winfnoid) ([0-9]+)', 'g') AS f(part)"
    " JOIN pg_catalog.pg_proc p ON p.oid OPERATOR(pg_catalog.=) f.part[1]::pg_catalog.oid"
    " WHERE {0}) GROUP BY v.item "
    "UNION ALL (SELECT b.item, 'table', n.nspname::pg_catalog.text OPERATOR(pg_catalog.||) '.'"
    " OPERATOR(pg_catalog.||) c.relname::pg_catalog.text FROM below b"
    " JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) b.relation"
    " JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace LIMIT {1})";

constexpr std::string_view function_source =
    "JOIN pg_catalog.pg_proc p ON p.proname OPERATOR(pg_catalog.=) w.name"
    " JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) p.pronamespace";

constexpr std::string_view operator_source =
    "JOIN pg_catalog.pg_operator o ON o.oprname OPERATOR(pg_catalog.=) w.name"
    " JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) o.oprnamespace"
    " JOIN pg_catalog.pg_proc p ON p.oid OPERATOR(pg_catalog.=) o.oprcode::pg_catalog.oid";

/// A cast without a function of its own goes through the type's input function.
constexpr std::string_view cast_source =
    "JOIN pg_catalog.pg_type y ON y.typname OPERATOR(pg_catalog.=) w.name"
    " JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) y.typnamespace"
    " LEFT JOIN pg_catalog.pg_cast c ON c.casttarget OPERATOR(pg_catalog.=) y.oid"
    " JOIN pg_catalog.pg_proc p ON p.oid OPERATOR(pg_catalog.=) ANY"
    " (ARRAY[c.castfunc, y.typinput::pg_catalog.oid])";

/// `text` as a string literal: E'' reads the same whatever standard_conforming_strings is.
std::string literal(std::string_view text)
{
    std::string quoted;
    if (text.find('\\') != std::string_view::npos) quoted += 'E';
    quoted += '\'';
    for (const char c : text) {
        if (c == '\'' || c == '\\') quoted += c;
        quoted += c;
    }
    return quoted + '\'';
}

std::string identifier(std::string_view name)
{
    std::string quoted{'"'};
    for (const char c : name) {
        if (c == '"') quoted += c;
        quoted += c;
    }
    return quoted + '"';
}

/// Calls `use(schema, name)` for each reading of a name: an empty schema is none.
template <class Use>
void for_each_reading(std::string_view name, Use use)
{
    use(std::string_view{}, name);
    for (auto dot = name.find('.'); dot != std::string_view::npos; dot = name.find('.', dot + 1)) {
        if (dot > 0 && dot + 1 < name.size()) use(name.substr(0, dot), name.substr(dot + 1));
    }
}

/// The oids of the relations asked. to_regclass alone knows the whole rule of search_path; with a
/// schema the catalog answers without the errors that to_regclass has for schemas out of bounds.
std::string relations_asked(std::span<const catalog_name> names)
{
    std::string sql;
    for (std::size_t i = 0; i < names.size(); ++i) {
        if (names[i].kind != name_kind::relation) continue;
        for_each_reading(names[i].name, [&](std::string_view schema, std::string_view name) {
            if (!sql.empty()) sql += " UNION ALL ";
            if (schema.empty()) {
                sql += fmt::format("SELECT {}, pg_catalog.to_regclass({})::pg_catalog.oid", i,
                                   literal(identifier(name)));
                return;
            }
            sql += fmt::format(
                "SELECT {}, c.oid FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n"
                " ON n.oid OPERATOR(pg_catalog.=) c.relnamespace"
                " WHERE n.nspname OPERATOR(pg_catalog.=) {}::pg_catalog.name"
                " AND c.relname OPERATOR(pg_catalog.=) {}::pg_catalog.name",
                i, literal(schema), literal(name));
        });
    }
    return sql;
}

/// The names of one kind as a VALUES list: item, schema, name.
std::string wanted(std::span<const catalog_name> names, name_kind kind)
{
    std::string rows;
    for (std::size_t i = 0; i < names.size(); ++i) {
        if (names[i].kind != kind) continue;
        for_each_reading(names[i].name, [&](std::string_view schema, std::string_view name) {
            rows += fmt::format(
                "{}({}, {}::pg_catalog.name, {}::pg_catalog.name)", rows.empty() ? "" : ", ", i,
                schema.empty() ? std::string{"NULL"} : literal(schema), literal(name));
        });
    }
    return rows;
}

/// The fields of a DataRow; false when it is none of `Count` fields.
template <std::size_t Count>
bool read_row(std::span<const std::byte> body,
              std::array<std::optional<std::string_view>, Count>& fields)
{
    if (body.size() < 2 || protocol::read_uint16(body.data()) != Count) return false;
    std::size_t at = 2;
    for (auto& field : fields) {
        if (body.size() - at < 4) return false;
        const auto length = protocol::read_uint32(body.data() + at);
        at += 4;
        if (length == 0xffff'ffff) continue;  // NULL
        if (length > body.size() - at) return false;
        field.emplace(reinterpret_cast<const char*>(body.data()) + at, length);
        at += length;
    }
    return at == body.size();
}

template <class Facts, class Use>
void for_each_name(const Facts& facts, Use use)
{
    for (const auto& each : facts.statements) {
        for (const auto& name : each.relations) use(name_kind::relation, name);
        for (const auto& name : each.functions) use(name_kind::function, name);
        if constexpr (requires { each.operators; }) {
            for (const auto& name : each.operators) use(name_kind::operator_, name);
        }
        if constexpr (requires { each.cast_types; }) {
            for (const auto& name : each.cast_types) use(name_kind::cast_type, name);
        }
    }
}

}  // namespace

std::vector<catalog_name> names_of(const query_facts& facts)
{
    std::vector<catalog_name> names;
    for_each_name(facts, [&names](name_kind kind, const std::string& name) {
        if (!name.empty()) names.push_back({kind, name});
    });
    std::ranges::sort(names);
    const auto [first, last] = std::ranges::unique(names);
    names.erase(first, last);
    return names;
}

bool is_nameless(const query_facts& facts)
{
    bool has_name = false;
    for_each_name(facts, [&has_name](name_kind, const std::string&) { has_name = true; });
    return !has_name;
}

void merge(catalog_facts& into, const catalog_facts& more)
{
    into.calls_volatile_function |= more.calls_volatile_function;
    into.reads_system_catalog |= more.reads_system_catalog;
    into.reads_temporary_table |= more.reads_temporary_table;
    into.reads_unlogged_table |= more.reads_unlogged_table;
    into.locks_rows |= more.locks_rows;
    into.tables_are_all &= more.tables_are_all;
    for (const auto& table : more.tables) {
        const auto place = std::ranges::lower_bound(into.tables, table);
        if (place == into.tables.end() || *place != table) into.tables.insert(place, table);
    }
}

bool catalog_question::is_answerable(std::span<const catalog_name> names)
{
    std::size_t bytes = 0;
    for (const auto& each : names) {
        // Every dot is one more reading.
        const auto dots = static_cast<std::size_t>(std::ranges::count(each.name, '.'));
        bytes += each.name.size() * (dots + 1);
        if (each.name.find('\0') != std::string::npos) return false;
    }
    return names.size() <= name_count_max && bytes <= name_bytes_max;
}

catalog_question::catalog_question(std::vector<catalog_name> names)
    : names_(std::move(names)),
      answers_(names_.size())
{
    always_assert(is_answerable(names_));
    if (const auto asked = relations_asked(names_); !asked.empty()) {
        sql_ = "WITH RECURSIVE asked(item, relation) AS (" + asked + ")";
        sql_ += fmt::format(fmt::runtime(relation_tables), trees);
        sql_ += fmt::format(fmt::runtime(relation_rows), is_volatile, table_count_max + 1);
    }
    const auto add = [this](name_kind kind, std::string_view source) {
        const auto rows = wanted(names_, kind);
        if (rows.empty()) return;
        if (!sql_.empty()) sql_ += " UNION ALL ";
        sql_ += fmt::format(
            "SELECT w.item, 'volatile'::pg_catalog.text, NULL::pg_catalog.text FROM (VALUES {})"
            " AS w(item, schema, name) {} WHERE {} AND {} GROUP BY w.item",
            rows, source, is_in_reach, is_volatile);
    };
    add(name_kind::function, function_source);
    add(name_kind::operator_, operator_source);
    add(name_kind::cast_type, cast_source);
}

bool catalog_question::add_row(std::span<const std::byte> body)
{
    std::array<std::optional<std::string_view>, 3> fields;
    if (!read_row(body, fields) || !fields[0] || !fields[1]) return false;
    const auto text = *fields[0];
    std::size_t item = 0;
    const auto [end, wrong] = std::from_chars(text.data(), text.data() + text.size(), item);
    if (wrong != std::errc{} || end != text.data() + text.size() || item >= names_.size()) {
        return false;
    }
    auto& facts = answers_[item];
    const auto what = *fields[1];
    if (what == "volatile") {
        facts.calls_volatile_function = true;
    } else if (what == "catalog") {
        facts.reads_system_catalog = true;
    } else if (what == "temporary") {
        facts.reads_temporary_table = true;
    } else if (what == "unlogged") {
        facts.reads_unlogged_table = true;
    } else if (what == "locks") {
        facts.locks_rows = true;
    } else if (what == "table" && fields[2]) {
        if (++table_count_ > table_count_max) {
            // Which names have lost some is not known.
            for (auto& each : answers_) each.tables_are_all = false;
            return true;
        }
        merge(facts, {.tables = {std::string{*fields[2]}}});
    } else {
        return false;
    }
    return true;
}

}  // namespace pgtorii::routing
