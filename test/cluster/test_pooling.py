"""Links outlive sessions, and carry nothing of one into the next."""

import harness
import wire
from gate import Gate
from wire import SYNC, bind, execute, parse

ON_PRIMARY = "SELECT pg_backend_pid() FROM t WHERE i = 1 FOR UPDATE"
ON_STANDBY = "SELECT pg_backend_pid()"

# With one place for all, a session gets it only after the one before has been cleaned up: no waiting, no guessing.
ONE_PLACE = {"num_init_children": 1, "max_pool": 1}


def prepare(cluster):
    cluster.run("CREATE TABLE t (i int PRIMARY KEY); INSERT INTO t VALUES (1), (2);"
                "CREATE ROLE other SUPERUSER LOGIN; CREATE ROLE weak")
    cluster.run("CREATE DATABASE elsewhere")
    cluster.primary.run("CREATE TABLE t (i int PRIMARY KEY); INSERT INTO t VALUES (1)", dbname="elsewhere")
    cluster.wait_for_replay()


def pids(gate, **changes) -> tuple[int, int]:
    """The server processes of one session, on the standby and on the primary."""
    with gate.session(**changes) as own:
        return own.one(ON_STANDBY), own.one(ON_PRIMARY)


def wait_for_reset(cluster, links):
    """A look-up in the catalog waits for no turn: while the links of the session before are still being reset, it makes
    one of its own, and one of them is then surplus."""
    pids = ", ".join(map(str, links))
    for server in cluster.servers:
        harness.wait_until(lambda server=server: server.one(
            f"SELECT count(*) FROM pg_stat_activity WHERE pid IN ({pids}) AND query <> 'DISCARD ALL'") == 0, "the reset")


def test_a_later_session_gets_the_same_links(cluster):
    with Gate(cluster, **ONE_PLACE, weights=(0, 1, 0)) as gate:
        first = pids(gate)
        for _ in range(5):
            wait_for_reset(cluster, first)
            assert pids(gate) == first


def test_sessions_that_differ_share_nothing(cluster):
    with Gate(cluster, num_init_children=4, max_pool=4, weights=(0, 1, 0)) as gate:
        seen = [pid for changes in ({}, {"user": "other"}, {"dbname": "elsewhere"}, {"application_name": "another"},
                                    {"options": "-c work_mem=1MB"}) for pid in pids(gate, **changes)]
        assert len(set(seen)) == len(seen), seen


def test_nothing_of_a_session_reaches_the_next(cluster):
    with Gate(cluster, **ONE_PLACE, weights=(0, 1, 0)) as gate:
        with gate.wire() as client:
            before = client.query(ON_STANDBY).one, client.query(ON_PRIMARY).one
            for sql in ("SET work_mem = '7MB'", "SET search_path TO nowhere", "CREATE TEMP TABLE left_over (i int)",
                        "PREPARE p AS SELECT 1", "LISTEN news", "SELECT pg_advisory_lock(1)", "SELECT lastval()",
                        "BEGIN", "DECLARE c CURSOR WITH HOLD FOR SELECT 1", "COMMIT", "SET ROLE weak"):
                client.query(sql)
            client.ask(parse("SELECT 1", "s"), SYNC)
            client.ask(bind(statement="s"), execute(), SYNC)
            client.close()
        wait_for_reset(cluster, before)
        with gate.wire() as client:
            assert (client.query(ON_STANDBY).one, client.query(ON_PRIMARY).one) == before
            for suffix in ("", " FROM t WHERE i = 1 FOR UPDATE"):
                assert client.query(f"SELECT current_setting('work_mem'){suffix}").one == "4MB"
                assert client.query(f"SELECT current_user{suffix}").one == "postgres"
            assert client.query("SELECT * FROM left_over").error["C"] == "42P01"
            assert client.query("EXECUTE p").error["C"] == "26000"
            assert client.ask(bind(statement="s"), execute(), SYNC).error["C"] == "26000"
            assert client.query("FETCH 1 FROM c").error["C"] == "34000"
            assert client.query("SELECT count(*) FROM pg_listening_channels() WHERE random() < 2").one == "0"
            assert cluster.primary.one("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == 0


def test_a_transaction_left_open_is_rolled_back_and_its_link_reused(cluster):
    with Gate(cluster, **ONE_PLACE) as gate:
        with gate.wire() as client:
            pid = client.query(ON_PRIMARY).one
            client.query("BEGIN")
            client.query("INSERT INTO t VALUES (99)")
            client.close()
        with gate.wire() as client:
            assert client.query(ON_PRIMARY).one == pid
            assert client.query("SELECT count(*) FROM t WHERE i = 99").one == "0"


def test_reset_queries_are_the_configured_ones(cluster):
    with Gate(cluster, **ONE_PLACE, weights=(0, 1, 0), reset_query_list="ABORT; SET work_mem TO '9MB'") as gate:
        pids(gate)
        with gate.session() as own:
            assert own.one("SELECT current_setting('work_mem')") == "9MB"


def test_a_link_whose_reset_fails_is_closed(cluster):
    with Gate(cluster, **ONE_PLACE, reset_query_list="ABORT; SELECT no_such_function()") as gate:
        first = pids(gate)
        second = pids(gate)
        assert not set(first) & set(second)


def test_without_a_connection_cache_links_end_with_their_session(cluster):
    with Gate(cluster, connection_cache="off") as gate:
        pids(gate)
        for server in cluster.servers:
            harness.wait_until(lambda s=server: s.count_backends("application_name = 'test'") == 0,
                               f"{server.name} has no link left")


def test_idle_links_are_closed_after_their_life_time(cluster):
    with Gate(cluster, connection_life_time=1) as gate:
        pids(gate)
        for server in cluster.servers:
            harness.wait_until(lambda s=server: s.count_backends("application_name = 'test'") == 0,
                               f"{server.name} has no link left")
        pids(gate)


def test_a_session_without_statements_holds_no_link(cluster):
    with Gate(cluster, **ONE_PLACE) as gate:
        idle = [gate.wire() for _ in range(20)]
        with gate.session() as own:
            assert own.one("SELECT 1") == 1
        for client in idle:
            client.close()


def test_the_number_of_links_is_bounded_however_many_pools_there_are(cluster):
    with Gate(cluster, num_init_children=2, max_pool=1) as gate:
        for number in range(10):
            pids(gate, application_name=f"pool {number}")
            for server in cluster.servers:
                # One more may be on its way out.
                harness.wait_until(lambda s=server: s.count_backends("application_name LIKE 'pool%'") <= 2,
                                   f"{server.name} has two links at most")


def test_a_link_that_the_server_has_closed_is_not_given_out(cluster):
    with Gate(cluster, **ONE_PLACE, weights=(0, 1, 0)) as gate:
        for _ in range(3):
            before = pids(gate)
            harness.wait_until(lambda: all(
                server.one("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                           " WHERE application_name = 'test'") == 0 for server in cluster.servers), "no link is left")
            assert not set(pids(gate)) & set(before)


def test_an_idle_session_outlives_its_links(cluster):
    """Nothing was under way: the next statement gets a new link, and the settings are there."""
    with Gate(cluster, weights=(0, 1, 0)) as gate, gate.session() as own:
        own.run("SET work_mem TO '7MB'")
        before = own.one(ON_STANDBY), own.one(ON_PRIMARY)
        harness.wait_until(lambda: all(
            server.one("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                       " WHERE application_name = 'test'") == 0 for server in cluster.servers), "no link is left")
        after = own.one(ON_STANDBY), own.one(ON_PRIMARY)
        assert not set(before) & set(after)
        assert own.one("SELECT current_setting('work_mem')") == "7MB"
        assert own.one("SELECT current_setting('work_mem') FROM t WHERE i = 1 FOR UPDATE") == "7MB"


def test_a_client_killed_in_mid_query_costs_no_link(cluster):
    with Gate(cluster, **ONE_PLACE, weights=(0, 1, 0)) as gate:
        before = pids(gate)
        for sql in ("SELECT count(*) FROM generate_series(1, 1000000000000)",        # a read, on the standby
                    "SELECT repeat('x', 8000), generate_series(1, 1000000000)",  # and one that is sending
                    "SELECT pg_sleep(1)", "INSERT INTO t SELECT 100 + i FROM generate_series(1, 200000) i"):
            client = gate.wire(application_name="test")
            client.send(wire.query(sql))
            harness.wait_until(lambda: any(server.count_backends("state = 'active' AND application_name = 'test'")
                                           for server in cluster.servers), "the statement runs")
            client.abort()
            after = pids(gate)
            assert len(set(after) & set(before)) >= 1, (sql, before, after)
            before = after
        for server, most in zip(cluster.servers, (1, 1, 0), strict=True):
            harness.wait_until(lambda s=server, m=most: s.count_backends("application_name = 'test'") <= m,
                               f"{server.name} has not more links than before")
        assert cluster.primary.one("SELECT count(*) FROM t WHERE i > 100") == 200000, "a write runs to its end"
        cluster.run("DELETE FROM t WHERE i > 100")


def test_a_client_killed_inside_a_copy_costs_no_link(cluster):
    with Gate(cluster, **ONE_PLACE) as gate:
        for reply in ("G", "d"):
            client = gate.wire(application_name="test")
            client.send(wire.query("COPY t FROM STDIN" if reply == "G" else
                                   "COPY (SELECT repeat('x', 8000), generate_series(1, 1000000000)) TO STDOUT"))
            client.answer(until=reply)
            client.send(wire.message(b"d", b"500\n"))
            client.abort()
            pids(gate)
        assert cluster.primary.one("SELECT count(*) FROM t WHERE i = 500") == 0
        for server in cluster.servers:
            harness.wait_until(lambda s=server: s.count_backends("application_name = 'test'") <= 1,
                               f"{server.name} has one link at most")


def test_many_clients_come_and_go(cluster):
    """Reconnecting clients in parallel, more than there are places; some leave without a word."""
    with Gate(cluster, num_init_children=3, max_pool=1) as gate:
        def visit(number):
            for turn in range(25):
                with gate.session(application_name=f"app {number % 2}") as own:
                    own.run(f"SET work_mem TO '{1 + number}MB'")
                    assert own.one(f"SELECT {turn}") == turn
                    assert own.one("SELECT current_setting('work_mem')") == f"{1 + number}MB"
                    own.run(f"UPDATE t SET i = i WHERE i = {1 + number % 2}")
                    if turn % 5 == 4:
                        own.run("BEGIN")

        harness.run_in_parallel(*(lambda number=number: visit(number) for number in range(8)))
        for server in cluster.servers:
            assert server.count_backends("application_name LIKE 'app%'") <= 3
