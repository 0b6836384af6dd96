"""psycopg 3."""

import contextlib
import random
import sys
import threading
import time

import psycopg
from checks import DATABASE, HOST, PORT, ROUNDS, SESSIONS, Outcome, at_once, equal


def connect(**parameters):
    return psycopg.connect(host=HOST, port=PORT, user="postgres", dbname=DATABASE, autocommit=True, **parameters)


@contextlib.contextmanager
def sessions(count=SESSIONS):
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(connect(application_name=f"psycopg-{number}")) for number in range(count)]


def one(connection, sql, parameters=None, **how):
    (value,) = connection.execute(sql, parameters, **how).fetchone()
    return value


def fails(sqlstate, connection, sql):
    try:
        connection.execute(sql)
    except psycopg.Error as error:
        equal(error.sqlstate, sqlstate)
        return
    raise AssertionError(f"{sql} did not fail")


def check_connect():
    for number in range(3):
        with (connect(application_name=f"first {number}", options=f"-c work_mem={number + 1}MB") as first,
              connect(application_name="second", options="-c statement_timeout=77s") as second):
            for _ in range(3):
                equal(one(first, "SHOW application_name"), f"first {number}")
                equal(one(second, "SHOW application_name"), "second")
                equal(one(first, "SHOW work_mem"), f"{number + 1}MB")
                equal(one(second, "SHOW statement_timeout"), "77s")


def check_simple():
    with sessions() as all_of_them:
        for step in range(ROUNDS):
            for number, connection in enumerate(all_of_them):
                equal(one(connection, f"SELECT 'token {number} {step}'"), f"token {number} {step}")


def check_prepared():
    with sessions() as all_of_them:
        for step in range(ROUNDS):
            for number, connection in enumerate(all_of_them):  # the names are _pg3_0, _pg3_1, ... in all of them
                equal(one(connection, f"SELECT %s::int * 10 + {number}", [step], prepare=True), step * 10 + number)
                equal(connection.execute(f"SELECT '{number}: ' || %s::text, {number}", [f"t{step}"],
                                         prepare=True).fetchone(), (f"{number}: t{step}", number))
                equal(one(connection, f"INSERT INTO notes VALUES (%s, %s) RETURNING body || '{number}'",
                          [step, f"n{step}"], prepare=True), f"n{step}{number}")


def check_concurrent():
    def work(number, connection):
        chance = random.Random(number)
        for step in range(ROUNDS * 3):
            token = f"{number} {step}"
            kind = chance.randrange(4)
            if kind == 0:
                equal(one(connection, f"SELECT '{token}'"), token)
            elif kind == 1:
                equal(one(connection, f"SELECT %s || ' of {number}'", [token], prepare=True), f"{token} of {number}")
            elif kind == 2:
                with connection.transaction():
                    connection.execute("INSERT INTO notes VALUES (%s, %s)", [number, token])
                    equal(one(connection, "SELECT count(*) FROM notes WHERE body = %s", [token]), 1)
            else:
                fails("22012", connection, "SELECT 1 / 0")

    with sessions() as all_of_them:
        at_once(work, all_of_them)


def check_pipeline():
    def work(number, connection):
        for step in range(5):
            with connection.pipeline():
                cursors = [connection.execute(f"SELECT %s::int + {number * 1000}", [at], prepare=True)
                           for at in range(20)]
                cursors.append(connection.execute("INSERT INTO notes VALUES (%s, %s) RETURNING n", [step, "piped"]))
                equal([cursor.fetchone()[0] for cursor in cursors], [at + number * 1000 for at in range(20)] + [step])
            try:
                with connection.pipeline():
                    connection.execute("SELECT 1 / 0")
                    connection.execute("SELECT 'aborted'")
                raise AssertionError("a division by zero worked")
            except psycopg.errors.DivisionByZero:
                pass
            equal(one(connection, f"SELECT 'after {number}'"), f"after {number}")

    with sessions() as all_of_them:
        at_once(work, all_of_them)


def check_transactions():
    with sessions() as all_of_them:
        for step in range(5):
            for number, connection in enumerate(all_of_them):
                body = f"transaction {number} {step}"
                with connection.transaction():
                    connection.execute("INSERT INTO notes VALUES (1, %s)", [body])
                    with connection.transaction(force_rollback=True):
                        connection.execute("INSERT INTO notes VALUES (2, %s)", [body])
                        equal(one(connection, "SELECT count(*) FROM notes WHERE body = %s", [body]), 2)
                    with contextlib.suppress(psycopg.errors.DivisionByZero), connection.transaction():
                        connection.execute("SELECT 1 / 0")
                    equal(one(connection, "SELECT count(*) FROM notes WHERE body = %s", [body]), 1)
                with connection.transaction(force_rollback=True):
                    connection.execute("INSERT INTO notes VALUES (3, %s)", [body])
                equal(one(connection, "SELECT sum(n) FROM notes WHERE body = %s", [body]), 1)


def check_settings():
    with sessions() as all_of_them:
        for number, connection in enumerate(all_of_them):
            connection.execute(f"SET work_mem = '{number + 1}MB'")
            connection.execute(f"SET application_name = 'set {number}'")
        for _ in range(5):
            for number, connection in enumerate(all_of_them):
                equal(one(connection, "SHOW work_mem"), f"{number + 1}MB")
                equal(one(connection, "SHOW application_name"), f"set {number}")
                with connection.transaction():
                    connection.execute("SET LOCAL work_mem = '99MB'")
                    equal(one(connection, "SHOW work_mem"), "99MB")
        all_of_them[0].execute("RESET work_mem")
        equal(one(all_of_them[0], "SHOW work_mem"), "4MB")
        equal(one(all_of_them[1], "SHOW work_mem"), "2MB")


def check_copy():
    def work(number, connection):
        for step in range(3):
            body = f"copied {number} {step}"
            with connection.cursor().copy("COPY notes FROM STDIN") as copy:
                for n in range(500):
                    copy.write_row((n, body))
            with connection.cursor().copy(f"COPY (SELECT n FROM notes WHERE body = '{body}' ORDER BY n) TO STDOUT") as out:
                equal([int(n) for (n,) in out.rows()], list(range(500)))
            with contextlib.suppress(psycopg.errors.QueryCanceled):
                with connection.cursor().copy("COPY notes FROM STDIN") as copy:
                    copy.write_row((1, "given up"))
                    raise ZeroDivisionError  # ends it by CopyFail
            equal(one(connection, "SELECT count(*) FROM notes WHERE body = 'given up'"), 0)

    with sessions() as all_of_them:
        at_once(work, all_of_them)


def check_errors():
    with sessions() as all_of_them:
        for number, connection in enumerate(all_of_them):
            fails("42601", connection, "SELEC")
            fails("42P01", connection, "SELECT * FROM nowhere")
            fails("22P02", connection, f"SELECT 'x{number}'::int")
            connection.execute("BEGIN")
            fails("22012", connection, "SELECT 1 / 0")
            fails("25P02", connection, "SELECT 1")
            connection.execute("ROLLBACK")
            equal(one(connection, "SELECT %s::int", [number]), number)


def check_cancel():
    with sessions(2) as (sleeper, other):
        def work(number, connection):
            if number == 0:
                threading.Timer(0.3, sleeper.cancel).start()
                fails("57014", sleeper, "SELECT pg_sleep(60)")
                equal(one(sleeper, "SELECT 'awake'"), "awake")
            else:
                time.sleep(0.1)
                equal(one(other, "SELECT 'other' FROM notes_one FOR UPDATE"), "other")

        at_once(work, (sleeper, other))
        is_over = threading.Event()

        def storm(number, connection):
            if number:
                while not is_over.is_set():  # nothing that it sends may be cancelled
                    equal(one(connection, "SELECT 'mine' FROM notes_one FOR UPDATE"), "mine")
                return
            try:
                for _ in range(10):
                    timer = threading.Timer(0.02, sleeper.cancel)
                    timer.start()
                    with contextlib.suppress(psycopg.errors.QueryCanceled):
                        sleeper.execute("SELECT pg_sleep(0.02)")
                    timer.join()
            finally:
                is_over.set()

        at_once(storm, (sleeper, other))
        with contextlib.suppress(psycopg.errors.QueryCanceled):  # the last request may still be on its way
            sleeper.execute("SELECT 1")
        equal(one(sleeper, "SELECT 'at last'"), "at last")


def check_large():
    def work(number, connection):
        if number == 0:
            found = connection.execute("SELECT n, 'row ' || n FROM generate_series(1, 100000) AS n").fetchall()
            equal((len(found), found[-1]), (100000, (100000, "row 100000")))
            return
        with connection.transaction(), connection.cursor("own") as cursor:
            cursor.itersize = 5000
            cursor.execute("SELECT n FROM generate_series(1, 100000) AS n")
            equal([n for (n,) in cursor], list(range(1, 100001)))

    with sessions(2) as two:
        at_once(work, two)


sys.exit(Outcome("psycopg", psycopg.__version__).run(
    check_connect, check_simple, check_prepared, check_concurrent, check_pipeline, check_transactions, check_settings,
    check_copy, check_errors, check_cancel, check_large))
