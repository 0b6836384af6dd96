"""Stories of a client that writes and reads, made from a seed, and an account of what the client was told.

Every write carries a token of its own. When the story is over, the account says which tokens must be in the table, which
must not, and which may be either, because the client has been told that nobody knows.
"""

import itertools
import random
from dataclasses import dataclass, field

import wire
from wire import FLUSH, SYNC, Answer, execute, parse, query

SCHEMA = """
CREATE TABLE tokens (token int PRIMARY KEY);
CREATE TABLE one_row (i int); INSERT INTO one_row VALUES (1);
CREATE TABLE rows AS SELECT i, repeat('x', 100) AS filling FROM generate_series(1, 300) i;
"""
BROKEN = "SELECT 1 / (i - 1) FROM one_row"
BROKEN_LATE = "SELECT filling, 1 / (i - 250) FROM rows"
BROKEN_ON_STANDBY = "SELECT CASE WHEN pg_is_in_recovery() THEN 1 / (i - 1) ELSE i END FROM one_row"
SLOW = "SELECT count(*) FROM rows a, rows b, rows c WHERE a.i + b.i = c.i AND a.i <= 100"
READS = ["SELECT count(*) FROM one_row", "SELECT filling FROM rows", "SELECT 1", "SELECT i FROM one_row"]
UNKNOWN_OUTCOME = "08007"

_tokens = itertools.count(1)


@dataclass
class Statement:
    sql: str
    kind: str  # insert, begin, commit, rollback, savepoint, back (to a savepoint), release, read
    token: int = 0
    rows: int = 0        # the limit of its Execute
    name: str = ""       # of its portal
    flushes: bool = False
    describes: bool = False

    def bytes(self) -> bytes:
        """In the extended protocol."""
        return (parse(self.sql) + (wire.close_portal(self.name) if self.name else b"") + wire.bind(portal=self.name)
                + (wire.describe_portal(self.name) if self.describes else b"") + execute(self.name, self.rows)
                + (FLUSH if self.flushes else b""))


@dataclass
class Group:
    """What ends with one ReadyForQuery: a Query, or a unit of the extended protocol."""
    is_simple: bool
    statements: list[Statement]

    def bytes(self) -> bytes:
        if self.is_simple:
            return query("; ".join(each.sql for each in self.statements))
        return b"".join(each.bytes() for each in self.statements) + SYNC

    def __repr__(self):
        if self.is_simple:
            return f"Query {[each.sql for each in self.statements]}"
        return "unit " + ", ".join(f"{each.sql!r}" + (f" rows={each.rows}" if each.rows else "")
                                   + (f" portal={each.name}" if each.name else "") + (" Flush" if each.flushes else "")
                                   for each in self.statements)


def insert() -> Statement:
    token = next(_tokens)
    return Statement(f"INSERT INTO tokens VALUES ({token})", "insert", token)


def read(sql: str) -> Statement:
    return Statement(sql, "read")


class Teller:
    """Makes up stories. `failing`: the reads that are to fail sometimes."""

    def __init__(self, seed: int, failing: list[str]):
        self._random = random.Random(seed)
        self._failing = failing

    def story(self) -> list[Group]:
        found = []
        for _ in range(self._random.randint(1, 5)):
            found += self._random.choice((self._explicit, self._explicit, self._implicit))()
        return found

    def _chance(self, share: float) -> bool:
        return self._random.random() < share

    def _inner(self) -> Statement:
        """A statement that is no transaction command."""
        if self._chance(0.45):
            found = insert()
        else:
            found = read(self._random.choice(self._failing if self._chance(0.25) else READS))
            found.rows = self._random.choice((0, 0, 0, 0, 1, 10))
        found.name = self._random.choice(("", "", "", "p", "q"))
        found.flushes, found.describes = self._chance(0.1), self._chance(0.3)
        return found

    def _grouped(self, statements: list[Statement]) -> list[Group]:
        """In groups of a random size, in a random protocol each. A ROLLBACK stands alone: what it does to a unit without
        BEGIN is a matter of the server's version."""
        found = []
        while statements:
            count = self._random.choice((1, 1, 1, 2, 3, 5))
            rollback = next((at for at, each in enumerate(statements) if each.kind == "rollback"), len(statements))
            count = 1 if rollback == 0 else min(count, rollback)
            found.append(Group(self._chance(0.5), statements[:count]))
            statements = statements[count:]
        return found

    def _implicit(self) -> list[Group]:
        return [Group(self._chance(0.5), [self._inner() for _ in range(self._random.choice((1, 1, 2, 3, 5)))])]

    def _explicit(self) -> list[Group]:
        inside = [self._inner() for _ in range(self._random.randint(1, 7))]
        if self._chance(0.3):
            at = self._random.randint(0, len(inside))
            inside.insert(at, Statement("SAVEPOINT a", "savepoint"))
            after = self._random.randint(at + 1, len(inside))
            inside.insert(after, self._random.choice((Statement("ROLLBACK TO a", "back"), Statement("RELEASE a", "release"))))
        end = self._random.choice((Statement("COMMIT", "commit"),) * 5 + (Statement("ROLLBACK", "rollback"),) * 2)
        return self._grouped([Statement("BEGIN", "begin"), *inside, end])


@dataclass
class Account:
    """What the client of a story was told."""
    kept: set[int] = field(default_factory=set)
    gone: set[int] = field(default_factory=set)
    unknown: set[int] = field(default_factory=set)
    is_over: bool = False
    _pending: list[int] = field(default_factory=list)
    _explicit: bool = False
    _is_failed: bool = False  # refuses everything but its end and a return to a savepoint
    _savepoint: int | None = None

    def take(self, group: Group, answer: Answer, behind: list[Group]) -> None:
        """The answer to a group. `behind`: the groups that were sent as well and have no answer yet."""
        ended = answer.messages and answer.messages[-1].kind == "Z"
        ahead = list(group.statements)
        error = None
        for message in answer.messages:
            if message.kind in "Cs":
                self._done(ahead.pop(0), message.text())
            elif message.kind == "E":
                error = message.fields()["C"]
        if not ended:
            self._cut_off(ahead + [each for later in behind for each in later.statements])
        elif error:
            self._failed(error, ahead, answer.status)
        else:
            assert not ahead, f"{len(ahead)} statements without an answer: {group}"
            self._at_rest(answer.status)

    def _done(self, statement: Statement, tag: str) -> None:
        assert not self._is_failed or statement.kind in ("commit", "rollback", "back"), \
            f"a failed transaction has accepted {statement.sql}"
        if statement.kind == "insert":
            self._pending.append(statement.token)
        elif statement.kind == "begin":
            self._explicit = True
        elif statement.kind in ("commit", "rollback"):
            assert tag in (("ROLLBACK",) if self._is_failed else ("COMMIT", "ROLLBACK")), f"{tag} of a failed transaction"
            self._end(self.kept if tag == "COMMIT" else self.gone)
        elif statement.kind == "savepoint":
            self._savepoint = len(self._pending)
        elif statement.kind == "back":
            self.gone |= set(self._pending[self._savepoint:])
            del self._pending[self._savepoint:]
            self._is_failed = False

    def _end(self, into: set[int]) -> None:
        into |= set(self._pending)
        self._pending, self._explicit, self._is_failed, self._savepoint = [], False, False, None

    def _failed(self, error: str, ahead: list[Statement], status: str) -> None:
        self.gone |= {each.token for each in ahead if each.token}  # never executed, or failed
        if status == "I":
            self._end(self.unknown if error == UNKNOWN_OUTCOME else self.gone)
        else:
            assert status == "E" and self._explicit, f"after an error the status is {status}, explicit {self._explicit}"
            self._is_failed = True

    def _at_rest(self, status: str) -> None:
        if status == "I":
            self._end(self.kept)
        wanted = "I" if not self._explicit else "E" if self._is_failed else "T"
        assert status == wanted, f"the status is {status} instead of {wanted}"

    def _cut_off(self, unanswered: list[Statement]) -> None:
        """The connection has ended. Without BEGIN, or with a COMMIT on its way, anything may have happened."""
        ends = any(each.kind == "commit" for each in unanswered)
        self.unknown |= {each.token for each in unanswered if each.token}
        self._end(self.unknown if ends or not self._explicit else self.gone)
        self.is_over = True

    def finish(self) -> None:
        """The client leaves without ending its transaction."""
        self._end(self.gone)


def live(client: wire.Wire, story: list[Group], seed: int) -> Account:
    """Plays a story, group by group or with several on their way at once, and keeps the account."""
    chance, account, told = random.Random(seed), Account(), []
    at = 0
    while at < len(story) and not account.is_over:
        count = min(chance.choice((1, 1, 2, 4, 100)), len(story) - at)
        sent = story[at:at + count]
        try:
            client.send(*(group.bytes() for group in sent))
        except (BrokenPipeError, ConnectionResetError):
            pass  # what was answered before can still be read
        for number, group in enumerate(sent):
            answer = client.answer()
            told.append(f"{group} -> {answer.messages}")
            try:
                account.take(group, answer, sent[number + 1:])
            except AssertionError as wrong:
                raise AssertionError("\n  ".join([f"seed {seed}: {wrong}", *told])) from wrong
            if account.is_over:
                break
        at += count
    account.finish()
    return account
