"""The real Pgpool-II (Debian's package pgpool2) in front of a cluster, for comparisons."""

import shutil
import signal

import harness
import wire


class Pgpool:
    """Pgpool-II with the least configuration: reads that may be balanced go to the standbys. Ends with its `with`."""

    def __init__(self, cluster: harness.Cluster, **settings):
        self.cluster = cluster
        self.directory = harness.make_directory()
        self.port = harness.hold_port()
        self.log = harness.LogFile(self.directory / "pgpool.log")
        self.process = None
        conf = self.directory / "pgpool.conf"
        conf.write_text("".join(f"{name} = '{value}'\n" for name, value in {**self._defaults(), **settings}.items()))
        self.process = harness.start_process([self.program(), "-n", "-f", conf, "-a", self.directory / "no-hba", "-F",
                                              self.directory / "no-pcp"], self.log.path, as_owner=True)
        harness.wait_until(self._accepts, "Pgpool-II accepts connections", alive=self.process)

    @staticmethod
    def program() -> str | None:
        return shutil.which("pgpool", path="/usr/sbin:/usr/bin")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        """Its own shutdown, which gives its shared memory back."""
        self.process.send_signal(signal.SIGINT)
        try:
            harness.wait_for_end(self.process, 30)
        except AssertionError:
            print("Pgpool-II had to be killed")

    def _defaults(self) -> dict:
        values = {
            "backend_clustering_mode": "streaming_replication",
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "socket_dir": self.directory,
            "pcp_listen_addresses": "127.0.0.1",
            "pcp_port": harness.hold_port(),
            "pcp_socket_dir": self.directory,
            "wd_ipc_socket_dir": self.directory,
            "pid_file_name": self.directory / "pgpool.pid",
            "logdir": self.directory,
            "enable_pool_hba": "off",
            "num_init_children": 4,
            "max_pool": 1,
            "connection_cache": "off",
            "load_balance_mode": "on",
            "sr_check_user": "postgres",
            "health_check_period": 0,
            "enable_shared_relcache": "off",
            "failover_on_backend_error": "off",
        }
        for number, server in enumerate(self.cluster.servers):
            values |= {f"backend_hostname{number}": "127.0.0.1", f"backend_port{number}": server.port,
                       f"backend_weight{number}": min(number, 1), f"backend_flag{number}": "DISALLOW_TO_FAILOVER"}
        return values

    def wire(self, **start_up) -> wire.Wire:
        return wire.Wire(self.port).log_in(**{"user": "postgres", "database": "postgres", **start_up})

    def _accepts(self) -> bool:
        """Is it up, and does it know which server is the primary?"""
        try:
            with self.wire() as client:
                return any(row[6] == "primary" for row in client.query("SHOW pool_nodes").rows)
        except (OSError, AssertionError):
            return False
