"""Runs the workloads through all targets in turn, several rounds, and reports the medians."""

import argparse
import re
import resource
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import accounting
import bulk_client
import harness
import report
import servers
import targets
import workloads

ROOT = Path(__file__).resolve().parent.parent
CLIENTS_MAX = 80  # what the proxies of the timed runs are set up for
SECONDS_PER_RUN = 1
BEGIN = time.monotonic()
BUDGET_SECONDS = {"quick": 112, "full": 460}


@dataclass
class Plan:
    """What the command line asks for."""

    is_quick: bool
    rounds: int
    kinds: list[targets.Kind]
    workloads: list
    idle: list[workloads.Idle]
    program: Path | None
    with_instructions: bool

    def time_left(self) -> float:
        """Seconds until the run should be over."""
        return BUDGET_SECONDS["quick" if self.is_quick else "full"] - (time.monotonic() - BEGIN)


def say(text: str) -> None:
    """A line about progress; the table alone goes to standard output."""
    print(f"bench: {time.monotonic() - BEGIN:3.0f} s  {text}", file=sys.stderr, flush=True)


class Bench:
    """One run on one cluster."""

    def __init__(self, plan: Plan, cluster: harness.Cluster):
        self.plan = plan
        self.cluster = cluster
        self.results = report.Results()
        self.proxies: list[targets.Proxy] = []
        self.scripts = cluster.directory / "scripts"
        self.scripts.mkdir()
        for name, text in workloads.SCRIPTS.items():
            (self.scripts / name).write_text(text)

    def run(self) -> None:
        """All measurements. Who can't start ends the run; who fails in a workload is reported."""
        try:
            for kind in self.plan.kinds:
                self.proxies.append(self.start(kind, CLIENTS_MAX))
                self.warm_up(self.proxies[-1])
            self.count_calls()
            self.run_rounds()
        finally:
            for proxy in self.proxies:
                proxy.stop()
        self.measure_memory()
        if self.plan.with_instructions:
            self.count_instructions()

    def start(self, kind: targets.Kind, clients: int,
              wrapper: list[str] | None = None) -> targets.Proxy:
        """A new proxy of `kind`."""
        return targets.Proxy(kind, self.cluster, clients, self.plan.program, wrapper)

    def warm_up(self, proxy: targets.Proxy) -> None:
        """Lets a proxy open all its server connections: to open one takes a server milliseconds."""
        clients: list[bulk_client.Client] = []
        try:
            for _ in range(CLIENTS_MAX):
                clients.append(bulk_client.Client(proxy.port, servers.DATABASE))
                clients[-1].query("BEGIN")  # who shares links holds one in a transaction only
                clients[-1].query("SELECT 1")
            for client in clients:
                client.query("COMMIT")
        except (OSError, bulk_client.ServerError) as error:
            say(f"{proxy.kind.key} failed to warm up after {len(clients)} clients: {error}")
        finally:
            for client in clients:
                client.close()

    def can_run(self, kind: targets.Kind, workload) -> bool:
        """Whether this target knows what the workload needs."""
        return not workload.key.startswith(kind.skips)

    def failed(self, workload_key: str, kind: targets.Kind, error: Exception) -> None:
        """Notes that a target could not run a workload."""
        text = str(error).strip() or type(error).__name__
        say(f"{kind.key} failed in {workload_key}: {text}")
        self.results.failures[workload_key, kind.key] = text

    def run_rounds(self) -> None:
        """Each workload through all targets, then the next; the first target differs by round."""
        reserve = 12 if self.plan.is_quick else 35  # for what comes after the rounds
        longest = 0.0
        for number in range(self.plan.rounds):
            if number and self.plan.time_left() - reserve < 1.2 * longest:
                say(f"the time is up after {number} of {self.plan.rounds} rounds")
                break
            say(f"round {number + 1} of {self.plan.rounds}")
            begin = time.monotonic()
            shift = number % len(self.proxies)
            for workload in self.plan.workloads:
                for proxy in self.proxies[shift:] + self.proxies[:shift]:
                    if self.can_run(proxy.kind, workload):
                        self.run_once(workload, proxy, number)
            longest = max(longest, time.monotonic() - begin)

    def run_once(self, workload, proxy: targets.Proxy, number: int) -> None:
        """One timed run, with the proxy's CPU time beside it."""
        cpu_before = accounting.cpu_seconds(proxy.pid) if proxy.pid else None
        try:
            if isinstance(workload, workloads.Bulk):
                sample = workload.run(proxy.port, self.plan.is_quick)
            else:
                sample = workload.run(proxy.port, self.scripts, SECONDS_PER_RUN)
        except (RuntimeError, OSError, bulk_client.ServerError, subprocess.TimeoutExpired) as error:
            self.failed(workload.key, proxy.kind, error)
            return
        measures = {"rate": sample.rate, "latency_ms": sample.latency_ms}
        if cpu_before is not None:
            used = accounting.cpu_seconds(proxy.pid) - cpu_before
            measures["cpu_us"] = used * 1e6 / sample.work
        self.results.add(workload.key, proxy.kind.key, number, measures)

    def count_calls(self) -> None:
        """System calls of a transaction: two runs under strace, of which the difference counts."""
        say("system calls, under strace")
        for workload in self.plan.workloads:
            if not workload.counted or workload.script:
                continue  # a script of our own makes the calls of select-only
            for proxy in self.proxies:
                if proxy.pid and self.can_run(proxy.kind, workload):
                    try:
                        self.count_calls_once(workload, proxy)
                    except accounting.TraceRefused as reason:
                        say(f"no system calls are counted: {reason}")
                        return
                    except (RuntimeError, OSError, subprocess.TimeoutExpired) as error:
                        self.failed(workload.key, proxy.kind, error)

    def count_calls_once(self, workload: workloads.Pgbench, proxy: targets.Proxy) -> None:
        """One workload through one proxy."""
        runs: list[dict[str, int]] = [{}, {}]
        workload.run_fixed(proxy.port, self.scripts, workload.counted[0])  # to the steady state
        for counts, per_client in zip(runs, workload.counted):
            with accounting.counted_system_calls(proxy.pid, counts, self.cluster.directory):
                workload.run_fixed(proxy.port, self.scripts, per_client)
        transactions = workload.clients * (workload.counted[1] - workload.counted[0])
        calls = {name: (count - runs[0].get(name, 0)) / transactions
                 for name, count in runs[1].items()}
        self.results.set_calls(workload.key, proxy.kind.key, calls)

    def measure_memory(self) -> None:
        """Growth of a proxy from one client to many, each time a new one set up for that many."""
        say("memory of idle clients")
        for idle in self.plan.idle:
            for kind in self.plan.kinds:
                if kind.command is None:
                    continue
                many = idle.clients_quick if self.plan.is_quick else idle.clients
                if kind.is_process_per_client:
                    many = min(many, idle.clients_of_processes)
                try:
                    grown = self.memory_with(kind, idle, many) - self.memory_with(kind, idle, 1)
                    self.results.add(idle.key, kind.key, 0, {"bytes": grown / (many - 1)})
                except (RuntimeError, OSError, bulk_client.ServerError) as error:
                    self.failed(idle.key, kind, error)

    def memory_with(self, kind: targets.Kind, idle: workloads.Idle, clients: int) -> int:
        """Memory of a new proxy while `clients` clients are connected."""
        proxy = self.start(kind, clients)
        connected: list[bulk_client.Client] = []
        try:
            for _ in range(clients):
                connected.append(bulk_client.Client(proxy.port, servers.DATABASE))
                if idle.sql:
                    connected[-1].query(idle.sql)
            return accounting.memory_bytes(proxy.pid)
        finally:
            for client in connected:
                client.close()
            proxy.stop()

    def count_instructions(self) -> None:
        """User-space instructions of a transaction, by valgrind: PgBouncer's and ours."""
        for workload in self.plan.workloads:
            if not workload.counted:
                continue
            for kind in self.plan.kinds:
                if not (kind.is_one_thread and self.can_run(kind, workload)):
                    continue
                say(f"valgrind: {workload.key}, {kind.key}")
                try:
                    few, many = (self.instructions_of(kind, workload, n) for n in workload.counted)
                except (RuntimeError, OSError, subprocess.SubprocessError) as error:
                    self.failed(f"valgrind: {workload.key}", kind, error)  # its row stays
                    continue
                transactions = workload.clients * (workload.counted[1] - workload.counted[0])
                self.results.add(workload.key, kind.key, 0,
                                 {"instructions": (many - few) / transactions})

    def without_debug_info(self) -> Path | None:
        """A copy of pgtorii that valgrind can load: it gives up at DWARF 5, which clang writes."""
        if not self.plan.program:
            return None
        copy = self.cluster.directory / "pgtorii"
        if not copy.exists():
            subprocess.run(["strip", "--strip-debug", "-o", copy, self.plan.program], check=True)
            copy.chmod(0o755)
        return copy

    def instructions_of(self, kind: targets.Kind, workload: workloads.Pgbench,
                        per_client: int) -> int:
        """Instructions of a whole life of the program: start, the transactions, end."""
        out = self.cluster.directory / "callgrind"
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir()
        out.chmod(0o777)
        wrapper = ["valgrind", "-q", "--tool=callgrind", f"--callgrind-out-file={out}/out.%p"]
        proxy = targets.Proxy(kind, self.cluster, CLIENTS_MAX, self.without_debug_info(), wrapper)
        try:
            workload.run_fixed(proxy.port, self.scripts, per_client)
        finally:
            proxy.stop()
        texts = [path.read_text(errors="replace") for path in out.iterdir()]
        found = [int(number) for text in texts
                 for number in re.findall(r"^totals: (\d+)", text, re.MULTILINE)]
        if not found:
            raise RuntimeError("valgrind wrote no totals")
        return sum(found)


def parse(arguments: list[str]) -> argparse.Namespace:
    """The command line."""
    every = [row.key for row in (*workloads.WORKLOADS, *workloads.IDLE)]
    parser = argparse.ArgumentParser(prog="bench/run", description=__doc__)
    parser.add_argument("--quick", action="store_true",
                        help="under 2 minutes: fewer rounds, rows and clients")
    parser.add_argument("--only", metavar="NAME,...",
                        help=f"only these workloads: {', '.join(every)}")
    parser.add_argument("--targets", metavar="NAME,...",
                        help=f"only these targets: {', '.join(kind.key for kind in targets.KINDS)}")
    parser.add_argument("--rounds", type=int, metavar="N",
                        help="rounds (5; with --quick 3), time permitting")
    parser.add_argument("--json", type=Path, metavar="FILE",
                        help="write all samples and medians to FILE")
    parser.add_argument("--svg", type=Path, metavar="FILE",
                        help="draw CPU time as ratio to PgBouncer into FILE")
    parser.add_argument("--callgrind", action="store_true",
                        help="also count user-space instructions, with valgrind: takes longer")
    parser.add_argument("--program", type=Path, metavar="PATH",
                        default=ROOT / "build/release/pgtorii",
                        help="pgtorii's program, instead of build/release/pgtorii")
    parser.add_argument("--without-pgtorii", action="store_true", help="leave pgtorii out")
    options = parser.parse_args(arguments)

    def chosen(text: str | None, known: list[str]) -> list[str]:
        names = text.split(",") if text else known
        for name in names:
            if name not in known:
                parser.error(f"unknown name {name!r}; known are {', '.join(known)}")
        return names

    options.only_names = chosen(options.only, every)
    options.target_names = chosen(options.targets, [kind.key for kind in targets.KINDS])
    if options.rounds is not None and options.rounds < 1:
        parser.error("--rounds must be 1 or more")
    if not options.without_pgtorii and not options.program.exists():
        parser.error(f"{options.program} does not exist; --without-pgtorii measures the others")
    return options


def make_plan(options: argparse.Namespace) -> Plan:
    """The rows and columns that `options` ask for."""
    kinds = [kind for kind in targets.KINDS
             if kind.key in options.target_names
             and not (options.quick and kind.is_extra and not options.targets)
             and not (options.without_pgtorii and kind.key.startswith("pgtorii"))]
    if options.without_pgtorii:
        say("pgtorii is left out (--without-pgtorii)")
    rows = [row for row in workloads.WORKLOADS
            if row.key in options.only_names
            and not (options.quick and row.is_full_only and not options.only)]
    return Plan(is_quick=options.quick,
                rounds=options.rounds or (3 if options.quick else 5),
                kinds=kinds,
                workloads=rows,
                idle=[row for row in workloads.IDLE if row.key in options.only_names],
                program=None if options.without_pgtorii else options.program.resolve(),
                with_instructions=options.callgrind)


def raise_file_limit() -> None:
    """A thousand idle clients are a thousand descriptors here and in each proxy."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def main() -> int:
    """Exit status: 0 when every target ran every workload, 1 when one failed."""
    options = parse(sys.argv[1:])
    plan = make_plan(options)
    raise_file_limit()
    harness.install_clean_up()
    try:
        say("making a primary and a standby")
        cluster = servers.make_cluster(scale=10)
        try:
            bench = Bench(plan, cluster)
            bench.run()
        finally:
            servers.stop_cluster(cluster)
    except KeyboardInterrupt:
        return 130
    except (RuntimeError, AssertionError, subprocess.SubprocessError) as error:
        say(str(error))
        return 1
    finally:
        harness.clean_up()
    rows = [*plan.workloads, *plan.idle]
    print(report.table(bench.results, rows, plan.kinds))
    if options.json:
        options.json.write_text(report.as_json(bench.results, rows, plan.kinds))
    if options.svg:
        options.svg.write_text(report.plot(bench.results, plan.workloads, plan.kinds))
    say("done")
    return 1 if bench.results.failures else 0


if __name__ == "__main__":
    sys.exit(main())
