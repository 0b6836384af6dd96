// What a text names: relations, operators, casts, targets; and the facts of what PREPARE prepares.
#include "routing/analyze.hpp"
#include "routing/decision.hpp"

#include <catch2/catch.hpp>

#include <string>
#include <vector>

using namespace pgtorii::routing;
using names = std::vector<std::string>;
using kind = statement_kind;

namespace {

statement_facts first_of(std::string_view sql)
{
    const auto facts = analyze(sql, {});
    INFO(sql);
    CHECK(facts->is_parsed);
    return facts->first();
}

names relations(std::string_view sql)
{
    return first_of(sql).relations;
}

}  // namespace

TEST_CASE("Names of WITH queries are no relations where they are in sight")
{
    CHECK(relations("WITH x AS (SELECT 1) SELECT * FROM x").empty());
    CHECK(relations("WITH x AS (SELECT * FROM t) SELECT * FROM x, u") == names{"t", "u"});
    CHECK(relations("WITH x AS (SELECT * FROM x) SELECT * FROM x") == names{"x"});
    CHECK(
        relations("WITH RECURSIVE x AS (SELECT 1 UNION SELECT * FROM x) SELECT * FROM x").empty());
    CHECK(relations("WITH x AS (SELECT * FROM y), y AS (SELECT 1) SELECT * FROM x, y") ==
          names{"y"});
    CHECK(relations("WITH RECURSIVE x AS (SELECT * FROM y), y AS (SELECT 1) TABLE x").empty());
    CHECK(relations("WITH x AS (SELECT 1) SELECT * FROM s.x") == names{"s.x"});
    CHECK(relations("WITH x AS (SELECT 1) SELECT 1 WHERE EXISTS (SELECT * FROM x)").empty());
    CHECK(relations("SELECT * FROM (WITH x AS (SELECT 1) TABLE x) y, x") == names{"x"});
    CHECK(relations("WITH x AS (WITH y AS (SELECT 1) TABLE y) SELECT * FROM x, y") == names{"y"});
    CHECK(relations("WITH x AS (SELECT 1) TABLE x UNION TABLE x").empty());
    CHECK(relations("TABLE x UNION (WITH x AS (SELECT 1) TABLE x)") == names{"x"});
    CHECK(relations("WITH x AS (WITH x AS (SELECT 1) TABLE x) TABLE x").empty());
    CHECK(relations("WITH pg_class AS (SELECT 1) TABLE pg_class").empty());
    CHECK_FALSE(first_of("WITH pg_class AS (SELECT 1) TABLE pg_class").reads_system_catalog);
    SECTION("the target of a change is always one")
    {
        const auto facts = first_of("WITH x AS (SELECT 1) INSERT INTO x SELECT * FROM x");
        CHECK(facts.relations == names{"x"});
        CHECK(facts.targets == names{"x"});
        CHECK(first_of("WITH x AS (SELECT 1) UPDATE t SET a = 1 FROM x, u").relations ==
              names{"t", "u"});
    }
}

TEST_CASE("Targets are the tables that a statement writes")
{
    struct row {
        const char* sql;
        names targets;
    };
    const std::vector<row> rows{
        {"SELECT * FROM t", {}},
        {"INSERT INTO s.t SELECT * FROM u", {"s.t"}},
        {"UPDATE t SET a = 1 FROM u", {"t"}},
        {"DELETE FROM t USING u", {"t"}},
        {"MERGE INTO t USING u ON t.a = u.a WHEN MATCHED THEN DELETE", {"t"}},
        {"WITH x AS (DELETE FROM a RETURNING 1), y AS (INSERT INTO b SELECT 1) SELECT * FROM x, c",
         {"a", "b"}},
        {"COPY t FROM STDIN", {"t"}},
        {"COPY t TO STDOUT", {}},
        {"TRUNCATE a, b", {"a", "b"}},
        {"SELECT * FROM t, u FOR UPDATE", {"t", "u"}},
        {"LOCK TABLE t", {}},
    };
    for (const auto& expected : rows) {
        INFO(expected.sql);
        CHECK(first_of(expected.sql).targets == expected.targets);
    }
}

TEST_CASE("Operators and casts are named when the catalog has something to tell of them")
{
    CHECK(first_of("SELECT 1 + 2, a || b, a = ANY (c), a LIKE 'x', a BETWEEN 1 AND 2, a IN (1, 2), "
                   "a IS DISTINCT FROM b, a ~ b, - a, a @> b, NOT a, a::json ->> 'x' FROM t ORDER "
                   "BY a USING <")
              .operators.empty());
    CHECK(first_of("SELECT 1 @+@ 2").operators == names{"@+@"});
    CHECK(first_of("SELECT 1 OPERATOR(pg_catalog.+) 2").operators.empty());
    CHECK(first_of("SELECT 1 OPERATOR(app.+) 2").operators == names{"app.+"});
    CHECK(first_of("SELECT a <%> ANY (SELECT b FROM u) FROM t").operators == names{"<%>"});
    CHECK(first_of("SELECT a FROM t ORDER BY a USING <%>").operators == names{"<%>"});
    CHECK(first_of("SELECT ### 1").operators == names{"###"});
    CHECK(
        first_of(
            "SELECT a::int, b::text, c::varchar(3), d::timestamptz, e::numeric(3, 2), "
            "f::int[], '1'::bit(3), CAST(g AS pg_catalog.json), DATE '2020-01-01', 't'::regclass, "
            "INTERVAL '1' DAY FROM t")
            .cast_types.empty());
    CHECK(first_of("SELECT 'sad'::mood, CAST(a AS app.kind), mood 'x', b::mood[] FROM t")
              .cast_types == names{"mood", "app.kind", "mood", "mood"});
}

TEST_CASE("Functions that the catalog must tell of")
{
    CHECK_FALSE(first_of("SELECT 1").asks_functions);
    CHECK_FALSE(first_of("SELECT EXTRACT(year FROM a), pg_catalog.now() FROM t").asks_functions);
    CHECK(first_of("SELECT now()").asks_functions);
    CHECK_FALSE(first_of("SELECT now()").calls_unknown_function);
    CHECK(first_of("SELECT f()").asks_functions);
    CHECK(first_of("SELECT pg_catalog.f()").asks_functions);
    CHECK(first_of("SELECT query_to_xml('x', true, true, '')").writes_unknown);
}

TEST_CASE("DDL is told from what keeps the schema")
{
    for (const char* sql :
         {"CREATE TABLE t (a int)", "CREATE TABLE t AS SELECT 1", "SELECT 1 INTO t", "DROP TABLE t",
          "ALTER TABLE t ADD b int", "CREATE VIEW v AS SELECT 1",
          "CREATE FUNCTION f() RETURNS int LANGUAGE "
          "sql AS 'SELECT 1'",
          "GRANT SELECT ON t TO x", "CREATE INDEX ON t (a)", "SELEC"}) {
        INFO(sql);
        CHECK(analyze(sql, {})->first().changes_schema);
    }
    for (const char* sql :
         {"SELECT 1", "TRUNCATE t", "COMMENT ON TABLE t IS 'x'", "REINDEX TABLE t",
          "CREATE TEMP TABLE t (a int)", "SELECT 1 INTO TEMP t", "VACUUM", "UPDATE t SET a = 1",
          "SET x = 1", "BEGIN"}) {
        INFO(sql);
        CHECK_FALSE(analyze(sql, {})->first().changes_schema);
    }
}

TEST_CASE("PREPARE has the facts of what it prepares")
{
    const auto facts = analyze("PREPARE p (int) AS SELECT * FROM t WHERE f($1) @+@ 1 = 2", {});
    CHECK(facts->first().kind == kind::prepare);
    CHECK(facts->first().name == "p");
    REQUIRE(facts->first().inner);
    const auto& inner = facts->first().inner->first();
    CHECK(inner.kind == kind::select);
    CHECK(inner.relations == names{"t"});
    CHECK(inner.functions == names{"f"});
    CHECK(inner.operators == names{"@+@"});
    CHECK(content_of(facts) == facts->first().inner);
    const auto destination_of = [](const char* sql) { return first_of(sql).destination; };
    CHECK(destination_of("PREPARE p AS SELECT 1") == destination::balanced);
    CHECK(destination_of("PREPARE p AS VALUES (1)") == destination::balanced);
    CHECK(destination_of("PREPARE p AS SELECT 1 FROM t FOR UPDATE") == destination::primary);
    CHECK(destination_of("PREPARE p AS INSERT INTO t VALUES (1)") == destination::primary);
    SECTION("in texts that are not UTF-8 too")
    {
        const auto narrow = analyze("PREPARE p AS SELECT * FROM stra\xDF"
                                    "e",
                                    {});
        CHECK(narrow->first().inner->first().relations == names{"stra\xDF"
                                                                "e"});
    }
}

TEST_CASE("Isolation levels are told from their defaults")
{
    struct row {
        const char* sql;
        isolation level;
        bool is_default;
    };
    const std::vector<row> rows{
        {"BEGIN ISOLATION LEVEL SERIALIZABLE", isolation::serializable, false},
        {"SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", isolation::serializable, false},
        {"SET transaction_isolation TO 'repeatable read'", isolation::repeatable_read, false},
        {"SET default_transaction_isolation = 'Serializable'", isolation::serializable, true},
        {"SET LOCAL default_transaction_isolation = serializable", isolation::serializable, true},
        {"SET default_transaction_isolation TO DEFAULT", isolation::unspecified, true},
        {"RESET default_transaction_isolation", isolation::unspecified, true},
        {"SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL REPEATABLE READ",
         isolation::repeatable_read, true},
        {"SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY", isolation::unspecified, false},
        {"RESET ALL", isolation::unspecified, false},
        {"SET work_mem = 1", isolation::unspecified, false},
    };
    for (const auto& expected : rows) {
        INFO(expected.sql);
        const auto facts = first_of(expected.sql);
        CHECK(facts.begin_isolation == expected.level);
        CHECK(facts.changes_default_isolation == expected.is_default);
    }
}
