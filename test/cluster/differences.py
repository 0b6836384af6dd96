"""What docs/differences.md says, for the tests that hold it to its word."""

import re
from dataclasses import dataclass
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "differences.md"

_HEADING = re.compile(r"### (D-[A-Z0-9-]+): .+")
_ROW = re.compile(r"\| (R\d+) \| .* \| (D-[A-Z0-9-]+) \| ([a-z -]+) \| (\S+) \|")


@dataclass(frozen=True)
class ListedRow:
    """A row of routing-cases.tsv that ends otherwise here."""
    difference: str
    destination: str
    result: str


def names() -> list[str]:
    """The names of all differences, in the order of the page."""
    return [found[1] for line in PAGE.read_text().splitlines() if (found := _HEADING.fullmatch(line))]


def listed_rows() -> dict[str, ListedRow]:
    """By id of the row."""
    found = {}
    for line in PAGE.read_text().splitlines():
        if match := _ROW.fullmatch(line):
            assert match[1] not in found, f"{match[1]} is listed twice"
            found[match[1]] = ListedRow(match[2], match[3], match[4])
    return found
