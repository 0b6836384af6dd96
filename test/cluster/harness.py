"""Real PostgreSQL servers for tests: a primary and its standbys, which a test starts, stops, freezes and promotes.

Everything stands in one temporary directory, on loopback ports and Unix sockets of its own, and is gone when the test
program ends, in whatever way that happens.
"""

import atexit
import contextlib
import ctypes
import fcntl
import os
import pwd
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from pathlib import Path

import psycopg2
import psycopg2.extensions

OWNER = "postgres"  # runs the servers when the tests run as root: PostgreSQL refuses to
WAIT_LIMIT = 60  # seconds until something that must happen counts as not happening

SERVER_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "max_connections": 100,
    "shared_buffers": "32MB",
    "wal_level": "replica",
    "max_wal_senders": 10,
    "max_wal_size": "1GB",
    "wal_keep_size": "256MB",
    "hot_standby": "on",
    "hot_standby_feedback": "on",
    "wal_receiver_status_interval": "1s",
    "wal_retrieve_retry_interval": "100ms",
    "fsync": "off",
    "autovacuum": "off",
    "jit": "off",
    "log_statement": "all",
    "log_line_prefix": "%p|%a|%d| ",
    "log_lock_waits": "off",
    "max_prepared_transactions": 10,
}


# What is running, so that nothing stays behind -----------------------------------------------------------------------

_processes: list[subprocess.Popen] = []
_directories: list[Path] = []
_held_ports: list[socket.socket] = []
_libc = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG = 1


def descendants_of(pid: int) -> list[int]:
    """The process ids below `pid`. PostgreSQL's children lead groups of their own, so groups don't find them."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            after_name = entry.read_text().rpartition(")")[2].split()
            children.setdefault(int(after_name[1]), []).append(int(entry.parent.name))
    found, ahead = [], [pid]
    while ahead:
        below = children.get(ahead.pop(), [])
        found += below
        ahead += below
    return found


def state_of(pid: int) -> str:
    """A process's state as /proc shows it: "T" is stopped, "Z" or "" has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def signal_each(pids: list[int], which: signal.Signals) -> None:
    for each in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(each, which)


def freeze_tree(pid: int) -> list[int]:
    """Stops a process that we started and all below it, and gives them. Who is listed while it runs may fork unseen."""
    found: list[int] = []
    while new := [each for each in [pid, *descendants_of(pid)] if each not in found]:
        signal_each(new, signal.SIGSTOP)
        wait_until(lambda seen=new: all(state_of(each) in ("T", "t", "Z", "X", "") for each in seen),
                   f"what runs below {pid} stands still")
        found += new
    return found


def start_process(command: list, log: Path, *, as_owner: bool, environment: dict | None = None) -> subprocess.Popen:
    """Starts a program with its output in `log`. It dies with us, even when we are killed."""
    identity = {}
    if as_owner and os.geteuid() == 0:
        entry = pwd.getpwnam(OWNER)
        identity = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}

    def die_with_parent():  # after the change of identity, which would undo it
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)

    with log.open("ab") as output:
        process = subprocess.Popen([str(part) for part in command], cwd="/", stdin=subprocess.DEVNULL, stdout=output,
                                   stderr=subprocess.STDOUT, start_new_session=True, preexec_fn=die_with_parent,
                                   env={**os.environ, "LC_ALL": "C.UTF-8", **(environment or {})}, **identity)
    _processes.append(process)
    return process


def wait_for_end(process: subprocess.Popen, seconds: float = WAIT_LIMIT) -> int:
    """The exit code of a process that is expected to end; it is killed if it does not."""
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        kill_tree(process)
        raise AssertionError(f"{process.args[0]} did not end within {seconds} s") from None


def kill_tree(process: subprocess.Popen) -> None:
    """Ends a process and all below it, by force. All of them have ended: a server's children hold its shared memory."""
    if process.poll() is None:
        pids = freeze_tree(process.pid)
        signal_each(pids, signal.SIGKILL)
        process.wait()
        wait_until(lambda: all(state_of(each) in ("Z", "X", "") for each in pids), f"all below {process.pid} have ended")


def kill_programs(program: Path) -> None:
    """Ends all processes of one program that we have started: whoever waits for them waits no longer."""
    for process in _processes:
        if process.args[0] == str(program):
            kill_tree(process)


def clean_up() -> None:
    """Kills what was started and removes what was made. Safe to call at any time, and twice."""
    while _processes:
        kill_tree(_processes.pop())
    if _directories:
        subprocess.run(["rm", "-rf", *_directories], check=False)  # Python takes five times as long
    _directories.clear()


def install_clean_up() -> None:
    """To be called once by a test program."""
    atexit.register(clean_up)
    for which in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(which, lambda number, _: sys.exit(128 + number))


def make_directory() -> Path:
    """A new directory that belongs to OWNER. Its path is short: a socket's path has at most 107 bytes."""
    directory = Path(tempfile.mkdtemp(prefix="pgtorii-", dir="/tmp"))
    _directories.append(directory)
    directory.chmod(0o755)
    if os.geteuid() == 0:
        shutil.chown(directory, OWNER, OWNER)
    return directory


def has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


HAS_IPV6 = has_ipv6()


def hold_port() -> int:
    """A loopback port that is free, and that no other test program will take while this one lives.

    It lies below the range from which outgoing connections take theirs. An abstract socket of that number holds it.
    """
    for _ in range(1000):
        port = random.randrange(20000, 32000)
        holder = socket.socket(socket.AF_UNIX)
        try:
            holder.bind(f"\0pgtorii-test-port-{port}")
            with socket.create_server(("127.0.0.1", port)):
                pass
            if HAS_IPV6:
                with socket.create_server(("::1", port), family=socket.AF_INET6):
                    pass
        except OSError:
            holder.close()
            continue
        _held_ports.append(holder)
        return port
    raise RuntimeError("no free loopback port between 20000 and 32000")


def wait_until(is_true, what: str, seconds: float = WAIT_LIMIT, alive: subprocess.Popen | None = None):
    """Asks until the answer is true, and gives that answer. `alive`: a process without which it can't come true."""
    give_up = time.monotonic() + seconds
    while True:
        answer = is_true()
        if answer:
            return answer
        if alive is not None and alive.poll() is not None:
            raise AssertionError(f"{alive.args[0]} ended with {alive.returncode} while waiting until {what}")
        if time.monotonic() > give_up:
            raise AssertionError(f"waited {seconds} s in vain until {what}")
        time.sleep(0.02)


def run_in_parallel(*tasks) -> None:
    """Runs functions in threads of their own; raises the first failure of any when all have ended."""
    failures = []

    def guarded(task):
        try:
            task()
        except Exception as failure:
            failures.append(failure)

    threads = [threading.Thread(target=guarded, args=(task,), daemon=True) for task in tasks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


class LogFile:
    """A log that grows. A mark is a place in it."""

    def __init__(self, path: Path):
        self.path = path

    def mark(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

    def since(self, mark: int = 0) -> str:
        if not self.path.exists():
            return ""
        with self.path.open("rb") as file:
            file.seek(mark)
            return file.read().decode("utf-8", "replace")

    def wait_for(self, pattern: str, mark: int = 0, alive: subprocess.Popen | None = None) -> re.Match:
        """The first match of a regular expression after `mark`."""
        return wait_until(lambda: re.search(pattern, self.since(mark), re.MULTILINE),
                          f"{pattern!r} is in {self.path.name}", alive=alive)


# Sessions ------------------------------------------------------------------------------------------------------------

class Session:
    """A psycopg2 connection in autocommit mode, with few and short words. Closes at the end of a `with`."""

    def __init__(self, **parameters):
        self.connection = psycopg2.connect(**parameters)
        self.connection.autocommit = True

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self) -> None:
        self.connection.close()

    def rows(self, sql: str) -> list[tuple]:
        """All rows of a statement; none for one that returns no rows."""
        with self.connection.cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetchall() if cursor.description else []

    def one(self, sql: str):
        """The only column of the only row."""
        (row,) = self.rows(sql)
        (value,) = row
        return value

    def run(self, sql: str) -> str:
        """The command tag."""
        with self.connection.cursor() as cursor:
            cursor.execute(sql)
            return cursor.statusmessage

    def fails(self, sqlstate: str, sql: str) -> psycopg2.Error:
        """Asserts that the statement fails with this SQLSTATE."""
        try:
            self.rows(sql)
        except psycopg2.Error as error:
            assert error.pgcode == sqlstate, f"{sql}: wanted SQLSTATE {sqlstate}, got {error.pgcode}: {error}"
            return error
        raise AssertionError(f"{sql}: wanted SQLSTATE {sqlstate}, but it worked")

    @property
    def notices(self) -> list[str]:
        return self.connection.notices


# Servers -------------------------------------------------------------------------------------------------------------

def find_server_programs() -> Path:
    """The directory of the newest PostgreSQL's programs, as Debian lays them out."""
    found = list(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        raise RuntimeError("no PostgreSQL server in /usr/lib/postgresql; .packages names it")
    return max(found, key=lambda path: int(path.parts[-3])).parent


template_home: Path | None = None  # where data directories to copy are kept; set by the runner


def data_template(programs: Path) -> Path:
    """A data directory as initdb makes it, to be copied: initdb takes longer than all else that a cluster needs."""
    global template_home
    options = ["-U", "postgres", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C.UTF-8"]
    if template_home is None:
        template_home = make_directory()
    path = template_home / f"postgres-{programs.parent.name}-{zlib.crc32(repr(options).encode()):08x}"
    with (template_home / "postgres.lock").open("w") as lock:  # others may make it at the same time
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            made = make_directory()
            call(programs / "initdb", "-D", made / "data", *options, log=made / "log")
            unfinished = path.with_suffix(".new")
            copy_tree(made / "data", unfinished)
            unfinished.rename(path)
    return path


def copy_tree(origin: Path, copy: Path) -> None:
    shutil.rmtree(copy, ignore_errors=True)
    subprocess.run(["cp", "-a", "--sparse=always", origin, copy], check=True)


def call(*command, log: Path) -> None:
    """Runs a program of PostgreSQL's as OWNER; it must succeed."""
    process = start_process(list(command), log, as_owner=True)
    assert wait_for_end(process, 120) == 0, f"{command[0]} failed: {log.read_text()[-2000:]}"


class Server:
    """One PostgreSQL server."""

    def __init__(self, cluster: "Cluster", name: str):
        self.cluster = cluster
        self.name = name
        self.directory = cluster.directory / name
        self.port = hold_port()
        self.log = LogFile(cluster.directory / f"{name}.log")
        self.process: subprocess.Popen | None = None

    def start(self) -> None:
        self.launch()
        self.wait_until_accepting()

    def launch(self) -> None:
        self.process = start_process([self.cluster.programs / "postgres", "-D", self.directory, "-p", self.port,
                                      "-k", self.cluster.directory], self.log.path, as_owner=True)

    def wait_until_accepting(self) -> None:
        wait_until(self._accepts, f"{self.name} accepts connections", alive=self.process)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """SIGINT is PostgreSQL's fast shutdown, SIGQUIT the immediate one; SIGKILL is a crash."""
        if self.process is None or self.process.poll() is not None:
            return
        if how == signal.SIGKILL:
            kill_tree(self.process)
        else:
            self.process.send_signal(how)
            wait_for_end(self.process)

    def freeze(self) -> None:
        """Stops it like a machine that hangs: connections stay, and nothing is ever answered."""
        freeze_tree(self.process.pid)

    def thaw(self) -> None:
        signal_each([self.process.pid, *descendants_of(self.process.pid)], signal.SIGCONT)

    def promote(self) -> None:
        with self.session() as own:
            assert own.one("SELECT pg_promote(true, 60)")

    def parameters(self, **changes) -> dict:
        return {"host": "127.0.0.1", "port": self.port, "user": "postgres", "dbname": "postgres",
                "application_name": "harness", **changes}

    def session(self, **changes) -> Session:
        """A session with this server itself."""
        return Session(**self.parameters(**changes))

    def one(self, sql: str, **changes):
        with self.session(**changes) as own:
            return own.one(sql)

    def run(self, sql: str, **changes) -> str:
        with self.session(**changes) as own:
            return own.run(sql)

    def write_hba(self, *lines: str) -> None:
        """Replaces pg_hba.conf. The harness itself (user postgres) keeps its access."""
        text = "".join(f"{line}\n" for line in lines)
        (self.directory / "pg_hba.conf").write_text(
            f"local all all trust\n{text}host all postgres 127.0.0.1/32 trust\n"
            "host replication postgres 127.0.0.1/32 trust\n")
        with self.session() as own:
            own.run("SELECT pg_reload_conf()")

    def set(self, name: str, value: str) -> None:
        """Changes a setting of this server alone; returns when it holds for new statements."""
        with (self.directory / "postgresql.auto.conf").open("a") as file:
            file.write(f"{name} = '{value}'\n")
        with self.session() as own:
            own.run("SELECT pg_reload_conf()")
            wait_until(lambda: own.one(f"SELECT setting = '{value}' OR current_setting('{name}') = '{value}' "
                                       f"FROM pg_settings WHERE name = '{name}'"), f"{name} is {value} on {self.name}")

    def statements(self, mark: int = 0, containing: str = "") -> list[str]:
        """The statements that clients other than the harness sent after `mark`, as the server logged them."""
        found = []
        for line in self.log.since(mark).splitlines():
            match = re.match(r"\d+\|(.*?)\|.*?\| LOG:  (?:statement|execute [^:]*|fastpath function call): ?(.*)", line)
            if match and match[1] != "harness" and containing in match[2]:
                found.append(match[2])
        return found

    def count_backends(self, condition: str = "true") -> int:
        """Client connections other than the harness's that fulfil a condition on pg_stat_activity."""
        return self.one("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'"
                        f" AND application_name <> 'harness' AND ({condition})")

    def _accepts(self) -> bool:
        try:
            with self.session():
                return True
        except psycopg2.OperationalError:
            return False


class Cluster:
    """A primary and standbys that follow it by streaming replication, with trust for everybody."""

    def __init__(self, standbys: int = 2):
        self.programs = find_server_programs()
        self.directory = make_directory()
        self.servers = [Server(self, name) for name in ("primary", *(f"standby{n}" for n in range(1, standbys + 1)))]
        for server in self.servers:
            self._make(server)
        for server in self.servers:
            server.launch()
        for server in self.servers:
            server.wait_until_accepting()
        self.wait_for_replay()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self) -> None:
        """Ends the servers at once, but by their own hand: a killed one leaves its shared memory to the machine."""
        running = [server.process for server in reversed(self.servers) if server.process and server.process.poll() is None]
        for process in running:
            process.send_signal(signal.SIGQUIT)
            signal_each([process.pid, *descendants_of(process.pid)], signal.SIGCONT)  # one may have been frozen
        for process in running:
            wait_for_end(process)

    @property
    def primary(self) -> Server:
        """The first server. After a promotion a test knows better."""
        return self.servers[0]

    @property
    def standbys(self) -> list[Server]:
        return self.servers[1:]

    def wait_for_replay(self) -> None:
        """Returns when all standbys that run have replayed what was committed on the primary."""
        end = self.primary.one("SELECT pg_current_wal_flush_lsn()")
        for standby in self.standbys:
            if standby.process.poll() is not None:
                continue
            with standby.session() as own:
                wait_until(lambda s=own: s.one(f"SELECT pg_last_wal_replay_lsn() >= '{end}'"),
                           f"{standby.name} has replayed {end}")

    def run(self, sql: str) -> None:
        """Runs statements on the primary and waits until the standbys have them."""
        self.primary.run(sql)
        self.wait_for_replay()

    def _make(self, server: Server) -> None:
        """Fills its data directory. A copy of a primary that has never run is a base backup of it."""
        copy_tree(data_template(self.programs), server.directory)
        with (server.directory / "postgresql.conf").open("a") as file:
            file.writelines(f"{name} = '{value}'\n" for name, value in SERVER_SETTINGS.items())
        if server is not self.primary:
            with (server.directory / "postgresql.auto.conf").open("a") as file:
                file.write(f"primary_conninfo = 'host=127.0.0.1 port={self.primary.port} user=postgres "
                           f"application_name={server.name}'\n")
            signal_file = server.directory / "standby.signal"
            signal_file.touch()
            if os.geteuid() == 0:
                shutil.chown(signal_file, OWNER, OWNER)
