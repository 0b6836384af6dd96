"""A cancel request stops the statement that runs, wherever it runs, and never another one."""

import harness
import wire
from gate import Gate

LONG_READ = "SELECT count(*) FROM generate_series(1, 1000000000000)"
LONG_WRITE = "SELECT pg_sleep(600)"


def prepare(cluster):
    cluster.run("CREATE TABLE t (i int); INSERT INTO t VALUES (1)")


def cancel(gate, pid: int, secret: bytes) -> None:
    with wire.Wire(gate.port) as canceller:
        assert canceller.send(wire.cancel_request(pid, secret)).read_to_end() == b"", "a cancel request has no answer"


def wait_until_it_runs(cluster, sql: str) -> None:
    harness.wait_until(lambda: any(server.count_backends(f"state = 'active' AND query LIKE '{sql}%'")
                                   for server in cluster.servers), f"{sql} runs")


def test_a_running_statement_is_cancelled_on_its_server(cluster):
    with Gate(cluster) as gate, gate.wire() as client:
        for sql in (LONG_READ, LONG_WRITE, "INSERT INTO t SELECT generate_series(1, 1000000000000)"):
            client.send(wire.query(sql))
            wait_until_it_runs(cluster, sql)
            cancel(gate, client.pid, client.secret)
            answer = client.answer()
            assert (answer.error["C"], answer.status) == ("57014", "I"), sql
            assert client.query("SELECT 'alive'").one == "alive"


def test_in_the_extended_protocol(cluster):
    with Gate(cluster) as gate, gate.wire() as client:
        for sql in (LONG_READ, LONG_WRITE):
            client.send(wire.ask(sql), wire.ask("SELECT 'the next unit'"))
            wait_until_it_runs(cluster, sql)
            cancel(gate, client.pid, client.secret)
            assert client.answer().error["C"] == "57014"
            assert client.answer().one == "the next unit"


def test_inside_a_transaction_it_fails_the_transaction(cluster):
    with Gate(cluster) as gate, gate.wire() as client:
        for sql in (LONG_READ, LONG_WRITE):
            client.query("BEGIN")
            client.query("INSERT INTO t VALUES (2)" if sql == LONG_WRITE else "SELECT 1")
            client.send(wire.query(sql))
            wait_until_it_runs(cluster, sql)
            cancel(gate, client.pid, client.secret)
            assert client.answer().status == "E"
            assert client.query("COMMIT").tags == ["ROLLBACK"]
        assert cluster.primary.one("SELECT count(*) FROM t WHERE i = 2") == 0


def test_a_copy_is_cancelled(cluster):
    with Gate(cluster) as gate, gate.wire() as client:
        client.send(wire.query("COPY (SELECT generate_series(1, 1000000000000)) TO STDOUT"))
        assert client.answer(until="d").kinds == "Hd"
        cancel(gate, client.pid, client.secret)
        answer = client.answer()
        assert answer.kinds[-2:] == "EZ" and answer.messages[-2].fields()["C"] == "57014"
        client.send(wire.query("COPY t FROM STDIN")).answer(until="G")
        client.send(wire.message(b"d", b"3\n"))
        cancel(gate, client.pid, client.secret)
        assert client.ask(wire.message(b"f", b"over\0")).error["C"] == "57014"
        assert client.query("SELECT 1").one == "1"


def test_through_a_driver(cluster):
    with Gate(cluster) as gate, gate.session() as own:
        for sql in (LONG_READ, LONG_WRITE):
            def cancel_it(statement=sql):
                wait_until_it_runs(cluster, statement)
                own.connection.cancel()

            harness.run_in_parallel(lambda statement=sql: own.fails("57014", statement), cancel_it)
            assert own.one("SELECT 1") == 1


def test_a_request_with_a_wrong_key_does_nothing(cluster):
    with Gate(cluster) as gate, gate.wire() as client, gate.wire() as other:
        client.send(wire.query("SELECT pg_sleep(1), 'to the end'"))
        wait_until_it_runs(cluster, "SELECT pg_sleep(1)")
        flipped = bytes([client.secret[0] ^ 1]) + client.secret[1:]
        for pid, secret in ((client.pid, flipped), (client.pid ^ 1, client.secret), (client.pid, other.secret),
                            (other.pid, other.secret), (0, bytes(4)), (client.pid, client.secret + bytes(28)),
                            (client.pid, client.secret[:3])):
            cancel_quietly(gate, pid, secret)
        assert client.answer().rows == [("", "to the end")]


def cancel_quietly(gate, pid: int, secret: bytes) -> None:
    """A request that may be no valid one: whatever the answer, the connection ends."""
    with wire.Wire(gate.port) as canceller:
        canceller.send(wire.cancel_request(pid, secret)).read_to_end()


def test_a_request_that_comes_too_late_hits_nobody(cluster):
    """Neither the same client's next statement nor, after the session's end, the next user of its link."""
    with Gate(cluster, num_init_children=1, max_pool=1) as gate:
        keys = []
        for number in range(30):
            with gate.wire() as client:
                for key in keys[-3:]:
                    cancel(gate, *key)
                cancel(gate, client.pid, client.secret)
                assert client.query(f"SELECT {number}").one == str(number)
                assert client.query(f"SELECT {number} FROM t WHERE i = 1 FOR UPDATE").one == str(number)
                keys.append((client.pid, client.secret))
                client.close()


def test_requests_that_race_with_statements(cluster):
    """A statement is answered well or with 57014: nothing else, and no session but the one that was meant."""
    with Gate(cluster, num_init_children=3, max_pool=1) as gate:
        def torment():
            with gate.wire() as client:
                for number in range(60):
                    suffix = " FOR UPDATE" if number % 2 else ""
                    client.send(wire.query(f"SELECT {number} FROM t WHERE i = 1{suffix}"))
                    with wire.Wire(gate.port) as canceller:
                        canceller.send(wire.cancel_request(client.pid, client.secret))
                        answer = client.answer()
                        assert answer.status == "I"
                        assert "TDCZ" in answer.kinds or answer.error["C"] == "57014", answer.kinds
                        canceller.read_to_end()
                client.close()

        def live():
            for number in range(100):
                with gate.wire() as client:
                    assert client.query(f"SELECT {number}").one == str(number)
                    client.close()

        harness.run_in_parallel(torment, torment, live, live)


PROTOCOL_3_2 = 0x30002


def test_keys_of_both_protocol_versions(cluster):
    """In 3.2 a key has 32 bytes. One that is cut, too long, wrong in a byte or another session's cancels nothing."""
    for mode in ("session", "transaction"):
        with Gate(cluster, pool_mode=mode) as gate:
            clients = [gate.wire(), gate.wire(version=PROTOCOL_3_2), gate.wire(version=PROTOCOL_3_2)]
            assert [len(client.secret) for client in clients] == [4, 32, 32]
            assert not any(each.kind == "v" for client in clients for each in client.welcome.messages)
            for number, client in enumerate(clients):
                client.send(wire.query(LONG_WRITE))
                wait_until_it_runs(cluster, LONG_WRITE)
                secret, other = client.secret, clients[number - 1].secret
                for wrong in (secret[:4] if len(secret) > 4 else secret * 8, secret + b"\0", other,
                              secret[:-1] + bytes([secret[-1] ^ 1]), bytes([secret[0] ^ 128]) + secret[1:]):
                    cancel(gate, client.pid, wrong)
                cancel(gate, clients[number - 1].pid, secret)
                assert cluster.primary.count_backends(f"state = 'active' AND query = '{LONG_WRITE}'") == 1
                cancel(gate, client.pid, secret)
                assert client.answer().error["C"] == "57014"
                assert client.query("SELECT 'alive'").one == "alive"


def test_newer_versions_are_negotiated(cluster):
    for minor, served, length in ((1, None, 4), (3, 0x30002, 32), (9999, 0x30002, 32)):
        with Gate(cluster) as gate, gate.wire(version=0x30000 + minor) as client:
            told = [each for each in client.welcome.messages if each.kind == "v"]
            assert [int.from_bytes(each.body[:4], "big") for each in told] == ([served] if served else [])
            assert len(client.secret) == length
            assert client.query("SELECT 1").one == "1"
