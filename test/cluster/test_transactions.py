"""Transactions over several servers: one outcome, and the truth about it."""

import itertools

import wire
from gate import Gate
from wire import SYNC, bind, execute, parse

PORT = "SELECT inet_server_port()"
_numbers = itertools.count(1)


def prepare(cluster):
    cluster.run("CREATE TABLE kept (i int); CREATE TABLE one_row (i int); INSERT INTO one_row VALUES (1);"
                "CREATE TABLE parent (i int PRIMARY KEY);"
                "CREATE TABLE child (i int REFERENCES parent DEFERRABLE INITIALLY DEFERRED)")


BROKEN = "SELECT 1 / (i - 1) FROM one_row"  # a read that fails where it is executed


def write() -> tuple[str, int]:
    """An INSERT, and the number that tells whether it was committed."""
    number = next(_numbers)
    return f"INSERT INTO kept VALUES ({number})", number


def is_kept(cluster, number: int) -> bool:
    return cluster.primary.one(f"SELECT count(*) FROM kept WHERE i = {number}") == 1


def test_a_transaction_reads_from_the_standby_until_it_writes(cluster):
    with Gate(cluster) as gate, gate.session() as own:
        insert, number = write()
        own.run("BEGIN")
        assert own.one(PORT) != cluster.primary.port
        own.run(insert)
        assert own.one(PORT) == cluster.primary.port
        assert own.one(f"SELECT count(*) FROM kept WHERE i = {number}") == 1
        assert own.run("COMMIT") == "COMMIT"
        assert is_kept(cluster, number)
        assert own.one(PORT) != cluster.primary.port


def test_a_serializable_transaction_stays_on_the_primary(cluster):
    with Gate(cluster) as gate, gate.session() as own:
        own.run("BEGIN ISOLATION LEVEL SERIALIZABLE")
        assert own.one(PORT) == cluster.primary.port
        assert own.one("SHOW transaction_isolation") == "serializable"
        own.run("COMMIT")


def test_repeatable_read_sees_one_snapshot(cluster):
    with Gate(cluster) as gate, gate.session() as own:
        own.run("BEGIN ISOLATION LEVEL REPEATABLE READ")
        before = own.one("SELECT count(*) FROM kept")
        insert, _ = write()
        cluster.run(insert)
        assert own.one("SELECT count(*) FROM kept") == before
        mine, number = write()
        own.run(mine)
        assert own.run("COMMIT") == "COMMIT" and is_kept(cluster, number)


def test_an_error_fails_the_transaction_wherever_it_happens(cluster):
    for mode, inserts_first in itertools.product(("transaction", "off"), (True, False)):
        with Gate(cluster, disable_load_balance_on_write=mode) as gate, gate.wire() as client:
            insert, number = write()
            assert client.query("BEGIN").status == "T"
            if inserts_first:
                assert client.query(insert).status == "T"
            failed = client.query(BROKEN)
            assert (failed.error["C"], failed.status) == ("22012", "E"), (mode, inserts_first)
            refused = client.query(insert)
            assert (refused.error["C"], refused.status) == ("25P02", "E"), (mode, inserts_first)
            assert client.query("SELECT 1").error["C"] == "25P02"
            ended = client.query("COMMIT")
            assert (ended.tags, ended.status) == (["ROLLBACK"], "I"), (mode, inserts_first)
            assert not is_kept(cluster, number)
            assert client.query("SELECT 1").one == "1"


def test_the_same_in_the_extended_protocol(cluster):
    def unit(sql):
        return parse(sql) + bind() + execute() + SYNC
    for mode, inserts_first in itertools.product(("transaction", "off"), (True, False)):
        with Gate(cluster, disable_load_balance_on_write=mode) as gate, gate.wire() as client:
            insert, number = write()
            assert client.ask(unit("BEGIN")).status == "T"
            if inserts_first:
                assert client.ask(unit(insert)).status == "T"
            assert client.ask(unit(BROKEN)).status == "E", (mode, inserts_first)
            assert client.ask(unit(insert)).error["C"] == "25P02", (mode, inserts_first)
            ended = client.ask(unit("COMMIT"))
            assert (ended.tags, ended.status) == (["ROLLBACK"], "I"), (mode, inserts_first)
            assert not is_kept(cluster, number)


def test_an_error_and_what_was_sent_behind_it(cluster):
    """All of it is on its way before the first answer: the COMMIT must not commit."""
    for mode in ("transaction", "off"):
        with Gate(cluster, disable_load_balance_on_write=mode) as gate, gate.wire() as client:
            insert, number = write()
            client.send(*(wire.query(sql) for sql in ("BEGIN", insert, BROKEN, insert, "COMMIT", "SELECT 1")))
            answers = [client.answer() for _ in range(6)]
            assert [answer.status for answer in answers] == ["T", "T", "E", "E", "I", "I"], (mode, answers)
            assert answers[4].tags == ["ROLLBACK"] and not is_kept(cluster, number)


def test_savepoints_take_back_what_came_after_them(cluster):
    for mode in ("transaction", "off"):
        with Gate(cluster, disable_load_balance_on_write=mode) as gate, gate.wire() as client:
            (first, kept), (second, dropped), (third, last) = write(), write(), write()
            client.query("BEGIN")
            client.query(first)
            client.query("SAVEPOINT a")
            client.query(second)
            assert client.query(BROKEN).status == "E"
            assert client.query("ROLLBACK TO a").status == "T"
            assert client.query("SELECT count(*) FROM one_row").one == "1"
            client.query(third)
            assert client.query("RELEASE a").status == "T"
            assert client.query("COMMIT").tags == ["COMMIT"]
            assert is_kept(cluster, kept) and not is_kept(cluster, dropped) and is_kept(cluster, last)


def test_a_savepoint_before_any_write(cluster):
    with Gate(cluster) as gate, gate.wire() as client:
        insert, number = write()
        client.query("BEGIN")
        assert client.query("SELECT count(*) FROM one_row").one == "1"
        client.query("SAVEPOINT a")
        assert client.query(BROKEN).status == "E"
        assert client.query("ROLLBACK TO SAVEPOINT a").status == "T"
        client.query(insert)
        assert client.query("COMMIT").tags == ["COMMIT"] and is_kept(cluster, number)


def test_rollback_and_chained_transactions(cluster):
    with Gate(cluster) as gate, gate.wire() as client:
        (first, gone), (second, kept) = write(), write()
        client.query("BEGIN")
        client.query(first)
        chained = client.query("ROLLBACK AND CHAIN")
        assert (chained.tags, chained.status) == (["ROLLBACK"], "T")
        client.query(second)
        chained = client.query("COMMIT AND CHAIN")
        assert (chained.tags, chained.status) == (["COMMIT"], "T")
        assert client.query("SELECT count(*) FROM one_row").one == "1"
        assert client.query("END").status == "I"
        assert is_kept(cluster, kept) and not is_kept(cluster, gone)


def test_a_commit_that_fails_says_so_and_the_session_goes_on(cluster):
    with Gate(cluster) as gate, gate.wire() as client:
        client.query("BEGIN")
        assert client.query("INSERT INTO child VALUES (42)").status == "T"
        assert client.query("SELECT count(*) FROM one_row").one == "1"
        failed = client.query("COMMIT")
        assert (failed.error["C"], failed.status) == ("23503", "I")
        assert client.query("SELECT 1").one == "1"
        assert client.query("BEGIN").status == "T"
        assert client.query("COMMIT").tags == ["COMMIT"]


def test_transaction_commands_without_a_transaction_only_warn(cluster):
    with Gate(cluster) as gate, gate.wire() as client:
        for sql, tag in (("COMMIT", "COMMIT"), ("ROLLBACK", "ROLLBACK")):
            answer = client.query(sql)
            assert answer.tags == [tag] and answer.notices[0]["C"] == "25P01"
        assert client.query("SAVEPOINT a").error["C"] == "25P01"
        client.query("BEGIN")
        assert client.query("BEGIN").notices[0]["C"] == "25001"
        assert client.query("COMMIT").status == "I"


def test_a_transaction_inside_one_text(cluster):
    with Gate(cluster) as gate, gate.wire() as client:
        (first, kept), (second, gone) = write(), write()
        assert client.query(f"BEGIN; {first}; COMMIT").status == "I"
        assert is_kept(cluster, kept)
        opened = client.query(f"BEGIN; {second}")
        assert opened.status == "T"
        assert client.query(f"SELECT count(*) FROM kept WHERE i = {gone}").one == "1"
        assert client.query("ROLLBACK").status == "I"
        assert not is_kept(cluster, gone)
        # Two statements without BEGIN are one transaction as well.
        third, lost = write()
        assert client.query(f"{third}; SELECT 1/0").error["C"] == "22012"
        assert not is_kept(cluster, lost)


def test_transaction_characteristics_reach_the_servers(cluster):
    with Gate(cluster) as gate, gate.wire() as client:
        insert, _ = write()
        client.query("BEGIN READ ONLY")
        assert client.query("SELECT count(*) FROM one_row").one == "1"
        assert client.query(insert).error["C"] == "25006"
        client.query("ROLLBACK")
        client.query("BEGIN")
        client.query("SET TRANSACTION READ ONLY")
        assert client.query(insert).error["C"] == "25006"
        client.query("ROLLBACK")
        client.query("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY")
        assert client.query(insert).error["C"] == "25006"
        client.query("SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE")
        assert client.query(insert).tags == ["INSERT 0 1"]


def test_two_phase_commit(cluster):
    with Gate(cluster) as gate, gate.wire() as client:
        insert, number = write()
        client.query("BEGIN")
        client.query("SELECT count(*) FROM one_row")
        client.query(insert)
        assert client.query("PREPARE TRANSACTION 'p'").status == "I"
        assert client.query("SELECT count(*) FROM one_row").one == "1"
        assert not is_kept(cluster, number)
        assert client.query("COMMIT PREPARED 'p'").tags == ["COMMIT PREPARED"]
        assert is_kept(cluster, number)


def test_cursors_in_a_transaction(cluster):
    with Gate(cluster) as gate, gate.wire() as client:
        client.query("BEGIN")
        assert client.query("SELECT count(*) FROM one_row").one == "1"
        client.query("DECLARE c CURSOR FOR SELECT generate_series(1, 5)")
        assert client.query("FETCH 2 FROM c").rows == [("1",), ("2",)]
        assert client.query("SELECT count(*) FROM one_row").one == "1"
        assert client.query("FETCH ALL FROM c").rows == [("3",), ("4",), ("5",)]
        assert client.query("COMMIT").tags == ["COMMIT"]


def test_an_open_transaction_ends_with_its_client(cluster):
    with Gate(cluster) as gate:
        for leaves in ("close", "abort"):
            insert, number = write()
            client = gate.wire()
            client.query("BEGIN")
            client.query("LOCK TABLE kept IN ACCESS EXCLUSIVE MODE")
            client.query(insert)
            getattr(client, leaves)()
            # Waits for the lock, so that the answer is the one after the end.
            assert not is_kept(cluster, number)
