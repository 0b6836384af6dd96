"""What is run through every target: one row each, and how to run it once."""

import re
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import bulk_client
import servers

MANY_COUNTED = (20, 120)
SCRIPTS = {
    "one-text.sql": "SELECT abalance FROM pgbench_accounts WHERE aid = 4242;\n",
    "many-texts.sql": "\\set aid random(1, 1000)\n"
                      "SELECT abalance FROM pgbench_accounts WHERE aid = :aid;\n",
}


@dataclass(frozen=True)
class Sample:
    """One run: how much work was done (transactions or MB), at which rate, how long one takes."""

    work: float
    rate: float
    latency_ms: float | None = None


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
    unit: str = "transaction"

    def command(self, port: int, scripts: Path) -> list[str]:
        """pgbench's arguments but for the length of the run."""
        what = ["-f", str(scripts / self.script)] if self.script else ["-S"]
        return ["pgbench", "-n", "-h", "127.0.0.1", "-p", str(port), "-U", "postgres",
                "-c", str(self.clients), *self.options, *what, servers.DATABASE]

    def run(self, port: int, scripts: Path, seconds: int) -> Sample:
        """Runs for `seconds`."""
        return _run_pgbench([*self.command(port, scripts), "-T", str(seconds)], seconds + 60)

    def run_fixed(self, port: int, scripts: Path, per_client: int) -> Sample:
        """Runs `per_client` transactions of each client."""
        return _run_pgbench([*self.command(port, scripts), "-t", str(per_client)], 300)


def _run_pgbench(command: list[str], timeout: float) -> Sample:
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout)
    if done.returncode:
        complaints = done.stderr.strip().splitlines()
        raise RuntimeError(complaints[0] if complaints else "pgbench failed")

    def number(pattern: str) -> float:
        found = re.search(pattern, done.stdout)
        if not found:  # pgbench leaves the rate out then
            raise RuntimeError("no transaction ended in time")
        return float(found[1])

    return Sample(number(r"actually processed: (\d+)"), number(r"\btps = ([\d.]+)"),
                  number(r"latency average = ([\d.]+)"))


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
    unit: str = "MB"

    def run(self, port: int, is_quick: bool) -> Sample:
        """Moves all of it once; the time counts from the statement on."""
        rows = self.megabytes * 1_000_000 // self.row_bytes // (5 if is_quick else 1)
        client = bulk_client.Client(port, servers.DATABASE)
        begin = time.monotonic()
        if self.is_copy_in:
            row = b"%d\t%s\n" % (4242, b"x" * (self.row_bytes - 6))
            moved = client.copy_in(self.sql, row, rows)
        else:
            moved = client.query(self.sql.format(rows=rows))
        elapsed = time.monotonic() - begin
        client.close()
        return Sample(moved / 1e6, moved / 1e6 / elapsed)


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
)


@dataclass(frozen=True)
class Idle:
    """Memory that a client costs while it does nothing."""

    key: str
    title: str
    sql: str | None  # run once by each client after it has connected
    clients: int
    clients_quick: int
    clients_of_processes: int  # where each client is a process


IDLE = (
    Idle("idle-client", "memory of a client that connected and waits", None, 1000, 500, 100),
    Idle("idle-session", "memory of a client with a server connection, after one query", "SELECT 1",
         400, 200, 100),
)
