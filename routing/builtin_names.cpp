#include "routing/builtin_names.hpp"

#include <algorithm>
#include <array>

namespace pgtorii::routing {

namespace {

// From PostgreSQL 15's catalog, in the order of bytes:
//
//   SELECT DISTINCT oprname COLLATE "C" FROM pg_operator
//   WHERE oprnamespace = 'pg_catalog'::regnamespace ORDER BY 1;
constexpr auto operators = std::to_array<std::string_view>({
    "!!",  "!~",  "!~*",  "!~~", "!~~*", "#",    "##",  "#-",  "#>",  "#>>", "%",   "&",   "&&",
    "&<",  "&<|", "&>",   "*",   "*<",   "*<=",  "*<>", "*=",  "*>",  "*>=", "+",   "-",   "->",
    "->>", "-|-", "/",    "<",   "<->",  "<<",   "<<=", "<<|", "<=",  "<>",  "<@",  "<^",  "=",
    ">",   ">=",  ">>",   ">>=", ">^",   "?",    "?#",  "?&",  "?-",  "?-|", "?|",  "?||", "@",
    "@-@", "@>",  "@?",   "@@",  "@@@",  "^",    "^@",  "|",   "|&>", "|/",  "|>>", "||",  "||/",
    "~",   "~*",  "~<=~", "~<~", "~=",   "~>=~", "~>~", "~~",  "~~*",
});
static_assert(std::is_sorted(operators.begin(), operators.end()));

//   SELECT typname COLLATE "C" FROM pg_type
//   WHERE typnamespace = 'pg_catalog'::regnamespace AND typelem = 0 AND typtype <> 'c' ORDER BY 1;
//
// without those that no value can be cast to.
constexpr auto types = std::to_array<std::string_view>({
    "aclitem",        "bit",
    "bool",           "box",
    "bpchar",         "bytea",
    "char",           "cid",
    "cidr",           "circle",
    "cstring",        "date",
    "datemultirange", "daterange",
    "float4",         "float8",
    "gtsvector",      "inet",
    "int2",           "int2vector",
    "int4",           "int4multirange",
    "int4range",      "int8",
    "int8multirange", "int8range",
    "interval",       "json",
    "jsonb",          "jsonpath",
    "line",           "lseg",
    "macaddr",        "macaddr8",
    "money",          "name",
    "numeric",        "nummultirange",
    "numrange",       "oid",
    "oidvector",      "path",
    "pg_lsn",         "pg_node_tree",
    "pg_snapshot",    "point",
    "polygon",        "record",
    "refcursor",      "regclass",
    "regcollation",   "regconfig",
    "regdictionary",  "regnamespace",
    "regoper",        "regoperator",
    "regproc",        "regprocedure",
    "regrole",        "regtype",
    "text",           "tid",
    "time",           "timestamp",
    "timestamptz",    "timetz",
    "tsmultirange",   "tsquery",
    "tsrange",        "tstzmultirange",
    "tstzrange",      "tsvector",
    "txid_snapshot",  "unknown",
    "uuid",           "varbit",
    "varchar",        "xid",
    "xid8",           "xml",
});
static_assert(std::is_sorted(types.begin(), types.end()));

}  // namespace

bool is_builtin_operator(std::string_view symbol)
{
    return std::binary_search(operators.begin(), operators.end(), symbol);
}

bool is_builtin_type(std::string_view name)
{
    return std::binary_search(types.begin(), types.end(), name);
}

}  // namespace pgtorii::routing
