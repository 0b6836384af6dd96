"""What a client was told about its writes is what has happened, on whichever server something failed."""

import contextlib
import os
import random
import threading

import harness
import stories
import wire
from gate import Gate
from stories import BROKEN, BROKEN_LATE, BROKEN_ON_STANDBY, SLOW, Teller

STANDBYS = 1
FIRST_SEED = int(os.environ.get("PGTORII_SEED", 1))
COUNT = int(os.environ.get("PGTORII_STORIES", 150))


def prepare(cluster):
    cluster.run(stories.SCHEMA)


def seeds(count: int = COUNT) -> range:
    return range(FIRST_SEED, FIRST_SEED + max(1, count // (4 if Gate.sanitizer else 1)))


def tokens_on(server) -> set[int]:
    with server.session() as own:
        return {row[0] for row in own.rows("SELECT token FROM tokens")}


def complaint(account: stories.Account, there: set[int]) -> str:
    """What the client was told that isn't so."""
    parts = []
    if account.kept - there:
        parts.append(f"told committed, but not there: {sorted(account.kept - there)}")
    if account.gone & there:
        parts.append(f"told rolled back, but there: {sorted(account.gone & there)}")
    return "; ".join(parts)


def wait_for_rest(server) -> None:
    """Returns when no session does anything on a server: what still was under way has ended."""
    harness.wait_until(lambda: server.count_backends("state <> 'idle'") == 0, f"{server.name} is at rest")


def check_stories(gate: Gate, server, failing: list[str], *, set_up: str = "", which=None) -> list[stories.Account]:
    """One session after the other. `server`: where the writes are, in the end."""
    lived, seen = [], []
    for seed in which or seeds():
        story = Teller(seed, failing).story()
        try:
            with gate.wire() as client:
                if set_up:
                    client.query(set_up)
                account = stories.live(client, story, seed)
        except AssertionError as failure:
            raise AssertionError(f"seed {seed}: {failure}\n" + "\n".join(map(str, story))) from failure
        lived.append(account)
        seen.append((seed, story, account))
    wait_for_rest(server)
    there = tokens_on(server)
    wrong = [f"seed {seed}: {text}\n  " + "\n  ".join(map(str, story))
             for seed, story, account in seen if (text := complaint(account, there))]
    assert not wrong, "\n" + "\n".join(wrong[:3])
    return lived


# Reads that fail -----------------------------------------------------------------------------------------------------

def test_reads_that_fail_on_the_standby(cluster):
    for settings in ({}, {"disable_load_balance_on_write": "off"}):
        with Gate(cluster, **settings) as gate:
            lived = check_stories(gate, cluster.primary, [BROKEN, BROKEN_LATE, BROKEN_ON_STANDBY])
            assert any(each.kept for each in lived) and any(each.gone for each in lived)
            assert not any(each.unknown for each in lived)


def test_reads_that_fail_on_either_server(cluster):
    with Gate(cluster, weights=(1, 1), statement_level_load_balance="on", disable_load_balance_on_write="off") as gate:
        check_stories(gate, cluster.primary, [BROKEN, BROKEN_LATE, BROKEN_ON_STANDBY],
                      which=(seed + 10_000 for seed in seeds()))


def test_reads_that_take_too_long(cluster):
    for settings in ({}, {"disable_load_balance_on_write": "off"}):
        with Gate(cluster, **settings) as gate:
            check_stories(gate, cluster.primary, [SLOW], set_up="SET statement_timeout = 15",
                          which=(seed + 20_000 for seed in seeds(COUNT // 3)))


# Faults from outside -------------------------------------------------------------------------------------------------

@contextlib.contextmanager
def meanwhile(act):
    """Does something again and again, in a thread of its own, for as long as the block runs."""
    over, failures = threading.Event(), []

    def repeat():
        try:
            while not over.is_set():
                act()
        except Exception as failure:
            failures.append(failure)

    thread = threading.Thread(target=repeat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
    if failures:
        raise failures[0]


def killer_of_backends(server, chance: random.Random):
    """Ends the sessions that clients have on a server, some at a time, at moments that vary."""
    session = server.session()

    def act():
        session.rows("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'client backend'"
                     " AND application_name = 'teller' AND random() < 0.5")
        threading.Event().wait(chance.choice((0.002, 0.01, 0.03)))
    return act


def tellers_in_parallel(gate: Gate, server, first: int, *, failing: list[str], count: int = 3) -> list[stories.Account]:
    """Several sessions at a time, which may be thrown out at any moment."""
    lived, lock = [], threading.Lock()

    def one(number: int):
        for seed in seeds(COUNT // 2):
            own = first + number * 1000 + seed
            story = Teller(own, failing).story()
            try:
                client = wire.Wire(gate.port).log_in(user="postgres", database="postgres", application_name="teller")
            except (AssertionError, OSError):
                continue  # no server for it just now
            with client:
                account = stories.live(client, story, own)
            with lock:
                lived.append((own, story, account))

    harness.run_in_parallel(*(lambda number=number: one(number) for number in range(count)))
    wait_for_rest(server)
    there = tokens_on(server)
    wrong = [f"seed {seed}: {text}\n  " + "\n  ".join(map(str, story))
             for seed, story, account in lived if (text := complaint(account, there))]
    assert not wrong, "\n" + "\n".join(wrong[:3])
    return [account for _, _, account in lived]


def test_sessions_on_the_standby_are_ended_at_random(cluster):
    for mode in ("transaction", "off"):
        with Gate(cluster, disable_load_balance_on_write=mode) as gate:
            with meanwhile(killer_of_backends(cluster.standbys[0], random.Random(1))):
                lived = tellers_in_parallel(gate, cluster.primary, 30_000, failing=[BROKEN, SLOW])
            assert any(each.kept for each in lived)


def test_sessions_on_the_primary_are_ended_at_random(cluster):
    for mode in ("transaction", "off"):
        with Gate(cluster, disable_load_balance_on_write=mode) as gate:
            with meanwhile(killer_of_backends(cluster.primary, random.Random(2))):
                lived = tellers_in_parallel(gate, cluster.primary, 40_000, failing=[BROKEN])
            assert any(each.kept for each in lived)


def test_reads_that_recovery_cancels(cluster):
    """The primary locks a table that is being read; the standby does not wait for its readers."""
    standby = cluster.standbys[0]
    standby.set("max_standby_streaming_delay", "0")
    locker = cluster.primary.session()
    try:
        for mode in ("transaction", "off"):
            with Gate(cluster, disable_load_balance_on_write=mode) as gate:
                mark = standby.log.mark()
                with meanwhile(lambda: (locker.run("BEGIN; LOCK TABLE rows IN ACCESS EXCLUSIVE MODE; COMMIT"),
                                        threading.Event().wait(0.01))):
                    tellers_in_parallel(gate, cluster.primary, 50_000, failing=[SLOW])
                assert "conflict with recovery" in standby.log.since(mark)
    finally:
        locker.close()
        standby.set("max_standby_streaming_delay", "30s")
