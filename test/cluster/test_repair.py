"""Reads that turn out to write: a standby refuses them (25006), and the primary answers without the client's noticing."""

import itertools

import wire
from gate import Gate
from wire import FLUSH, SYNC, bind, describe_portal, execute, parse

STANDBYS = 1
BIG = 4000
_numbers = itertools.count(1)


def prepare(cluster):
    """`sneaky` says that it only reads, and takes a number of a sequence; `stubborn` fails the same way everywhere."""
    cluster.primary.run("CREATE ROLE other_role LOGIN")
    cluster.primary.run("CREATE DATABASE other")
    for database in ("postgres", "other"):
        fill(cluster, database)
    cluster.wait_for_replay()


def fill(cluster, database: str) -> None:
    cluster.primary.run(f"""
        CREATE SEQUENCE taken; CREATE TABLE big AS SELECT i, repeat('x', {BIG}) AS filling FROM generate_series(1, 300) i;
        CREATE FUNCTION sneaky(i int DEFAULT 0) RETURNS bigint LANGUAGE plpgsql STABLE AS
          $$ DECLARE n bigint; BEGIN EXECUTE 'SELECT nextval(''taken'')' INTO n; RETURN n; END $$;
        CREATE FUNCTION stubborn() RETURNS int LANGUAGE plpgsql STABLE AS
          $$ BEGIN RAISE EXCEPTION 'never' USING ERRCODE = '25006'; END $$;
        CREATE SCHEMA other;
        GRANT ALL ON SEQUENCE taken TO other_role""", dbname=database)


def new_gate(cluster, **settings) -> Gate:
    """The functions of this module count as reads, by a list, whatever the catalog says of them. What is remembered is
    remembered by a worker."""
    reads = "(public\\.)?sneaky,stubborn,count,repeat"
    return Gate(cluster, **{"read_only_function_list": reads, "worker_threads": 1, **settings})


def statement(text: str = "SELECT sneaky()") -> str:
    """The same statement as no other test has: what one learns is not known to the next. A literal makes no difference,
    a name does."""
    return f"{text} AS n{next(_numbers)}"


class Witness:
    """How often the servers were given a statement since the last look."""

    def __init__(self, cluster, sql: str):
        self._servers, self._sql = (cluster.primary, cluster.standbys[0]), sql
        self._marks = [server.log.mark() for server in self._servers]

    def look(self) -> tuple[int, int]:
        """On the primary, on the standby."""
        found = tuple(len(server.statements(mark, self._sql)) for server, mark in zip(self._servers, self._marks, strict=True))
        self._marks = [server.log.mark() for server in self._servers]
        return found


def last_taken(cluster) -> int:
    return cluster.primary.one("SELECT last_value FROM taken")


def test_the_servers_behave_as_these_tests_think(cluster):
    with wire.Wire(cluster.standbys[0].port) as standby, wire.Wire(cluster.primary.port) as primary:
        for server in (standby, primary):
            server.log_in(user="postgres", database="postgres")
        assert standby.query("SELECT sneaky()").error["C"] == "25006"
        assert primary.query("SELECT sneaky()").kinds == "TDCZ"


def test_a_query_is_repaired_and_remembered(cluster):
    with new_gate(cluster) as gate, gate.wire() as client:
        sql, before = statement(), last_taken(cluster)
        witness = Witness(cluster, sql)
        answer = client.query(sql)
        assert (answer.kinds, answer.status, answer.one) == ("TDCZ", "I", str(before + 1))
        assert witness.look() == (1, 1)
        # The second time nobody asks the standby, in this session or another.
        assert client.query(sql).one == str(before + 2)
        assert gate.one(sql) == before + 3
        assert witness.look() == (2, 0)
        # All other reads go there as ever.
        plain = Witness(cluster, "count(*)")
        assert client.query("SELECT count(*) FROM big").one == "300"
        assert plain.look() == (0, 1)


def test_a_unit_of_one_execute_is_repaired_and_remembered(cluster):
    def unnamed(client, sql):
        return client.ask(parse(sql), bind("5"), execute(), SYNC)

    def described(client, sql):
        return client.ask(parse(sql), bind("5"), describe_portal(), execute(), SYNC)

    def named(client, sql):
        if client.ask(parse(sql, "s"), SYNC).error:  # it is there already
            client.ask(SYNC)
        return client.ask(bind("5", statement="s"), execute(), SYNC)

    def with_a_limit(client, sql):
        return client.ask(parse(sql), bind("5"), execute(rows=10), SYNC)

    for exchange, kinds in ((unnamed, "12DCZ"), (named, "2DCZ"), (with_a_limit, "12DCZ")):
        with new_gate(cluster) as gate, gate.wire() as client:
            sql, before = statement("SELECT sneaky($1::int)"), last_taken(cluster)
            witness = Witness(cluster, sql)
            answer = exchange(client, sql)
            assert answer.kinds == kinds and answer.status == "I", (exchange.__name__, answer.kinds, answer.error)
            assert answer.one == str(before + 1), exchange.__name__
            primary, standby = witness.look()
            assert primary == 1 and standby <= 1, exchange.__name__
            answer = exchange(client, sql)
            assert answer.kinds == kinds and answer.one == str(before + 2), exchange.__name__
            assert witness.look() == (1, 0), exchange.__name__
    # With a Describe the description may be on its way already; then the client hears of it. Never half of each.
    with new_gate(cluster) as gate, gate.wire() as client:
        answer = described(client, statement("SELECT sneaky($1::int)"))
        assert answer.kinds == "12TDCZ" or (answer.kinds == "12TEZ" and answer.error["C"] == "25006"), answer.kinds


def test_another_literal_is_the_same_statement(cluster):
    with new_gate(cluster) as gate, gate.wire() as client:
        name = statement("").strip()
        witness = Witness(cluster, name)
        assert client.query(f"SELECT sneaky(1) {name}").kinds == "TDCZ"
        assert witness.look() == (1, 1)
        assert client.query(f"SELECT sneaky(2) {name}").kinds == "TDCZ"
        assert witness.look() == (1, 0)


def test_what_is_remembered_counts_for_its_database_role_and_search_path(cluster):
    with new_gate(cluster) as gate:
        sql = statement("SELECT public.sneaky()")
        witness = Witness(cluster, sql)
        with gate.wire() as client:
            assert client.query(sql).kinds == "TDCZ"
            assert witness.look() == (1, 1)
            client.query("SET search_path = other, public")
            assert client.query(sql).kinds == "TDCZ"
            assert witness.look() == (1, 1), "under another search_path it may be something else"
            client.query("RESET search_path")
            assert client.query(sql).kinds == "TDCZ"
            assert witness.look() == (1, 0)
        with gate.wire(user="other_role", database="postgres") as client:
            assert client.query(sql).kinds == "TDCZ"
            assert witness.look() == (1, 1), "another role's is not known"
        with gate.wire(database="other") as client:
            assert client.query(sql).kinds == "TDCZ"
            assert witness.look() == (1, 1), "another database's is not known"
        with gate.wire() as client:
            assert client.query(sql).kinds == "TDCZ"
            assert witness.look() == (1, 0)


def test_a_client_that_wants_to_read_only_is_not_helped_to_write(cluster):
    def in_a_transaction(client, sql):
        client.query("BEGIN READ ONLY")
        return client.query(sql), client.query("ROLLBACK")

    def set_in_a_transaction(client, sql):
        client.query("BEGIN")
        client.query("SET TRANSACTION READ ONLY")
        return client.query(sql), client.query("ROLLBACK")

    def set_for_the_session(client, sql):
        client.query("SET default_transaction_read_only = on")
        return client.query(sql), None

    def set_by_characteristics(client, sql):
        client.query("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY")
        return client.query(sql), None

    def in_a_unit(client, sql):
        client.query("SET default_transaction_read_only = on")
        return client.ask(parse(sql), bind(), execute(), SYNC), None

    for way in (in_a_transaction, set_in_a_transaction, set_for_the_session, set_by_characteristics, in_a_unit):
        with new_gate(cluster) as gate, gate.wire() as client:
            sql, before = statement(), last_taken(cluster)
            answer, _ = way(client, sql)
            assert answer.error and answer.error["C"] == "25006", (way.__name__, answer.kinds)
            assert last_taken(cluster) == before, way.__name__
            # Nothing was learnt from it either.
            with gate.wire() as other:
                witness = Witness(cluster, sql)
                assert other.query(sql).kinds == "TDCZ" and witness.look() == (1, 1), way.__name__


def test_a_session_that_starts_read_only_is_not_helped_to_write(cluster):
    with new_gate(cluster) as gate:
        for parameters in ({"options": "-c default_transaction_read_only=on"}, {"default_transaction_read_only": "on"}):
            with gate.wire(**parameters) as client:
                before = last_taken(cluster)
                assert client.query(statement()).error["C"] == "25006", parameters
                assert last_taken(cluster) == before
                client.query("SET default_transaction_read_only = off")
                assert client.query(statement()).kinds == "TDCZ"


def test_a_transaction_that_may_write_fails_as_it_should(cluster):
    """Inside a transaction nothing is run twice: the reader's error fails all of it."""
    with new_gate(cluster) as gate, gate.wire() as client:
        client.query("BEGIN")
        answer = client.query(statement())
        if answer.error:
            assert answer.error["C"] == "25006" and answer.status == "E"
            assert client.query("COMMIT").tags == ["ROLLBACK"]
        else:
            assert answer.kinds == "TDCZ" and client.query("COMMIT").tags == ["COMMIT"]
        assert client.query("SELECT 1").one == "1"


def test_a_reply_that_has_begun_is_not_taken_back(cluster):
    late = "SELECT filling, CASE WHEN i > 280 THEN sneaky() END FROM big"  # a sort would come behind it
    with new_gate(cluster) as gate, gate.wire() as client:
        before = last_taken(cluster)
        for answer in (client.query(late), client.ask(parse(late), bind(), execute(), SYNC)):
            assert answer.error and answer.error["C"] == "25006" and answer.status == "I"
            assert len(answer.rows) == 280
        assert last_taken(cluster) == before
        assert client.query("SELECT 1").one == "1"
        # In parts: the second part fails, when the first is long with the client.
        client.send(parse(late), bind(), execute(rows=5), FLUSH)
        assert len(client.answer(until="s").rows) == 5
        assert client.ask(execute(), SYNC).error["C"] == "25006"


def test_a_second_refusal_is_passed_on(cluster):
    with new_gate(cluster) as gate, gate.wire() as client:
        sql = statement("SELECT stubborn()")
        witness = Witness(cluster, sql)
        for _ in range(2):
            answer = client.query(sql)
            assert answer.kinds.removeprefix("T") == "EZ" and answer.error["M"] == "never" and answer.status == "I"
            assert witness.look() == (1, 1), "it is not remembered as a write"
            answer = client.ask(parse(sql), bind(), execute(), SYNC)
            assert answer.kinds == "12EZ" and answer.error["C"] == "25006" and answer.status == "I"
            witness.look()
        assert client.query("SELECT 1").one == "1"


def test_another_error_is_not_repaired(cluster):
    with new_gate(cluster) as gate, gate.wire() as client:
        sql = statement("SELECT 1 / (i - 1) FROM big WHERE i = 1 AND filling <> ''").replace(" AS n", " -- n")
        witness = Witness(cluster, sql.split("-- ")[0])
        assert client.query(sql).error["C"] == "22012"
        assert witness.look() == (0, 1)


def test_several_statements_are_not_repaired(cluster):
    with new_gate(cluster) as gate, gate.wire() as client:
        before = last_taken(cluster)
        one = parse(statement()) + bind() + execute()
        for answer in (client.query(f"SELECT count(*) FROM big; {statement()}"), client.ask(one, one, SYNC),
                       client.ask(parse("SELECT count(*) FROM big"), bind(), execute(), one, SYNC)):
            assert answer.status == "I"
            # It may well be known to write beforehand; but no row comes from here and no error from there.
            assert answer.error is None or (answer.error["C"] == "25006" and last_taken(cluster) == before)
            before = last_taken(cluster)
        assert client.query("SELECT 1").one == "1"


def test_what_follows_in_the_pipeline_comes_behind_it(cluster):
    with new_gate(cluster) as gate, gate.wire() as client:
        first, second = statement(), statement()
        client.send(wire.query("SELECT 'before'"), wire.query(first), wire.query("SELECT 'between'"),
                    parse(second), bind(), execute(), SYNC, parse("SELECT 'behind'"), bind(), execute(), SYNC,
                    wire.query(first))
        answers = [client.answer() for _ in range(6)]
        assert [answer.kinds for answer in answers] == ["TDCZ"] * 3 + ["12DCZ"] * 2 + ["TDCZ"]
        assert [answers[at].one for at in (0, 2, 4)] == ["before", "between", "behind"]


def test_the_limit_of_bytes(cluster):
    for limit, length, repaired in (("0", 10, False), ("1kB", 5000, False), ("64kB", 5000, True)):
        with new_gate(cluster, repair_bytes_max=limit) as gate, gate.wire() as client:
            for exchange in (lambda sql: client.query(sql), lambda sql: client.ask(parse(sql), bind(), execute(), SYNC)):
                answer = exchange(f"{statement()} /* {'x' * length} */")
                assert (answer.error is None) == repaired, (limit, length, answer.kinds)
                if not repaired:
                    assert answer.error["C"] == "25006"


def test_the_memory_is_bounded(cluster):
    with new_gate(cluster, repair_memory_size=2) as gate, gate.wire() as client:
        statements = [statement() for _ in range(6)]
        for sql in statements * 2:
            assert client.query(sql).kinds == "TDCZ"
        witness = Witness(cluster, statements[0])
        assert client.query(statements[0]).kinds == "TDCZ"
        assert witness.look() == (1, 1), "it has been forgotten for the sake of others"


def test_a_reply_of_the_primary_that_is_large_comes_whole(cluster):
    with new_gate(cluster) as gate, gate.wire() as client:
        sql = "SELECT sneaky(), filling FROM big ORDER BY i"
        answer = client.query(sql)
        if answer.error is None:
            assert len(answer.rows) == 300 and all(len(row[1]) == BIG for row in answer.rows)
        assert client.query("SELECT 1").one == "1"
