"""Causal reads: what was written before is seen, on standbys that may be behind."""

import contextlib
import itertools
import random
import threading
import time

import harness
import wire
from gate import Gate
from test_atomicity import meanwhile
from wire import COPY_DONE, SYNC, bind, execute, message, parse, query

STANDBYS = 2
LONG = "30s"  # a wait that is over because something has happened, not because of the time
COUNT = 400  # of what a session does while replay stutters
_numbers = itertools.count(1)


def prepare(cluster):
    cluster.run("CREATE TABLE seen (n int PRIMARY KEY); CREATE TABLE counters (name text PRIMARY KEY, value int);"
                "INSERT INTO counters SELECT 'c' || i, 0 FROM generate_series(0, 20) i;"
                "CREATE FUNCTION write_it(n int) RETURNS int LANGUAGE sql AS 'INSERT INTO seen VALUES (n) RETURNING n';"
                "CREATE FUNCTION sly(n int) RETURNS int LANGUAGE plpgsql STABLE AS"
                " $$ DECLARE r int; BEGIN EXECUTE 'SELECT write_it($1)' INTO r USING n; RETURN r; END $$")


@contextlib.contextmanager
def paused(*standbys):
    """Standbys that receive and don't replay."""
    for standby in standbys:
        standby.run("SELECT pg_wal_replay_pause()")
        with standby.session() as own:
            harness.wait_until(lambda own=own: own.one("SELECT pg_get_wal_replay_pause_state()") == "paused", "replay is paused")
    try:
        yield
    finally:
        for standby in standbys:
            resume(standby)


def resume(standby) -> None:
    standby.run("SELECT pg_wal_replay_resume()")


def is_seen(number: int) -> str:
    return f"SELECT count(*) FROM seen WHERE {number} = n"


# The ways in which a session may write a number, and be told that it is committed.

def by_query(client, number):
    assert client.query(f"INSERT INTO seen VALUES ({number})").tags == ["INSERT 0 1"]


def by_unit(client, number):
    assert client.ask(wire.ask("INSERT INTO seen VALUES ($1)", str(number))).tags == ["INSERT 0 1"]


def by_prepared_statement(client, number):
    assert client.ask(wire.close_statement("w"), parse("INSERT INTO seen VALUES ($1)", "w"), SYNC).kinds == "31Z"
    assert client.ask(bind(str(number), statement="w"), execute(), SYNC).tags == ["INSERT 0 1"]


def by_transaction(client, number):
    for sql in ("BEGIN", f"INSERT INTO seen VALUES ({number})", "SELECT 1", "COMMIT"):
        assert client.query(sql).error is None


def by_several_statements(client, number):
    assert client.query(f"SELECT 1; INSERT INTO seen VALUES ({number}); SELECT 2").error is None


def by_transaction_in_a_text(client, number):
    assert client.query(f"BEGIN; INSERT INTO seen VALUES ({number}); COMMIT").status == "I"


def by_chained_transaction(client, number):
    for sql in ("BEGIN", f"INSERT INTO seen VALUES ({number})", "COMMIT AND CHAIN", "COMMIT"):
        assert client.query(sql).error is None


def by_function(client, number):
    assert client.query(f"SELECT write_it({number})").one == str(number)


def by_cte(client, number):
    assert client.query(f"WITH w AS (INSERT INTO seen VALUES ({number}) RETURNING n) SELECT n FROM w").one == str(number)


def by_copy(client, number):
    assert client.send(query("COPY seen FROM STDIN")).answer(until="G").kinds == "G"
    assert client.ask(message(b"d", f"{number}\n".encode()), COPY_DONE).tags == ["COPY 1"]


def by_do(client, number):
    assert client.query(f"DO $$ BEGIN INSERT INTO seen VALUES ({number}); END $$").error is None


def by_sql_prepare(client, number):
    client.query("DEALLOCATE ALL")
    assert client.query("PREPARE w (int) AS INSERT INTO seen VALUES ($1)").error is None
    assert client.query(f"EXECUTE w ({number})").tags == ["INSERT 0 1"]


def by_two_phases(client, number):
    for sql in ("BEGIN", f"INSERT INTO seen VALUES ({number})", f"PREPARE TRANSACTION 'p{number}'", f"COMMIT PREPARED 'p{number}'"):
        assert client.query(sql).error is None


def by_pipeline(client, number):
    unit = parse(f"INSERT INTO seen VALUES ({number})") + bind() + execute()
    read = parse("SELECT 1") + bind() + execute()
    assert client.ask(read, unit, read, SYNC).error is None


WRITES = (by_query, by_unit, by_prepared_statement, by_transaction, by_several_statements, by_transaction_in_a_text,
          by_chained_transaction, by_function, by_cte, by_copy, by_do, by_sql_prepare, by_two_phases, by_pipeline)


# And the ways in which one may read whether it is there.

def read_by_query(client, number):
    return client.query(is_seen(number)).one


def read_by_unit(client, number):
    return client.ask(parse("SELECT count(*) FROM seen WHERE n = $1"), bind(str(number)), execute(), SYNC).one


def read_in_a_transaction(client, number):
    client.query("BEGIN")
    found = client.query(is_seen(number)).one
    client.query("COMMIT")
    return found


def read_in_a_snapshot(client, number):
    client.query("BEGIN ISOLATION LEVEL REPEATABLE READ")
    found = client.query(is_seen(number)).one
    client.query("COMMIT")
    return found


def read_in_a_read_only_transaction(client, number):
    client.query("BEGIN READ ONLY")
    found = client.query(is_seen(number)).one
    client.query("COMMIT")
    return found


def read_through_a_cursor(client, number):
    client.query("BEGIN")
    client.query(f"DECLARE c CURSOR FOR {is_seen(number)}")
    found = client.query("FETCH 1 FROM c").one
    client.query("COMMIT")
    return found


def read_by_copy(client, number):
    answer = client.query(f"COPY (SELECT n FROM seen WHERE n = {number}) TO STDOUT")
    return str(sum(each.kind == "d" for each in answer.messages))


def read_by_several_statements(client, number):
    return client.query(f"SELECT 1 WHERE false; {is_seen(number)}").rows[0][0]


READS = (read_by_query, read_by_unit, read_in_a_transaction, read_in_a_snapshot, read_in_a_read_only_transaction,
         read_through_a_cursor, read_by_copy, read_by_several_statements)


def served(servers, marks, containing: str) -> int:
    """Statements that these servers were given since their marks."""
    return sum(len(server.statements(mark, containing)) for server, mark in zip(servers, marks, strict=True))


def marks_of(servers) -> list[int]:
    return [server.log.mark() for server in servers]


# Replay that stands still --------------------------------------------------------------------------------------------

def test_without_causal_reads_a_standby_that_is_behind_shows_the_past(cluster):
    with Gate(cluster) as gate, gate.wire() as client, paused(*cluster.standbys):
        number = next(_numbers)
        by_query(client, number)
        assert read_by_query(client, number) == "0"
        assert read_by_unit(client, number) == "0"


def test_a_session_sees_what_it_has_written(cluster):
    for mode in ("session", "global"):
        with Gate(cluster, causal_reads=mode, causal_reads_timeout=10) as gate, paused(*cluster.standbys):
            for number, write in enumerate(WRITES):
                read = READS[number % len(READS)]
                with gate.wire() as client:
                    number = next(_numbers)
                    write(client, number)
                    assert read(client, number) == "1", (mode, write.__name__, read.__name__)
                    assert read_by_query(client, number) == "1", (mode, write.__name__)


def test_all_ways_to_read_see_what_was_written(cluster):
    for mode in ("session", "global"):
        with Gate(cluster, causal_reads=mode, causal_reads_timeout=10) as gate, gate.wire() as client, \
                paused(*cluster.standbys):
            for read in READS:
                number = next(_numbers)
                by_query(client, number)
                assert read(client, number) == "1", (mode, read.__name__)


def test_a_pipeline_reads_what_it_has_written(cluster):
    """Write and read are on their way together."""
    for mode in ("session", "global"):
        with Gate(cluster, causal_reads=mode, causal_reads_timeout=10) as gate, gate.wire() as client, \
                paused(*cluster.standbys):
            for _ in range(20):
                first, second = next(_numbers), next(_numbers)
                client.send(query(f"INSERT INTO seen VALUES ({first})"), query(is_seen(first)),
                            wire.ask("INSERT INTO seen VALUES ($1)", str(second)),
                            wire.ask("SELECT count(*) FROM seen WHERE n = $1", str(second)))
                answers = [client.answer() for _ in range(4)]
                assert (answers[1].one, answers[3].one) == ("1", "1"), mode


def test_other_sessions_see_it_in_global_mode(cluster):
    with Gate(cluster, causal_reads="global", causal_reads_timeout=10) as gate, gate.wire() as writer, \
            gate.wire() as early, paused(*cluster.standbys):
        early.query("SELECT 1")
        for write in WRITES:
            number = next(_numbers)
            write(writer, number)
            assert read_by_query(early, number) == "1", write.__name__
            with gate.wire() as late:
                assert read_by_unit(late, number) == "1", write.__name__


def test_a_write_whose_client_has_left_counts_in_global_mode(cluster):
    with Gate(cluster, causal_reads="global", causal_reads_timeout=10) as gate, gate.wire() as reader, \
            paused(*cluster.standbys):
        for how in ("close", "abort"):
            number = next(_numbers)
            writer = gate.wire()
            by_query(writer, number)
            getattr(writer, how)()
            assert read_by_query(reader, number) == "1", how


def test_a_write_that_fails_costs_nothing_but_is_not_trusted(cluster):
    """The statement that fails may have committed before it failed (COMMIT in a text)."""
    with Gate(cluster, causal_reads="session", causal_reads_timeout=10) as gate, gate.wire() as client, \
            paused(*cluster.standbys):
        number = next(_numbers)
        failed = client.query(f"BEGIN; INSERT INTO seen VALUES ({number}); COMMIT; SELECT 1 / 0")
        assert failed.error["C"] == "22012" and failed.status == "I"
        assert read_by_query(client, number) == "1"


def test_a_repaired_read_counts_as_the_write_that_it_is(cluster):
    """`sly` says that it only reads. A standby refuses it, and the primary does what it really does."""
    for mode in ("session", "global"):
        with Gate(cluster, causal_reads=mode, causal_reads_timeout=10, read_only_function_list="sly,count") as gate, \
                gate.wire() as client, paused(*cluster.standbys):
            for _ in range(3):  # at first repaired, then remembered
                number = next(_numbers)
                assert client.query(f"SELECT sly({number})").one == str(number), mode
                assert read_by_query(client, number) == "1", mode
                number = next(_numbers)
                assert client.ask(parse("SELECT sly($1)"), bind(str(number)), execute(), SYNC).one == str(number), mode
                assert read_by_unit(client, number) == "1", mode


def test_only_the_standby_that_has_it_serves(cluster):
    late, quick = cluster.standbys
    for mode in ("session", "global"):
        with Gate(cluster, causal_reads=mode, causal_reads_timeout=LONG) as gate, gate.wire() as client, paused(late):
            for _ in range(10):
                number, marks = next(_numbers), marks_of(cluster.servers)
                by_query(client, number)
                assert read_by_query(client, number) == "1", mode
                counts = [served([server], [mark], is_seen(number))
                          for server, mark in zip(cluster.servers, marks, strict=True)]
                assert counts == [0, 0, 1], (mode, counts, quick.name)


def test_a_read_waits_for_a_standby(cluster):
    """It is answered by the one that has caught up, not by the primary."""
    for mode in ("session", "global"):
        with Gate(cluster, causal_reads=mode, causal_reads_timeout=LONG) as gate, gate.wire() as client:
            with paused(*cluster.standbys):
                number, marks = next(_numbers), marks_of(cluster.servers)
                by_query(client, number)
                client.send(query(is_seen(number)))
                client.socket.settimeout(0.3)
                with contextlib.suppress(TimeoutError):
                    raise AssertionError(f"{mode}: it is answered with {client.answer()}")
                client.socket.settimeout(wire.NO_ANSWER_LIMIT)
                resume(cluster.standbys[1])
                assert client.answer().one == "1", mode
                assert served(cluster.standbys[1:], marks[2:], is_seen(number)) == 1, mode


def test_a_client_that_waits_can_cancel_and_leave(cluster):
    with Gate(cluster, causal_reads="session", causal_reads_timeout=LONG) as gate, paused(*cluster.standbys):
        number = next(_numbers)
        with gate.wire() as client:
            by_query(client, number)
            client.send(query(is_seen(number)))
            with wire.Wire(gate.port) as canceller:
                canceller.send(wire.cancel_request(client.pid, client.secret)).read_to_end()
            answer = client.answer()
            # The request may have come before the wait has begun, or behind it.
            assert answer.error is None or answer.error["C"] == "57014"
            client.send(query(is_seen(number)))
        assert gate.one("SELECT 1") == 1, "who leaves while it waits harms nobody"


def test_reads_before_any_write_are_the_standbys(cluster):
    with Gate(cluster, causal_reads="session", causal_reads_timeout=LONG) as gate, gate.wire() as client, \
            paused(*cluster.standbys):
        marks = marks_of(cluster.standbys)
        for _ in range(5):
            assert client.query("SELECT count(*) >= 0 FROM seen").one == "t"
        assert served(cluster.standbys, marks, "count(*) >= 0") == 5


def test_a_reload_turns_it_on(cluster):
    with Gate(cluster, causal_reads="off", causal_reads_timeout=10) as gate, gate.wire() as client, \
            paused(*cluster.standbys):
        number = next(_numbers)
        by_query(client, number)
        assert read_by_query(client, number) == "0"
        gate.reload(causal_reads="session")
        number = next(_numbers)
        harness.wait_until(lambda: newly_written_is_seen(client), "a write is seen")


def newly_written_is_seen(client) -> bool:
    number = next(_numbers)
    by_query(client, number)
    return read_by_query(client, number) == "1"


# Replay that goes on -------------------------------------------------------------------------------------------------

def test_standbys_that_have_caught_up_serve_nearly_all_reads(cluster):
    """At least 90 % of the reads that are issued 50 ms after a write."""
    cluster.wait_for_replay()
    for mode in ("session", "global"):
        with Gate(cluster, causal_reads=mode) as gate, gate.wire() as client:
            count, marks = 60, marks_of(cluster.standbys)
            for _ in range(count):
                number = next(_numbers)
                by_query(client, number)
                time.sleep(0.05)
                assert read_by_query(client, number) == "1", mode
            on_standbys = served(cluster.standbys, marks, "SELECT count(*) FROM seen WHERE")
            assert on_standbys >= 0.9 * count, (mode, on_standbys)


def read_alone(client, sql):
    return client.query(sql).one


def read_in_a_unit(client, sql):
    return client.ask(wire.ask(sql)).one


def read_inside(client, sql):
    """In a transaction, behind a read that has nothing to do with it."""
    client.send(query("BEGIN"), query("SELECT 1"), query(sql), query("COMMIT"))
    return [client.answer() for _ in range(4)][2].one


def stutter(standbys, chance: random.Random):
    """Pauses and resumes the replay of standbys, each at moments of its own."""
    sessions = [standby.session() for standby in standbys]

    def act():
        own = chance.choice(sessions)
        own.run(chance.choice(("SELECT pg_wal_replay_pause()", "SELECT pg_wal_replay_resume()")))
        threading.Event().wait(chance.choice((0.001, 0.005, 0.03)))
    return act


def test_nobody_ever_reads_the_past(cluster):
    """Sessions write and read while replay stutters. A counter that only grows is never seen smaller than it was known to
    be: in session mode what the session itself has written, in global mode what anybody was told to be committed."""
    for mode in ("session", "global"):
        with Gate(cluster, causal_reads=mode, causal_reads_timeout=20) as gate:
            known = [0] * 6
            failures = []

            def one(number: int, mode=mode, gate=gate, known=known, failures=failures):
                chance = random.Random(number)
                with gate.wire() as client:
                    for _ in range(COUNT):
                        target = number if mode == "session" else chance.randrange(6)
                        if chance.random() < 0.3:
                            sql = f"UPDATE counters SET value = value + 1 WHERE name = 'c{number}' RETURNING value"
                            answer = client.query(sql) if chance.random() < 0.5 else client.ask(wire.ask(sql))
                            known[number] = max(known[number], int(answer.one))
                        else:
                            least = known[target]
                            sql = f"SELECT value FROM counters WHERE name = 'c{target}'"
                            found = int(chance.choice((read_alone, read_in_a_unit, read_inside))(client, sql))
                            if found < least:
                                failures.append(f"session {number}: c{target} is {found}, was {least}")

            cluster.primary.run("UPDATE counters SET value = 0")
            cluster.wait_for_replay()
            try:
                with meanwhile(stutter(cluster.standbys, random.Random(5))):
                    harness.run_in_parallel(*(lambda number=number: one(number) for number in range(6)))
            finally:
                for standby in cluster.standbys:
                    resume(standby)
            assert not failures, (mode, len(failures), failures[:5])


def test_after_a_promotion_nothing_is_known_of_the_past():
    """Positions of the old timeline say nothing about the new one."""
    for mode in ("session", "global"):
        with harness.Cluster(2) as cluster, Gate(cluster, causal_reads=mode, causal_reads_timeout=10) as gate:
            prepare(cluster)
            new, behind = cluster.standbys
            with gate.wire() as client, gate.session() as asker:
                number = next(_numbers)
                by_query(client, number)
                assert read_by_query(client, number) == "1"
                cluster.wait_for_replay()
                cluster.primary.stop()
                gate.wait_for_status(0, "down", asker)
                new.promote()
                gate.wait_for_primary(1, asker)
                # The other standby follows nobody: it has the old timeline, and will never have what comes now.
                for _ in range(5):
                    assert newly_written_is_seen(client), (mode, behind.name)
