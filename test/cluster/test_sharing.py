"""Pool modes in which sessions share links: each client sees what it would see on a connection of its own."""

import os
import random
import re
import threading

import harness
import replies
import wire
from gate import Gate
from wire import FLUSH, SYNC, bind, close_statement, execute, parse, query

STANDBYS = 1
COUNT = int(os.environ.get("PGTORII_SCRIPTS", 60))
TEST_LIMIT = 180 + COUNT  # seconds
FIRST_SEED = int(os.environ.get("PGTORII_SEED", 1))
ONE_LINK = {"pool_mode": "transaction", "num_init_children": 1, "max_pool": 1}
PRIMARY_PID = "SELECT pg_backend_pid() FROM place FOR UPDATE"

SETTINGS = ("work_mem", "DateStyle", "search_path", "extra_float_digits", "own.setting")
PLAIN = [
    *(f"SHOW {name}" for name in ("work_mem", "DateStyle", "search_path", "extra_float_digits")),
    "SELECT nullif(current_setting('own.setting', true), '')", "SELECT current_user, session_user", "SELECT name FROM place",
    "SELECT '02/03/2020'::date", "SELECT 1 / 0", "SELEC", "SELECT 1; SELECT 2", "SELECT name FROM place FOR UPDATE",
    "SELECT count(*) FROM nowhere", "SHOW transaction_isolation", "EXECUTE p", "EXECUTE q", "VALUES (1), (2)",
]
CHANGES = [
    "SET work_mem = '7MB'", "SET work_mem = '9MB'", "RESET work_mem", "SET DateStyle = 'German'", "SET DateStyle = 'SQL, DMY'",
    "RESET DateStyle", "SET search_path = two", "SET search_path = one, two", "RESET search_path", "SET own.setting = 'it''s'",
    "RESET own.setting", "SET ROLE weak", "RESET ROLE", "SET ROLE NONE", "SET SESSION AUTHORIZATION weak",
    "RESET SESSION AUTHORIZATION", "RESET ALL", "DISCARD ALL", "SET LOCAL work_mem = '3MB'", "SET LOCAL search_path = two",
    "SET work_mem = 'nonsense'", "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY", "SET default_transaction_read_only = off",
    "SELECT 'x'; SET extra_float_digits = 0", "SET extra_float_digits = 2; SELEC", "SET work_mem = '5MB'; SELECT 1/0",
    "PREPARE p AS SELECT name, '02/03/2020'::date FROM place", "PREPARE q AS SELECT 2", "DEALLOCATE p", "DEALLOCATE ALL",
]
FRAMES = ["BEGIN", "BEGIN", "COMMIT", "COMMIT", "ROLLBACK", "SAVEPOINT a", "ROLLBACK TO a", "RELEASE a", "COMMIT AND CHAIN"]
NAMED = ["SELECT name FROM place", "SELECT '02/03/2020'::date, current_user", "SELECT $1::int + 1", "SELECT 1 / 0"]


def prepare(cluster):
    cluster.primary.run("CREATE SCHEMA one; CREATE SCHEMA two")
    cluster.primary.run("ALTER DATABASE postgres SET search_path TO one")
    cluster.primary.run("CREATE TABLE one.place (name text); INSERT INTO one.place VALUES ('one');"
                        "CREATE TABLE two.place (name text); INSERT INTO two.place VALUES ('two');"
                        "CREATE ROLE weak; GRANT USAGE ON SCHEMA one, two TO weak; GRANT SELECT ON one.place TO weak;"
                        "GRANT SELECT, UPDATE ON two.place TO weak; CREATE SEQUENCE one.s;"
                        "CREATE FUNCTION one.unknown() RETURNS int VOLATILE LANGUAGE sql AS 'SELECT 1'")
    cluster.primary.run("CREATE DATABASE elsewhere")
    cluster.wait_for_replay()


def groups(seed: int) -> list[bytes]:
    """A script: each part ends with a message that is answered by ReadyForQuery."""
    chance = random.Random(seed)
    made = []
    for _ in range(chance.randint(10, 40)):
        kind = chance.random()
        if kind < 0.35:
            made.append(query(chance.choice(PLAIN)))
        elif kind < 0.6:
            made.append(query(chance.choice(CHANGES)))
        elif kind < 0.75:
            made.append(query(chance.choice(FRAMES)))
        else:
            part = b""
            for _ in range(chance.randint(1, 3)):
                name = chance.choice(("", "s", "t"))
                what = chance.random()
                if what < 0.4:
                    part += (close_statement(name) if chance.random() < 0.7 else b"") + parse(chance.choice(NAMED), name)
                elif what < 0.8:
                    part += bind(*chance.choice(((), ("4",))), statement=name) + execute()
                elif what < 0.9:
                    part += parse(chance.choice((*PLAIN[:8], "BEGIN", "COMMIT"))) + bind() + execute()
                else:
                    part += close_statement(name)
            made.append(part + SYNC)
    return made


def play(port: int, script: list[bytes]) -> list[list[wire.Message]]:
    """The answers to each part."""
    with wire.Wire(port).log_in(user="postgres", database="postgres", application_name="sharing") as client:
        found = []
        for part in script:
            client.send(part)
            found.append([replies.comparable(each) for each in client.answer().messages])
        return found


def is_as_wanted(wanted: list[wire.Message], got: list[wire.Message], in_failed: bool) -> bool:
    """What a link does not have can't be brought into a failed transaction: it refuses all the same."""
    errors = [[each for each in side if each.kind != "E"] for side in (wanted, got)]
    return wanted == got or (in_failed and errors[0] == errors[1])


def difference(seed: int, script: list[bytes], at: int, wanted: list[wire.Message], got: list[wire.Message]) -> str:
    texts = "\n  ".join(str(part) for part in script[:at + 1])
    return f"seed {seed}, part {at}\n  {texts}\n  wanted {wanted}\n  got    {got}"


def check(gate: Gate, cluster, first: int, clients: int, count: int):
    wrong = []

    def one(number: int):
        for seed in range(first + number * 100_000, first + number * 100_000 + count):
            script = groups(seed)
            wanted, got = play(cluster.primary.port, script), play(gate.port, script)
            is_failed = False
            for at, (left, right) in enumerate(zip(wanted, got, strict=True)):
                if not is_as_wanted(left, right, is_failed):
                    wrong.append(difference(seed, script, at, left, right))
                    return
                is_failed = left[-1].body == b"E"

    harness.run_in_parallel(*(lambda number=number: one(number) for number in range(clients)))
    assert not wrong, "\n" + "\n".join(wrong[:3])


def links(cluster, server) -> int:
    return server.one("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'sharing'")


def test_random_sessions_over_one_link(cluster):
    """A client in a transaction has the link; the others wait for it."""
    with Gate(cluster, **ONE_LINK, weights=(1, 0)) as gate:
        check(gate, cluster, FIRST_SEED, clients=3, count=COUNT // (4 if Gate.sanitizer else 1))
        assert links(cluster, cluster.primary) <= 3  # two of them look-ups'


def test_random_sessions_over_a_link_to_each_server(cluster):
    with Gate(cluster, **ONE_LINK) as gate:
        check(gate, cluster, 1_000_000 + FIRST_SEED, clients=3, count=COUNT // (4 if Gate.sanitizer else 1))


def test_random_sessions_over_more_links_than_needed(cluster):
    with Gate(cluster, pool_mode="transaction", statement_level_load_balance="on", weights=(1, 1)) as gate:
        check(gate, cluster, 2_000_000 + FIRST_SEED, clients=4, count=COUNT // (4 if Gate.sanitizer else 1))


class Turns:
    """Sessions that play their scripts in turn: each transaction's predecessor on its link is known."""

    def __init__(self, gate: Gate, cluster, chance: random.Random):
        self._gate = gate
        self._primary = cluster.primary
        self._chance = chance
        self._last_users: dict[str, int] = {}  # sessions, by the process id of the link's server
        self._last = -1
        self.transactions = self.from_others = 0

    def play(self, seeds: list[int], at_once: int) -> None:
        """Each seed's script in a session of its own; a session in a transaction goes on until that is over. What is
        left of the last one, when it is alone, is not played."""
        ahead, now = list(seeds), {}
        while ahead or len(now) > 1:
            while ahead and len(now) < at_once:
                seed = ahead.pop()
                script = groups(seed)
                client = wire.Wire(self._gate.port).log_in(user="postgres", database="postgres",
                                                           application_name="sharing")
                now[seed] = (client, script, iter(enumerate(play(self._primary.port, script))))
            others = [seed for seed in now if seed != self._last]
            self._last = self._chance.choice(others if self._chance.random() < 0.99 else list(now))
            if not self._transaction(self._last, *now[self._last]):
                now.pop(self._last)[0].close()
        for client, *_ in now.values():
            client.close()

    def _transaction(self, seed: int, client: wire.Wire, script: list[bytes], ahead) -> bool:
        """False at the end of the script."""
        status, used = b"I", []
        for at, wanted in ahead:
            mark = self._primary.log.mark()
            client.send(script[at])
            got = [replies.comparable(each) for each in client.answer().messages]
            assert is_as_wanted(wanted, got, status == b"E"), difference(seed, script, at, wanted, got)
            used += re.findall(r"^(\d+)\|sharing\|.*LOG:  (?:statement|execute)", self._primary.log.since(mark), re.MULTILINE)
            status = got[-1].body
            if status == b"I":
                break
        if used:
            self.transactions += 1
            self.from_others += self._last_users.get(used[0], seed) != seed
            self._last_users.update((pid, seed) for pid in used)
        return status == b"I" and at + 1 < len(script)


def test_random_sessions_in_turn_over_one_link(cluster):
    """Nearly each transaction finds what another session has left on its link."""
    with Gate(cluster, **ONE_LINK, weights=(1, 0)) as gate:
        turns = Turns(gate, cluster, random.Random(FIRST_SEED))
        seeds = range(3_000_000 + FIRST_SEED, 3_000_000 + FIRST_SEED + COUNT // (4 if Gate.sanitizer else 1))
        turns.play(list(seeds), at_once=5)
        share = turns.from_others / turns.transactions
        print(f"{turns.transactions} transactions, {share:.1%} of them on a link that another session used just before")
        assert share >= 0.9


def test_one_link_serves_many_sessions_in_turn(cluster):
    with Gate(cluster, **ONE_LINK, weights=(1, 0)) as gate:
        clients = [gate.wire() for _ in range(20)]
        pids = {client.query(PRIMARY_PID).one for _ in range(10) for client in clients}
        assert len(pids) == 1
        for client in clients:
            client.close()


def test_a_transaction_keeps_its_link(cluster):
    with Gate(cluster, **ONE_LINK, weights=(1, 0)) as gate, gate.wire() as first, gate.wire() as second:
        first.query("BEGIN")
        pid = first.query(PRIMARY_PID).one
        second.send(query(PRIMARY_PID))
        assert first.query(PRIMARY_PID).one == pid
        first.query("SET LOCAL work_mem = '7MB'")
        assert first.query("SHOW work_mem").one == "7MB"
        first.query("COMMIT")
        answer = second.answer()
        assert answer.one == pid and second.query("SHOW work_mem").one == "4MB"


def keeps(cluster, *texts: str, **settings) -> bool:
    """Whether a session keeps its link after these: with two links, the other client's statement gets the other one."""
    # One worker: a link is back before the next statement of any client is read.
    with Gate(cluster, pool_mode="transaction", num_init_children=2, max_pool=1, weights=(1, 0), worker_threads=1,
              **settings) as gate:
        with gate.wire() as first, gate.wire() as second:
            for text in texts:
                first.query(text)
            # An audit may be under way when the other one asks: a session that keeps its link does so each time.
            for _ in range(5):
                pid = first.query(PRIMARY_PID).one
                if pid == second.query(PRIMARY_PID).one or first.query(PRIMARY_PID).one != pid:
                    return False
            return True


def test_what_keeps_a_session_on_its_link(cluster):
    for text in ("CREATE TEMP TABLE own (i int)", "LISTEN news", "SELECT pg_advisory_lock(1)", "LOAD 'plpgsql'",
                 "DECLARE c CURSOR WITH HOLD FOR SELECT 1", "SELECT nextval('s')",
                 "SELECT set_config('work_mem', '7MB', false)", "SELECT pg_advisory_lock(1), 1 / (length(name) - 3) FROM place",
                 "SELECT name AS n INTO pg_temp.copied FROM place", "SELECT setseed(0.5)", "SET seed = 0.5",
                 "UPDATE pg_settings SET setting = '7MB' WHERE name = 'work_mem'",
                 "SELECT query_to_xml('SELECT set_config(''work_mem'', ''7MB'', false)', true, true, '') IS NULL",
                 "DO $$ BEGIN PERFORM pg_advisory_lock(9); RAISE EXCEPTION 'x'; END $$"):
        assert keeps(cluster, text), text
        assert not keeps(cluster, text, "DISCARD ALL"), text


def test_a_pinned_session_ends_when_its_link_is_lost_while_it_is_made_ready(cluster):
    """On another link it would go on without its temporary table, and not know it."""
    with Gate(cluster, **ONE_LINK, weights=(1, 0)) as gate, gate.wire() as client, gate.wire() as other:
        client.query("PREPARE p AS SELECT name FROM place")
        other.query("DISCARD ALL")  # so that it has to be prepared again
        client.query("CREATE TEMP TABLE own (i int)")
        with cluster.primary.session() as holder:
            holder.run("BEGIN")
            holder.run("LOCK TABLE one.place")
            client.send(query("EXECUTE p"))
            waits = "wait_event_type = 'Lock' AND query LIKE '%SELECT name FROM place'"
            harness.wait_until(lambda: cluster.primary.count_backends(waits), "it is prepared")
            cluster.primary.one(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {waits}")
            answer = client.answer()
        assert (answer.kinds, answer.error["S"], answer.error["C"]) == ("E", "FATAL", "08006"), answer
        assert other.query("SELECT 1").one == "1"


def test_show_pool_pins(cluster):
    # An audit would find at once that nothing is left.
    with Gate(cluster, pool_mode="transaction", weights=(1, 0), pin_unknown_functions="pin") as gate, \
            gate.session() as asker, gate.wire() as client:
        client.query("PREPARE p AS SELECT 1")
        client.query("SELECT 1; EXECUTE p")
        # It is found when the client has its answer already.
        (*_, reason, _), = harness.wait_until(lambda: asker.rows("SHOW POOL_PINS"), "the pin is shown")
        assert reason == "a statement that may have any effect"
        client.query("DISCARD ALL")
        harness.wait_until(lambda: asker.rows("SHOW POOL_PINS") == [], "the end of the pin")
    with Gate(cluster, pool_mode="transaction", weights=(1, 0)) as gate, gate.session() as asker:
        assert asker.rows("SHOW POOL_PINS") == []
        with gate.session(application_name="one") as one, gate.session(application_name="two") as two:
            one.run("CREATE TEMP TABLE own (i int)")
            two.run("PREPARE p AS SELECT pg_advisory_lock(1)")
            two.run("EXECUTE p")
            found = [(name, reason) for _, _, name, _, reason, _ in asker.rows("SHOW POOL_PINS")]
            assert found == [("one", "temporary tables"), ("two", "advisory locks")]
            one.run("DISCARD ALL")
            (user, database, name, client, reason, since), = asker.rows("SHOW POOL_PINS")
            assert (user, database, name) == ("postgres", "postgres", "two") and client.startswith("127.0.0.1(") and since
        harness.wait_until(lambda: asker.rows("SHOW POOL_PINS") == [], "the end of the pinned session")


def test_what_does_not(cluster):
    for text in ("SET work_mem = '7MB'", "PREPARE p AS SELECT 1", "SELECT pg_advisory_xact_lock(1)", "SELECT 1 / 0",
                 "BEGIN; SELECT 1; COMMIT", "SET ROLE weak; RESET ROLE", "SELECT count(*) FROM place",
                 "UNLISTEN *"):
        assert not keeps(cluster, text), text


def test_what_a_function_may_have_left(cluster):
    for text in ("SELECT unknown()", "DO $$ BEGIN END $$"):
        assert not keeps(cluster, text), text
        assert keeps(cluster, text, pin_unknown_functions="pin"), text
    assert not keeps(cluster, "SELECT unknown()", pin_unknown_functions="trust")


# A body of plpgsql, and what takes back what it leaves.
LEAVING = (("PERFORM set_config('work_mem', '7MB', false)", "RESET work_mem"),
           ("CREATE TEMP TABLE own (i int)", "DROP TABLE own"),
           ("LISTEN news", "UNLISTEN news"),
           ("PERFORM pg_advisory_lock(5)", "SELECT pg_advisory_unlock(5)"),
           ("EXECUTE 'PREPARE hidden AS SELECT 1'", "DEALLOCATE hidden"))


def test_an_audit_finds_what_a_function_has_left(cluster):
    for body, cure in LEAVING:
        do = f"DO $$ BEGIN {body}; END $$"
        assert keeps(cluster, do), body
        assert keeps(cluster, do, "SELECT 1", "SELECT count(*) FROM place"), body
        assert not keeps(cluster, do, cure), body
        assert not keeps(cluster, do, "DISCARD ALL"), body
    with Gate(cluster, pool_mode="transaction", weights=(1, 0)) as gate, gate.wire() as client, gate.session() as asker:
        client.query("DO $$ BEGIN SET ROLE weak; END $$")
        assert client.query("SELECT current_user").one == "weak" and len(asker.rows("SHOW POOL_PINS")) == 1
        client.query("RESET ROLE")
        harness.wait_until(lambda: asker.rows("SHOW POOL_PINS") == [], "the end of the pin")
    # Among settings of the session's own, too, whose look in an audit is learned first.
    own = "SET statement_timeout = '1min'"
    assert not keeps(cluster, own, "SELECT unknown()")
    assert keeps(cluster, own, "DO $$ BEGIN SET work_mem = '7MB'; END $$")
    assert keeps(cluster, own, "DO $$ BEGIN SET statement_timeout = '2min'; END $$")


def test_a_pin_ends_with_its_cause(cluster):
    for texts in (("CREATE TEMP TABLE own (i int)", "DROP TABLE own"), ("LISTEN news", "UNLISTEN news"),
                  ("BEGIN; CREATE TEMP TABLE own (i int) ON COMMIT DROP; COMMIT",),
                  ("BEGIN; CREATE TEMP TABLE own (i int)", "ROLLBACK"), ("BEGIN; LISTEN news", "ROLLBACK"),
                  ("SELECT pg_advisory_lock(1)", "SELECT pg_advisory_unlock(1)"),
                  ("DECLARE c CURSOR WITH HOLD FOR SELECT 1", "CLOSE c"),
                  ("SELECT set_config('work_mem', '7MB', false)", "RESET work_mem")):
        assert not keeps(cluster, *texts), texts
    for texts in (("LISTEN news", "LISTEN more", "UNLISTEN news"), ("CREATE TEMP TABLE own (i int)", "DROP VIEW IF EXISTS none"),
                  ("SELECT pg_advisory_lock(1)", "SELECT pg_advisory_lock(1)", "SELECT pg_advisory_unlock(1)")):
        assert keeps(cluster, *texts), texts


def test_sequence_functions_tell_nothing_of_others(cluster):
    with Gate(cluster, **ONE_LINK, weights=(1, 0)) as gate:
        with gate.wire() as first:
            first.query("SELECT nextval('s')")
            assert first.query("SELECT currval('s') = lastval()").one == "t"
            first.query("CREATE TABLE numbered (i serial); INSERT INTO numbered DEFAULT VALUES")
        for ask in (lambda client, text: client.query(text), lambda client, text: client.ask(wire.ask(text))):
            with gate.wire() as writer, gate.wire() as reader:
                writer.query("INSERT INTO numbered DEFAULT VALUES")
                for text in ("SELECT lastval()", "SELECT currval('s')", "SELECT currval('numbered_i_seq')"):
                    assert ask(reader, text).error["C"] == "55000", text
        cluster.primary.run("DROP TABLE one.numbered")


def test_a_name_of_two_sessions_is_two_statements(cluster):
    with Gate(cluster, **ONE_LINK) as gate, gate.wire() as first, gate.wire() as second:
        first.ask(parse("SELECT 'first'", "s") + SYNC)
        assert second.ask(bind(statement="s") + execute() + SYNC).error["C"] == "26000"
        second.ask(parse("SELECT 'second'", "s") + SYNC)
        for _ in range(3):
            assert first.ask(bind(statement="s") + execute() + SYNC).one == "first"
            assert second.ask(bind(statement="s") + execute() + SYNC).one == "second"
        assert second.query("EXECUTE s").one == "second"
        second.query("DEALLOCATE ALL")
        assert second.query("EXECUTE s").error["C"] == "26000"
        assert first.query("EXECUTE s").one == "first"
        first.query("PREPARE t AS SELECT 3")
        assert second.query("EXECUTE t").error["C"] == "26000"
        assert second.query("DEALLOCATE t").error["C"] == "26000"
        assert first.query("EXECUTE t").one == "3"


def run(sql: str) -> bytes:
    return parse(sql) + bind() + execute()


def test_no_text_shows_statements_of_others(cluster):
    with Gate(cluster, **ONE_LINK, weights=(1, 0), worker_threads=1) as gate, gate.wire() as owner, gate.wire() as other:
        owner.query("PREPARE p AS SELECT 'secret' AS x")
        owner.ask(parse("SELECT 'secret ' || length($1)", "s") + SYNC)

        def is_right() -> bool:
            return owner.query("EXECUTE p").one == "secret" and owner.query("EXECUTE s('1')").one == "secret 1"

        for text in ("EXECUTE p", "EXPLAIN (VERBOSE) EXECUTE p", "CREATE TABLE copied AS EXECUTE p", "DEALLOCATE p",
                     "EXECUTE s('x')"):
            for sent in (query(text), run(text) + SYNC, run("SELECT 1") + query(text)):
                assert is_right()
                other.send(sent)
                answer = other.answer()
                assert answer.error and answer.error["C"] == "26000", (text, answer)
        for text in ("SELECT name FROM pg_prepared_statements", "TABLE pg_prepared_statements"):
            assert is_right() and other.query(text).rows == []
        assert is_right() and not other.ask(run("PREPARE p AS SELECT 'other'") + SYNC).error
        assert other.query("EXECUTE p").one == "other" and is_right()
        owner.send(run("SELECT 1") + query("EXECUTE p"))
        assert owner.answer().rows == [("1",), ("secret",)]
        assert other.ask(run("DEALLOCATE ALL") + SYNC).error is None and is_right()
        # Longer than what is looked at.
        long = "/*" + "x" * 70_000 + "*/"
        for sent in (query(f"EXECUTE p {long}"), bind("x" * 80_000, statement="s") + execute() + SYNC):
            with gate.wire() as third:
                third.send(sent)
                assert third.answer().error["C"] == "26000"
            assert is_right()


def test_long_statements_are_not_mistaken_for_others(cluster):
    with Gate(cluster, pool_mode="transaction", num_init_children=2, max_pool=1, weights=(1, 0)) as gate:
        for name in ("s", ""):
            with gate.wire() as owner, gate.wire() as other:
                assert not owner.ask(parse(f"SELECT 'own' /*{'x' * 80_000}*/", name) + SYNC).error
                other.ask(parse("SELECT 'other'", name) + SYNC)
                assert owner.ask(bind(statement=name) + execute() + SYNC).one == "own"


def test_what_a_server_skips_is_not_there(cluster):
    with Gate(cluster, **ONE_LINK, weights=(1, 0), worker_threads=1) as gate, gate.wire() as first, gate.wire() as second:
        first.query("PREPARE p AS SELECT 'first'")
        second.query("PREPARE p AS SELECT 'second'")
        assert first.ask(run("SELECT 1 / 0") + run("EXECUTE p") + SYNC).error["C"] == "22012"
        assert first.query("EXECUTE p").one == "first"
        assert second.query("EXECUTE p").one == "second"
        first.query("PREPARE q AS SELECT * FROM one.place")
        second.query("PREPARE q AS SELECT 2")
        first.query("ALTER TABLE one.place RENAME TO away")
        assert first.ask(run("EXECUTE q") + SYNC).error["C"] == "42P01"
        first.query("ALTER TABLE one.away RENAME TO place")
        assert first.query("EXECUTE q").one == "one"
    with Gate(cluster, **ONE_LINK, weights=(1, 0), worker_threads=1) as gate, gate.wire() as writer, gate.wire() as reader:
        writer.query("CREATE TABLE counted (i serial)")
        writer.query("INSERT INTO counted DEFAULT VALUES")
        error = reader.ask(run("SELECT 1 / 0") + run("SELECT lastval()") + run("SELECT 1") + SYNC).error
        assert error["C"] == "22012"
        assert reader.query("SELECT lastval()").error["C"] == "55000"
        reader.query("DISCARD ALL")
        writer.query("DROP TABLE counted")


def use(name: str) -> bytes:
    return bind(statement=name) + execute()


def test_two_names_of_one_content(cluster):
    """What is skipped after an error is there under no name."""
    text = "SELECT name FROM place"
    with Gate(cluster, **ONE_LINK, weights=(1, 0), worker_threads=1) as gate:
        for skipped in (use("s") + use("t"), close_statement("t") + parse(text, "t") + use("s")):
            with gate.wire() as first, gate.wire() as second, gate.wire() as third:
                for client in (first, second):
                    client.ask(parse(text, "s") + parse(text, "t") + SYNC)
                assert first.ask(use("s") + use("t") + SYNC).rows == [("one",), ("one",)]
                third.query("SELECT name FROM pg_prepared_statements")  # nothing is left on the link
                assert first.ask(run("SELECT 1 / 0") + skipped + SYNC).error["C"] == "22012"
                for client in (second, first):
                    for name in ("s", "t"):
                        assert client.ask(use(name) + SYNC).one == "one"


def test_a_query_within_a_unit_ends_the_unnamed_statement_there(cluster):
    text = "SELECT name FROM place"
    with Gate(cluster, **ONE_LINK, weights=(1, 0), worker_threads=1) as gate, gate.wire() as first, gate.wire() as second:
        second.ask(parse(text) + SYNC)
        first.ask(parse(text) + query("SELECT 1"))
        first.ask(SYNC)
        assert second.ask(use("") + SYNC).one == "one"


def test_a_unit_of_two_servers_keeps_no_turn(cluster):
    with Gate(cluster, **ONE_LINK, query_wait_timeout=2) as gate, gate.wire() as first, gate.wire() as second:
        first.send(parse("SELECT name FROM place", "read") + FLUSH).answer("1")
        assert not first.ask(parse("SELECT name FROM place FOR UPDATE", "write") + SYNC).error
        assert second.query("SELECT 1").one == "1"


def test_no_list_shows_statements_of_others(cluster):
    lists = ("SELECT name FROM pg_prepared_statements", "SELECT name FROM pg_prepared_statement()",
             "SELECT query_to_xml('SELECT name FROM pg_prepared_statements', true, true, '')::text")
    with Gate(cluster, **ONE_LINK, weights=(1, 0), worker_threads=1) as gate, gate.wire() as owner:
        for text in lists:
            for sent in (query(text), run(text) + SYNC, run("SELECT 1") + query(text), parse(text, "s") + use("s") + SYNC,
                         query(f"PREPARE own AS {text}; EXECUTE own")):
                assert not owner.query("PREPARE secret AS SELECT 'secret'").error
                owner.ask(parse("SELECT 'hidden'", "hidden") + SYNC)
                with gate.wire() as other:
                    found = other.ask(sent)
                assert not found.error and "secret" not in str(found.rows) and "pgtorii" not in str(found.rows), (text, found)
                assert owner.query("EXECUTE secret").one == "secret" and owner.ask(use("hidden") + SYNC).one == "hidden"
                owner.query("DEALLOCATE ALL")


def test_a_name_that_is_taken_is_refused_on_any_link(cluster):
    makers = (query("PREPARE s AS SELECT 1"), parse("SELECT 1", "s") + SYNC, parse("EXPLAIN EXECUTE s", "s") + SYNC)
    with Gate(cluster, **ONE_LINK, weights=(1, 0), worker_threads=1) as gate, gate.wire() as other:
        for made in makers:
            with gate.wire() as client:
                assert not client.ask(made).error
                other.query("DEALLOCATE ALL")  # of what others have left on the link, too
                assert client.ask(parse("SELECT 2", "s") + SYNC).error["C"] == "42P05", made
                other.query("DEALLOCATE ALL")
                assert client.query("PREPARE s AS SELECT 3").error["C"] == "42P05", made
                client.query("BEGIN")
                client.query("SELECT 1 / 0")
                assert client.ask(parse("ROLLBACK", "s") + SYNC).error["C"] == "42P05", made
                client.query("ROLLBACK")


def test_the_rest_of_a_unit_shows_no_statements_of_others(cluster):
    """On the primary what comes after a Flush is passed on message by message."""
    with Gate(cluster, **ONE_LINK, weights=(1, 0), worker_threads=1) as gate, gate.wire() as owner, gate.wire() as other:
        owner.query("PREPARE p AS SELECT 'secret'")
        for text, wanted in (("EXECUTE p", None), ("SELECT name FROM pg_prepared_statements", []), ("DEALLOCATE p", None)):
            assert owner.query("EXECUTE p").one == "secret"
            other.send(run("SELECT name FROM place FOR UPDATE") + FLUSH).answer("C")
            answer = other.ask(run(text) + SYNC)
            assert answer.rows == [] and (answer.error is None) == (wanted is not None), (text, answer)
            assert owner.query("EXECUTE p").one == "secret"


def test_names_longer_than_a_server_looks_at(cluster):
    name = "n" * 63
    with Gate(cluster, **ONE_LINK, weights=(1, 0), worker_threads=1) as gate:
        for port in (cluster.primary.port, gate.port):
            with wire.Wire(port).log_in(user="postgres", database="postgres") as first, \
                 wire.Wire(port).log_in(user="postgres", database="postgres") as second:
                first.ask(parse("SELECT 1", name + "first") + SYNC)
                second.ask(parse("SELECT 2", name + "second") + SYNC)
                assert first.ask(parse("SELECT 3", name + "third") + SYNC).error["C"] == "42P05"
                for client, wanted in ((first, "1"), (second, "2")):
                    assert client.ask(use(name + "any") + SYNC).one == wanted
                    assert client.query(f"EXECUTE {name}any").one == wanted
                    assert client.query(f"DEALLOCATE {name}").error is None
                    assert client.ask(use(name + "any") + SYNC).error["C"] == "26000"


def test_lastval_after_the_own_insert(cluster):
    with Gate(cluster, **ONE_LINK, weights=(1, 0), worker_threads=1) as gate, gate.wire() as first, gate.wire() as second:
        first.query("CREATE TABLE counted (i serial)")
        second.query("INSERT INTO counted DEFAULT VALUES")
        for ask in (lambda text: first.query(text), lambda text: first.ask(wire.ask(text))):
            ask("BEGIN")
            ask("INSERT INTO counted DEFAULT VALUES")
            last = first.query("SELECT max(i) FROM counted").one
            assert ask("SELECT lastval()").one == last
            ask("COMMIT")
            first.query("DISCARD ALL")
        first.query("INSERT INTO counted DEFAULT VALUES")
        assert not first.query("SELECT lastval()").error, "nobody else has had the link"
        first.query("DISCARD ALL")
        second.query("INSERT INTO counted DEFAULT VALUES")
        first.query("BEGIN")
        first.query("UPDATE place SET name = name")
        assert first.query("SELECT lastval()").error["C"] == "55000", "an UPDATE has numbered nothing"
        first.query("ROLLBACK")
        first.query("DISCARD ALL")
        first.query("DROP TABLE counted")


def test_a_pin_outlives_a_discard_before_it(cluster):
    for behind in ("SELECT pg_advisory_lock(7), 1 / (length(name) - 3) FROM place", "SELECT nextval('s')"):
        with Gate(cluster, **ONE_LINK, weights=(1, 0), query_wait_timeout=1) as gate:
            with gate.wire() as first, gate.wire() as second:
                first.ask(run("DISCARD ALL") + run(behind) + SYNC)
                assert second.query("SELECT 1").error["C"] == "53300"


def test_a_session_that_gets_no_link_keeps_no_turn(cluster):
    with Gate(cluster, **ONE_LINK, weights=(1, 0)) as gate, gate.wire() as other:
        cluster.primary.run("CREATE ROLE leaving LOGIN")
        with gate.wire(user="leaving") as client:
            assert client.query("SELECT 1").one == "1"
            assert other.query("SELECT 1").one == "1"
            cluster.primary.run("ALTER ROLE leaving NOLOGIN")
            cluster.primary.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'leaving'")
            assert client.query("SELECT 1").error["C"] == "28000"
            assert other.query("SELECT 1").one == "1"
        cluster.primary.run("DROP ROLE leaving")


def test_a_setting_that_can_not_be_brought_is_told(cluster):
    with Gate(cluster, **ONE_LINK, weights=(1, 0)) as gate, gate.wire() as first, gate.wire() as second:
        cluster.primary.run("CREATE ROLE gone")
        first.query("SET ROLE gone")
        second.query("SELECT 1")
        cluster.primary.run("DROP ROLE gone")
        assert first.query("SELECT 1").error["C"] == "22023"
        assert second.query("SELECT 1").one == "1"
        first.query("RESET ROLE")


def test_a_client_that_never_pauses_gives_its_link_back(cluster):
    with Gate(cluster, **ONE_LINK, weights=(1, 0), worker_threads=1) as gate, gate.wire() as busy, gate.wire() as other:
        count = 5000
        mark = cluster.primary.log.mark()
        sender = threading.Thread(target=busy.send, args=[query("SELECT 1") * count])
        sender.start()
        busy.answer()
        answered = 1
        other.send(query("SELECT 2"))
        assert other.answer().one == "2"
        for _ in range(count - answered):
            assert busy.answer().one == "1"
        sender.join()
        at_server = cluster.primary.statements(mark)
        assert at_server.index("SELECT 2") < len(at_server) - 1, "it was served only when the other was done"


def test_many_named_statements(cluster):
    """More than a link keeps."""
    with Gate(cluster, **ONE_LINK) as gate, gate.wire() as first, gate.wire() as second:
        for number in range(1100):
            first.ask(parse(f"SELECT {number}", f"s{number}") + SYNC)
        for number in (0, 499, 500, 501, 1099):
            second.ask(parse("SELECT 'x'", f"s{number}") + SYNC)
            assert first.ask(bind(statement=f"s{number}") + execute() + SYNC).one == str(number)
            assert second.ask(bind(statement=f"s{number}") + execute() + SYNC).one == "x"
        assert int(cluster.primary.one("SELECT count(*) FROM pg_stat_activity WHERE application_name = ''")) < 20


def test_a_client_that_waits_for_a_link_can_cancel(cluster):
    with Gate(cluster, **ONE_LINK, weights=(1, 0)) as gate, gate.wire() as first, gate.wire() as second:
        first.query("BEGIN")
        first.query(PRIMARY_PID)
        second.send(query("SELECT 1"))
        threading.Event().wait(0.2)
        with wire.Wire(gate.port) as canceller:
            canceller.send(wire.cancel_request(second.pid, second.secret)).read_to_end()
        assert second.answer().error["C"] == "57014"
        first.query("COMMIT")
        assert second.query("SELECT 2").one == "2"


def test_a_cancel_while_a_link_is_opened(cluster):
    with Gate(cluster, **ONE_LINK, weights=(1, 0)) as gate, gate.wire() as first, gate.wire(database="elsewhere") as second:
        second.query("SELECT 1")  # in place of the first one's link
        cluster.primary.freeze()
        try:
            first.send(query("SELECT pg_sleep(30)"))
            threading.Event().wait(0.3)
            with wire.Wire(gate.port) as canceller:
                canceller.send(wire.cancel_request(first.pid, first.secret)).read_to_end()
        finally:
            cluster.primary.thaw()
        assert first.answer().error["C"] == "57014"
        assert first.query("SELECT 1").one == "1"


def test_a_client_that_leaves_in_a_transaction(cluster):
    with Gate(cluster, **ONE_LINK, weights=(1, 0)) as gate:
        for _ in range(5):
            with gate.wire() as first:
                first.query("SET work_mem = '7MB'")
                first.query("BEGIN")
                first.query("CREATE TABLE one.left_over (i int)")
                first.socket.close()
            with gate.wire() as second:
                assert second.query("SHOW work_mem").one == "4MB"
                assert second.query("SELECT * FROM left_over").error["C"] == "42P01"


def test_statement_mode_refuses_transactions(cluster):
    for text in (query("BEGIN"), parse("BEGIN") + bind() + execute() + SYNC, query("SELECT 1; BEGIN")):
        with Gate(cluster, pool_mode="statement") as gate, gate.wire() as client:
            assert client.query("SELECT 1").one == "1"
            client.send(text)
            assert "transaction blocks" in client.read_to_end().decode("latin-1")


def test_modes_of_users_and_databases(cluster):
    settings = {"pool_mode": "session", "database_pool_mode_list": "elsewhere:transaction,nowhere:session",
                "user_pool_mode_list": "weak:session", "num_init_children": 2, "max_pool": 1, "worker_threads": 1}
    sql = "SELECT pg_backend_pid() FROM pg_class LIMIT 1"
    with Gate(cluster, **settings, weights=(1, 0)) as gate:
        for database, is_shared in (("elsewhere", True), ("postgres", False)):
            with gate.wire(database=database) as first, gate.wire(database=database) as second:
                same = first.query(sql).one == second.query(sql).one
                assert same == is_shared, database


def test_a_result_has_the_type_that_its_client_was_told(cluster):
    named = bind(statement="s") + execute() + SYNC
    try:
        cluster.primary.run("CREATE TABLE one.changing AS SELECT 1 AS a, 2 AS b")
        with Gate(cluster, **ONE_LINK, weights=(1, 0)) as gate, gate.wire() as first, gate.wire() as second:
            def prepare(client, text="SELECT a FROM changing"):
                client.ask(wire.close_statement("s") + parse(text, "s") + wire.describe_statement("s") + SYNC)

            prepare(first)
            assert first.ask(named).one == "1"
            # What changes nothing of its result changes nothing for it.
            second.query("ALTER TABLE changing DROP COLUMN b")
            assert first.ask(named).one == "1"
            second.query("ALTER TABLE changing ALTER a TYPE text")
            for _ in range(2):
                assert first.ask(named).error["C"] == "0A000"
            assert first.query("SELECT 1").one == "1"
            first.query("BEGIN")
            assert first.ask(named).error["C"] == "0A000" and first.query("SELECT 1").error["C"] == "25P02"
            first.query("ROLLBACK")
            # Who asks what comes gets it.
            assert first.ask(bind(statement="s") + wire.describe_portal() + execute() + SYNC).one == "1"
            prepare(first)
            assert first.ask(named).one == "1"
            # Behind our back, and another session has prepared the same since.
            cluster.primary.run("ALTER TABLE one.changing ALTER a TYPE int USING 3")
            prepare(second)
            assert second.ask(named).one == "3"
            assert first.ask(named).error["C"] == "0A000"
            prepare(first, "SELECT a FROM nowhere")
            prepare(first)
            assert first.ask(named).one == "3"
    finally:
        cluster.primary.run("DROP TABLE IF EXISTS one.changing")
