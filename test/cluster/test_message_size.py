"""Messages that are longer than they may be: the connection ends before their bytes are read."""

import struct

import harness
import wire
from gate import Gate
from wire import FLUSH, bind, execute, parse

LIMIT = 20000
STANDBYS = 1


def prepare(cluster):
    cluster.run("CREATE TABLE t (i int); CREATE TABLE copied (line text); CREATE ROLE salted LOGIN PASSWORD 'right'")
    for server in cluster.servers:
        server.write_hba("host all salted 127.0.0.1/32 scram-sha-256")


def head(kind: bytes, length: int) -> bytes:
    """The type and length of a message whose body never comes."""
    return kind + struct.pack("!I", length)


def is_refused(client) -> bool:
    told = client.answer(until="E").error
    return (told["S"], told["C"], told["M"]) == ("FATAL", "08P01", "invalid message length") and client.is_closed()


def test_a_message_of_the_limit_is_served_and_a_longer_one_is_not(cluster):
    with Gate(cluster, message_size_max=LIMIT) as gate:
        # (the length counts itself, and the text ends with a zero byte)
        letters = "x" * (LIMIT - 4 - 1 - len("SELECT length('')"))
        longest = f"SELECT length('{letters}')"
        with gate.wire() as client:
            sent = wire.query(longest)
            assert len(sent) == 1 + LIMIT
            assert client.ask(sent).one == str(len(letters))
            client.send(wire.query(longest + " "))
            assert is_refused(client)
        for kind in (b"Q", b"P", b"B", b"F", b"d"):
            with gate.wire() as client:
                client.send(head(kind, LIMIT + 1))
                assert is_refused(client), kind
        assert gate.one("SELECT 1") == 1


def test_in_the_middle_of_a_unit(cluster):
    with Gate(cluster, message_size_max=LIMIT) as gate:
        for before in ((parse("SELECT 1"), FLUSH), (parse("SELECT 1"), bind(), execute()),
                       (parse("INSERT INTO t VALUES (1)"), bind(), execute(), FLUSH)):
            with gate.wire() as client:
                client.send(*before, head(b"B", LIMIT + 1))
                assert is_refused(client), before
        with gate.wire() as client:
            client.query("BEGIN")
            client.query("INSERT INTO t VALUES (2)")
            client.send(head(b"Q", 0x7FFFFFFF))
            assert is_refused(client)
        assert gate.one("SELECT count(*) FROM t") == 0


def test_copy_data(cluster):
    with Gate(cluster, message_size_max=LIMIT) as gate:
        with gate.wire() as client:
            assert client.send(wire.query("COPY copied FROM STDIN")).answer(until="G").kinds == "G"
            client.send(wire.message(b"d", b"a" * (LIMIT - 5) + b"\n"), wire.message(b"d", b"b" * (LIMIT - 5) + b"\n"))
            assert client.ask(wire.COPY_DONE).tags == ["COPY 2"]
            assert client.send(wire.query("COPY copied FROM STDIN")).answer(until="G").kinds == "G"
            client.send(wire.message(b"d", b"c\n"), wire.message(b"d", b"d" * LIMIT + b"\n"))
            assert is_refused(client)
        assert gate.one("SELECT count(*) FROM copied") == 2


def test_without_the_parameter_the_limit_is_postgresqls(cluster):
    with Gate(cluster) as gate:
        with gate.wire() as client:
            text = "x" * 3_000_000
            assert client.query(f"SELECT length('{text}')").one == "3000000"
            client.send(head(b"Q", 0x40000000))
            assert is_refused(client)
        assert gate.one("PGPOOL SHOW message_size_max") == "1GB"


def test_a_reload_changes_it(cluster):
    with Gate(cluster) as gate, gate.wire() as client:
        assert client.query("SELECT 1").one == "1"
        gate.reload(message_size_max=LIMIT)
        # The log tells of it before the client's worker has it.
        harness.wait_until(lambda: client.query("PGPOOL SHOW message_size_max").one != "1GB", "the reload")
        client.send(head(b"Q", LIMIT + 1))
        assert is_refused(client)


def test_before_the_login_postgresqls_limits_hold(cluster):
    with Gate(cluster) as gate:
        with wire.Wire(gate.port) as client:
            client.send(wire.start_up(user="postgres", database="postgres", application_name="x" * 9900))
            assert client.answer().kinds.endswith("Z")
        for length in (10005, 0x7FFFFFFF):
            with wire.Wire(gate.port) as client:
                client.send(struct.pack("!II", length, wire.PROTOCOL_3_0))
                assert client.answer().kinds in ("", "E")
        with wire.Wire(gate.port) as client:
            client.send(wire.start_up(user="salted", database="postgres"))
            assert client.answer(until="R").kinds == "R"
            client.send(head(b"p", 65536))
            assert is_refused(client)
        assert gate.one("SELECT 1") == 1
