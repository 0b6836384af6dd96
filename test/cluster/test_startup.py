"""What a client may say before it is logged in, and what others must not feel of it."""

import socket
import struct

import harness
import wire
from gate import Gate


def refusal(gate: Gate, *parts: bytes) -> dict:
    """The fields of the only message that these bytes get before the connection closes."""
    with wire.Wire(gate.port) as client:
        answer = client.send(*parts).answer()
        assert answer.kinds == "E", answer.kinds
        return answer.error


def test_tls_and_gssapi_are_declined_and_the_start_goes_on(cluster):
    with Gate(cluster) as gate:
        for requests in ([wire.SSL_REQUEST], [wire.GSSENC_REQUEST], [wire.GSSENC_REQUEST, wire.SSL_REQUEST],
                         [wire.SSL_REQUEST, wire.GSSENC_REQUEST]):
            with wire.Wire(gate.port) as client:
                for request in requests:
                    assert client.send(request).read_bytes(1) == b"N"
                client.log_in(user="postgres", database="postgres")
                assert client.query("SELECT 1").one == "1"
        with gate.session(sslmode="prefer") as own:
            assert own.one("SELECT 1") == 1


def test_a_request_for_tls_comes_once_only(cluster):
    with Gate(cluster) as gate, wire.Wire(gate.port) as client:
        assert client.send(wire.SSL_REQUEST).read_bytes(1) == b"N"
        answer = client.send(wire.SSL_REQUEST).answer()
        assert answer.kinds == "E" and answer.error["S"] == "FATAL", answer.kinds


def test_the_welcome_is_complete(cluster):
    with Gate(cluster) as gate:
        for _ in range(3):  # a new link, then one from the pool
            with gate.wire(application_name="welcome") as client:
                kinds = client.welcome.kinds
                assert kinds[0] == "R" and kinds[-2:] == "KZ" and set(kinds[1:-2]) == {"S"}, kinds
                assert client.welcome.status == "I"
                assert client.parameters["server_version"].startswith(("15", "16", "17", "18"))
                assert client.parameters["client_encoding"] and client.parameters["is_superuser"] == "on"
                assert client.parameters["in_hot_standby"] == "off"
                assert client.pid != 0 and len(client.secret) == 4
                client.query("SELECT 1")
                client.close()


def test_two_clients_never_get_the_same_cancel_key(cluster):
    with Gate(cluster) as gate:
        keys = set()
        for _ in range(20):
            with gate.wire() as client:
                keys.add((client.pid, client.secret))
        assert len(keys) == 20


def test_a_newer_protocol_version_is_negotiated_down(cluster):
    with Gate(cluster) as gate, wire.Wire(gate.port) as client:
        client.send(wire.start_up(wire.PROTOCOL_3_0 + 9999, user="postgres", database="postgres",
                                  **{"_pq_.nothing_we_know": "1"}))
        answer = client.answer()
        assert answer.kinds[0] == "v" and answer.kinds[-1] == "Z", answer.kinds
        version, count = struct.unpack_from("!II", answer.messages[0].body)
        assert version >> 16 in (0, 3) and count == 1 and b"_pq_.nothing_we_know\0" in answer.messages[0].body
        assert client.query("SELECT 1").one == "1"


def test_what_is_no_start_up_message_is_refused_with_postgresqls_words(cluster):
    with Gate(cluster) as gate:
        with wire.Wire(gate.port) as old:  # which knows only errors of its time: 'E', a text, a zero byte
            assert old.send(wire.start_up(2 << 16, user="postgres")).read_to_end().startswith(
                b"EFATAL:  unsupported frontend protocol 2.0")
        assert refusal(gate, wire.start_up(4 << 16, user="postgres"))["C"] == "0A000"
        no_user = refusal(gate, wire.start_up(database="postgres"))
        assert no_user["C"] == "28000" and "no PostgreSQL user name" in no_user["M"]
        unended = struct.pack("!II", 8 + 13, wire.PROTOCOL_3_0) + b"user\0postgres"
        assert refusal(gate, unended)["C"] == "08P01"


def test_replication_is_refused_in_clear_words(cluster):
    with Gate(cluster) as gate:
        for value in ("true", "database", "on", "1"):
            told = refusal(gate, wire.start_up(user="postgres", database="postgres", replication=value))
            assert (told["S"], told["C"]) == ("FATAL", "0A000") and "replication" in told["M"], told
        with gate.wire(replication="false") as client:
            assert client.query("SELECT 1").one == "1"


def test_the_servers_refusal_reaches_the_client_once(cluster):
    with Gate(cluster) as gate:
        for _ in range(2):
            assert refusal(gate, wire.start_up(user="postgres", database="nowhere"))["C"] == "3D000"
            assert refusal(gate, wire.start_up(user="nobody_here", database="postgres"))["C"] == "28000"
            told = refusal(gate, wire.start_up(user="postgres", database="postgres", work_mem="lots"))
            assert told["C"] == "22023", told


def test_garbage_and_absurd_lengths_close_the_connection(cluster):
    with Gate(cluster, authentication_timeout=5) as gate:
        with gate.session() as other:
            for bad in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", bytes(64), b"\xff" * 64, b"\x16\x03\x01\x02\x00" * 20,
                        struct.pack("!II", 7, wire.PROTOCOL_3_0), struct.pack("!II", 10005, wire.PROTOCOL_3_0),
                        struct.pack("!II", 0x7FFFFFFF, wire.PROTOCOL_3_0), struct.pack("!II", 8, 80877102),
                        wire.cancel_request(1, b""), wire.start_up(user="x" * 9000) + b"\xff" * 100):
                with wire.Wire(gate.port) as client:
                    # The connection may be gone before all is sent.
                    try:
                        client.send(bad)
                    except (ConnectionResetError, BrokenPipeError):
                        continue
                    client.read_to_end()
                assert other.one("SELECT 1") == 1


def test_half_a_message_and_silence_end_at_the_authentication_timeout(cluster):
    with Gate(cluster, authentication_timeout=1) as gate, gate.session() as other:
        whole = wire.start_up(user="postgres", database="postgres")
        waiting = [wire.Wire(gate.port) for _ in range(len(whole))]
        for length, client in enumerate(waiting):
            client.send(whole[:length])
        assert other.one("SELECT 1") == 1
        for client in waiting:
            client.read_to_end()
            client.abort()
        assert other.one("SELECT 2") == 2


def test_a_logged_in_client_has_no_authentication_timeout(cluster):
    with Gate(cluster, authentication_timeout=1) as gate, gate.wire() as client:
        silent = wire.Wire(gate.port)
        assert silent.read_bytes(1) is None  # a second has passed
        assert client.query("SELECT 1").one == "1"


def test_a_flood_of_half_open_connections_harms_nobody(cluster):
    with Gate(cluster, authentication_timeout=60) as gate:
        with gate.session() as other:
            before = gate.fds()
            flood = [gate.socket() for _ in range(500)]
            for number, each in enumerate(flood):
                each.sendall([b"", b"\0", wire.SSL_REQUEST, b"\0\0\x10\0\0\3\0\0user\0"][number % 4])
            assert other.one("SELECT 1") == 1
            with gate.session() as newcomer:
                assert newcomer.one("SELECT 2") == 2
            for each in flood:
                each.close()
            harness.wait_until(lambda: gate.fds() <= before + 5, "the gate has closed the flood's descriptors")
            assert other.one("SELECT 3") == 3


def test_a_start_up_that_comes_byte_by_byte_is_served(cluster):
    with Gate(cluster) as gate, wire.Wire(gate.port) as client:
        for byte in wire.SSL_REQUEST:
            client.send(bytes([byte]))
        assert client.read_bytes(1) == b"N"
        for byte in wire.start_up(user="postgres", database="postgres"):
            client.send(bytes([byte]))
        assert client.answer().kinds.endswith("Z")
        for byte in wire.query("SELECT 'byte by byte'"):
            client.send(bytes([byte]))
        assert client.answer().one == "byte by byte"


def test_a_start_up_and_the_first_query_may_come_together(cluster):
    with Gate(cluster) as gate, wire.Wire(gate.port) as client:
        client.send(wire.start_up(user="postgres", database="postgres") + wire.query("SELECT 1"))
        client.answer()
        assert client.answer().one == "1"


def test_a_missing_database_name_is_the_users(cluster):
    with Gate(cluster) as gate:
        with wire.Wire(gate.port) as client:
            client.log_in(user="postgres")
            assert client.query("SELECT current_database()").one == "postgres"
        with wire.Wire(gate.port) as client:
            client.log_in(user="postgres", database="")
            assert client.query("SELECT current_database()").one == "postgres"


def test_garbage_after_login_ends_this_session_only(cluster):
    with Gate(cluster) as gate, gate.session() as other:
        for bad in (b"\0" * 16, b"~\0\0\0\4", b"Q\0\0\0\3", b"Q\xff\xff\xff\xff", b"P\0\0\0\6x", b"B\0\0\0\4",
                    b"p\0\0\0\10abcd", b"d\x80\0\0\0", wire.message(b"D", b"?x\0") + wire.SYNC):
            with gate.wire() as client:
                client.send(bad)
                client.socket.shutdown(socket.SHUT_WR)
                answer = client.answer(until="")
                errors = [each.fields()["C"] for each in answer.messages if each.kind == "E"]
                assert all(code in ("08P01", "42P02", "22021") for code in errors), (bad, errors)
            assert other.one("SELECT 1") == 1


def test_ipv4_ipv6_and_unix_sockets(cluster):
    with Gate(cluster) as gate:
        families = ("127.0.0.1", "::1") if harness.HAS_IPV6 else ("127.0.0.1",)
        for host in (*families, "localhost", str(gate.directory)):
            with gate.session(host=host) as own:
                assert own.one("SELECT 1") == 1
        mode = (gate.directory / f".s.PGSQL.{gate.port}").stat().st_mode & 0o777
        assert mode == 0o777, oct(mode)


def test_the_socket_file_has_the_configured_permissions_and_goes_at_the_end(cluster):
    with Gate(cluster, unix_socket_permissions="0700") as gate:
        path = gate.directory / f".s.PGSQL.{gate.port}"
        assert path.stat().st_mode & 0o777 == 0o700
        gate.stop()
        assert not path.exists() and not (gate.directory / "pgpool.pid").exists()
