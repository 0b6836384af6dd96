"""Scripts of SQL statements, generated from a seed: one script is one session.

RULES is the grammar: {symbol} stands for one of its alternatives, drawn by weight. What differs from script to script
comes from Writer. SCHEMA makes the objects that the texts name.
"""

import random
import re
from dataclasses import dataclass

SCHEMA = """
CREATE TABLE item (id int PRIMARY KEY, name text, qty int);
CREATE TABLE part (id int PRIMARY KEY, item int, note text);
INSERT INTO item SELECT g, 'item ' || g, g % 7 FROM generate_series(1, 20) g;
INSERT INTO part SELECT g, g % 20 + 1, 'part ' || g FROM generate_series(1, 30) g;
CREATE TABLE "Mixed Case" ("Id" int, "User" text);
INSERT INTO "Mixed Case" VALUES (1, 'z');
CREATE UNLOGGED TABLE cart (id int, qty int);
INSERT INTO cart VALUES (1, 1), (2, 2);
CREATE VIEW item_view AS SELECT id, name FROM item;
CREATE VIEW class_view AS SELECT relname FROM pg_catalog.pg_class;
CREATE VIEW cart_view AS SELECT * FROM cart;
CREATE MATERIALIZED VIEW item_count AS SELECT count(*) AS n FROM item;
CREATE SEQUENCE counter;
CREATE SCHEMA shop;
CREATE TABLE shop.cart (id int, qty int);
INSERT INTO shop.cart VALUES (1, 10);
CREATE TABLE shop.pg_class (id int);
CREATE TABLE shop.item (id int, name text, qty int);
INSERT INTO shop.item VALUES (1, 'of the shop', 5);
CREATE FUNCTION f_volatile() RETURNS int LANGUAGE sql VOLATILE AS 'SELECT 1';
CREATE FUNCTION f_stable(int) RETURNS int LANGUAGE sql STABLE AS 'SELECT $1';
CREATE FUNCTION f_immutable(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 + 1';
CREATE FUNCTION f_writes(int) RETURNS int LANGUAGE sql VOLATILE AS
    'UPDATE item SET qty = qty WHERE id = $1 RETURNING qty';
CREATE FUNCTION f_over(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 1';
CREATE FUNCTION f_over(text) RETURNS int LANGUAGE sql VOLATILE AS 'SELECT 1';
CREATE FUNCTION f_same() RETURNS int LANGUAGE sql STABLE AS 'SELECT 1';
CREATE FUNCTION shop.f_same() RETURNS int LANGUAGE sql VOLATILE AS 'SELECT 2';
CREATE FUNCTION f_set(int) RETURNS SETOF int LANGUAGE sql STABLE AS 'SELECT generate_series(1, $1)';
CREATE FUNCTION f_set_volatile(int) RETURNS SETOF int LANGUAGE sql VOLATILE AS 'SELECT generate_series(1, $1)';
CREATE FUNCTION "Odd Name"() RETURNS int LANGUAGE sql VOLATILE AS 'SELECT 1';
CREATE FUNCTION op_volatile(int, int) RETURNS int LANGUAGE sql VOLATILE AS 'SELECT $1 * 10 + $2';
CREATE OPERATOR @+@ (LEFTARG = int, RIGHTARG = int, FUNCTION = op_volatile);
CREATE VIEW volatile_view AS SELECT id, f_volatile() AS one FROM item;
CREATE PROCEDURE p_touch() LANGUAGE sql AS 'UPDATE item SET qty = qty WHERE id = 1';
CREATE TYPE mood AS ENUM ('sad', 'happy');
"""

Alternatives = list[tuple[int, str]]

RULES: dict[str, Alternatives] = {
    "statement": [(46, "{read}"), (9, "{write}"), (6, "{copy}"), (4, "{explain}"), (5, "{show}"), (7, "{set}"),
                  (8, "{transaction}"), (4, "{prepared}"), (3, "{cursor}"), (3, "{temporary}"), (4, "{scratch}"),
                  (4, "{odd}"), (3, "{multi}"), (2, "{comment} {read}"), (2, "{error}")],
    # Reads
    "read": [(30, "{select}"), (4, "TABLE {table}"), (2, "VALUES (1, 'a'), (2, 'b')"), (1, "(VALUES (1))"),
             (2, "({select}) UNION ALL ({select_int})"), (2, "{select_int} EXCEPT {select_int}"),
             (3, "WITH w AS ({select_int}) SELECT * FROM w"),
             (1, "WITH cart AS (SELECT 1 AS id) SELECT * FROM cart"),
             (1, "WITH w AS (DELETE FROM item WHERE id < 0 RETURNING id) SELECT * FROM w"),
             (1, "SELECT * FROM (WITH w AS ({select_int}) SELECT * FROM w) s"),
             (2, "WITH RECURSIVE r (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 4) SELECT * FROM r"),
             (2, "SELECT id, name FROM item WHERE id = {small} {lock}"),
             (1, "SELECT * FROM (SELECT id FROM item WHERE id < 3 {lock}) s ORDER BY 1")],
    "select": [(12, "SELECT {item_column}, {value} FROM item WHERE {predicate} ORDER BY id"),
               (6, "{select_int}"), (6, "SELECT {value}"), (3, "SELECT {value}, {value}"),
               (3, "SELECT i.id, p.note FROM item i JOIN part p ON p.item = i.id WHERE i.{predicate} ORDER BY p.id"),
               (2, "SELECT item, count(*), max(note) FROM part GROUP BY item HAVING count(*) > 1 ORDER BY 1"),
               (2, "SELECT name, row_number() OVER (ORDER BY id) FROM item WHERE {predicate} ORDER BY id"),
               (2, "SELECT * FROM {relation} ORDER BY 1 LIMIT {small}"),
               (2, "SELECT * FROM item i, LATERAL (SELECT note FROM part WHERE item = i.id ORDER BY id LIMIT 1) l"
                   " ORDER BY i.id"),
               (2, "SELECT DISTINCT ON (qty) qty, id FROM item ORDER BY qty, id"),
               (2, "SELECT * FROM {set_function} LIMIT 3"),
               (1, "SELECT count(*) FILTER (WHERE qty = {function_int}) FROM item"),
               (1, "SELECT array_agg(id ORDER BY {function_int}, id) FROM item"),
               (1, "SELECT * FROM ROWS FROM ({set_function}, {set_function}) AS r"),
               (3, "SELECT count(*) FROM {catalog}"), (3, "SELECT count(*) FROM {unlogged}"),
               (2, "SELECT count(*) FROM item WHERE id IN (SELECT id FROM {relation})")],
    "select_int": [(6, "SELECT id FROM item WHERE {predicate}"), (2, "SELECT item FROM part WHERE id = {small}"),
                   (1, "SELECT id FROM item_view WHERE id = {small}"), (2, "SELECT {small}")],
    "relation": [(8, "{table}"), (2, "item_view"), (1, "volatile_view"), (1, "{unlogged}"), (1, "shop.item"),
                 (1, '"Mixed Case"')],
    "table": [(6, "item"), (4, "part"), (1, "public.item"), (1, "item_count"), (1, "shop.item")],
    "catalog": [(3, "pg_class"), (2, "pg_catalog.pg_namespace"), (1, "information_schema.tables"),
                (2, "class_view"), (2, "shop.pg_class"), (1, "pg_stat_activity"), (1, "pg_settings")],
    "unlogged": [(4, "cart"), (2, "public.cart"), (2, "shop.cart"), (1, "cart_view")],
    "lock": [(2, "FOR UPDATE"), (1, "FOR NO KEY UPDATE"), (1, "FOR SHARE"), (1, "FOR KEY SHARE SKIP LOCKED")],
    "predicate": [(8, "id = {small}"), (3, "id BETWEEN {small} AND 9"), (2, "id IN (1, {small}, 3)"),
                  (1, "id = {function_int}"), (1, "id IN (SELECT item FROM part WHERE id = {small})")],
    "item_column": [(3, "id"), (2, "name"), (1, "upper(name)"), (1, "coalesce(name, '-')"),
                    (1, "CASE WHEN qty > 3 THEN 'many' ELSE 'few' END")],
    "value": [(5, "{literal}"), (4, "{function_int}"), (3, "{function_any}"), (1, "'item'::regclass"),
              (1, "'sad'::mood"), (1, "1 @+@ {small}"), (1, "ARRAY[1, {small}]"), (1, "(SELECT max(id) FROM item)"),
              (1, "EXISTS (SELECT 1 FROM part WHERE item = {small})")],
    "literal": [(3, "{small}"), (2, "'it''s'"), (1, "E'a\\tb'"), (1, "$q$x;y$q$"), (1, "U&'d\\0061t'"),
                (1, "1.5e3"), (1, "NULL"), (1, "'{{\"a\": 1}}'::json ->> 'a'"), (1, "DATE '2020-02-29' + 1")],
    "small": [(1, str(number)) for number in range(1, 10)],
    "function_int": [(3, "abs(-{small})"), (2, "length('abc')"), (3, "f_stable({small})"),
                     (2, "f_immutable({small})"), (3, "f_volatile()"), (1, "f_same()"), (1, "public.f_same()"),
                     (1, "shop.f_same()"), (1, "f_over(1)"), (1, '"Odd Name"()'), (1, "f_writes({small})"),
                     (1, "pg_catalog.abs({small})")],
    "function_any": [(2, "now()"), (1, "current_timestamp"), (1, "random()"), (1, "clock_timestamp()"),
                     (2, "nextval('counter')"), (1, "pg_catalog.nextval('counter')"), (1, "setval('counter', 50)"),
                     (1, "txid_current()"), (1, "current_setting('work_mem')"), (1, "pg_backend_pid()"),
                     (1, "version()"), (1, "pg_is_in_recovery()"), (1, "gen_random_uuid()"), (1, "pg_sleep(0)"),
                     (1, "EXTRACT(year FROM now())"), (1, "to_regclass('item')"), (1, "obj_description(1)"),
                     (1, "pg_try_advisory_xact_lock({small})"), (1, "current_user"),
                     (1, "pg_size_pretty(1024::bigint)"),
                     (1, "pg_relation_size('item')"), (1, "set_config('work_mem', '2MB', false)")],
    "set_function": [(3, "generate_series(1, {small})"), (2, "f_set({small})"), (2, "f_set_volatile({small})"),
                     (1, "unnest(ARRAY[1, 2])")],
    # Writes; each script has ids of its own, so that scripts don't depend on one another
    "write": [(4, "INSERT INTO item VALUES ({fresh}, 'new', {small})"),
              (2, "INSERT INTO part SELECT {fresh}, id, name FROM item WHERE id = {small}"),
              (4, "UPDATE item SET name = name WHERE id = {small}"),
              (2, "UPDATE part SET note = note || '' WHERE id < 3"),
              (2, "DELETE FROM item WHERE id < 0"), (1, "DELETE FROM part USING item WHERE part.id = -item.id"),
              (1, "MERGE INTO item USING part ON item.id = -part.id WHEN MATCHED THEN DO NOTHING"),
              (1, "INSERT INTO cart VALUES ({fresh}, 1)"), (1, "UPDATE shop.item SET qty = qty"),
              (1, "WITH w AS (SELECT 1 AS n) UPDATE item SET qty = qty FROM w WHERE id = n"),
              (1, "CALL p_touch()"), (1, "DO $$ BEGIN UPDATE item SET qty = qty WHERE id = 2; END $$"),
              (1, "TRUNCATE cart"), (1, "LOCK TABLE item IN {lock_mode} MODE")],
    "lock_mode": [(1, "ACCESS SHARE"), (1, "ROW SHARE"), (1, "ROW EXCLUSIVE")],
    "copy": [(3, "COPY {table} TO STDOUT"), (3, "COPY ({select}) TO STDOUT"),
             (1, "COPY (UPDATE item SET qty = qty WHERE id = 1 RETURNING id) TO STDOUT"),
             (1, "COPY {unlogged} TO STDOUT"),
             (1, "COPY (SELECT id FROM item WHERE id = 1 {lock}) TO STDOUT")],
    "explain": [(3, "EXPLAIN {read}"), (1, "EXPLAIN (COSTS off) {write}"),
                (1, "EXPLAIN (ANALYZE, COSTS off, TIMING off, SUMMARY off) SELECT id FROM item")],
    "show": [(3, "SHOW work_mem"), (1, "SHOW search_path"), (1, "SHOW TRANSACTION ISOLATION LEVEL"),
             (1, "SHOW TimeZone"), (1, "SHOW pool_nosuch")],
    # The session
    "set": [(3, "SET work_mem = '{small}MB'"), (1, "SET LOCAL work_mem = '7MB'"), (1, "RESET work_mem"),
            (1, "SET TIME ZONE 'UTC'"), (2, "SET search_path = shop, public"), (1, "SET search_path = public"),
            (1, "RESET ALL"), (1, "SET datestyle = 'German'"), (1, "SET nosuch_setting = 1"), (1, "DISCARD ALL"),
            (1, "DISCARD PLANS"), (1, "SET default_transaction_read_only = off"),
            (1, "SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE"),
            (1, "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL REPEATABLE READ"),
            (1, "SET default_transaction_isolation = 'serializable'"),
            (1, "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL READ COMMITTED"),
            (1, "LISTEN news"), (1, "NOTIFY news"), (1, "UNLISTEN *"), (1, "SET CONSTRAINTS ALL IMMEDIATE")],
    "transaction": [(8, "{begin}"), (4, "COMMIT"), (3, "ROLLBACK"), (1, "END"), (1, "ABORT"), (1, "COMMIT AND CHAIN"),
                    (1, "ROLLBACK AND CHAIN"), (5, "SAVEPOINT {savepoint}"), (3, "ROLLBACK TO {savepoint}"),
                    (2, "RELEASE {savepoint}"), (1, "SET TRANSACTION READ ONLY"),
                    (1, "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"),
                    (1, "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE")],
    "begin": [(8, "BEGIN"), (1, "START TRANSACTION"), (2, "BEGIN READ ONLY"), (1, "BEGIN READ WRITE"),
              (1, "BEGIN ISOLATION LEVEL REPEATABLE READ"), (1, "BEGIN ISOLATION LEVEL SERIALIZABLE"),
              (1, "BEGIN ISOLATION LEVEL READ COMMITTED, READ WRITE"),
              (1, "BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")],
    "savepoint": [(2, "a"), (1, "b")],
    "prepared": [(4, "PREPARE {statement_name} AS {select}"), (1, "PREPARE {statement_name} AS {write}"),
                 (1, "PREPARE {statement_name} (int) AS SELECT name FROM item WHERE id = $1"),
                 (6, "EXECUTE {statement_name}"), (1, "EXECUTE {statement_name}({small})"),
                 (2, "DEALLOCATE {statement_name}"), (1, "DEALLOCATE ALL"), (1, "EXPLAIN EXECUTE {statement_name}")],
    "statement_name": [(3, "p1"), (2, "p2"), (1, "p3")],
    "cursor": [(3, "DECLARE c1 CURSOR FOR {select}"), (3, "FETCH {small} FROM c1"), (1, "MOVE 1 FROM c1"),
               (1, "CLOSE c1"),
               (1, "DECLARE held CURSOR WITH HOLD FOR SELECT id FROM item ORDER BY id"), (1, "FETCH 1 FROM held")],
    "temporary": [(3, "CREATE TEMP TABLE {temp_name} (id int, name text)"),
                  (1, "CREATE TEMP TABLE {temp_name} AS {select_int}"),
                  (1, "SELECT 1 AS id INTO TEMP {temp_name}"), (4, "SELECT * FROM {temp_name}"),
                  (1, "INSERT INTO {temp_name} (id) VALUES (1)"), (1, "DROP TABLE {temp_name}"),
                  (1, "COPY {temp_name} TO STDOUT"), (1, "SELECT * FROM pg_temp.{temp_name}"), (1, "DISCARD TEMP")],
    "temp_name": [(3, "mine"), (1, "item")],
    "scratch": [(3, "CREATE TABLE {scratch_name} (id int)"), (1, "CREATE TABLE {scratch_name} AS {select_int}"),
                (2, "DROP TABLE IF EXISTS {scratch_name}"), (2, "INSERT INTO {scratch_name} VALUES (1)"),
                (3, "SELECT * FROM {scratch_name}"), (1, "ALTER TABLE {scratch_name} ADD note text"),
                (1, "TRUNCATE {scratch_name}"), (1, "CREATE UNLOGGED TABLE {scratch_name} (id int)"),
                (1, "CREATE INDEX ON {scratch_name} (id)"), (1, "COMMENT ON TABLE part IS 'of an item'"),
                (1, "SELECT 1 AS id INTO {scratch_name}"), (1, "ANALYZE item"), (1, "VACUUM part"),
                (1, "GRANT SELECT ON item TO public"), (1, "REFRESH MATERIALIZED VIEW item_count"),
                (1, "ALTER TABLE {scratch_name} SET LOGGED")],
    # The rest
    "odd": [(1, ""), (1, "   "), (1, ";"), (1, "-- nothing"), (1, "/* nothing */"), (1, "  {select}"),
            (1, "\n\t{select}"), (1, "select /* inner ; */ {small}"), (1, "{select_int};"), (1, "{select_int};;")],
    "comment": [(2, "/* first */"), (1, "-- first\n"), (1, "/*NO LOAD BALANCE*/"), (1, "/*REPLICATION*/")],
    "multi": [(2, "{select}; {select_int}"), (2, "{select_int}; {write}"), (1, "{write}; {select_int}"),
              (1, "BEGIN; {select_int}; COMMIT"), (1, "BEGIN; {select_int}"), (1, "SET work_mem = '3MB'; {select_int}"),
              (1, "{select_int}; BEGIN"), (1, "SHOW work_mem; SHOW work_mem")],
    "error": [(2, "SELEC 1"), (2, "SELECT 1 / 0"), (1, "SELECT * FROM nosuch"), (1, "SELECT nosuch(1)"),
              (1, "INSERT INTO item VALUES (1, 'again')"), (1, "SELECT * FROM"), (1, "SELECT random() / 0")],
}

# What no two runs need to answer alike, wherever they run.
_CHANGING = re.compile(r"now\(|timestamp|random|nextval|setval|txid|_pid|recovery|pg_stat|pg_sleep|pg_settings|uuid|"
                       r"relation_size|pg_class|class_view|pg_namespace|information_schema|EXPLAIN|advisory|EXECUTE|"
                       r"FETCH|p[123]|COPY|c1", re.IGNORECASE)

_EMPTY = re.compile(r"\s*;*|-- nothing|/\* nothing \*/")


@dataclass(frozen=True)
class Step:
    """One message or exchange of a client."""
    how: str          # "simple", "extended", "parse" (named, with Sync) or "bind" (Bind and Execute of a name)
    sql: str          # for "bind": the text that the name was last parsed with
    name: str = ""    # of the prepared statement
    fixed: bool = True  # its rows are the same in every run that sees the same data

    def __str__(self):
        return f"{self.how} {self.name}: {self.sql!r}"


class Writer:
    """Writes one script. The same seed and number give the same script, whatever was written before."""

    def __init__(self, seed: int, number: int):
        self._random = random.Random(f"{seed}/{number}")
        self._number = number
        self._count = 0
        self._parsed: dict[str, str] = {}

    def script(self) -> list[Step]:
        """Some sessions are one transaction after another, some never begin one, some speak one protocol only."""
        length = self._random.randint(6, 26)
        extended_share = self._random.choice((0, 0, 0.3, 1))
        in_blocks = self._random.random() < 0.6
        steps: list[Step] = []
        while len(steps) < length:
            if in_blocks and self._random.random() < 0.3:
                steps.append(self._step("begin", extended_share))
                steps += [self._step("statement", extended_share) for _ in range(self._random.randint(1, 6))]
                steps.append(self._step("transaction", extended_share))
            else:
                steps.append(self._step("statement", extended_share))
        return steps

    def _step(self, symbol: str, extended_share: float) -> Step:
        is_extended = self._random.random() < extended_share
        sql = self.expand(symbol)
        # Pgpool-II 4.3 crashes or hangs on COPY in the extended protocol; several statements are refused there.
        if not is_extended or "COPY" in sql or sql.rstrip("; ").count(";"):
            return self._made("simple", sql)
        choice = self._random.random()
        if choice < 0.15:
            name = self._random.choice(("n1", "n2"))
            step = self._made("parse", sql, name)
            self._parsed[name] = step.sql
            return step
        if choice < 0.35 and self._parsed:
            name = self._random.choice(sorted(self._parsed))
            return Step("bind", self._parsed[name], name, fixed=False)
        return self._made("extended", sql)

    def _made(self, how: str, sql: str, name: str = "") -> Step:
        """The text gets a mark of its own, by which the servers' logs tell it from all others."""
        self._count += 1
        if not _EMPTY.fullmatch(sql):
            tail = sql[len(sql.rstrip(";")):]
            sql = f"{sql.rstrip(';')} /* {self._number}.{self._count} */{tail}"
        return Step(how, sql, name, fixed=not _CHANGING.search(sql))

    def expand(self, symbol: str) -> str:
        weights, texts = zip(*RULES[symbol], strict=True)
        text = self._random.choices(texts, weights)[0].replace("{{", "\x01").replace("}}", "\x02")
        while (found := re.search(r"\{(\w+)\}", text)) is not None:
            text = text[:found.start()] + self._put(found[1]) + text[found.end():]
        return text.replace("\x01", "{").replace("\x02", "}")

    def _put(self, symbol: str) -> str:
        if symbol == "fresh":
            self._count += 1
            return str((self._number + 1) * 1000 + self._count)
        if symbol == "scratch_name":
            return f"scratch_{self._number}"
        return self.expand(symbol)
