"""What an operator sees and does: SHOW commands, log lines, reload, signals."""

import re
import signal

import psycopg2

import harness
import wire
from gate import Gate

PORT = "SELECT inet_server_port()"


def prepare(cluster):
    cluster.run("CREATE TABLE t (i int); INSERT INTO t VALUES (1)")


# SHOW ----------------------------------------------------------------------------------------------------------------

def test_show_pool_nodes(cluster):
    with Gate(cluster, weights=(0, 1, 3)) as gate, gate.session() as own:
        nodes = gate.nodes()
        assert list(nodes[0]) == ["node_id", "hostname", "port", "status", "pg_status", "lb_weight", "role", "pg_role",
                                  "select_cnt", "load_balance_node", "replication_delay", "replication_state",
                                  "replication_sync_state", "last_status_change"], list(nodes[0])
        assert [node["lb_weight"] for node in nodes] == ["0.000000", "0.250000", "0.750000"]
        assert [node["hostname"] for node in nodes] == ["127.0.0.1"] * 3
        own.rows(PORT)
        own.rows("SELECT i FROM t FOR UPDATE")
        with own.connection.cursor() as cursor:
            cursor.execute("show pool_nodes")
            shown = cursor.fetchall()
        assert [row[9] for row in shown].count("true") == 1
        assert sum(int(row[8]) for row in shown) == 2 and int(shown[0][8]) == 1


def test_show_version_and_the_other_tables(cluster):
    with Gate(cluster) as gate, gate.session() as own:
        assert re.match(r"4\.\d", own.one("SHOW POOL_VERSION"))
        assert len(own.rows("SHOW POOL_STATUS")) > 100
        own.rows("SELECT count(*) FROM t")
        own.run("UPDATE t SET i = i")
        stats = own.rows("SHOW POOL_BACKEND_STATS")
        assert [row[4] for row in stats] == ["primary", "standby", "standby"]
        assert (int(stats[0][5]), int(stats[0][7])) == (0, 1) and sum(int(row[5]) for row in stats) == 1
        for name in ("pool_pools", "pool_processes", "pool_cache", "pool_health_check_stats"):
            try:
                own.rows(f"SHOW {name}")
            except psycopg2.errors.FeatureNotSupported:
                pass  # an honest answer
        own.fails("42704", "SHOW pool_nosuch")


def test_show_commands_inside_a_transaction(cluster):
    with Gate(cluster) as gate, gate.wire() as client:
        client.query("BEGIN")
        assert client.query("SHOW POOL_NODES").status == "T"
        assert client.query("PGPOOL SHOW port").status == "T"
        client.query("SELECT 1/0")
        assert client.query("ROLLBACK").status == "I"


def test_pgpool_show(cluster):
    with Gate(cluster) as gate, gate.session() as own:
        assert own.one("PGPOOL SHOW port") == str(gate.port)
        assert own.one("PGPOOL SHOW backend_port1") == str(cluster.servers[1].port)
        everything = {row[0]: row[1] for row in own.rows("PGPOOL SHOW ALL")}
        assert len(everything) > 150
        assert everything["num_init_children"] == "16" and everything["load_balance_mode"] == "on"
        assert everything["backend_hostname2"] == "127.0.0.1"
        try:
            own.rows("PGPOOL SHOW nope")
        except psycopg2.Error as told:
            assert "nope" in str(told)
        else:
            raise AssertionError("an unknown parameter was shown")
        assert own.one("SELECT 1") == 1


def test_no_password_is_shown_or_logged(cluster):
    secret = "s3cret-word"
    with Gate(cluster, sr_check_password=secret, health_check_password=secret, recovery_password=secret,
              wd_lifecheck_password=secret) as gate, gate.session() as own:
        for command in ("PGPOOL SHOW ALL", "SHOW POOL_STATUS", "PGPOOL SHOW sr_check_password",
                        "PGPOOL SHOW health_check"):
            assert secret not in str(own.rows(command)), command
        gate.reload()
        assert secret not in gate.log.since()


# Log lines that scripts read -----------------------------------------------------------------------------------------

def test_log_per_node_statement(cluster):
    with Gate(cluster, log_per_node_statement="on") as gate, gate.wire(application_name="logged") as client:
        pid = client.query("SELECT pg_backend_pid() /* read */").one
        client.query("UPDATE t SET i = i\n/* write */")
        client.ask(wire.ask("SELECT 42 /* extended */"))
        log = gate.log.since()
        assert re.search(rf"logged pid \d+: LOG:  DB node id: [12] backend pid: {pid} statement: "
                         r"SELECT pg_backend_pid\(\) /\* read \*/$", log, re.MULTILINE), log
        assert re.search(r"LOG:  DB node id: 0 backend pid: \d+ statement: UPDATE t SET i = i\n\t/\* write \*/$", log,
                         re.MULTILINE), log
        for part in ("Parse", "Bind", "Execute"):
            assert re.search(rf"LOG:  DB node id: [12] backend pid: {pid} statement: {part}: "
                             r"SELECT 42 /\* extended \*/$", log, re.MULTILINE), (part, log)
        assert re.search(rf"DB node id: [12] backend pid: {pid} statement: D message$", log, re.MULTILINE), log


def test_log_client_messages(cluster):
    with Gate(cluster, log_client_messages="on") as gate, gate.wire() as client:
        client.query("select 1")
        client.ask(wire.parse("SELECT $1", "s") + wire.bind("1", statement="s", portal="p") + wire.describe_portal("p")
                   + wire.execute("p") + wire.close_statement("s") + wire.SYNC)
        oid = int(client.query("SELECT 'pg_catalog.reverse(text)'::regprocedure::oid").one)
        client.ask(wire.function_call(oid, "x"))
        client.close()
        wanted = (("Query", 'query: "select 1"'), ("Parse", 'statement: "s", query: "SELECT $1"'),
                  ("Bind", 'portal: "p", statement: "s"'), ("Describe", 'portal: "p"'), ("Execute", 'portal: "p"'),
                  ("Close", 'statement: "s"'), ("FunctionCall", f'oid: "{oid}"'))
        log = gate.log.since()
        for name, detail in wanted:
            assert re.search(rf"LOG:  {name} message from frontend\.\n[^\n]*DETAIL:  {re.escape(detail)}\n", log), \
                (name, log)
        assert "Sync message from frontend." in log


def test_log_statement_and_connections(cluster):
    with Gate(cluster, log_statement="on", log_connections="on", log_disconnections="on") as gate:
        gate.one("SELECT 'logged statement'")
        log = gate.log.wait_for("frontend disconnection: session time: .* user=postgres database=postgres host=127.0.0.1"
                                r" port=\d+", alive=gate.process).string
        assert "LOG:  statement: SELECT 'logged statement'" in log
        assert re.search(r"LOG:  new connection received\n.*DETAIL:  connecting host=127\.0\.0\.1 port=\d+\n", log), log


def test_the_log_line_prefix(cluster):
    with Gate(cluster, log_statement="on", log_line_prefix="<%a|%u|%d|%p> ") as gate:
        gate.one("SELECT 'prefixed'", application_name="my app")
        assert f"<my app|postgres|postgres|{gate.process.pid}> LOG:  statement: SELECT 'prefixed'" in gate.log.since()


# Reload --------------------------------------------------------------------------------------------------------------

def test_a_reload_reaches_sessions_that_are_there(cluster):
    with Gate(cluster) as gate, gate.session() as own:
        own.rows("SELECT 'before'")
        gate.reload(log_per_node_statement="on")
        harness.wait_until(lambda: own.one("PGPOOL SHOW log_per_node_statement") == "on", "the session has it")
        own.rows("SELECT 'behind it'")
        log = gate.log.since()
        assert "SELECT 'before'" not in log and "statement: SELECT 'behind it'" in log


def test_what_needs_a_restart_is_told(cluster):
    with Gate(cluster) as gate:
        port = gate.port
        gate.reload(port=harness.hold_port())
        gate.log.wait_for('parameter "port" cannot be changed without restarting the server', alive=gate.process)
        assert gate.one("PGPOOL SHOW port") == str(port)


def test_a_broken_file_changes_nothing(cluster):
    with Gate(cluster) as gate, gate.session() as own:
        gate.reload(load_balance_mode="perhaps", log_statement="on")
        gate.log.wait_for("was not reloaded", alive=gate.process)
        assert re.search(r"pgpool\.conf:\d+: .*load_balance_mode", gate.log.since())
        assert own.one("PGPOOL SHOW log_statement") == "off"
        assert own.one("SELECT 1") == 1
        gate.reload(load_balance_mode="off")
        harness.wait_until(lambda: own.one("PGPOOL SHOW log_statement") == "on", "the mended file is in effect")


def test_new_weights_act_on_new_sessions(cluster):
    with Gate(cluster, weights=(1, 0, 0)) as gate:
        assert gate.one(PORT) == cluster.primary.port
        gate.reload(backend_weight0=0, backend_weight1=1)
        harness.wait_until(lambda: gate.one(PORT) == cluster.servers[1].port, "the new weights count")


# Signals -------------------------------------------------------------------------------------------------------------

def test_a_smart_stop_waits_for_sessions(cluster):
    with Gate(cluster) as gate:
        own = gate.session()
        own.run("BEGIN")
        own.run("INSERT INTO t VALUES (2)")
        gate.process.send_signal(signal.SIGTERM)
        gate.log.wait_for("shutting down by signal 15", alive=gate.process)

        def is_refused():
            try:
                gate.session().close()
            except psycopg2.OperationalError:
                return True
            return False
        harness.wait_until(is_refused, "nobody is let in any more")
        assert own.run("COMMIT") == "COMMIT"
        assert own.one("SELECT 1") == 1
        assert gate.process.poll() is None
        own.close()
        assert harness.wait_for_end(gate.process) == 0
    assert cluster.primary.one("SELECT count(*) FROM t WHERE i = 2") == 1
    assert "Pgpool-II system is shutdown" in gate.log.since()


def test_a_fast_stop_ends_sessions(cluster):
    for how in (signal.SIGINT, signal.SIGQUIT):
        with Gate(cluster) as gate:
            idle, working = gate.wire(), gate.wire()
            assert idle.query("SELECT 1").one == "1"
            working.query("BEGIN")
            working.query("INSERT INTO t VALUES (3)")
            working.send(wire.query("SELECT pg_sleep(600)"))
            harness.wait_until(lambda: cluster.primary.count_backends("query LIKE 'SELECT pg_sleep%'"), "it runs")
            gate.stop(how)
            for client in (idle, working):
                answer = client.answer()
                assert answer.kinds in ("", "E"), answer.kinds
                assert not answer.messages or answer.error["C"] == "57P01", answer.error
        # The servers have noticed: the transaction is gone, with its locks.
        harness.wait_until(lambda: cluster.primary.count_backends("state <> 'idle' AND wait_event <> 'PgSleep'") == 0,
                           "the transaction has ended")
        assert cluster.primary.one("SELECT count(*) FROM t WHERE i = 3") == 0
        cluster.primary.run("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                            " WHERE query LIKE 'SELECT pg_sleep%'")


def test_a_stop_during_a_big_result(cluster):
    with Gate(cluster) as gate:
        client = gate.wire()
        client.send(wire.query("SELECT repeat('x', 8000), generate_series(1, 1000000000)"))
        client.answer(until="D")
        gate.stop(signal.SIGINT)
        client.abort()


def test_signals_from_outside_that_mean_nothing(cluster):
    with Gate(cluster) as gate, gate.session() as own:
        for which in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGPIPE, signal.SIGCHLD):
            gate.process.send_signal(which)
            assert own.one("SELECT 1") == 1
