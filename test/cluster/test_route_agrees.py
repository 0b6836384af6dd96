"""A decision and its reason are the same in EXPLAIN (ROUTE), in the log and in `pgtorii route`."""

import json
import re
import subprocess

import harness
from gate import Gate

STANDBYS = 1

SCRIPT = [
    "SELECT * FROM t",
    "SELECT i FROM t FOR UPDATE",
    "SELECT reads(1)",
    "SELECT writes()",
    "SELECT * FROM loud",
    "SELECT * FROM loose",
    "SELECT relname FROM pg_class LIMIT 1",
    "SELECT random() FROM t",
    "SELECT nextval('s')",
    "/* a note */ SELECT * FROM t",
    "WITH gone AS (DELETE FROM t WHERE i = 100 RETURNING i) SELECT * FROM gone",
    "SELECT i FROM pinned",
    "PREPARE q AS SELECT * FROM t",
    "EXECUTE q",
    "COPY t TO stdout",
    "BEGIN",
    "SELECT * FROM t",
    "INSERT INTO t VALUES (2)",
    "SELECT * FROM t",
    "COMMIT",
    "SELECT * FROM t",
    "BEGIN ISOLATION LEVEL SERIALIZABLE",
    "SELECT * FROM t",
    "ROLLBACK",
    "CREATE TEMP TABLE own (i int)",
    "SELECT * FROM t",
]


def prepare(cluster):
    cluster.run("CREATE TABLE t (i int); CREATE TABLE pinned (i int); CREATE UNLOGGED TABLE loose (i int);"
                "CREATE SEQUENCE s;"
                "CREATE FUNCTION reads(i int) RETURNS int STABLE LANGUAGE sql AS 'SELECT i';"
                "CREATE FUNCTION writes() RETURNS int LANGUAGE sql AS 'SELECT 1';"
                "CREATE VIEW loud AS SELECT writes() AS w FROM t")


def told_live(gate) -> list[tuple[str, str, str]]:
    """What EXPLAIN (ROUTE) says before each statement, and the reason in the log behind it."""
    found = []
    with gate.session() as own:
        for sql in SCRIPT:
            head = own.rows(f"EXPLAIN (ROUTE) {sql}")[0][0]
            match = re.fullmatch(r"Route: (\w+) \(node (\d)\): (.*)", head)
            assert match, head
            mark = gate.log.mark()
            if sql.startswith("COPY"):
                with own.connection.cursor() as cursor, open("/dev/null", "w") as nowhere:
                    cursor.copy_expert(sql, nowhere)
            else:
                own.run(sql)
            logged = gate.log.wait_for(
                rf"DB node id: (\d) backend pid: \d+ statement: {re.escape(sql)}\n[^\n]*route: ([^\n]*)", mark)
            assert (logged[1], logged[2]) == (match[2], match[3]), (sql, head, logged[0])
            found.append((match[1], match[2], match[3]))
    return found


def told_off_line(cluster, gate) -> list[tuple[str, str, str]]:
    directory = harness.make_directory()
    with (directory / "schema.sql").open("w") as file:
        subprocess.run([cluster.programs / "pg_dump", "--schema-only", "-h", "127.0.0.1", "-p",
                        str(cluster.primary.port), "-U", "postgres", "postgres"],
                       stdout=file, check=True, timeout=harness.WAIT_LIMIT)
    (directory / "script.sql").write_text(";\n".join(SCRIPT))
    told = subprocess.run([str(Gate.program), "route", "--config", gate.conf, "--schema", directory / "schema.sql",
                           "--json", "-v", directory / "script.sql"],
                          capture_output=True, text=True, timeout=harness.WAIT_LIMIT, check=True)
    found = []
    for line in told.stdout.splitlines()[:-1]:
        each = json.loads(line)
        (node,) = each["nodes"]
        found.append((each["destination"], str(node["node"]), each["meaning"]))
    return found


def test_explain_log_and_route_say_the_same(cluster):
    with Gate(cluster, log_per_node_statement="on", primary_routing_query_pattern_list=".*pinned.*") as gate:
        live = told_live(gate)
        off_line = told_off_line(cluster, gate)
        assert len(off_line) == len(SCRIPT)
        for sql, one, other in zip(SCRIPT, live, off_line, strict=True):
            assert one == other, (sql, one, other)
        assert len({meaning for _, _, meaning in live}) >= 8
