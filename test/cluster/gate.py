"""The program under test in front of a cluster."""

import contextlib
import os
import re
import signal
import socket
from pathlib import Path

import psycopg2

import harness
import wire

SANITIZER_OPTIONS = {
    "ASAN_OPTIONS": "detect_stack_use_after_return=1:strict_string_checks=1",
    "UBSAN_OPTIONS": "print_stacktrace=1",
    "TSAN_OPTIONS": "halt_on_error=1:second_deadlock_stack=1",
}
SANITIZER_REPORT = re.compile(r"(ERROR: \w+Sanitizer|WARNING: ThreadSanitizer|SUMMARY: \w+Sanitizer|runtime error:)")


class Gate:
    """Writes a pgpool.conf, starts the program with it, and sees to it that it ends well.

    Settings given by name go into the file; a value of None leaves the program's default. Weights are the primary's
    and the standbys': by default every read that may go to a standby does.
    """

    program: Path  # set by the runner
    sanitizer = ""  # "asan", "tsan" or nothing; set by the runner
    heap_meter: Path | None = None  # a library that tells how much heap is in use; set by the runner

    def __init__(self, cluster: harness.Cluster, *, weights: tuple = (), waits: bool = True,
                 measures_heap: bool = False, **settings):
        self.cluster = cluster
        self.directory = harness.make_directory()
        self.port = harness.hold_port()
        self.conf = self.directory / "pgpool.conf"
        self.log = harness.LogFile(self.directory / "gate.log")
        self.process = None
        self._settings = {**self._defaults(weights), **settings}
        self._waits = waits
        self._measures_heap = measures_heap and self.heap_meter is not None
        self.write_conf()
        try:
            self.start()
        except BaseException:
            harness.kill_tree(self.process)
            self.print_log()
            raise

    def __enter__(self):
        return self

    def __exit__(self, failure, *_):
        if failure is None:
            self.stop()
            return
        self.print_log()
        harness.kill_tree(self.process)

    def _defaults(self, weights: tuple) -> dict:
        values = {
            "listen_addresses": "127.0.0.1,::1" if harness.HAS_IPV6 else "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": self.directory,
            "pcp_socket_dir": self.directory,
            "pcp_port": harness.hold_port(),
            "pid_file_name": self.directory / "pgpool.pid",
            "work_dir": self.directory,
            "sr_check_user": "postgres",
            "sr_check_period": 1,
            "health_check_user": "postgres",
            "health_check_period": 1,
            "num_init_children": 16,
            "max_pool": 2,
        }
        weights = weights or (0, *(1 for _ in self.cluster.standbys))
        for number, (server, weight) in enumerate(zip(self.cluster.servers, weights, strict=True)):
            values |= {f"backend_hostname{number}": "127.0.0.1", f"backend_port{number}": server.port,
                       f"backend_weight{number}": weight, f"backend_application_name{number}": server.name}
        return values

    def write_conf(self, **changes) -> None:
        """Writes the file again, with some settings changed."""
        self._settings |= changes
        values = {name: str(value).replace("'", "''") for name, value in self._settings.items() if value is not None}
        self.conf.write_text("".join(f"{name} = '{value}'\n" for name, value in values.items()))

    def start(self) -> None:
        """Starts the program; returns when it knows all its servers."""
        mark = self.log.mark()
        environment = {**SANITIZER_OPTIONS, **os.environ}
        if self._measures_heap:
            (self.directory / "heap").unlink(missing_ok=True)
            environment |= {"LD_PRELOAD": str(self.heap_meter), "PGTORII_HEAP_METER": str(self.directory / "heap")}
        self.process = harness.start_process([self.program, "-n", "-f", self.conf], self.log.path, as_owner=False,
                                             environment=environment)
        self.log.wait_for("successfully started", mark, alive=self.process)
        if self._waits:
            self.log.wait_for(r"primary node is \d", mark, alive=self.process)
            for _ in self.cluster.standbys:
                self.log.wait_for(r"standby node is \d", mark, alive=self.process)

    def stop(self, how: signal.Signals = signal.SIGINT, code: int = 0) -> None:
        """Stops it, and asserts that it ended by itself, as it should, and clean."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        ended = harness.wait_for_end(self.process)
        log = self.log.since()
        if ended != code or SANITIZER_REPORT.search(log):
            self.print_log()
            raise AssertionError(f"the gate ended with {ended} after {how.name}, or a sanitizer has reported")

    def print_log(self) -> None:
        lines = self.log.since().splitlines()
        report = next((at for at, line in enumerate(lines) if SANITIZER_REPORT.search(line)), None)
        shown = lines[-40:] if report is None else lines[max(0, report - 5):report + 80]
        print(f"---- the gate's log ({len(lines)} lines) ----", *shown, "----", sep="\n")

    # Clients ---------------------------------------------------------------------------------------------------------

    def parameters(self, **changes) -> dict:
        return {"host": "127.0.0.1", "port": self.port, "user": "postgres", "dbname": "postgres",
                "application_name": "test", **changes}

    def session(self, **changes) -> harness.Session:
        return harness.Session(**self.parameters(**changes))

    def wire(self, **start_up) -> "wire.Wire":
        """A client of bytes, logged in."""
        return wire.Wire(self.port).log_in(**{"user": "postgres", "database": "postgres", **start_up})

    def socket(self) -> socket.socket:
        """A connection that has said nothing yet."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=harness.WAIT_LIMIT)

    def one(self, sql: str, **changes):
        """The answer to one statement in a session of its own."""
        with self.session(**changes) as own:
            return own.one(sql)

    # What it shows ---------------------------------------------------------------------------------------------------

    def nodes(self, asker: harness.Session | None = None) -> list[dict]:
        """SHOW POOL_NODES as dictionaries."""
        with contextlib.nullcontext(asker) if asker else self.session() as own, own.connection.cursor() as cursor:
            cursor.execute("SHOW POOL_NODES")
            names = [column.name for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    # `asker`: a session that is there already. A login waits for seconds while there is no primary.

    def wait_for_primary(self, node: int, asker: harness.Session | None = None) -> None:
        """Returns when this node is the primary that it uses."""
        self._wait_for_node(node, f"node {node} is the primary", asker, role="primary")

    def wait_for_status(self, node: int, status: str, asker: harness.Session | None = None) -> None:
        self._wait_for_node(node, f"node {node} is {status}", asker, status=status)

    def _wait_for_node(self, node: int, what: str, asker: harness.Session | None, **wanted) -> None:
        def is_so():
            try:
                shown = self.nodes(asker)[node]
            except psycopg2.OperationalError:
                return False  # the session itself may need the server that has just gone
            return all(shown[name] == value for name, value in wanted.items())
        harness.wait_until(is_so, what, alive=self.process)

    def reload(self, **changes) -> None:
        """Changes the file and sends SIGHUP; returns when the log says that it has been read."""
        mark = self.log.mark()
        self.write_conf(**changes)
        self.process.send_signal(signal.SIGHUP)
        self.log.wait_for("reload", mark, alive=self.process)

    def rss(self, peak: bool = False) -> int:
        """Resident memory in bytes, now or at its highest."""
        field = "VmHWM" if peak else "VmRSS"
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(rf"{field}:\s+(\d+) kB", status)[1]) * 1024

    def heap(self) -> int | None:
        """Bytes of its heap that are in use, if it was started with `measures_heap` and there is a heap meter."""
        if not self._measures_heap:
            return None
        with socket.socket(socket.AF_UNIX) as asker:
            asker.connect(str(self.directory / "heap"))
            return int(asker.recv(100))

    def fds(self) -> int:
        """Open descriptors."""
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))
