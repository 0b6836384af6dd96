"""A client of the soak test: a thread that visits the gate again and again, and checks each answer.

Every statement carries a token that only this client knows, so an answer meant for another one is seen at once.
"""

import contextlib
import random
import socket
import struct
import time

import wire
from wire import SYNC, bind, close_statement, execute, parse, query

# What the links' deaths and a full gate may answer to anything. 57014 is for those alone who may be cancelled.
TOLERATED = {"53300", "57P01", "08006", "08007"}
BIG_ROWS = 8000  # of 1 kB: more than sockets hold


class Gone(Exception):
    """The connection has ended, as it may."""


class Refused(Exception):
    """An error that may come at any time; the connection goes on."""


class Wrong(Exception):
    """An answer that must not be."""


class Silent(Wrong):
    """The connection has ended without a word."""


class Shared:
    """What the clients of one soak have in common."""

    def __init__(self, port: int):
        self.port = port
        self.ends_at = 0.0
        self.failures: list[str] = []
        self.victims: dict[int, tuple[int, bytes]] = {}  # keys of clients that may be cancelled by others, by number
        self.old_keys: list[tuple[int, bytes]] = []      # of sessions that have ended

    def is_over(self) -> bool:
        return bool(self.failures) or time.monotonic() > self.ends_at


class Client:
    """One thread's visits. Its numbers are drawn from the seed."""

    def __init__(self, shared: Shared, number: int, seed: int, identities: list[dict]):
        self.shared = shared
        self.number = number
        self.chance = random.Random(seed * 1000 + number)
        self.identities = identities
        self.is_victim = number % 3 == 0
        self.counts: dict[str, int] = {}
        self.committed: set[str] = set()
        self.uncertain: set[str] = set()
        self._token = 0
        self._seed = seed
        self._said: list[str] = []
        self._begin_visit()

    def run(self) -> None:
        """Visits until the time is over, or something is wrong."""
        while not self.shared.is_over():
            try:
                if self.chance.random() < 0.1:
                    self._knock()
                else:
                    self._visit()
            except Gone:
                self._count("gone")
            except Exception as failure:
                recent = "\n    ".join(self._said[-12:])
                self.shared.failures.append(
                    f"client {self.number} as {self._identity}: {str(failure)[:2000]!r}, after\n    {recent}")
                return
            finally:
                self._forget_key()
                if self._wire is not None:
                    self._wire.abort()
                    self._wire = None

    # A visit ---------------------------------------------------------------------------------------------------------

    def _begin_visit(self) -> None:
        self._wire = None
        self._identity: dict = {}
        self._settings: dict[str, str] = {}
        self._statements: dict[str, str] = {}
        self._channels: set[str] = set()
        self._tables = 0

    def _visit(self) -> None:
        self._begin_visit()
        self._identity = self.chance.choice(self.identities)
        self._log_in()
        for _ in range(self.chance.randint(1, 12)):
            if self.shared.is_over():
                break
            act = self.chance.choice(ACTS)
            self._said.append(act.__name__)
            try:
                act(self)
            except Refused:
                pass
            if self.chance.random() < 0.1:
                time.sleep(self.chance.random() * 0.05)
        way = self.chance.choice(WAYS_TO_LEAVE)
        self._said.append(way.__name__)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            way(self)
        self._count("visits")

    def _log_in(self) -> None:
        self._wire = wire.Wire(self.shared.port)
        self._send(wire.start_up(**self._identity))
        answer = self._wire.answer()
        if not answer.kinds.endswith("Z"):
            # While it waits for a turn a login may be late; its link may be lost.
            if not answer.error or answer.error["C"] not in {*TOLERATED, "57014", "57P03"}:
                raise Wrong(f"the login: {self._wire!r}")
            self._count(f"login {answer.error['C']}")
            raise Gone
        for each in answer.messages:
            if each.kind == "K":
                self._wire.pid, self._wire.secret = struct.unpack_from("!I", each.body)[0], each.body[4:]
        if self.is_victim:
            self.shared.victims[self.number] = (self._wire.pid, self._wire.secret)

    def _forget_key(self) -> None:
        self.shared.victims.pop(self.number, None)
        if self._wire is not None and self._wire.pid and len(self.shared.old_keys) < 1000:
            self.shared.old_keys.append((self._wire.pid, self._wire.secret))

    # Asking and checking ---------------------------------------------------------------------------------------------

    def token(self) -> str:
        self._token += 1
        return f"token-{self._seed}-{self.number}-{self._token}"

    def word(self) -> str:
        """For texts that links or the gate remember: one of few that only this client knows. So what they remember
        reaches its bounds soon, and memory that grows on is lost memory."""
        return f"word-{self.number}-{self.chance.randint(1, 3)}"

    def _count(self, what: str) -> None:
        self.counts[what] = self.counts.get(what, 0) + 1

    def _send(self, *parts: bytes) -> None:
        self._said.append(repr(b"".join(parts)[:200]))
        del self._said[:-30]
        try:
            self._wire.send(*parts)
        except (BrokenPipeError, ConnectionResetError):
            raise Gone from None

    def _read(self, wanted: list, error: str = "", status: str = "I") -> wire.Answer:
        """The answer up to ReadyForQuery, which must be `wanted` (rows of texts) or a tolerated failure."""
        answer = self._wire.answer()
        for each in answer.messages:
            if each.kind == "A":
                self._check_notification(each)
        errors = [each.fields() for each in answer.messages if each.kind == "E"]
        is_ended = not answer.kinds.endswith("Z")
        rows = [row[0] for row in answer.rows]
        allowed = {error, *self._tolerated()}
        if any(each["C"] not in allowed for each in errors):
            raise Wrong(f"wanted {wanted}: an error that can't be: {self._wire!r}")
        if rows != (wanted[:len(rows)] if errors else wanted):
            raise Wrong(f"wanted {wanted}, got {rows}: {self._wire!r}")
        if is_ended:
            if not errors or errors[-1]["S"] != "FATAL":
                raise Silent(f"wanted {wanted}: closed without a word: {self._wire!r}")
            self._count(f"end {errors[-1]['C']}")
            raise Gone
        self._count("answers")
        if errors and errors[-1]["C"] != error:
            self._count(errors[-1]["C"])
            self._said.append(f"refused by {errors[-1]['C']}")
            raise Refused
        if error and not errors:
            raise Wrong(f"wanted {error}, got no error: {self._wire!r}")
        if answer.status != status:
            raise Wrong(f"wanted status {status}: {answer.status}")
        return answer

    def _check_notification(self, each: wire.Message) -> None:
        channel, payload = (part.decode() for part in each.body[4:].split(b"\0")[:2])
        if channel not in self._channels or not payload.startswith(f"token-{self._seed}-{self.number}-"):
            raise Wrong(f"a notification of others: {each}")

    def _ask(self, sql: str, *wanted: str, **how) -> wire.Answer:
        self._send(query(sql))
        return self._read(list(wanted), **how)

    def _tolerated(self) -> set[str]:
        return TOLERATED | {"57014"} if self.is_victim else TOLERATED

    def _place(self) -> str:
        """Sends a read to the primary: the client's own row is locked."""
        return f" FROM place WHERE i = {self.number} FOR UPDATE" if self.chance.random() < 0.4 else ""

    # Good behaviour --------------------------------------------------------------------------------------------------

    def simple(self) -> None:
        token = self.token()
        self._ask(f"SELECT '{token}'{self._place()}", token)

    def several_statements(self) -> None:
        tokens = [self.token() for _ in range(3)]
        self._ask("; ".join(f"SELECT '{each}'" for each in tokens), *tokens)

    def extended(self) -> None:
        token = self.token()
        self._send(wire.ask(f"SELECT $1::text{self._place()}", token))
        self._read([token])

    def prepared(self) -> None:
        """Drivers number their statements: names are equal everywhere, and texts are not."""
        name = f"S_{self.chance.randint(1, 4)}"
        own, token = self.word(), self.token()
        if name not in self._statements or self.chance.random() < 0.3:
            self._statements.pop(name, None)
            self._send(close_statement(name), parse(f"SELECT $1::text || ' {own}'{self._place()}", name), SYNC)
            self._read([])
            self._statements[name] = own
        for _ in range(self.chance.randint(1, 3)):
            self._send(bind(token, statement=name), execute(), SYNC)
            self._read([f"{token} {self._statements[name]}"])

    def prepared_by_sql(self) -> None:
        name, word = f"q_{self.chance.randint(1, 2)}", self.word()
        if name not in self._statements:
            if f"tried {name}" in self._statements:
                return  # whether it is there is not known
            self._statements[f"tried {name}"] = ""
            self._ask(f"PREPARE {name} AS SELECT '{word}'")
            self._statements[name] = word
        self._ask(f"EXECUTE {name}", self._statements[name])

    def settings(self) -> None:
        name = self.chance.choice(("soak.token", "work_mem"))
        value = self.word() if name == "soak.token" else f"{self.chance.randint(1, 9)}MB"
        self._settings.pop(name, None)
        self._ask(f"SET {name} = '{value}'")
        self._settings[name] = value
        self.shown()

    def shown(self) -> None:
        for name, value in self._settings.items():
            self._ask(f"SHOW {name}", value)

    def discard(self) -> None:
        self._settings.clear()
        # When it is cancelled, what was prepared may be there or not.
        self._statements = {name: "" for name in self._statements if name.startswith("tried ")}
        self._ask("DISCARD ALL")
        self._statements.clear()
        self._channels.clear()

    def transaction(self) -> None:
        token, kept = self.token(), self.token()
        self._ask("BEGIN", status="T")
        try:
            if self.chance.random() < 0.5:
                self._ask("SET LOCAL work_mem = '3MB'", status="T")
                self._ask("SHOW work_mem", "3MB", status="T")
            self._ask(f"SELECT '{token}'{self._place()}", token, status="T")
            if self.chance.random() < 0.5:
                self._ask("SAVEPOINT a", status="T")
                self._ask(f"INSERT INTO kept VALUES ('{self.token()} undone')", status="T")
                self._ask("SELECT 1 / 0", error="22012", status="E")
                self._ask("ROLLBACK TO a", status="T")
            if self.chance.random() < 0.1:
                time.sleep(self.chance.random() * 0.3)
            self._ask(f"INSERT INTO kept VALUES ('{kept}')", status="T")
            if self.chance.random() < 0.3:
                self._ask("SELECT 1 / 0", error="22012", status="E")
                if (tag := self._ask("COMMIT").tags) != ["ROLLBACK"]:
                    raise Wrong(f"COMMIT of what has failed: {tag}")
                return
        except Refused:
            self._ask("ROLLBACK")
            return
        self.uncertain.add(kept)
        tag = self._ask("COMMIT").tags
        if tag != ["COMMIT"]:
            raise Wrong(f"COMMIT: {tag}")
        self.uncertain.discard(kept)
        self.committed.add(kept)
        self.shown()

    def pipeline(self) -> None:
        tokens = [self.token() for _ in range(self.chance.randint(2, 20))]
        if self.chance.random() < 0.5:
            place = self._place()
            self._send(*(parse(f"SELECT '{each}'{place}") + bind() + execute() for each in tokens), SYNC)
            self._read(tokens)
            return
        self._send(*(wire.ask(f"SELECT '{each}'{self._place()}") for each in tokens))
        for each in tokens:
            try:
                self._read([each])
            except Refused:
                continue

    def copy_in(self) -> None:
        token, count = self.token(), self.chance.randint(1, 50)
        self._send(query("COPY copied FROM STDIN"))
        if self._begin_copy() != "G":
            return
        self._send(*(wire.message(b"d", f"{token}\n".encode()) for _ in range(count)), wire.COPY_DONE)
        if self._read([]).tags != [f"COPY {count}"]:
            raise Wrong(f"COPY: {self._wire!r}")
        self._ask(f"/*NO LOAD BALANCE*/ SELECT count(*) FROM copied WHERE token = '{token}'", str(count))

    def _begin_copy(self) -> str:
        """The message that begins it; or the whole of another answer is read and judged."""
        found = self._wire.answer(until="GHEZ")
        if found.messages and found.messages[-1].kind in "GH":
            return found.messages[-1].kind
        error = found.error
        if not error or error["C"] not in self._tolerated():
            raise Wrong(f"COPY: {self._wire!r}")
        self._count(error["C"])
        if error["S"] == "FATAL":
            raise Gone
        self._read([])
        return ""

    def copy_out(self) -> None:
        token = self.token()
        self._send(query(f"COPY (SELECT '{token}' FROM generate_series(1, 200)) TO STDOUT"))
        data = [each.body.decode() for each in self._read([]).messages if each.kind == "d"]
        if data != [f"{token}\n"] * 200:
            raise Wrong(f"COPY: {self._wire!r}")

    def listen(self) -> None:
        channel = f"news_{self.number}"
        self._channels.add(channel)
        self._ask(f"LISTEN {channel}")
        self._ask(f"NOTIFY {channel}, '{self.token()}'")
        self._maybe_discard()

    def temporary_table(self) -> None:
        self._tables += 1  # names of others, too: each session sees its own
        token, name = self.token(), f"own_{self._tables}"
        self._ask(f"CREATE TEMP TABLE {name} (token text)")
        self._ask(f"INSERT INTO {name} VALUES ('{token}')")
        self._ask(f"SELECT token FROM {name}", token)
        self._maybe_discard()

    def advisory_lock(self) -> None:
        token = self.token()
        self._send(query(f"SELECT '{token}', pg_advisory_lock({self.number})"))
        self._read([token])
        self._maybe_discard()

    def _maybe_discard(self) -> None:
        """Some stay pinned to their end."""
        if self.chance.random() < 0.7:
            self.discard()

    def read_slowly(self) -> None:
        token = self.token()
        self._send(query(f"SELECT '{token} ' || i || repeat('x', 1000) FROM generate_series(1, {BIG_ROWS}) i"))
        time.sleep(self.chance.random() * 0.2)
        filling = "x" * 1000
        try:
            self._read([f"{token} {i}{filling}" for i in range(1, BIG_ROWS + 1)])
        except (Silent, AssertionError):
            raise Gone from None  # its link was lost in the middle of a message: nothing else can be said

    def own_commands(self) -> None:
        self._send(query(self.chance.choice(("SHOW POOL_PINS", "SHOW POOL_NODES", "SHOW POOL_VERSION"))))
        answer = self._wire.answer()
        if answer.error and answer.error["S"] == "FATAL" and answer.error["C"] in TOLERATED:
            raise Gone
        if not answer.kinds.endswith("CZ"):
            raise Wrong(f"{self._wire!r}")

    # Cancel requests -------------------------------------------------------------------------------------------------

    def _cancel(self, pid: int, secret: bytes) -> None:
        """Returns when the request has been taken: what is sent from now on is not meant by it."""
        with wire.Wire(self.shared.port) as canceller:
            canceller.send(wire.cancel_request(pid, secret)).read_to_end()

    def cancel_own(self) -> None:
        token = self.token()
        self._send(query(f"SELECT '{token}', pg_sleep({self.chance.choice((0, 0.01, 0.5))}){self._place()}"))
        if self.chance.random() < 0.5:
            time.sleep(self.chance.random() * 0.1)
        before, self.is_victim = self.is_victim, True
        try:
            self._cancel(self._wire.pid, self._wire.secret)
            self._read([token])
        finally:
            self.is_victim = before

    def cancel_too_late(self) -> None:
        """A request that has been answered before the next statement is sent means nothing to that one."""
        self.simple()
        self._cancel(self._wire.pid, self._wire.secret)

    def cancel_others(self) -> None:
        keys = list(self.shared.victims.values())
        if keys:
            self._cancel(*self.chance.choice(keys))

    def cancel_the_dead(self) -> None:
        if self.shared.old_keys:
            self._cancel(*self.chance.choice(self.shared.old_keys))

    # Bad behaviour: each of these ends the visit ---------------------------------------------------------------------

    def say_goodbye(self) -> None:
        self._wire.close()

    def go(self) -> None:
        self._wire.abort()

    def reset(self) -> None:
        self._wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._wire.abort()

    def _go_somehow(self) -> None:
        self.chance.choice((self.go, self.reset))()

    def go_in_a_message(self) -> None:
        sent = self.chance.choice((query(f"SELECT '{self.token()}'"), wire.ask("SELECT $1::text", self.token()),
                                   query("SELECT '" + "x" * 100_000 + "'")))
        self._send(sent[:self.chance.randrange(1, len(sent))])
        if self.chance.random() < 0.5:
            time.sleep(0.01)
        self._go_somehow()

    def go_without_an_answer(self) -> None:
        self._send(*(query(f"SELECT '{self.token()}'{self._place()}") for _ in range(self.chance.randint(1, 5))))
        self._go_somehow()

    def go_while_it_runs(self) -> None:
        self._send(query(f"SELECT pg_sleep(0.2){self._place()}"))
        time.sleep(self.chance.random() * 0.1)
        self._go_somehow()

    def go_in_a_result(self) -> None:
        self._send(query("SELECT repeat('x', 1000) FROM generate_series(1, 100000)"))
        if self.chance.random() < 0.7:
            self._wire.socket.recv(self.chance.randint(1, 100_000))
        self._go_somehow()

    def go_in_a_transaction(self) -> None:
        # In one text: were BEGIN refused, what follows it in a message of its own would be committed.
        self._send(query(f"BEGIN; INSERT INTO kept VALUES ('{self.token()} abandoned')"))
        if self.chance.random() < 0.7:
            self._wire.read()
        self._go_somehow()

    def go_in_a_copy(self) -> None:
        self._send(query("COPY copied FROM STDIN"))
        if self.chance.random() < 0.7:
            self._wire.answer(until="GEZ")
        whole = wire.message(b"d", f"{self.token()}\n".encode())
        self._send(whole, whole[:self.chance.randint(0, len(whole))])
        self._go_somehow()

    def go_without_sync(self) -> None:
        self._send(parse(f"SELECT '{self.token()}'{self._place()}") + bind() + execute(),
                   self.chance.choice((b"", wire.FLUSH)))
        self._go_somehow()

    def send_garbage(self) -> None:
        """Random bytes; what looks like a message may be long, and never comes."""
        self._send(self.chance.randbytes(self.chance.randint(1, 5000)))
        time.sleep(self.chance.random() * 0.02)
        self._go_somehow()

    def send_what_is_broken(self) -> None:
        self._send(self.chance.choice((
            *(b"Q" + struct.pack("!I", length) + b"SELECT" for length in (2, 0x7fff_ffff, 0xffff_ffff)),
            wire.message(b"Q", b"SELECT 1"), wire.message(b"B", b"\0\0\0\5"),
            wire.message(b"P", b"s\0SELECT 1\0\xff\xff"), wire.message(b"E", b"\0"), wire.message(b"p", b"x\0"),
            wire.message(b"?", b"what"), wire.message(b"d", b"no copy"), wire.message(b"S", b"more") + SYNC,
            query("SELECT 1\0; SELECT 2"),
        )), self.chance.choice((b"", SYNC, query("SELECT 1"))))
        time.sleep(self.chance.random() * 0.02)
        self._go_somehow()

    def _knock(self) -> None:
        """Connections that never become sessions."""
        self._begin_visit()
        hello = wire.start_up(**self.chance.choice(self.identities))
        for _ in range(self.chance.randint(1, 15)):
            sent = self.chance.choice((b"", self.chance.randbytes(self.chance.randint(1, 300)), hello, hello[:20],
                                       wire.SSL_REQUEST, wire.SSL_REQUEST + hello,
                                       struct.pack("!II", 0x7fff_ffff, wire.PROTOCOL_3_0),
                                       wire.cancel_request(self.chance.getrandbits(32), self.chance.randbytes(4)),
                                       hello + query(f"SELECT '{self.token()}'")))
            with wire.Wire(self.shared.port) as knocker, contextlib.suppress(BrokenPipeError, ConnectionResetError):
                knocker.send(sent)
                if self.chance.random() < 0.3:
                    knocker.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._count("knocks")


ACTS = [*(4 * [Client.simple, Client.extended, Client.prepared, Client.settings, Client.transaction]),
        *(2 * [Client.pipeline, Client.prepared_by_sql, Client.several_statements, Client.shown, Client.cancel_others]),
        Client.copy_in, Client.copy_out, Client.listen, Client.temporary_table, Client.advisory_lock, Client.discard,
        Client.read_slowly, Client.own_commands, Client.cancel_own, Client.cancel_too_late, Client.cancel_the_dead]
WAYS_TO_LEAVE = [Client.say_goodbye, Client.say_goodbye, Client.go, Client.reset, Client.go_in_a_message,
                 Client.go_without_an_answer, Client.go_while_it_runs, Client.go_in_a_result,
                 Client.go_in_a_transaction, Client.go_in_a_copy, Client.go_without_sync,
                 Client.send_garbage, Client.send_what_is_broken]
