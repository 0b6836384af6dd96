// Decisions that depend on the catalog, on prepared statements, and on tables that were written.
#include "routing/analyze.hpp"
#include "routing/decision.hpp"
#include "routing/rules.hpp"
#include "routing/written_table_clock.hpp"

#include <catch2/catch.hpp>

#include <memory>
#include <string>

using namespace pgtorii;
using namespace pgtorii::routing;
using config::write_effect;
using std::chrono::milliseconds;

namespace {

struct asked {
    session_traits session;
    routing_parameters parameters;
    ha::cluster_view view;

    asked()
    {
        for (int id = 0; id < 2; ++id) {
            ha::node_view node;
            node.id = id;
            node.status = ha::node_status::up;
            view.nodes.push_back(node);
        }
        view.primary = 0;
        session.balanced_node = 1;
    }
    reason why(const std::string& sql) const
    {
        return decide(*analyze(sql, {}), session, view, rules(parameters)).reason;
    }
    /// Like `why`, with the catalog's answer.
    reason with(const catalog_facts& catalog, const std::string& sql) const
    {
        auto known = session;
        known.catalog = &catalog;
        return decide(*analyze(sql, {}), known, view, rules(parameters)).reason;
    }
    void join_transaction() { session.in_transaction = session.transaction_shareable = true; }
};

std::shared_ptr<const config::pattern_list> functions(const char* text)
{
    auto parsed = config::pattern_list::parse(text, config::pattern_syntax::names);
    REQUIRE(parsed.has_value());
    return std::make_shared<const config::pattern_list>(std::move(*parsed));
}

}  // namespace

TEST_CASE("The catalog is asked only when its answer could matter")
{
    asked question;
    for (const char* sql :
         {"SELECT * FROM t", "SELECT now()", "SELECT f()", "SELECT 1 @+@ 2", "SELECT 'x'::mood",
          "COPY t TO STDOUT", "COPY (SELECT f()) TO STDOUT", "PREPARE p AS SELECT * FROM t"}) {
        INFO(sql);
        CHECK(question.why(sql) == reason::catalog_unknown);
        CHECK(question.with({}, sql) == reason::read_balanced);
    }
    for (const char* sql :
         {"SELECT 1", "SELECT 'x'::text || 'y'", "SELECT pg_catalog.now()", "SHOW work_mem", "",
          "SELECT current_user", "SELECT EXTRACT(year FROM DATE '2020-01-01')"}) {
        INFO(sql);
        CHECK(question.why(sql) == reason::read_balanced);
    }
    SECTION("not when another rule decides, before or behind it")
    {
        CHECK(question.why("SELECT * FROM t, pg_class") == reason::system_catalog);
        CHECK(question.why("SELECT f(), random()") == reason::writing_function);
        question.session.is_not_replayed = true;
        CHECK(question.why("SELECT * FROM t") == reason::not_replayed);
        question.view.nodes[1].status = ha::node_status::down;
        CHECK(question.why("SELECT * FROM t") == reason::no_standby);
    }
    SECTION("not about functions when lists tell of them")
    {
        question.parameters.write_function_list = functions("w");
        CHECK(question.why("SELECT f(), 1 @+@ 2") == reason::read_balanced);
        CHECK(question.why("SELECT w()") == reason::function_list);
        CHECK(question.why("SELECT f() FROM t") == reason::catalog_unknown);
        catalog_facts writes;
        writes.calls_volatile_function = true;
        CHECK(question.with(writes, "SELECT f() FROM t") == reason::read_balanced);
    }
    SECTION("not about tables when nothing of them is checked")
    {
        question.parameters.check_unlogged_table = false;
        CHECK(question.why("SELECT * FROM t") == reason::catalog_unknown);
        question.parameters.check_temp_table = config::temp_table_check::trace;
        CHECK(question.why("SELECT * FROM t") == reason::read_balanced);
        CHECK(question.why("SELECT f() FROM t") == reason::catalog_unknown);
    }
}

TEST_CASE("Each answer of the catalog has its reason")
{
    asked question;
    const auto answer = [&](bool catalog_facts::* fact) {
        catalog_facts catalog;
        catalog.*fact = true;
        return question.with(catalog, "SELECT a FROM t");
    };
    CHECK(answer(&catalog_facts::calls_volatile_function) == reason::writing_function);
    CHECK(answer(&catalog_facts::reads_system_catalog) == reason::system_catalog);
    CHECK(answer(&catalog_facts::reads_temporary_table) == reason::temporary_table);
    CHECK(answer(&catalog_facts::reads_unlogged_table) == reason::unlogged_table);
    CHECK(answer(&catalog_facts::locks_rows) == reason::row_lock);
    SECTION("unless its check is off")
    {
        question.parameters.check_unlogged_table = false;
        CHECK(answer(&catalog_facts::reads_unlogged_table) == reason::read_balanced);
        question.parameters.check_temp_table = config::temp_table_check::none;
        CHECK(answer(&catalog_facts::reads_temporary_table) == reason::read_balanced);
    }
    SECTION("a function that is not volatile is a read, of whatever name")
    {
        CHECK(question.with({}, "SELECT nosuch()") == reason::read_balanced);
        CHECK(question.with({}, "SELECT txid_current()") == reason::writing_function);
    }
    SECTION("and so is a statement with it")
    {
        const rules plain{routing_parameters{}};
        const auto facts = analyze("SELECT f()", {});
        const catalog_facts harmless;
        catalog_facts writes;
        writes.calls_volatile_function = true;
        CHECK(counts_as_write(*facts, plain));
        CHECK_FALSE(counts_as_write(*facts, plain, &harmless));
        CHECK(counts_as_write(*facts, plain, &writes));
    }
}

TEST_CASE("EXECUTE and DEALLOCATE are judged by what was prepared")
{
    asked question;
    CHECK(question.why("EXECUTE p") == reason::prepared_unknown);
    CHECK(question.why("DEALLOCATE p") == reason::statement_kind);
    CHECK(question.why("DEALLOCATE ALL") == reason::statement_kind);
    const auto judged = [&](const char* made, const char* sql) {
        const auto facts = analyze(made, {});
        question.session.prepared = facts.get();
        return question.why(sql);
    };
    CHECK(judged("PREPARE p AS SELECT 1", "EXECUTE p") == reason::read_balanced);
    CHECK(judged("PREPARE p AS SELECT 1", "DEALLOCATE p") == reason::read_balanced);
    CHECK(judged("SELECT 1", "EXECUTE p") == reason::read_balanced);  // from a Parse
    CHECK(judged("VALUES (1)", "EXECUTE p") == reason::read_balanced);
    CHECK(judged("PREPARE p AS DELETE FROM t", "EXECUTE p") == reason::statement_kind);
    CHECK(judged("PREPARE p AS DELETE FROM t", "DEALLOCATE p") == reason::statement_kind);
    CHECK(judged("PREPARE p AS SELECT * FROM t", "DEALLOCATE p") == reason::read_balanced);
    CHECK(judged("PREPARE p AS SELECT random()", "EXECUTE p") == reason::writing_function);
    CHECK(judged("PREPARE p AS TABLE pg_class", "EXECUTE p") == reason::system_catalog);
    CHECK(judged("PREPARE p AS SELECT 1 FROM t FOR SHARE", "EXECUTE p") == reason::row_lock);
    CHECK(judged("PREPARE p AS SELECT * FROM t", "EXECUTE p") == reason::catalog_unknown);
    CHECK(judged("PREPARE p AS SELECT $1", "EXECUTE p(now())") == reason::read_balanced);
    CHECK(judged("PREPARE p AS SELECT $1", "EXECUTE p(nextval('s'))") == reason::writing_function);
    CHECK(judged("PREPARE p AS SELECT $1", "EXECUTE p(f())") == reason::writing_function);
    SECTION("and count as writes by it")
    {
        const rules plain{routing_parameters{}};
        const auto execute = analyze("EXECUTE p", {});
        const auto read = analyze("PREPARE p AS SELECT 1", {});
        const auto write = analyze("PREPARE p AS DELETE FROM t", {});
        CHECK(counts_as_write(*execute, plain));
        CHECK_FALSE(counts_as_write(*execute, plain, nullptr, read.get()));
        CHECK(counts_as_write(*execute, plain, nullptr, write.get()));
        CHECK_FALSE(counts_as_write(*read, plain));
        CHECK(counts_as_write(*write, plain));
    }
}

TEST_CASE("A serializable session reads from the primary, a repeatable one in transactions")
{
    asked question;
    const auto at = [&](isolation by_default, isolation own, bool in_transaction) {
        question.session.default_isolation = by_default;
        question.session.transaction_isolation = own;
        question.session.in_transaction = question.session.transaction_shareable = in_transaction;
        return question.why("SHOW work_mem");
    };
    const auto none = isolation::unspecified;
    CHECK(at(isolation::serializable, none, false) == reason::transaction_isolation);
    CHECK(at(isolation::serializable, none, true) == reason::transaction_isolation);
    CHECK(at(isolation::repeatable_read, none, false) == reason::read_balanced);
    CHECK(at(isolation::repeatable_read, none, true) == reason::transaction_isolation);
    CHECK(at(isolation::serializable, isolation::read_committed, true) == reason::read_balanced);
    CHECK(at(none, isolation::serializable, true) == reason::transaction_isolation);
}

TEST_CASE("After DDL the rest of the transaction stays on the primary in every mode")
{
    for (const auto mode : {write_effect::off, write_effect::transaction,
                            write_effect::dml_adaptive, write_effect::dml_adaptive_global}) {
        asked question;
        question.parameters.disable_load_balance_on_write = mode;
        question.join_transaction();
        question.session.transaction_has_ddl = true;
        CHECK(question.why("SELECT 1") == reason::transaction_ddl);
        question.session.in_transaction = false;
        CHECK(question.why("SELECT 1") == reason::read_balanced);
    }
}

TEST_CASE("dml_adaptive keeps reads of written tables on the primary")
{
    asked question;
    question.parameters.disable_load_balance_on_write = write_effect::dml_adaptive;
    question.join_transaction();
    question.session.transaction_written = true;
    written_tables written;
    written.add("App.Orders");
    question.session.written = &written;
    const catalog_facts nothing;
    CHECK(question.why("SELECT * FROM orders") == reason::table_written);
    CHECK(question.why("SELECT 1 WHERE EXISTS (SELECT 1 FROM x.\"ORDERS\")") ==
          reason::table_written);
    CHECK(question.why("COPY orders TO STDOUT") == reason::table_written);
    CHECK(question.with(nothing, "SELECT * FROM t") == reason::read_balanced);
    CHECK(question.why("SHOW work_mem") == reason::read_balanced);
    SECTION("below views too, which only the catalog knows")
    {
        catalog_facts view;
        view.tables = {"app.orders"};
        CHECK(question.with(view, "SELECT * FROM v") == reason::table_written);
        catalog_facts many;
        CHECK(question.with(many, "SELECT * FROM v") == reason::read_balanced);
        many.tables_are_all = false;
        CHECK(question.with(many, "SELECT * FROM v") == reason::table_written);
        question.parameters.check_unlogged_table = false;
        question.parameters.check_temp_table = config::temp_table_check::none;
        CHECK(question.why("SELECT * FROM v") == reason::catalog_unknown);
        written.clear();
        CHECK(question.why("SELECT * FROM v") == reason::read_balanced);
    }
    SECTION("and those of everything when that may be written")
    {
        written.add_everything();
        CHECK(question.why("SELECT 1") == reason::transaction_written);
        question.parameters.disable_load_balance_on_write = write_effect::off;
        CHECK(question.why("SELECT 1") == reason::read_balanced);
    }
}

TEST_CASE("dml_adaptive_global knows what others have written lately")
{
    asked question;
    question.parameters.disable_load_balance_on_write = write_effect::dml_adaptive_global;
    question.session.database = "db";
    const clock::time_point start{};
    written_table_clock known({.cold_start = milliseconds{50}}, start);
    question.session.table_clock = &known;
    const catalog_facts nothing;
    const auto at = [&](int ms, const char* sql) {
        question.session.now = start + milliseconds{ms};
        return question.with(nothing, sql);
    };
    CHECK(at(49, "SELECT 1") == reason::cold_start);
    CHECK(at(49, "SHOW work_mem") == reason::cold_start);
    CHECK(at(50, "SELECT 1") == reason::read_balanced);
    written_tables written;
    written.add("t");
    known.note("db", written, start + milliseconds{100});
    CHECK(at(199, "SELECT * FROM t") == reason::table_written);
    CHECK(at(199, "SELECT * FROM u") == reason::read_balanced);
    CHECK(at(200, "SELECT * FROM t") == reason::read_balanced);
    SECTION("for as long as the slowest standby needs, times the factor")
    {
        question.view.nodes[1].replication_delay_time = milliseconds{400};
        CHECK(at(2'099, "SELECT * FROM t") == reason::table_written);
        CHECK(at(2'100, "SELECT * FROM t") == reason::read_balanced);
        question.parameters.track_table_mutation_ttl_factor = 2;
        CHECK(at(900, "SELECT * FROM t") == reason::read_balanced);
        question.view.nodes[1].replication_delay_time = std::chrono::hours{2};
        CHECK(rules(question.parameters).write_lifetime(question.view) == std::chrono::hours{1});
    }
    SECTION("and so do views over them")
    {
        catalog_facts view;
        view.tables = {"public.t"};
        question.session.now = start + milliseconds{150};
        CHECK(question.with(view, "SELECT * FROM v") == reason::table_written);
    }
    SECTION("and all tables when that is not known")
    {
        written.add_everything();
        known.note("db", written, start + milliseconds{100});
        CHECK(at(150, "SELECT * FROM u") == reason::table_written);
        CHECK(at(150, "SELECT 1") == reason::read_balanced);
    }
    SECTION("not in other modes")
    {
        question.parameters.disable_load_balance_on_write = write_effect::dml_adaptive;
        CHECK(at(150, "SELECT * FROM t") == reason::read_balanced);
    }
}

TEST_CASE("A threshold in time stands for the one in bytes")
{
    asked question;
    auto& node = question.view.nodes[1];
    node.replication_delay = 1'000;
    node.replication_delay_time = milliseconds{20};
    question.parameters.delay_threshold = 10;
    CHECK(question.why("SELECT 1") == reason::replication_delay);
    question.parameters.delay_threshold_by_time = milliseconds{20};
    CHECK(question.why("SELECT 1") == reason::read_balanced);
    question.parameters.delay_threshold_by_time = milliseconds{19};
    CHECK(question.why("SELECT 1") == reason::replication_delay);
    question.parameters.backend_clustering_mode = config::clustering_mode::logical_replication;
    CHECK(question.why("SELECT 1") == reason::read_balanced);
}

TEST_CASE("A statement that a standby has refused goes to the primary")
{
    asked question;
    question.session.is_remembered_write = true;
    CHECK(question.why("SELECT 1") == reason::remembered_write);
}
