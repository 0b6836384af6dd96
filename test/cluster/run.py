#!/usr/bin/python3
"""Runs the cluster tests: functions test_* of the modules test_*.py beside this file.

    test/cluster/run.py --program build/debug/pgtorii [module [part of a test's name]]

A test gets what its parameters name: `cluster`, which the tests of a module share (its docstring says what is in it).
A test that leaves servers changed makes a Cluster of its own. Exit code 0: all passed or were skipped.
"""

import argparse
import faulthandler
import importlib
import inspect
import os
import resource
import sys
import threading
import time
import traceback
from pathlib import Path

import gate
import harness

HERE = Path(__file__).parent
TEST_LIMIT = 180  # seconds; a test that takes longer hangs. A module may have its own
LAST_GRACE = 20   # seconds for a test to notice that its gate was killed
LINE_LENGTH_MAX = 2000  # of what is shown of a failure


class Skip(Exception):
    """A test raises it, with the reason, when it can't tell anything here."""


class Watchdog:
    """Ends a test that hangs: shows where it stands, kills what it waits for, and at last the whole program."""

    def __init__(self, name: str, limit: int):
        self.has_bitten = False
        self._name = name
        self._limit = limit
        self._timer = threading.Timer(limit, self._bite)
        self._timer.daemon = True

    def __enter__(self):
        self._timer.start()
        return self

    def __exit__(self, *_):
        self._timer.cancel()

    def _bite(self):
        self.has_bitten = True
        print(f"{self._name} has not ended within {self._limit} s; it stands here:", flush=True)
        faulthandler.dump_traceback(sys.stdout)
        sys.stdout.flush()
        harness.kill_programs(gate.Gate.program)
        self._timer = threading.Timer(LAST_GRACE, self._give_up)
        self._timer.daemon = True
        self._timer.start()

    def _give_up(self):
        print("and it still has not; giving up", flush=True)
        harness.clean_up()
        os._exit(1)


def show_failure(failure: Exception) -> None:
    """The variables of the test at the place where it failed, and where that is: last, as long logs lose their middle."""
    for frame, _ in traceback.walk_tb(failure.__traceback__):
        if Path(frame.f_code.co_filename).name.startswith("test_"):
            for name, value in frame.f_locals.items():
                print(f"  {name} = {repr(value)[:300]}")
    for line in "".join(traceback.format_exception(failure)).splitlines():
        print(line[:LINE_LENGTH_MAX])


class Module:
    """One test module with its cluster."""

    def __init__(self, name: str):
        self.name = name
        self._code = importlib.import_module(name)
        self._cluster = None

    def tests(self, part: str) -> list:
        return [test for name, test in vars(self._code).items() if name.startswith("test_") and part in name]

    def cluster(self) -> harness.Cluster:
        if self._cluster is None:
            self._cluster = harness.Cluster(getattr(self._code, "STANDBYS", 2))
            if hasattr(self._code, "prepare"):
                self._code.prepare(self._cluster)
        return self._cluster

    def run(self, test) -> str:
        """"passed", "skipped" or "FAILED"."""
        name = f"{self.name}.{test.__name__}"
        started = time.monotonic()
        outcome, remark = "passed", ""
        with Watchdog(name, getattr(self._code, "TEST_LIMIT", TEST_LIMIT)) as watchdog:
            try:
                wanted = inspect.signature(test).parameters
                test(**({"cluster": self.cluster()} if "cluster" in wanted else {}))
            except Skip as reason:
                outcome, remark = "skipped", f": {reason}"
            except Exception as failure:
                outcome = "FAILED"
                show_failure(failure)
        if watchdog.has_bitten:
            outcome = "FAILED"
        print(f"{outcome:7} {name} ({time.monotonic() - started:.1f} s){remark}", flush=True)
        return outcome

    def close(self) -> None:
        if self._cluster is not None:
            self._cluster.close()


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--program", required=True, type=Path, help="the program under test")
    options.add_argument("--sanitizer", default="", help="the sanitizers it was built with, as for -fsanitize=")
    options.add_argument("--heap-meter", type=Path, help="the library that tells how much heap the program uses")
    options.add_argument("module", nargs="?", help="one module; all of them if not given")
    options.add_argument("part", nargs="?", default="", help="only tests with this in their names")
    chosen = options.parse_args()
    gate.Gate.program = chosen.program.resolve(strict=True)
    gate.Gate.sanitizer = chosen.sanitizer
    gate.Gate.heap_meter = chosen.heap_meter and chosen.heap_meter.resolve(strict=True)
    if os.access(gate.Gate.program.parent, os.W_OK):
        harness.template_home = gate.Gate.program.parent

    harness.install_clean_up()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))

    names = [chosen.module] if chosen.module else sorted(path.stem for path in HERE.glob("test_*.py"))
    outcomes = []
    for name in names:
        module = Module(name)
        outcomes += [module.run(test) for test in module.tests(chosen.part)]
        module.close()
    failed, skipped = outcomes.count("FAILED"), outcomes.count("skipped")
    print(f"{len(outcomes) - failed - skipped} passed, {failed} failed, {skipped} skipped")
    if not outcomes:
        print("no test has such a name")
    return 1 if failed or not outcomes else 0


if __name__ == "__main__":
    sys.modules["run"] = sys.modules["__main__"]  # so that `from run import Skip` finds this very class
    sys.exit(main())
