"""What a running program costs, read from the kernel: CPU time, memory, system calls.

All of it is for a process with all its descendants, since Pgpool-II is a process for each client.
"""

import os
import re
import signal
import subprocess
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


def _stat_fields(pid: int) -> list[str]:
    """Fields of /proc/PID/stat from the state on: the name before it may hold any character."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def process_tree(root: int) -> list[int]:
    """`root` and all its living descendants."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                children.setdefault(int(_stat_fields(int(entry))[1]), []).append(int(entry))
            except OSError:
                continue  # ended in the meantime
    tree = [root]
    for pid in tree:
        tree += children.get(pid, [])
    return tree


def cpu_seconds(root: int) -> float:
    """CPU time, user and system, that the tree of `root` has used so far.

    A living process is read through its CPU clock, which has nanoseconds and includes threads that
    ended. What children used that have ended stands with their parent, in clock ticks.
    """
    total = 0.0
    for pid in process_tree(root):
        try:
            fields = _stat_fields(pid)
            total += (int(fields[13]) + int(fields[14])) / TICKS_PER_SECOND
            total += time.clock_gettime((~pid << 3) | 2)  # the kernel's MAKE_PROCESS_CPUCLOCK
        except OSError:
            continue
    return total


def wake_ups(root: int) -> int:
    """How often the living threads of the tree of `root` have waited for something and gone on."""
    total = 0
    for pid in process_tree(root):
        for status in Path(f"/proc/{pid}/task").glob("*/status"):
            try:
                found = re.search(r"^voluntary_ctxt_switches:\s+(\d+)", status.read_text(), re.M)
            except OSError:
                continue
            total += int(found[1]) if found else 0
    return total


@dataclass(frozen=True)
class Usage:
    """What a tree has used so far, or between two moments; nothing where there is no proxy."""

    cpu_seconds: float = 0.0
    wake_ups: int = 0

    @classmethod
    def of(cls, root: int | None) -> "Usage":
        """Up to now."""
        return cls(cpu_seconds(root), wake_ups(root)) if root else cls()

    def __sub__(self, earlier: "Usage") -> "Usage":
        return Usage(self.cpu_seconds - earlier.cpu_seconds, self.wake_ups - earlier.wake_ups)


def memory_bytes(root: int) -> int:
    """Memory of the tree of `root`, a page shared by n processes counted as 1/n.

    Program code and libraries are left out: their share falls with every other program that runs.
    """
    total = 0
    for pid in process_tree(root):
        try:
            rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in rollup.splitlines()
                     if line.startswith(("Pss_Anon:", "Pss_Shmem:")))
    return total * 1024


class TraceRefused(Exception):
    """strace is missing, or the kernel doesn't let us trace."""


def _is_traced(pid: int) -> bool:
    try:
        tasks = Path(f"/proc/{pid}/task").iterdir()
        return all("\nTracerPid:\t0\n" not in (task / "status").read_text() for task in tasks)
    except OSError:
        return True  # an ended process has nothing left to trace


def _signal_all(pids: list[int], which: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, which)


@contextmanager
def counted_system_calls(root: int, counts: dict[str, int], scratch: Path):
    """Adds to `counts` how often the tree of `root` makes each system call inside the block. It
    is stopped while strace comes and goes: on a busy machine that takes a while."""
    summary = scratch / "strace.txt"
    pids = process_tree(root)
    command = ["strace", "-f", "-q", "-c", "-U", "name,calls", "-o", str(summary)]
    for pid in pids:
        command += ["-p", str(pid)]
    try:
        tracer = subprocess.Popen(command, stderr=subprocess.PIPE, start_new_session=True)
    except FileNotFoundError:
        raise TraceRefused("strace is not installed") from None
    try:
        _signal_all(pids, signal.SIGSTOP)
        give_up = time.monotonic() + 10
        while not all(_is_traced(pid) for pid in pids):
            if tracer.poll() is not None or time.monotonic() > give_up:
                raise TraceRefused("strace could not attach")
            time.sleep(0.01)
        _signal_all(pids, signal.SIGCONT)
        yield
    finally:
        _signal_all(pids, signal.SIGSTOP)
        if tracer.poll() is None:
            tracer.send_signal(signal.SIGINT)  # it detaches and writes its summary
        try:
            tracer.communicate(timeout=30)
        except subprocess.TimeoutExpired:
            tracer.kill()
            raise
        finally:
            _signal_all(pids, signal.SIGCONT)
    for line in summary.read_text().splitlines():
        name, _, calls = line.strip().rpartition(" ")
        if calls.isdigit() and name.strip() != "total":
            counts[name.strip()] = counts.get(name.strip(), 0) + int(calls)
