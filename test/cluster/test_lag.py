"""How far standbys are behind: in bytes, as time, by a command; what the log and SHOW POOL_NODES say of it."""

import contextlib
import re

import harness
from gate import Gate

STANDBYS = 2

BEHIND = r"Replication of node: {} is behind (\S+) {} from the primary server \(node: 0\)"


def prepare(cluster):
    cluster.run("CREATE TABLE t (i int PRIMARY KEY, filler text)")


@contextlib.contextmanager
def paused_replay(standby):
    """Nothing is replayed there inside."""
    standby.run("SELECT pg_wal_replay_pause()")
    harness.wait_until(lambda: standby.one("SELECT pg_get_wal_replay_pause_state()") == "paused", "replay is paused")
    try:
        yield
    finally:
        standby.run("SELECT pg_wal_replay_resume()")


def write(cluster):
    """Some 80 KB of WAL, and nothing left behind."""
    cluster.primary.run("INSERT INTO t SELECT i, repeat('x', 100) FROM generate_series(1, 500) i")
    cluster.primary.run("DELETE FROM t")


def delay_of(gate, node):
    return gate.nodes()[node]["replication_delay"]


def wait_for_delay(gate, node, is_wanted, what):
    return harness.wait_until(lambda: is_wanted(delay_of(gate, node)), what, alive=gate.process)


def test_delay_in_bytes(cluster):
    with Gate(cluster, delay_threshold=1000) as gate:
        wait_for_delay(gate, 1, lambda shown: shown == "0", "node 1 has no delay")
        with paused_replay(cluster.standbys[0]):
            mark = gate.log.mark()
            write(cluster)
            wait_for_delay(gate, 1, lambda shown: int(shown) > 10_000, "node 1 is behind")
            assert delay_of(gate, 0) == "0"
            found = gate.log.wait_for(BEHIND.format(1, "bytes"), mark, alive=gate.process)
            assert int(found[1]) > 1000
        wait_for_delay(gate, 1, lambda shown: shown == "0", "node 1 has caught up")
        assert not re.search(BEHIND.format(2, "bytes"), gate.log.since())


def test_the_log_says_nothing_below_the_threshold_and_with_none(cluster):
    with Gate(cluster, delay_threshold=10_000_000) as gate, paused_replay(cluster.standbys[0]):
        write(cluster)
        wait_for_delay(gate, 1, lambda shown: int(shown) > 10_000, "node 1 is behind")
        assert "is behind" not in gate.log.since()
        gate.reload(delay_threshold=1, log_standby_delay="none")
        with gate.session() as own:
            shown = own.one("PGPOOL SHOW log_standby_delay")
            assert shown == "none", shown
        mark = gate.log.mark()
        gate.reload(log_standby_delay="always")
        gate.log.wait_for(BEHIND.format(1, "bytes"), mark, alive=gate.process)


def test_delay_as_time_grows_while_replay_is_paused(cluster):
    """replay_lag of pg_stat_replication stands still then: Pgpool-II would show a few milliseconds."""
    with Gate(cluster, delay_threshold_by_time=1000) as gate:
        wait_for_delay(gate, 1, lambda shown: re.fullmatch(r"[01]\.\d{6} second", shown), "a delay is shown as time")
        assert delay_of(gate, 0) == "0"
        with paused_replay(cluster.standbys[0]):
            mark = gate.log.mark()
            write(cluster)
            wait_for_delay(gate, 1, lambda shown: re.fullmatch(r"([2-9]|\d\d+)\.\d{6} seconds", shown),
                           "node 1 is seconds behind")
            found = gate.log.wait_for(BEHIND.format(1, r"second\(s\)"), mark, alive=gate.process)
            assert float(found[1]) > 1
        write(cluster)  # so that the standby tells of its progress
        wait_for_delay(gate, 1, lambda shown: shown.endswith("second"), "node 1 has caught up")


def test_delay_by_a_command(cluster):
    directory = harness.make_directory()
    answer, seen = directory / "answer", directory / "seen"
    answer.write_text("12.5 3000\n")
    command = f"sh -c 'echo \"$@\" > {seen}; cat {answer}' lag"
    with Gate(cluster, replication_delay_source_cmd=command, delay_threshold_by_time=1000) as gate:
        wait_for_delay(gate, 1, lambda shown: shown == "0.012500 second", "the command's answer is shown")
        assert delay_of(gate, 2) == "3.000000 seconds"
        assert delay_of(gate, 0) == "0"
        first, second = cluster.standbys
        assert seen.read_text() == f"127.0.0.1:{first.port} 127.0.0.1:{second.port}\n"
        found = gate.log.wait_for(BEHIND.format(2, r"second\(s\)"), alive=gate.process)
        assert found[1] == "3.000000"

        answer.write_text("nonsense\n")
        gate.log.wait_for("replication_delay_source_cmd gave no delays", alive=gate.process)
        assert delay_of(gate, 1) == "0.012500 second", "the old values stay"

        answer.write_text("0 -1\n")
        wait_for_delay(gate, 1, lambda shown: shown == "0.000000 second", "the command is heard again")
        assert float(delay_of(gate, 2).split()[0]) > 1e9, "over any threshold"
        assert gate.nodes()[2]["status"] in ("up", "waiting")


def test_a_command_that_hangs_is_killed_and_holds_up_nobody(cluster):
    directory = harness.make_directory()
    pids = directory / "pids"
    command = f"sleep 600 & echo $! >> {pids}; wait; echo"
    with Gate(cluster, replication_delay_source_cmd=command, replication_delay_source_timeout=1) as gate:
        gate.log.wait_for("replication_delay_source_cmd gave no delays", alive=gate.process)
        with gate.session() as own:
            assert own.one("SELECT 1") == 1
        harness.wait_until(lambda: len(pids.read_text().split()) > 1, "the command runs again", alive=gate.process)
    for pid in pids.read_text().split():
        harness.wait_until(lambda p=pid: not is_running(p), f"the sleeper {pid} has been killed")


def is_running(pid):
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_without_checks_there_is_no_delay(cluster):
    with Gate(cluster, sr_check_period=0, log_standby_delay="always") as gate, paused_replay(cluster.standbys[0]):
        write(cluster)
        mark = gate.log.mark()
        with gate.session() as own:
            assert own.one("SELECT 1") == 1
        # A look at every server has come after the write, once the primary's statements show two of them.
        start = cluster.primary.log.mark()
        harness.wait_until(lambda: len(cluster.primary.statements(start, "pg_control_system")) >= 2, "two more looks")
        assert delay_of(gate, 1) == "0"
        assert "is behind" not in gate.log.since(mark)


def test_nothing_is_sampled_while_nobody_asks(cluster):
    """causal_reads alone asks no server for its position."""
    with Gate(cluster, causal_reads="session") as gate:
        with gate.session() as own:
            assert own.one("SELECT 1") == 1
        assert not cluster.primary.statements(0, "pg_current_wal_insert_lsn")
