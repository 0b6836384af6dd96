"""How the program of a driver is run, for all test modules.

A program runs at the primary itself, where all of it must be right: what is wrong elsewhere is pgtorii's then. And it runs
through pgtorii, where its sessions share one link to each server, so that hardly two statements in a row of a session
find the link as the session left it.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path

import harness
from gate import Gate

PROGRAMS = Path(__file__).parent / "programs"
PROGRAM_LIMIT = 60  # seconds
CHECKS = {"connect", "simple", "prepared", "concurrent", "pipeline", "transactions", "settings", "copy", "errors", "cancel",
          "large"}

# What fails through pgtorii, by program and check, and why. What has become right must leave this table.
KNOWN_FAULTS: dict[tuple[str, str], str] = {
    ("python_asyncpg", "prepare_ahead"): "a session that has sent Parse, Describe and Flush keeps its link until it sends Sync",
}


def prepare(cluster):
    cluster.primary.run("CREATE DATABASE control")
    for database in ("postgres", "control"):
        cluster.primary.run("CREATE TABLE notes (n int, body text); CREATE TABLE notes_one (n int);"
                            "INSERT INTO notes_one VALUES (1); CREATE TYPE mood AS ENUM ('sad', 'happy')", dbname=database)
    cluster.wait_for_replay()


class Run:
    """A program at work on a port."""

    def __init__(self, what: str, command: list, port: int, database: str, environment: dict):
        self._what = what
        self._log = harness.LogFile(harness.make_directory() / "output")
        self._process = harness.start_process(command, self._log.path, as_owner=False, environment={
            "PGHOST": "127.0.0.1", "PGPORT": str(port), "PGUSER": "postgres", "PGDATABASE": database,
            "PYTHONDONTWRITEBYTECODE": "1", **environment})

    def outcomes(self) -> dict[str, str]:
        """What each check came to: "ok", "failed" or "none", which means that the driver has no such thing."""
        code = None
        try:
            code = harness.wait_for_end(self._process, PROGRAM_LIMIT)
        finally:
            printed = self._log.since()
            if code != 0:
                print(f"---- {self._what} ended with {code} ----", printed[-8000:], "----", sep="\n")
        found = {name: outcome for outcome, name in re.findall(r"^(ok|failed|none) (\w+)", printed, re.MULTILINE)}
        missing = CHECKS - found.keys()
        assert not missing, f"{self._what} ended with {code} without a word on {', '.join(sorted(missing))}"
        assert (code == 0) == ("failed" not in found.values()), f"{self._what} ended with {code}"
        return found

    def driver(self) -> str:
        """Its name and version."""
        return re.search(r"^driver (.*)", self._log.since(), re.MULTILINE)[1]


def check(cluster, name: str, command: list, **environment) -> None:
    """Runs a program at the primary itself and, at the same time, through pgtorii, in databases of their own."""
    for database in ("postgres", "control"):
        cluster.primary.run("TRUNCATE notes", dbname=database)
    cluster.wait_for_replay()
    with Gate(cluster, pool_mode="transaction", num_init_children=1, max_pool=1, causal_reads="session",
              causal_reads_timeout="10s", query_wait_timeout="10s") as gate:
        direct = Run(f"{name} without pgtorii", command, cluster.primary.port, "control", environment)
        through = Run(f"{name} through pgtorii", command, gate.port, "postgres", environment)
        wanted, found = direct.outcomes(), through.outcomes()
        print(direct.driver())
        with gate.session() as asker:
            assert not asker.rows("SHOW POOL_PINS"), "a session that is gone keeps its link"
    wrong = [each for each, outcome in wanted.items() if outcome == "failed"]
    assert not wrong, f"without pgtorii these fail, so the program itself is wrong: {wrong}"
    assert found.keys() == wanted.keys()
    wrong = {each for each, outcome in found.items() if outcome == "failed"}
    known = {each: reason for (program, each), reason in KNOWN_FAULTS.items() if program == name}
    for each, reason in known.items():
        print(f"expected to fail, {each}: {reason}")
    assert wrong == known.keys(), f"failed: {sorted(wrong)}; expected to fail: {sorted(known)}"


def must_have(is_there: bool, *packages: str) -> None:
    """For what .packages names, so that test/run has installed it."""
    assert is_there, f"no {', '.join(packages)}: test/run installs that"


def works(*command) -> bool:
    """Whether a program is there and ends well."""
    return bool(shutil.which(command[0])) and not subprocess.run(command, capture_output=True, check=False).returncode


def build(*command, **environment) -> None:
    done = subprocess.run([str(part) for part in command], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          check=False, timeout=150, env={**os.environ, **environment})
    assert done.returncode == 0, f"{command[0]} failed:\n{done.stdout}\n{done.stderr}"
