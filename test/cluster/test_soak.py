"""Clients that connect, work, kill themselves, cancel, wait in vain and flood, for a while: nothing is lost by it.

PGTORII_SOAK is the time of it in seconds, PGTORII_SEED its first seed. What clients do stands in soaking.py.
"""

import contextlib
import os
import random
import signal
import threading
import time

import psycopg2

import harness
import soaking
from gate import Gate
from wire import query

STANDBYS = 1
SECONDS = int(os.environ.get("PGTORII_SOAK", 40))
SEED = int(os.environ.get("PGTORII_SEED", 1))
TEST_LIMIT = SECONDS + 300
ROUNDS = max(4, SECONDS // 40)
CLIENTS = 14
WORKERS = 3
GROWTH_MAX = 3 * 1024 * 1024  # bytes of resident memory; a kilobyte lost in each visit would be more within minutes
HEAP_GROWTH_MAX = 128 * 1024  # bytes in use, and besides for each visit after the second round: caches that are bounded
HEAP_GROWTH_PER_VISIT = 400   # fill slowly (each DDL makes contents of statements new ones); a session or frame is more

# Six links to a server, three of one pool, two of one database, one of one user.
LINKS = 6
LIMITS = {"num_init_children": 3, "max_pool": 2, "user_connection_limit_list": "limited:1",
          "database_connection_limit_list": "elsewhere:2"}
HOLDERS = [*(3 * [{"user": "soak", "database": "postgres"}]), *(2 * [{"user": "soak", "database": "elsewhere"}]),
           {"user": "limited", "database": "postgres"}]
IDENTITIES = [*(2 * HOLDERS), {"user": "keeper", "database": "postgres"}, {"user": "keeper", "database": "elsewhere"},
              {"user": "soak", "database": "postgres", "application_name": "another"},
              {"user": "soak", "database": "postgres", "options": "-c DateStyle=German"}]
OURS = "usename IN ('soak', 'limited', 'keeper')"


def prepare(cluster):
    cluster.primary.run("CREATE ROLE soak LOGIN; CREATE ROLE limited LOGIN; CREATE ROLE keeper LOGIN")
    cluster.primary.run("CREATE DATABASE elsewhere")
    for database in ("postgres", "elsewhere"):
        with cluster.primary.session(dbname=database) as own:
            own.run("CREATE TABLE place (i int); INSERT INTO place SELECT generate_series(0, 99);"
                    "CREATE TABLE kept (token text); CREATE TABLE copied (token text);"
                    "GRANT ALL ON place, kept, copied TO PUBLIC")
    cluster.wait_for_replay()


class Disturbance:
    """Kills links' server processes and reloads the configuration, until told to stop."""

    def __init__(self, gate: Gate, cluster, seed: int):
        self._gate = gate
        self._cluster = cluster
        self._chance = random.Random(seed)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.failure: Exception | None = None

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()

    def _run(self):
        try:
            while not self._stop.wait(self._chance.random()):
                if self._chance.random() < 0.6:
                    with self._chance.choice(self._cluster.servers).session() as own:
                        # With a limit of milliseconds it waits for the end: a late one would be the next check's.
                        own.rows("SELECT pg_terminate_backend(pid, 60000) FROM (SELECT pid FROM pg_stat_activity"
                                 f" WHERE {OURS} ORDER BY random() LIMIT 1) AS one")
                else:
                    self._gate.reload(user_connection_limit_list=self._chance.choice(("limited:1", "limited:2")),
                                      user_pool_mode_list=self._chance.choice(("keeper:session", "keeper:transaction")),
                                      query_wait_timeout=self._chance.choice((1, 2)))
        except Exception as failure:
            self.failure = failure


def soak(gate: Gate, cluster, clients: list[soaking.Client], seconds: float, seed: int) -> None:
    shared = clients[0].shared
    shared.ends_at = time.monotonic() + seconds
    with Disturbance(gate, cluster, seed) as disturbance:
        harness.run_in_parallel(*(client.run for client in clients))
    assert not shared.failures, "\n".join(shared.failures)
    assert disturbance.failure is None, disturbance.failure


def all_workers_show(gate: Gate, name: str, value: str) -> bool:
    """The log tells of a reload before they have it; until then even a login may wait too long."""
    with contextlib.ExitStack() as stack, contextlib.suppress(psycopg2.OperationalError):
        # A session goes to the worker with the fewest: one to each.
        sessions = [stack.enter_context(gate.session(application_name="harness")) for _ in range(WORKERS)]
        return all(each.one(f"PGPOOL SHOW {name}") == value for each in sessions)
    return False


def check_that_all_is_free(gate: Gate, cluster, fds: int) -> None:
    """All clients have gone; nothing of them is left."""
    gate.reload(**LIMITS, user_pool_mode_list="keeper:session", query_wait_timeout=30)
    harness.wait_until(lambda: all_workers_show(gate, "query_wait_timeout", "30s"), "the reload", alive=gate.process)
    with gate.session(application_name="harness") as asker:
        harness.wait_until(lambda: asker.rows("SHOW POOL_PINS") == [], "nobody is pinned", alive=gate.process)
    for server in cluster.servers:
        harness.wait_until(lambda s=server: s.count_backends(f"{OURS} AND state <> 'idle'") == 0,
                           f"nothing runs on {server.name}", alive=gate.process)
    check_burst(gate, cluster)
    for server in cluster.servers:
        harness.wait_until(lambda s=server: s.one("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == 0,
                           f"nobody holds a lock on {server.name}")
        harness.wait_until(lambda s=server: s.count_backends(OURS) <= LINKS, f"{server.name} has {LINKS} links at most")
    harness.wait_until(lambda: gate.fds() <= fds + LINKS * len(cluster.servers), "the gate has closed its descriptors")


def check_burst(gate: Gate, cluster) -> None:
    """As many clients as there are links hold one at the same time: no turn of a pool, a user or a database is lost."""
    holders = [gate.wire(**identity) for identity in HOLDERS]
    for number, holder in enumerate(holders):
        holder.send(query("BEGIN"), query(f"SELECT i FROM place WHERE i = {50 + number} FOR UPDATE"))
    for number, holder in enumerate(holders):
        assert holder.answer().status == "T"
        assert holder.answer(until="Z").one == str(50 + number), holder
    assert cluster.primary.count_backends(f"{OURS} AND state = 'idle in transaction'") == LINKS
    # Servers need a moment to end; two more are look-ups'.
    harness.wait_until(lambda: cluster.primary.count_backends(OURS) <= LINKS + 2, "links that had to go are closed")
    for holder in holders:
        assert holder.query("COMMIT").status == "I"
        holder.close()


def check_what_was_committed(cluster, clients: list[soaking.Client]) -> None:
    found = set()
    for database in ("postgres", "elsewhere"):
        with cluster.primary.session(dbname=database) as own:
            rows = [token for token, in own.rows("SELECT token FROM kept")]
            own.run("TRUNCATE kept, copied")
        assert len(rows) == len(set(rows)), "a transaction was committed twice"
        found.update(rows)
    committed = set().union(*(client.committed for client in clients))
    uncertain = set().union(*(client.uncertain for client in clients))
    assert committed <= found, sorted(committed - found)[:5]
    assert found <= committed | uncertain, sorted(found - committed - uncertain)[:5]


def test_nothing_is_lost_and_no_answer_goes_astray(cluster):
    with Gate(cluster, weights=(1, 1), pool_mode="transaction", statement_level_load_balance="on", worker_threads=WORKERS,
              fact_cache_size="64kB", query_wait_timeout=1, user_pool_mode_list="keeper:session", measures_heap=True,
              **LIMITS) as gate:
        before = gate.fds()
        memory, heap, visits, counts = [], [], [], {}
        for number in range(ROUNDS):
            shared = soaking.Shared(gate.port)
            seed = SEED * 1000 + number
            clients = [soaking.Client(shared, each, seed, IDENTITIES) for each in range(CLIENTS)]
            soak(gate, cluster, clients, SECONDS / ROUNDS, seed)
            check_that_all_is_free(gate, cluster, before)
            check_what_was_committed(cluster, clients)
            memory.append(gate.rss())
            heap.append(gate.heap())
            visits.append(sum(client.counts.get("visits", 0) for client in clients))
            for client in clients:
                for what, count in client.counts.items():
                    counts[what] = counts.get(what, 0) + count
        print(f"seed {SEED}, {ROUNDS} rounds: {dict(sorted(counts.items()))}")
        print("memory after each round in KiB:", *(each // 1024 for each in memory))
        if None not in heap:
            print("heap in use after each round in KiB:", *(each // 1024 for each in heap))
            growth_max = HEAP_GROWTH_MAX + HEAP_GROWTH_PER_VISIT * sum(visits[2:])
            assert heap[-1] - heap[1] <= growth_max, "visits leave nothing of their own on the heap"
        if not gate.sanitizer:
            assert memory[-1] <= memory[1] + GROWTH_MAX, "later rounds need no more memory than the first ones"
        gate.stop(signal.SIGTERM)  # which waits for the last session
