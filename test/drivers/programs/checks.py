"""What the Python programs share: the run of their checks."""

import os
import threading
import traceback

HOST, PORT, DATABASE = os.environ["PGHOST"], int(os.environ["PGPORT"]), os.environ["PGDATABASE"]
SESSIONS = 3
ROUNDS = 12


class Outcome:
    def __init__(self, driver: str, version: str):
        print("driver", driver, version, flush=True)
        self.code = 0

    def passed(self, name: str) -> None:
        print("ok", name, flush=True)

    def failed(self, name: str) -> None:
        """To be called where the failure is being handled."""
        self.code = 1
        print("failed", name, flush=True)
        traceback.print_exc()

    def run(self, *checks) -> int:
        """The exit code, after all of them."""
        for check in checks:
            name = check.__name__.removeprefix("check_")
            try:
                check()
                self.passed(name)
            except Exception:
                self.failed(name)
        return self.code


def equal(found, wanted) -> None:
    if found != wanted:
        raise AssertionError(f"got {repr(found)[:300]} and wanted {repr(wanted)[:300]}")


def at_once(work, connections) -> None:
    """Calls work(number, connection) in a thread for each connection; raises the first failure when all have ended."""
    failures = []

    def guarded(number, connection):
        try:
            work(number, connection)
        except Exception as failure:
            failures.append(failure)

    threads = [threading.Thread(target=guarded, args=pair) for pair in enumerate(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
