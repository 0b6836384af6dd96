"""asyncpg."""

import asyncio
import contextlib
import random
import sys

import asyncpg
from checks import DATABASE, HOST, PORT, ROUNDS, SESSIONS, Outcome, equal


def connect(**settings):
    return asyncpg.connect(host=HOST, port=PORT, user="postgres", database=DATABASE, ssl=False,
                           server_settings=settings)


@contextlib.asynccontextmanager
async def sessions(count=SESSIONS):
    opened = []
    try:
        for number in range(count):
            opened.append(await connect(application_name=f"asyncpg-{number}"))
        yield opened
    finally:
        for connection in opened:
            await connection.close()


async def fails(sqlstate, connection, sql, *parameters):
    try:
        await connection.fetchval(sql, *parameters)
    except asyncpg.PostgresError as error:
        equal(error.sqlstate, sqlstate)
        return
    raise AssertionError(f"{sql} did not fail")


async def at_once(work, connections):
    await asyncio.gather(*(work(number, connection) for number, connection in enumerate(connections)))


async def check_connect():
    for number in range(3):
        first = await connect(application_name=f"first {number}", work_mem=f"{number + 1}MB")
        second = await connect(application_name="second", options="-c statement_timeout=77s")
        for _ in range(3):
            equal(await first.fetchval("SHOW application_name"), f"first {number}")
            equal(await second.fetchval("SHOW application_name"), "second")
            equal(await first.fetchval("SHOW work_mem"), f"{number + 1}MB")
            equal(await second.fetchval("SHOW statement_timeout"), "77s")
        await first.close()
        await second.close()


async def check_simple():
    async with sessions() as all_of_them:
        for step in range(ROUNDS):
            for number, connection in enumerate(all_of_them):
                await connection.execute(f"SELECT 'no result of this is shown {step}'")
                equal(await connection.fetchval(f"SELECT 'token {number} {step}'"), f"token {number} {step}")


async def check_prepared():
    async with sessions() as all_of_them:
        prepared = []
        for number, connection in enumerate(all_of_them):  # __asyncpg_stmt_1__ and so on in all of them
            prepared.append([await connection.prepare(f"SELECT $1::int * 10 + {number}"),
                             await connection.prepare(f"SELECT '{number}: ' || $1::text, {number}"),
                             await connection.prepare(f"INSERT INTO notes VALUES ($1, $2) RETURNING body || '{number}'")])
            await connection.execute("SELECT 'its Sync ends what prepare() began: see prepare_ahead'")
        for step in range(ROUNDS):
            for number, (as_int, as_text, insert) in enumerate(prepared):
                equal(await as_int.fetchval(step), step * 10 + number)
                equal(tuple(await as_text.fetchrow(f"t{step}")), (f"{number}: t{step}", number))
                equal(await insert.fetchval(step, f"n{step}"), f"n{step}{number}")


async def check_prepare_ahead():
    """prepare() sends Parse, Describe and Flush: there is no Sync until the statement is used."""
    async with sessions(2) as (first, second):
        statement = await first.prepare("SELECT 'first'")
        equal(await asyncio.wait_for(second.fetchval("SELECT 'second'"), 5), "second")
        equal(await statement.fetchval(), "first")


async def check_concurrent():
    async def work(number, connection):
        chance = random.Random(number)
        for step in range(ROUNDS * 3):
            token = f"{number} {step}"
            kind = chance.randrange(4)
            if kind == 0:
                equal(await connection.fetchval(f"SELECT '{token}'"), token)
            elif kind == 1:
                equal(await connection.fetchval(f"SELECT $1::text || ' of {number}'", token), f"{token} of {number}")
            elif kind == 2:
                async with connection.transaction():
                    await connection.execute("INSERT INTO notes VALUES ($1, $2)", number, token)
                    equal(await connection.fetchval("SELECT count(*) FROM notes WHERE body = $1", token), 1)
            else:
                await fails("22012", connection, "SELECT 1 / 0")

    async with sessions() as all_of_them:
        await at_once(work, all_of_them)


async def check_pipeline():
    """executemany: all sets of parameters in one go."""
    async def work(number, connection):
        for step in range(5):
            body = f"many {number} {step}"
            await connection.executemany("INSERT INTO notes VALUES ($1, $2)", [(n, body) for n in range(500)])
            equal(await connection.fetchval("SELECT sum(n) FROM notes WHERE body = $1", body), sum(range(500)))
            try:
                await connection.executemany("INSERT INTO notes VALUES (1 / $1, $2)", [(n, body) for n in (1, 0, 1)])
                raise AssertionError("a division by zero worked")
            except asyncpg.DivisionByZeroError:
                pass
            equal(await connection.fetchval("SELECT count(*) FROM notes WHERE body = $1", body), 500)

    async with sessions() as all_of_them:
        await at_once(work, all_of_them)


async def check_transactions():
    async with sessions() as all_of_them:
        for step in range(5):
            for number, connection in enumerate(all_of_them):
                body = f"transaction {number} {step}"
                count = "SELECT count(*) FROM notes WHERE body = $1"
                async with connection.transaction():
                    await connection.execute("INSERT INTO notes VALUES (1, $1)", body)
                    inner = connection.transaction()
                    await inner.start()
                    await connection.execute("INSERT INTO notes VALUES (2, $1)", body)
                    equal(await connection.fetchval(count, body), 2)
                    await inner.rollback()
                    with contextlib.suppress(asyncpg.DivisionByZeroError):
                        async with connection.transaction():
                            await connection.execute("SELECT 1 / 0")
                    equal(await connection.fetchval(count, body), 1)
                outer = connection.transaction(isolation="serializable")
                await outer.start()
                await connection.execute("INSERT INTO notes VALUES (3, $1)", body)
                await outer.rollback()
                equal(await connection.fetchval("SELECT sum(n) FROM notes WHERE body = $1", body), 1)


async def check_settings():
    async with sessions() as all_of_them:
        for number, connection in enumerate(all_of_them):
            await connection.execute(f"SET work_mem = '{number + 1}MB'; SET application_name = 'set {number}'")
        for _ in range(5):
            for number, connection in enumerate(all_of_them):
                equal(await connection.fetchval("SHOW work_mem"), f"{number + 1}MB")
                equal(await connection.fetchval("SHOW application_name"), f"set {number}")
                async with connection.transaction():
                    await connection.execute("SET LOCAL work_mem = '99MB'")
                    equal(await connection.fetchval("SHOW work_mem"), "99MB")
        await all_of_them[0].reset()  # what its pool does with a connection that is given back
        equal(await all_of_them[0].fetchval("SHOW work_mem"), "4MB")
        equal(await all_of_them[1].fetchval("SHOW work_mem"), "2MB")


async def check_copy():
    async def work(number, connection):
        for step in range(3):
            body = f"copied {number} {step}"
            await connection.copy_records_to_table("notes", records=[(n, body) for n in range(500)])
            parts = []

            async def keep(part, into=parts):
                into.append(part)

            await connection.copy_from_query("SELECT n FROM notes WHERE body = $1 ORDER BY n", body, output=keep)
            equal(b"".join(parts), b"".join(b"%d\n" % n for n in range(500)))

            async def broken():
                yield b"1\tgiven up\n"
                raise ZeroDivisionError

            with contextlib.suppress(ZeroDivisionError):
                await connection.copy_to_table("notes", source=broken())
            equal(await connection.fetchval("SELECT count(*) FROM notes WHERE body = 'given up'"), 0)

    async with sessions() as all_of_them:
        await at_once(work, all_of_them)


async def check_errors():
    async with sessions() as all_of_them:
        for number, connection in enumerate(all_of_them):
            await fails("42601", connection, "SELEC")
            await fails("42P01", connection, "SELECT * FROM nowhere")
            await fails("22P02", connection, f"SELECT 'x{number}'::int")
            await connection.execute("BEGIN")
            await fails("22012", connection, "SELECT 1 / 0")
            await fails("25P02", connection, "SELECT 1")
            await connection.execute("ROLLBACK")
            equal(await connection.fetchval("SELECT $1::int", number), number)


async def check_cancel():
    async with sessions(2) as (sleeper, other):
        async def sleep():
            with contextlib.suppress(asyncio.TimeoutError):
                await sleeper.execute("SELECT pg_sleep(60)", timeout=0.3)  # after which it cancels
                raise AssertionError("a minute has passed")
            equal(await sleeper.fetchval("SELECT 'awake'"), "awake")

        async def ask():
            await asyncio.sleep(0.1)
            equal(await other.fetchval("SELECT 'other' FROM notes_one FOR UPDATE"), "other")

        await asyncio.gather(sleep(), ask())
        is_over = asyncio.Event()

        async def storm():
            try:
                for _ in range(10):
                    with contextlib.suppress(asyncio.TimeoutError):
                        await sleeper.fetchval("SELECT pg_sleep(0.02)", timeout=0.02)
                    equal(await sleeper.fetchval("SELECT 'mine too'"), "mine too")
            finally:
                is_over.set()

        async def go_on():
            while not is_over.is_set():  # nothing that it sends may be cancelled
                equal(await other.fetchval("SELECT 'mine' FROM notes_one FOR UPDATE"), "mine")

        await asyncio.gather(storm(), go_on())


async def check_large():
    async def work(number, connection):
        if number == 0:
            found = await connection.fetch("SELECT n, 'row ' || n FROM generate_series(1, 100000) AS n")
            equal((len(found), tuple(found[-1])), (100000, (100000, "row 100000")))
            return
        async with connection.transaction():
            cursor = connection.cursor("SELECT n FROM generate_series(1, 100000) AS n", prefetch=5000)
            equal([n async for (n,) in cursor], list(range(1, 100001)))

    async with sessions(2) as two:
        await at_once(work, two)


async def check_types():
    """A type that it does not know makes it ask the catalog by a statement of its own."""
    async with sessions() as all_of_them:
        for number, connection in enumerate(all_of_them):
            equal(await connection.fetchval("SELECT $1::mood[]", ["sad", "happy"]), ["sad", "happy"])
            equal(await connection.fetchval("SELECT $1::int", number), number)


def in_a_loop(check):
    def run():
        asyncio.run(asyncio.wait_for(check(), 25))
    run.__name__ = check.__name__
    return run


sys.exit(Outcome("asyncpg", asyncpg.__version__).run(*map(in_a_loop, (
    check_connect, check_simple, check_prepared, check_concurrent, check_pipeline, check_transactions, check_settings,
    check_copy, check_errors, check_cancel, check_large, check_types, check_prepare_ahead))))
