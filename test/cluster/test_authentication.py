"""Whom the servers let in: a challenge goes through to the client, and proves it to one server, once."""

import itertools

import psycopg2

import harness
import wire
from gate import Gate

METHODS = {"password": "clear", "md5": "hashed", "scram-sha-256": "salted"}  # method and role
PORT = "SELECT inet_server_port()"
STANDBYS = 1


def prepare(cluster):
    for method, role in METHODS.items():
        stored = "md5" if method == "md5" else "scram-sha-256"
        cluster.primary.run(f"SET password_encryption = '{stored}'; CREATE ROLE {role} LOGIN PASSWORD 'right'")
    cluster.run("CREATE ROLE trusted LOGIN; CREATE ROLE refused LOGIN; CREATE TABLE t (i int); INSERT INTO t VALUES (1);"
                "GRANT SELECT, INSERT, UPDATE ON t TO PUBLIC")
    lines = [f"host all {role} 127.0.0.1/32 {method}" for method, role in METHODS.items()]
    lines += ["host all trusted 127.0.0.1/32 trust", "host all refused 127.0.0.1/32 reject"]
    for server in cluster.servers:
        server.write_hba(*lines)


def log_in(gate, role: str, password: str) -> wire.Answer:
    with wire.Wire(gate.port) as client:
        return client.prove(password, user=role, database="postgres")


def test_every_method_with_every_password_at_first_use_and_later(cluster):
    with Gate(cluster) as gate:
        for use, (method, role), password in itertools.product(
                ("first", "later", "later still"), METHODS.items(), ("right", "wrong", "", "right ")):
            answer = log_in(gate, role, password)
            case = (use, method, password, answer.kinds)
            if password == "right":
                assert answer.status == "I", case
            else:
                # (the last message: AuthenticationSASLContinue and its like came before)
                assert answer.messages and answer.messages[-1].kind == "E", case
                told = answer.messages[-1].fields()
                assert (told["S"], told["C"]) == ("FATAL", "28P01"), case


def test_a_session_that_stays_does_not_open_the_door_to_others(cluster):
    """While one session of the role lives, its link is in reach: nobody may be let in on its account."""
    with Gate(cluster) as gate:
        for role in METHODS.values():
            with wire.Wire(gate.port) as client:
                assert client.prove("right", user=role, database="postgres").status == "I"
                assert client.query("SELECT current_user").one == role
                for password in ("wrong", ""):
                    answer = log_in(gate, role, password)
                    assert answer.messages[-1].fields()["C"] == "28P01", (role, password)
                assert log_in(gate, role, "right").status == "I"
                assert client.query("SELECT current_user").one == role


def test_through_libpq(cluster):
    with Gate(cluster) as gate:
        for role in METHODS.values():
            for _ in range(2):
                with gate.session(user=role, password="right") as own:
                    assert own.one("SELECT current_user") == role
                    own.run("INSERT INTO t VALUES (2)")
                for wrong in ("wrong", ""):
                    try:
                        gate.session(user=role, password=wrong, passfile="/nowhere").close()
                    except psycopg2.OperationalError as failure:
                        assert "password" in str(failure), failure
                    else:
                        raise AssertionError(f"{role} came in with the password {wrong!r}")


def test_a_proven_session_has_the_primary_to_itself(cluster):
    with Gate(cluster) as gate:
        for role in METHODS.values():
            with gate.session(user=role, password="right", application_name="proven") as own:
                assert own.one(PORT) == cluster.primary.port
                own.run("BEGIN")
                own.run("UPDATE t SET i = i")
                own.run("COMMIT")
                assert own.one(PORT) == cluster.primary.port
                assert cluster.primary.count_backends("application_name = 'proven'") == 1
            for server in cluster.servers:
                harness.wait_until(lambda s=server: s.count_backends("application_name = 'proven'") == 0,
                                   f"the link to {server.name} has ended with its session")


def test_a_trusted_role_shares_its_links(cluster):
    with Gate(cluster, num_init_children=1, max_pool=1) as gate:
        with gate.session(user="trusted") as own:
            assert own.one(PORT) != cluster.primary.port
            pid = own.one("SELECT pg_backend_pid() FROM t LIMIT 1")
        assert gate.one("SELECT pg_backend_pid() FROM t LIMIT 1", user="trusted") == pid
        # A password that nobody asked for is no secret, and no harm.
        with gate.session(user="trusted", password="whatever") as own:
            assert own.one("SELECT current_user") == "trusted"


def test_who_is_refused_hears_the_servers_words(cluster):
    with Gate(cluster) as gate:
        for _ in range(2):
            answer = log_in(gate, "refused", "right")
            assert answer.error["C"] == "28000" and "pg_hba.conf" in answer.error["M"], answer.error
            answer = log_in(gate, "nobody_here", "right")
            assert answer.error["C"] == "28000", answer.error


def test_a_client_that_is_silent_at_the_challenge_is_closed(cluster):
    with Gate(cluster, authentication_timeout=1) as gate:
        for role in METHODS.values():
            with wire.Wire(gate.port) as client:
                client.send(wire.start_up(user=role, database="postgres"))
                assert client.answer(until="R").kinds == "R"
                rest = client.answer()
                assert rest.kinds in ("", "E"), rest.kinds
            harness.wait_until(lambda r=role: cluster.primary.count_backends(f"usename = '{r}'") == 0,
                               "no link is left behind")


def test_a_client_that_answers_a_challenge_with_something_else(cluster):
    with Gate(cluster) as gate:
        for role, wrong in itertools.product(METHODS.values(), (
                wire.query("SELECT 1"), wire.message(b"p"), wire.message(b"p", b"\xff" * 4000),
                b"p\xff\xff\xff\xff", b"p\x7f\xff\xff\xff" + b"x" * 1000, b"p\0\0\0\3", wire.TERMINATE)):
            with wire.Wire(gate.port) as client:
                client.send(wire.start_up(user=role, database="postgres"))
                assert client.answer(until="R").kinds == "R"
                client.send(wrong)
                rest = client.answer()
                assert "Z" not in rest.kinds, (role, wrong, rest.kinds)
        with gate.session(user="trusted") as own:
            assert own.one("SELECT 1") == 1


def test_cancel_works_in_a_proven_session(cluster):
    with Gate(cluster) as gate, gate.session(user="salted", password="right") as own:
        def cancel_it():
            harness.wait_until(lambda: cluster.primary.count_backends("query LIKE 'SELECT pg_sleep%'"
                                                                      " AND state = 'active'"), "it runs")
            own.connection.cancel()
        harness.run_in_parallel(lambda: own.fails("57014", "SELECT pg_sleep(600)"), cancel_it)
        assert own.one("SELECT 1") == 1


def test_own_commands_work_in_a_proven_session(cluster):
    with Gate(cluster) as gate:
        for role in METHODS.values():
            with wire.Wire(gate.port) as client:
                assert client.prove("right", user=role, database="postgres").status == "I"
                assert client.query("SHOW POOL_VERSION").one.startswith("4.7.2")
                assert len(client.query("SHOW POOL_NODES").rows) == 2
                assert client.query("SELECT current_user").one == role
