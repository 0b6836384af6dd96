"""Many clients, and PostgreSQL's own programs, as a user would run them."""

import os
import selectors
import signal
import socket
import subprocess

import harness
import wire
from gate import Gate

MEBIBYTE = 1 << 20


def run(gate, program: str, *arguments: str, expects: int = 0) -> subprocess.CompletedProcess:
    """Runs a client program against the gate."""
    done = subprocess.run([str(gate.cluster.programs / program), "-h", "localhost", "-p", str(gate.port), "-U", "postgres",
                           *arguments], capture_output=True, text=True, timeout=150, stdin=subprocess.DEVNULL)
    assert done.returncode == expects, f"{program} {arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def prepare(cluster):
    with Gate(cluster) as gate:
        run(gate, "pgbench", "-i", "-q", "-s", "2", "postgres")
    cluster.wait_for_replay()


def test_pgbench_reads_in_all_protocol_modes(cluster):
    with Gate(cluster, weights=(1, 2, 1), num_init_children=32) as gate:
        for mode in ("simple", "extended", "prepared"):
            done = run(gate, "pgbench", "-n", "-S", "-M", mode, "-c", "32", "-j", "2", "-t", "100", "postgres")
            assert "number of failed transactions: 0" in done.stdout, done.stdout
            assert "3200/3200" in done.stdout, done.stdout
        counts = [int(node["select_cnt"]) for node in gate.nodes()]
        assert sum(counts) >= 3 * 3200 and all(counts), counts


def test_pgbench_writes_keep_their_books(cluster):
    with Gate(cluster, weights=(1, 1, 1)) as gate:
        for mode in ("simple", "extended", "prepared"):
            run(gate, "pgbench", "-n", "-M", mode, "-c", "8", "-j", "2", "-t", "50", "postgres")
        sums = {cluster.primary.one(f"SELECT sum({column}) FROM {table}") for column, table in (
            ("abalance", "pgbench_accounts"), ("bbalance", "pgbench_branches"), ("tbalance", "pgbench_tellers"),
            ("delta", "pgbench_history"))}
        assert len(sums) == 1, sums
        assert cluster.primary.one("SELECT count(*) FROM pgbench_history") == 3 * 8 * 50


def test_pgbench_with_a_connection_for_each_transaction(cluster):
    with Gate(cluster, num_init_children=4, max_pool=1) as gate:
        run(gate, "pgbench", "-n", "-S", "-C", "-c", "16", "-j", "2", "-t", "25", "postgres")
        for server in cluster.servers:
            assert server.count_backends("application_name = 'pgbench'") <= 4


def test_pgbench_pipelines(cluster):
    script = harness.make_directory() / "pipeline.sql"
    script.write_text("\\set a random(1, 1000)\n\\startpipeline\nSELECT abalance FROM pgbench_accounts WHERE aid = :a;\n"
                      "UPDATE pgbench_accounts SET filler = 'x' WHERE aid = :a;\n"
                      "SELECT abalance FROM pgbench_accounts WHERE aid = :a;\n\\endpipeline\n")
    with Gate(cluster) as gate:
        for mode in ("extended", "prepared"):
            run(gate, "pgbench", "-n", "-M", mode, "-f", str(script), "-c", "8", "-j", "2", "-t", "100", "postgres")


def test_psql_as_a_user_types_it(cluster):
    directory = harness.make_directory()
    directory.chmod(0o777)
    with Gate(cluster) as gate:
        assert "pgbench_accounts" in run(gate, "psql", "-Xc", r"\d", "postgres").stdout
        assert "abalance" in run(gate, "psql", "-Xc", r"\d pgbench_accounts", "postgres").stdout
        for command in (r"\d+", r"\l", r"\dn", r"\df", r"\du", r"\dt *.*", r"\conninfo"):
            run(gate, "psql", "-Xc", command, "postgres")
        path = directory / "accounts.csv"
        run(gate, "psql", "-Xc", rf"\copy pgbench_accounts TO '{path}' CSV", "postgres")
        assert len(path.read_text().splitlines()) == 200_000
        run(gate, "psql", "-Xc", "CREATE TABLE accounts_back (LIKE pgbench_accounts)", "postgres")
        run(gate, "psql", "-Xc", rf"\copy accounts_back FROM '{path}' CSV", "postgres")
        assert cluster.primary.one("SELECT count(*) FROM accounts_back") == 200_000
        run(gate, "psql", "-Xc", "DROP TABLE accounts_back", "postgres")


def test_control_c_in_psql(cluster):
    with Gate(cluster) as gate:
        command = [str(cluster.programs / "psql"), "-XAt", "-h", "localhost", "-p", str(gate.port), "-U", "postgres", "-c",
                   "SELECT pg_sleep(600)", "-c", "SELECT 'still here'", "postgres"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as psql:
            harness.wait_until(lambda: cluster.primary.count_backends("query LIKE 'SELECT pg_sleep%'"), "it runs")
            psql.send_signal(signal.SIGINT)
            told = psql.communicate(timeout=harness.WAIT_LIMIT)
        assert "canceling statement due to user request" in told[1], told


def test_pg_dump(cluster):
    """Many catalog queries inside a REPEATABLE READ transaction, cursors, and COPY."""
    with Gate(cluster) as gate:
        through = run(gate, "pg_dump", "postgres").stdout
        assert through.count("COPY public.pgbench_") == 4 and "PostgreSQL database dump complete" in through


def raise_to(gate, count: int) -> None:
    limit = gate.fds() + count
    assert limit < os.sysconf("SC_OPEN_MAX"), f"{limit} descriptors are needed; see ulimit -n"


def test_a_thousand_clients_wait_and_finish(cluster):
    """Twenty may be served at a time; a client that is served leaves, and so the next one gets its turn."""
    count = 1000
    with Gate(cluster, num_init_children=20, max_pool=1) as gate:
        raise_to(gate, count)
        clients = [gate.wire() for _ in range(count)]
        assert gate.fds() > count
        waiting = selectors.DefaultSelector()
        for number, client in enumerate(clients):
            client.send(wire.query(f"SELECT {number} FROM pgbench_branches WHERE bid = 1"))
            client.socket.settimeout(harness.WAIT_LIMIT)
            waiting.register(client.socket, selectors.EVENT_READ, (number, client))
        answered = 0
        while answered < count:
            ready = waiting.select(harness.WAIT_LIMIT)
            assert ready, f"{answered} of {count} are answered, and nothing comes any more"
            for key, _ in ready:
                number, client = key.data
                first = client.read()
                if first.kind == "N":
                    continue  # it waits
                rest = client.answer()
                assert (first.kind, rest.kinds, rest.one) == ("T", "DCZ", str(number))
                waiting.unregister(client.socket)
                client.close()
                answered += 1
        for server in cluster.servers:
            assert server.count_backends("application_name <> 'pgbench'") <= 20 + 1
        if not gate.sanitizer:
            assert gate.rss(peak=True) < 64 * MEBIBYTE, gate.rss(peak=True)


def test_a_thousand_clients_at_work(cluster):
    """With places for as many as the servers have, all of them are kept busy."""
    with Gate(cluster, num_init_children=60, max_pool=1, weights=(0, 1, 1)) as gate:
        run(gate, "pgbench", "-n", "-S", "-C", "-c", "500", "-j", "2", "-t", "2", "postgres")


def test_a_flood_of_connections_that_come_and_go(cluster):
    with Gate(cluster, num_init_children=2, max_pool=1) as gate, gate.session() as own:
        own.rows("SELECT 1")
        before = gate.fds()
        for number in range(2000):
            with socket.create_connection(("127.0.0.1", gate.port), timeout=harness.WAIT_LIMIT) as each:
                if number % 3:
                    each.sendall(wire.start_up(user="postgres", database="postgres"))
                if number % 3 == 2:
                    each.sendall(wire.query("SELECT 1"))
        assert own.one("SELECT 2") == 2
        harness.wait_until(lambda: gate.fds() <= before + 3 * 2, "the gate has closed its descriptors")


def test_a_gigabyte(cluster):
    """Only where memory tells something, and only a part of it elsewhere: test_protocol has the same in small."""
    rows, width = (131_072, 8192)
    with Gate(cluster) as gate, gate.wire() as client:
        client.send(wire.query(f"SELECT repeat('x', {width}), generate_series(1, {rows})"))
        total = 0
        while total < rows * width:
            received = client.socket.recv(MEBIBYTE)
            assert received, "the connection ended inside the result"
            total += len(received)
        assert gate.sanitizer or gate.rss(peak=True) < 64 * MEBIBYTE, gate.rss(peak=True)
