"""More clients than links: they connect, wait in their order, and leave the queue at once when they want to."""

import os
import subprocess

import harness
import wire
from gate import Gate

ONE = {"num_init_children": 1, "max_pool": 1}
TWO = {"num_init_children": 2, "max_pool": 1}


def prepare(cluster):
    cluster.run("CREATE TABLE served (place serial, client int)")


def is_told_to_wait(client) -> bool:
    """Reads the NOTICE that a client gets which has to wait."""
    told = client.read()
    return told.kind == "N" and told.fields()["C"] == "53300" and "waiting" in told.fields()["M"]


def busy(gate) -> wire.Wire:
    """A session that keeps its links until it ends."""
    client = gate.wire()
    assert client.query("SELECT 1").one == "1"
    return client


def test_clients_wait_in_their_order_and_are_told(cluster):
    with Gate(cluster, **TWO) as gate:
        first = [busy(gate), busy(gate)]
        waiting = [gate.wire() for _ in range(20)]
        for number, client in enumerate(waiting):
            client.send(wire.query(f"INSERT INTO served (client) VALUES ({number})"))
            assert is_told_to_wait(client)
        assert cluster.primary.one("SELECT count(*) FROM served") == 0
        first[0].close()  # one place only, so that the order is one
        for client in waiting:
            assert client.answer().tags == ["INSERT 0 1"]
            client.close()
        assert cluster.primary.one("SELECT array_agg(client ORDER BY place) FROM served") == list(range(20))
        assert first[1].query("SELECT 1").one == "1"


def test_a_waiting_client_can_cancel(cluster):
    with Gate(cluster, **ONE) as gate:
        holder, waiting, last = busy(gate), gate.wire(), gate.wire()
        for turn in range(3):
            waiting.send(wire.query("SELECT 'never'"))
            assert is_told_to_wait(waiting)
            with wire.Wire(gate.port) as canceller:
                canceller.send(wire.cancel_request(waiting.pid, waiting.secret)).read_to_end()
            answer = waiting.answer()
            assert (answer.error["C"], answer.status) == ("57014", "I")
        last.send(wire.query("SELECT 'last'"))
        assert is_told_to_wait(last)
        holder.close()
        assert last.answer().one == "last"
        last.close()
        assert waiting.query("SELECT 'again'").one == "again"


def test_waiting_clients_that_leave_are_forgotten(cluster):
    with Gate(cluster, **ONE) as gate:
        holder = busy(gate)
        before = gate.fds()
        leaving = [gate.wire() for _ in range(30)]
        for client in leaving:
            client.send(wire.query("INSERT INTO served (client) VALUES (-1)"))
            assert is_told_to_wait(client)
        staying = gate.wire()
        staying.send(wire.query("SELECT 'my turn'"))
        assert is_told_to_wait(staying)
        for number, client in enumerate(leaving):
            client.close() if number % 2 else client.abort()
        harness.wait_until(lambda: gate.fds() <= before + 2, "the gate has closed those who left")
        holder.close()
        assert staying.answer().one == "my turn"
        assert cluster.primary.one("SELECT count(*) FROM served WHERE client = -1") == 0


def test_own_commands_need_no_link(cluster):
    with Gate(cluster, **ONE) as gate:
        holder, other = busy(gate), gate.wire()
        assert len(other.query("SHOW POOL_NODES").rows) == 3
        assert other.query("SHOW POOL_VERSION").rows
        assert holder.query("SELECT 1").one == "1"


def test_a_login_that_needs_a_server_waits_too(cluster):
    """Nobody knows yet what the server says to these parameters."""
    with Gate(cluster, **ONE) as gate:
        holder, newcomer = busy(gate), wire.Wire(gate.port)
        newcomer.send(wire.start_up(user="postgres", database="postgres", work_mem="5MB"))
        assert holder.query("SELECT 2").one == "2"
        holder.close()
        assert newcomer.answer().kinds.endswith("Z")
        assert newcomer.query("SHOW work_mem").one == "5MB"


def test_a_login_that_waits_too_long_is_told(cluster):
    with Gate(cluster, **ONE, authentication_timeout=1) as gate:
        holder, newcomer = busy(gate), wire.Wire(gate.port)
        answer = newcomer.send(wire.start_up(user="postgres", database="postgres", work_mem="5MB")).answer()
        assert answer.error["S"] == "FATAL" and answer.error["C"] == "57014"
        assert holder.query("SELECT 2").one == "2"


def test_a_session_in_a_transaction_keeps_its_place(cluster):
    with Gate(cluster, **ONE) as gate:
        holder, waiting = gate.wire(), gate.wire()
        holder.query("BEGIN")
        holder.query("INSERT INTO served (client) VALUES (77)")
        waiting.send(wire.query("SELECT count(*) FROM served WHERE client = 77"))
        assert is_told_to_wait(waiting)
        assert holder.query("COMMIT").tags == ["COMMIT"]
        cluster.wait_for_replay()
        holder.close()
        assert waiting.answer().one == "1"


def test_waiting_clients_are_told_of_a_shutdown(cluster):
    with Gate(cluster, **ONE) as gate:
        holder, waiting = busy(gate), gate.wire()
        waiting.send(wire.query("SELECT 1"))
        assert is_told_to_wait(waiting)
        gate.stop()
        for client in (holder, waiting):
            answer = client.answer()
            assert answer.kinds in ("E", ""), answer.kinds
            assert not answer.messages or answer.error["C"] == "57P01"


def test_psql_shows_that_it_waits(cluster):
    with Gate(cluster, **ONE) as gate:
        # As psql logs in, so that what the server says to that is known.
        holder = gate.wire(application_name="psql", client_encoding="UTF8")
        assert holder.query("SELECT 1").one == "1"
        psql = subprocess.Popen(["psql", "-XAt", "-h", "127.0.0.1", "-p", str(gate.port), "-U", "postgres", "-c",
                                 "SELECT 'served'"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                env={**os.environ, "PGCLIENTENCODING": "UTF8"})
        with psql:
            assert "waiting for a server connection" in psql.stderr.readline()
            holder.close()
            assert psql.stdout.read() == "served\n"
        assert psql.returncode == 0


def test_more_connections_than_the_servers_let_in_are_warned_of(cluster):
    """Once for each server, with the numbers."""
    with Gate(cluster, num_init_children=49, max_pool=2, max_client_connections=500) as gate:
        for node in range(len(cluster.servers)):
            gate.log.wait_for(rf"WARNING:  node {node} lets in 97 connections, and up to 102 may be opened to it")
        words = gate.log.since()
        assert words.count("num_init_children * max_pool = 49 * 2 = 98 for clients") == len(cluster.servers)
        assert "At most 500 clients may connect (max_client_connections)." in words
        gate.wait_for_status(0, "up")
        assert gate.log.since().count("lets in 97") == len(cluster.servers)
    with Gate(cluster, num_init_children=31, max_pool=3) as gate:
        gate.wait_for_status(0, "up")
        assert "lets in" not in gate.log.since()


def test_what_one_process_makes_meaningless_is_told_once(cluster):
    with Gate(cluster, child_life_time=1, child_max_connections=1, serialize_accept="on") as gate:
        for _ in range(3):
            assert gate.one("SELECT 1") == 1
        gate.reload(child_max_connections=2, child_life_time=2)
        words = gate.log.since()
        for name in ("child_life_time", "child_max_connections", "serialize_accept"):
            assert words.count(f'"{name}" has no effect: one process serves all clients') == 1, name


def test_a_server_has_no_more_links_than_its_limit(cluster):
    standby = cluster.standbys[0]
    for mode in ("transaction", "session"):
        with Gate(cluster, weights=(0, 1, 0), pool_mode=mode, num_init_children=10, max_pool=1,
                  node_connection_limit_list="0:6, 1:2") as gate:
            clients = [gate.wire(application_name="limited") for _ in range(4)]
            served = []
            for client in clients:
                client.query("BEGIN")
                served.append(int(client.query("SELECT inet_server_port()").one))
            # Reads beyond the standby's limit are the primary's.
            assert [port == standby.port for port in served].count(True) == 2, served
            # Two of the primary's six are for look-ups: the fifth client waits.
            late = gate.wire(application_name="limited")
            late.send(wire.query("SELECT inet_server_port()"))
            for client in clients:
                assert client.query("SELECT 1").one == "1"
            assert cluster.primary.count_backends("application_name = 'limited'") <= 6
            assert standby.count_backends("application_name = 'limited'") <= 2
            clients[0].query("COMMIT")
            clients[0].close()
            assert late.answer(until="Z").one
            for client in (*clients[1:], late):
                client.close()


def test_a_limit_for_a_node_that_is_not_there_is_refused(cluster):
    with Gate(cluster) as gate:
        gate.reload(node_connection_limit_list="7:1")
        gate.log.wait_for('there is no node "7"')
