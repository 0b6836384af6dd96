"""The same replies as from a server itself, byte for byte, whatever a client sends and however its bytes arrive.

Each script runs in one database of the primary directly, and through the gate in another with the same tables.
"""

import itertools
import os
import random
import select
import socket
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
COUNT = int(os.environ.get("PGTORII_SCRIPTS", 150))
CONTENTS = "SELECT array_agg(written ORDER BY k)::text FROM written"
NO_END = "no end"
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
            if self._differ(wanted, script, way, seed):
                return self._report(script, way, seed)
        return ""

    def _play(self, side: str, script: list[bytes], parts) -> tuple[list[wire.Message], str]:
        writes = any(b"written" in each or b"made" in each for each in script)
        if writes:
            self._sides[side].run(scripts.FILLING)
            if self._replays and side == "through":
                self._cluster.wait_for_replay()
        port = self._cluster.primary.port if side == "direct" else self._gate.port
        stream = play(port, side, parts)
        return stream, self._sides[side].one(CONTENTS) if writes else ""

    def _differ(self, wanted, script: list[bytes], way, seed: int) -> str:
        stream, contents = self.through([*script, *END], way, seed, wanted[0])
        if wanted[0] != stream:
            return replies.difference(wanted[0], stream)
        if wanted[1] != contents:
            return f"  the tables differ: direct {wanted[1]}, through {contents}"
        return ""

    def _differs(self, script: list[bytes], way, seed: int) -> str:
        wanted = self.direct([*script, *END])
        return self._differ(wanted, script, way, seed)

    def _report(self, script: list[bytes], way, seed: int) -> str:
        if not self._differs(script, way, seed):
            return f"once, and not again: seed {seed}, sent {way.__name__}\n{replies.script_text(script)}"
        if way is not at_once and self._differs(script, at_once, seed):
            way = at_once
        script = self._shortened(script, way, seed)
        return (f"seed {seed}, sent {way.__name__}\n{replies.script_text(script)}\n"
                f"{self._differs(script, way, seed) or '  (not this time)'}")

    def _shortened(self, script: list[bytes], way, seed: int) -> list[bytes]:
        """Leaves out what is not needed for the difference: halves, then less and less, within a limit of time."""
        give_up = time.monotonic() + 40
        size = max(1, len(script) // 2)
        while time.monotonic() < give_up:
            at, shorter = 0, False
            while at < len(script) and time.monotonic() < give_up:
                without = script[:at] + script[at + size:]
                if without and self._differs(without, way, seed):
                    script, shorter = without, True
                else:
                    at += size
            if size == 1 and not shorter:
                break
            size = max(1, size // 2)
        return script


def compare(cluster, gate: Gate, seeds, *, reads_writes: bool = False, ways=None) -> None:
    """Runs the scripts of many seeds, each in several ways."""
    found = []
    with Stage(cluster, gate, replays=reads_writes) as stage:
        for seed in seeds:
            script = Author(seed, reads_writes=reads_writes).script()
            chosen = ways or (at_once, in_pieces, with_waits, by_message)
            found.append(stage.check(script, chosen, seed))
            if len(list(filter(None, found))) >= 3:
                break  # each costs time, and more are hardly news
    assert not any(found), "\n" + "\n".join(filter(None, found))


def some(gate_or_cluster_count: int) -> range:
    """As many seeds as this build can afford."""
    share = 4 if Gate.sanitizer else 1
    return range(FIRST_SEED, FIRST_SEED + max(1, gate_or_cluster_count // share))


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
