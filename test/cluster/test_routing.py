"""Where statements go, as the servers themselves see it."""

import wire
from gate import Gate
from wire import SYNC, bind, describe_portal, execute, parse

PORT = "SELECT inet_server_port()"


def prepare(cluster):
    cluster.run("CREATE TABLE t (i int PRIMARY KEY, note text); INSERT INTO t SELECT generate_series(1, 100);"
                "CREATE VIEW v AS SELECT * FROM t;"
                "CREATE UNLOGGED TABLE unlogged (i int); INSERT INTO unlogged VALUES (1);"
                "CREATE SEQUENCE s;"
                "CREATE FUNCTION writes() RETURNS int VOLATILE LANGUAGE sql AS "
                "$$ INSERT INTO t VALUES ((SELECT max(i) + 1 FROM t)) RETURNING i $$;"
                "CREATE PROCEDURE writing_procedure() LANGUAGE sql AS $$ DELETE FROM t WHERE i > 100 $$")


def marks(cluster) -> list[int]:
    return [server.log.mark() for server in cluster.servers]


def nodes_with(cluster, since: list[int], text: str) -> list[int]:
    """The nodes that a statement with this text has reached, once for each time."""
    return [node for node, server in enumerate(cluster.servers)
            for _ in server.statements(since[node], text)]


READS = (
    "SELECT * FROM t WHERE i = 1 /* mark */",
    "  SELECT count(*) FROM v /* mark */",
    "TABLE t /* mark */",
    "WITH w AS (SELECT * FROM t) SELECT * FROM w /* mark */",
    "SELECT 1 UNION SELECT 2 /* mark */",
    "SELECT upper(note), length(note), coalesce(i, 1) FROM t /* mark */",
    "SELECT now(), current_user, current_setting('work_mem') /* mark */",
    "COPY (SELECT * FROM t) TO STDOUT /* mark */",
    "SHOW work_mem /* mark */",
)

WRITES = (
    "INSERT INTO t VALUES (1000) /* mark */",
    "UPDATE t SET note = 'x' WHERE i = 1000 /* mark */",
    "DELETE FROM t WHERE i = 1000 /* mark */",
    "WITH w AS (DELETE FROM t WHERE i = -1 RETURNING i) SELECT * FROM w /* mark */",
    "SELECT * FROM t WHERE i = 1 FOR UPDATE /* mark */",
    "SELECT * FROM (SELECT * FROM t WHERE i = 1 FOR SHARE) locked /* mark */",
    "SELECT i INTO TEMP taken FROM t /* mark */",
    "SELECT writes() /* mark */",
    "SELECT i FROM t WHERE i = writes() OR i = 1 LIMIT 1 /* mark */",
    "CALL writing_procedure() /* mark */",
    "SELECT nextval('s') /* mark */",
    "SELECT random() /* mark */",
    "SELECT pg_advisory_xact_lock(1) /* mark */",
    "SELECT txid_current() /* mark */",
    "CREATE TABLE made (i int) /* mark */",
    "COMMENT ON TABLE made IS 'x' /* mark */",
    "TRUNCATE made /* mark */",
    "DROP TABLE made /* mark */",
    "DO $$ BEGIN PERFORM 1; END $$ /* mark */",
    "VACUUM t /* mark */",
    "ANALYZE t /* mark */",
    "EXPLAIN SELECT * FROM t /* mark */",
    "LISTEN somewhere /* mark */",
    "SELECT 1; SELECT 2 /* mark */",
    "SELECT * FROM unlogged /* mark */",
    "/* a comment first */ SELECT 1 /* mark */",
)


def test_reads_go_to_a_standby_and_all_else_to_the_primary(cluster):
    with Gate(cluster) as gate, gate.wire() as client:
        for sql in (*READS, *WRITES):
            since = marks(cluster)
            answer = client.query(sql)
            assert "E" not in answer.kinds, (sql, answer.error)
            reached = nodes_with(cluster, since, "mark")
            wanted = sql in WRITES
            assert len(reached) == 1 and (reached == [0]) == wanted, (sql, reached)


def test_the_same_in_the_extended_protocol(cluster):
    """A statement's own name, so that the answer can't come from an earlier one."""
    with Gate(cluster) as gate, gate.wire() as client:
        for number, sql in enumerate((*READS, *WRITES)):
            if "; SELECT" in sql or "COPY" in sql:
                continue
            since = marks(cluster)
            name = f"s{number}"
            answer = client.ask(parse(sql, name), bind(statement=name), describe_portal(), execute(), SYNC)
            assert "E" not in answer.kinds, (sql, answer.error)
            reached = nodes_with(cluster, since, "mark")
            assert len(reached) == 1 and (reached == [0]) == (sql in WRITES), (sql, reached)


def test_what_cannot_be_parsed_is_the_primarys(cluster):
    with Gate(cluster) as gate, gate.wire() as client:
        for sql in ("SELEC 1 /* mark */", "SELECT * FROM /* mark */", "SELECT 'unended /* mark */",
                    "SELECT " + "(" * 20000 + "1" + ")" * 20000 + " /* mark */",
                    "SELECT " + "1+" * 100000 + "1 /* mark */"):
            mark = cluster.primary.log.mark()
            others = [server.log.mark() for server in cluster.standbys]
            answer = client.query(sql)
            assert answer.status == "I"
            # A syntax error is logged with its statement only when errors are; the standbys must know nothing of it.
            assert "mark" in cluster.primary.log.since(mark)
            for server, since in zip(cluster.standbys, others, strict=True):
                assert "mark" not in server.log.since(since)
        assert client.query("SELECT 'whole'").one == "whole"


def test_a_megabyte_of_literals_is_served(cluster):
    with Gate(cluster) as gate, gate.wire() as client:
        count = 150_000
        values = ",".join(f"({i})" for i in range(count))
        assert client.query(f"SELECT count(*) FROM (VALUES {values}) AS many (i)").one == str(count)
        assert client.ask(wire.ask(f"SELECT count(*) FROM (VALUES {values}) AS many (i)")).one == str(count)


def test_a_session_keeps_its_node(cluster):
    with Gate(cluster, weights=(1, 1, 1)) as gate:
        ports = {server.port for server in cluster.servers}
        seen = set()
        for _ in range(60):
            with gate.session() as own:
                here = {own.one(PORT) for _ in range(5)}
                assert len(here) == 1, here
                seen |= here
        assert seen == ports


def counts_by_weight(cluster, gate, count: int) -> list[int]:
    ports = [server.port for server in cluster.servers]
    found = [0] * len(ports)
    with gate.session() as own:
        for _ in range(count):
            found[ports.index(own.one(PORT))] += 1
    return found


def test_reads_spread_by_weight(cluster):
    count = 400
    with Gate(cluster, weights=(1, 2, 1), statement_level_load_balance="on") as gate:
        seen = counts_by_weight(cluster, gate, count)
        for node, share in enumerate((0.25, 0.5, 0.25)):
            # Six standard deviations: one failure in a billion runs.
            assert abs(seen[node] - count * share) < 6 * (count * share * (1 - share)) ** 0.5, seen
        shown = gate.nodes()
        assert [int(node["select_cnt"]) for node in shown] == seen
        assert [node["lb_weight"] for node in shown] == ["0.250000", "0.500000", "0.250000"]
        assert [node["role"] for node in shown] == ["primary", "standby", "standby"]
        assert [node["status"] for node in shown] == ["up"] * 3
        assert [node["port"] for node in shown] == [str(server.port) for server in cluster.servers]


def test_a_node_without_weight_gets_no_reads(cluster):
    with Gate(cluster, weights=(0, 0, 1), statement_level_load_balance="on") as gate:
        assert counts_by_weight(cluster, gate, 30) == [0, 0, 30]
    with Gate(cluster, weights=(1, 0, 0)) as gate:
        assert counts_by_weight(cluster, gate, 10) == [10, 0, 0]


def test_without_load_balancing_all_goes_to_the_primary(cluster):
    with Gate(cluster, load_balance_mode="off") as gate:
        assert counts_by_weight(cluster, gate, 10) == [10, 0, 0]


def test_comments_before_a_read_can_be_allowed(cluster):
    with Gate(cluster, allow_sql_comments="on") as gate, gate.session() as own:
        assert own.one(f"/* first */ {PORT}") != cluster.primary.port


def test_function_lists(cluster):
    with Gate(cluster, write_function_list="upper") as gate, gate.session() as own:
        assert own.one(f"{PORT} WHERE upper('x') = 'X'") == cluster.primary.port
        assert own.one(f"{PORT} WHERE lower('X') = 'x'") != cluster.primary.port
    with Gate(cluster, read_only_function_list="inet_.*,lower") as gate, gate.session() as own:
        assert own.one(f"{PORT} WHERE lower('X') = 'x'") != cluster.primary.port
        assert own.one(f"{PORT} WHERE upper('x') = 'X'") == cluster.primary.port


def test_patterns_that_keep_reads_on_the_primary(cluster):
    with Gate(cluster, primary_routing_query_pattern_list=".*precious.*;.*second_kind.*") as gate, \
            gate.session() as own:
        assert own.one(f"{PORT} /* precious */") == cluster.primary.port
        assert own.one(f"{PORT} /* SECOND_KIND */") == cluster.primary.port
        assert own.one(f"{PORT} /* plain */") != cluster.primary.port


def test_the_primary_is_found_wherever_it_stands(cluster):
    """The servers are asked: the order in the file says nothing."""
    servers = {f"backend_port{node}": server.port for node, server in enumerate(reversed(cluster.servers))}
    with Gate(cluster, weights=(1, 1, 0), **servers) as gate:
        assert [node["role"] for node in gate.nodes()] == ["standby", "standby", "primary"]
        with gate.session() as own:
            assert own.one(f"{PORT} FROM t WHERE i = 1 FOR UPDATE") == cluster.primary.port
            assert own.one(PORT) != cluster.primary.port
