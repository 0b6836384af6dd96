"""Clients that say nothing for too long: when idle, inside a transaction, and before they are let in."""

import threading

import harness
import wire
from gate import Gate
from wire import FLUSH, bind, execute, parse

ONE = {"num_init_children": 1, "max_pool": 1}
STANDBYS = 1


def prepare(cluster):
    cluster.run("CREATE TABLE t (i int); INSERT INTO t VALUES (1); CREATE ROLE salted LOGIN PASSWORD 'right'")
    for server in cluster.servers:
        server.write_hba("host all salted 127.0.0.1/32 scram-sha-256")


def last_words(client) -> dict:
    """What a client is told before the connection ends."""
    rest = client.answer(until="")
    assert rest.kinds == "E", rest.messages
    return rest.error


def is_idle_limit(told: dict, seconds: int) -> bool:
    """Pgpool-II's words and SQLSTATE; the severity tells that the session has ended."""
    return (told["S"], told["C"], told["M"], told["D"]) == (
        "FATAL", "57000", "unable to read data",
        f"child connection forced to terminate due to client_idle_limit:{seconds} is reached")


def is_transaction_timeout(told: dict) -> bool:
    return (told["S"], told["C"], told["M"]) == (
        "FATAL", "25P03", "terminating connection due to idle-in-transaction timeout")


def test_an_idle_client_is_disconnected(cluster):
    with Gate(cluster, client_idle_limit=1) as gate:
        clients = {
            "fresh": [],
            "after a query": [wire.query("SELECT 1")],
            "in a transaction": [wire.query("BEGIN")],
            "in a failed transaction": [wire.query("BEGIN"), wire.query("SELECT 1/0")],
            "in the middle of a message": [wire.query("SELECT 1")[:7]],
            "in a unit that nobody sees yet": [parse("SELECT 1")],
            "in a unit that is answered": [parse("SELECT 1"), FLUSH],
        }
        opened = {name: gate.wire() for name in clients}
        for name, messages in clients.items():
            for each in messages:
                opened[name].send(each)
        for name, client in opened.items():
            answer = client.answer(until="")
            told = answer.messages[-1].fields()
            assert is_idle_limit(told, 1), (name, told)
        # Other clients go on, and the servers' connections are free again.
        assert gate.one("SELECT 1") == 1


def test_a_client_whose_statement_runs_is_not_idle(cluster):
    with Gate(cluster, client_idle_limit=1) as gate, gate.wire() as client:
        assert client.query("SELECT pg_sleep(2.5)").tags == ["SELECT 1"]
        assert client.query("BEGIN").status == "T"
        assert client.query("SELECT pg_sleep(2.5)").tags == ["SELECT 1"]
        assert is_idle_limit(last_words(client), 1)


def test_the_limit_is_off_by_default(cluster):
    with Gate(cluster, client_idle_limit=1) as gate, Gate(cluster) as other, other.wire() as staying:
        with gate.wire() as client:
            assert is_idle_limit(last_words(client), 1)  # so long has the other one been silent, too
        assert staying.query("SELECT 1").one == "1"


def test_the_limit_of_one_session(cluster):
    with Gate(cluster) as gate, gate.wire() as client, gate.wire() as other:
        assert client.query("PGPOOL SET client_idle_limit TO 1").tags == ["SET"]
        assert is_idle_limit(last_words(client), 1)
        assert other.query("SELECT 1").one == "1"
    with Gate(cluster, client_idle_limit=1) as gate, gate.wire() as other, gate.wire() as client:
        assert client.query("PGPOOL SET client_idle_limit TO 0").tags == ["SET"]
        assert is_idle_limit(last_words(other), 1)
        assert client.query("SELECT 1").one == "1"


def test_a_reload_holds_for_clients_that_are_idle_already(cluster):
    with Gate(cluster) as gate, gate.wire() as client:
        assert client.query("SELECT 1").one == "1"
        gate.reload(client_idle_limit=1)
        assert is_idle_limit(last_words(client), 1)
        with gate.wire() as staying:
            gate.reload(client_idle_limit=0)
            with gate.wire() as other:
                assert other.query("PGPOOL SET client_idle_limit TO 1").tags == ["SET"]
                assert is_idle_limit(last_words(other), 1)
            assert staying.query("SELECT 1").one == "1"


def test_an_idle_transaction_gives_its_place_to_others(cluster):
    """It is rolled back, and its connection is used again, clean."""
    for mode in ("session", "transaction"):
        with Gate(cluster, **ONE, idle_in_transaction_timeout=1, pool_mode=mode) as gate:
            with gate.wire() as sleeper, gate.wire() as waiting:
                pid = sleeper.query("SELECT pg_backend_pid() FROM t FOR UPDATE").one
                sleeper.query("BEGIN")
                sleeper.query("SET LOCAL work_mem = '7MB'")
                sleeper.query("INSERT INTO t VALUES (99)")
                waiting.send(wire.query("SELECT current_setting('work_mem'), count(*) FILTER (WHERE i = 99),"
                                        " pg_backend_pid() FROM t WHERE random() < 2"))
                assert is_transaction_timeout(last_words(sleeper)), mode
                assert waiting.answer().rows == [("4MB", "0", pid)], mode
                # Outside of a transaction it has no limit: the rest of this test is longer.
                assert waiting.query("BEGIN").status == "T"
                assert is_transaction_timeout(last_words(waiting)), mode


def test_a_failed_transaction_and_an_unfinished_unit_count_too(cluster):
    with Gate(cluster, **ONE, idle_in_transaction_timeout=1) as gate:
        with gate.wire() as client:
            client.query("BEGIN")
            assert client.query("SELECT 1/0").status == "E"
            assert is_transaction_timeout(last_words(client))
        with gate.wire() as client:
            client.send(parse("INSERT INTO t VALUES (98)"), bind(), execute(), FLUSH)
            told = client.answer(until="")
            assert told.kinds.lstrip("N") == "12CE" and is_transaction_timeout(told.error), told.messages
        assert gate.one("SELECT count(*) FROM t WHERE i = 98") == 0


def test_a_transaction_at_work_has_no_timeout(cluster):
    with Gate(cluster, idle_in_transaction_timeout=1) as gate, gate.wire() as client, gate.wire() as idle:
        client.query("BEGIN")
        assert client.query("SELECT pg_sleep(2.5)").tags == ["SELECT 1"]
        assert client.query("COMMIT").tags == ["COMMIT"]
        assert idle.query("SELECT 1").one == "1"


def test_many_idle_clients_end_at_once(cluster):
    with Gate(cluster, client_idle_limit=1, worker_threads=2) as gate:
        clients = [gate.wire() for _ in range(200)]
        harness.run_in_parallel(*(lambda part=part: [last_words(client) for client in clients[part::4]]
                                  for part in range(4)))
        assert gate.one("SELECT 1") == 1


def test_a_password_that_does_not_come(cluster):
    with Gate(cluster, authentication_timeout=1) as gate:
        mark = gate.log.mark()
        with wire.Wire(gate.port) as client:
            client.send(wire.start_up(user="salted", database="postgres"))
            assert client.answer(until="R").kinds == "R"
            told = last_words(client)
            assert (told["S"], told["C"], told["M"]) == ("FATAL", "57014", "canceling authentication due to timeout")
        gate.log.wait_for("canceling authentication due to timeout", mark)
        # Whoever has not said who it is gets no answer, as from PostgreSQL.
        for start in (b"", wire.start_up(user="salted")[:9], wire.SSL_REQUEST):
            with wire.Wire(gate.port) as client:
                assert client.send(start).read_to_end() in (b"", b"N")


def test_idle_clients_at_a_shutdown(cluster):
    with Gate(cluster, client_idle_limit=600, idle_in_transaction_timeout=600) as gate:
        idle, busy = gate.wire(), gate.wire()
        busy.query("BEGIN")
        stopping = threading.Thread(target=gate.stop)
        stopping.start()
        for client in (idle, busy):
            assert last_words(client)["C"] == "57P01"
        stopping.join()
