"""The command line: checks, samples, start and stop, what is in the way of a start."""

import subprocess
from pathlib import Path

import harness
from gate import Gate

STANDBYS = 1
DEBIAN_FILES = ("/etc/pgpool2/pgpool.conf", "/usr/share/doc/pgpool2/examples/pgpool.conf.sample-stream.gz")


def call(*arguments, **options) -> subprocess.CompletedProcess:
    """Runs the program to its end."""
    return subprocess.run([str(Gate.program), *(str(each) for each in arguments)], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=harness.WAIT_LIMIT, **options)


def file_with(text: str) -> Path:
    path = harness.make_directory() / "pgpool.conf"
    path.write_text(text)
    return path


def test_version_and_help():
    for option in ("--version", "-v"):
        told = call(option)
        assert told.returncode == 0 and "pgpool-II version 4." in told.stderr, told
    for option in ("--help", "-h"):
        told = call(option)
        assert told.returncode == 0 and "--config-file" in told.stderr, told
    for wrong in (["--nothing"], ["start"], ["stop", "reload"], ["-m", "x", "stop"]):
        assert call(*wrong).returncode == 1, wrong


def test_a_check_tells_all_that_is_wrong():
    good = call("--check-config", "-f", file_with("port = 9999\nbackend_hostname0 = '127.0.0.1'\n"))
    assert good.returncode == 0, good
    bad = call("--check-config", "-f", file_with("port = abc\nload_balance_mode = perhaps\nmax_pool = 4x\n"))
    assert bad.returncode == 1, bad
    for line, name in ((1, "port"), (2, "load_balance_mode"), (3, "max_pool")):
        assert f"pgpool.conf:{line}:" in bad.stdout and name in bad.stdout, bad.stdout
    near = call("--check-config", "-f", file_with("load_balance_mod = on\n"))
    assert near.returncode == 0 and "load_balance_mode" in near.stdout, near


def test_the_sample_is_a_configuration():
    sample = call("--print-sample-config")
    assert sample.returncode == 0 and len(sample.stdout.splitlines()) > 500
    checked = call("--check-config", "-f", file_with(sample.stdout))
    assert checked.returncode == 0, checked.stdout


def test_a_bad_file_does_not_start():
    told = call("-n", "-f", file_with("port = abc\n"))
    assert told.returncode == 3 and "port" in told.stdout + told.stderr, told


def test_debians_own_files_load_and_start(cluster):
    """Debian's file, with nothing added but what keeps it in a corner of its own."""
    found = [path for path in DEBIAN_FILES if Path(path).exists()]
    assert "/etc/pgpool2/pgpool.conf" in found, "the package pgpool2 is not installed"
    text = Path("/etc/pgpool2/pgpool.conf").read_text()
    assert call("--check-config", "-f", file_with(text)).returncode == 0
    with Gate(cluster) as gate:
        own = gate.conf.read_text()
        gate.stop()
        gate.conf.write_text(f"{text}\n{own}")
        gate.start()
        with gate.session() as session:
            assert session.one("SELECT inet_server_port()") == cluster.standbys[0].port
            session.run("CREATE TEMP TABLE x (i int)")


def test_a_second_start_on_the_same_port_says_what_postgresql_says(cluster):
    with Gate(cluster) as gate:
        text = gate.conf.read_text()
        other = harness.make_directory()
        second = file_with(text.replace(str(gate.directory), str(other)))
        told = call("-n", "-f", second)
        assert told.returncode == 3, told
        assert 'could not bind IPv4 address "127.0.0.1": Address already in use' in told.stdout + told.stderr, told
        assert f"Is another postmaster already running on port {gate.port}?" in told.stdout + told.stderr, told
        # The same Unix socket only.
        third = file_with(text.replace(f"listen_addresses = '{gate._settings['listen_addresses']}'",
                                       "listen_addresses = ''")
                          .replace(f"{gate.directory}/pgpool.pid", f"{other}/pgpool.pid"))
        told = call("-n", "-f", third)
        assert told.returncode == 3 and ".s.PGSQL" in told.stdout + told.stderr, told
        for host in ("127.0.0.1", str(gate.directory)):
            assert gate.one("SELECT 1", host=host) == 1


def test_a_second_start_with_the_same_pid_file(cluster):
    with Gate(cluster) as gate:
        told = call("-n", "-f", gate.conf)
        assert told.returncode == 1 and "another pgpool" in told.stdout + told.stderr, told
        assert gate.one("SELECT 1") == 1


def test_what_a_crash_left_is_no_obstacle(cluster):
    with Gate(cluster) as gate:
        harness.kill_tree(gate.process)
        assert (gate.directory / "pgpool.pid").exists() and (gate.directory / f".s.PGSQL.{gate.port}").exists()
        gate.start()
        assert gate.one("SELECT 1", host=str(gate.directory)) == 1


def test_reload_and_stop_by_the_command_line(cluster):
    for mode in ("smart", "fast", "immediate"):
        with Gate(cluster) as gate:
            mark = gate.log.mark()
            gate.write_conf(log_statement="on")
            assert call("-f", gate.conf, "reload").returncode == 0
            gate.log.wait_for("reload", mark, alive=gate.process)
            harness.wait_until(lambda g=gate: g.one("PGPOOL SHOW log_statement") == "on", "it is in effect")
            assert call("-f", gate.conf, "-m", mode, "stop").returncode == 0
            assert harness.wait_for_end(gate.process) == 0
            assert not (gate.directory / "pgpool.pid").exists()
            assert call("-f", gate.conf, "stop").returncode == 3
            assert call("-f", gate.conf, "reload").returncode == 1


def test_a_detached_start(cluster):
    """It returns when it serves; what is wrong is told by the exit code."""
    with Gate(cluster) as gate:
        gate.stop()
        told = call("-f", gate.conf)
        assert told.returncode == 0, told
        try:
            assert gate.one("SELECT 1") == 1
            assert call("-f", gate.conf).returncode == 1
        finally:
            assert call("-f", gate.conf, "-m", "fast", "stop").returncode == 0
        assert not (gate.directory / "pgpool.pid").exists()
