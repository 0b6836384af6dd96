"""The rows of routing-cases.tsv (seen on Pgpool-II), and how one is played through a gate.

A row with destination `all` changes the session. Pgpool-II sends it to two servers at once; pgtorii brings the change
to a server when that serves the session next. Such a row passes when its effect is there, wherever that is: EFFECTS.
"""

import csv
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import harness
import server_log
import wire
from gate import Gate

HERE = Path(__file__).parent
TABLE = HERE.parent / "unit" / "routing" / "routing-cases.tsv"
FIXTURE = HERE / "routing-cases-fixture.sql"
PRIMARY, STANDBY = 0, 1
PAUSE = "SELECT pg_wal_replay_pause()"
COPY_INPUT = b"901\tx\n"


def unescape(text: str) -> str:
    return re.sub(r"\\(.)", lambda found: {"n": "\n", "t": "\t"}.get(found[1], found[1]), text)


@dataclass(frozen=True)
class Row:
    """One row. Where Pgpool-II's versions differ, the newer one counts."""
    id: str
    statement: str
    config: str
    protocol: str
    setup: tuple[str, ...]
    session: str
    destination: str
    result: str
    name: str
    cleanup: str

    def settings(self) -> dict[str, str]:
        if self.config == "default":
            return {}
        pairs = (item.partition("=") for item in self.config.split("; "))
        return {name: value.strip("'") for name, _, value in pairs}

    def start_up(self) -> dict[str, str]:
        name, _, value = self.session.partition("=")
        changed = {{"dbname": "database"}.get(name, name): value} if name else {}
        return {"user": "postgres", "database": "rt", "application_name": "case", **changed}


def read_rows() -> list[Row]:
    with TABLE.open(newline="") as file:
        found = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    return [_row({name: unescape(value) for name, value in each.items()}) for each in found]


def _row(values: dict[str, str]) -> Row:
    name = re.search(r'statement name: "(.*?)"', values["note"])
    return Row(id=values["id"], statement=values["statement"], config=values["config"], protocol=values["protocol"],
               setup=tuple(values["setup"].split(" ;; ")) if values["setup"] else (), session=values["session"],
               destination=values["destination_4_7"], result=values["result_4_7"], name=name[1] if name else "",
               cleanup=values["cleanup"])


@dataclass
class Outcome:
    """What happened to the statement of a row."""
    destination: str
    result: str
    seen: dict[int, list[str]] = field(default_factory=dict)  # what each server was sent
    told: str = ""  # where it would go, as EXPLAIN (ROUTE) told before

    def __str__(self):
        return f"{self.destination} {self.result}"


class Player:
    """Plays one row: a new session, its setup, its statement, and for destination `all` the look at the effect."""

    def __init__(self, cluster: harness.Cluster, gate: Gate, row: Row):
        self.cluster, self.gate, self.row = cluster, gate, row
        self.client = gate.wire(**row.start_up())
        self.earlier = ""  # what the effect's look needs to know of the time before

    def play(self, explains: bool = False) -> Outcome:
        """`explains`: asks EXPLAIN (ROUTE) before the statement is sent."""
        effect = find_effect(self.row) if self.row.destination == "all" else None
        try:
            for sql in effect.before if effect else ():
                self.ask(sql)
            for step in self.row.setup:
                self.step(step)
            if effect and effect.remember:
                self.earlier = self.read(effect.remember)[1]
            told = self.explained() if explains else ""
            outcome = self.statement()
            outcome.told = told
            if effect:
                outcome.destination = self.look(effect)
            return outcome
        finally:
            self.client.close()
            if self.row.cleanup:
                self.step(self.row.cleanup)

    # Steps -----------------------------------------------------------------------------------------------------------

    def step(self, step: str) -> None:
        """One step of a setup or a cleanup. Its errors are intended."""
        word, _, rest = step.partition(" ")
        if word == "@primary:":
            self.cluster.primary.run(rest, dbname="rt")
        elif word == "@standby:":
            if rest == PAUSE:
                self.wait_for_lag(False)
            self.cluster.standbys[0].run(rest, dbname="rt")
        elif word == "@sleep":
            self.wait_for_lag(f"@standby: {PAUSE}" in self.row.setup)
        elif word == "ext:":
            self.client.ask(wire.ask(rest))
        elif word == "parse":
            name, _, sql = rest.partition(": ")
            self.client.ask(wire.parse(sql, name), wire.SYNC)
        elif word == "execp":
            self.client.ask(wire.bind(statement=rest), wire.execute(), wire.SYNC)
        else:
            self.query(step)

    def wait_for_lag(self, lags: bool) -> None:
        """What a row's @sleep waits for: that the gate knows whether the standby lags."""
        def is_known():
            return (self.gate.nodes()[STANDBY]["replication_delay"] != "0") == lags
        harness.wait_until(is_known, f"the gate knows that the standby {'lags' if lags else 'has caught up'}")

    def query(self, sql: str) -> wire.Answer:
        answer = self.client.send(wire.query(sql)).answer(until="ZG")
        if answer.kinds.endswith("G"):
            answer = self.client.ask(wire.message(b"d", COPY_INPUT), wire.COPY_DONE)
        return answer

    def send_statement(self) -> wire.Answer:
        row = self.row
        if row.protocol == "simple":
            return self.query(row.statement)
        if row.protocol == "extended":
            return self.client.ask(wire.ask(row.statement))
        if row.protocol == "extended-named":
            return self.client.ask(wire.bind(statement=row.name), wire.execute(), wire.SYNC)
        return self.client.ask(wire.parse(row.statement, row.name), wire.SYNC)

    def statement(self) -> Outcome:
        """Sends the statement and looks into the servers' logs where it went."""
        marks = [server.log.mark() for server in self.cluster.servers]
        answer = self.send_statement()
        result = "closed" if not answer.kinds.endswith("Z") else answer.error["C"] if answer.error else "OK"
        seen = {node: server_log.entries(server.log.since(mark))
                for node, (server, mark) in enumerate(zip(self.cluster.servers, marks, strict=True))}
        reached = [node for node, each in seen.items() if any(self.is_wanted(entry) for entry in each)]
        words = {(): "none", (PRIMARY,): "primary", (STANDBY,): "load-balance node"}
        return Outcome(words.get(tuple(reached), "both"), result,
                       {node: [f"{entry.how}: {entry.text}" for entry in each] for node, each in seen.items()})

    def explained(self) -> str:
        """The server that EXPLAIN (ROUTE) names, as the table's word for it."""
        answer = self.client.query(f"EXPLAIN (ROUTE) {self.row.statement}")
        found = answer.rows and re.match(r"Route: (primary|balanced|local)(?: \(node (\d)\))?: ", answer.rows[0][0])
        if not found:
            return f"no route: {answer.kinds} {answer.rows[:1]} {answer.error}"
        if found[1] == "local":
            return "none"
        is_standby = found[1] == "balanced" and found[2] == str(STANDBY)
        return "load-balance node" if is_standby else "primary"

    def is_wanted(self, entry: server_log.Entry) -> bool:
        """Is this the row's message? The Parse that comes before an Execute is not, unless there is nothing to execute:
        the server does not log that."""
        ways = {"simple": "statement", "extended": "execute" if self.row.statement else "parse",
                "extended-named": "execute", "extended-parse": "parse"}
        return entry.text == self.row.statement and entry.how in (ways[self.row.protocol], "refused")

    # Looking at the effect -------------------------------------------------------------------------------------------

    def ask(self, sql: str) -> list[tuple]:
        answer = self.client.query(sql)
        assert answer.error is None, (self.row.id, sql, answer.error)
        return answer.rows

    def read(self, expression: str, also: str = "") -> tuple[int, str]:
        """The value of an expression where reads of this session go now, and which node that is."""
        ((port, value),) = self.ask(f"SELECT inet_server_port(), {expression}{also}")
        return [str(server.port) for server in self.cluster.servers].index(port), value

    def read_on_primary(self, expression: str) -> str:
        """The same on the primary: a volatile function sees to it."""
        node, value = self.read(expression, " WHERE random() >= 0")
        assert node == PRIMARY, (self.row.id, expression)
        return value

    def look(self, effect: "Effect") -> str:
        """The word `all` if the effect is there."""
        if f"@standby: {PAUSE}" in self.row.setup:
            self.step(self.row.cleanup)
            self.wait_for_lag(False)
        try:
            effect.is_there(self)
        except AssertionError as missing:
            return f"effect missing: {missing}"
        return "all"


# The effects of rows with destination `all` --------------------------------------------------------------------------

@dataclass(frozen=True)
class Effect:
    """How to see that a statement has done its work on whatever server the session uses."""
    is_there: Callable[[Player], None]
    before: tuple[str, ...] = ()  # statements without which nothing would be seen
    remember: str = ""            # an expression whose value is kept before the statement


def value_of(expression: str, wanted: str, before: tuple[str, ...] = ()) -> Effect:
    """An expression has this value on both servers. Outside a transaction, and in one that can be shared, a read must
    have gone to the standby: a value that is seen on one server alone says nothing."""
    def is_there(player: Player):
        node, value = player.read(expression)
        assert value == wanted, f"{expression} is {value} on node {node}"
        if "BEGIN" not in player.row.setup and player.row.settings().get("disable_load_balance_on_write") != "always":
            assert node == STANDBY, "the read went to the primary"
        value = player.read_on_primary(expression)
        assert value == wanted, f"{expression} is {value} on the primary"
    return Effect(is_there, before)


def setting(name: str, wanted: str, before: tuple[str, ...] = ()) -> Effect:
    return value_of(f"current_setting('{name}')", wanted, before)


def status(client: wire.Wire) -> str:
    return client.query("SHOW server_version").status


def begun(settings: dict[str, str], reader: int = STANDBY) -> Effect:
    """A transaction is open, with these settings, on both servers if reads may go to the standby."""
    def is_there(player: Player):
        assert status(player.client) == "T", "no transaction is open"
        node, first = player.read("now()")
        assert node == reader, f"a read went to node {node}"
        assert player.read("now()") == (node, first), "the standby is in no transaction"
        for name, wanted in settings.items():
            expression = f"current_setting('{name}')"
            assert player.read(expression)[1] == wanted, f"{name} differs where reads go"
            assert player.read_on_primary(expression) == wanted, f"{name} differs on the primary"
        before = player.read_on_primary("now()")
        assert player.read_on_primary("now()") == before, "the primary is in no transaction"
    return Effect(is_there)


def ended() -> Effect:
    """No transaction is open on either server."""
    def is_there(player: Player):
        assert status(player.client) == "I", "a transaction is still open"
        assert player.read("now()") != player.read("now()"), "the standby is still in the transaction"
        assert player.read_on_primary("now()") != player.read_on_primary("now()"), "the primary is still in it"
    return Effect(is_there)


def chained(player: Player) -> None:
    assert status(player.client) == "T", "no transaction is open"
    assert player.read("now()")[1] != player.earlier, "it is still the same transaction"


def savepoint_works(player: Player) -> None:
    """The savepoint can be gone back to from errors on either server."""
    for failing in ("SELECT 1/0", "SELECT random()/0"):
        assert player.client.query(failing).status == "E", failing
        assert player.client.query("ROLLBACK TO a").status == "T", "ROLLBACK TO a"
        player.read("i::text", " FROM t1 WHERE i = 1")
    player.ask("UPDATE t1 SET v = v WHERE i < 0")


def savepoint_is_gone(player: Player) -> None:
    assert player.client.query("ROLLBACK TO a").error["C"] == "3B001", "the savepoint is still there"


def error_is_forgotten(player: Player) -> None:
    assert status(player.client) == "T", "the transaction is not usable again"
    savepoint_works(player)


def locked(mode: str) -> Effect:
    """The lock is held on the primary. That keeps changes of the table from the standby too: they come from there."""
    def is_there(player: Player):
        count = player.cluster.primary.one(
            f"SELECT count(*) FROM pg_locks WHERE relation = 't1'::regclass AND mode = '{mode}' AND granted",
            dbname="rt")
        assert count == 1, f"{count} sessions hold {mode} on the primary"
        player.read("count(*)", " FROM t1")
    return Effect(is_there)


def usable(player: Player) -> None:
    assert player.read("1")[0] == STANDBY
    player.read_on_primary("1")


def fails_with(sqlstate: str, sql: str, before: tuple[str, ...]) -> Effect:
    def is_there(player: Player):
        error = player.client.query(sql).error
        assert error and error["C"] == sqlstate, f"{sql}: {error}"
        player.read("1")
    return Effect(is_there, before)


def parsed(player: Player) -> None:
    """A statement that was only parsed can be executed."""
    answer = player.client.ask(wire.bind(statement=player.row.name), wire.execute(), wire.SYNC)
    assert answer.error is None and answer.rows, answer.error


READ_PREFIX = "SELECT inet_server_port(), current_setting('work_mem')"
CHANGED = ("SET work_mem = '3MB'", READ_PREFIX, READ_PREFIX + " WHERE random() >= 0")
READ_WRITE, READ_ONLY = {"transaction_read_only": "off"}, {"transaction_read_only": "on"}
REPEATABLE = {"transaction_isolation": "repeatable read"}

# By statement. The first pattern that matches the whole text counts.
EFFECTS = (
    (r"SET (LOCAL )?work_mem='1MB'", setting("work_mem", "1MB")),
    (r"SET SESSION search_path=public", setting("search_path", "public")),
    (r"SET TIME ZONE 'UTC'", setting("TimeZone", "UTC")),
    (r"SET application_name='zz'", setting("application_name", "zz")),
    (r"RESET work_mem|RESET ALL|DISCARD ALL", setting("work_mem", "4MB", CHANGED)),
    (r"SET ROLE alice", value_of("current_user", "alice")),
    (r"SET SESSION AUTHORIZATION alice", value_of("session_user", "alice")),
    (r"SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY", setting("default_transaction_read_only", "on")),
    (r"SET SESSION CHARACTERISTICS .*|SET default_transaction_isolation.*",
     setting("default_transaction_isolation", "repeatable read")),
    (r"SET default_transaction_read_only TO off",
     setting("default_transaction_read_only", "off", ("SET default_transaction_read_only TO on",))),
    (r"SET transaction_read_only TO on|DISCARD PLANS", Effect(usable)),
    (r"DISCARD TEMP", fails_with("42P01", "TABLE gone_soon", ("CREATE TEMP TABLE gone_soon (i int)",))),
    (r"DEALLOCATE ALL", fails_with("26000", "EXECUTE kept", ("PREPARE kept AS SELECT 1",))),
    (r"SET TRANSACTION READ ONLY", setting("transaction_read_only", "on")),
    (r"SET TRANSACTION ISOLATION LEVEL REPEATABLE READ", setting("transaction_isolation", "repeatable read")),
    (r"BEGIN|START TRANSACTION", begun({})),
    (r"BEGIN READ ONLY", begun(READ_ONLY)),
    (r"BEGIN READ WRITE", begun({})),
    (r"BEGIN ISOLATION LEVEL SERIALIZABLE", begun({"transaction_isolation": "serializable"}, reader=PRIMARY)),
    (r"START TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY",
     begun({**READ_ONLY, **REPEATABLE}, reader=PRIMARY)),
    (r"COMMIT|END|ROLLBACK|ABORT", ended()),
    (r"COMMIT AND CHAIN", Effect(chained, remember="now()")),
    (r"SAVEPOINT a", Effect(savepoint_works)),
    (r"RELEASE SAVEPOINT a", Effect(savepoint_is_gone)),
    (r"ROLLBACK TO a", Effect(error_is_forgotten)),
    (r"LOCK TABLE t1 IN ACCESS SHARE MODE", locked("AccessShareLock")),
    (r"LOCK TABLE t1 IN ROW SHARE MODE", locked("RowShareLock")),
    (r"SELECT \* FROM t1 /\*n\*/", Effect(parsed)),
)


def find_effect(row: Row) -> Effect:
    return next(effect for pattern, effect in EFFECTS if re.fullmatch(pattern, row.statement))
