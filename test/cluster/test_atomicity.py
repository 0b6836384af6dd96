"""What a client was told about its writes is what has happened, on whichever server something failed."""

import contextlib
import os
import random
import signal
import socket
import threading

import harness
import replies
import stories
import wire
from gate import Gate
from stories import BROKEN, BROKEN_LATE, BROKEN_ON_STANDBY, SLOW, Teller
from wire import FLUSH, SYNC, execute, message, parse, query

STANDBYS = 1
FIRST_SEED = int(os.environ.get("PGTORII_SEED", 1))
COUNT = int(os.environ.get("PGTORII_STORIES", 120))


def prepare(cluster):
    cluster.run(stories.SCHEMA)


def seeds(count: int = COUNT) -> range:
    return range(FIRST_SEED, FIRST_SEED + max(1, count // (4 if Gate.sanitizer else 1)))


def tokens_on(server) -> set[int]:
    with server.session() as own:
        return {row[0] for row in own.rows("SELECT token FROM tokens")}


def complaint(account: stories.Account, there: set[int]) -> str:
    """What the client was told that isn't so."""
    parts = []
    if account.kept - there:
        parts.append(f"told committed, but not there: {sorted(account.kept - there)}")
    if account.gone & there:
        parts.append(f"told rolled back, but there: {sorted(account.gone & there)}")
    return "; ".join(parts)


def wait_for_rest(server) -> None:
    """Returns when no session does anything on a server: what still was under way has ended."""
    harness.wait_until(lambda: server.count_backends("state <> 'idle'") == 0, f"{server.name} is at rest")


def check_stories(gate: Gate, server, failing: list[str], *, set_up: str = "", which=None) -> list[stories.Account]:
    """One session after the other. `server`: where the writes are, in the end."""
    lived, seen = [], []
    for seed in which or seeds():
        story = Teller(seed, failing).story()
        try:
            with gate.wire() as client:
                if set_up:
                    client.query(set_up)
                account = stories.live(client, story, seed)
        except AssertionError as failure:
            raise AssertionError(f"seed {seed}: {failure}\n" + "\n".join(map(str, story))) from failure
        lived.append(account)
        seen.append((seed, story, account))
    wait_for_rest(server)
    there = tokens_on(server)
    wrong = [f"seed {seed}: {text}\n  " + "\n  ".join(map(str, story))
             for seed, story, account in seen if (text := complaint(account, there))]
    assert not wrong, "\n" + "\n".join(wrong[:3])
    return lived


# Reads that fail -----------------------------------------------------------------------------------------------------

def test_reads_that_fail_on_the_standby(cluster):
    for settings in ({}, {"disable_load_balance_on_write": "off"}):
        with Gate(cluster, **settings) as gate:
            mark = cluster.standbys[0].log.mark()
            lived = check_stories(gate, cluster.primary, [BROKEN, BROKEN_LATE, BROKEN_ON_STANDBY])
            assert "division by zero" in cluster.standbys[0].log.since(mark)
            assert any(each.kept for each in lived) and any(each.gone for each in lived)
            assert not any(each.unknown for each in lived)


def test_reads_that_fail_on_either_server(cluster):
    with Gate(cluster, weights=(1, 1), statement_level_load_balance="on", disable_load_balance_on_write="off") as gate:
        check_stories(gate, cluster.primary, [BROKEN, BROKEN_LATE, BROKEN_ON_STANDBY],
                      which=(seed + 10_000 for seed in seeds()))


def test_reads_that_take_too_long(cluster):
    for settings in ({}, {"disable_load_balance_on_write": "off"}):
        with Gate(cluster, **settings) as gate:
            check_stories(gate, cluster.primary, [SLOW], set_up="SET statement_timeout = 15",
                          which=(seed + 20_000 for seed in seeds(COUNT // 3)))


# Faults from outside -------------------------------------------------------------------------------------------------

@contextlib.contextmanager
def meanwhile(act):
    """Does something again and again, in a thread of its own, for as long as the block runs."""
    over, failures = threading.Event(), []

    def repeat():
        try:
            while not over.is_set():
                act()
        except Exception as failure:
            failures.append(failure)

    thread = threading.Thread(target=repeat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
    if failures:
        raise failures[0]


def killer_of_backends(server, chance: random.Random):
    """Ends the sessions that clients have on a server, some at a time, at moments that vary."""
    session = server.session()

    def act():
        session.rows("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'client backend'"
                     " AND application_name = 'teller' AND random() < 0.5")
        threading.Event().wait(chance.choice((0.002, 0.01, 0.03)))
    return act


def tellers_in_parallel(gate: Gate, server, first: int, *, failing: list[str], count: int = 3) -> list[stories.Account]:
    """Several sessions at a time, which may be thrown out at any moment."""
    lived, lock = [], threading.Lock()

    def one(number: int):
        for seed in seeds(COUNT // 2):
            own = first + number * 1000 + seed
            story = Teller(own, failing).story()
            try:
                client = wire.Wire(gate.port).log_in(user="postgres", database="postgres", application_name="teller")
            except (AssertionError, OSError):
                continue  # no server for it just now
            with client:
                account = stories.live(client, story, own)
            with lock:
                lived.append((own, story, account))

    harness.run_in_parallel(*(lambda number=number: one(number) for number in range(count)))
    wait_for_rest(server)
    there = tokens_on(server)
    wrong = [f"seed {seed}: {text}\n  " + "\n  ".join(map(str, story))
             for seed, story, account in lived if (text := complaint(account, there))]
    assert not wrong, "\n" + "\n".join(wrong[:3])
    return [account for _, _, account in lived]


def test_sessions_on_the_standby_are_ended_at_random(cluster):
    for mode in ("transaction", "off"):
        with Gate(cluster, disable_load_balance_on_write=mode) as gate:
            with meanwhile(killer_of_backends(cluster.standbys[0], random.Random(1))):
                lived = tellers_in_parallel(gate, cluster.primary, 30_000, failing=[BROKEN, SLOW])
            assert any(each.kept for each in lived)


def test_sessions_on_the_primary_are_ended_at_random(cluster):
    for mode in ("transaction", "off"):
        with Gate(cluster, disable_load_balance_on_write=mode) as gate:
            with meanwhile(killer_of_backends(cluster.primary, random.Random(2))):
                lived = tellers_in_parallel(gate, cluster.primary, 40_000, failing=[BROKEN])
            assert any(each.kept for each in lived)


def test_reads_that_recovery_cancels(cluster):
    """The primary locks a table that is being read; the standby does not wait for its readers."""
    standby = cluster.standbys[0]
    standby.set("max_standby_streaming_delay", "0")
    locker = cluster.primary.session()
    try:
        for mode in ("transaction", "off"):
            with Gate(cluster, disable_load_balance_on_write=mode) as gate:
                mark = standby.log.mark()
                with meanwhile(lambda: (locker.run("BEGIN; LOCK TABLE rows IN ACCESS EXCLUSIVE MODE; COMMIT"),
                                        threading.Event().wait(0.01))):
                    tellers_in_parallel(gate, cluster.primary, 50_000, failing=[SLOW])
                assert "conflict with recovery" in standby.log.since(mark)
    finally:
        locker.close()
        standby.set("max_standby_streaming_delay", "30s")


# Servers that go, freeze and change roles ----------------------------------------------------------------------------

def new_cluster(standbys: int = 1) -> harness.Cluster:
    cluster = harness.Cluster(standbys)
    cluster.run(stories.SCHEMA)
    return cluster


def test_a_frozen_standby_in_the_middle_of_stories():
    with new_cluster() as cluster:
        standby = cluster.standbys[0]
        for mode in ("transaction", "off"):
            with Gate(cluster, health_check_timeout=1, connect_timeout=1000, disable_load_balance_on_write=mode) as gate:
                thread = threading.Timer(0.3, standby.freeze)
                thread.start()
                try:
                    harness.run_in_parallel(*(lambda first=first: check_stories(
                        gate, cluster.primary, [BROKEN], which=range(first, first + 10)) for first in (60_000, 61_000)))
                finally:
                    thread.join()
                    standby.thaw()
                gate.wait_for_status(1, "up")


def test_a_standby_that_crashes_in_the_middle_of_stories():
    with new_cluster() as cluster, Gate(cluster) as gate:
        standby = cluster.standbys[0]

        def crash():
            standby.stop(signal.SIGKILL)
            standby.start()
        with meanwhile(crash):
            tellers_in_parallel(gate, cluster.primary, 70_000, failing=[BROKEN, SLOW], count=2)


def test_a_promotion_in_the_middle_of_stories():
    """The primary dies; what it has told to be committed the standby has, because commits wait for it."""
    for seed in (1, 2):
        with new_cluster() as cluster, Gate(cluster, disable_load_balance_on_write=("transaction", "off")[seed % 2]) as gate:
            old, new = cluster.servers
            old.run("ALTER SYSTEM SET synchronous_standby_names = '*'")
            old.run("SELECT pg_reload_conf()")
            harness.wait_until(lambda: old.one("SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'") == 1,
                               "the standby is synchronous")
            new.set("synchronous_standby_names", "")

            def promote():
                threading.Event().wait(0.2 * seed)
                old.stop(signal.SIGQUIT)
                new.promote()
                gate.wait_for_primary(1)
            teller = threading.Thread(target=promote)
            teller.start()
            lived = tellers_in_parallel(gate, new, 80_000 + 5000 * seed, failing=[BROKEN], count=2)
            teller.join()
            assert any(each.kept for each in lived)


def test_a_transaction_that_reads_on_a_standby_while_it_is_promoted():
    """The view changes between two statements. What follows is told as it is."""
    for seed, (reads_first, writes_first) in enumerate(((True, False), (True, True), (False, True))):
        with new_cluster() as cluster, Gate(cluster, disable_load_balance_on_write="off") as gate, gate.wire() as client, \
                gate.session() as asker:
            old, new = cluster.servers
            story = [stories.Statement("BEGIN", "begin")]
            story += [stories.insert()] if writes_first else []
            story += [stories.read("SELECT i FROM one_row")] if reads_first else []
            account = stories.Account()
            for each in story:
                group = stories.Group(seed % 2 == 0, [each])
                account.take(group, client.ask(group.bytes()), [])
            cluster.wait_for_replay()
            old.stop(signal.SIGQUIT)
            gate.wait_for_status(0, "down", asker)
            new.promote()
            gate.wait_for_primary(1, asker)
            for each in (stories.read("SELECT i FROM one_row"), stories.insert(), stories.Statement("COMMIT", "commit")):
                if not account.is_over:
                    group = stories.Group(True, [each])
                    account.take(group, client.ask(group.bytes()), [])
            account.finish()
            wait_for_rest(new)
            assert not complaint(account, tokens_on(new)), (reads_first, writes_first)
            with gate.wire() as later:
                assert later.query("INSERT INTO tokens VALUES (0) RETURNING token").one == "0"


def test_a_standby_that_is_promoted_beside_a_primary_that_lives():
    """A transaction is open on both. Whatever is decided about who is the primary, the client hears the truth."""
    with new_cluster(2) as cluster, Gate(cluster, weights=(0, 1, 0), disable_load_balance_on_write="off") as gate, \
            gate.wire() as client:
        account = stories.Account()
        for each in (stories.Statement("BEGIN", "begin"), stories.insert(), stories.read("SELECT i FROM one_row")):
            group = stories.Group(True, [each])
            account.take(group, client.ask(group.bytes()), [])
        cluster.standbys[0].promote()
        mark = gate.log.mark()
        threading.Event().wait(2.5)  # two looks at the servers; what the log says about it is not ours to judge here
        for each in (stories.read("SELECT i FROM one_row"), stories.insert(), stories.Statement("COMMIT", "commit")):
            if not account.is_over:
                group = stories.Group(True, [each])
                account.take(group, client.ask(group.bytes()), [])
        account.finish()
        there = tokens_on(cluster.primary)
        assert not complaint(account, there), gate.log.since(mark)


# Clients that leave in the middle ------------------------------------------------------------------------------------

def follower_finds_all_well(gate: Gate, cluster) -> None:
    """With one link for each server, the next session has what the one before has left."""
    with gate.wire() as client:
        assert client.query("SELECT count(*) FROM one_row").one == "1"
        token = stories.insert()
        assert client.ask(wire.ask(token.sql)).tags == ["INSERT 0 1"]
        assert client.query(f"SELECT count(*) FROM tokens WHERE token = {token.token} FOR UPDATE").error["C"] == "0A000"
        assert client.query(f"DELETE FROM tokens WHERE token = {token.token}").tags == ["DELETE 1"]
    assert gate.process.poll() is None


LEAVERS = {
    "in mid-message": [query("INSERT INTO tokens VALUES (-1)")[:-5]],
    "in a head": [query("INSERT INTO tokens VALUES (-1)")[:3]],
    "in a long message": [query(f"INSERT INTO tokens VALUES (-1) /* {'x' * 3_000_000} */")[:1_000_000]],
    "in a long Bind": [parse("INSERT INTO tokens SELECT -1 WHERE $1 <> ''"), wire.bind("x" * 3_000_000)[:1_500_000]],
    "behind a Parse": [parse("INSERT INTO tokens VALUES (-1)"), FLUSH],
    "behind an Execute that wasn't synchronised": [parse("INSERT INTO tokens VALUES (-1)"), wire.bind(), execute(), FLUSH],
    "in a Parse behind an Execute": [parse("INSERT INTO tokens VALUES (-1)"), wire.bind(), execute(),
                                     parse("SELECT 1")[:-3]],
    "in a read in parts": [parse("SELECT * FROM rows"), wire.bind(), execute(rows=5), FLUSH],
    "in a transaction": [query("BEGIN"), query("INSERT INTO tokens VALUES (-1)"), query("SELECT i FROM one_row")],
    "in a failed transaction": [query("BEGIN"), query("INSERT INTO tokens VALUES (-1)"), query(BROKEN)],
    "in a transaction, in mid-message": [query("BEGIN"), query("INSERT INTO tokens VALUES (-1)"), query("COMMIT")[:-2]],
    "in a COPY": [query("COPY tokens FROM STDIN"), message(b"d", b"-1\n")],
    "in a message of a COPY": [query("COPY tokens FROM STDIN"), message(b"d", b"-1\n" + b"-2\n" * 10)[:12]],
    "in a COPY of a unit": [parse("COPY tokens FROM STDIN"), wire.bind(), execute(), message(b"d", b"-1\n")],
    "in a big result": [query("SELECT a.filling FROM rows a, rows b, rows c")],
    "in a COPY out": [query("COPY (SELECT a.filling FROM rows a, rows b, rows c) TO STDOUT")],
    "in many results": [query("SELECT filling FROM rows")] * 300,
}


def test_clients_that_leave_in_the_middle(cluster):
    """Nothing of what they have left reaches the next session, and nothing is committed."""
    with Gate(cluster, num_init_children=1, max_pool=1) as gate:
        for name, parts in LEAVERS.items():
            for how in ("abort", "half close", "terminate"):
                with gate.wire() as client:
                    chance = random.Random(name + how)
                    stream = b"".join(parts)
                    cut = chance.randint(1, len(stream) - 1)
                    writer = threading.Thread(target=send_what_goes, args=(client, [stream[:cut], stream[cut:]]))
                    writer.start()
                    if chance.random() < 0.5:
                        writer.join(0.2)  # what is under way when it leaves varies
                    if how == "half close":
                        with contextlib.suppress(OSError):
                            client.socket.shutdown(socket.SHUT_WR)
                    elif how == "terminate":
                        writer.join(0.5)
                        client.socket.settimeout(0.5)
                        send_what_goes(client, [wire.TERMINATE])
                writer.join()
                follower_finds_all_well(gate, cluster)
        wait_for_rest(cluster.primary)
        assert min(tokens_on(cluster.primary), default=1) > 0, "what nobody has committed is there"


def send_what_goes(client: wire.Wire, parts: list[bytes]) -> None:
    with contextlib.suppress(OSError):
        client.send(*parts)


def test_a_session_that_leaves_and_one_that_waits_for_its_link(cluster):
    """The waiting one gets a link that the other has left in mid-message, or a new one; never its replies."""
    with Gate(cluster, num_init_children=1, max_pool=1) as gate:
        for name, parts in LEAVERS.items():
            with gate.wire() as leaver:
                leaver.query("SELECT 1")
                waiting = wire.Wire(gate.port)
                waiting.send(wire.start_up(user="postgres", database="postgres"), query("SELECT 'mine'"), wire.TERMINATE)
                writer = threading.Thread(target=send_what_goes, args=(leaver, parts))
                writer.start()
                writer.join(0.1)
            writer.join()
            with waiting:
                rows = [each.values() for each in replies.split(waiting.read_to_end())[0] if each.kind == "D"]
            assert rows == [("mine",)], name


# What sessions are told in unusual orders ----------------------------------------------------------------------------

def test_units_of_a_sync_alone_between_writes(cluster):
    with Gate(cluster) as gate, gate.wire() as client:
        first, second, third = stories.insert(), stories.insert(), stories.insert()
        client.send(SYNC, parse(first.sql), wire.bind(), execute(), SYNC, SYNC, SYNC, query(second.sql), SYNC,
                    parse(third.sql), wire.bind(), execute(), parse("SELEC"), SYNC, SYNC)
        kinds = [client.answer().kinds for _ in range(8)]
        assert kinds == ["Z", "12CZ", "Z", "Z", "CZ", "Z", "12CEZ", "Z"], kinds
        assert {first.token, second.token} <= tokens_on(cluster.primary)
        assert third.token not in tokens_on(cluster.primary)


def test_commit_and_begin_in_one_text(cluster):
    for mode in ("transaction", "off"):
        with Gate(cluster, disable_load_balance_on_write=mode) as gate, gate.wire() as client:
            first, second = stories.insert(), stories.insert()
            client.query("BEGIN")
            client.query("SELECT i FROM one_row")
            client.query(first.sql)
            chained = client.query("COMMIT; BEGIN")
            assert (chained.tags, chained.status) == (["COMMIT", "BEGIN"], "T")
            client.query("SELECT i FROM one_row")
            client.query(second.sql)
            assert client.query(BROKEN).status == "E"
            ended = client.query("ROLLBACK; BEGIN")
            assert (ended.tags, ended.status) == (["ROLLBACK", "BEGIN"], "T")
            assert client.query("COMMIT").tags == ["COMMIT"]
            assert first.token in tokens_on(cluster.primary) and second.token not in tokens_on(cluster.primary)


def test_a_failed_unit_and_a_query_behind_it(cluster):
    """The Query stands in the failed unit, and is skipped with it; behind the Sync it runs."""
    with Gate(cluster) as gate, gate.wire() as client:
        skipped, done = stories.insert(), stories.insert()
        client.send(parse(BROKEN), wire.bind(), execute(), query(skipped.sql), SYNC, query(done.sql))
        assert client.answer().kinds == "12EZ" and client.answer().kinds == "CZ"
        there = tokens_on(cluster.primary)
        assert skipped.token not in there and done.token in there


def test_one_byte_at_a_time_on_both_sides(cluster):
    """A client that sends a byte at a time, and takes the reply a byte at a time."""
    with Gate(cluster) as gate, gate.wire() as client:
        first, second = stories.insert(), stories.insert()
        stream = b"".join((query("BEGIN"), query(first.sql), query("SELECT i FROM one_row"), query("COMMIT"),
                           parse(second.sql), wire.bind(), execute(), parse(BROKEN), wire.bind(), execute(), SYNC,
                           wire.TERMINATE))
        received = b""
        writer = threading.Thread(target=lambda: [client.send(bytes([each])) for each in stream])
        writer.start()
        while more := client.socket.recv(1):
            received += more
        writer.join()
        kinds = "".join(each.kind for each in replies.split(received)[0])
        assert kinds == "CZ" "CZ" "TDCZ" "CZ" "12C12EZ", kinds
        assert first.token in tokens_on(cluster.primary) and second.token not in tokens_on(cluster.primary)


def test_prepared_statements_left_on_other_links(cluster):
    """The next session may use the same names, on each server, for something else."""
    with Gate(cluster, num_init_children=1, max_pool=1) as gate:
        for number in range(4):
            with gate.wire() as client:
                for _ in range(2):
                    for name, sql in (("a", f"SELECT {number}"), ("b", f"SELECT {number} FROM one_row FOR UPDATE")):
                        answer = client.ask(wire.close_statement(name), parse(sql, name), wire.bind(statement=name),
                                            execute(), SYNC)
                        # A NOTICE tells who has to wait for the link.
                        assert answer.kinds.lstrip("N") == "312DCZ" and answer.one == str(number)
                client.query("SELECT 1")
                client.close()
