"""What is measured: a row for each program in front of the servers, and how it is configured.

All of them log errors only and trust loopback.
"""

import shutil
import signal
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import bulk_client
import harness
import servers


@dataclass(frozen=True)
class Size:
    """What a proxy is set up for."""

    clients: int
    links: int  # the most connections to each server


@dataclass(frozen=True)
class Site:
    """Where one proxy stands: directory, port, the servers behind it."""

    directory: Path
    port: int
    server_ports: list[int]
    size: Size
    program: Path | None  # pgtorii's


REFERENCE = "pgbouncer"
TRANSACTION_REFERENCE = "pgbouncer-transaction"


@dataclass(frozen=True)
class Kind:
    """A row of the tables."""

    key: str
    title: str
    command: Callable[[Site], list[str]] | None  # None: no proxy at all
    reference: str = REFERENCE  # the row that its ratios are to
    stop_signal: int = signal.SIGINT
    is_extra: bool = False  # left out by --quick
    is_one_thread: bool = False  # its instructions are counted
    is_process_per_client: bool = False
    shares_links: bool = False  # a transaction holds a server connection, and no session does
    skips: tuple[str, ...] = ()  # workloads that it can't run, as prefixes of their keys


def _pgbouncer(site: Site, pool_mode: str) -> list[str]:
    (site.directory / "users.txt").write_text('"postgres" ""\n')
    config = site.directory / "pgbouncer.ini"
    config.write_text(f"""\
[databases]
* = host=127.0.0.1 port={site.server_ports[0]}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {site.port}
unix_socket_dir =
auth_type = trust
auth_file = {site.directory}/users.txt
logfile = {site.directory}/pgbouncer.log
pidfile = {site.directory}/pgbouncer.pid
log_connections = 0
log_disconnections = 0
pool_mode = {pool_mode}
max_client_conn = {site.size.clients + 100}
default_pool_size = {site.size.links}
so_reuseport = 0
""")
    return [shutil.which("pgbouncer", path="/usr/sbin:/usr/bin") or "pgbouncer", "-q", str(config)]


def _pgpool_conf(site: Site) -> str:
    text = f"""\
backend_clustering_mode = 'streaming_replication'
listen_addresses = '127.0.0.1'
port = {site.port}
socket_dir = '{site.directory}'
pcp_listen_addresses = '127.0.0.1'
pcp_port = {harness.hold_port()}
pcp_socket_dir = '{site.directory}'
wd_ipc_socket_dir = '{site.directory}'
pid_file_name = '{site.directory}/pgpool.pid'
logdir = '{site.directory}'
log_min_messages = error
num_init_children = {site.size.links}
max_pool = 1
load_balance_mode = on
sr_check_user = 'postgres'
"""
    for number, port in enumerate(site.server_ports):
        text += f"""\
backend_hostname{number} = '127.0.0.1'
backend_port{number} = {port}
backend_weight{number} = 1
backend_flag{number} = 'DISALLOW_TO_FAILOVER'
"""
    return text


def _pgpool(site: Site) -> list[str]:
    config = site.directory / "pgpool.conf"
    config.write_text(_pgpool_conf(site))
    return [shutil.which("pgpool", path="/usr/sbin:/usr/bin") or "pgpool", "-n", "-f", str(config)]


def _pgtorii(site: Site, workers: int, pool_mode: str = "session") -> list[str]:
    config = site.directory / "pgpool.conf"
    config.write_text(_pgpool_conf(site) + f"pool_mode = {pool_mode}\n" +
                      (f"worker_threads = {workers}\n" if workers else ""))
    return [str(site.program), "-n", "-f", str(config)]


KINDS = (
    Kind("direct", "direct", None),
    Kind("pgbouncer", "PgBouncer, session", lambda site: _pgbouncer(site, "session"),
         stop_signal=signal.SIGTERM, is_one_thread=True),
    Kind("pgbouncer-transaction", "PgBouncer, transaction",
         lambda site: _pgbouncer(site, "transaction"), TRANSACTION_REFERENCE,
         stop_signal=signal.SIGTERM, is_one_thread=True, shares_links=True,
         skips=("prepared",)),  # before 1.21 it knows no prepared statements in this mode
    Kind("pgpool", "Pgpool-II", _pgpool, is_process_per_client=True),
    Kind("pgtorii", "pgtorii, 1 worker", lambda site: _pgtorii(site, 1), is_one_thread=True),
    Kind("pgtorii-transaction", "pgtorii, 1 worker, transaction",
         lambda site: _pgtorii(site, 1, "transaction"), TRANSACTION_REFERENCE,
         is_one_thread=True, shares_links=True),
    Kind("pgtorii-transaction-2", "pgtorii, 2 workers, transaction",
         lambda site: _pgtorii(site, 2, "transaction"), "pgtorii-transaction", is_extra=True,
         shares_links=True,
         skips=("one-text", "many-texts", "reconnect", "result", "copy", "idle")),
    Kind("pgtorii-default", "pgtorii", lambda site: _pgtorii(site, 0), is_extra=True),
)


class Proxy:
    """A running program of one kind, or the primary itself for the kind without one."""

    def __init__(self, kind: Kind, cluster: harness.Cluster, size: Size, program: Path | None,
                 wrapper: list[str] | None = None):
        """Starts it, under the command `wrapper` if one is given."""
        self.kind = kind
        self.size = size
        self.process: subprocess.Popen | None = None
        self.port = cluster.primary.port
        if kind.command is None:
            return
        self.port = harness.hold_port()
        directory = harness.make_directory()
        server_ports = [server.port for server in cluster.servers]
        site = Site(directory, self.port, server_ports, size, program)
        self.log = harness.LogFile(directory / "output.log")
        self.process = harness.start_process([*(wrapper or []), *kind.command(site)],
                                             self.log.path, as_owner=True)
        try:
            self._wait_until_serving()
        except BaseException:  # a signal too: nobody else knows this process yet
            self.stop()
            raise

    def _wait_until_serving(self) -> None:
        """Returns once a session is let in: an open port may come before the servers are known."""
        def lets_in() -> bool:
            try:
                bulk_client.Client(self.port, servers.DATABASE).close()
                return True
            except (OSError, bulk_client.ServerError):
                return False

        try:
            harness.wait_until(lets_in, "a client is let in", alive=self.process)
        except AssertionError as error:
            raise RuntimeError(f"{self.kind.key}: {error}\n{self.log.since()[-2000:]}") from None

    @property
    def pid(self) -> int | None:
        """The process whose tree is accounted; none for a direct connection."""
        return self.process.pid if self.process else None

    def stop(self) -> None:
        """Ends it, with all it started: by its own signal, or by force if that takes too long."""
        if not self.process:
            return
        if self.process.poll() is None:
            self.process.send_signal(self.kind.stop_signal)
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            harness.kill_tree(self.process)
