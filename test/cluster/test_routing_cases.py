"""Every case of routing-cases.tsv, seen on the real Pgpool-II, played through the gate on a real primary and standby.

A case ends as it ended on Pgpool-II, or docs/differences.md says how it ends here, and why that is better.
"""

import itertools
import re

import differences
from gate import Gate
from routing_cases import FIXTURE, Outcome, Player, Row, read_rows

STANDBYS = 1


def prepare(cluster):
    cluster.primary.run("CREATE DATABASE rt")
    with cluster.primary.session(dbname="rt") as own:
        own.run(FIXTURE.read_text())
        own.run("ALTER DATABASE rt SET log_min_duration_statement = 0")  # then a Parse alone is logged
    cluster.wait_for_replay()


def judge(row: Row, outcome: Outcome, listed: dict[str, differences.ListedRow]) -> str:
    """What is wrong with an outcome; nothing if it is as it should be."""
    wanted = listed.get(row.id, row)
    if (outcome.destination, outcome.result) == (wanted.destination, wanted.result):
        return ""
    return f"wanted {wanted.destination} {wanted.result}, got {outcome}"


def play(cluster, rows: list[Row]) -> None:
    """Plays rows of one configuration after another, and fails with a table of those that ended otherwise."""
    listed, failures = differences.listed_rows(), []
    for _, group in itertools.groupby(sorted(rows, key=lambda row: row.config), key=lambda row: row.config):
        group = list(group)
        with Gate(cluster, **gate_settings(group[0])) as gate:
            for row in group:
                outcome = Player(cluster, gate, row).play()
                if problem := judge(row, outcome, listed):
                    failures.append(f"{row.id} {row.protocol:8} {row.statement!r} after {row.setup} [{row.config}]\n"
                                    f"      {problem}; {outcome.seen}")
    if failures:
        print(*failures, sep="\n")
    assert not failures, f"{len(failures)} of {len(rows)} cases ended otherwise"


def gate_settings(row: Row) -> dict:
    settings = row.settings()
    weights = (settings.pop("backend_weight0", 0), settings.pop("backend_weight1", 1))
    return {"weights": weights, **settings}


def test_cases_with_default_settings(cluster):
    play(cluster, [row for row in read_rows() if row.config == "default"])


def test_cases_with_other_settings(cluster):
    play(cluster, [row for row in read_rows() if row.config != "default"])


def can_be_explained(row: Row) -> bool:
    """One statement that goes to one server, and does not find the transaction failed. DEALLOCATE may need no server."""
    return (row.protocol == "simple" and row.destination not in ("all", "none") and ";" not in row.statement
            and row.result != "42601" and re.search(r"^\W*[A-Z]", row.statement) is not None
            and not row.statement.startswith("DEALLOCATE"))


def test_explain_route_tells_where_a_statement_goes(cluster):
    problems = []
    with Gate(cluster) as gate:
        for row in read_rows():
            if row.config == "default" and can_be_explained(row):
                outcome = Player(cluster, gate, row).play(explains=True)
                if outcome.told != outcome.destination:
                    problems.append(f"{row.id} {row.statement!r}: told {outcome.told}, went to {outcome.destination}")
    print(*problems, sep="\n")
    assert not problems


def test_listed_cases_differ_from_pgpool():
    """A case on the list that ends like Pgpool-II's is no difference; each belongs to one that the page explains."""
    rows, names = {row.id: row for row in read_rows()}, differences.names()
    for row_id, listed in differences.listed_rows().items():
        row = rows[row_id]
        assert (listed.destination, listed.result) != (row.destination, row.result), row_id
        assert listed.difference in names, listed.difference
