"""Servers that stop, freeze, come back and change roles. Each test has a cluster of its own."""

import signal

import harness
import wire
from gate import Gate

PORT = "SELECT inet_server_port()"
ON_PRIMARY = "SELECT inet_server_port() FROM t WHERE i = 1 FOR UPDATE"


def new_cluster() -> harness.Cluster:
    cluster = harness.Cluster(2)
    cluster.run("CREATE TABLE t (i int PRIMARY KEY); INSERT INTO t VALUES (1)")
    return cluster


def test_a_promoted_standby_gets_the_writes():
    with new_cluster() as cluster, Gate(cluster) as gate:
        old, new = cluster.servers[:2]
        with gate.session() as idle, gate.session() as inside:
            idle.run("SET work_mem TO '7MB'")
            assert idle.one(ON_PRIMARY) == old.port
            inside.run("BEGIN")
            inside.run("INSERT INTO t VALUES (2)")
            cluster.wait_for_replay()
            old.stop(signal.SIGQUIT)
            gate.wait_for_status(0, "down", idle)
            new.promote()
            gate.wait_for_primary(1, idle)
            # A session that was idle goes on, with all that it had set up.
            assert idle.one(ON_PRIMARY) == new.port
            assert idle.one(f"{PORT} WHERE current_setting('work_mem') = '7MB'") in (new.port, cluster.servers[2].port)
            idle.run("INSERT INTO t VALUES (3)")
            # One inside a transaction is told the truth: it is over, and nothing was committed.
            try:
                inside.run("INSERT INTO t VALUES (4)")
            except harness.psycopg2.Error:
                pass
            else:
                raise AssertionError("the transaction went on without its server")
        with gate.session() as own:
            assert own.rows("SELECT i FROM t ORDER BY i") in ([(1,), (3,)], [(1,)])  # a standby may not follow yet
            own.run("INSERT INTO t VALUES (5)")
        assert new.one("SELECT array_agg(i ORDER BY i) FROM t") == [1, 3, 5]


def test_a_statement_waits_for_the_new_primary():
    """The client asks while there is none, and is answered by the one that comes."""
    with new_cluster() as cluster, Gate(cluster) as gate, gate.session() as own, gate.wire() as client:
        old, new = cluster.servers[:2]
        assert own.one(ON_PRIMARY) == old.port
        cluster.wait_for_replay()
        old.stop()
        gate.wait_for_status(0, "down", own)
        client.send(wire.query("INSERT INTO t VALUES (2)"))
        new.promote()
        assert client.answer().tags == ["INSERT 0 1"]
        assert own.one(ON_PRIMARY) == new.port


def test_nobody_is_turned_away_while_the_primary_is_gone():
    """Neither before the loss is noticed nor after: logins are served by those who live, or wait."""
    def come(gate: Gate, number: int):
        with gate.session(application_name=f"newcomer {number}") as own:
            assert own.one(PORT) != gate.cluster.primary.port

    with new_cluster() as cluster, Gate(cluster) as gate, gate.session() as asker:
        cluster.primary.stop(signal.SIGQUIT)
        harness.run_in_parallel(*(lambda number=number: come(gate, number) for number in range(5)))
        gate.wait_for_status(0, "down", asker)
        with gate.session(application_name="a late one") as own:
            assert own.one(PORT) != cluster.primary.port


def test_a_client_that_waits_for_a_primary_can_cancel():
    with new_cluster() as cluster, Gate(cluster) as gate, gate.wire() as client, gate.session() as asker:
        assert client.query(ON_PRIMARY).one == str(cluster.primary.port)
        cluster.primary.stop()
        gate.wait_for_status(0, "down", asker)
        client.send(wire.query("INSERT INTO t VALUES (2)"))
        with wire.Wire(gate.port) as canceller:
            canceller.send(wire.cancel_request(client.pid, client.secret)).read_to_end()
        assert client.answer().messages[-2].fields()["C"] in ("57014", "57P03")
        assert client.query(PORT).rows, "reads are served all the same"


def test_the_old_primary_is_no_primary_when_it_returns():
    """It has not learned of its successor: nothing may be written there."""
    with new_cluster() as cluster, Gate(cluster) as gate, gate.session() as asker:
        old, new = cluster.servers[:2]
        cluster.wait_for_replay()
        old.stop()
        gate.wait_for_status(0, "down", asker)
        new.promote()
        gate.wait_for_primary(1, asker)
        mark = gate.log.mark()
        old.start()
        gate.log.wait_for("primary of the past|not in recovery", mark, alive=gate.process)
        assert gate.nodes()[0]["status"] == "down" and gate.nodes()[1]["role"] == "primary"
        with gate.session() as own:
            assert own.one(ON_PRIMARY) == new.port


def test_reads_leave_a_standby_that_stops_and_come_back():
    with new_cluster() as cluster, Gate(cluster, weights=(0, 1, 0)) as gate, gate.session() as own:
        standby = cluster.standbys[0]
        assert own.one(PORT) == standby.port
        standby.stop(signal.SIGQUIT)
        assert own.one(PORT) != standby.port, "the session goes on elsewhere"
        gate.wait_for_status(1, "down")
        assert gate.one(PORT) != standby.port
        standby.start()
        harness.wait_until(lambda: gate.one(PORT) == standby.port, "reads go to it again")


def test_a_standby_that_stops_in_mid_transaction():
    with new_cluster() as cluster, Gate(cluster, weights=(0, 1, 0)) as gate, gate.wire() as client:
        standby = cluster.standbys[0]
        client.query("BEGIN")
        assert client.query(PORT).one == str(standby.port)
        standby.stop(signal.SIGQUIT)
        answers = [client.query(PORT), client.query("INSERT INTO t VALUES (2)")]
        ended = client.query("COMMIT")
        assert ended.status == "I"
        was_committed = ended.tags == ["COMMIT"]
        assert was_committed == all("E" not in answer.kinds for answer in answers), (answers, ended)
        assert cluster.primary.one("SELECT count(*) FROM t WHERE i = 2") == int(was_committed)
        assert client.query("SELECT 1").one == "1"


def test_a_frozen_standby_stops_nobody_for_long():
    with new_cluster() as cluster, \
            Gate(cluster, weights=(0, 1, 0), health_check_timeout=1, connect_timeout=1000) as gate:
        standby = cluster.standbys[0]
        with gate.session() as other:
            assert other.one(ON_PRIMARY) == cluster.primary.port  # it has no link to the standby
            standby.freeze()
            try:
                gate.wait_for_status(1, "down")
                assert other.one(PORT) != standby.port
                with gate.session() as newcomer:
                    assert newcomer.one(PORT) != standby.port
            finally:
                standby.thaw()


def test_a_server_that_restarts_at_once():
    """Faster than anybody looks: links are dead, the server is not."""
    with new_cluster() as cluster, Gate(cluster, health_check_period=0, sr_check_period=0) as gate:
        with gate.session() as own:
            for server in cluster.servers:
                own.one(PORT)
                own.one(ON_PRIMARY)
                server.stop(signal.SIGQUIT)
                server.start()
            harness.wait_until(lambda: answers(own, PORT), "reads are served")
            harness.wait_until(lambda: answers(own, ON_PRIMARY), "writes are served")
            own.run("INSERT INTO t VALUES (2)")


def answers(own, sql: str) -> bool:
    try:
        return own.one(sql) > 0
    except harness.psycopg2.OperationalError:
        assert not own.connection.closed, "the session itself was closed"
        return False


def test_the_gate_starts_before_its_servers():
    with new_cluster() as cluster:
        for server in cluster.servers:
            server.stop()
        with Gate(cluster, waits=False) as gate:
            client = wire.Wire(gate.port)
            client.send(wire.start_up(user="postgres", database="postgres"))
            for server in cluster.servers:
                server.start()
            gate.wait_for_primary(0)
            answer = client.answer()
            assert answer.kinds[-1:] in ("Z", "E"), answer.kinds
            assert gate.one(ON_PRIMARY) == cluster.primary.port


def test_what_a_session_has_on_a_primary_that_hangs_is_not_lost_unnoticed():
    """Its temporary table has gone with its link: it may not go on when the same primary is back."""
    with new_cluster() as cluster, Gate(cluster, health_check_timeout=1) as gate:
        with gate.wire() as client, gate.wire() as asker:
            def is_shown(status: str) -> bool:
                return asker.query("SHOW POOL_NODES").rows[0][3] == status

            client.query("CREATE TEMP TABLE own (i int)")
            cluster.primary.freeze()
            try:
                harness.wait_until(lambda: is_shown("down"), "the primary is down")
            finally:
                cluster.primary.thaw()
            harness.wait_until(lambda: is_shown("up"), "the primary is up again")
            answer = client.query("SELECT count(*) FROM own")
            assert (answer.kinds, answer.error["S"], answer.error["C"]) == ("E", "FATAL", "08006"), answer
