"""psqlODBC, by pyodbc."""

import contextlib
import sys
import threading
import time
from pathlib import Path

import pyodbc
from checks import DATABASE, HOST, PORT, ROUNDS, SESSIONS, Outcome, at_once, equal

DRIVER = next(Path("/usr/lib").glob("*/odbc/psqlodbcw.so"))
pyodbc.pooling = False


def connect(autocommit=True, settings="", **parameters):
    words = {"Driver": DRIVER, "Servername": HOST, "Port": PORT, "Database": DATABASE, "Username": "postgres",
             "SSLmode": "disable", "UseServerSidePrepare": 1, "ConnSettings": settings, **parameters}
    return pyodbc.connect("".join(f"{name}={value};" for name, value in words.items() if value != ""),
                          autocommit=autocommit)


@contextlib.contextmanager
def sessions(count=SESSIONS, **parameters):
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(contextlib.closing(connect(**parameters))) for _ in range(count)]


def rows(cursor):
    return [tuple(row) for row in cursor.fetchall()]


def one(connection, sql, *parameters):
    (value,) = connection.execute(sql, *parameters).fetchone()
    return value


def fails(sqlstate, connection, sql):
    try:
        connection.execute(sql)
    except pyodbc.Error as error:
        equal(error.args[0], sqlstate)
        return
    raise AssertionError(f"{sql} did not fail")


def check_connect():
    """Options are pqopt's, which it hands to libpq."""
    for number in range(3):
        with (contextlib.closing(connect(pqopt=f"{{application_name=first{number} options=-cwork_mem={number + 1}MB}}")) as first,
              contextlib.closing(connect(settings="{SET statement_timeout = '77s'}")) as second):
            for _ in range(3):
                equal(one(first, "SHOW application_name"), f"first{number}")
                equal(one(first, "SHOW work_mem"), f"{number + 1}MB")
                equal(one(second, "SHOW work_mem"), "4MB")
                equal(one(second, "SHOW statement_timeout"), "77s")


def check_simple():
    with sessions() as all_of_them:
        for step in range(ROUNDS):
            for number, connection in enumerate(all_of_them):
                equal(one(connection, f"SELECT 'token {number} {step}'"), f"token {number} {step}")


def check_prepared():
    """pyodbc keeps the statement of a cursor prepared while its text is the same."""
    with sessions() as all_of_them:
        cursors = [[connection.cursor() for _ in range(3)] for connection in all_of_them]
        for step in range(ROUNDS):
            for number, (as_int, as_text, insert) in enumerate(cursors):
                equal(rows(as_int.execute(f"SELECT ?::int * 10 + {number}", step)), [(step * 10 + number,)])
                equal(rows(as_text.execute(f"SELECT '{number}: ' || ?::text, {number}", f"t{step}")),
                      [(f"{number}: t{step}", number)])
                equal(rows(insert.execute(f"INSERT INTO notes VALUES (?, ?) RETURNING body || '{number}'", step,
                                          f"n{step}")), [(f"n{step}{number}",)])


def check_concurrent():
    def work(number, connection):
        for step in range(ROUNDS * 2):
            token = f"{number} {step}"
            equal(one(connection, f"SELECT ?::text || ' of {number}'", token), f"{token} of {number}")
            connection.execute("INSERT INTO notes VALUES (?, ?)", number, token)
            equal(one(connection, "SELECT count(*) FROM notes WHERE body = ?", token), 1)
            if step % 4 == 0:
                fails("22012", connection, "SELECT 1 / 0")

    with sessions() as all_of_them:
        at_once(work, all_of_them)


def check_transactions():
    with sessions(autocommit=False) as all_of_them:
        count = "SELECT count(*) FROM notes WHERE body = ?"
        for number, connection in enumerate(all_of_them):
            body = f"transaction {number}"
            connection.execute("INSERT INTO notes VALUES (1, ?)", body)
            connection.execute("SAVEPOINT a")
            connection.execute("INSERT INTO notes VALUES (2, ?)", body)
            equal(one(connection, count, body), 2)
            connection.execute("ROLLBACK TO a")
            equal(one(connection, count, body), 1)
            connection.commit()
            connection.execute("INSERT INTO notes VALUES (3, ?)", body)
            connection.rollback()
            equal(one(connection, "SELECT sum(n) FROM notes WHERE body = ?", body), 1)
            connection.commit()


def check_settings():
    with sessions() as all_of_them:
        for number, connection in enumerate(all_of_them):
            connection.execute(f"SET work_mem = '{number + 1}MB'")
            connection.execute(f"SET application_name = 'set {number}'")
        for _ in range(5):
            for number, connection in enumerate(all_of_them):
                equal(one(connection, "SHOW work_mem"), f"{number + 1}MB")
                equal(one(connection, "SHOW application_name"), f"set {number}")
                equal(one(connection, "SHOW extra_float_digits"), "2")  # which the driver itself has set
        all_of_them[0].execute("RESET work_mem")
        equal(one(all_of_them[0], "SHOW work_mem"), "4MB")
        equal(one(all_of_them[1], "SHOW work_mem"), "2MB")


def check_errors():
    with sessions() as all_of_them:
        for number, connection in enumerate(all_of_them):
            fails("42601", connection, "SELEC")
            fails("42P01", connection, "SELECT * FROM nowhere")
            fails("22P02", connection, f"SELECT 'x{number}'::int")
            equal(one(connection, "SELECT ?::int", number), number)
    with sessions(autocommit=False) as all_of_them:
        for number, connection in enumerate(all_of_them):
            connection.execute("SELECT 1").fetchall()
            fails("22012", connection, "SELECT 1 / 0")
            connection.rollback()
            equal(one(connection, "SELECT ?::int", number), number)
            connection.rollback()


def check_cancel():
    with sessions(2) as (sleeper, other):
        def cancelled(cursor, sql, seconds):
            timer = threading.Timer(seconds, cursor.cancel)
            timer.start()
            try:
                cursor.execute(sql).fetchall()
            except pyodbc.Error as error:
                # HY010: the request came between two calls of one execute(), and has reset the statement on this side.
                if error.args[0] != "HY010":
                    equal(error.args[0], "57014")
                return True
            finally:
                timer.join()
            return False

        def sleep(number, connection):
            if number == 0:
                equal(cancelled(connection.cursor(), "SELECT pg_sleep(60)", 0.3), True)
                equal(one(connection, "SELECT 'awake'"), "awake")
            else:
                time.sleep(0.1)
                equal(one(connection, "SELECT 'other' FROM notes_one FOR UPDATE"), "other")

        at_once(sleep, (sleeper, other))
        is_over = threading.Event()

        def storm(number, connection):
            if number:
                while not is_over.is_set():  # nothing that it sends may be cancelled
                    equal(one(connection, "SELECT 'mine' FROM notes_one FOR UPDATE"), "mine")
                return
            try:
                for _ in range(10):
                    cancelled(connection.cursor(), "SELECT pg_sleep(0.02)", 0.02)
            finally:
                is_over.set()

        at_once(storm, (sleeper, other))
        with contextlib.suppress(pyodbc.Error):  # the last request may still be on its way
            sleeper.execute("SELECT 1").fetchall()
        equal(one(sleeper, "SELECT 'at last'"), "at last")


def check_large():
    def work(number, connection):
        cursor = connection.execute(f"SELECT n + {number} FROM generate_series(1, 100000) AS n")
        equal([n for (n,) in cursor], list(range(1 + number, 100001 + number)))
        connection.commit()

    with sessions(2) as two:
        at_once(work, two)
    # Its own cursors are WITH HOLD, which keeps a session on its link as long as it lives: one after the other.
    for number in range(2):
        with sessions(1, autocommit=False, UseDeclareFetch=1, Fetch=5000) as (connection,):
            work(number, connection)


outcome = Outcome("psqlODBC", connect().getinfo(pyodbc.SQL_DRIVER_VER))
print("none pipeline: ODBC has no pipelines")
print("none copy: ODBC has no COPY")
sys.exit(outcome.run(check_connect, check_simple, check_prepared, check_concurrent, check_transactions, check_settings,
                     check_errors, check_cancel, check_large))
