"""What a client has set up counts on every server, and nowhere after its session."""

import itertools

import wire
from gate import Gate
from wire import SYNC, bind, close_statement, describe_statement, execute, parse

PORT = "SELECT inet_server_port()"


def prepare(cluster):
    cluster.run("CREATE SCHEMA one; CREATE SCHEMA two;"
                "CREATE TABLE one.place (name text); INSERT INTO one.place VALUES ('one');"
                "CREATE TABLE two.place (name text); INSERT INTO two.place VALUES ('two');"
                "CREATE TABLE t (i int); INSERT INTO t SELECT generate_series(1, 10);"
                "CREATE ROLE weak; GRANT USAGE ON SCHEMA one TO weak;"
                "CREATE FUNCTION hidden_set(text) RETURNS void VOLATILE LANGUAGE plpgsql AS "
                "$$ BEGIN PERFORM set_config('search_path', $1, false); END $$")


STANDBY = "SELECT name, inet_server_port() FROM place"
PRIMARY = "SELECT name, inet_server_port() FROM place FOR UPDATE"


def places(own, cluster) -> set[str]:
    """What `place` means, on a standby and on the primary."""
    (near, standby_port), = own.rows(STANDBY)
    (far, primary_port), = own.rows(PRIMARY)
    assert primary_port == cluster.primary.port
    assert standby_port != cluster.primary.port, "the read was not balanced, so this test tells nothing"
    return {near, far}


def test_a_setting_counts_on_the_primary_and_on_the_standby(cluster):
    with Gate(cluster) as gate, gate.session() as own:
        for path in ("one", "two", "one", "two"):
            own.run(f"SET search_path TO {path}")
            assert places(own, cluster) == {path}


def test_a_setting_made_before_any_other_statement(cluster):
    with Gate(cluster) as gate:
        for first in (STANDBY, PRIMARY):
            with gate.session() as own:
                own.run("SET search_path TO two")
                assert own.rows(first)[0][0] == "two"


def test_start_up_parameters_count_on_all_servers(cluster):
    with Gate(cluster) as gate:
        for path in ("one", "two"):
            with gate.session(options=f"-c search_path={path}") as own:
                assert places(own, cluster) == {path}
                own.run("SET search_path TO nowhere")
                own.run("RESET search_path")
                assert places(own, cluster) == {path}


def test_settings_follow_their_transaction(cluster):
    with Gate(cluster) as gate, gate.session() as own:
        own.run("SET search_path TO one")
        for end, counts in (("ROLLBACK", "one"), ("COMMIT", "two")):
            own.run("BEGIN")
            own.run("SET search_path TO two")
            assert own.rows(STANDBY)[0][0] == "two" and own.rows(PRIMARY)[0][0] == "two"
            own.run(end)
            assert places(own, cluster) == {counts}
        own.run("BEGIN")
        own.run("SET LOCAL search_path TO one")
        assert own.rows(STANDBY)[0][0] == "one" and own.rows(PRIMARY)[0][0] == "one"
        own.run("COMMIT")
        assert places(own, cluster) == {"two"}


def test_settings_follow_their_savepoint(cluster):
    with Gate(cluster) as gate, gate.session() as own:
        own.run("SET search_path TO one")
        own.run("BEGIN")
        own.run("SAVEPOINT a")
        own.run("SET search_path TO two")
        assert own.rows(STANDBY)[0][0] == "two"
        own.run("ROLLBACK TO a")
        assert own.rows(STANDBY)[0][0] == "one" and own.rows(PRIMARY)[0][0] == "one"
        own.run("COMMIT")
        assert own.rows(STANDBY)[0][0] == "one" and own.rows(PRIMARY)[0][0] == "one"


def test_a_setting_that_failed_counts_nowhere(cluster):
    with Gate(cluster) as gate, gate.session() as own:
        own.run("SET search_path TO one")
        own.fails("22023", "SET work_mem TO 'lots'")
        own.fails("42704", "SET no_such_parameter TO 1")
        own.run("BEGIN")
        own.run("SET search_path TO two")
        own.fails("22012", "SELECT 1 / (count(*) - 10) FROM public.t")
        own.run("ROLLBACK")
        assert places(own, cluster) == {"one"}


def test_a_setting_in_a_text_of_many_statements(cluster):
    with Gate(cluster) as gate, gate.session() as own:
        own.run("SELECT 1; SET search_path TO two; SELECT 2")
        assert own.rows(STANDBY)[0][0] == "two" and own.rows(PRIMARY)[0][0] == "two"


def test_what_stands_before_it_in_its_text_is_not_run_again(cluster):
    """A server that is brought a setting or a statement of SQL gets that alone."""
    with Gate(cluster) as gate, gate.wire() as client:
        marks = [(server, server.log.mark()) for server in cluster.servers]
        for text in ("SELECT 'before'; SET search_path TO two", "SELECT 'before'; PREPARE p AS SELECT 1",
                     "SELECT 'before'; SET work_mem TO '9MB';", "SELECT 'before'; PREPARE q AS SELECT 2; SELECT 'behind'"):
            assert not client.query(text).error
        for _ in range(2):
            assert client.query("EXECUTE p").one == "1" and client.query("EXECUTE q").one == "2"
            assert client.query("SHOW work_mem").one == "9MB" and client.query("SELECT name FROM place").one == "two"
        assert sum(server.log.since(mark).count("'before'") for server, mark in marks) == 4


def test_a_setting_made_by_a_function(cluster):
    with Gate(cluster) as gate, gate.session() as own:
        own.rows("SELECT set_config('search_path', 'two', false)")
        assert own.rows(STANDBY)[0][0] == "two" and own.rows(PRIMARY)[0][0] == "two"
    with Gate(cluster) as gate, gate.session() as own:
        own.rows("SELECT hidden_set('one')")
        assert own.rows(PRIMARY)[0][0] == "one"
        own.run("DO $$ BEGIN PERFORM set_config('search_path', 'two', false); END $$")
        assert own.rows(PRIMARY)[0][0] == "two"


def test_settings_through_the_extended_protocol(cluster):
    with Gate(cluster) as gate, gate.wire() as client:
        for path in ("one", "two"):
            assert client.ask(parse(f"SET search_path TO {path}"), bind(), execute(), SYNC).tags == ["SET"]
            for sql in (STANDBY, PRIMARY):
                assert client.ask(parse(sql), bind(), execute(), SYNC).rows[0][0] == path


def test_a_role_counts_on_all_servers(cluster):
    with Gate(cluster) as gate, gate.session() as own:
        own.run("SET ROLE weak")
        assert own.one("SELECT current_user") == "weak"
        own.fails("42501", "SELECT * FROM one.place")
        own.fails("42501", "INSERT INTO one.place VALUES ('no')")
        own.run("RESET ROLE")
        assert own.one("SELECT count(*) FROM one.place") == 1
        own.run("SET SESSION AUTHORIZATION weak")
        assert own.one("SELECT session_user") == "weak"
        own.fails("42501", "SELECT * FROM one.place")
        own.run("RESET SESSION AUTHORIZATION")
        assert own.one("SELECT count(*) FROM one.place") == 1


def test_temporary_tables_are_read_where_they_are(cluster):
    with Gate(cluster) as gate, gate.session() as own:
        own.run("CREATE TEMP TABLE private (i int)")
        own.run("INSERT INTO private VALUES (1), (2)")
        assert own.one("SELECT count(*) FROM private") == 2
        # One that hides a table of the same name.
        assert own.one("SELECT count(*) FROM t") == 10
        own.run("CREATE TEMP TABLE t AS SELECT 1 AS i")
        assert own.one("SELECT count(*) FROM t") == 1
        own.run("DROP TABLE t")
        assert own.one("SELECT count(*) FROM t") == 10
        assert own.one("SELECT count(*) FROM private") == 2
        own.run("SELECT 1 AS i INTO TEMP taken")
        assert own.one("SELECT i FROM taken") == 1


def test_sequences_of_the_session(cluster):
    cluster.run("CREATE SEQUENCE counter")
    with Gate(cluster) as gate, gate.session() as own:
        assert own.one("SELECT nextval('counter')") == 1
        assert own.one("SELECT count(*) FROM t") == 10
        assert own.one("SELECT currval('counter')") == 1
        assert own.one("SELECT lastval()") == 1


def test_cursors_with_hold_and_advisory_locks(cluster):
    with Gate(cluster) as gate, gate.session() as own, gate.session() as other:
        own.run("BEGIN")
        own.run("DECLARE c CURSOR WITH HOLD FOR SELECT i FROM t ORDER BY i")
        own.run("COMMIT")
        assert own.one("SELECT count(*) FROM t") == 10
        assert own.rows("FETCH 3 FROM c") == [(1,), (2,), (3,)]
        own.run("CLOSE c")
        own.rows("SELECT pg_advisory_lock(7)")
        assert own.one("SELECT count(*) FROM t") == 10
        assert other.one("SELECT pg_try_advisory_lock(7)") is False
        assert own.one("SELECT pg_advisory_unlock(7)") is True
        assert other.one("SELECT pg_try_advisory_lock(7)") is True


# Prepared statements -------------------------------------------------------------------------------------------------

def run_prepared(client, name: str = "s"):
    return client.ask(bind(statement=name), execute(), SYNC)


def test_a_prepared_read_is_used_on_the_standby_and_on_the_primary(cluster):
    with Gate(cluster) as gate, gate.wire() as client:
        client.ask(parse(PORT, "s"), SYNC)
        assert int(run_prepared(client).one) != cluster.primary.port
        client.query("BEGIN")
        client.query("INSERT INTO t VALUES (0)")
        assert int(run_prepared(client).one) == cluster.primary.port
        client.query("ROLLBACK")
        assert int(run_prepared(client).one) != cluster.primary.port


def test_many_prepared_statements_on_changing_nodes(cluster):
    with Gate(cluster, weights=(1, 1, 1), statement_level_load_balance="on") as gate, gate.wire() as client:
        for number in range(50):
            client.ask(parse(f"SELECT {number}, inet_server_port()", f"s{number}"), SYNC)
        ports = set()
        for turn, number in itertools.product(range(4), range(50)):
            (value, port), = run_prepared(client, f"s{number}").rows
            assert value == str(number)
            ports.add(int(port))
        assert ports == {server.port for server in cluster.servers}


def test_a_prepared_statement_follows_the_search_path(cluster):
    with Gate(cluster) as gate, gate.wire() as client:
        client.query("SET search_path TO one")
        client.ask(parse("SELECT name FROM place", "s"), SYNC)
        assert run_prepared(client).one == "one"
        client.query("SET search_path TO two")
        assert run_prepared(client).one == "two"


def test_a_name_may_be_given_to_another_statement(cluster):
    with Gate(cluster) as gate, gate.wire() as client:
        for number in range(5):
            assert client.ask(parse(f"SELECT {number}", "s"), SYNC).kinds == "1Z"
            assert run_prepared(client).one == str(number)
            assert client.ask(close_statement("s"), SYNC).kinds == "3Z"


def test_deallocate_and_discard_forget_what_they_should(cluster):
    with Gate(cluster) as gate, gate.wire() as client:
        for forget in ("DEALLOCATE s", "DEALLOCATE ALL", "DISCARD ALL"):
            client.ask(parse("SELECT 1", "s"), SYNC)
            assert run_prepared(client).one == "1"
            assert "E" not in client.query(forget).kinds, forget
            assert run_prepared(client).error["C"] == "26000", forget
            assert client.ask(parse("SELECT 2", "s"), SYNC).kinds == "1Z"
            assert run_prepared(client).one == "2"
            assert client.ask(close_statement("s"), SYNC).kinds == "3Z"


def test_statements_prepared_in_sql(cluster):
    with Gate(cluster) as gate, gate.wire() as client:
        assert client.query("PREPARE p (int) AS SELECT count(*) FROM t WHERE i <= $1").tags == ["PREPARE"]
        assert client.query("SELECT count(*) FROM t").one == "10"
        assert client.query("EXECUTE p (3)").one == "3"
        client.query("BEGIN")
        client.query("INSERT INTO t VALUES (2)")
        assert client.query("EXECUTE p (3)").one == "4"
        client.query("ROLLBACK")
        assert client.ask(bind("5", statement="p"), execute(), SYNC).one == "5"
        assert client.query("DEALLOCATE p").tags == ["DEALLOCATE"]
        assert client.query("EXECUTE p (3)").error["C"] == "26000"
        client.query("PREPARE w AS INSERT INTO t VALUES (11) RETURNING i")
        assert client.query("EXECUTE w").one == "11"
        assert client.query("DELETE FROM t WHERE i = 11").tags == ["DELETE 1"]


def test_a_described_prepared_statement_on_either_server(cluster):
    with Gate(cluster) as gate, gate.wire() as client:
        client.ask(parse("SELECT i FROM t WHERE i = $1", "r"), parse("INSERT INTO t VALUES ($1) RETURNING i", "w"), SYNC)
        for _ in range(2):
            assert client.ask(describe_statement("r"), SYNC).kinds == "tTZ"
            assert client.ask(describe_statement("w"), SYNC).kinds == "tTZ"
            assert client.ask(bind("1", statement="r"), execute(), SYNC).one == "1"


def test_discard_all_resets_settings_everywhere(cluster):
    with Gate(cluster) as gate, gate.session() as own:
        own.run("SET search_path TO one")
        assert places(own, cluster) == {"one"}
        own.run("CREATE TEMP TABLE private (i int)")
        own.run("DISCARD ALL")
        own.fails("42P01", STANDBY)
        own.fails("42P01", PRIMARY)
        own.fails("42P01", "SELECT * FROM private")
        own.run("SET search_path TO two")
        own.run("RESET ALL")
        own.fails("42P01", STANDBY)
        own.fails("42P01", PRIMARY)


def test_state_on_the_primary_outlives_reads_elsewhere(cluster):
    """LISTEN and its like are on the primary; reads on a standby, in whatever form, do not move them."""
    with Gate(cluster) as gate:
        for made in ("LISTEN news", "PREPARE p AS SELECT 1", "SELECT pg_advisory_lock(1)",
                     "BEGIN; DECLARE c CURSOR WITH HOLD FOR SELECT 1; COMMIT"):
            with gate.wire() as client:
                assert "E" not in client.query(made).kinds, made
                assert "E" not in client.query("COPY (SELECT 1) TO STDOUT").kinds, made
                assert client.ask(wire.ask("SELECT 42")).one == "42", made
                assert client.query("UPDATE t SET i = i").status == "I", made
                assert client.ask(wire.ask("SELECT 43 FROM pg_class LIMIT 1")).one == "43", made


def test_a_constant_keeps_what_it_meant_in_a_transaction_that_sets_how_it_is_read(cluster):
    """The statement is brought to the primary after a SET that isn't committed: it is as on a connection of its own."""
    date = "SELECT '02/03/2020'::date"
    again = bind(statement="s") + execute()
    scripts = [
        [set_it, "INSERT INTO t VALUES (1)", again + SYNC, "SHOW DateStyle", end, "SHOW DateStyle", again + SYNC]
        for set_it in ("SET DateStyle = 'SQL, DMY'", "SET LOCAL DateStyle = 'SQL, DMY'",
                       "SAVEPOINT a; SET DateStyle = 'SQL, DMY'", "SET DateStyle = 'SQL, DMY'; SAVEPOINT a; SET DateStyle = 'German'")
        for end in ("COMMIT", "ROLLBACK")]
    scripts += [
        # The savepoints of the client are where it has left them.
        ["SAVEPOINT a", "SET DateStyle = 'SQL, DMY'", "INSERT INTO t VALUES (2)", again + SYNC, "ROLLBACK TO a", "SHOW DateStyle",
         again + SYNC, "COMMIT", "SHOW DateStyle"],
        # What is sent behind the end of the transaction, in the same unit.
        ["SET LOCAL DateStyle = 'SQL, DMY'", parse("COMMIT") + bind() + execute() + again + SYNC, "SHOW DateStyle"],
        # EXECUTE, and both in one unit.
        ["SET DateStyle = 'SQL, DMY'", "INSERT INTO t VALUES (3)", "EXECUTE p", "EXECUTE s", again + again + SYNC, "COMMIT", "EXECUTE p"],
        # An error undoes all of it.
        ["SET DateStyle = 'SQL, DMY'", "INSERT INTO t VALUES (4)", again + parse("SELECT 1 / 0") + bind() + execute() + SYNC, again + SYNC,
         "ROLLBACK", "SHOW DateStyle", again + SYNC],
    ]
    for mode in ("session", "transaction"):
        with Gate(cluster, pool_mode=mode) as gate:
            for script in scripts:
                with gate.wire() as through, wire.Wire(cluster.primary.port).log_in(user="postgres", database="postgres") as direct:
                    for each in (f"PREPARE p AS {date}", "BEGIN", parse(date, "s") + bind(statement="s") + execute() + SYNC, "EXECUTE p",
                                 *script):
                        answers = [client.query(each) if isinstance(each, str) else client.ask(each) for client in (through, direct)]
                        got, wanted = ([(m.kind, m.body) for m in answer.messages if m.kind not in "NSE"] for answer in answers)
                        assert got == wanted, (mode, script, each)
                        if answers[1].error:
                            assert answers[0].error["C"] == answers[1].error["C"]


def test_a_query_that_needs_no_server_ends_the_unnamed_statement(cluster):
    for mode in ("session", "transaction"):
        with Gate(cluster, pool_mode=mode) as gate, gate.wire() as client:
            client.query("PREPARE p AS SELECT 1")
            for text in ("DEALLOCATE p", "SHOW POOL_NODES", "PGPOOL SHOW port"):
                assert client.ask(parse("SELECT 2"), bind(), execute(), SYNC).one == "2"
                assert client.ask(bind(), execute(), SYNC).one == "2"
                assert not client.query(text).error
                assert client.ask(bind(), execute(), SYNC).error["C"] == "26000", text
