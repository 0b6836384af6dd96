"""The same replies as from a server itself, byte for byte, whatever a client sends and however its bytes arrive.

Each script runs in one database of the primary directly, and through the gate in another with the same tables.
"""

import itertools
import os
import random
import select
import socket
import threading
import time

import replies
import scripts
import wire
from gate import Gate
from scripts import Author, bind, close, describe
from wire import COPY_DONE, FLUSH, SYNC, TERMINATE, cstr, execute, message, parse, query

STANDBYS = 1
QUIET_LIMIT = float(os.environ.get("PGTORII_QUIET_LIMIT", 20))  # seconds without a byte until a script counts as stuck
PAUSE = 0.001  # seconds between two parts of a script, so that they arrive apart
FIRST_SEED = int(os.environ.get("PGTORII_SEED", 1))
COUNT = int(os.environ.get("PGTORII_SCRIPTS", 100))
FAILURES_MAX = int(os.environ.get("PGTORII_FAILURES", 3))
CONTENTS = "SELECT array_agg(written ORDER BY k)::text FROM written"
NO_END = "no end"
COMPARING_LIMIT = 70  # seconds spent on random scripts in one test
SHORTENING_LIMIT = 25  # seconds spent on making a script that fails shorter
END = (COPY_DONE, SYNC, TERMINATE)  # whatever a script has left open, its replies come


def prepare(cluster):
    for database in ("direct", "through"):
        cluster.primary.run(f"CREATE DATABASE {database}")
        cluster.primary.run(scripts.SCHEMA, dbname=database)
    cluster.wait_for_replay()


# Ways to send --------------------------------------------------------------------------------------------------------

def at_once(script, _random, _direct):
    return [(b"".join(script), 0)]


def in_pieces(script, chance, _direct):
    """Cut at a few places."""
    stream = b"".join(script)
    places = sorted(chance.sample(range(1, len(stream)), min(chance.randint(1, 12), len(stream) - 1)))
    return [(stream[a:b], 0) for a, b in itertools.pairwise([0, *places, len(stream)])]


def by_message(script, _random, _direct):
    if len(script) > 300:
        return at_once(script, None, None)
    return [(each, 0) for each in script]


def with_waits(script, _random, direct):
    """Like a driver: behind each Sync, Flush and Query it waits for all answers that are due."""
    try:
        due = replies.answered(script, direct)
    except replies.NotAttributable:
        return by_message(script, None, None)
    found, part = [], b""
    for each, count in zip(script, due, strict=True):
        part += each
        if each[:1] in b"SHQ":
            found.append((part, count))
            part = b""
    return [*found, (part, 0)]


def cut_at(place: int):
    def both_sides(script, _random, _direct):
        stream = b"".join(script)
        return [(stream[:place], 0), (stream[place:], 0)]
    return both_sides


def play(port: int, database: str, parts: list[tuple[bytes, int]]) -> list[wire.Message]:
    """Sends the parts of a script, and reads at the same time; behind each waits for as many replies as it says."""
    with wire.Wire(port).log_in(user="postgres", database=database) as client:
        client.socket.setblocking(False)
        received = bytearray()
        for part, due in parts:
            is_open = _exchange(client.socket, part, received)
            while is_open and due and len(replies.split(received)[0]) < due:
                is_open = _read(client.socket, received)
            if not is_open:
                break
            if due == 0 and len(parts) > 1:
                time.sleep(PAUSE)
        while is_open:
            is_open = _read(client.socket, received)
        return replies.normal(bytes(received)) + ([wire.Message(NO_END, b"")] if is_open is None else [])


def _exchange(sock: socket.socket, part: bytes, received: bytearray):
    """Sends; what arrives meanwhile is kept. False: the other side has closed. None: nothing moves any more."""
    at = 0
    while at < len(part):
        readable, writable, _ = select.select([sock], [sock], [], QUIET_LIMIT)
        if not readable and not writable:
            return None
        if readable and not _read(sock, received):
            return False
        if writable:
            try:
                at += sock.send(part[at:at + 65536])
            except BlockingIOError:
                pass
            except (BrokenPipeError, ConnectionResetError):
                return False
    return True


def _read(sock: socket.socket, received: bytearray):
    if not select.select([sock], [], [], QUIET_LIMIT)[0]:
        return None
    try:
        more = sock.recv(1 << 18)
    except ConnectionResetError:
        return False
    received += more
    return bool(more)


# Both sides ----------------------------------------------------------------------------------------------------------

def writes(script: list[bytes]) -> bool:
    return any(b"written" in each for each in script)


class Stage:
    """Runs scripts on both sides and compares."""

    def __init__(self, cluster, gate: Gate, *, replays: bool = False):
        self._cluster, self._gate, self._replays = cluster, gate, replays
        self._sides = {name: cluster.primary.session(dbname=name) for name in ("direct", "through")}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for each in self._sides.values():
            each.close()

    def direct(self, script: list[bytes]) -> tuple[list[wire.Message], str]:
        return self._play("direct", script, at_once(script, None, None))

    def through(self, script: list[bytes], way, seed: int, direct) -> tuple[list[wire.Message], str]:
        return self._play("through", script, way(script, random.Random(seed), direct))

    def check(self, script: list[bytes], ways, seed: int) -> str:
        """How the two sides differ on a script, made as short as can be; empty if they don't."""
        wanted = self.direct([*script, *END])
        for way in ways:
            first = self._differ(wanted, script, way, seed)
            if first:
                return self._report(script, way, seed, first)
        return ""

    def fill(self, script: list[bytes], side: str) -> None:
        """Brings back what the tables had before, if the script changes them."""
        if writes(script):
            self._sides[side].run(scripts.FILLING)
            if self._replays and side == "through":
                self._cluster.wait_for_replay()

    def contents(self, script: list[bytes], side: str) -> str:
        """What the script has left behind."""
        return self._sides[side].one(CONTENTS) if writes(script) else ""

    def _play(self, side: str, script: list[bytes], parts) -> tuple[list[wire.Message], str]:
        self.fill(script, side)
        port = self._cluster.primary.port if side == "direct" else self._gate.port
        stream = play(port, side, parts)
        return stream, self.contents(script, side)

    def _differ(self, wanted, script: list[bytes], way, seed: int) -> str:
        stream, contents = self.through([*script, *END], way, seed, wanted[0])
        if wanted[0] != stream:
            return replies.difference(wanted[0], stream)
        if wanted[1] != contents:
            return f"  the tables differ: direct {wanted[1]}, through {contents}"
        return ""

    def _differs(self, script: list[bytes], way, seed: int, tries: int = 1) -> str:
        wanted = self.direct([*script, *END])
        return next(filter(None, (self._differ(wanted, script, way, seed + n) for n in range(tries))), "")

    def _report(self, script: list[bytes], way, seed: int, first: str) -> str:
        """`first` is what was seen the first time. Whether it comes again may depend on who is quicker."""
        head = f"seed {seed}, sent {way.__name__}"
        tries = next((tries for tries in (1, 3, 10) if self._differs(script, way, seed, tries)), 0)
        if not tries:
            return f"{head}; seen once and not again:\n{replies.script_text(script)}\n{first}"
        if way is not at_once and self._differs(script, at_once, seed, tries):
            way = at_once
        script = self._shortened(script, way, seed, tries)
        return (f"{head}; at first:\n{first}\n shortened, sent {way.__name__} (within {tries} tries):\n"
                f"{replies.script_text(script)}\n"
                f"{self._differs(script, way, seed, 3 * tries) or '  (not this time)'}")

    def _shortened(self, script: list[bytes], way, seed: int, tries: int) -> list[bytes]:
        """Leaves out what is not needed for the difference: halves, then less and less, within a limit of time."""
        give_up = time.monotonic() + SHORTENING_LIMIT
        size = max(1, len(script) // 2)
        while time.monotonic() < give_up:
            at, shorter = 0, False
            while at < len(script) and time.monotonic() < give_up:
                without = script[:at] + script[at + size:]
                if without and scripts.is_bearable(without) and self._differs(without, way, seed, tries):
                    script, shorter = without, True
                else:
                    at += size
            if size == 1 and not shorter:
                break
            size = max(1, size // 2)
        return script


def compare(cluster, gate: Gate, seeds, *, reads_writes: bool = False, waits: bool = True, ways=None) -> None:
    """Runs the scripts of many seeds, each in several ways, as far as the time goes. `waits`: until the standby has the
    filling of the tables; without, each script fills them itself, as only its own writes bind its reads."""
    found, give_up = [], time.monotonic() + COMPARING_LIMIT
    with Stage(cluster, gate, replays=reads_writes and waits) as stage:
        for seed in seeds:
            script = [*([] if waits else [query(scripts.FILLING)]), *Author(seed, reads_writes=reads_writes).script()]
            chosen = ways or (at_once, in_pieces, with_waits, by_message)
            if text := stage.check(script, chosen, seed):
                found.append(text)
                print(text, flush=True)
            if len(found) >= FAILURES_MAX or time.monotonic() > give_up:
                break  # each failure costs time, and more are hardly news
    assert not found, f"{len(found)} scripts differ"


def some(count: int) -> range:
    """As many seeds as this build can afford."""
    share = 4 if Gate.sanitizer else 1
    return range(FIRST_SEED, FIRST_SEED + max(1, count // share))


# Random scripts ------------------------------------------------------------------------------------------------------

def test_random_scripts_with_all_reads_on_the_standby(cluster):
    with Gate(cluster) as gate:
        compare(cluster, gate, some(COUNT))


def test_random_scripts_with_reads_on_both_servers(cluster):
    with Gate(cluster, weights=(1, 1), statement_level_load_balance="on") as gate:
        compare(cluster, gate, (seed + 100_000 for seed in some(COUNT)))


def test_random_scripts_with_reads_that_leave_a_writing_transaction(cluster):
    with Gate(cluster, disable_load_balance_on_write="off") as gate:
        compare(cluster, gate, (seed + 200_000 for seed in some(COUNT)))


def test_random_scripts_with_reads_on_the_primary(cluster):
    with Gate(cluster, weights=(1, 0)) as gate:
        compare(cluster, gate, (seed + 300_000 for seed in some(COUNT // 2)))


# Short scripts, cut everywhere ---------------------------------------------------------------------------------------

BROKEN = "SELECT 1 / (i - 1) FROM numbers WHERE i = 1"
ROWS = "SELECT i FROM numbers WHERE i < 8 ORDER BY i"
UPDATE = "UPDATE written SET v = 'new' WHERE k = 1"


def run(sql: str, *values: str, rows: int = 0) -> bytes:
    """A statement in the extended protocol, without Sync."""
    return parse(sql) + wire.bind(*values) + execute(rows=rows)


SHORT = {
    "a query": [query("SELECT 1")],
    "a failing query and another": [query(BROKEN), query("SELECT 2")],
    "nothing": [query(""), run(""), SYNC],
    "a text with an error in its middle": [query(f"SELECT 1; {BROKEN}; SELECT 2"), query("SELECT 3")],
    "a text that writes and fails": [query(f"{UPDATE}; {BROKEN}"), query("SELECT 3")],
    "a transaction in a text": [query(f"BEGIN; {UPDATE}; ROLLBACK"), query(f"{UPDATE}; COMMIT; SELECT 1/0")],
    "a named statement and portal": [parse(ROWS, "s"), describe("S", "s"), bind((), "s", "p", False), describe("P", "p"),
                                     execute("p"), close("P", "p"), close("S", "s"), SYNC],
    "a statement for later": [parse("SELECT $1::int", "s"), SYNC, bind(("4",), "s", "", False), execute(), SYNC],
    "a name used twice": [parse("SELECT 1", "s"), parse("SELECT 2", "s"), SYNC, bind((), "s", "", False), execute(), SYNC],
    "a name closed and used again": [parse("SELECT 1", "s"), close("S", "s"), parse("SELECT 2", "s"), SYNC,
                                     bind((), "s", "", False), execute(), SYNC],
    "a name that failed": [parse("SELEC", "s"), SYNC, bind((), "s", "", False), SYNC, parse("SELECT 1", "s"), SYNC],
    "a name of an empty text": [parse("", "s"), FLUSH, SYNC, bind((), "s", "", False), describe("P", ""), execute(), SYNC],
    "what isn't there": [close("S", "no"), close("P", "no"), SYNC, describe("S", "no"), SYNC, describe("P", "no"), SYNC,
                         execute("no"), SYNC, bind((), "no", "", False), SYNC],
    "two reads and a Sync": [run("SELECT 1"), run("SELECT 2"), SYNC],
    "a read, a write, a read": [run(ROWS), run(UPDATE), run("SELECT 2"), SYNC],
    "a write and a failing read": [run(UPDATE), run(BROKEN), run("SELECT 2"), SYNC, query("SELECT 3")],
    "a failing read and a write": [run(BROKEN), run(UPDATE), SYNC, query("SELECT 3")],
    "an error where it is parsed": [run("SELECT 1"), run("SELEC"), run(UPDATE), SYNC],
    "an error where it is bound": [run("SELECT 1"), run("SELECT $1::int", "x"), run(UPDATE), SYNC],
    "several Syncs": [SYNC, SYNC, run("SELECT 1"), SYNC, SYNC, run(UPDATE), SYNC, run("SELECT 2"), SYNC],
    "Flush": [FLUSH, run("SELECT 1"), FLUSH, run(UPDATE), FLUSH, FLUSH, SYNC, FLUSH, run("SELECT 2"), FLUSH, SYNC],
    "a result in parts": [parse(ROWS), wire.bind(), execute(rows=2), execute(rows=3), FLUSH, execute(rows=2), execute(rows=1),
                          SYNC, execute(rows=1), SYNC],
    "a portal in a transaction": [run("BEGIN"), SYNC, parse(ROWS), bind((), "", "p", False), execute("p", 2), SYNC,
                                  query("SELECT 5"), execute("p", 2), SYNC, run("COMMIT"), SYNC, execute("p", 2), SYNC],
    "a portal and a chain": [query("BEGIN"), parse(ROWS), bind((), "", "p", False), execute("p", 2), SYNC,
                             query("ROLLBACK AND CHAIN"), query(f"DECLARE c CURSOR FOR {ROWS}"), parse("FETCH 2 FROM c"),
                             bind((), "", "p", False), execute("p"), SYNC, run("COMMIT AND CHAIN"), parse(ROWS),
                             bind((), "", "p", False), execute("p", 2), SYNC, execute("p", 2), SYNC, query("COMMIT")],
    "reads in a unit, then a transaction that is set up": [
        parse(ROWS), FLUSH, run("BEGIN ISOLATION LEVEL SERIALIZABLE"), SYNC, run(ROWS), FLUSH,
        run("START TRANSACTION READ ONLY"), SYNC, query("SHOW transaction_read_only"), query("COMMIT"),
        run(ROWS), FLUSH, run("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE"), run("SELECT 7"), SYNC, query("SELECT 8"),
        run("BEGIN ISOLATION LEVEL REPEATABLE READ"), SYNC, run("COMMIT"), SYNC],
    "a portal's name that is taken": [parse("BEGIN"), bind((), "", "q", False), execute("q"), SYNC, parse("SELECT filling FROM wide"),
                                      bind((), "", "q", False), execute("q", 2), SYNC, query("ROLLBACK")],
    "the unnamed portal and a query": [query("BEGIN"), parse(ROWS), wire.bind(), execute(rows=1), SYNC, query("SELECT 5"),
                                       execute(rows=1), SYNC, query("ROLLBACK")],
    "the unnamed statement and a query": [parse(ROWS), SYNC, query("SELECT 5"), wire.bind(), execute(), SYNC],
    "a query inside a unit": [run("SELECT 1"), query("SELECT 2"), run("SELECT 3"), SYNC],
    "a query inside a unit that failed": [run(BROKEN), query("SELECT 2"), run("SELECT 3"), SYNC],
    "a transaction inside a unit": [run("BEGIN"), run(UPDATE), run("COMMIT"), run(ROWS), SYNC, run("BEGIN"), SYNC,
                                    run(BROKEN), SYNC, run("SELECT 1"), SYNC, run("COMMIT"), SYNC],
    "a commit and a failure behind it": [run("BEGIN"), run(UPDATE), run("COMMIT"), run(BROKEN), SYNC],
    "a failed transaction": [query("BEGIN"), query(UPDATE), query(BROKEN), query("SELECT 1"), query("COMMIT")],
    "savepoints": [query("BEGIN"), query("SAVEPOINT a"), query(UPDATE), query(BROKEN), query("ROLLBACK TO a"),
                   query("SELECT 1"), query("RELEASE a"), query("COMMIT")],
    "settings": [query("SET DateStyle = 'German'"), query("SELECT '2020-02-03'::date"), query("BEGIN; SET TimeZone = 'UTC'"),
                 query("ROLLBACK"), query("SHOW TimeZone"), query("RESET ALL"), query("SELECT '2020-02-03'::date")],
    "statements read under settings of before": [
        parse("SELECT '02/03/2020'::date + 0", "s"), SYNC, query("PREPARE r AS SELECT '02/03/2020'::date + 0"), query("EXECUTE r"),
        query("SET DateStyle = 'SQL, DMY'"), bind((), "s", "", False), execute(), SYNC, query("EXECUTE r"),
        query("BEGIN"), query(UPDATE), bind((), "s", "", False), execute(), SYNC, query("EXECUTE r"),
        parse("EXECUTE r"), wire.bind(), execute(), SYNC, query("SHOW DateStyle"), query("COMMIT"), query("SHOW DateStyle"),
        parse("SELECT '02/03/2020'::date", "t"), SYNC, query("RESET DateStyle"), bind((), "t", "", False), execute(), SYNC,
        query("BEGIN"), query(UPDATE), bind((), "t", "", False), execute(), SYNC, query("COMMIT"), query("SHOW DateStyle")],
    "COPY from the client": [query("COPY written FROM STDIN"), message(b"d", b"10\ta\n11"), message(b"d", b"\tb\n"),
                             COPY_DONE, query("SELECT 1")],
    "COPY that the client gives up": [query("COPY written FROM STDIN"), message(b"d", b"10\ta\n"),
                                      message(b"f", cstr("no")), query("SELECT 1")],
    "COPY that the server gives up": [query("COPY written FROM STDIN"), message(b"d", b"x\n"), message(b"d", b"12\tc\n"),
                                      COPY_DONE, query("SELECT 1")],
    "COPY that the server gives up, and a unit behind it": [
        query("COPY written FROM STDIN; SELECT 1/0"), message(b"d", b"10\ta\n7\n"), message(b"f", cstr("no")),
        run("SELECT count(*) FROM numbers"), SYNC],
    "COPY in a unit": [run("SELECT 1"), run("COPY written FROM STDIN"), message(b"d", b"10\ta\n"), COPY_DONE,
                       run("SELECT 2"), SYNC],
    "COPY in a unit with an early Sync": [run("COPY written FROM STDIN"), SYNC, message(b"d", b"10\ta\n"), FLUSH, COPY_DONE,
                                          SYNC, query("SELECT 1")],
    "COPY in a unit that the client gives up": [run("COPY written FROM STDIN"), message(b"f", cstr("no")), run("SELECT 2"),
                                                SYNC],
    "COPY in a unit that the server gives up": [run("COPY written FROM STDIN"), message(b"d", b"x\n"), COPY_DONE,
                                                run("SELECT 2"), SYNC],
    "COPY in a unit and a name behind it": [run("COPY written FROM STDIN"), message(b"d", b"10\ta\n"), COPY_DONE, SYNC,
                                            parse("SELECT 1", "u"), SYNC, bind((), "u", "", False), execute(), SYNC],
    "COPY to the client": [query("COPY (SELECT 1) TO STDOUT"), run("COPY (SELECT 2) TO STDOUT"), run("SELECT 3"), SYNC],
    "COPY twice in a text": [query("COPY written FROM STDIN; SELECT 7; COPY written FROM STDIN"), message(b"d", b"10\ta\n"),
                             COPY_DONE, message(b"d", b"11\tb\n"), COPY_DONE, query("SELECT 1")],
    "strays": [message(b"d", b"x"), COPY_DONE, message(b"f", cstr("x")), query("SELECT 1"), run("SELECT 2"), COPY_DONE, SYNC],
    "notices": [query("DO $$ BEGIN RAISE NOTICE 'one'; END $$"), run("DO $$ BEGIN RAISE NOTICE 'two'; END $$"), SYNC],
    "prepared in SQL": [query("PREPARE r AS SELECT 1"), query("EXECUTE r"), parse("EXECUTE r"), wire.bind(), describe("P", ""),
                        execute(), SYNC, query("DEALLOCATE r"), query("EXECUTE r")],
    "prepared in SQL, used in the protocol": [query("PREPARE r AS SELECT 1"), bind((), "r", "", False), execute(), SYNC,
                                              parse("SELECT 2", "s"), SYNC, query("EXECUTE s"), query("DEALLOCATE ALL"),
                                              bind((), "s", "", False), SYNC],
    "all names given up": [run("SELECT 1"), SYNC, query("DEALLOCATE ALL"), parse("SELECT 2", "s"), SYNC,
                           query("DEALLOCATE ALL"), bind((), "s", "", False), SYNC, run("DEALLOCATE ALL"), SYNC],
    "prepared in SQL inside a unit": [run("PREPARE r AS SELECT 1"), query("EXECUTE r"), run("EXECUTE r"), SYNC],
    "all thrown away": [parse("SELECT 2", "s"), SYNC, query("DISCARD ALL"), bind((), "s", "", False), SYNC, query("SELECT 1")],
    "a cursor": [query("BEGIN"), query("DECLARE c CURSOR FOR SELECT 1"), execute("c", 1), SYNC, close("P", "c"), SYNC,
                 query("FETCH 1 FROM c"), query("COMMIT")],
    "a function call": [wire.function_call(3062, "fast path"), wire.function_call(999_999_999), query("SELECT 1")],
}
SHORT = {name: replies.cut(b"".join(script)) for name, script in SHORT.items()}


def test_short_scripts_in_any_pieces(cluster):
    """At once, byte by byte, message by message, and with the waits of a driver."""
    def by_byte(script, _random, _direct):
        return [(bytes([each]), 0) for each in b"".join(script)]
    with Gate(cluster) as gate, Stage(cluster, gate) as stage:
        found = [f"{name}: {text}" for name, script in SHORT.items()
                 if (text := stage.check(script, (at_once, by_byte, by_message, with_waits), 1))]
        assert not found, f"\n{len(found)} of {len(SHORT)} scripts:\n" + "\n".join(found)


def check_every_cut(cluster, names, **settings):
    """Each script is cut in two at each of its bytes."""
    with Gate(cluster, **settings) as gate, Stage(cluster, gate) as stage:
        found = []
        for name in names:
            script = [*SHORT[name], *END]
            wanted = stage.direct(script)
            length = len(b"".join(script))
            for place in range(1, length, 7 if Gate.sanitizer else 1):
                got = stage.through(script, cut_at(place), 1, wanted[0])
                if got != wanted:
                    found.append(f"{name}, cut at byte {place} of {length}:\n{replies.script_text(script)}\n"
                                 + (replies.difference(wanted[0], got[0]) or f"  tables: {wanted[1]} and {got[1]}"))
                    break
        assert not found, "\n" + "\n".join(found)


def test_short_scripts_cut_at_every_byte(cluster):
    check_every_cut(cluster, list(SHORT)[::2])


def test_other_short_scripts_cut_at_every_byte(cluster):
    check_every_cut(cluster, list(SHORT)[1::2], weights=(1, 1), statement_level_load_balance="on")


def test_a_start_up_cut_at_every_byte(cluster):
    """The whole stay in one go, before anything has been answered."""
    def stay(port: int, database: str, place: int) -> list[wire.Message]:
        stream = wire.start_up(user="postgres", database=database, application_name="scripts") + query("SELECT 1") + TERMINATE
        with wire.Wire(port) as client:
            for part in (stream[:place], stream[place:]):
                client.send(part)
                time.sleep(PAUSE)
            return replies.normal(client.read_to_end())

    wanted = stay(cluster.primary.port, "direct", 1)
    with Gate(cluster) as gate:
        for place in range(1, 90):
            assert stay(gate.port, "through", place) == wanted, place


def test_what_stands_behind_a_copy(cluster):
    """Sent at once, many times: how much of it is there when the COPY begins and ends varies."""
    with Gate(cluster) as gate, Stage(cluster, gate) as stage:
        for name in (each for each in SHORT if "COPY" in each):
            wanted = stage.direct([*SHORT[name], *END])
            for seed in range(20):
                for way in (at_once, in_pieces):
                    got = stage.through([*SHORT[name], *END], way, seed, wanted[0])
                    assert got == wanted, f"{name}\n{replies.difference(wanted[0], got[0])}"


# Long scripts --------------------------------------------------------------------------------------------------------

def long_scripts() -> dict[str, list[bytes]]:
    share = 4 if Gate.sanitizer else 1
    count = 4000 // share
    read, write, broken = run("SELECT $1::int", "1"), run(UPDATE), run(BROKEN)
    names = [f"s{number}" for number in range(700 // share)]
    named = b"".join(parse(f"SELECT '{name}'", name) + SYNC for name in names) + b"".join(
        bind((), name, "", False) + execute() + SYNC for name in reversed(names)) + b"".join(
        close("S", name) for name in names)
    return {
        "reads": [(read + SYNC) * count],
        "reads in one unit": [read * count, SYNC],
        "reads and writes in turn": [(read + SYNC + write + SYNC) * (count // 4)],
        "reads and writes in turn in one unit": [(read + write) * (count // 4), SYNC],
        "reads, then writes, in one unit": [read * (count // 4) + write * (count // 4) + read * (count // 4), SYNC],
        "failing reads": [(broken + read + SYNC) * (count // 3)],
        "a failing read in a long unit": [read * (count // 2) + broken + (read + write) * (count // 2), SYNC],
        "Flush behind each": [(read + FLUSH) * (count // 2) + (write + FLUSH) * (count // 8), SYNC],
        "queries": [(query("SELECT 1") + query(UPDATE)) * (count // 4)],
        "Syncs": [SYNC * count],
        "names": [named, SYNC],
        "large results": [(run("SELECT filling FROM wide ORDER BY i") + SYNC + query("SELECT repeat('x', 100000)")) * 40],
        "large values": [(run("SELECT length($1)", "y" * 100_000) + SYNC + query(f"SELECT length('{'z' * 90_000}')")) * 60],
        "large values and results in one unit": [run("SELECT $1", "y" * 100_000) * 60, SYNC],
        "rows in parts": [parse("SELECT i FROM numbers ORDER BY i"), wire.bind(), execute(rows=1) * 199, SYNC],
        "COPY": [(query("COPY written FROM STDIN") + message(b"d", b"".join(b"%d\tx\n" % i for i in range(100, 400))) + COPY_DONE
                  + query("DELETE FROM written WHERE k >= 100")) * 30],
        "savepoints": [query("BEGIN"), (query("SAVEPOINT a") + query(UPDATE) + query(BROKEN) + query("ROLLBACK TO a")) * 200,
                       query("COMMIT")],
    }


def check_long_scripts(cluster, **settings) -> None:
    """Thousands of messages are on their way before the first answer is read."""
    with Gate(cluster, **settings) as gate, Stage(cluster, gate) as stage:
        found = [f"{name}: {text}" for name, script in long_scripts().items()
                 if (text := stage.check(replies.cut(b"".join(script)), (at_once, in_pieces), 1))]
        assert not found, "\n" + "\n".join(found)


def test_long_scripts(cluster):
    check_long_scripts(cluster)


def test_long_scripts_with_reads_on_both_servers(cluster):
    check_long_scripts(cluster, weights=(1, 1), statement_level_load_balance="on", disable_load_balance_on_write="off")


# Other ends ----------------------------------------------------------------------------------------------------------


def test_random_scripts_of_a_client_that_reads_slowly(cluster):
    """Its window is small, and it takes what comes a little at a time."""
    def stay(port: int, database: str, stream: bytes) -> list[wire.Message]:
        with wire.Wire(port).log_in(user="postgres", database=database) as client:
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            writer = threading.Thread(target=client.send, args=[stream])
            writer.start()
            received = bytearray()
            while more := client.socket.recv(3000):
                received += more
            writer.join()
            return replies.normal(bytes(received))

    with Gate(cluster) as gate, Stage(cluster, gate) as stage:
        for seed in some(COUNT // 3):
            script = Author(400_000 + seed, reads_writes=False).script()
            wanted, contents = stage.direct([*script, *END])
            stage.fill(script, "through")
            got = stay(gate.port, "through", b"".join([*script, *END]))
            assert got == wanted, f"seed {seed}\n{replies.script_text(script)}\n{replies.difference(wanted, got)}"
            assert stage.contents(script, "through") == contents, seed


# With causal reads, scripts may look at what they have written ----------------------------------------------------------

def test_random_scripts_that_read_what_they_have_written(cluster):
    with Gate(cluster, causal_reads="session") as gate:
        compare(cluster, gate, (seed + 500_000 for seed in some(COUNT // 2)), reads_writes=True)


def test_random_scripts_that_read_what_any_session_has_written(cluster):
    with Gate(cluster, causal_reads="global", weights=(1, 1), statement_level_load_balance="on") as gate:
        compare(cluster, gate, (seed + 700_000 for seed in some(COUNT // 2)), reads_writes=True)


def test_random_scripts_that_read_what_they_have_written_while_replay_stands_still(cluster):
    standby = cluster.standbys[0]
    with Gate(cluster, causal_reads="session", causal_reads_timeout=5) as gate:
        standby.run("SELECT pg_wal_replay_pause()")
        try:
            compare(cluster, gate, (seed + 600_000 for seed in some(COUNT // 3)), reads_writes=True, waits=False)
        finally:
            standby.run("SELECT pg_wal_replay_resume()")
