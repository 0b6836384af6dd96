"""Runs the workloads through all targets in turn, several rounds, and reports the medians."""

import argparse
import functools
import os
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
FILES_MAX = 20_000  # 10,000 idle clients are as many descriptors here and in a proxy
BEGIN = time.monotonic()
BUDGET_SECONDS = {"quick": 165, "full": 840}


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
            for size in dict.fromkeys(workload.size for workload in self.plan.workloads):
                for kind in self.plan.kinds:
                    if any(self.can_run(kind, workload) for workload in self.plan.workloads
                           if workload.size == size):
                        self.proxies.append(self.start(kind, size))
                        self.warm_up(self.proxies[-1])
            self.count_calls()
            self.run_rounds()
        finally:
            for proxy in self.proxies:
                proxy.stop()
        self.measure_idle()
        if self.plan.with_instructions:
            self.count_instructions()

    def start(self, kind: targets.Kind, size: targets.Size) -> targets.Proxy:
        """A new proxy of `kind`."""
        return targets.Proxy(kind, self.cluster, size, self.plan.program)

    def proxies_for(self, workload) -> list[targets.Proxy]:
        """Those that run it."""
        return [proxy for proxy in self.proxies
                if proxy.size == workload.size and self.can_run(proxy.kind, workload)]

    def warm_up(self, proxy: targets.Proxy) -> None:
        """Lets a proxy open all its server connections: to open one takes a server milliseconds."""
        clients: list[bulk_client.Client] = []
        try:
            for _ in range(proxy.size.links):
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
        return (not workload.key.startswith(kind.skips)
                and (kind.shares_links or not workload.needs_sharing))

    def failed(self, workload_key: str, kind: targets.Kind, error: Exception) -> None:
        """Notes that a target could not run a workload."""
        text = str(error).strip() or type(error).__name__
        say(f"{kind.key} failed in {workload_key}: {text}")
        self.results.failures[workload_key, kind.key] = text

    def run_rounds(self) -> None:
        """Each workload through all targets, then the next; the first target differs by round."""
        per_idle_row = 10 if self.plan.is_quick else 60
        reserve = per_idle_row * len(self.plan.idle)  # for what comes after the rounds
        longest = 0.0
        for number in range(self.plan.rounds):
            if number and self.plan.time_left() - reserve < 1.2 * longest:
                say(f"the time is up after {number} of {self.plan.rounds} rounds")
                break
            say(f"round {number + 1} of {self.plan.rounds}")
            begin = time.monotonic()
            for workload in self.plan.workloads:
                proxies = self.proxies_for(workload)
                shift = number % max(1, len(proxies))
                for proxy in proxies[shift:] + proxies[:shift]:
                    self.run_once(workload, proxy, number)
            longest = max(longest, time.monotonic() - begin)

    def run_once(self, workload, proxy: targets.Proxy, number: int) -> None:
        """One timed run, with what the proxy used beside it."""
        bout = workloads.Bout(proxy.port, self.scripts, self.plan.is_quick,
                              lambda: accounting.Usage.of(proxy.pid))
        try:
            sample = workload.run(bout)
        except (RuntimeError, OSError, bulk_client.ServerError, subprocess.TimeoutExpired) as error:
            self.failed(workload.key, proxy.kind, error)
            return
        measures = {"rate": sample.rate}
        measures |= {f"{name}_ms": value for name, value in sample.milliseconds.items()}
        if proxy.pid:
            measures["cpu_us"] = sample.used.cpu_seconds * 1e6 / sample.work
            measures["wake_ups"] = sample.used.wake_ups / sample.work
        self.results.add(workload.key, proxy.kind.key, number, measures)

    def count_calls(self) -> None:
        """System calls of a transaction, under strace."""
        say("system calls, under strace")
        for workload in self.plan.workloads:
            if not workload.counted or workload.script:
                continue  # a script of our own makes the calls of select-only
            for proxy in self.proxies_for(workload):
                if proxy.pid:
                    counting = functools.partial(accounting.counted_system_calls, proxy.pid,
                                                 scratch=self.cluster.directory)
                    try:
                        calls = workload.count_calls(proxy.port, self.scripts, counting)
                        self.results.set_calls(workload.key, proxy.kind.key, calls)
                    except accounting.TraceRefused as reason:
                        say(f"no system calls are counted: {reason}")
                        return
                    except (RuntimeError, OSError, subprocess.TimeoutExpired) as error:
                        self.failed(workload.key, proxy.kind, error)

    def measure_idle(self) -> None:
        """A proxy with one client and with many, each time a new one set up for that many."""
        for idle in self.plan.idle:
            say(f"{idle.key}: memory and wake-ups")
            for kind in self.plan.kinds:
                if kind.command is None or not self.can_run(kind, idle):
                    continue
                many = idle.size(self.plan.is_quick, kind.is_process_per_client)
                try:
                    alone = self.idle_with(kind, idle, targets.Size(1, 1))
                    crowd = self.idle_with(kind, idle, many)
                except (RuntimeError, OSError, bulk_client.ServerError) as error:
                    self.failed(idle.key, kind, error)
                    continue
                grown = crowd.pop("memory") - alone.pop("memory")
                alone = {f"{name}_alone": value for name, value in alone.items()}
                self.results.add(idle.key, kind.key, 0,
                                 {"bytes": grown / (many.clients - 1), **crowd, **alone})

    def idle_with(self, kind: targets.Kind, idle: workloads.Idle,
                  size: targets.Size) -> dict[str, float]:
        """Memory of a new proxy while all its clients are connected, and what it uses a second
        (not with --quick)."""
        proxy = self.start(kind, size)
        connected: list[bulk_client.Client] = []
        try:
            for _ in range(size.clients):
                connected.append(bulk_client.Client(proxy.port, servers.DATABASE))
                if idle.sql:
                    connected[-1].query(idle.sql)
            if self.plan.is_quick:
                return {"memory": accounting.memory_bytes(proxy.pid)}
            time.sleep(1)  # what the last ones left to do is over
            before = accounting.Usage.of(proxy.pid)
            time.sleep(workloads.QUIET_SECONDS)
            used = accounting.Usage.of(proxy.pid) - before
            return {"memory": accounting.memory_bytes(proxy.pid),
                    "quiet_cpu_us": used.cpu_seconds * 1e6 / workloads.QUIET_SECONDS,
                    "quiet_wake_ups": used.wake_ups / workloads.QUIET_SECONDS}
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
        proxy = targets.Proxy(kind, self.cluster, workload.size, self.without_debug_info(),
                              wrapper)
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
                        help="under 3 minutes: fewer rounds, rows and clients")
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
    """As far as we may: beyond, the rows with many clients say that they failed."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if os.geteuid() == 0:
        hard = max(hard, FILES_MAX)
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
