"""Generated statements, sent through pgtorii, through the real Pgpool-II, and to the primary itself.

Where both send a statement to the same server, all is well. Where not, docs/differences.md must know why. What a client
sees through pgtorii must be what PostgreSQL itself would have answered, and no standby is ever asked to write.
PGTORII_DIFFERENTIAL_SEED and PGTORII_DIFFERENTIAL_SCRIPTS play others, and more, than the usual ones.
"""

import collections
import os
import re

import differences
import differential
import known_differences
from differential import DIRECT, PGPOOL, PGTORII, Compared, Way
from gate import Gate
from pgpool import Pgpool
from run import Skip
from statement_grammar import Writer

STANDBYS = 1
SEED = int(os.environ.get("PGTORII_DIFFERENTIAL_SEED", 20))
SCRIPTS = int(os.environ.get("PGTORII_DIFFERENTIAL_SCRIPTS", 176))

WRITING_TEXT = re.compile(
    r"^(INSERT|UPDATE|DELETE|MERGE|CREATE|DROP|ALTER|TRUNCATE|CALL|DO|VACUUM|ANALYZE|GRANT|REFRESH|COMMENT|NOTIFY)\b|"
    r"^(LISTEN|LOCK .* EXCLUSIVE)\b|"
    r"\bINTO\b|\bFOR (NO KEY )?(UPDATE|(KEY )?SHARE)\b|\b(UPDATE|DELETE FROM|INSERT INTO)\b|"
    r"\b(nextval|setval|f_writes|pg_try_advisory\w*|txid_current)\(")
REFUSAL = re.compile(r"cannot (execute .* in a read-only transaction|.* during recovery)")

prepare = differential.prepare


def shows_write(case: Compared) -> str:
    """What a standby was sent that it must not be sent; nothing if all is well."""
    for line in case.here.standby_log.split("\n"):
        told = line.partition("| ")[2]
        if REFUSAL.search(told):
            return told
        found = re.match(r"LOG:  .*?(?:statement|execute [^:]*|parse [^:]*): (.*)", told)
        if found and WRITING_TEXT.search(found[1]):
            return found[1]
    return ""


def differs_from_postgresql(case: Compared) -> bool:
    """Is the answer another than PostgreSQL's own?"""
    here, true = case.here, case.true
    if (here.result, here.status, here.tags) != (true.result, true.status, true.tags):
        return True
    return case.step.fixed and here.rows != true.rows


def judge(case: Compared, counts: collections.Counter) -> str:
    """What is wrong with one step; nothing if all is well. Counts where it went."""
    if text := shows_write(case):
        return f"the standby was sent {text!r}"
    if differs_from_postgresql(case):
        return f"PostgreSQL answers {case.true.result} {case.true.tags} {case.true.rows[:3]}, here it is " \
               f"{case.here.result} {case.here.tags} {case.here.rows[:3]}"
    if case.here.nodes == case.there.nodes:
        counts["the same server"] += 1
        return ""
    name = known_differences.name_of(case)
    if name is None:
        return f"Pgpool-II: {case.there}, pgtorii: {case.here}; no known difference explains it"
    counts[name] += 1
    return ""


def play(cluster, numbers: range) -> None:
    """Plays scripts, and fails with those that have a statement which is not as it should be."""
    if Pgpool.program() is None:
        raise Skip("Pgpool-II is not installed; .packages names it")
    counts, problems, steps = collections.Counter(), [], 0
    with Gate(cluster) as gate, Pgpool(cluster) as pgpool:
        ways = [Way(cluster, PGTORII, gate.port), Way(cluster, PGPOOL, pgpool.port),
                Way(cluster, DIRECT, cluster.primary.port)]
        for number in numbers:
            script = Writer(SEED, number).script()
            played = [way.play(script) for way in ways]
            steps += len(script)
            for at in range(len(script)):
                case = Compared(script, at, *played)
                if problem := judge(case, counts):
                    problems.append(f"seed {SEED}, script {number}, step {at + 1}: {problem}\n{case}")
                    break
    print(f"{steps} statements:", ", ".join(f"{name} {count}" for name, count in counts.most_common()))
    print(*problems[:int(os.environ.get("PGTORII_DIFFERENTIAL_SHOWN", 10))], sep="\n")
    assert not problems, f"{len(problems)} of {len(numbers)} scripts have statements that are not explained"
    unknown = set(counts) - {"the same server", *differences.names()}
    assert not unknown, f"docs/differences.md does not have {unknown}"


def part(number: int):
    """A test of one eighth of the scripts. Each has a time limit of its own."""
    def test(cluster):
        play(cluster, range(SCRIPTS * number // 8, SCRIPTS * (number + 1) // 8))
    test.__name__ = f"test_generated_statements_{number + 1}"
    return test


for number in range(8):
    globals()[f"test_generated_statements_{number + 1}"] = part(number)
