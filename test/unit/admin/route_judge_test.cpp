#include "admin/route_judge.hpp"

#include "config/load.hpp"

#include <catch2/catch.hpp>
#include <fmt/format.h>

#include <sstream>

using namespace pgtorii;
using namespace pgtorii::admin::route;

namespace {

core::settings_ptr settings_of(const std::string& more)
{
    auto outcome = config::load_text("pgpool.conf", R"(
backend_hostname0 = 'a'
backend_port0 = 5432
backend_weight0 = 0
backend_hostname1 = 'b'
backend_port1 = 5432
backend_weight1 = 1
backend_hostname2 = 'c'
backend_port2 = 5432
backend_weight2 = 1
)" + more + "\n");
    for (const auto& remark : outcome.diagnostics) UNSCOPED_INFO(config::to_text(remark));
    REQUIRE_FALSE(outcome.has_errors());
    return std::make_shared<const config::settings>(std::move(outcome.values));
}

/// Statements of sessions, judged one by one.
class judged {
public:
    explicit judged(const std::string& more = "", assumption assumed = assumption::read)
        : catalog_(assumed),
          judge_(settings_of(more), catalog_)
    {
    }

    catalog_model& catalog() { return catalog_; }
    judge& of() { return judge_; }
    event next;

    std::optional<verdict> take(event_kind what, std::string_view sql)
    {
        next.what = what;
        next.sql = sql;
        return judge_.take(next);
    }
    /// "primary statement_kind".
    std::string say(std::string_view sql)
    {
        const auto found = take(event_kind::statement, sql);
        REQUIRE(found);
        return text_of(*found);
    }
    static std::string text_of(const verdict& found)
    {
        return fmt::format("{} {}", routing::name_of(found.why.target),
                           routing::name_of(found.why.reason));
    }

private:
    catalog_model catalog_;
    judge judge_;
};

const std::string balanced = "balanced read_balanced";

}  // namespace

TEST_CASE("The cluster off line is the configured one, all well")
{
    const auto view = view_of(*settings_of("backend_flag1 = 'ALWAYS_PRIMARY'"));
    REQUIRE(view.nodes.size() == 3);
    CHECK(view.primary == 1);
    CHECK(view.nodes[2].weight_normalized == 0.5);
    CHECK(view.nodes[0].weight_normalized == 0);
    CHECK(view.nodes[0].is_valid());
    const auto holes = view_of(*settings_of("backend_hostname4 = 'e'\nbackend_port4 = 5432"));
    REQUIRE(holes.nodes.size() == 5);
    CHECK_FALSE(holes.nodes[3].is_valid());
    CHECK(holes.primary == 0);
}

TEST_CASE("A session's transactions are followed as if all went well")
{
    judged them;
    CHECK(them.say("SELECT * FROM t") == balanced);
    CHECK(them.say("BEGIN") == "primary statement_kind");
    CHECK(them.say("SELECT * FROM t") == balanced);
    CHECK(them.say("UPDATE t SET i = 1") == "primary statement_kind");
    CHECK(them.say("SELECT * FROM t") == "primary transaction_written");
    CHECK(them.say("COMMIT") == "primary statement_kind");
    CHECK(them.say("SELECT * FROM t") == balanced);
    CHECK(them.say("BEGIN; SELECT 1; COMMIT") == "primary multi_statement");
    CHECK(them.say("SELECT * FROM t") == balanced);
    CHECK(them.of().session_count() == 1);
}

TEST_CASE("A failure that the log tells of fails the transaction")
{
    judged them;
    them.say("BEGIN");
    them.say("SELECT 1/0");
    CHECK_FALSE(them.take(event_kind::failure, "SELECT 1/0"));
    CHECK(them.say("SELECT * FROM t") == "primary transaction_failed");
    them.say("ROLLBACK");
    CHECK(them.say("SELECT * FROM t") == balanced);

    SECTION("outside of a transaction it fails nothing but itself")
    {
        CHECK_FALSE(them.take(event_kind::failure, ""));
        CHECK(them.say("SELECT * FROM t") == balanced);
    }
    SECTION("a savepoint brings the transaction back")
    {
        for (const auto* const each : {"BEGIN", "SAVEPOINT a", "SELECT 1/0"}) them.say(each);
        them.take(event_kind::failure, "SELECT 1/0");
        them.say("ROLLBACK TO a");
        CHECK(them.say("SELECT * FROM t") != "primary transaction_failed");
    }
    SECTION("a statement that is known to have been completed is not the one that failed")
    {
        them.say("BEGIN");
        them.next.is_completed = true;
        them.say("UPDATE t SET i = 1");
        const auto failed = them.take(event_kind::failure, "UPDATE t SET i = 1");
        REQUIRE(failed);
        CHECK(judged::text_of(*failed) == "primary statement_kind");
        CHECK(them.say("SELECT * FROM t") == "primary transaction_failed");
    }
    SECTION("COMMIT that fails has ended the transaction")
    {
        them.say("BEGIN");
        them.say("COMMIT");
        them.take(event_kind::failure, "COMMIT");
        CHECK(them.say("SELECT * FROM t") == balanced);
    }
}

TEST_CASE("Sessions are told apart, and end")
{
    judged them;
    them.next.session = "one";
    them.say("BEGIN");
    them.say("DELETE FROM t");
    them.next.session = "two";
    CHECK(them.say("SELECT * FROM t") == balanced);
    them.next.session = "one";
    CHECK(them.say("SELECT * FROM t") == "primary transaction_written");
    CHECK_FALSE(them.take(event_kind::end, ""));
    CHECK(them.say("SELECT * FROM t") == balanced);
    CHECK(them.of().session_count() == 3);
}

TEST_CASE("Sessions that are open at once are bounded in number")
{
    judged them;
    for (std::size_t i = 0; i < judge::open_sessions_max + 5; ++i) {
        const auto name = std::to_string(i);
        them.next.session = name;
        them.say("SELECT 1");
    }
    CHECK(them.of().forgotten_sessions() == 5);
}

TEST_CASE("EXECUTE goes where what was prepared may go")
{
    judged them;
    them.say("PREPARE q AS SELECT * FROM t");
    CHECK(them.say("EXECUTE q(1)") == balanced);
    them.say("DEALLOCATE q");
    them.say("PREPARE q AS SELECT * FROM t FOR UPDATE");
    CHECK(them.say("EXECUTE q(1)") == "primary row_lock");
    them.say("DEALLOCATE ALL");
    CHECK(them.say("EXECUTE q(1)") == "primary prepared_unknown");
}

TEST_CASE("PGPOOL SET of a script counts for its session")
{
    judged them;
    const auto* const read = "/* x */ SELECT * FROM t";
    CHECK(them.say(read) == "primary text_rule");
    CHECK(them.say("PGPOOL SET allow_sql_comments TO on") == "local local_command");
    CHECK(them.say(read) == balanced);
    them.next.session = "other";
    CHECK(them.say(read) == "primary text_rule");
    them.next.session = "";
    them.say("PGPOOL SET allow_sql_comments TO nonsense");
    CHECK(them.say(read) == balanced);
    them.say("PGPOOL RESET ALL");
    CHECK(them.say(read) == "primary text_rule");
}

TEST_CASE("A statement that is too long for the parser counts as unparsed")
{
    judged them{"analyze_bytes_max = 1kB"};
    CHECK(them.say("SELECT '" + std::string(2'000, 'x') + "'") == "primary unparsed");
    them.next.session = "other";
    them.next.is_cut = true;
    CHECK(them.say("SELECT 1") == "primary unparsed");
}

TEST_CASE("Balanced reads are told with the shares of the nodes, redirect lists included")
{
    judged them{"database_redirect_preference_list = 'reports:2,mixed:standby(0.4),all:primary'\n"
                "backend_weight1 = 3"};
    const auto shares = [&](std::string_view database) {
        them.next.session = database;
        them.next.database = database;
        return admin::route::text_of(*them.take(event_kind::statement, "SELECT * FROM t")->nodes);
    };
    CHECK(shares("shop") == "node 1 75 %, node 2 25 %");
    CHECK(shares("reports") == "node 2");
    CHECK(shares("all") == "node 0");
    CHECK(shares("mixed") == "node 0 60 %, node 1 30 %, node 2 10 %");
    CHECK(them.take(event_kind::statement, "DELETE FROM t")->nodes->front().node == 0);
}

TEST_CASE("Shares alone are no difference, nodes are")
{
    const node_shares half{{1, 50}, {2, 50}};
    const node_shares more{{1, 60}, {2, 40}};
    const node_shares one{{1, 100}};
    const verdict here{.why = {}, .nodes = &half};
    CHECK_FALSE(here.goes_elsewhere({.why = {}, .nodes = &more}));
    CHECK(here.goes_elsewhere({.why = {}, .nodes = &one}));
}

TEST_CASE("Without a catalog, names that only it knows stay on the primary unless assumed")
{
    judged plain{"", assumption::nothing};
    CHECK(plain.say("SELECT 1") == balanced);
    CHECK(plain.say("SELECT my_function(1)") == "primary catalog_unknown");
    judged reads{"", assumption::read};
    CHECK(reads.say("SELECT my_function(i) FROM t") == balanced);
    judged writes{"", assumption::write};
    CHECK(writes.say("SELECT my_function(i) FROM t") == "primary writing_function");
    CHECK(writes.say("SELECT count(*) FROM t") == balanced);
}

TEST_CASE("A schema file tells of functions, views, unlogged tables and partitions")
{
    judged them{"", assumption::nothing};
    std::istringstream schema(R"(
SET search_path = '';
CREATE FUNCTION public.reads(a integer, b text DEFAULT 'volatile') RETURNS integer
    LANGUAGE sql STABLE
    AS $$ SELECT 1; SELECT 2 $$;
CREATE FUNCTION public.writes() RETURNS TABLE(stable integer) LANGUAGE plpgsql
    AS $$ BEGIN END $$;
CREATE FUNCTION public."Odd ""name"(integer) RETURNS integer IMMUTABLE LANGUAGE sql
    RETURN 1;
CREATE OR REPLACE FUNCTION public.reads(text) RETURNS integer LANGUAGE sql IMMUTABLE BEGIN ATOMIC
 SELECT 1;
END;
CREATE AGGREGATE public.total(integer) (SFUNC = int4pl, STYPE = integer);
CREATE TYPE public.mood AS ENUM ('sad', 'happy');
CREATE OPERATOR public.<~> (FUNCTION = public.writes, LEFTARG = integer, RIGHTARG = integer);
CREATE OPERATOR public.<=~> (PROCEDURE = reads, LEFTARG = integer, RIGHTARG = integer);
CREATE TABLE public.plain (i integer, j text);
CREATE UNLOGGED TABLE IF NOT EXISTS public.loose (i integer);
CREATE TABLE public.parent (i integer) PARTITION BY RANGE (i);
CREATE UNLOGGED TABLE public.child (i integer);
ALTER TABLE ONLY public.parent ATTACH PARTITION public.child FOR VALUES FROM (1) TO (2);
CREATE TABLE public.root (i integer);
CREATE UNLOGGED TABLE public.heir (k integer) INHERITS (public.root);
CREATE VIEW public.quiet AS SELECT public.reads(plain.i, 'x') AS r FROM public.plain;
CREATE VIEW public.loud AS SELECT public.writes() FROM public.quiet WITH CASCADED CHECK OPTION;
CREATE VIEW public.louder WITH (security_barrier='true') AS SELECT * FROM public.loud;
CREATE VIEW public.above AS SELECT * FROM public.parent;
CREATE VIEW public.locking AS SELECT * FROM public.plain FOR UPDATE;
CREATE VIEW public.ring AS SELECT * FROM public.ring;
CREATE MATERIALIZED VIEW public.kept AS SELECT public.writes() WITH NO DATA;
)");
    CHECK(them.catalog().add_schema(schema) == 22);
    const std::pair<const char*, std::string> cases[] = {
        {"SELECT reads(1)", balanced},
        {"SELECT public.reads(1) FROM plain", balanced},
        {"SELECT * FROM writes()", "primary writing_function"},
        {"SELECT \"Odd \"\"name\"(1)", balanced},
        {"SELECT total(i) FROM plain", balanced},
        {"SELECT 'sad'::mood", balanced},
        {"SELECT 1 <~> 2", "primary writing_function"},
        {"SELECT 1 <=~> 2", balanced},
        {"SELECT * FROM loose", "primary unlogged_table"},
        {"SELECT * FROM parent", "primary unlogged_table"},
        {"SELECT * FROM above", "primary unlogged_table"},
        {"SELECT * FROM root", "primary unlogged_table"},
        {"SELECT * FROM quiet", balanced},
        {"SELECT * FROM loud", "primary writing_function"},
        {"SELECT * FROM plain, louder", "primary writing_function"},
        {"SELECT * FROM locking", "primary row_lock"},
        {"SELECT * FROM ring", balanced},
        {"SELECT * FROM kept", balanced},
        {"SELECT * FROM pg_class", "primary system_catalog"},
        {"SELECT * FROM information_schema.tables", balanced},
        {"SELECT unknown_to_all(1)", "primary catalog_unknown"},
        {"SELECT * FROM unknown_to_all", "primary catalog_unknown"},
    };
    for (const auto& [sql, expected] : cases) {
        INFO(sql);
        CHECK(them.say(sql) == expected);
    }
}
