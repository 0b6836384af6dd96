"""What is run through every target: one row each, and how to run it once."""

import re
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import bulk_client
import servers
from accounting import Usage
from targets import Size

SECONDS_PER_RUN = 1
STEADY_SECONDS = 3

MANY_COUNTED = (20, 120)
SCRIPTS = {
    "one-text.sql": "SELECT abalance FROM pgbench_accounts WHERE aid = 4242;\n",
    "many-texts.sql": "\\set aid random(1, 1000)\n"
                      "SELECT abalance FROM pgbench_accounts WHERE aid = :aid;\n",
}


FEW = Size(clients=80, links=80)
QUEUED = Size(clients=2000, links=20)


@dataclass(frozen=True)
class Bout:
    """Where one run takes place."""

    port: int
    scripts: Path
    is_quick: bool
    usage: Callable[[], Usage]  # of the proxy, up to now


@dataclass(frozen=True)
class Sample:
    """One run: how much work was done (transactions or MB), at which rate, what the proxy used for
    it, and how long a transaction takes."""

    work: float
    rate: float
    used: Usage
    milliseconds: dict[str, float] = field(default_factory=dict)


Counting = Callable[[dict[str, int]], AbstractContextManager]  # adds the proxy's system calls


@dataclass(frozen=True)
class Pgbench:
    """pgbench with one script; `options` are its own."""

    key: str
    title: str
    options: tuple[str, ...]
    clients: int = 8
    script: str | None = None  # of SCRIPTS; None: pgbench's select-only, almost always a new text
    is_full_only: bool = False
    counted: tuple[int, int] | None = None  # transactions of a client in the two counted runs
    size: Size = FEW
    unit: str = "transaction"

    @property
    def needs_sharing(self) -> bool:
        """Whether sessions that keep their server connections would starve the others."""
        return self.size.clients > self.size.links

    def command(self, port: int, scripts: Path) -> list[str]:
        """pgbench's arguments but for the length of the run."""
        what = ["-f", str(scripts / self.script)] if self.script else ["-S"]
        return ["pgbench", "-n", "-h", "127.0.0.1", "-p", str(port), "-U", "postgres",
                "-c", str(self.clients), *self.options, *what, servers.DATABASE]

    def run(self, bout: Bout) -> Sample:
        """Runs for a time; opening the sessions is part of what the proxy has used."""
        before = bout.usage()
        said = _run_pgbench([*self.command(bout.port, bout.scripts), "-T", str(SECONDS_PER_RUN)],
                            SECONDS_PER_RUN + 60)
        used = bout.usage() - before

        def number(pattern: str) -> float:
            found = re.search(pattern, said)
            if not found:  # pgbench leaves the rate out then
                raise RuntimeError("no transaction ended in time")
            return float(found[1])

        return Sample(number(r"actually processed: (\d+)"), number(r"\btps = ([\d.]+)"), used,
                      {"latency": number(r"latency average = ([\d.]+)")})

    def count_calls(self, port: int, scripts: Path, counting: Counting) -> dict[str, float]:
        """System calls of a transaction: two runs are counted, and their difference is taken."""
        runs: list[dict[str, int]] = [{}, {}]
        self.run_fixed(port, scripts, self.counted[0])  # to the steady state
        for counts, per_client in zip(runs, self.counted):
            with counting(counts):
                self.run_fixed(port, scripts, per_client)
        transactions = self.clients * (self.counted[1] - self.counted[0])
        return {name: (count - runs[0].get(name, 0)) / transactions
                for name, count in runs[1].items()}

    def run_fixed(self, port: int, scripts: Path, per_client: int) -> None:
        """Runs `per_client` transactions of each client."""
        _run_pgbench([*self.command(port, scripts), "-t", str(per_client)], 300)


def _run_pgbench(command: list[str], timeout: float) -> str:
    """What it writes to standard output."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout)
    if done.returncode:
        raise RuntimeError(_complaint(done.stderr))
    return done.stdout


def _complaint(text: str) -> str:
    """The first error among notices and reports of progress."""
    return next((line for line in text.splitlines() if "error" in line), "pgbench failed")


@dataclass(frozen=True)
class Ended:
    """A transaction in pgbench's log."""

    client: str
    at: float  # seconds since 1970
    milliseconds: float

    @classmethod
    def parse(cls, line: str) -> "Ended":
        """A line of the log (pgbench, "Per-Transaction Logging")."""
        client, _, took_us, _, seconds, microseconds = line.split()[:6]
        return cls(client, int(seconds) + int(microseconds) / 1e6, int(took_us) / 1e3)


@dataclass(frozen=True)
class Queue(Pgbench):
    """Many clients on few server connections: without their logins, and with the time of each
    transaction."""

    clients: int = QUEUED.clients
    size: Size = QUEUED
    is_full_only: bool = True

    def run(self, bout: Bout) -> Sample:
        """Looks at what ends in some seconds of the steady state."""
        with self._running(bout.port, bout.scripts) as log:
            before, begin = bout.usage(), time.time()
            time.sleep(STEADY_SECONDS)
            used, end = bout.usage() - before, time.time()
        times: dict[str, list[float]] = {}  # by client
        for each in log:
            if begin <= each.at < end:
                times.setdefault(each.client, []).append(each.milliseconds)
        every = sorted(took for of_client in times.values() for took in of_client)
        if not every:
            raise RuntimeError("no transaction ended in time")
        worst_client = max(map(statistics.fmean, times.values()))
        if len(times) < self.clients:  # one has waited all the time
            worst_client = max(worst_client, 1e3 * STEADY_SECONDS)
        return Sample(len(every), len(every) / (end - begin), used,
                      {"p50": every[len(every) // 2],
                       "p99": every[len(every) * 99 // 100],
                       "max": every[-1],
                       "worst_client": worst_client})

    def count_calls(self, port: int, scripts: Path, counting: Counting) -> dict[str, float]:
        """Of the steady state: two thousand logins would take minutes under strace."""
        counts: dict[str, int] = {}
        with self._running(port, scripts) as log, counting(counts):
            begin = time.time()
            time.sleep(STEADY_SECONDS)
            end = time.time()
        done = sum(begin <= each.at < end for each in log)
        return {name: count / max(1, done) for name, count in counts.items()}

    @contextmanager
    def _running(self, port: int, scripts: Path) -> Iterator[list[Ended]]:
        """pgbench runs in the block, with all clients logged in. Its log is there afterwards."""
        begin = time.monotonic()
        self.run_fixed(port, scripts, 1)  # pgbench takes the time of logins for time of its run
        seconds = round(2 * (time.monotonic() - begin)) + STEADY_SECONDS + 3
        log: list[Ended] = []
        with tempfile.TemporaryDirectory() as name:
            directory = Path(name)
            command = [*self.command(port, scripts), "-T", str(seconds), "-P", "1", "-l",
                       "--log-prefix", str(directory / "log")]
            said = directory / "said"  # a pipe would be full of notices soon, and pgbench stand
            with said.open("w") as output:
                process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=output)
            try:
                # The first report comes with the last login, the second within a second.
                while said.read_text().count("progress:") < 2 and process.poll() is None:
                    time.sleep(0.02)
                yield log
                is_too_late = process.poll() is not None
                if process.wait(seconds + 60):
                    raise RuntimeError(_complaint(said.read_text()))
                if is_too_late:
                    raise RuntimeError("pgbench ended in the middle: the logins took too long")
            finally:
                process.kill()
                process.wait()
            for path in directory.glob("log.*"):
                log += map(Ended.parse, path.read_text().splitlines())


@dataclass(frozen=True)
class Bulk:
    """One session that moves `megabytes` (a fifth of it with --quick) in one statement."""

    key: str
    title: str
    sql: str  # {rows} is filled in
    row_bytes: int
    megabytes: int
    is_copy_in: bool = False
    is_full_only: bool = False
    counted: None = None
    size: Size = FEW
    needs_sharing: bool = False
    unit: str = "MB"

    def run(self, bout: Bout) -> Sample:
        """Moves all of it once; the time counts from the statement on."""
        rows = self.megabytes * 1_000_000 // self.row_bytes // (5 if bout.is_quick else 1)
        client = bulk_client.Client(bout.port, servers.DATABASE)
        before = bout.usage()
        begin = time.monotonic()
        if self.is_copy_in:
            row = b"%d\t%s\n" % (4242, b"x" * (self.row_bytes - 6))
            moved = client.copy_in(self.sql, row, rows)
        else:
            moved = client.query(self.sql.format(rows=rows))
        elapsed = time.monotonic() - begin
        used = bout.usage() - before
        client.close()
        return Sample(moved / 1e6, moved / 1e6 / elapsed, used)


WORKLOADS = (
    Pgbench("simple", "select-only, simple protocol, 8 clients", (), counted=MANY_COUNTED),
    Pgbench("extended", "select-only, extended protocol, 8 clients", ("-M", "extended"),
            counted=MANY_COUNTED),
    Pgbench("prepared", "select-only, prepared statements, 8 clients", ("-M", "prepared"),
            counted=MANY_COUNTED),
    Pgbench("one-text", "one repeated text, simple protocol, 8 clients", (), script="one-text.sql",
            counted=MANY_COUNTED),
    Pgbench("many-texts", "1,000 distinct texts, simple protocol, 8 clients", (),
            script="many-texts.sql", counted=(300, 1100)),  # most texts were seen before
    Pgbench("reconnect", "a connection for each transaction (-C), 8 clients", ("-C", "-j", "8"),
            counted=(5, 25)),
    Pgbench("simple-64", "select-only, simple protocol, 64 clients", (), clients=64,
            is_full_only=True),
    Pgbench("extended-64", "select-only, extended protocol, 64 clients", ("-M", "extended"),
            clients=64, is_full_only=True),
    Pgbench("prepared-64", "select-only, prepared statements, 64 clients", ("-M", "prepared"),
            clients=64, is_full_only=True),
    Bulk("result", "a big result, rows of 1,000 bytes",
         "SELECT repeat('x', 1000) FROM generate_series(1, {rows})", 1000, 200),
    Bulk("result-narrow", "a big result, rows of 20 bytes",
         "SELECT 'xxxxxxxxx' FROM generate_series(1, {rows})", 20, 40),
    Bulk("copy-out", "COPY TO STDOUT, rows of 100 bytes",
         "COPY (SELECT repeat('x', 94) FROM generate_series(1, {rows})) TO STDOUT", 100, 200),
    Bulk("copy-in", "COPY FROM STDIN, rows of 100 bytes",
         "COPY bench_copy FROM STDIN WHERE false", 100, 100, is_copy_in=True),
    Queue("queue", "2,000 clients on 20 server connections, simple protocol", ("-j", "4"),
          counted=(1, 4)),
    Queue("queue-extended", "2,000 clients on 20 server connections, extended protocol",
          ("-j", "4", "-M", "extended")),
)


@dataclass(frozen=True)
class Idle:
    """What clients cost while they do nothing: memory, CPU time, wake-ups."""

    key: str
    title: str
    sql: str | None  # run once by each client after it has connected
    clients: int
    clients_quick: int
    links: int

    @property
    def needs_sharing(self) -> bool:
        """Whether sessions that keep their server connections would starve the others."""
        return self.sql is not None and self.clients > self.links

    def size(self, is_quick: bool, is_process_per_client: bool) -> Size:
        """How many clients come, and the links for them."""
        if is_process_per_client:
            return Size(PROCESSES, PROCESSES)
        return Size(self.clients_quick if is_quick else self.clients, self.links)


PROCESSES = 100  # clients, where each is a process
QUIET_SECONDS = 2
IDLE = (
    Idle("idle-client", "10,000 clients that have logged in and wait", None, 10_000, 500, 20),
    Idle("idle-shared", "10,000 clients after one transaction each, transaction pooling",
         "SELECT 1", 10_000, 500, 20),
    Idle("idle-session", "400 clients after one query each, which hold a server connection in "
         "session pooling", "SELECT 1", 400, 200, 400),
)
