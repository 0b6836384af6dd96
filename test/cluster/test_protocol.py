"""What passes through: both protocols, COPY, notices, notifications, results of any size."""

import io
import struct
import threading

import psycopg2
import psycopg2.extras

import harness
import wire
from gate import Gate
from run import Skip
from wire import FLUSH, SYNC, bind, close_statement, describe_portal, describe_statement, execute, parse

MEBIBYTE = 1 << 20
MEMORY_MAX = 64 * MEBIBYTE
BROKEN = "SELECT 1 / (i - 1) FROM numbers WHERE i = 1"  # fails when it is executed, not when it is planned


def prepare(cluster):
    cluster.run("CREATE TABLE numbers AS SELECT i, 'text of ' || i AS name FROM generate_series(1, 1000) i")


def memory_counts(gate):
    if gate.sanitizer:
        raise Skip("a sanitizer keeps memory for itself")


# The simple protocol -------------------------------------------------------------------------------------------------

def test_results_of_all_shapes(cluster):
    with Gate(cluster) as gate, gate.wire() as client:
        assert client.query("SELECT i, name FROM numbers WHERE i < 3 ORDER BY 1").rows == [
            ("1", "text of 1"), ("2", "text of 2")]
        assert client.query("SELECT NULL, '', 'ä€😀'").rows == [(None, "", "ä€😀")]
        assert client.query("SELECT FROM numbers WHERE i < 4").kinds == "TDDDCZ"
        assert client.query("SELECT 1 WHERE false").kinds == "TCZ"
        assert client.query("").kinds == "IZ"
        assert client.query(" ; ; ").kinds == "IZ"
        assert client.query("-- nothing").kinds == "IZ"
        assert client.query("CREATE TEMP TABLE here (i int)").tags == ["CREATE TABLE"]
        assert client.query("INSERT INTO here VALUES (1), (2) RETURNING i").rows == [("1",), ("2",)]
        several = client.query("SELECT 1; SELECT 2; INSERT INTO here VALUES (3); SELECT count(*) FROM here")
        assert several.rows == [("1",), ("2",), ("3",)] and len(several.tags) == 4


def test_an_error_comes_as_the_server_said_it(cluster):
    statements = ("SELECT 1/0", "SELEC 1", "SELECT * FROM nothing_here", "SELECT 'x'::int", "SELECT no_function(1)",
                  "DO $$ BEGIN RAISE EXCEPTION 'own' USING ERRCODE = 'PT001', HINT = 'a hint', DETAIL = 'a detail'; "
                  "END $$")
    with Gate(cluster) as gate, gate.wire() as client, wire.Wire(cluster.primary.port) as direct:
        direct.log_in(user="postgres", database="postgres")
        for statement in statements:
            through, beside = client.query(statement), direct.query(statement)
            assert through.error == beside.error, statement
            assert through.status == "I"
        assert client.query("SELECT 1; SELECT 1/0; SELECT 2").kinds == "TDCEZ"


def test_notices_come_in_their_order(cluster):
    with Gate(cluster) as gate, gate.wire() as client:
        answer = client.query("DO $$ BEGIN FOR i IN 1..3 LOOP RAISE NOTICE 'number %', i; END LOOP; "
                              "RAISE WARNING 'and a warning'; END $$")
        assert [each["M"] for each in answer.notices] == ["number 1", "number 2", "number 3", "and a warning"]
        assert answer.kinds == "NNNNCZ"


def test_a_change_of_a_reported_parameter_is_told_once(cluster):
    with Gate(cluster) as gate, gate.wire() as client:
        for sql, name, value in (("SET application_name = 'renamed'", "application_name", "renamed"),
                                 ("SET TimeZone = 'Asia/Tokyo'", "TimeZone", "Asia/Tokyo"),
                                 ("SET DateStyle = 'German'", "DateStyle", "German, DMY")):
            told = [each.body for each in client.query(sql).messages if each.kind == "S"]
            assert told == [wire.cstr(name) + wire.cstr(value)], told
        # Our own replay on other servers is nothing to the client.
        assert client.query("SELECT count(*) FROM numbers").kinds == "TDCZ"
        assert client.query("SELECT count(*) FROM numbers FOR UPDATE").kinds.endswith("EZ")
        assert client.query("SELECT i FROM numbers WHERE i = 1 FOR UPDATE").kinds == "TDCZ"


def test_many_queries_sent_at_once_are_answered_in_their_order(cluster):
    with Gate(cluster) as gate, gate.wire() as client:
        queries = [f"SELECT {i}" if i % 3 else f"SELECT {i} FROM numbers WHERE i = 1 FOR UPDATE" for i in range(300)]
        writer = threading.Thread(target=client.send, args=[wire.query(sql) for sql in queries])
        writer.start()
        answers = [client.answer().one for _ in queries]
        writer.join()
        assert answers == [str(i) for i in range(300)]


def test_a_function_call_message_is_answered(cluster):
    with Gate(cluster) as gate, gate.wire() as client:
        oid = int(client.query("SELECT 'pg_catalog.reverse(text)'::regprocedure::oid").one)
        answer = client.ask(wire.function_call(oid, "fast path"))
        assert answer.kinds == "VZ" and answer.messages[0].body[4:] == b"htap tsaf"
        answer = client.ask(wire.function_call(999999999))
        assert answer.kinds == "EZ" and answer.status == "I"
        assert client.query("SELECT 1").one == "1"


def test_notifications_reach_a_client_that_is_idle(cluster):
    with Gate(cluster) as gate, gate.wire() as listener, gate.session() as sender:
        assert listener.query("LISTEN news").tags == ["LISTEN"]
        for number in range(3):
            sender.run(f"NOTIFY news, 'number {number}'")
            arrived = listener.read()
            assert arrived.kind == "A" and arrived.body[4:] == wire.cstr("news") + wire.cstr(f"number {number}")
        # Reads go elsewhere meanwhile; the notification comes all the same.
        assert listener.query("SELECT count(*) FROM numbers").one == "1000"
        sender.run("NOTIFY news, 'last'")
        assert listener.read().body[4:] == b"news\0last\0"
        assert listener.query("UNLISTEN *").kinds == "CZ"


# The extended protocol -----------------------------------------------------------------------------------------------

def test_an_exchange_with_the_unnamed_statement(cluster):
    with Gate(cluster) as gate, gate.wire() as client:
        answer = client.ask(wire.ask("SELECT name FROM numbers WHERE i = $1", "7"))
        assert answer.kinds == "12TDCZ" and answer.one == "text of 7"
        assert client.ask(wire.ask("INSERT INTO numbers SELECT 0, 'x' WHERE $1 = 'never'", "x")).tags == ["INSERT 0 0"]
        assert client.ask(parse("") + bind() + describe_portal() + execute() + SYNC).kinds == "12nIZ"
        assert client.ask(SYNC).kinds == "Z"


def test_a_described_statement_tells_its_parameters_and_columns(cluster):
    with Gate(cluster) as gate, gate.wire() as client:
        answer = client.ask(parse("SELECT name FROM numbers WHERE i = $1", "s") + describe_statement("s") + SYNC)
        assert answer.kinds == "1tTZ"
        assert struct.unpack_from("!HI", answer.messages[1].body) == (1, 23)


def test_a_result_may_be_fetched_in_parts(cluster):
    with Gate(cluster) as gate, gate.wire() as client:
        client.send(parse("SELECT i FROM numbers WHERE i <= 5 ORDER BY i"), bind(), execute(rows=2), FLUSH)
        assert client.answer(until="s").rows == [("1",), ("2",)]
        client.send(execute(rows=2), FLUSH)
        assert client.answer(until="s").rows == [("3",), ("4",)]
        assert client.ask(execute(rows=2), SYNC).rows == [("5",)]


def test_flush_gets_answers_before_sync(cluster):
    with Gate(cluster) as gate, gate.wire() as client:
        assert client.send(parse("SELECT $1::int + 1"), FLUSH).answer(until="1").kinds == "1"
        assert client.send(bind("41"), FLUSH).answer(until="2").kinds == "2"
        assert client.send(execute(), FLUSH).answer(until="C").one == "42"
        assert client.ask(SYNC).kinds == "Z"


def test_after_an_error_messages_are_skipped_until_sync(cluster):
    with Gate(cluster) as gate, gate.wire() as client:
        answer = client.ask(parse(BROKEN), bind(), execute(), parse("SELECT 2"), bind(), execute(), SYNC)
        assert answer.kinds == "12EZ" and answer.error["C"] == "22012"
        assert client.ask(wire.ask("SELECT 3")).one == "3"
        assert client.ask(bind(statement="unknown"), execute(), SYNC).error["C"] == "26000"
        assert client.ask(execute("unknown"), SYNC).error["C"] == "34000"
        assert client.ask(wire.ask("SELECT 4")).one == "4"


def test_statements_before_one_sync_are_one_transaction(cluster):
    cluster.run("CREATE TABLE units (i int)")
    with Gate(cluster) as gate, gate.wire() as client:
        insert = parse("INSERT INTO units VALUES (1)") + bind() + execute()
        broken = parse(BROKEN) + bind() + execute()
        assert client.ask(insert, insert, broken, SYNC).kinds == "12C12C12EZ"
        assert client.ask(insert, broken, insert, SYNC).error["C"] == "22012"
        assert cluster.primary.one("SELECT count(*) FROM units") == 0
        # A read before the write may have been on another server; its failure still takes the write with it.
        assert client.ask(broken, insert, SYNC).error["C"] == "22012"
        assert cluster.primary.one("SELECT count(*) FROM units") == 0
        read = parse("SELECT count(*) FROM numbers") + bind() + execute()
        assert client.ask(read, insert, read, insert, SYNC).tags == ["SELECT 1", "INSERT 0 1"] * 2
        assert cluster.primary.one("SELECT count(*) FROM units") == 2


def test_a_deep_pipeline_does_not_block(cluster):
    """Thousands of statements are on their way before the first answer is read."""
    count = 5000
    with Gate(cluster) as gate, gate.wire() as client:
        unit = (parse("SELECT $1::int, repeat('x', 500)") + bind("1") + execute() + SYNC)
        writer = threading.Thread(target=client.send, args=[unit] * count)
        writer.start()
        for _ in range(count):
            assert client.answer().kinds == "12DCZ"
        writer.join()


def test_a_deep_pipeline_with_one_sync_does_not_block(cluster):
    count = 5000
    with Gate(cluster) as gate, gate.wire() as client:
        unit = parse("SELECT i, name FROM numbers WHERE i = $1") + bind("1") + execute()
        writer = threading.Thread(target=client.send, args=[unit] * count + [SYNC])
        writer.start()
        answer = client.answer()
        writer.join()
        assert answer.kinds == "12DC" * count + "Z"


def test_reads_and_writes_in_one_pipeline(cluster):
    """Units for the standby and units for the primary, all sent before any is answered."""
    cluster.run("CREATE TABLE mixed (i int)")
    with Gate(cluster) as gate, gate.wire() as client:
        units = []
        for number in range(200):
            units += [wire.ask("SELECT $1::int", str(number)), wire.ask("INSERT INTO mixed VALUES ($1)", str(number))]
        writer = threading.Thread(target=client.send, args=units)
        writer.start()
        for number in range(200):
            assert client.answer().one == str(number)
            assert client.answer().tags == ["INSERT 0 1"]
        writer.join()
        assert cluster.primary.one("SELECT sum(i) FROM mixed") == sum(range(200))


def test_the_extended_protocol_through_a_driver(cluster):
    with Gate(cluster) as gate, gate.session() as own:
        with own.connection.cursor() as cursor:
            psycopg2.extras.execute_values(cursor, "INSERT INTO numbers (i) VALUES %s", [(-1,), (-2,)])
            cursor.execute("DELETE FROM numbers WHERE i < 0 RETURNING i")
            assert sorted(cursor.fetchall()) == [(-2,), (-1,)]
        own.connection.autocommit = False
        with own.connection.cursor("server_side") as cursor:
            cursor.itersize = 10
            cursor.execute("SELECT i FROM numbers ORDER BY i")
            assert [row[0] for row in cursor] == list(range(1, 1001))


def test_a_prepared_statement_is_closed_by_its_name(cluster):
    with Gate(cluster) as gate, gate.wire() as client:
        assert client.ask(parse("SELECT 1", "s"), SYNC).kinds == "1Z"
        assert client.ask(parse("SELECT 1", "s"), SYNC).error["C"] == "42P05"
        assert client.ask(close_statement("s"), SYNC).kinds == "3Z"
        assert client.ask(close_statement("s"), SYNC).kinds == "3Z"
        assert client.ask(bind(statement="s"), SYNC).error["C"] == "26000"
        assert client.ask(parse("SELECT 2", "s"), bind(statement="s"), execute(), SYNC).one == "2"


# COPY ----------------------------------------------------------------------------------------------------------------

def test_copy_both_ways(cluster):
    cluster.run("CREATE TABLE copied (i int, t text)")
    lines = "".join(f"{i}\tline {i} {'x' * 100}\n" for i in range(200_000))
    with Gate(cluster) as gate, gate.session() as own, own.connection.cursor() as cursor:
        cursor.copy_expert("COPY copied FROM STDIN", io.StringIO(lines))
        assert own.one("SELECT count(*) FROM ONLY copied WHERE i >= 0 AND pg_is_in_recovery() IS FALSE") == 200_000
        cluster.wait_for_replay()
        for source in ("copied", "(SELECT * FROM copied ORDER BY i)"):
            target = io.StringIO()
            cursor.copy_expert(f"COPY {source} TO STDOUT", target)
            assert target.getvalue() == lines
        assert own.one("SELECT 1") == 1


def test_a_copy_that_fails_leaves_the_session_whole(cluster):
    cluster.run("CREATE TABLE copied_badly (i int)")
    with Gate(cluster) as gate, gate.wire() as client:
        copy = wire.query("COPY copied_badly FROM STDIN")
        # The client gives up.
        assert client.send(copy).answer(until="G").kinds == "G"
        assert client.ask(wire.message(b"d", b"1\n"), wire.message(b"f", b"no more\0")).error["C"] == "57014"
        # The server gives up, and what the client still sends is nobody's.
        client.send(copy).answer(until="G")
        rest = [wire.message(b"d", b"not a number\n")] + [wire.message(b"d", b"2\n" * 1000)] * 500
        assert client.ask(*rest, wire.COPY_DONE).error["C"] == "22P02"
        assert client.query("SELECT 'alive'").one == "alive"
        # Two COPYs in one text, a select between.
        client.send(wire.query("COPY copied_badly FROM STDIN; SELECT 7; COPY copied_badly FROM STDIN"))
        assert client.answer(until="G").kinds == "G"
        client.send(wire.message(b"d", b"3\n"), wire.COPY_DONE)
        assert client.answer(until="G").kinds == "CTDCG"
        assert client.ask(wire.message(b"d", b"4\n"), wire.COPY_DONE).kinds == "CZ"
        assert cluster.primary.one("SELECT array_agg(i ORDER BY i) FROM copied_badly") == [3, 4]


def test_copy_in_the_extended_protocol(cluster):
    cluster.run("CREATE TABLE copied_extended (i int)")
    with Gate(cluster) as gate, gate.wire() as client:
        client.send(parse("COPY copied_extended FROM STDIN"), bind(), execute(), FLUSH)
        assert client.answer(until="G").kinds == "12G"
        assert client.ask(wire.message(b"d", b"1\n2\n"), wire.COPY_DONE, SYNC).kinds == "CZ"
        cluster.wait_for_replay()
        assert client.ask(parse("COPY copied_extended TO STDOUT"), bind(), execute(), SYNC).kinds == "12HddcCZ"
        assert client.query("SELECT 1").one == "1"


# Size ----------------------------------------------------------------------------------------------------------------

def test_a_row_of_forty_megabytes(cluster):
    with Gate(cluster) as gate, gate.session() as own:
        size = 40 * MEBIBYTE
        assert len(own.one(f"SELECT repeat('x', {size})")) == size
        text = "y" * size
        with own.connection.cursor() as cursor:
            cursor.execute("SELECT length(%s)", (text,))
            assert cursor.fetchone() == (size,)


def count_bytes(client: wire.Wire, sql: str, pauses_at: int = 0, paused=lambda: None) -> int:
    """The bytes of a result, read as they come and thrown away."""
    client.send(wire.query(sql), wire.query("SELECT 'the end of it all'"))
    total, tail = 0, b""
    while b"the end of it all" not in tail:
        received = client.socket.recv(MEBIBYTE)
        assert received, "the connection ended inside the result"
        if total < pauses_at <= total + len(received):
            paused()
        total += len(received)
        tail = (tail + received)[-200:]
    return total


def test_a_result_of_any_size_needs_flat_memory(cluster):
    with Gate(cluster) as gate, gate.wire() as client:
        memory_counts(gate)
        rows, width = 25_000, 8192
        total = count_bytes(client, f"SELECT repeat('x', {width}) FROM generate_series(1, {rows})")
        assert total > rows * width
        assert gate.rss(peak=True) < MEMORY_MAX, gate.rss(peak=True)


def test_a_client_that_reads_slowly_holds_the_server_back(cluster):
    with Gate(cluster) as gate, gate.wire() as client, gate.session() as other:
        memory_counts(gate)

        def look():
            # Nobody reads: the server must come to a halt, and others must not.
            harness.wait_until(lambda: any(server.count_backends("wait_event = 'ClientWrite'")
                                           for server in cluster.servers), "the server waits for its reader")
            assert other.one("SELECT 1") == 1
            assert gate.rss(peak=True) < MEMORY_MAX, gate.rss(peak=True)

        rows, width = 10_000, 8192
        total = count_bytes(client, f"SELECT repeat('x', {width}) FROM generate_series(1, {rows})", MEBIBYTE, look)
        assert total > rows * width


def test_a_large_copy_in_needs_flat_memory(cluster):
    cluster.run("CREATE UNLOGGED TABLE copied_large (t text)")
    with Gate(cluster) as gate, gate.wire() as client:
        memory_counts(gate)
        client.send(wire.query("COPY copied_large FROM STDIN")).answer(until="G")
        part = wire.message(b"d", (b"x" * 8191 + b"\n") * 8)
        for _ in range(100 * MEBIBYTE // len(part)):
            client.send(part)
        assert client.ask(wire.COPY_DONE).tags == ["COPY 12792"]
        assert gate.rss(peak=True) < MEMORY_MAX, gate.rss(peak=True)
    cluster.run("DROP TABLE copied_large")
