"""PGPOOL SET and RESET: parameters of one session."""

from gate import Gate

STANDBYS = 1


def prepare(cluster):
    cluster.run("CREATE TABLE t (i int); INSERT INTO t VALUES (1)")


def shown(own, name: str) -> str:
    return own.one(f"PGPOOL SHOW {name}")


def test_a_change_counts_for_the_session_and_nobody_else(cluster):
    with Gate(cluster) as gate, gate.session() as own, gate.session() as other:
        assert own.run("PGPOOL SET log_statement TO on") == "SET"
        assert (shown(own, "log_statement"), shown(other, "log_statement")) == ("on", "off")
        mark = gate.log.mark()
        own.rows("SELECT 'of the one'")
        other.rows("SELECT 'of the other'")
        gate.log.wait_for("statement: SELECT 'of the one'", mark)
        assert "statement: SELECT 'of the other'" not in gate.log.since(mark)
        assert own.run("PGPOOL RESET log_statement") == "SET"
        assert shown(own, "log_statement") == "off"


def test_routing_follows_at_once(cluster):
    """allow_sql_comments steers where a text with a leading comment goes."""
    read = "/* note */ SELECT inet_server_port() FROM t"
    with Gate(cluster, weights=(0, 1)) as gate, gate.session() as own:
        assert own.one(read) == cluster.primary.port
        own.run("PGPOOL SET allow_sql_comments TO on")
        assert own.one(read) == cluster.standbys[0].port
        own.run("PGPOOL SET allow_sql_comments TO DEFAULT")
        assert own.one(read) == cluster.primary.port


def test_it_is_not_transactional_and_a_failed_transaction_refuses_it(cluster):
    with Gate(cluster) as gate, gate.session() as own:
        own.run("BEGIN")
        own.run("PGPOOL SET client_idle_limit TO '5min'")
        own.run("ROLLBACK")
        assert shown(own, "client_idle_limit") == "5min"
        own.run("DISCARD ALL")
        assert shown(own, "client_idle_limit") == "5min"
        own.run("BEGIN")
        own.fails("22012", "SELECT 1/0")
        own.fails("25P02", "PGPOOL SET client_idle_limit TO 1")
        own.run("ROLLBACK")
        assert shown(own, "client_idle_limit") == "5min"


def test_what_the_session_has_set_survives_a_reload(cluster):
    with Gate(cluster) as gate, gate.session() as own:
        own.run("PGPOOL SET log_per_node_statement TO on")
        gate.reload(log_statement="on", log_per_node_statement="off")
        with gate.session() as fresh:
            assert shown(fresh, "log_per_node_statement") == "off"
        assert (shown(own, "log_per_node_statement"), shown(own, "log_statement")) == ("on", "on")
        assert own.run("PGPOOL RESET ALL") == "RESET"
        assert shown(own, "log_per_node_statement") == "off"


def test_errors_are_answered(cluster):
    with Gate(cluster) as gate, gate.session() as own:
        for sqlstate, sql, words in (
                ("42704", "PGPOOL SET nosuch TO 1", 'unrecognized configuration parameter "nosuch"'),
                ("42704", "PGPOOL RESET nosuch", 'unrecognized configuration parameter "nosuch"'),
                ("55P02", "PGPOOL SET port TO 1", 'invalid Context, value for parameter "port" cannot be changed'),
                ("55P02", "PGPOOL RESET port", 'invalid Context, value for parameter "port" cannot be changed'),
                ("22023", "PGPOOL SET log_error_verbosity TO loud", "log_error_verbosity"),
                ("22023", "PGPOOL SET client_idle_limit TO -5", "-5 is outside the valid range"),
                ("42601", "PGPOOL SET LOCAL log_statement TO on", "syntax error")):
            assert words in str(own.fails(sqlstate, sql))
        assert own.one("SELECT 1") == 1
