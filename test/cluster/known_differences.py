"""Which named difference of docs/differences.md explains that a statement went elsewhere than with Pgpool-II."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from differential import PRIMARY, STANDBY, Compared

Predicate = Callable[[Compared], bool]

BOTH, ON_PRIMARY, ON_STANDBY, NOWHERE = (PRIMARY, STANDBY), (PRIMARY,), (STANDBY,), ()
ANYWHERE = (BOTH, ON_PRIMARY, ON_STANDBY, NOWHERE)

# Statements that Pgpool-II sends to two servers: they begin, end or change what the session has on each.
STATE = (r"(BEGIN|START|COMMIT|END|ROLLBACK|ABORT|SAVEPOINT|RELEASE|SET|RESET|DISCARD|DEALLOCATE|"
         r"LOCK TABLE item IN (ACCESS|ROW) SHARE)\b")
# What only the catalog knows to write, or what a standby refuses although its catalog entry says that it reads.
BELOW_NAMES = r"volatile_view|cart_view|@\+@"
REFUSED_BY_STANDBYS = r"txid_current\("
DEFAULT_LEVEL = "DISCARD ALL|RESET ALL|CHARACTERISTICS .*LEVEL"
# Names that mean one thing in the schema public and another in shop.
TWO_MEANINGS = r"\b(cart|item|f_same\(\)|pg_class)\b"
CHANGES = r"\b(INSERT|UPDATE|DELETE|MERGE|TRUNCATE|CALL|DO|LOCK)\b"
WRITES = (r"nextval|setval|set_config|f_volatile|f_writes|f_set_volatile|f_over|shop\.f_same|Odd Name|random|uuid|"
          r"clock_timestamp|pg_(is_in_recovery|sleep|relation_size|try_advisory)")
ROW_LOCK = r"\bFOR (NO KEY |KEY )?(UPDATE|SHARE)"

# What a SELECT must not read on a standby.
NO_READ = r"\b(cart|pg_class|pg_namespace|pg_stat_activity|pg_settings|mine)\b"


@dataclass(frozen=True)
class Known:
    """One difference: where Pgpool-II sends the statement, where pgtorii does, and under which condition."""
    name: str
    there: tuple[tuple[int, ...], ...]
    here: tuple[tuple[int, ...], ...]
    applies: Predicate


def text(pattern: str) -> Predicate:
    """The text of the statement contains this."""
    return lambda case: re.search(pattern, case.text(), re.IGNORECASE) is not None


def starts(pattern: str) -> Predicate:
    return lambda case: re.match(pattern, case.text(), re.IGNORECASE) is not None


def since(pattern: str, until: str = "DISCARD ALL") -> Predicate:
    """A statement of the session before this one contains the first, and none after it the second. What failed, and
    what was only parsed, has not happened."""
    def holds(case: Compared) -> bool:
        found = False
        for at in range(case.at):
            if case.direct[at].result == "OK" and case.script[at].how != "parse":
                found = re.search(pattern, case.text(at), re.IGNORECASE) is not None or (
                    found and re.search(until, case.text(at), re.IGNORECASE) is None)
        return found
    return holds


def in_transaction(pattern: str) -> Predicate:
    """A statement of this transaction before this one contains it."""
    return lambda case: any(re.search(pattern, case.text(at), re.IGNORECASE) for at in case.transaction())


def touched(pattern: str) -> Predicate:
    """The statement itself contains it, or one before it in the transaction, which counts as writing since."""
    return either(text(pattern), in_transaction(pattern))


def every(*predicates: Predicate) -> Predicate:
    return lambda case: all(each(case) for each in predicates)


def either(*predicates: Predicate) -> Predicate:
    return lambda case: any(each(case) for each in predicates)


def how(*ways: str) -> Predicate:
    return lambda case: case.step.how in ways


def has_failed(case: Compared) -> bool:
    """The transaction had failed before this statement, as PostgreSQL sees it."""
    return case.status_before == "E"


def is_right(case: Compared) -> bool:
    """Does pgtorii answer as PostgreSQL does?"""
    return case.here.result == case.true.result


def has_lost(case: Compared) -> bool:
    """Pgpool-II has ended the session before."""
    return any(seen.result == "closed" for seen in case.pgpool[:case.at + 1])


def parted(case: Compared) -> int | None:
    """The step since which Pgpool-II's session is in another transaction state than PostgreSQL's own. None: it is not."""
    first = case.at
    while first > 0 and case.pgpool[first - 1].status != case.direct[first - 1].status:
        first -= 1
    return first if first < case.at else None


def has_taken_name(case: Compared) -> bool:
    """Pgpool-II's names of prepared statements are others: by this Bind, or by a Parse that it took and PostgreSQL not.
    A name that is taken is refused where it is; that may be elsewhere than the new text would go."""
    at = parted(case)
    is_unknown = case.step.how == "bind" and "26000" in (case.there.result, case.here.result)
    return is_unknown or case.here.result == "42P05" or (
        at is not None and case.direct[at].result == "42P05")


def is_refused_by_hidden_query(case: Compared) -> bool:
    return case.there.result == "25001" and case.true.result != "25001"


def ignores_error(case: Compared) -> bool:
    """Pgpool-II's transaction goes on after an error of a read. Chained, it even keeps what a failed one would lose."""
    steps = case.transaction()
    is_chained = any(case.direct[at].status == "E" for at in steps) and in_transaction("AND CHAIN")(case)
    return any(case.direct[at].status == "E" and case.pgpool[at].status == "T" for at in steps) or (
        is_chained and (case.there.result, case.true.result) == ("25006", "OK"))


def goes_on_failing(case: Compared) -> bool:
    """Pgpool-II refuses statements although no transaction is open."""
    return case.status_before == "I" and case.there.result == "25P02"


def second_begin(case: Compared) -> bool:
    begun = [at for at in case.transaction() if re.search(r"\b(BEGIN|START)\b", case.text(at))]
    return len(begun) > 1


KNOWN = (
    Known("D-LOST-SESSION", (NOWHERE,), (NOWHERE, ON_PRIMARY, ON_STANDBY), has_lost),
    Known("D-LATE-STATE", (BOTH,), (ON_PRIMARY, NOWHERE), starts(STATE)),
    Known("D-LATE-STATE", ANYWHERE, (NOWHERE, ON_STANDBY), every(starts("DEALLOCATE"), is_right)),
    Known("D-HIDDEN-QUERY", ANYWHERE, ANYWHERE, every(is_refused_by_hidden_query, is_right)),
    Known("D-PREPARED-NAMES", ANYWHERE, ANYWHERE, every(has_taken_name, is_right)),
    Known("D-ERROR-OF-READER", ANYWHERE, ANYWHERE, every(ignores_error, is_right)),
    Known("D-FAILED-COMMIT", (NOWHERE,), (ON_PRIMARY, ON_STANDBY), goes_on_failing),
    Known("D-FAILED-TRANSACTION", (NOWHERE, ON_STANDBY), (ON_PRIMARY,), every(has_failed, is_right)),
    Known("D-COPY-CHECKS", (ON_STANDBY,), (ON_PRIMARY,),
          either(every(starts("COPY"), text(f"{ROW_LOCK}|{WRITES}|{REFUSED_BY_STANDBYS}|{BELOW_NAMES}|{NO_READ}")),
                 in_transaction(rf"^COPY .*({ROW_LOCK}|{WRITES})"))),
    Known("D-STANDBY-REFUSES", (ON_STANDBY,), (ON_PRIMARY,), touched(REFUSED_BY_STANDBYS)),
    Known("D-BELOW-NAMES", (ON_STANDBY,), (ON_PRIMARY,), touched(BELOW_NAMES)),
    Known("D-NESTED-LOCK", (ON_STANDBY,), (ON_PRIMARY,), in_transaction(rf"\(SELECT [^()]*{ROW_LOCK}")),
    Known("D-OWN-TEMPORARY", (ON_STANDBY,), (ON_PRIMARY,),
          either(text(r"pg_temp\."), since("TEMP ", "DISCARD (ALL|TEMP)"))),
    Known("D-SET-CONFIG", (ON_STANDBY,), (ON_PRIMARY,), since(r"set_config|\b(DO|CALL)\b|SET .*;")),
    Known("D-MULTI-WRITE", (ON_STANDBY,), (ON_PRIMARY,), in_transaction(rf";.*({CHANGES})|({CHANGES}).*;")),
    Known("D-MULTI-BEGIN", (ON_STANDBY,), (ON_PRIMARY,), in_transaction(r";.*\bBEGIN|\bBEGIN;")),
    Known("D-ROLLBACK-TO", (ON_STANDBY,), (ON_PRIMARY,), in_transaction(r"^ROLLBACK TO")),
    Known("D-SECOND-BEGIN", (ON_STANDBY,), (ON_PRIMARY,), second_begin),
    Known("D-REPEATABLE-READ", (ON_STANDBY,), (ON_PRIMARY,),
          either(in_transaction("REPEATABLE READ|SERIALIZABLE"),
                 since("(default_|CHARACTERISTICS).*(REPEATABLE|SERIALIZABLE)", DEFAULT_LEVEL))),
    Known("D-SERIALIZABLE", (ON_STANDBY,), (ON_PRIMARY,), since("= 'serializable'", DEFAULT_LEVEL)),
    Known("D-SEARCH-PATH", (ON_STANDBY, ON_PRIMARY), (ON_PRIMARY, ON_STANDBY),
          every(since("SET search_path"), text(TWO_MEANINGS))),
    Known("D-WITH-NAME", (ON_PRIMARY,), (ON_STANDBY,), text(r"WITH cart AS \(SELECT 1 AS id\)")),
    Known("D-OWN-PG-NAME", (ON_PRIMARY,), (ON_STANDBY,), text(r"shop\.pg_class")),
    Known("D-FUNCTION-PATH", (ON_PRIMARY,), (ON_STANDBY,), touched(r"\bf_same\(\)")),
    Known("D-COMMENT-ALONE", (ON_PRIMARY,), (ON_STANDBY,), in_transaction(r"^(--|/\*) nothing")),
    Known("D-PREPARE-READ", (ON_PRIMARY,), (ON_STANDBY, NOWHERE),
          either(starts("(PREPARE|EXECUTE|DEALLOCATE)"), in_transaction("^(PREPARE|EXECUTE|DEALLOCATE)"))),
    Known("D-RETURN-TO-STANDBY", (ON_PRIMARY,), (ON_STANDBY,), how("bind")),
)


def name_of(case: Compared) -> str | None:
    """The difference that explains this one. None: no difference is known that does."""
    at = parted(case)
    if at is not None and case.pgpool[at].status == "E" and case.there.result == "25P02" and is_right(case):
        return name_of(replace(case, at=at))  # an error that PostgreSQL does not know has failed the transaction
    return next((known.name for known in KNOWN if case.there.nodes in known.there and case.here.nodes in known.here
                 and known.applies(case)), None)
