"""The test harness's cluster, set up for measuring: a primary and one standby."""

import signal
import subprocess

import harness

DATABASE = "bench"  # not postgres: Pgpool-II never keeps a connection to that one for reuse
SERVER_CONNECTIONS = 900

SETTINGS = {
    "max_connections": SERVER_CONNECTIONS,
    "shared_buffers": "256MB",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "1h",
    "log_statement": "none",
    "log_min_messages": "fatal",
}


def make_cluster(scale: int) -> harness.Cluster:
    """Starts the servers and fills pgbench's tables: 100,000 accounts times `scale`."""
    harness.SERVER_SETTINGS |= SETTINGS
    cluster = harness.Cluster(standbys=1)
    cluster.primary.run(f"CREATE DATABASE {DATABASE}")
    subprocess.run(["pgbench", "-i", "-q", "-s", str(scale), "-h", "127.0.0.1",
                    "-p", str(cluster.primary.port), "-U", "postgres", DATABASE],
                   check=True, capture_output=True)
    cluster.primary.run("CREATE UNLOGGED TABLE bench_copy (id int, filler text)", dbname=DATABASE)
    cluster.wait_for_replay()
    return cluster


def stop_cluster(cluster: harness.Cluster) -> None:
    """Ends the servers at once, but by their own hand: a killed one leaves shared memory behind."""
    for server in reversed(cluster.servers):
        server.stop(signal.SIGQUIT)
