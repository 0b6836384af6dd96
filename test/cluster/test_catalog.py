"""What only the catalog tells: volatile functions, unlogged tables, what views hide. And how it is asked."""

import functools

import gate as gates
import harness
import wire

# A loaded machine may take its time with an answer; what happens without one is a test of its own.
Gate = functools.partial(gates.Gate, catalog_wait_timeout="60s")

QUESTION = "pg_catalog.current_schemas"  # stands in every question about a function


def prepare(cluster):
    cluster.run("""
        CREATE ROLE reader LOGIN; CREATE ROLE other LOGIN; GRANT other TO reader;
        CREATE TABLE t (i int PRIMARY KEY); INSERT INTO t VALUES (1);
        CREATE UNLOGGED TABLE unlogged (i int);
        CREATE TABLE divided (i int) PARTITION BY RANGE (i);
        CREATE TABLE divided_logged PARTITION OF divided FOR VALUES FROM (0) TO (10);
        CREATE TABLE half (i int) PARTITION BY RANGE (i);
        CREATE UNLOGGED TABLE half_unlogged PARTITION OF half FOR VALUES FROM (0) TO (10);
        CREATE SEQUENCE s;
        CREATE SCHEMA app;
        CREATE TABLE app.hidden (i int);
        CREATE UNLOGGED TABLE app.t (i int);
        CREATE FUNCTION immutable() RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT 1';
        CREATE FUNCTION stable() RETURNS int STABLE LANGUAGE sql AS 'SELECT 1';
        CREATE FUNCTION volatile() RETURNS int VOLATILE LANGUAGE sql AS 'SELECT 1';
        CREATE FUNCTION overloaded(int) RETURNS int STABLE LANGUAGE sql AS 'SELECT 1';
        CREATE FUNCTION overloaded(text) RETURNS int VOLATILE LANGUAGE sql AS 'SELECT 1';
        CREATE FUNCTION same() RETURNS int STABLE LANGUAGE sql AS 'SELECT 1';
        CREATE FUNCTION app.same() RETURNS int VOLATILE LANGUAGE sql AS 'SELECT 1';
        CREATE FUNCTION step(int, int) RETURNS int VOLATILE LANGUAGE sql AS 'SELECT 1';
        CREATE AGGREGATE gathers(int) (sfunc = step, stype = int);
        CREATE OPERATOR @+@ (leftarg = int, rightarg = int, function = step);
        CREATE FUNCTION "odd ""name'\\.with é"() RETURNS int STABLE LANGUAGE sql AS 'SELECT 1';
        CREATE FUNCTION "odd.volatile"() RETURNS int VOLATILE LANGUAGE sql AS 'SELECT 1';
        CREATE UNLOGGED TABLE "Mixed ""Case"".u" (i int);
        CREATE VIEW plain_view AS SELECT count(*), now() FROM t WHERE i IN (1, 2);
        CREATE VIEW catalog_view AS SELECT relname FROM pg_class;
        CREATE VIEW next_view AS SELECT nextval('s');
        CREATE VIEW volatile_view AS SELECT volatile();
        CREATE VIEW operator_view AS SELECT 1 @+@ 2 AS sum;
        CREATE VIEW locking_view AS SELECT * FROM t FOR UPDATE;
        CREATE VIEW unlogged_view AS SELECT * FROM unlogged;
        CREATE VIEW deep_view AS SELECT t.i FROM t, (SELECT * FROM unlogged_view) u;
        CREATE TABLE guarded (i int); ALTER TABLE guarded ENABLE ROW LEVEL SECURITY;
        CREATE POLICY p ON guarded FOR SELECT USING (i = volatile());
        CREATE TABLE unguarded (i int); CREATE POLICY p ON unguarded USING (i = volatile());
        CREATE MATERIALIZED VIEW kept AS SELECT count(*) FROM unlogged_view;
        GRANT SELECT ON ALL TABLES IN SCHEMA public TO PUBLIC""")
    cluster.wait_for_replay()


BALANCED = (
    "SELECT immutable()", "SELECT stable()", "SELECT public.stable()", "SELECT overloaded_not_there()",
    "SELECT same()", "SELECT now(), count(*), max(i) FROM t",
    "SELECT * FROM t", "SELECT * FROM divided", "SELECT * FROM app.hidden", "SELECT last_value FROM s",
    "SELECT * FROM plain_view", "SELECT * FROM catalog_view", "SELECT * FROM kept", "SELECT * FROM nowhere", "SELECT * FROM unguarded",
    "SELECT \"odd \"\"name'\\.with é\"()",
    "WITH w AS (SELECT stable()) SELECT * FROM w, t",
)

PRIMARY = (
    "SELECT volatile()", "SELECT i FROM t WHERE i = volatile()", "SELECT overloaded(1)", "SELECT app.same()",
    "SELECT gathers(i) FROM t", "SELECT 1 @+@ 2", "SELECT 1 OPERATOR(public.@+@) 2", "SELECT \"odd.volatile\"()",
    "SELECT * FROM unlogged", "SELECT * FROM public.unlogged", "SELECT * FROM app.t", "SELECT * FROM half",
    "SELECT * FROM \"Mixed \"\"Case\"\".u\"", "SELECT (SELECT count(*) FROM unlogged) FROM t",
    "SELECT * FROM next_view", "SELECT * FROM volatile_view", "SELECT * FROM operator_view",
    "SELECT * FROM locking_view", "SELECT * FROM unlogged_view", "SELECT * FROM deep_view",
    "SELECT * FROM guarded",
)


def is_on_primary(cluster, client, sql: str) -> bool:
    """Runs the statement and says where, as the servers tell."""
    since = [server.log.mark() for server in cluster.servers]
    client.query(f"{sql} /* mark */")
    reached = [number for number, server in enumerate(cluster.servers) if "/* mark */" in server.log.since(since[number])]
    assert len(reached) == 1, (sql, reached)
    return reached == [0]


def test_statements_go_by_what_the_catalog_says(cluster):
    with Gate(cluster) as gate, gate.wire() as client:
        for sql in (*BALANCED, *PRIMARY):
            assert is_on_primary(cluster, client, sql) == (sql in PRIMARY), sql
        mark = cluster.primary.log.mark()
        for sql in (*BALANCED, *PRIMARY):
            assert is_on_primary(cluster, client, sql) == (sql in PRIMARY), sql
        assert "OPERATOR(pg_catalog.=)" not in cluster.primary.log.since(mark)  # everything is known now


def test_names_resolve_as_for_the_session(cluster):
    with Gate(cluster, worker_threads=1) as gate, gate.wire() as client, gate.wire() as second:
        assert not is_on_primary(cluster, client, "SELECT * FROM t")
        client.query("SET search_path TO app, public")
        assert is_on_primary(cluster, client, "SELECT * FROM t")
        assert is_on_primary(cluster, client, "SELECT same()")
        assert not is_on_primary(cluster, client, "SELECT stable()")
        assert not is_on_primary(cluster, second, "SELECT * FROM t")
        client.query("SET search_path TO public")
        assert not is_on_primary(cluster, client, "SELECT * FROM t")
        client.query("DISCARD ALL")
        assert not is_on_primary(cluster, client, "SELECT * FROM t")
    # app is not in reach of reader, nor of other: its t is not the one that is meant.
    with Gate(cluster) as gate, gate.wire(options="-c search_path=app,public") as client:
        assert is_on_primary(cluster, client, "SELECT * FROM t")
        client.query("SET ROLE reader")
        assert not is_on_primary(cluster, client, "SELECT * FROM t")
        client.query("RESET ROLE")
        client.query("SET SESSION AUTHORIZATION other")
        assert not is_on_primary(cluster, client, "SELECT * FROM t")
        client.query("RESET SESSION AUTHORIZATION")
        assert is_on_primary(cluster, client, "SELECT * FROM t")


def test_a_setting_of_the_present_transaction_counts(cluster):
    with Gate(cluster) as gate, gate.wire() as client:
        assert not is_on_primary(cluster, client, "SELECT * FROM t")
        for begin in ("SET LOCAL search_path TO app", "SET search_path TO app"):
            client.query("BEGIN")
            client.query(begin)
            assert is_on_primary(cluster, client, "SELECT * FROM t")
            client.query("ROLLBACK")
            assert not is_on_primary(cluster, client, "SELECT * FROM t")


def test_temporary_tables_of_others_do_not_count(cluster):
    with Gate(cluster) as gate, gate.wire() as owner, gate.wire() as client:
        owner.query("CREATE TEMP TABLE divided (i int)")
        assert not is_on_primary(cluster, client, "SELECT * FROM divided")
        assert is_on_primary(cluster, owner, "SELECT * FROM divided")


def test_a_changed_schema_is_asked_anew(cluster):
    cluster.run("CREATE FUNCTION changes() RETURNS int STABLE LANGUAGE sql AS 'SELECT 1'; CREATE TABLE changing (i int)")
    cluster.wait_for_replay()
    with Gate(cluster, worker_threads=2) as gate:
        clients = [gate.wire() for _ in range(4)]
        for client in clients:
            assert not is_on_primary(cluster, client, "SELECT changes()")
            assert not is_on_primary(cluster, client, "SELECT * FROM changing")
        clients[0].query("ALTER FUNCTION changes() VOLATILE")
        clients[1].query("BEGIN")
        clients[1].query("ALTER TABLE changing SET UNLOGGED")
        clients[1].query("COMMIT")
        for client in clients:
            assert is_on_primary(cluster, client, "SELECT changes()")
            assert is_on_primary(cluster, client, "SELECT * FROM changing")
            client.close()


def test_a_change_counts_from_its_commit_on(cluster):
    """Who asks while the change is not committed yet is told of before, and must not go on believing it."""
    cluster.run("CREATE FUNCTION commits() RETURNS int STABLE LANGUAGE sql AS 'SELECT 1'")
    cluster.wait_for_replay()
    for end in ("COMMIT", "COMMIT AND CHAIN"):
        with Gate(cluster) as gate, gate.wire() as client, gate.wire() as other:
            assert not is_on_primary(cluster, client, "SELECT commits()")
            other.query("BEGIN")
            other.query("ALTER FUNCTION commits() VOLATILE")
            assert is_on_primary(cluster, other, "SELECT 1")
            assert not is_on_primary(cluster, client, "SELECT commits()")
            other.query(end)
            assert is_on_primary(cluster, client, "SELECT commits()")
            other.query("ROLLBACK")
            other.query("ALTER FUNCTION commits() STABLE")
            cluster.wait_for_replay()


def test_what_is_known_expires(cluster):
    cluster.run("CREATE FUNCTION expires() RETURNS int STABLE LANGUAGE sql AS 'SELECT 1'")
    cluster.wait_for_replay()
    with Gate(cluster, relcache_expire=1) as gate, gate.wire() as client:
        assert not is_on_primary(cluster, client, "SELECT expires()")
        cluster.primary.run("ALTER FUNCTION expires() VOLATILE")  # nobody here has seen it
        harness.wait_until(lambda: is_on_primary(cluster, client, "SELECT expires()"), "the old answer has expired")


def test_no_search_path_can_hijack_a_question(cluster):
    """Every operator and function that a question could mean is there to be called by mistake."""
    cluster.run("""
        CREATE SCHEMA evil; CREATE TABLE evil.called (what text);
        CREATE FUNCTION evil.trap(anyelement, anyelement) RETURNS boolean VOLATILE LANGUAGE plpgsql AS
            $$ BEGIN INSERT INTO evil.called VALUES ('operator'); RETURN true; END $$;
        CREATE OPERATOR evil.= (leftarg = anyelement, rightarg = anyelement, function = evil.trap);
        CREATE OPERATOR evil.<> (leftarg = anyelement, rightarg = anyelement, function = evil.trap);
        CREATE OPERATOR evil.> (leftarg = anyelement, rightarg = anyelement, function = evil.trap);
        CREATE FUNCTION evil.to_regclass(text) RETURNS regclass LANGUAGE plpgsql AS
            $$ BEGIN INSERT INTO evil.called VALUES ('to_regclass'); RETURN NULL; END $$;
        CREATE FUNCTION evil.strpos(text, text) RETURNS int LANGUAGE plpgsql AS
            $$ BEGIN INSERT INTO evil.called VALUES ('strpos'); RETURN 1; END $$;
        CREATE FUNCTION evil.current_schemas(boolean) RETURNS name[] LANGUAGE plpgsql AS
            $$ BEGIN INSERT INTO evil.called VALUES ('current_schemas'); RETURN NULL; END $$;
        CREATE TABLE evil.pg_class (oid oid); CREATE TABLE evil.pg_proc (oid oid);
        CREATE TABLE evil.pg_namespace (oid oid);
        CREATE DOMAIN evil.oid AS text; CREATE DOMAIN evil.name AS text; CREATE DOMAIN evil.text AS int""")
    cluster.wait_for_replay()
    with Gate(cluster) as gate, gate.wire(options="-c search_path=evil,pg_catalog,public") as client:
        for sql in ("SELECT stable(), i FROM t", "SELECT * FROM plain_view", "SELECT * FROM divided"):
            assert not is_on_primary(cluster, client, sql), sql
        for sql in ("SELECT volatile()", "SELECT * FROM unlogged_view", "SELECT * FROM locking_view"):
            assert is_on_primary(cluster, client, sql), sql
        # A builtin's name may be somebody else's function.
        assert is_on_primary(cluster, client, "SELECT strpos('a'::pg_catalog.text, 'b'::pg_catalog.text)")
    assert cluster.primary.one("SELECT count(*) FROM evil.called WHERE what <> 'strpos'") == 0


def test_quoting_holds_under_other_rules_for_strings(cluster):
    odd = "SELECT \"odd \"\"name'\\.with é\"()"
    for start_up in ({"options": "-c standard_conforming_strings=off"}, {"client_encoding": "LATIN1"}):
        with Gate(cluster) as gate, gate.wire(**start_up) as first, gate.wire(**start_up) as client:
            first.query(odd)
            assert is_on_primary(cluster, client, "SELECT volatile(), \"a'b\" FROM t")
            assert not is_on_primary(cluster, client, "SELECT stable()")
    with Gate(cluster) as gate, gate.wire() as client:
        client.query("SET client_encoding TO 'LATIN1'")
        assert is_on_primary(cluster, client, "SELECT volatile()")
        assert not is_on_primary(cluster, client, "SELECT stable()")


def test_one_question_for_all_who_ask_at_once(cluster):
    """All catalogs are locked until everybody has asked: their questions are one."""
    with Gate(cluster, worker_threads=1) as gate, \
            cluster.primary.session() as holder:
        clients = [gate.wire() for _ in range(6)]
        for client in clients:
            client.query("SELECT 1")
        mark = cluster.primary.log.mark()
        holder.run("BEGIN; LOCK TABLE pg_catalog.pg_aggregate IN ACCESS EXCLUSIVE MODE")
        for client in clients:
            client.send(wire.query("SELECT stable()"))
        harness.wait_until(lambda: QUESTION in cluster.primary.log.since(mark), "the question has come")
        holder.run("COMMIT")
        for client in clients:
            assert client.answer().one == "1"
        assert cluster.primary.log.since(mark).count(QUESTION) == 1
        for client in clients:
            client.close()


def test_an_answer_that_does_not_come_is_not_waited_for(cluster):
    with Gate(cluster, catalog_wait_timeout="200ms") as gate, gate.wire() as client, \
            cluster.primary.session() as holder:
        client.query("SELECT 1")
        holder.run("BEGIN; LOCK TABLE pg_catalog.pg_aggregate IN ACCESS EXCLUSIVE MODE")
        assert is_on_primary(cluster, client, "SELECT stable()")
        holder.run("COMMIT")
        harness.wait_until(lambda: not is_on_primary(cluster, client, "SELECT stable()"), "it is asked again")


def test_questions_are_never_asked_inside_a_transaction(cluster):
    with Gate(cluster) as gate, gate.wire() as client:
        mark = cluster.primary.log.mark()
        client.query("BEGIN")
        client.query("SELECT stable()")
        client.query("INSERT INTO t VALUES (100)")
        client.query("SELECT immutable()")
        client.query("ROLLBACK")
        own = {line.split("|")[0] for line in cluster.primary.log.since(mark).splitlines() if "INSERT INTO t" in line}
        asking = {line.split("|")[0] for line in cluster.primary.log.since(mark).splitlines() if QUESTION in line}
        assert own and asking and not own & asking


def test_the_catalog_answers_though_all_turns_are_taken(cluster):
    with Gate(cluster, num_init_children=1, max_pool=1) as gate, gate.wire() as client:
        client.query("SELECT count(*) FROM t FOR KEY SHARE")
        assert client.query("INSERT INTO t VALUES (200)").tags == ["INSERT 0 1"]  # holds the only link there
        assert not is_on_primary(cluster, client, "SELECT stable()")
        assert client.query("DELETE FROM t WHERE i = 200").tags == ["DELETE 1"]
        assert cluster.primary.count_backends("application_name <> ''") <= 1


def test_where_a_secret_is_asked_for_statements_go_to_the_primary(cluster):
    cluster.run("CREATE ROLE careful LOGIN PASSWORD 'secret'")
    cluster.wait_for_replay()
    for server in cluster.servers:
        server.write_hba("host all careful 127.0.0.1/32 scram-sha-256", "host all all 127.0.0.1/32 trust")
    try:
        with Gate(cluster) as gate, gate.session(user="careful", password="secret") as client:
            assert client.one("SELECT stable()") == 1
            assert client.one("SELECT count(*) FROM plain_view") == 1
    finally:
        for server in cluster.servers:
            server.write_hba("host all all 127.0.0.1/32 trust")
