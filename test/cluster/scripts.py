"""Scripts of a client, made from a seed: sequences of protocol messages, most of them sensible, some of them not.

The tables of `SCHEMA` are there: what scripts only read (`numbers`, `wide`) and what they write (`written`). A script
without `reads_writes` never reads outside a transaction what it has written, because such a read may be served by a
standby that is behind.
"""

import random
import struct

import replies
import wire
from wire import COPY_DONE, FLUSH, SYNC, cstr, message, query

SCHEMA = """
CREATE TABLE numbers AS SELECT i, 'text of ' || i AS name FROM generate_series(1, 200) i;
CREATE TABLE wide AS SELECT i, repeat(chr(96 + i), 3000 * i) AS filling FROM generate_series(1, 9) i;
CREATE TABLE written (k int PRIMARY KEY, v text);
CREATE SCHEMA other;
CREATE TABLE other.numbers AS SELECT -i AS i, 'other text of ' || i AS name FROM generate_series(1, 20) i;
"""
# Brings back what `SCHEMA` has made, whatever a script has done.
FILLING = ("DELETE FROM written; "
           "INSERT INTO written SELECT i, 'row ' || i FROM generate_series(1, 5) i")

READS = [
    ("SELECT count(*) FROM numbers", ()),
    ("SELECT i, name FROM numbers WHERE i < 6 ORDER BY i", ()),
    ("SELECT name FROM numbers WHERE i = $1", ("7",)),
    ("SELECT i FROM numbers WHERE i <= $1::int ORDER BY i", ("12",)),
    ("SELECT $1::int + 1 AS sum, $2::text AS words", ("41", "some words")),
    ("SELECT NULL::text, '', 'ä€😀'", ()),
    ("SELECT FROM numbers WHERE i < 4", ()),
    ("SELECT 1 WHERE false", ()),
    ("VALUES (1, 'a'), (2, 'b')", ()),
    ("TABLE other.numbers ORDER BY i", ()),
    ("SELECT filling FROM wide WHERE i <= 3 ORDER BY i", ()),
    ("SELECT repeat('x', 70000)", ()),
    ("SELECT generate_series(1, 30)", ()),
    ("WITH few AS (SELECT i FROM numbers WHERE i < 4) SELECT sum(i) FROM few", ()),
    ("SHOW DateStyle", ()),
    ("SELECT '2020-02-03'::date, interval '1 day 2 hours'", ()),
    ("SELECT current_setting('application_name'), current_setting('search_path')", ()),
]
WRONG_READS = [
    ("SELECT 1 / (i - 1) FROM numbers WHERE i = 1", ()),            # where it is executed
    ("SELECT 1 / (i - 40) FROM numbers WHERE i > 35", ()),          # after some rows: a sort would come behind it
    ("SELECT i, 1 / (i - 8), filling FROM wide", ()),               # after rows that are large
    ("SELECT $1::int", ("no number",)),                             # where it is bound
    ("SELECT 'x'::int", ()),                                        # where it is parsed
    ("SELEC 1", ()),
    ("SELECT * FROM nothing_here", ()),
    ("SELECT no_such_column FROM numbers", ()),
    ("SELECT $1::int", ()),                                         # a value is missing
    ("SELECT 1", ("too many",)),
]
WRITES = [
    ("INSERT INTO written VALUES ($1::int, $2) ON CONFLICT DO NOTHING", ("77", "inserted")),
    ("INSERT INTO written VALUES (8, 'eight') ON CONFLICT (k) DO UPDATE SET v = 'again' RETURNING k, v", ()),
    ("UPDATE written SET v = v || '!' WHERE k < 3", ()),
    ("UPDATE written SET v = $1 WHERE k = 4", ("four",)),
    ("DELETE FROM written WHERE k = 5", ()),
    ("DELETE FROM written WHERE k = 5 RETURNING *", ()),
    ("SELECT k FROM written WHERE k = 2 FOR UPDATE", ()),
    ("WITH gone AS (DELETE FROM written WHERE k = 3 RETURNING k) SELECT count(*) FROM gone", ()),
]
WRONG_WRITES = [
    ("INSERT INTO written VALUES (1, 'there already')", ()),
    ("UPDATE written SET v = (1 / (k - 2))::text", ()),
    ("INSERT INTO written VALUES (NULL)", ()),
    ("INSERT INTO numbers VALUES (1, 2, 3)", ()),
]
TALKATIVE = [
    ("DO $$ BEGIN RAISE NOTICE 'a notice'; RAISE WARNING 'a warning'; END $$", ()),
    ("DO $$ BEGIN RAISE EXCEPTION 'own' USING ERRCODE = 'PT001', HINT = 'a hint', DETAIL = 'a detail'; END $$", ()),
    ("DROP TABLE IF EXISTS never_there", ()),
    ("SELECT pg_notify('news', 'from a function')", ()),
]
NOTHING = [("", ()), (" ", ()), (";", ()), ("-- nothing", ()), ("/* nothing */ ;", ())]
SETTINGS = [
    "SET DateStyle = 'German'", "SET application_name = 'renamed'", "SET TimeZone = 'Asia/Tokyo'",
    "SET search_path = other", "SET LOCAL search_path = other, public", "SET IntervalStyle = 'iso_8601'",
    "RESET DateStyle", "RESET ALL", "SET search_path = DEFAULT", "SET no_such_setting = 1", "SET own.setting = 'x'",
    "SET client_encoding = 'LATIN1'", "SET extra_float_digits = 'wrong'", "DISCARD ALL", "DISCARD PLANS",
    "SET statement_timeout = '10min'", "SET standard_conforming_strings = on", "SELECT set_config('own.x', '1', false)",
]
ENDS = ["COMMIT", "COMMIT", "COMMIT", "ROLLBACK", "END", "ABORT", "COMMIT AND CHAIN", "ROLLBACK AND CHAIN"]
BEGINS = ["BEGIN", "BEGIN", "START TRANSACTION", "BEGIN READ ONLY", "BEGIN ISOLATION LEVEL REPEATABLE READ",
          "BEGIN ISOLATION LEVEL SERIALIZABLE", "START TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE"]
SAVEPOINTS = ["SAVEPOINT a", "SAVEPOINT b", "ROLLBACK TO a", "ROLLBACK TO SAVEPOINT b", "RELEASE a", "RELEASE b",
              "ROLLBACK TO never_there"]
READS_OF_WRITES = [
    ("SELECT k, v FROM written ORDER BY k", ()),
    ("SELECT count(*), max(v) FROM written WHERE k > $1::int", ("1",)),
    ("SELECT v FROM written WHERE k = 1", ()),
    ("TABLE written ORDER BY 1 DESC", ()),
]
NAMES = ["", "", "", "s", "t"]
PORTALS = ["", "", "", "p", "q"]


def bind(values: tuple, statement: str, portal: str, binary: bool) -> bytes:
    body = cstr(portal) + cstr(statement) + struct.pack("!HH", 0, len(values))
    for value in values:
        body += struct.pack("!i", len(value.encode())) + value.encode()
    return message(b"B", body + (struct.pack("!HH", 1, 1) if binary else struct.pack("!H", 0)))


def close(kind: str, name: str) -> bytes:
    return message(b"C", kind.encode() + cstr(name))


def describe(kind: str, name: str) -> bytes:
    return message(b"D", kind.encode() + cstr(name))


def is_bearable(script: list[bytes]) -> bool:
    """False for what may crash a server: PostgreSQL 15 reads freed memory when the unnamed portal is described or executed
    behind a Query that has failed in a transaction. So behind a Query it has to be bound in the same unit."""
    query_seen = bound = False
    for raw in script:
        kind, body = raw[:1], raw[5:]
        if kind == b"Q":
            query_seen, bound = True, False
        elif kind == b"S":
            bound = bound and not query_seen
        elif kind == b"B" and body[:1] == b"\0":
            bound = True
        elif (kind == b"E" and body[:1] == b"\0") or (kind == b"D" and body[:2] == b"P\0"):
            if query_seen and not bound:
                return False
    return True


class Author:
    """Writes scripts. What it can't know (does this portal still exist?) the server decides."""

    def __init__(self, seed: int, *, reads_writes: bool):
        self._random = random.Random(seed)
        self._reads_writes = reads_writes
        self._in_transaction = False

    def script(self) -> list[bytes]:
        while True:
            self._in_transaction = False
            found = []
            for _ in range(self._random.choice((1, 2, 3, 4, 6, 9))):
                found += self._piece()
            if is_bearable(found):
                return found

    def _one(self, *choices):
        return self._random.choice(choices)

    def _chance(self, share: float) -> bool:
        return self._random.random() < share

    def _piece(self) -> list[bytes]:
        pieces = ((6, self._simple), (3, self._several), (9, self._unit), (4, self._transaction), (2, self._partial),
                  (2, self._copy_in), (1, self._copy_out), (2, self._cursor), (1, self._sql_prepare), (1, self._stray),
                  (1, self._temporary), (1, self._listen), (1, self._crowd), (1, self._large), (1, self._defined))
        return self._random.choices([each for _, each in pieces], [weight for weight, _ in pieces])[0]()

    def _statement(self) -> tuple[str, tuple]:
        """A statement that may stand anywhere, with values for its parameters."""
        kinds = [(10, READS), (2, WRONG_READS), (4, WRITES), (1, WRONG_WRITES), (1, TALKATIVE), (1, NOTHING)]
        if self._reads_writes:
            kinds.append((4, READS_OF_WRITES))
        kind = self._random.choices([each for _, each in kinds], [weight for weight, _ in kinds])[0]
        return self._random.choice(kind)

    def _plain(self) -> str:
        """A statement without parameters."""
        if self._chance(0.1):
            return self._random.choice(SETTINGS)
        while True:
            sql, values = self._statement()
            if not values and "$1" not in sql:
                return sql

    # The simple protocol ---------------------------------------------------------------------------------------------

    def _simple(self) -> list[bytes]:
        return [query(self._plain())]

    def _several(self) -> list[bytes]:
        parts = [self._plain() for _ in range(self._random.randint(2, 4))]
        if self._chance(0.3):
            parts.insert(self._random.randint(0, len(parts)), self._one(*BEGINS))
        if self._chance(0.3):
            parts.insert(self._random.randint(0, len(parts)), self._one(*ENDS))
        return [query("; ".join(parts))]

    def _run(self, sql: str) -> list[bytes]:
        """A statement without parameters, in either protocol."""
        if self._chance(0.5):
            return [query(sql)]
        return [*self._exchange(sql, ()), SYNC]

    # The extended protocol -------------------------------------------------------------------------------------------

    def _exchange(self, sql: str, values: tuple) -> list[bytes]:
        """Parse to Execute, with some of what may stand between."""
        name, portal = self._random.choice(NAMES), self._random.choice(PORTALS)
        found = []
        if name and self._chance(0.8):
            found.append(close("S", name))
        found.append(wire.parse(sql, name))
        if self._chance(0.3):
            found.append(describe("S", name))
        if portal and self._chance(0.8):
            found.append(close("P", portal))
        found.append(bind(values, name, portal, self._chance(0.2)))
        if self._chance(0.6):
            found.append(describe("P", portal))
        found.append(wire.execute(portal, self._random.choice((0, 0, 0, 0, 1, 3))))
        if self._chance(0.1):
            found.append(wire.execute(portal, 2))
        if name and self._chance(0.3):
            found.append(close("S", name))
        return found

    def _loose(self) -> bytes:
        """One message of the extended protocol, whether it makes sense or not."""
        name, portal = self._random.choice([*NAMES, "unknown"]), self._random.choice(["", "p", "q", "q", "unknown"])
        sql, values = self._statement()
        return self._one(wire.parse(sql, name), bind(values, name, portal, False), bind((), name, portal, False),
                         describe("S", name), describe("P", portal), wire.execute(portal, self._one(0, 0, 1, 5)),
                         close("S", name), close("P", portal), FLUSH)

    def _unit(self) -> list[bytes]:
        found = []
        for _ in range(self._random.choice((0, 1, 1, 1, 2, 2, 3, 5))):
            if self._chance(0.7):
                found += self._exchange(*self._statement())
            elif self._chance(0.3):
                found += self._exchange(self._one(*SETTINGS, *BEGINS, *ENDS, *SAVEPOINTS), ())
            else:
                found.append(self._loose())
            if self._chance(0.1):
                found.append(FLUSH)
        return [*found, SYNC]

    def _partial(self) -> list[bytes]:
        """A portal that is read in parts, in a transaction or not, with other things between."""
        portal = self._random.choice(PORTALS)
        sql, values = self._one(("SELECT i FROM numbers WHERE i <= $1::int ORDER BY i", ("9",)),
                                ("SELECT filling FROM wide ORDER BY i", ()), ("SELECT generate_series(1, 8)", ()),
                                ("SELECT 1 / (i - 4) FROM numbers WHERE i < 9", ()),
                                ("UPDATE written SET v = v || '?' WHERE k = 3 RETURNING k, generate_series(1, 6)", ()))
        found = self._run(self._one(*BEGINS)) if self._chance(0.5) else []
        in_transaction = bool(found)
        found += [wire.parse(sql, "s") if self._chance(0.3) else wire.parse(sql)]
        name = "s" if found[-1][5:6] == b"s" else ""
        found += [bind(values, name, portal, False)]
        for _ in range(self._random.randint(1, 5)):
            found.append(wire.execute(portal, self._random.randint(1, 4)))
            found += self._one([], [], [FLUSH], [SYNC], [describe("P", portal)], [SYNC, query("SELECT 5")],
                               self._exchange(*self._statement()))
        found += self._one([], [close("P", portal)], [wire.execute(portal)])
        found += [close("S", "s"), SYNC]
        return found + (self._run(self._one(*ENDS)) if in_transaction else [])

    def _large(self) -> list[bytes]:
        """More than fits any buffer, in a statement or in a value."""
        size = self._one(9_000, 70_000, 300_000)
        return self._one(
            [query(f"SELECT length('{'x' * size}')")],
            [wire.parse("SELECT length($1), $1"), bind(("y" * size,), "", "", False), wire.execute(), SYNC],
            [wire.parse(f"SELECT {size} /* {'z' * size} */"), bind((), "", "", False), wire.execute(), SYNC],
            [wire.parse("INSERT INTO written VALUES ($1::int, $2) ON CONFLICT DO NOTHING"),
             bind(("900", "w" * size), "", "", False), wire.execute(), SYNC])

    def _crowd(self) -> list[bytes]:
        """Many messages of one kind."""
        count = self._one(20, 100, 400)
        read = wire.parse("SELECT $1::int") + bind(("1",), "", "", False) + wire.execute()
        write = (wire.parse("UPDATE written SET v = v WHERE k = $1::int") + bind(("1",), "", "", False)
                 + wire.execute())
        broken = wire.parse("SELECT 1 / (i - 1) FROM numbers WHERE i = 1") + bind((), "", "", False) + wire.execute()
        unit = self._one(read, read + SYNC, write + SYNC, read + write, read + SYNC + write + SYNC, query("SELECT 1"),
                         read + FLUSH, close("S", "s"), SYNC, broken + SYNC, broken, describe("S", "") + SYNC)
        return [*replies.cut(unit * count), SYNC]

    def _defined(self) -> list[bytes]:
        """A statement that is prepared once and used in several units."""
        sql, values = self._statement()
        found = [close("S", "u"), wire.parse(sql, "u"), *self._one([], [describe("S", "u")], [FLUSH]), SYNC]
        for _ in range(self._random.randint(1, 4)):
            found += [bind(values, "u", "", self._chance(0.2)), *self._one([], [describe("P", "")]), wire.execute()]
            found += self._one([SYNC], [SYNC, query(self._plain()), bind(values, "u", "", False), SYNC],
                               [*self._exchange(*self._statement()), SYNC])
        return [*found, SYNC]

    # What spans several statements -----------------------------------------------------------------------------------

    def _transaction(self) -> list[bytes]:
        if self._in_transaction:
            return self._unit()
        self._in_transaction = True
        found = self._run(self._one(*BEGINS))
        for _ in range(self._random.randint(1, 5)):
            if self._chance(0.3):
                found += self._run(self._one(*SAVEPOINTS))
            else:
                found += self._piece()
        if self._chance(0.9):
            found += self._run(self._one(*ENDS))
        self._in_transaction = False
        return found

    def _copy_in(self) -> list[bytes]:
        target = self._one("COPY written FROM STDIN", "COPY written (k, v) FROM STDIN (FORMAT csv)")
        separator = "," if "csv" in target else "\t"
        lines = [f"{100 + number}{separator}copied {number}\n".encode() for number in range(self._one(0, 1, 3, 40))]
        if self._chance(0.3):
            lines.insert(self._random.randint(0, len(lines)), self._one(b"no number\tx\n", b"1\tthere already\n", b"7\n"))
        data = [message(b"d", line) for line in lines]
        if self._chance(0.2):
            data = [message(b"d", b"".join(lines))]
        if self._chance(0.2):
            data.insert(self._random.randint(0, len(data)), FLUSH)
        end = COPY_DONE if self._chance(0.7) else message(b"f", cstr("given up"))
        if self._chance(0.5):
            text = self._one(target, f"SELECT 1; {target}; SELECT 2", f"{target}; SELECT 1/0", f"BEGIN; {target}; COMMIT")
            return [query(text), *data, end]
        start = [wire.parse(target), bind((), "", "", False), wire.execute()]
        # A driver that doesn't know what it has sent puts a Sync behind the Execute; COPY ignores it.
        start += self._one([], [SYNC], [FLUSH])
        return [*start, *data, end, SYNC]

    def _copy_out(self) -> list[bytes]:
        sources = ["numbers", "(SELECT i, name FROM numbers WHERE i < 5 ORDER BY i)", "other.numbers", "nothing_here",
                   "(SELECT 1 / (i - 40) FROM numbers)", "wide"]
        if self._reads_writes:
            sources.append("(TABLE written ORDER BY 1)")
        return self._run(f"COPY {self._one(*sources)} TO STDOUT" + self._one("", " (FORMAT csv, HEADER)"))

    def _cursor(self) -> list[bytes]:
        found = self._run(self._one(*BEGINS)) if self._chance(0.8) else []
        in_transaction = bool(found)
        hold = self._one("", "", " WITH HOLD")
        found += self._run(f"DECLARE c{self._one('', ' SCROLL')} CURSOR{hold} FOR SELECT i FROM numbers ORDER BY i")
        for _ in range(self._random.randint(1, 4)):
            found += self._run(self._one("FETCH 2 FROM c", "FETCH ALL FROM c", "MOVE 3 IN c", "FETCH BACKWARD 1 FROM c",
                                         "CLOSE c", "FETCH 1 FROM never_there", "SELECT 1"))
        if in_transaction:
            found += self._run(self._one(*ENDS))
        return found + self._run(self._one("FETCH 1 FROM c", "CLOSE c", "CLOSE ALL"))

    def _sql_prepare(self) -> list[bytes]:
        found = self._run(self._one("PREPARE r (int) AS SELECT name FROM numbers WHERE i = $1",
                                    "PREPARE r (int) AS UPDATE written SET v = 'prepared' WHERE k = $1"))
        for _ in range(self._random.randint(1, 3)):
            found += self._run(self._one("EXECUTE r (3)", "EXECUTE r (5)", "EXECUTE r", "SELECT 1"))
        return found + self._run(self._one("DEALLOCATE r", "DEALLOCATE ALL", "DEALLOCATE never_there", "DISCARD ALL"))

    def _temporary(self) -> list[bytes]:
        found = self._run("CREATE TEMP TABLE own AS SELECT generate_series(1, 3) AS i")
        for _ in range(self._random.randint(1, 3)):
            found += self._run(self._one("SELECT * FROM own ORDER BY i", "INSERT INTO own VALUES (4)",
                                         "SELECT count(*) FROM own", "SELECT count(*) FROM numbers"))
        return found + (self._run("DROP TABLE own") if self._chance(0.5) else [])

    def _listen(self) -> list[bytes]:
        found = self._run("LISTEN news")
        for _ in range(self._random.randint(1, 3)):
            found += self._run(self._one("NOTIFY news", "NOTIFY news, 'with words'", "SELECT 1", "UNLISTEN *"))
        return found

    def _stray(self) -> list[bytes]:
        """What has no place here, and is let pass or refused."""
        return [self._one(message(b"d", b"stray"), COPY_DONE, message(b"f", b"stray\0"), FLUSH, SYNC,
                          wire.function_call(999_999_999), wire.function_call(3062, "fast path"),
                          wire.execute("unknown"), bind((), "unknown", "", False))]

