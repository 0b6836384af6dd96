#include "routing/analyze.hpp"
#include "routing/rules.hpp"
#include "routing/session_tracker.hpp"

#include <catch2/catch.hpp>

#include <initializer_list>
#include <string>
#include <vector>

using namespace pgtorii;
using namespace pgtorii::routing;

namespace {

/// A session whose statements do what a server would do, told by the status after each unit.
class talk {
public:
    explicit talk(config::write_effect mode = config::write_effect::transaction)
        : rules_(parameters_of(mode))
    {
    }

    /// One Query that ends with `status`; `tag` of its COMMIT.
    talk& query(const std::string& sql, char status, const char* tag = "COMMIT")
    {
        return unit({sql}, status, tag);
    }
    /// One extended unit.
    talk& unit(std::initializer_list<std::string> texts, char status, const char* tag = "COMMIT")
    {
        std::vector<query_facts_ptr> sent;
        for (const auto& sql : texts) {
            sent.push_back(analyze(sql, {}));
            tracker.sent(*sent.back(), rules_, context);
        }
        for (const auto& facts : sent) {
            for (const auto& each : facts->statements) tracker.completed(each, tag);
        }
        tracker.ready(status);
        return *this;
    }
    /// One Query that the server refuses.
    talk& refused(const std::string& sql, char status)
    {
        const auto facts = analyze(sql, {});
        tracker.sent(*facts, rules_, context);
        tracker.failed();
        tracker.ready(status);
        return *this;
    }

    session_traits traits() const { return tracker.traits(); }
    bool is_shared() const { return traits().in_transaction && traits().transaction_shareable; }
    bool has_written(const char* table) const { return traits().written->contains(table); }

    session_tracker tracker;
    statement_context context;

private:
    static rules parameters_of(config::write_effect mode)
    {
        routing_parameters parameters;
        parameters.disable_load_balance_on_write = mode;
        parameters.dml_adaptive_object_relationship_list = {"a:b", "a:c", "f():d", "s.b:e"};
        return rules(std::move(parameters));
    }

    rules rules_;
};

}  // namespace

TEST_CASE("A standby may join a transaction that began alone, at read committed")
{
    for (const char* begin :
         {"BEGIN", "START TRANSACTION", "BEGIN ISOLATION LEVEL READ COMMITTED", "BEGIN READ ONLY",
          "BEGIN READ WRITE", "BEGIN DEFERRABLE", "BEGIN ISOLATION LEVEL READ UNCOMMITTED"}) {
        INFO(begin);
        CHECK(talk().query(begin, 'T').is_shared());
        CHECK(talk().query(begin, 'T').query("SELECT 1", 'T').is_shared());
    }
    for (const char* begin :
         {"BEGIN ISOLATION LEVEL REPEATABLE READ", "BEGIN ISOLATION LEVEL SERIALIZABLE",
          "BEGIN; SELECT 1", "SELECT 1; BEGIN", "BEGIN; SAVEPOINT a", "COMMIT; BEGIN"}) {
        INFO(begin);
        CHECK_FALSE(talk().query(begin, 'T').is_shared());
    }
    SECTION("not one that began in a unit with others")
    {
        CHECK(talk().unit({"BEGIN"}, 'T').is_shared());
        CHECK_FALSE(talk().unit({"BEGIN", "SELECT 1"}, 'T').is_shared());
    }
    SECTION("nor one with a savepoint, a level or a snapshot of its own")
    {
        for (const char* sql :
             {"SAVEPOINT a", "RESET ALL", "SET TRANSACTION ISOLATION LEVEL READ COMMITTED",
              "SET TRANSACTION SNAPSHOT 'x'", "SET transaction_isolation = 'serializable'",
              "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY"}) {
            INFO(sql);
            CHECK_FALSE(talk().query("BEGIN", 'T').query(sql, 'T').is_shared());
        }
        for (const char* sql : {"SET TRANSACTION READ ONLY", "SET LOCAL work_mem = 1",
                                "SET work_mem = 1", "RESET work_mem"}) {
            INFO(sql);
            CHECK(talk().query("BEGIN", 'T').query(sql, 'T').is_shared());
        }
    }
    SECTION("nor one that nobody has told of")
    {
        talk session;
        session.tracker.sent_unknown();
        session.tracker.ready('T');
        CHECK(session.traits().in_transaction);
        CHECK_FALSE(session.is_shared());
    }
    SECTION("a refused BEGIN is none")
    {
        CHECK_FALSE(talk().refused("BEGIN", 'I').traits().in_transaction);
    }
}

TEST_CASE("A write marks the transaction to its end")
{
    talk session;
    session.query("BEGIN", 'T').query("UPDATE t SET a = 1", 'T');
    CHECK(session.traits().transaction_written);
    CHECK(session.traits().session_written);
    CHECK(session.traits().session_transaction_written);
    CHECK(session.tracker.unit_writes());
    SECTION("a second BEGIN and ROLLBACK TO forget nothing")
    {
        session.query("BEGIN", 'T');
        CHECK(session.traits().transaction_written);
        session.query("SAVEPOINT a", 'T').query("ROLLBACK TO a", 'T');
        CHECK(session.traits().transaction_written);
    }
    SECTION("COMMIT does, but not for the session")
    {
        session.query("COMMIT", 'I');
        CHECK(session.tracker.unit_commits());
        CHECK_FALSE(session.traits().in_transaction);
        CHECK_FALSE(session.traits().transaction_written);
        CHECK(session.traits().session_written);
        CHECK_FALSE(session.query("BEGIN", 'T').traits().transaction_written);
        CHECK(session.is_shared());
    }
    SECTION("a chained transaction starts clean, and may be shared as the first")
    {
        session.query("COMMIT AND CHAIN", 'T');
        CHECK(session.traits().in_transaction);
        CHECK_FALSE(session.traits().transaction_written);
        CHECK(session.is_shared());
    }
    SECTION("a chain of one that could not be shared can't either")
    {
        talk other;
        other.query("BEGIN ISOLATION LEVEL SERIALIZABLE", 'T').query("ROLLBACK AND CHAIN", 'T');
        CHECK_FALSE(other.is_shared());
        CHECK(other.traits().transaction_isolation == isolation::serializable);
    }
    SECTION("what follows in the message that ends it counts for the next")
    {
        session.query("COMMIT; BEGIN; UPDATE t SET a = 2", 'T');
        CHECK(session.traits().transaction_written);
        CHECK_FALSE(session.is_shared());
    }
    SECTION("the server that had it is lost")
    {
        session.tracker.lost_transaction();
        CHECK_FALSE(session.traits().in_transaction);
        CHECK_FALSE(session.traits().transaction_written);
    }
}

TEST_CASE("Writes outside a transaction are the session's alone")
{
    talk session;
    session.query("UPDATE t SET a = 1", 'I');
    CHECK(session.traits().session_written);
    CHECK_FALSE(session.traits().session_transaction_written);
    CHECK_FALSE(session.traits().transaction_written);
}

TEST_CASE("What a standby runs is no write, whatever it calls")
{
    for (const auto mode :
         {config::write_effect::transaction, config::write_effect::dml_adaptive}) {
        talk session(mode);
        session.query("BEGIN", 'T');
        session.context.is_on_standby = true;
        session.query("SELECT g()", 'T');
        CHECK_FALSE(session.traits().transaction_written);
        CHECK_FALSE(session.traits().session_written);
        CHECK(session.traits().written->is_empty());
        CHECK(session.is_shared());
    }
    SECTION("but what is tied to it counts")
    {
        talk session(config::write_effect::dml_adaptive);
        session.query("BEGIN", 'T');
        session.context.is_on_standby = true;
        CHECK(session.query("SELECT f()", 'T').has_written("d"));
        CHECK_FALSE(session.has_written("x"));
    }
}

TEST_CASE("A failed transaction stays failed until it is left")
{
    talk session;
    session.query("BEGIN", 'T').refused("SELECT 1/0", 'E');
    CHECK(session.traits().transaction_failed);
    SECTION("by COMMIT, which rolls back")
    {
        session.query("COMMIT", 'I', "ROLLBACK");
        CHECK_FALSE(session.traits().in_transaction);
    }
    SECTION("by an error of COMMIT itself")
    {
        talk other;
        other.query("BEGIN", 'T').query("INSERT INTO t VALUES (1)", 'T').refused("COMMIT", 'I');
        CHECK_FALSE(other.traits().in_transaction);
        CHECK_FALSE(other.traits().transaction_written);
    }
    SECTION("by ROLLBACK TO, which leaves it unshared")
    {
        talk other;
        other.query("BEGIN", 'T').query("SAVEPOINT a", 'T').refused("SELEC", 'E');
        other.query("ROLLBACK TO a", 'T');
        CHECK_FALSE(other.traits().transaction_failed);
        CHECK(other.traits().transaction_written);
        CHECK_FALSE(other.is_shared());
    }
}

TEST_CASE("DDL is remembered to the end of the transaction")
{
    talk session;
    session.query("CREATE TABLE x (a int)", 'I');
    CHECK(session.tracker.unit_changes_schema());
    CHECK_FALSE(session.traits().transaction_has_ddl);
    session.query("BEGIN", 'T').query("CREATE TABLE x (a int)", 'T').query("SELECT 1", 'T');
    CHECK(session.traits().transaction_has_ddl);
    CHECK_FALSE(session.tracker.unit_changes_schema());
    CHECK(session.query("ROLLBACK TO a", 'T').traits().transaction_has_ddl);
    CHECK_FALSE(session.query("COMMIT AND CHAIN", 'T').traits().transaction_has_ddl);
    CHECK_FALSE(
        session.query("SELECT 1 INTO x", 'T').query("ROLLBACK", 'I').traits().transaction_has_ddl);
}

TEST_CASE("State of one server pins until DISCARD ALL")
{
    for (const char* sql : {"CREATE TEMP TABLE x (a int)", "SELECT set_config('a', 'b', false)",
                            "CALL p()", "DO 'x'", "SELECT 1 INTO TEMP x"}) {
        INFO(sql);
        talk session;
        CHECK_FALSE(session.refused(sql, 'I').traits().session_pinned);
        CHECK(session.query(sql, 'I').traits().session_pinned);
        CHECK(session.query("DISCARD TEMP", 'I').traits().session_pinned);
        CHECK_FALSE(session.query("DISCARD ALL", 'I').traits().session_pinned);
    }
    SECTION("EXECUTE does what was prepared; what is not known may do anything")
    {
        talk session;
        const auto harmless = analyze("PREPARE p AS SELECT 1", {});
        const auto parsed = analyze("SELECT set_config('a', 'b', false)", {});
        session.context.prepared = harmless.get();
        CHECK_FALSE(session.query("EXECUTE p", 'I').traits().session_pinned);
        CHECK_FALSE(session.tracker.unit_writes());
        CHECK(session.tracker.unit_is_read());
        session.context.prepared = parsed.get();
        CHECK(session.query("EXECUTE p", 'I').traits().session_pinned);
        CHECK(session.tracker.unit_writes());
        talk other;
        CHECK(other.query("EXECUTE p", 'I').traits().session_pinned);
        CHECK_FALSE(other.tracker.unit_is_read());
    }
}

TEST_CASE("The default isolation level follows SET, RESET and the end of transactions")
{
    const auto level = [](const talk& session) { return session.traits().default_isolation; };
    talk session;
    CHECK(level(session) == isolation::unspecified);
    session.query("SET default_transaction_isolation = 'serializable'", 'I');
    CHECK(level(session) == isolation::serializable);
    CHECK_FALSE(session.query("BEGIN", 'T').is_shared());
    CHECK(session.traits().transaction_isolation == isolation::serializable);
    session.query("COMMIT", 'I');
    CHECK(session.traits().transaction_isolation == isolation::unspecified);
    CHECK(session.query("BEGIN ISOLATION LEVEL READ COMMITTED", 'T').is_shared());
    session.query("COMMIT", 'I');
    SECTION("RESET brings the start back")
    {
        CHECK(level(session.query("RESET default_transaction_isolation", 'I')) ==
              isolation::unspecified);
        session.tracker.set_start_isolation(isolation::repeatable_read);
        session.query("SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE",
                      'I');
        CHECK(level(session) == isolation::serializable);
        CHECK(level(session.query("DISCARD ALL", 'I')) == isolation::repeatable_read);
    }
    SECTION("what a transaction sets counts when it commits")
    {
        session.query("BEGIN", 'T');
        session.query("SET default_transaction_isolation = 'read committed'", 'T');
        CHECK(level(session) == isolation::read_committed);
        SECTION("and else not")
        {
            CHECK(level(session.query("ROLLBACK", 'I')) == isolation::serializable);
        }
        SECTION("nor when COMMIT fails")
        {
            CHECK(level(session.query("COMMIT", 'I', "ROLLBACK")) == isolation::serializable);
        }
        SECTION("after ROLLBACK TO the stricter one counts")
        {
            CHECK(level(session.query("ROLLBACK TO a", 'T')) == isolation::serializable);
        }
        SECTION("so it does")
        {
            CHECK(level(session.query("COMMIT", 'I')) == isolation::read_committed);
        }
    }
    SECTION("SET LOCAL is over with its transaction")
    {
        session.query("BEGIN", 'T');
        session.query("SET LOCAL default_transaction_isolation = 'read committed'", 'T');
        CHECK(level(session.query("COMMIT", 'I')) == isolation::serializable);
    }
    SECTION("an error undoes what stood before it in the message")
    {
        const auto facts =
            analyze("SET default_transaction_isolation = 'read committed'; SELECT 1/0", {});
        session.tracker.sent(*facts, rules(routing_parameters{}));
        session.tracker.completed(facts->first(), "SET");
        session.tracker.failed();
        session.tracker.ready('I');
        CHECK(level(session) == isolation::serializable);
    }
}

TEST_CASE("Under dml_adaptive the tables that a transaction writes are kept")
{
    using config::write_effect;
    talk session(write_effect::dml_adaptive);
    session.query("BEGIN", 'T').query("INSERT INTO t SELECT * FROM u", 'T');
    CHECK(session.has_written("t"));
    CHECK(session.has_written("app.T"));
    CHECK_FALSE(session.has_written("u"));
    SECTION("with those that they are tied to, all pairs of a name, but no chains")
    {
        session.query("DELETE FROM app.\"A\" USING x", 'T');
        for (const char* name : {"a", "b", "c"}) CHECK(session.has_written(name));
        for (const char* name : {"x", "d", "e"}) CHECK_FALSE(session.has_written(name));
        session.query("UPDATE s.b SET a = 1", 'T');
        CHECK(session.has_written("e"));
    }
    SECTION("and what is tied to functions that are called")
    {
        session.context.catalog = nullptr;
        const catalog_facts harmless;
        session.context.catalog = &harmless;
        CHECK(session.query("SELECT app.f(1)", 'T').has_written("d"));
        CHECK_FALSE(session.traits().written->is_everything());
    }
    SECTION("statements that write no table add none")
    {
        for (const char* sql :
             {"SET work_mem = 1", "SAVEPOINT a", "LISTEN x", "SELECT 1", "SELECT nextval('s')",
              "EXPLAIN DELETE FROM y", "ROLLBACK TO a", "PREPARE p AS DELETE FROM y", "BEGIN"}) {
            session.query(sql, 'T');
        }
        CHECK(session.traits().written->names() == std::vector<std::string>{"t"});
    }
    SECTION("every way to write a table adds it")
    {
        for (const char* sql :
             {"UPDATE y SET a = 1", "DELETE FROM y", "TRUNCATE y", "COPY y FROM STDIN",
              "MERGE INTO y USING u ON true WHEN MATCHED THEN DO NOTHING",
              "WITH x AS (DELETE FROM y RETURNING *) SELECT * FROM x", "SELECT * FROM y FOR SHARE",
              "EXPLAIN ANALYZE DELETE FROM y", "REFRESH MATERIALIZED VIEW y",
              "SELECT 1; DELETE FROM y", "DECLARE c CURSOR FOR SELECT * FROM y FOR UPDATE",
              "WITH y AS (SELECT 1) INSERT INTO y SELECT * FROM y"}) {
            INFO(sql);
            talk other(write_effect::dml_adaptive);
            CHECK(other.query("BEGIN", 'T').query(sql, 'T').has_written("y"));
            CHECK_FALSE(other.has_written("u"));
        }
    }
    SECTION("EXECUTE writes what was prepared")
    {
        const auto prepared = analyze("PREPARE p AS DELETE FROM y", {});
        session.context.prepared = prepared.get();
        CHECK(session.query("EXECUTE p", 'T').has_written("y"));
        CHECK_FALSE(session.has_written("z"));
        CHECK(session.query("EXECUTE p; EXECUTE q", 'T').has_written("z"));
    }
    SECTION("what can't be told counts as all")
    {
        for (const char* sql :
             {"CALL p()", "DO 'x'", "SELECT g()", "INSERT INTO t VALUES (g())", "SELEC",
              "EXECUTE p", "SELECT query_to_xml('DELETE FROM x', true, true, '')"}) {
            INFO(sql);
            talk other(write_effect::dml_adaptive);
            CHECK(other.query("BEGIN", 'T').query(sql, 'T').has_written("anything"));
        }
        talk other(write_effect::dml_adaptive);
        other.query("BEGIN", 'T').tracker.sent_unknown();
        other.tracker.ready('T');
        CHECK(other.traits().written->is_everything());
    }
    SECTION("to the end of the transaction")
    {
        session.query("SAVEPOINT a", 'T').query("ROLLBACK TO a", 'T');
        CHECK(session.has_written("t"));
        CHECK(session.query("COMMIT", 'I').traits().written->is_empty());
        CHECK(session.tracker.published().names() == std::vector<std::string>{"t"});
        session.query("SELECT 1", 'I');
        CHECK(session.tracker.published().is_empty());
    }
    SECTION("what is rolled back is not published")
    {
        session.query("ROLLBACK", 'I');
        CHECK(session.traits().written->is_empty());
        CHECK(session.tracker.published().is_empty());
    }
    SECTION("nor what a failed COMMIT did")
    {
        session.refused("COMMIT", 'I');
        CHECK(session.traits().written->is_empty());
        CHECK(session.tracker.published().is_empty());
    }
    SECTION("writes outside a transaction are published at once")
    {
        talk other(write_effect::dml_adaptive_global);
        other.query("UPDATE y SET a = 1", 'I');
        CHECK(other.traits().written->is_empty());
        CHECK(other.tracker.published().names() == std::vector<std::string>{"y"});
    }
    SECTION("other modes keep nothing")
    {
        talk other;
        other.query("BEGIN", 'T').query("UPDATE y SET a = 1", 'T');
        CHECK(other.traits().written->is_empty());
    }
}
