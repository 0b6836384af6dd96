"""SHOW POOL_PROCESSES and SHOW POOL_POOLS: all sessions of all workers, and their connections to servers."""

import threading

import harness
import wire
from gate import Gate

STANDBYS = 1
PROCESS_COLUMNS = ["pool_pid", "start_time", "client_connection_count", "database", "username",
                   "backend_connection_time", "pool_counter", "status"]
POOL_COLUMNS = ["pool_pid", "start_time", "client_connection_count", "pool_id", "backend_id", "database", "username",
                "backend_connection_time", "client_connection_time", "client_disconnection_time",
                "client_idle_duration", "majorversion", "minorversion", "pool_counter", "pool_backendpid",
                "pool_connected", "status", "load_balance_node", "client_host", "client_port", "statement"]


def prepare(cluster):
    cluster.run("CREATE TABLE t (i int); INSERT INTO t VALUES (1); CREATE ROLE jo SUPERUSER LOGIN")
    cluster.wait_for_replay()


def shown(client, table: str, columns: list[str]) -> list[dict]:
    answer = client.query(f"SHOW {table}")
    assert answer.kinds == "T" + "D" * len(answer.rows) + "CZ", answer.kinds
    assert answer.tags == [f"SELECT {len(answer.rows)}"]
    return [dict(zip(columns, row, strict=True)) for row in answer.rows]


def processes(client) -> dict[int, dict]:
    """The sessions by the process ids that their clients were told."""
    return {int(row["pool_pid"]): row for row in shown(client, "POOL_PROCESSES", PROCESS_COLUMNS)
            if row["pool_pid"] != "0"}


def pools(client) -> list[dict]:
    return shown(client, "POOL_POOLS", POOL_COLUMNS)


def wait_for_status(client, of, status: str) -> None:
    """A session has answered its client just before it is idle."""
    harness.wait_until(lambda: processes(client)[of.pid]["status"] == status, f"it is {status!r}")


def test_columns_are_named_as_pgpools(cluster):
    with Gate(cluster) as gate, gate.session() as own, own.connection.cursor() as cursor:
        cursor.execute("SHOW POOL_PROCESSES")
        assert [each.name for each in cursor.description] == PROCESS_COLUMNS
        cursor.execute("SHOW pool_pools;")
        assert [each.name for each in cursor.description] == POOL_COLUMNS


def test_what_every_session_does(cluster):
    for workers in (1, 4):
        with Gate(cluster, worker_threads=workers, num_init_children=10) as gate:
            idle, busy, open_, failed, own = (gate.wire(user=user) for user in ("jo", *["postgres"] * 4))
            assert idle.query("SELECT 1").one == "1"
            open_.query("BEGIN")
            failed.query("BEGIN")
            failed.query("SELECT 1/0")
            busy.send(wire.query("SELECT pg_sleep(600)"))
            silent = gate.socket()
            for client, status in ((idle, "Idle"), (open_, "Idle in transaction"), (failed, "Idle in transaction"),
                                   (busy, "Execute command"), (own, "Execute command")):
                wait_for_status(own, client, status)
            seen = processes(own)
            assert set(seen) == {each.pid for each in (idle, busy, open_, failed, own)}
            assert (seen[idle.pid]["username"], seen[idle.pid]["database"]) == ("jo", "postgres")
            rows = shown(own, "POOL_PROCESSES", PROCESS_COLUMNS)
            statuses = [row["status"] for row in rows if row["pool_pid"] == "0"]
            assert sorted(statuses) == ["Connecting"] + ["Wait for connection"] * 4
            silent.close()
            # A server forgets a request that comes before the statement.
            harness.wait_until(lambda: cluster.primary.count_backends("query LIKE '%pg_sleep(600)' AND state = 'active'"),
                               "it runs")
            with wire.Wire(gate.port) as canceller:
                canceller.send(wire.cancel_request(busy.pid, busy.secret)).read_to_end()
            assert busy.answer().error["C"] == "57014"


def test_the_connections_of_sessions_and_of_the_pool(cluster):
    with Gate(cluster, num_init_children=2, max_pool=3, weights=(0, 1)) as gate:
        with gate.wire() as client, gate.wire() as other:
            read, written = (client.query(sql).one for sql in (
                "SELECT pg_backend_pid() FROM t", "SELECT pg_backend_pid() FROM t FOR UPDATE"))
            rows = pools(other)
            assert len(rows) == 2 * 3 * 2
            held = sorted((row for row in rows if row["pool_pid"] == str(client.pid)), key=lambda row: row["backend_id"])
            assert [row["pool_backendpid"] for row in held] == [written, read]
            assert [row["load_balance_node"] for row in held] == ["0", "1"]
            for row in held:
                assert (row["pool_connected"], row["username"], row["majorversion"]) == ("1", "postgres", "3")
                assert row["client_host"] == "127.0.0.1"
                assert int(row["client_port"]) == client.socket.getsockname()[1]
                assert row["backend_connection_time"] and row["client_connection_time"]
            client.close()

            def are_parked():
                there = [row for row in pools(other) if row["pool_pid"] == "0" and row["username"]]
                return {read, written} <= {row["pool_backendpid"] for row in there} and there
            parked = harness.wait_until(are_parked, "the connections are parked")
            for row in parked:
                assert (row["pool_connected"], row["status"]) == ("0", "Wait for connection")
                assert int(row["pool_counter"]) >= 0 and row["client_disconnection_time"]
            places = [(row["pool_pid"], row["pool_id"], row["backend_id"]) for row in pools(other)]
            assert len(set(places)) == len(places) == 2 * 3 * 2
        with gate.wire() as client:
            pid = client.query("SELECT pg_backend_pid() FROM t FOR UPDATE").one
            (row,) = (row for row in pools(client) if row["pool_backendpid"] == pid)
            assert int(row["pool_counter"]) >= 2 and row["status"] == "Execute command"


def test_where_links_are_shared_only_transactions_hold_them(cluster):
    with Gate(cluster, pool_mode="transaction", num_init_children=2, max_pool=1) as gate:
        with gate.wire() as client, gate.wire() as own:
            client.query("SELECT 1 FROM t FOR UPDATE")
            harness.wait_until(lambda: str(client.pid) not in {row["pool_pid"] for row in pools(own)}, "it is shared")
            client.query("BEGIN")
            client.query("SELECT 1 FROM t FOR UPDATE")
            assert str(client.pid) in {row["pool_pid"] for row in pools(own)}


def test_the_time_that_is_left_to_an_idle_client(cluster):
    with Gate(cluster, client_idle_limit=600) as gate, gate.wire() as client, gate.wire() as own:
        client.query("SELECT 1 FROM t FOR UPDATE")
        wait_for_status(own, client, "Idle")
        (row,) = (row for row in pools(own) if row["pool_pid"] == str(client.pid))
        words = row["client_idle_duration"].split(" ", 1)
        assert int(words[0]) >= 0 and words[1].endswith("before client disconnected)"), words


def test_inside_transactions(cluster):
    with Gate(cluster) as gate, gate.wire() as client:
        client.query("BEGIN")
        assert client.query("SHOW POOL_PROCESSES").status == "T"
        client.query("SELECT 1/0")
        assert client.query("SHOW POOL_PROCESSES").error["C"] == "25P02"


def test_many_sessions_come_ask_and_go(cluster):
    """Who has asked may leave before the answer is there; who is counted may end at that moment."""
    with Gate(cluster, worker_threads=4, num_init_children=8) as gate:
        staying = [gate.wire() for _ in range(50)]

        def come_and_go(number: int):
            for turn in range(30):
                client = gate.wire()
                client.send(wire.query("SHOW POOL_PROCESSES"), wire.query("SHOW POOL_POOLS"))
                if (turn + number) % 3:
                    client.abort()
                    continue
                for _ in range(2):
                    assert client.answer().status == "I"
                client.close()

        harness.run_in_parallel(*(lambda number=number: come_and_go(number) for number in range(8)))
        own = staying[0]
        pids = {client.pid for client in staying}
        harness.wait_until(lambda: set(processes(own)) == pids, "only those who stay are there")
        sent = wire.query("SHOW POOL_PROCESSES") * 20
        own.send(sent)
        for _ in range(20):
            assert len(own.answer().rows) == 50


def test_a_shutdown_while_everybody_asks(cluster):
    for _ in range(3):
        with Gate(cluster, worker_threads=4) as gate:
            clients = [gate.wire() for _ in range(30)]
            stopping = threading.Thread(target=gate.stop)
            for client in clients:
                client.send(wire.query("SHOW POOL_POOLS") * 5)
            stopping.start()
            for client in clients:
                client.read_to_end()
            stopping.join()
