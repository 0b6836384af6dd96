"""`pgtorii route` on the logs that a real server writes."""

import json
import subprocess
from pathlib import Path

import harness
from gate import Gate

STANDBYS = 0

CONF = "".join(f"backend_hostname{node} = '127.0.0.1'\nbackend_port{node} = 5432\nbackend_weight{node} = {node}\n"
               for node in (0, 1))


def prepare(cluster):
    """A server whose log is written as CSV and as JSON."""
    server = cluster.primary
    server.stop()
    logs = harness.make_directory()
    logs.chmod(0o777)
    with (server.directory / "postgresql.conf").open("a") as file:
        file.write("log_destination = 'csvlog,jsonlog'\nlogging_collector = on\nlog_statement = 'all'\n"
                   f"log_directory = '{logs}'\nlog_filename = 'it.log'\nlog_disconnections = on\nlog_file_mode = 0644\n")
    server.start()
    cluster.logs = logs
    server.run("CREATE TABLE t (i int, \"odd, \"\"name\"\"\" text)")
    with server.session(application_name="shop") as own:
        own.rows("SELECT 'a \"quoted\", text;\nof two lines' FROM t")
        own.run("BEGIN")
        own.run("INSERT INTO t VALUES (1, 'x')")
        own.rows("SELECT count(*) FROM t")
        own.fails("22012", "SELECT 1/0 FROM t")
        own.fails("25P02", "SELECT 17 FROM t")
        own.run("ROLLBACK")
        own.fails("42601", "SELECT FROM FROM")
        own.rows("SELECT i FROM t FOR UPDATE")
    server.run("SELECT pg_sleep(0)")  # the collector has what came before
    harness.wait_until(lambda: "pg_sleep" in (logs / "it.json").read_text() and
                       "pg_sleep" in (logs / "it.csv").read_text(), "the logs are written")


def route(*arguments, code: int = 0, conf: str = CONF, stdin=subprocess.DEVNULL) -> str:
    path = harness.make_directory() / "pgpool.conf"
    path.write_text(conf)
    told = subprocess.run([str(Gate.program), "route", "--config", path, *(str(each) for each in arguments)],
                          stdin=stdin, capture_output=True, text=True, timeout=harness.WAIT_LIMIT)
    assert told.returncode == code, told
    return told.stdout


def test_both_logs_tell_the_same(cluster):
    found = {}
    for format, name in (("csvlog", "it.csv"), ("jsonlog", "it.json")):
        lines = route("--json", "-v", "--assume-functions=read", cluster.logs / name).splitlines()
        *statements, report = map(json.loads, lines)
        assert report["unreadable"] == 0, report
        found[format] = [(each["sql"], each["destination"], each["reason"]) for each in statements]
        with (cluster.logs / name).open() as file:
            again = route("--json", "--assume-functions=read", f"--format={format}", "-", stdin=file)
        assert json.loads(again)["counts"] == report["counts"]
    assert found["csvlog"] == found["jsonlog"]
    told = {sql: (where, why) for sql, where, why in found["csvlog"]}
    assert told["SELECT 'a \"quoted\", text;\nof two lines' FROM t"] == ("balanced", "read_balanced")
    assert told["INSERT INTO t VALUES (1, 'x')"] == ("primary", "statement_kind")
    assert told["SELECT count(*) FROM t"] == ("primary", "transaction_written")
    assert told["SELECT 17 FROM t"] == ("primary", "transaction_failed")
    assert told["SELECT FROM FROM"] == ("primary", "unparsed")
    assert told["SELECT i FROM t FOR UPDATE"] == ("primary", "row_lock")


def test_exit_codes_fit_for_ci(cluster):
    log = cluster.logs / "it.csv"
    route("--fail-on=unparsed", log, code=1)
    route("--fail-on=query_pattern", log)
    route(Path("/nonexistent"), code=2)
    route(code=2, conf="port = abc\n")
    other = harness.make_directory() / "other.conf"
    other.write_text(CONF + "primary_routing_query_pattern_list = '.*two lines.*'\n")
    told = route("--assume-functions=read", "--against", other, log, code=1)
    assert "1 statement would go elsewhere" in told and "query_pattern" in told, told


def test_what_pg_dump_writes_is_understood(cluster):
    server = cluster.primary
    server.run("CREATE FUNCTION reads(i int) RETURNS int STABLE LANGUAGE sql AS 'SELECT i';"
               "CREATE FUNCTION writes() RETURNS int LANGUAGE sql AS 'SELECT 1';"
               "CREATE VIEW quiet AS SELECT reads(i) FROM t;"
               "CREATE VIEW loud AS SELECT writes() FROM quiet;"
               "CREATE UNLOGGED TABLE loose (i int)")
    schema = harness.make_directory() / "schema.sql"
    with schema.open("w") as file:
        subprocess.run([cluster.programs / "pg_dump", "--schema-only", "-h", "127.0.0.1", "-p", str(server.port),
                        "-U", "postgres", "postgres"], stdout=file, check=True, timeout=harness.WAIT_LIMIT)
    script = harness.make_directory() / "script.sql"
    script.write_text("SELECT * FROM t, quiet; SELECT * FROM loud; SELECT * FROM loose; SELECT reads(1);")
    lines = route("--json", "-v", "--schema", schema, script).splitlines()
    assert [json.loads(each)["reason"] for each in lines[:-1]] == [
        "read_balanced", "writing_function", "unlogged_table", "read_balanced"]
    # What pg_dump writes is a script too.
    assert json.loads(route("--json", schema))["unreadable"] == 0
