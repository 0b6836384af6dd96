"""One script, played three times on one cluster: through pgtorii, through Pgpool-II, and at the primary itself.

Each way has a database of its own, made from the same template: what one does is not seen by the others, and the
servers' logs tell by the database who sent a statement. Standbys replay before a COMMIT is answered (remote_apply), so
that what was committed is seen everywhere.
"""

import re
from dataclasses import dataclass, field

import harness
import server_log
import wire
from statement_grammar import SCHEMA, Step

PGTORII, PGPOOL, DIRECT = "dt_a", "dt_b", "dt_c"
PRIMARY, STANDBY = 0, 1
TEMPLATE = "dt_template"


def prepare(cluster: harness.Cluster) -> None:
    """Makes the databases, and the standby synchronous."""
    cluster.primary.run(f"CREATE DATABASE {TEMPLATE}")
    with cluster.primary.session(dbname=TEMPLATE) as own:
        own.run(SCHEMA)
    with cluster.primary.session() as own:
        for name in (PGTORII, PGPOOL, DIRECT):
            own.run(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}")
            own.run(f"ALTER DATABASE {name} SET log_min_duration_statement = 0")  # then a Parse alone is logged
            own.run(f"ALTER DATABASE {name} SET synchronous_commit = remote_apply")
        own.run("ALTER SYSTEM SET synchronous_standby_names = '*'")
        own.run("SELECT pg_reload_conf()")
    cluster.wait_for_replay()


@dataclass
class Seen:
    """What became of one step on one of the ways."""
    nodes: tuple[int, ...] = ()   # the servers that were sent the statement, lowest first
    result: str = "OK"            # or the SQLSTATE, or "closed"
    tags: list[str] = field(default_factory=list)
    rows: list[tuple] = field(default_factory=list)
    status: str = ""              # that of ReadyForQuery
    standby_log: str = ""

    def __str__(self):
        where = {(): "none", (PRIMARY,): "primary", (STANDBY,): "standby"}.get(self.nodes, "both")
        return f"{where} {self.result}"


class Way:
    """A way to the servers: where to connect, and the database whose statements are its own."""

    def __init__(self, cluster: harness.Cluster, database: str, port: int):
        self.cluster, self.database, self.port = cluster, database, port

    def play(self, script: list[Step]) -> list[Seen]:
        """All steps in one session. After the end of its connection each step is `closed`."""
        client = wire.Wire(self.port).log_in(user="postgres", database=self.database, application_name="differential")
        seen: list[Seen] = []
        for step in script:
            if seen and seen[-1].result == "closed":
                seen.append(Seen(result="closed"))
                continue
            seen.append(self._step(client, step))
        if seen[-1].result != "closed":
            client.close()
        self._wait_for_end()
        return seen

    def _step(self, client: wire.Wire, step: Step) -> Seen:
        marks = [server.log.mark() for server in self.cluster.servers]
        try:
            answer = client.ask(request(step))
        except ConnectionError:
            answer = wire.Answer()
        found = Seen(tags=answer.tags)
        errors = [each.fields() for each in answer.messages if each.kind == "E"]
        if not answer.kinds.endswith("Z"):
            found.result = "closed"
        else:
            found.result = errors[0]["C"] if errors else "OK"
            found.rows, found.status = sorted(answer.rows, key=repr), answer.status
        logs = [server.log.since(mark) for server, mark in zip(self.cluster.servers, marks, strict=True)]
        found.nodes = tuple(node for node, log in enumerate(logs) if self._is_in(step, log))
        found.standby_log = "\n".join(line for line in logs[STANDBY].split("\n") if f"|{self.database}| " in line)
        return found

    def _is_in(self, step: Step, log: str) -> bool:
        wanted = {"simple": "statement", "extended": "execute" if step.sql else "parse", "parse": "parse",
                  "bind": "execute"}[step.how]
        return any(entry.database == self.database and entry.text == step.sql and entry.how in (wanted, "refused")
                   for entry in server_log.entries(log))

    def _wait_for_end(self) -> None:
        """Until the session has left no lock behind: one that follows must not wait for it."""
        harness.wait_until(lambda: self.cluster.primary.one(
            "SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database"
            f" WHERE d.datname = '{self.database}'") == 0, f"no session holds locks in {self.database}")


def request(step: Step) -> bytes:
    if step.how == "simple":
        return wire.query(step.sql)
    if step.how == "extended":
        return wire.ask(step.sql)
    if step.how == "parse":
        return wire.parse(step.sql, step.name) + wire.SYNC
    return wire.bind(statement=step.name) + wire.execute() + wire.SYNC


@dataclass
class Compared:
    """One step and what became of it on the three ways."""
    script: list[Step]
    at: int
    pgtorii: list[Seen]
    pgpool: list[Seen]
    direct: list[Seen]

    @property
    def step(self) -> Step:
        return self.script[self.at]

    @property
    def here(self) -> Seen:
        return self.pgtorii[self.at]

    @property
    def there(self) -> Seen:
        return self.pgpool[self.at]

    @property
    def true(self) -> Seen:
        """What PostgreSQL itself says."""
        return self.direct[self.at]

    @property
    def status_before(self) -> str:
        return self.direct[self.at - 1].status if self.at else "I"

    def transaction(self) -> list[int]:
        """The steps before this one that belong to its transaction, from its beginning on. Empty outside of one."""
        first = self.at
        while first > 0 and self.direct[first - 1].status != "I":
            first -= 1
        return list(range(first, self.at))

    def text(self, at: int | None = None) -> str:
        """The text of a step without comments at its ends and blanks."""
        sql = self.script[self.at if at is None else at].sql
        return re.sub(r"/\* \d+\.\d+ \*/", "", sql).strip()

    def __str__(self):
        lines = []
        for at, step in enumerate(self.script[:self.at + 1]):
            lines.append(f"    {step}\n        pgtorii {self.pgtorii[at]}, Pgpool-II {self.pgpool[at]}, "
                         f"PostgreSQL {self.direct[at].result} {self.direct[at].status}")
        return "\n".join(lines)
