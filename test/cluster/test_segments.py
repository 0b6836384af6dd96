"""Extended units that are served in parts: Flush, portals on a standby, and a change of servers before the Sync."""

import harness
from gate import Gate
from wire import FLUSH, SYNC, bind, cstr, describe_portal, execute, message, parse, query

PORT = "SELECT inet_server_port()"
BROKEN = "SELECT 1 / (i - 1) FROM t WHERE i = 1"


def prepare(cluster):
    cluster.run("CREATE TABLE t (i int PRIMARY KEY, note text); INSERT INTO t SELECT generate_series(1, 100)")


def run_one(sql: str, portal: str = "", rows: int = 0, name: str = "") -> bytes:
    return parse(sql, name) + bind(statement=name, portal=portal) + execute(portal, rows)


def is_standby(cluster, answer) -> bool:
    return int(answer.rows[0][0]) != cluster.primary.port


def count(cluster, note: str) -> int:
    return cluster.primary.one(f"SELECT count(*) FROM t WHERE note = '{note}'")


def insert(number: int, note: str) -> str:
    return f"INSERT INTO t VALUES ({number}, '{note}')"


def test_a_part_that_ends_with_flush_is_balanced(cluster):
    with Gate(cluster) as gate, gate.wire() as client:
        first = client.send(parse(PORT, "p"), message(b"D", b"S" + cstr("p")), FLUSH).answer(until="TE")
        assert first.kinds == "1tT"
        answer = client.ask(bind(statement="p"), execute(), SYNC)
        assert answer.kinds == "2DCZ" and is_standby(cluster, answer)


def test_a_unit_goes_on_at_the_primary_after_its_reads(cluster):
    with Gate(cluster) as gate, gate.wire() as client:
        reads = client.send(run_one(PORT), FLUSH).answer(until="CE")
        assert reads.kinds == "12DC" and is_standby(cluster, reads)
        client.send(run_one(insert(1001, "goes on")), FLUSH)
        assert client.answer(until="CE").kinds == "12C"
        later = client.ask(run_one(PORT), SYNC)
        assert later.kinds == "12DCZ" and later.status == "I"
        assert not is_standby(cluster, later), "after the write the unit stays where it is"
        assert count(cluster, "goes on") == 1
        # Sent without waiting for anything, it is the same.
        answer = client.ask(run_one(PORT), FLUSH, run_one(insert(1002, "at once")), FLUSH, run_one(PORT), SYNC)
        assert answer.kinds == "12DC12C12DCZ"
        assert is_standby(cluster, answer) and int(answer.rows[1][0]) == cluster.primary.port
        assert count(cluster, "at once") == 1


def test_an_error_in_any_part_leaves_nothing(cluster):
    with Gate(cluster) as gate, gate.wire() as client:
        for number, parts in enumerate((
                (BROKEN, insert(2001, "lost")),
                (PORT, BROKEN, insert(2002, "lost")),
                (PORT, insert(2003, "lost"), BROKEN),
                (PORT, insert(2004, "lost"), "INSERT INTO t VALUES (1, 'taken')"),
                (insert(2005, "lost"), BROKEN, PORT))):
            answer = client.ask(*(part for sql in parts for part in (run_one(sql), FLUSH)), SYNC)
            assert answer.kinds.count("E") == 1 and answer.status == "I", (number, answer.kinds)
            assert count(cluster, "lost") == 0, number
            assert client.query("SELECT 1").one == "1"


def test_an_error_is_answered_before_the_sync_comes(cluster):
    with Gate(cluster) as gate, gate.wire() as client:
        client.send(run_one(BROKEN), FLUSH)
        assert client.answer(until="E").kinds == "12E"
        client.send(run_one(insert(2101, "skipped")), FLUSH, run_one(PORT))
        answer = client.ask(SYNC)
        assert answer.kinds == "Z" and answer.status == "I"
        assert count(cluster, "skipped") == 0


def test_a_named_portal_is_fetched_in_parts_from_a_standby(cluster):
    with Gate(cluster) as gate, gate.wire() as client:
        assert client.query("BEGIN").status == "T"
        client.ask(parse("SELECT i, inet_server_port() FROM t WHERE i <= 5 ORDER BY i", "c"), bind(statement="c", portal="p"), SYNC)
        seen = []
        for _ in range(3):
            answer = client.ask(execute("p", 2), SYNC)
            seen += answer.rows
        assert [int(row[0]) for row in seen] == [1, 2, 3, 4, 5]
        assert all(int(row[1]) != cluster.primary.port for row in seen)
        # A write goes to the primary, and the portal stays where it is.
        client.ask(bind(statement="c", portal="q"), SYNC)
        assert client.ask(run_one(insert(3001, "beside a portal")), SYNC).kinds == "12CZ"
        answer = client.ask(execute("q", 1), SYNC)
        assert int(answer.rows[0][1]) != cluster.primary.port and answer.kinds == "DsZ"
        assert client.query("COMMIT").tags == ["COMMIT"]
        assert count(cluster, "beside a portal") == 1
        assert client.ask(execute("q", 1), SYNC).error["C"] == "34000"


def test_a_write_and_a_portal_of_a_standby_in_one_unit(cluster):
    failing = "SELECT 1 / (i - 3) FROM generate_series(1, 5) i"
    with Gate(cluster) as gate, gate.wire() as client:
        # Outside of a transaction: the portal lives until the Sync.
        client.send(parse("SELECT i FROM t WHERE i <= 5 ORDER BY i"), bind(), execute("", 2), FLUSH)
        assert client.answer(until="sE").kinds == "12DDs"
        answer = client.ask(parse(insert(4001, "between"), "w"), bind(statement="w", portal="w"), execute("w"), execute("", 2), SYNC)
        assert answer.kinds == "12CDDsZ" and count(cluster, "between") == 1
        # The portal fails after the write: nothing of the unit is left.
        client.send(parse(failing), bind(), execute("", 2), FLUSH)
        assert client.answer(until="sE").kinds == "12DDs"
        answer = client.ask(parse(insert(4002, "undone"), "x"), bind(statement="x", portal="x"), execute("x"), execute("", 2), SYNC)
        assert answer.kinds == "12CEZ" and answer.error["C"] == "22012" and answer.status == "I"
        assert count(cluster, "undone") == 0
        # And in a transaction.
        client.query("BEGIN")
        client.ask(parse(failing, "f"), bind(statement="f", portal="f"), execute("f", 2), SYNC)
        answer = client.ask(run_one(insert(4003, "undone"), name="y"), execute("f", 2), SYNC)
        assert answer.kinds == "12CEZ" and answer.status == "E"
        assert client.query("COMMIT").tags == ["ROLLBACK"]
        assert count(cluster, "undone") == 0


def test_a_standby_that_is_lost_within_a_unit(cluster):
    with harness.Cluster(standbys=1) as own, Gate(own) as gate, gate.wire() as client:
        own.run("CREATE TABLE t (i int PRIMARY KEY, note text)")
        client.send(run_one(PORT), FLUSH)
        assert is_standby(own, client.answer(until="CE"))
        own.standbys[0].run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name <> 'harness'"
                            " AND backend_type = 'client backend'")
        client.send(run_one(PORT), FLUSH)
        assert client.answer(until="E").error["C"] in ("57P01", "08006")
        answer = client.ask(run_one(insert(1, "x")), SYNC)
        assert answer.kinds == "Z" and answer.status == "I"
        assert own.primary.one("SELECT count(*) FROM t") == 0
        assert client.query("SELECT 1").one == "1"


def test_thousands_of_messages_with_flushes(cluster):
    import threading
    with Gate(cluster) as gate, gate.wire() as client:
        parts = []
        for number in range(2000):
            sql = f"SELECT {number}" if number % 500 else insert(50000 + number, "deep")
            parts.append(run_one(sql) + (FLUSH if number % 3 == 0 else b""))
        writer = threading.Thread(target=client.send, args=[*parts, SYNC])
        writer.start()
        answer = client.answer()
        writer.join()
        assert answer.kinds.count("C") == 2000 and answer.status == "I", answer.error
        assert [int(row[0]) for row in answer.rows] == [n for n in range(2000) if n % 500]
        assert count(cluster, "deep") == 4


def test_a_query_inside_a_unit_ends_it(cluster):
    with Gate(cluster) as gate, gate.wire() as client:
        client.send(run_one(PORT), FLUSH)
        assert is_standby(cluster, client.answer(until="CE"))
        answer = client.ask(query(insert(6001, "by query")))
        assert answer.kinds == "CZ" and count(cluster, "by query") == 1
        assert client.query("SELECT 2").one == "2"
        answer = client.ask(run_one(PORT), SYNC)
        assert answer.kinds == "12DCZ" and is_standby(cluster, answer)


def test_the_end_of_a_unit_reaches_all_its_servers(cluster):
    """And at once: the client may send nothing for long after it, while others wait for the links."""
    with Gate(cluster, pool_mode="transaction", num_init_children=1, max_pool=1, query_wait_timeout="5s") as gate:
        for end in (SYNC, query("SELECT 1")):
            with gate.wire() as first, gate.wire() as second:
                for part in (PORT, "UPDATE t SET note = note WHERE i = 5"):
                    assert first.send(run_one(part), FLUSH).answer(until="CE").kinds.endswith("C")
                assert not first.ask(end).error
                assert not second.query(PORT).error
