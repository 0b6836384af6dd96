"""A primary and a standby for the length of a run, and how programs are started beside them."""

import os
import pwd
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

DATABASE = "bench"  # not postgres: Pgpool-II never keeps a connection to that one for reuse
OWNER = "postgres"  # runs servers and proxies when we are root: PostgreSQL and PgBouncer refuse to
SERVER_CONNECTIONS = 900

SERVER_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "max_connections": SERVER_CONNECTIONS,
    "shared_buffers": "256MB",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "1h",
    "fsync": "off",
    "autovacuum": "off",  # nothing but the workload may use the processor
    "log_min_messages": "fatal",
}


def find_port() -> int:
    """A free loopback port below the range that outgoing connections take theirs from."""
    for _ in range(1000):
        port = random.randrange(20000, 32000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
    raise RuntimeError("no free port on 127.0.0.1 between 20000 and 32000")


def as_owner() -> dict:
    """Popen's arguments that make a program run as OWNER when we are root."""
    if os.geteuid() != 0:
        return {}
    entry = pwd.getpwnam(OWNER)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": [], "env": {
        **os.environ, "HOME": entry.pw_dir, "USER": OWNER, "LOGNAME": OWNER}}


def find_server_programs() -> Path:
    """The newest PostgreSQL's directory of programs, as Debian lays them out."""
    found = list(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        raise RuntimeError("no PostgreSQL server in /usr/lib/postgresql: .packages names it")
    return max(found, key=lambda path: int(re.sub(r"\D", "", path.parts[-3]) or 0)).parent


def wait_until_open(port: int, process: subprocess.Popen, log: Path, seconds: float = 30) -> None:
    """Returns once `port` accepts; raises with the end of the log when `process` ends before."""
    give_up = time.monotonic() + seconds
    while time.monotonic() < give_up:
        if process.poll() is not None:
            break
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    tail = log.read_text(errors="replace")[-2000:] if log.exists() else ""
    raise RuntimeError(f"{process.args[0]} does not accept connections on port {port}:\n{tail}")


def start(command: list[str], log: Path, directory: Path) -> subprocess.Popen:
    """Starts a program as OWNER in a process group of its own, its output in `log`."""
    with log.open("ab") as output:
        return subprocess.Popen(command, cwd=directory, stdin=subprocess.DEVNULL, stdout=output,
                                stderr=subprocess.STDOUT, start_new_session=True, **as_owner())


def stop(process: subprocess.Popen, sign: int, seconds: float = 15) -> None:
    """Ends a program by `sign`, and its whole process group by force if that takes too long."""
    if process.poll() is None:
        process.send_signal(sign)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            pass
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass  # the usual case: nobody is left
    process.wait()


class Cluster:
    """A primary and one streaming standby with trust on loopback, in a directory of their own."""

    def __init__(self):
        self.directory = Path(tempfile.mkdtemp(prefix="pgtorii-bench-"))
        if os.geteuid() == 0:
            shutil.chown(self.directory, OWNER, OWNER)
        self.programs = find_server_programs()
        self.ports: list[int] = []  # the primary's first
        self._processes: list[subprocess.Popen] = []

    def make(self, scale: int) -> None:
        """Starts the servers and fills pgbench's tables: 100,000 accounts times `scale`."""
        first = self.directory / "server0"
        self._call("initdb", "-D", str(first), "-U", "postgres", "-A", "trust", "-N",
                   "-E", "UTF8", "--locale=C")
        with (first / "postgresql.auto.conf").open("a") as settings:
            settings.writelines(f"{name} = '{value}'\n" for name, value in SERVER_SETTINGS.items())
        self._start(first)
        second = self.directory / "server1"
        primary = ["-h", "127.0.0.1", "-p", str(self.ports[0]), "-U", "postgres"]
        self._call("pg_basebackup", *primary, "-D", str(second), "-R", "-c", "fast",
                   "-X", "stream", "-N")
        self._start(second)
        self._call("createdb", *primary, DATABASE)
        self._call("pgbench", *primary, "-i", "-q", "-s", str(scale), DATABASE)
        self.sql(0, "CREATE UNLOGGED TABLE bench_copy (id int, filler text)")
        self._wait_for_standby()

    def sql(self, server: int, text: str, database: str = DATABASE) -> str:
        """The answer of server number `server` to `text`."""
        return self._call("psql", "-XAtq", "-h", "127.0.0.1", "-p", str(self.ports[server]),
                          "-U", "postgres", "-c", text, database).strip()

    def close(self) -> None:
        """Stops the servers and removes the directory."""
        for process in reversed(self._processes):
            stop(process, signal.SIGQUIT)  # nothing of the data is needed any more
        shutil.rmtree(self.directory, ignore_errors=True)

    def _start(self, data: Path) -> None:
        port = find_port()
        log = self.directory / f"{data.name}.log"
        process = start([str(self.programs / "postgres"), "-D", str(data), "-p", str(port),
                         "-k", str(self.directory)], log, self.directory)
        self._processes.append(process)
        self.ports.append(port)
        wait_until_open(port, process, log)
        give_up = time.monotonic() + 30
        while subprocess.run(["pg_isready", "-q", "-h", "127.0.0.1", "-p", str(port),
                              "-U", "postgres"]).returncode:
            if time.monotonic() > give_up:
                raise RuntimeError(f"{data.name} does not become ready: {log.read_text()[-2000:]}")
            time.sleep(0.05)

    def _wait_for_standby(self) -> None:
        end = self.sql(0, "SELECT pg_current_wal_lsn()", "postgres")
        give_up = time.monotonic() + 30
        while self.sql(1, f"SELECT pg_last_wal_replay_lsn() >= '{end}'", "postgres") != "t":
            if time.monotonic() > give_up:
                raise RuntimeError("the standby does not catch up with the primary")
            time.sleep(0.05)

    def _call(self, program: str, *arguments: str) -> str:
        own = self.programs / program
        command = [str(own) if own.exists() else program, *arguments]
        done = subprocess.run(command, cwd=self.directory, capture_output=True, text=True,
                              **as_owner())
        if done.returncode:
            raise RuntimeError(f"{program} failed: {done.stderr.strip()[-2000:]}")
        return done.stdout
