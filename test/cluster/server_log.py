"""What clients have sent to a server, as its own log tells it.

The log must have the prefix of harness.SERVER_SETTINGS and log_statement = all. A Parse alone is seen only where
log_min_duration_statement = 0 is set as well, for instance by ALTER DATABASE.
"""

import re
from dataclasses import dataclass

_HEAD = re.compile(r"(\d+)\|(.*?)\|(.*?)\| ([A-Z]+):  (.*)", re.DOTALL)
_LOGGED = re.compile(r"(?:duration: [\d.]+ ms  )?(?:(statement)|(execute|parse) .*?): (.*)", re.DOTALL)


@dataclass(frozen=True)
class Entry:
    """One message of a client."""
    pid: int
    application: str
    database: str
    how: str  # "statement" (a simple query), "execute", "parse", or "refused" (it was in error)
    text: str


def _lines(log: str):
    """The entries of the log with their own line ends; the server puts a tab behind those."""
    entry = None
    for line in log.split("\n"):
        if line.startswith("\t") and entry is not None:
            entry += "\n" + line[1:]
            continue
        if entry is not None:
            yield entry
        entry = line
    if entry is not None:
        yield entry


def entries(log: str) -> list[Entry]:
    """What clients other than the harness sent, in order. A text that failed comes twice if it could be parsed."""
    found = []
    for line in _lines(log):
        head = _HEAD.fullmatch(line)
        if head is None or head[2] == "harness":
            continue
        if head[4] == "STATEMENT":
            found.append(Entry(int(head[1]), head[2], head[3], "refused", head[5]))
        elif head[4] == "LOG" and (logged := _LOGGED.fullmatch(head[5])):
            found.append(Entry(int(head[1]), head[2], head[3], logged[1] or logged[2], logged[3]))
    return found
