#include "routing/analyze.hpp"

#include <catch2/catch.hpp>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

using namespace pgtorii::routing;
using kind = statement_kind;

namespace {

statement_facts first_of(std::string_view sql)
{
    return analyze(sql, {})->first();
}

struct expectation {
    const char* sql;
    statement_kind kind;
    statement_class stats_class;
    destination where;
    bool counts_as_write;
};

constexpr auto in_select = statement_class::select;
constexpr auto in_ddl = statement_class::ddl;
constexpr auto in_other = statement_class::other;
constexpr auto primary = destination::primary;
constexpr auto balanced = destination::balanced;
constexpr auto all = destination::all;

// Kinds and destinations: routing.md, section 3; classes: sql-interface.md, section 8; writes:
// routing.md, section 5.
const std::vector<expectation> expectations{
    {"", kind::empty, in_select, balanced, false},
    {" ;; -- nothing", kind::empty, in_select, balanced, false},
    {"SELECT 1", kind::select, in_select, balanced, false},
    {"TABLE t", kind::select, in_select, balanced, false},
    {"VALUES (1)", kind::select, in_select, balanced, false},
    {"WITH x AS (SELECT 1) SELECT * FROM x", kind::select, in_select, balanced, false},
    {"SELECT 1 UNION SELECT 2", kind::select, in_select, balanced, false},
    {"SELECT * FROM t FOR NO KEY UPDATE", kind::select, in_select, primary, true},
    {"SELECT (SELECT 1 FROM t FOR SHARE)", kind::select, in_select, primary, true},
    {"SELECT * INTO x FROM t", kind::select, in_select, primary, true},
    {"SELECT * FROM (WITH x AS (SELECT 1) TABLE x) y", kind::select, in_select, balanced, false},
    {"WITH x AS (UPDATE t SET a = 1 RETURNING *) SELECT * FROM x", kind::select, in_select, primary,
     true},
    {"INSERT INTO t VALUES (1)", kind::insert, statement_class::insert, primary, true},
    {"UPDATE t SET a = 1", kind::update, statement_class::update, primary, true},
    {"DELETE FROM t", kind::delete_, statement_class::delete_, primary, true},
    {"MERGE INTO t USING u ON t.a = u.a WHEN MATCHED THEN DO NOTHING", kind::merge, in_ddl, primary,
     true},
    {"COPY t TO STDOUT", kind::copy_to, in_ddl, balanced, false},
    {"COPY (SELECT 1 FROM t FOR UPDATE) TO STDOUT", kind::copy_to, in_ddl, primary, true},
    {"COPY (DELETE FROM t RETURNING *) TO STDOUT", kind::copy_to, in_ddl, primary, true},
    {"COPY t FROM STDIN", kind::copy_from, in_ddl, primary, true},
    {"COPY t FROM '/x'", kind::copy_file, in_ddl, primary, true},
    {"COPY t TO PROGRAM 'x'", kind::copy_file, in_ddl, primary, true},
    {"BEGIN", kind::begin, in_other, all, false},
    {"START TRANSACTION READ ONLY", kind::begin, in_other, all, false},
    {"END", kind::commit, in_other, all, false},
    {"ABORT", kind::rollback, in_other, all, false},
    {"SAVEPOINT a", kind::savepoint, in_other, all, true},
    {"RELEASE a", kind::release_savepoint, in_other, all, true},
    {"ROLLBACK TO a", kind::rollback_to_savepoint, in_other, all, false},
    {"PREPARE TRANSACTION 'x'", kind::prepare_transaction, in_other, primary, true},
    {"ROLLBACK PREPARED 'x'", kind::commit_prepared, in_other, primary, true},
    {"SET a.b = 1", kind::set, in_other, all, true},
    {"RESET ALL", kind::set, in_other, all, true},
    {"SET transaction_read_only TO off", kind::set, in_other, primary, true},
    {"SET default_transaction_isolation = 'Serializable'", kind::set, in_other, primary, true},
    {"SET TRANSACTION READ ONLY", kind::set_transaction, in_other, all, false},
    {"SET TRANSACTION READ WRITE", kind::set_transaction, in_other, primary, true},
    {"SET CONSTRAINTS ALL DEFERRED", kind::set_constraints, in_ddl, primary, true},
    {"SHOW ALL", kind::show, in_other, balanced, false},
    {"DISCARD ALL", kind::discard, in_other, all, true},
    {"PREPARE p AS SELECT 1", kind::prepare, in_other, balanced, false},
    {"PREPARE p AS DELETE FROM t", kind::prepare, in_other, primary, true},
    {"EXECUTE p(1)", kind::execute, in_other, primary, true},
    {"DEALLOCATE p", kind::deallocate, in_other, primary, true},
    {"DEALLOCATE ALL", kind::deallocate, in_other, all, true},
    {"DECLARE c CURSOR FOR SELECT 1", kind::declare_cursor, in_ddl, primary, true},
    {"FETCH c", kind::cursor, in_ddl, primary, true},
    {"CLOSE ALL", kind::cursor, in_ddl, primary, true},
    {"LISTEN x", kind::listen, in_other, primary, true},
    {"UNLISTEN *", kind::listen, in_other, primary, true},
    {"NOTIFY x, 'y'", kind::notify, in_other, primary, true},
    {"LOCK t IN ROW SHARE MODE", kind::lock, in_other, all, true},
    {"LOCK t", kind::lock, in_other, primary, true},
    {"EXPLAIN DELETE FROM t", kind::explain, in_other, primary, false},
    {"EXPLAIN (ANALYZE off) DELETE FROM t", kind::explain, in_other, primary, false},
    {"EXPLAIN ANALYZE SELECT 1", kind::explain, in_other, primary, false},
    {"EXPLAIN ANALYZE SELECT random()", kind::explain, in_other, primary, true},
    {"EXPLAIN (ANALYZE, VERBOSE) DELETE FROM t", kind::explain, in_other, primary, true},
    {"EXPLAIN ANALYZE EXECUTE p", kind::explain, in_other, primary, true},
    {"CALL p()", kind::call, in_ddl, primary, true},
    {"DO 'BEGIN END'", kind::call, in_ddl, primary, true},
    {"LOAD 'x'", kind::load, in_other, primary, true},
    {"VACUUM", kind::maintenance, in_other, primary, true},
    {"ANALYZE t", kind::maintenance, in_other, primary, true},
    {"REINDEX TABLE t", kind::maintenance, in_ddl, primary, true},
    {"CREATE TABLE t (a int)", kind::ddl, in_ddl, primary, true},
    {"TRUNCATE t", kind::ddl, in_ddl, primary, true},
    {"GRANT SELECT ON t TO x", kind::ddl, in_ddl, primary, true},
    {"SELECT FROM WHERE", kind::unparsed, statement_class::delete_, primary, true},
};

}  // namespace

TEST_CASE("Every kind of statement is told by its text")
{
    for (const auto& expected : expectations) {
        INFO(expected.sql);
        const auto facts = first_of(expected.sql);
        CHECK(facts.kind == expected.kind);
        CHECK(facts.stats_class == expected.stats_class);
        CHECK(facts.destination == expected.where);
        CHECK(facts.counts_as_write == expected.counts_as_write);
        CHECK_FALSE((facts.is_read && facts.counts_as_write));
    }
}

TEST_CASE("SET and its like tell what they change")
{
    struct row {
        const char* sql;
        setting_change change;
        const char* name;
    };
    const std::vector<row> rows{
        {"SET Work_Mem = '1MB'", setting_change::set, "work_mem"},
        {"SET SESSION \"Foo.Bar\" TO 1", setting_change::set, "foo.bar"},
        {"SET LOCAL work_mem = 1", setting_change::set_local, "work_mem"},
        {"SET LOCAL work_mem TO DEFAULT", setting_change::set_local, "work_mem"},
        {"SET work_mem TO DEFAULT", setting_change::reset, "work_mem"},
        {"RESET work_mem", setting_change::reset, "work_mem"},
        {"RESET ALL", setting_change::reset_all, ""},
        {"SET ROLE alice", setting_change::set, "role"},
        {"RESET ROLE", setting_change::reset, "role"},
        {"SET SESSION AUTHORIZATION alice", setting_change::set, "session_authorization"},
        {"SET TIME ZONE 'UTC'", setting_change::set, "timezone"},
        {"SET NAMES 'UTF8'", setting_change::set, "client_encoding"},
        {"SET TRANSACTION READ ONLY", setting_change::none, "transaction"},
        {"SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY", setting_change::set,
         "session characteristics"},
        {"DISCARD ALL", setting_change::discard_all, "all"},
        {"DISCARD TEMP", setting_change::none, "temp"},
    };
    for (const auto& expected : rows) {
        INFO(expected.sql);
        const auto facts = first_of(expected.sql);
        CHECK(facts.change == expected.change);
        CHECK(facts.name == expected.name);
    }
    CHECK(first_of("SET search_path = pg_temp, public").effects_unknown);
    CHECK_FALSE(first_of("SET search_path = app, public").effects_unknown);
}

TEST_CASE("BEGIN and SET TRANSACTION tell the characteristics")
{
    const auto begin = first_of("BEGIN ISOLATION LEVEL SERIALIZABLE, READ ONLY, DEFERRABLE");
    CHECK(begin.begin_isolation == isolation::serializable);
    CHECK(begin.begin_read_only);
    CHECK_FALSE(begin.begin_read_write);
    CHECK(begin.begin_deferrable);
    const auto plain = first_of("BEGIN");
    CHECK(plain.begin_isolation == isolation::unspecified);
    CHECK_FALSE(plain.begin_read_only);
    CHECK_FALSE(plain.begin_deferrable);
    CHECK(first_of("BEGIN READ WRITE").begin_read_write);
    CHECK(first_of("BEGIN NOT DEFERRABLE").begin_deferrable == false);
    CHECK(first_of("START TRANSACTION ISOLATION LEVEL READ UNCOMMITTED").begin_isolation ==
          isolation::read_committed);
    CHECK(first_of("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ").begin_isolation ==
          isolation::repeatable_read);
    CHECK(first_of("SET transaction_isolation = 'serializable'").begin_isolation ==
          isolation::serializable);
    CHECK(first_of("COMMIT AND CHAIN").chain);
    CHECK_FALSE(first_of("ROLLBACK").chain);
    CHECK(first_of("SAVEPOINT \"My Point\"").name == "My Point");
}

TEST_CASE("Functions are found wherever they stand")
{
    for (const char* sql : {
             "SELECT random()",
             "SELECT pg_catalog.random()",
             "SELECT a FROM t WHERE b IN (SELECT c FROM u WHERE d = random())",
             "SELECT sum(a ORDER BY random()) FROM t",
             "SELECT count(*) FILTER (WHERE random() > 0.5) FROM t",
             "SELECT CASE WHEN true THEN 1 ELSE random() END",
             "SELECT 1 LIMIT random()::int",
             "SELECT * FROM ROWS FROM (generate_series(1, 2), random()) x",
             "SELECT * FROM t, LATERAL (SELECT random()) x",
             "WITH x AS (SELECT random()) SELECT * FROM x",
             "VALUES (1), (random())",
             "SELECT 1 UNION ALL (SELECT 2 UNION SELECT random())",
             "SELECT array[1, random()], row(random())",
             "SELECT * FROM t JOIN u ON t.a = random()",
             "SELECT 1 FROM t GROUP BY random() HAVING random() > 1 WINDOW w AS (ORDER BY "
             "random())",
             "SELECT a FROM t TABLESAMPLE bernoulli (random())",
             "SELECT COALESCE(NULL, random())",
             "SELECT (random())::text COLLATE \"C\"",
         }) {
        INFO(sql);
        const auto facts = first_of(sql);
        CHECK(facts.calls_writing_function);
        CHECK_FALSE(facts.is_read);
    }
    CHECK(first_of("SELECT f()").calls_unknown_function);
    CHECK(first_of("SELECT public.now()").calls_unknown_function);
    CHECK(first_of("SELECT \"NOW\"()").calls_unknown_function);
    const auto known =
        first_of("SELECT count(*), upper(a), EXTRACT(year FROM now()), a.b.lower(c) FROM t");
    CHECK(known.functions ==
          std::vector<std::string>{"count", "upper", "pg_catalog.extract", "now", "b.lower"});
    CHECK_FALSE(known.calls_writing_function);
    CHECK(first_of("SELECT coalesce(a, 1), current_user, greatest(1, 2) FROM t").functions.empty());
}

TEST_CASE("Functions with session effects are flagged")
{
    CHECK(first_of("SELECT set_config('a', 'b', false)").calls_set_config);
    CHECK(first_of("SELECT PG_CATALOG.Set_Config('a', 'b', false)").calls_set_config);
    CHECK_FALSE(first_of("SELECT app.set_config('a', 'b', false)").calls_set_config);
    CHECK(first_of("SELECT pg_advisory_lock(1)").takes_advisory_lock);
    CHECK(first_of("SELECT pg_try_advisory_lock_shared(1)").takes_advisory_lock);
    CHECK_FALSE(first_of("SELECT pg_advisory_xact_lock(1)").takes_advisory_lock);
    CHECK(first_of("SELECT pg_advisory_xact_lock(1)").calls_writing_function);
    CHECK(first_of("INSERT INTO t VALUES (nextval('s'))").uses_sequence_state);
    CHECK(first_of("CALL p()").effects_unknown);
    CHECK(first_of("DECLARE c CURSOR WITH HOLD FOR SELECT 1").holds_cursor);
    CHECK_FALSE(first_of("DECLARE c CURSOR FOR SELECT 1").holds_cursor);
}

TEST_CASE("Temporary objects are noticed however they are made")
{
    for (const char* sql : {
             "CREATE TEMP TABLE x (a int)",
             "CREATE TEMPORARY TABLE x AS SELECT 1",
             "SELECT 1 INTO TEMP x",
             "CREATE TEMP VIEW v AS SELECT 1",
             "CREATE TEMP SEQUENCE s",
             "CREATE TABLE pg_temp.x (a int)",
             "CREATE LOCAL TEMP TABLE x (a int)",
             "CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
             "CREATE TEMP TABLE x AS EXECUTE p",
             "CREATE TYPE pg_temp.e AS ENUM ()",
         }) {
        INFO(sql);
        CHECK(first_of(sql).creates_temp);
    }
    CHECK_FALSE(first_of("CREATE TABLE x (a int)").creates_temp);
    CHECK_FALSE(first_of("INSERT INTO pg_temp.x VALUES (1)").creates_temp);
    CHECK(first_of("SELECT * FROM pg_temp.x").reads_temp_schema);
    CHECK(first_of("SELECT * FROM t WHERE a IN (SELECT 1 FROM pg_temp_3.x)").reads_temp_schema);
}

TEST_CASE("Relations are named as written, and catalogs noticed")
{
    const auto facts =
        first_of("SELECT * FROM t, App.\"Mixed Case\" WHERE a IN (SELECT 1 FROM db.s.u)");
    CHECK(facts.relations == std::vector<std::string>{"t", "app.Mixed Case", "s.u"});
    CHECK_FALSE(facts.reads_system_catalog);
    CHECK(first_of("SELECT 1 FROM t, pg_class").reads_system_catalog);
    CHECK(first_of("SELECT 1 FROM pg_catalog.pg_class").reads_system_catalog);
    CHECK(first_of("SELECT 1 WHERE EXISTS (TABLE pg_stat_activity)").reads_system_catalog);
    CHECK_FALSE(first_of("SELECT 1 FROM app.pg_class").reads_system_catalog);
    CHECK_FALSE(first_of("SELECT 1 FROM information_schema.tables").reads_system_catalog);
}

TEST_CASE("Several statements have their places in the text")
{
    const std::string sql = "SELECT 1; /* x */ UPDATE t SET a = 'ä;' ;; BEGIN";
    const auto facts = analyze(sql, {});
    REQUIRE(facts->statements.size() == 3);
    CHECK(facts->is_multi());
    CHECK(facts->depends_on_literals);
    std::string joined;
    for (const auto& statement : facts->statements) {
        const auto length = statement.text_length == 0 ? std::string::npos : statement.text_length;
        joined += sql.substr(statement.text_offset, length) + "|";
    }
    CHECK(joined == "SELECT 1| /* x */ UPDATE t SET a = 'ä;' | BEGIN|");
    CHECK(facts->statements[1].kind == kind::update);
    SECTION("a single one is the whole text")
    {
        const auto single = analyze(" ; SELECT 1 ;", {});
        CHECK_FALSE(single->is_multi());
        CHECK(single->first().text_length == 0);
        CHECK(single->first().text_offset == 0);
    }
}

TEST_CASE("Texts that are not UTF-8 are read as well, names and places unharmed")
{
    const std::string sql = "SELECT '\xE4\xFC' FROM stra\xDF"
                            "e; SELECT \xE9t\xE9()";
    const auto facts = analyze(sql, {});
    REQUIRE(facts->is_parsed);
    REQUIRE(facts->statements.size() == 2);
    CHECK(facts->first().relations == std::vector<std::string>{"stra\xDF"
                                                               "e"});
    CHECK(facts->statements[1].functions == std::vector<std::string>{"\xE9t\xE9"});
    CHECK(sql.substr(facts->statements[1].text_offset) == " SELECT \xE9t\xE9()");
    CHECK(facts->first().text_length == sql.find(';'));
    CHECK(analyze("SELECT 'grün' FROM größe", {})->first().relations ==
          std::vector<std::string>{"größe"});
}

TEST_CASE("Control bytes in constants and names do no harm")
{
    for (char c = 1; c < ' '; ++c) {
        const auto text = std::string("SELECT '") + c + "' FROM \"" + c + "\"";
        INFO(static_cast<int>(c));
        const auto facts = analyze(text, {});
        REQUIRE(facts->is_parsed);
        CHECK(facts->first().relations == std::vector<std::string>{std::string(1, c)});
    }
    CHECK_FALSE(analyze(std::string_view("SELECT 1\0; DROP TABLE t", 23), {})->is_parsed);
}

TEST_CASE("Own commands are recognised as first statement only")
{
    struct row {
        const char* sql;
        statement_kind kind;
        const char* name;
        const char* value;
    };
    const std::vector<row> rows{
        {"show POOL_NODES", kind::pool_show, "pool_nodes", ""},
        {"; /* c */ SHOW \"pool_version\";; SELECT 1", kind::pool_show, "pool_version", ""},
        {"SHOW pool_backend_stats", kind::pool_show, "pool_backend_stats", ""},
        {"SHOW pool_pins", kind::pool_show, "pool_pins", ""},
        {"SHOW \"POOL_NODES\"", kind::show, "POOL_NODES", ""},
        {"SHOW pool_nope", kind::show, "pool_nope", ""},
        {"PGPOOL SHOW Port", kind::pgpool_show, "port", ""},
        {"-- c\npgpool show ALL; nonsense here", kind::pgpool_show, "all", ""},
        {";PGPOOL SHOW \"Port\"", kind::pgpool_show, "Port", ""},
        {"PGPOOL SET log_statement TO 'it''s'", kind::pgpool_set, "log_statement", "it's"},
        {"PGPOOL SET client_idle_limit=-5", kind::pgpool_set, "client_idle_limit", "-5"},
        {"PGPOOL SET client_min_messages TO Debug5 ;", kind::pgpool_set, "client_min_messages",
         "debug5"},
        {"PGPOOL RESET ALL", kind::pgpool_reset, "all", ""},
    };
    for (const auto& expected : rows) {
        INFO(expected.sql);
        const auto facts = analyze(expected.sql, {});
        CHECK_FALSE(facts->is_multi());
        CHECK(facts->first().kind == expected.kind);
        CHECK(facts->first().name == expected.name);
        CHECK(facts->first().value == expected.value);
    }
    CHECK_FALSE(first_of("PGPOOL SET x TO DEFAULT").has_value);
    CHECK(first_of("PGPOOL SET x TO ''").has_value);
    for (const char* sql :
         {"PGPOOL", "PGPOOL SHOW", "PGPOOL SHOW a b", "PGPOOL SET x", "PGPOOL SET LOCAL x TO 1",
          "PGPOOL SET x TO", "PGPOOL SET x TO 1, 2", "SELECT 1; PGPOOL SHOW port", "PGPOOL DROP x",
          "PGPOOL SET x TO 'open"}) {
        INFO(sql);
        CHECK(first_of(sql).kind == kind::unparsed);
    }
}

TEST_CASE(
    "An unparsed text has unknown session effects unless its start and its tokens speak against it")
{
    for (const char* sql :
         {"SELECT 1 FROM WHERE", "  insert into into", "WITH WITH", "/* c */ merge 1;",
          "SELECT 'a;b' \"c;d\" $$e;f$$ g(", "VALUES", "update -- ;\n update"}) {
        INFO(sql);
        const auto facts = first_of(sql);
        CHECK(facts.kind == kind::unparsed);
        CHECK_FALSE(facts.effects_unknown);
    }
    for (const char* sql : {"SELEC 1", "SELECT 1 FROM; SET x = 1 1", "SELECT 'open",
                            "SELECT $$ ; open", "SELECT \"open", "SELECT 1 /* open",
                            "(SELECT 1 FROM WHERE)", "SET x SET x", "; ; SELECT WHERE FROM ; x"}) {
        INFO(sql);
        const auto facts = first_of(sql);
        CHECK(facts.kind == kind::unparsed);
        CHECK(facts.effects_unknown);
    }
    CHECK(unreadable("SELECT '\\'").first().effects_unknown);
    CHECK(unreadable("SELECT '\\'").first().kind == kind::unparsed);
}

TEST_CASE("The first character of the text is noted")
{
    const auto start = [](std::string_view sql) {
        const auto facts = analyze(sql, {});
        return std::string(facts->starts_with_blank ? "blank " : "") +
               (facts->starts_like_read ? "read" : "other");
    };
    CHECK(start("SELECT 1") == "read");
    CHECK(start("\n with x as (select 1) table x") == "blank read");
    CHECK(start("(VALUES (1))") == "read");
    CHECK(start(";") == "read");
    CHECK(start("") == "read");
    CHECK(start("VALUES (1)") == "other");
    CHECK(start("/* c */ SELECT 1") == "other");
    CHECK(start(" -- c") == "blank other");
}

TEST_CASE("Only plain data statements are free of their literals")
{
    for (const char* sql : {"SELECT 1", "INSERT INTO t VALUES (1)", "UPDATE t SET a = 1",
                            "DELETE FROM t", "SELECT f('x'), random()"}) {
        INFO(sql);
        CHECK_FALSE(analyze(sql, {})->depends_on_literals);
    }
    for (const char* sql :
         {"SET x = 1", "SELECT 1; SELECT 2", "SELECT nextval('s')", "SELECT 't'::regclass",
          "SELECT regclass 't'", "SELECT set_config('a', 'b', true)", "COPY t TO STDOUT",
          "SELECT pg_advisory_lock(1)", "SELECT FROM WHERE", "PGPOOL SHOW port", ""}) {
        INFO(sql);
        CHECK(analyze(sql, {})->depends_on_literals);
    }
}

TEST_CASE("Analyzers work side by side, one for each thread")
{
    std::atomic<int> wrong = 0;
    std::vector<std::thread> threads;
    for (int id = 0; id < 4; ++id) {
        threads.emplace_back([id, &wrong] {
            analyzer own({});
            const auto table = "t" + std::to_string(id);
            for (int i = 0; i < 300; ++i) {
                const auto good =
                    own.analyze("SELECT a FROM " + table + " WHERE b IN (SELECT f(1))");
                const auto bad = own.analyze("SELECT FROM WHERE " + table);
                if (good.first().relations != std::vector<std::string>{table} || bad.is_parsed)
                    ++wrong;
            }
        });
    }
    for (auto& thread : threads) thread.join();
    CHECK(wrong == 0);
}

TEST_CASE("DROP DATABASE names the database, so that our own idle links leave it")
{
    const auto facts = pgtorii::routing::analyze("DROP DATABASE IF EXISTS \"Some Where\"", {});
    CHECK(facts->first().drops_database);
    CHECK(facts->first().name == "Some Where");
    CHECK_FALSE(pgtorii::routing::analyze("DROP TABLE t", {})->first().drops_database);
}
