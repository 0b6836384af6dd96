"""Each difference that docs/differences.md names, shown on the real Pgpool-II and on pgtorii, side by side.

A test shows what is wrong or worse with Pgpool-II, and that pgtorii does as PostgreSQL does. When a newer Pgpool-II no
longer does so, its test here fails, and the page wants an edit.
"""

import contextlib
import sys

import differences
import harness
import server_log
import wire
from gate import Gate
from pgpool import Pgpool
from run import Skip
from statement_grammar import SCHEMA

STANDBYS = 1
DATABASE = "shown"
PRIMARY, STANDBY = 0, 1


def prepare(cluster):
    cluster.primary.run(f"CREATE DATABASE {DATABASE}")
    with cluster.primary.session(dbname=DATABASE) as own:
        own.run(SCHEMA)
        own.run("CREATE TABLE account (id int PRIMARY KEY, amount int); INSERT INTO account VALUES (1, 100)")
        own.run("CREATE TABLE unique_later (id int UNIQUE DEFERRABLE INITIALLY DEFERRED)")
        own.run("CREATE FUNCTION op_writes(int, int) RETURNS int LANGUAGE sql VOLATILE AS"
                " 'UPDATE item SET qty = qty WHERE id = $1 RETURNING id'")
        own.run("CREATE OPERATOR @!@ (LEFTARG = int, RIGHTARG = int, FUNCTION = op_writes)")
        own.run("CREATE PROCEDURE pay() LANGUAGE sql AS 'UPDATE account SET amount = amount + 1 WHERE id = 1'")
        own.run("CREATE FUNCTION f_sly() RETURNS bigint LANGUAGE plpgsql STABLE AS"
                " $$ DECLARE n bigint; BEGIN EXECUTE 'SELECT nextval(''counter'')' INTO n; RETURN n; END $$")
        own.run("CREATE VIEW writing_view AS SELECT f_writes(1)")
    cluster.wait_for_replay()


class Client:
    """A session through one of the two, in few words."""

    def __init__(self, cluster, port: int):
        self._cluster = cluster
        self.wire = wire.Wire(port).log_in(user="postgres", database=DATABASE, application_name="shown")
        self.answer = wire.Answer()

    def run(self, *statements: str) -> "Client":
        """Simple queries; what the last one was answered is kept."""
        for sql in statements:
            self.answer = self.wire.query(sql)
        return self

    def send(self, *parts: bytes) -> "Client":
        self.answer = self.wire.ask(*parts)
        return self

    @property
    def result(self) -> str:
        if not self.answer.kinds.endswith("Z"):
            return "closed"
        return self.answer.error["C"] if self.answer.error else "OK"

    def value(self, sql: str) -> str:
        return self.run(sql).answer.one

    def nodes(self, sql: str) -> list[int]:
        """The servers that got this simple query."""
        marks = [server.log.mark() for server in self._cluster.servers]
        self.run(sql)
        return [node for node, (server, mark) in enumerate(zip(self._cluster.servers, marks, strict=True))
                if any(entry.text == sql for entry in server_log.entries(server.log.since(mark)))]


@contextlib.contextmanager
def side_by_side(cluster, **settings):
    """Two functions that open a session: through Pgpool-II and through pgtorii, with the same settings."""
    if Pgpool.program() is None:
        raise Skip("Pgpool-II is not installed; .packages names it")
    clients = []

    def opener(port):
        def open_session():
            clients.append(Client(cluster, port))
            return clients[-1]
        return open_session
    with Gate(cluster, **settings) as gate, Pgpool(cluster, **settings) as pgpool:
        yield opener(pgpool.port), opener(gate.port)
        for client in clients:
            client.wire.abort()


@contextlib.contextmanager
def replay_paused(cluster):
    """While it lasts the standby shows old rows."""
    cluster.wait_for_replay()
    standby = cluster.standbys[0]
    standby.run("SELECT pg_wal_replay_pause()")
    try:
        harness.wait_until(lambda: standby.one("SELECT pg_get_wal_replay_pause_state()") == "paused", "it is paused")
        yield
    finally:
        standby.run("SELECT pg_wal_replay_resume()")
        cluster.wait_for_replay()


def amount(cluster) -> int:
    return cluster.primary.one("SELECT amount FROM account WHERE id = 1", dbname=DATABASE)


AMOUNT = "SELECT amount FROM account WHERE id = 1"
PAY = "UPDATE account SET amount = amount + 1 WHERE id = 1"


# How state reaches the servers ---------------------------------------------------------------------------------------

def test_d_late_state(cluster):
    """Whatever each of two servers says about a statement of the session, Pgpool-II passes on twice."""
    with side_by_side(cluster) as (pgpool, pgtorii):
        theirs, ours = pgpool().run("BEGIN", "BEGIN"), pgtorii().run("BEGIN", "BEGIN")
        assert len(theirs.answer.notices) == 2 and len(ours.answer.notices) == 1
        theirs, ours = pgpool().run("SET application_name = 'new'"), pgtorii().run("SET application_name = 'new'")
        assert theirs.answer.kinds.count("S") == 2 and ours.answer.kinds.count("S") == 1
        for session in (theirs, ours):
            session.run("PREPARE p AS SELECT 1", "EXECUTE p", "DEALLOCATE p")
            assert session.result == "OK" and session.run("EXECUTE p").result == "26000"


def test_d_lost_session(cluster):
    """A savepoint made inside a multi-statement is on one server only; going back to it ends Pgpool-II's session."""
    steps = ("BEGIN", "SELECT 1; SAVEPOINT a", "ROLLBACK TO a")
    with side_by_side(cluster) as (pgpool, pgtorii):
        assert pgpool().run(*steps).result == "closed"
        assert pgtorii().run(*steps).result == "OK"


def test_d_failed_transaction(cluster):
    """Pgpool-II answers in a failed transaction without asking the server, and not as it would."""
    steps = ("BEGIN", "SELECT 1 / 0")
    with side_by_side(cluster) as (pgpool, pgtorii):
        assert pgpool().run(*steps, "SELEC 1").result == "25P02"
        assert pgtorii().run(*steps, "SELEC 1").result == "42601"
        assert pgpool().run(*steps, "").result == "25P02"
        assert pgtorii().run(*steps, "").result == "OK"


def test_d_failed_commit(cluster):
    """A COMMIT that fails ends the transaction; Pgpool-II refuses what follows as if it did not."""
    steps = ("BEGIN", "INSERT INTO unique_later VALUES (1), (1)", "COMMIT", "SELECT 1")
    with side_by_side(cluster) as (pgpool, pgtorii):
        assert pgpool().run(*steps).result == "25P02"
        assert pgtorii().run(*steps).result == "OK"


def test_d_set_config(cluster):
    """What changes a setting other than a SET of its own is known to one server only."""
    with side_by_side(cluster) as (pgpool, pgtorii):
        for change in ("SELECT set_config('work_mem', '9MB', false)", "SET work_mem = '9MB'; SELECT 1"):
            assert pgpool().run(change).value("SHOW work_mem") == "4MB"
            assert pgtorii().run(change).value("SHOW work_mem") == "9MB"


def test_d_serializable(cluster):
    """Pgpool-II keeps the wish for serializable transactions from the standby, and reads there at another level."""
    wish = "SET default_transaction_isolation = 'serializable'"
    with side_by_side(cluster) as (pgpool, pgtorii):
        assert pgpool().run(wish).value("SHOW transaction_isolation") == "read committed"
        assert pgtorii().run(wish).value("SHOW transaction_isolation") == "serializable"


# Stale or wrong rows, and transactions that end otherwise than told -------------------------------------------------

def assert_loses_sight(cluster, *steps: str) -> None:
    """Steps that add 1 to the account in a transaction: what it reads then is old with Pgpool-II."""
    with side_by_side(cluster) as (pgpool, pgtorii):
        before = amount(cluster)
        for opened, wanted in ((pgpool, before), (pgtorii, before + 1)):
            session = opened().run(*steps)
            assert session.value(AMOUNT) == str(wanted)
            session.run("ROLLBACK")


def test_d_rollback_to(cluster):
    assert_loses_sight(cluster, "BEGIN", PAY, "SAVEPOINT a", "ROLLBACK TO a")


def test_d_second_begin(cluster):
    assert_loses_sight(cluster, "BEGIN", PAY, "BEGIN")


def test_d_multi_write(cluster):
    """Of several statements in one message Pgpool-II looks at the first."""
    assert_loses_sight(cluster, "BEGIN", "SELECT 1; CALL pay()")


def test_d_multi_begin(cluster):
    """A transaction that began inside a message: Pgpool-II reads outside of it, on a standby."""
    assert_loses_sight(cluster, "BEGIN; CALL pay()")


def test_d_nested_lock(cluster):
    """What a transaction has locked, it has seen; the standby has not yet."""
    locked = "SELECT amount FROM (SELECT amount FROM account WHERE id = 1 FOR UPDATE) s"
    with side_by_side(cluster) as (pgpool, pgtorii), replay_paused(cluster):
        cluster.primary.run(PAY, dbname=DATABASE)
        for opened, is_same in ((pgpool, False), (pgtorii, True)):
            session = opened().run("BEGIN")
            assert (session.value(locked) == session.value(AMOUNT)) == is_same
            session.run("ROLLBACK")


def test_d_repeatable_read(cluster):
    """One transaction, one snapshot: with Pgpool-II it has one on each server."""
    with side_by_side(cluster) as (pgpool, pgtorii), replay_paused(cluster):
        cluster.primary.run(PAY, dbname=DATABASE)
        for opened, stays_same in ((pgpool, False), (pgtorii, True)):
            session = opened().run("BEGIN ISOLATION LEVEL REPEATABLE READ")
            before = session.value(AMOUNT)
            after = session.run("UPDATE item SET qty = qty WHERE id = 1").value(AMOUNT)
            assert (before == after) == stays_same, (before, after)
            session.run("ROLLBACK")


def test_d_error_of_reader(cluster):
    """A transaction with an error on the standby is a failed one; Pgpool-II commits what the primary had of it."""
    with side_by_side(cluster) as (pgpool, pgtorii):
        for opened, is_kept in ((pgpool, True), (pgtorii, False)):
            before = amount(cluster)
            session = opened()
            for sql in ("BEGIN", "SELECT 1 / 0", PAY):
                session.send(wire.ask(sql))
            session.send(wire.ask("COMMIT"))
            assert session.answer.tags == ["ROLLBACK"]
            assert amount(cluster) == before + is_kept


def test_d_pipeline(cluster):
    """What stands between two Syncs is one transaction; Pgpool-II commits the half of it that went to the primary."""
    with side_by_side(cluster) as (pgpool, pgtorii):
        for opened, is_kept in ((pgpool, True), (pgtorii, False)):
            before = amount(cluster)
            half, rest = (wire.parse(sql) + wire.bind() + wire.execute() for sql in (PAY, "SELECT 1 / 0"))
            assert opened().send(half, rest, wire.SYNC).result == "22012"
            assert amount(cluster) == before + is_kept


def test_d_own_temporary(cluster):
    """A temporary table hides another of its name: Pgpool-II goes on reading the other one, on the standby."""
    steps = ("SELECT count(*) FROM item", "CREATE TEMP TABLE item AS SELECT 1 AS id")
    with side_by_side(cluster) as (pgpool, pgtorii):
        assert pgpool().run(*steps).value("SELECT count(*) FROM item") != "1"
        assert pgtorii().run(*steps).value("SELECT count(*) FROM item") == "1"
    with side_by_side(cluster, check_temp_table="trace") as (pgpool, pgtorii):
        steps = ("CREATE TEMP TABLE mine AS SELECT 1 AS id", "SELECT * FROM mine")
        assert pgpool().run(*steps).result == "42P01"
        assert pgtorii().run(*steps).result == "OK"


def test_d_prepared_before_write(cluster):
    """disable_load_balance_on_write = always: a statement that was prepared before the write reads old rows."""
    with side_by_side(cluster, disable_load_balance_on_write="always") as (pgpool, pgtorii), replay_paused(cluster):
        for opened, is_fresh in ((pgpool, False), (pgtorii, True)):
            session = opened().send(wire.parse(AMOUNT, "a"), wire.SYNC)
            session.send(wire.ask(PAY))
            session.send(wire.bind(statement="a"), wire.execute(), wire.SYNC)
            assert (session.answer.one == str(amount(cluster))) == is_fresh


def test_d_node_order(cluster):
    swapped = {"backend_port0": cluster.standbys[0].port, "backend_port1": cluster.primary.port,
               "backend_weight0": 1, "backend_weight1": 0}
    with side_by_side(cluster, **swapped) as (pgpool, pgtorii):
        for opened, wanted in ((pgpool, STANDBY), (pgtorii, PRIMARY)):
            session = opened().run("BEGIN ISOLATION LEVEL SERIALIZABLE")
            assert session.nodes("SELECT count(*) FROM item") == [wanted]


# Errors on valid SQL -------------------------------------------------------------------------------------------------

def test_d_copy_checks(cluster):
    with side_by_side(cluster) as (pgpool, pgtorii):
        for sql, error in (("COPY (SELECT nextval('counter')) TO STDOUT", "25006"),
                           ("COPY (SELECT id FROM item FOR UPDATE) TO STDOUT", "25006"),
                           ("COPY (SELECT * FROM cart) TO STDOUT", "0A000")):
            assert pgpool().run(sql).result == error, sql
            assert pgtorii().run(sql).result == "OK", sql


def test_d_standby_refuses(cluster):
    with side_by_side(cluster) as (pgpool, pgtorii):
        assert pgpool().run("SELECT txid_current()").result == "25006"
        assert pgtorii().run("SELECT txid_current()").result == "OK"


def test_d_below_names(cluster):
    """What stands in a view, or behind an operator, is not in the text."""
    with side_by_side(cluster) as (pgpool, pgtorii):
        for sql, error in (("SELECT * FROM cart_view", "0A000"), ("SELECT * FROM writing_view", "25006"),
                           ("SELECT 1 @!@ 2", "25006")):
            assert pgpool().run(sql).result == error, sql
            assert pgtorii().run(sql).result == "OK", sql


def test_d_repair(cluster):
    with side_by_side(cluster) as (pgpool, pgtorii):
        assert pgpool().run("SELECT f_sly()").result == "25006"
        ours = pgtorii()
        assert ours.nodes("SELECT f_sly()") == [PRIMARY, STANDBY] and ours.result == "OK"
        assert ours.nodes("SELECT f_sly()") == [PRIMARY] and ours.result == "OK"


def test_d_hidden_query(cluster):
    steps = ("BEGIN", "SHOW work_mem", "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    with side_by_side(cluster) as (pgpool, pgtorii):
        assert pgpool().run(*steps).result == "25001"
        assert pgtorii().run(*steps).result == "OK"


def test_d_prepared_names(cluster):
    with side_by_side(cluster) as (pgpool, pgtorii):
        for opened, results in ((pgpool, ("26000", "OK", "closed")), (pgtorii, ("OK", "42P05", "26000"))):
            session = opened().send(wire.parse("SELECT nosuch FROM item", "n1"), wire.SYNC)
            session.send(wire.parse("SELECT id FROM item FOR UPDATE", "n1"), wire.SYNC)
            found = [session.send(wire.bind(statement="n1"), wire.execute(), wire.SYNC).result]
            session.send(wire.parse("SELECT 1", "n2"), wire.SYNC)
            found.append(session.send(wire.parse("SELECT id FROM item FOR UPDATE", "n2"), wire.SYNC).result)
            found.append(session.send(wire.bind(statement="n3"), wire.execute(), wire.SYNC).result)
            assert tuple(found) == results


def test_d_search_path(cluster):
    """Pgpool-II remembers what a name meant, not where it was looked up."""
    steps = ("SET search_path = shop, public", "SELECT * FROM cart", "SET search_path = public", "SELECT * FROM cart")
    with side_by_side(cluster, num_init_children=1) as (pgpool, pgtorii):
        assert pgpool().run(*steps).result == "0A000"
        assert pgtorii().run(*steps).result == "OK"


def test_d_explain_execute(cluster):
    """Pgpool-II 4.3 can't show it, as it prepares on the primary; what newer ones do is row R266 of the table."""
    with side_by_side(cluster) as (_, pgtorii):
        session = pgtorii().run("PREPARE p AS SELECT count(*) FROM item", "EXECUTE p")
        assert session.run("EXPLAIN EXECUTE p").result == "OK"


# Reads that need not burden the primary ------------------------------------------------------------------------------

def assert_relieves(cluster, sql: str, *before: str) -> None:
    """Pgpool-II needs the primary for this statement, pgtorii does not."""
    with side_by_side(cluster) as (pgpool, pgtorii):
        assert pgpool().run(*before).nodes(sql) == [PRIMARY]
        assert pgtorii().run(*before).nodes(sql) == [STANDBY]


def test_d_with_name(cluster):
    assert_relieves(cluster, "WITH cart AS (SELECT 1 AS id) SELECT * FROM cart")


def test_d_own_pg_name(cluster):
    assert_relieves(cluster, "SELECT * FROM shop.pg_class")


def test_d_function_path(cluster):
    assert_relieves(cluster, "SELECT f_same()")


def test_d_prepare_read(cluster):
    assert_relieves(cluster, "EXECUTE p", "PREPARE p AS SELECT count(*) FROM item")


def test_d_comment_alone(cluster):
    assert_relieves(cluster, "SELECT count(*) FROM item", "BEGIN", "/* nothing */")


def test_d_other_temporary(cluster):
    """A table that only another session can see."""
    with cluster.primary.session(dbname=DATABASE) as other:
        other.run("CREATE TEMP TABLE part (id int)")
        assert_relieves(cluster, "SELECT count(*) FROM part")


def test_d_return_to_standby(cluster):
    """A prepared read that a writing transaction has brought to the primary stays there with Pgpool-II."""
    port = "SELECT inet_server_port()"
    with side_by_side(cluster) as (pgpool, pgtorii):
        for opened, wanted in ((pgpool, PRIMARY), (pgtorii, STANDBY)):
            session = opened().send(wire.parse(port, "here"), wire.SYNC)
            for sql in ("BEGIN", PAY):
                session.send(wire.ask(sql))
            session.send(wire.bind(statement="here"), wire.execute(), wire.SYNC)
            session.send(wire.ask("COMMIT"))
            session.send(wire.bind(statement="here"), wire.execute(), wire.SYNC)
            assert session.answer.one == str(cluster.servers[wanted].port)


def test_d_adaptive_source(cluster):
    with side_by_side(cluster, disable_load_balance_on_write="dml_adaptive") as (pgpool, pgtorii):
        steps = ("BEGIN", "DELETE FROM part USING item WHERE part.id = -item.id")
        for opened, wanted in ((pgpool, PRIMARY), (pgtorii, STANDBY)):
            session = opened().run(*steps)
            assert session.nodes("SELECT count(*) FROM item") == [wanted]
            assert session.nodes("SELECT count(*) FROM part") == [PRIMARY]
            session.run("ROLLBACK")


def test_every_name_on_the_page_is_shown():
    """The other way round too: nothing is shown that the page does not name."""
    shown = {name.removeprefix("test_").replace("_", "-").upper() for name in vars(sys.modules[__name__])
             if name.startswith("test_d_")}
    assert shown == set(differences.names()), shown ^ set(differences.names())
