"""Medians and ratios of what was measured, as a table, as JSON and as a picture."""

import json
import os
import statistics
from dataclasses import dataclass
from html import escape

from targets import KINDS, REFERENCE, TRANSACTION_REFERENCE

REFERENCES = {kind.key: kind.reference for kind in KINDS}


class Results:
    """Samples by workload and target; a value of one round is compared with the same round's."""

    def __init__(self):
        self.samples: dict[tuple[str, str], dict[str, dict[int, float]]] = {}
        self.calls: dict[tuple[str, str], dict[str, float]] = {}
        self.failures: dict[tuple[str, str], str] = {}

    def add(self, workload: str, target: str, number: int,
            measures: dict[str, float | None]) -> None:
        """What round `number` gave."""
        known = self.samples.setdefault((workload, target), {})
        for name, value in measures.items():
            if value is not None:
                known.setdefault(name, {})[number] = value

    def median(self, workload: str, target: str, measure: str) -> float | None:
        """The median over the rounds."""
        values = self.samples.get((workload, target), {}).get(measure)
        return statistics.median(values.values()) if values else None

    def reference(self, workload: str, target: str) -> str:
        """The row that a target's ratios are to: where its own can't run the workload, PgBouncer's
        in session mode."""
        own = REFERENCES[target]
        return own if (workload, own) in self.samples else REFERENCE

    def ratio(self, workload: str, target: str, measure: str) -> float | None:
        """The median of the rounds' ratios to the reference: slow drift of the machine cancels."""
        own = self.samples.get((workload, target), {}).get(measure, {})
        at = (workload, self.reference(workload, target))
        reference = self.samples.get(at, {}).get(measure, {})
        ratios = [own[number] / reference[number] for number in own if reference.get(number)]
        return statistics.median(ratios) if ratios else None

    def spread(self, workload: str, target: str, measure: str) -> float | None:
        """Half the distance between the lowest and the highest round, as a share of the median."""
        values = list(self.samples.get((workload, target), {}).get(measure, {}).values())
        if len(values) < 2 or not statistics.median(values):
            return None
        return (max(values) - min(values)) / 2 / statistics.median(values)

    def set_calls(self, workload: str, target: str, calls: dict[str, float]) -> None:
        """System calls of a transaction by name; they count as one round."""
        self.calls[workload, target] = {
            name: count for name, count in calls.items() if count > 0.005}
        self.add(workload, target, 0, {"calls": sum(calls.values())})


def _amount(value: float | None) -> str:
    """About three digits, which is more than the machine's noise deserves."""
    if value is None:
        return ""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def _times(value: float | None) -> str:
    return "" if value is None else f"{value:.2f} ×"


def _markdown(rows: list[list[str]]) -> list[str]:
    """Aligned columns, text to the left in the first two and the last; empty ones are left out."""
    kept = [index for index in range(len(rows[0])) if any(row[index] for row in rows[1:])]
    rows = [[row[index] for index in kept] for row in rows]
    widths = [max(len(row[index]) for row in rows) for index in range(len(kept))]
    texts = {0, 1, len(kept) - 1 if rows[0][-1] == CALLS_TITLE else 0}

    def line(row: list[str]) -> str:
        cells = [cell.ljust(width) if index in texts else cell.rjust(width)
                 for index, (cell, width) in enumerate(zip(row, widths))]
        return "| " + " | ".join(cells) + " |"

    rule = ["-" * (width + 1) + ("-" if index in texts else ":")
            for index, width in enumerate(widths)]
    return [line(rows[0]), "|" + "|".join(rule) + "|", *(line(row) for row in rows[1:])]


CALLS_TITLE = "which calls"


def _frequent_calls(calls: dict[str, float]) -> str:
    """The five most frequent system calls of a transaction."""
    top = sorted(calls.items(), key=lambda item: -item[1])[:5]
    return ", ".join(f"{name} {count:.2f}" for name, count in top)


@dataclass(frozen=True)
class Column:
    """A measure's medians, or its ratios to the reference."""

    title: str  # {unit} is filled in
    measure: str
    is_ratio: bool = False
    divisor: int = 1

    def cell(self, results: Results, at: tuple[str, str]) -> str:
        """Empty for what was not measured."""
        if self.is_ratio:
            return _times(results.ratio(*at, self.measure))
        median = results.median(*at, self.measure)
        return _amount(None if median is None else median / self.divisor)


WORK_COLUMNS = (
    Column("{unit}/s", "rate"), Column("rate", "rate", True),
    Column("latency ms", "latency_ms"),
    Column("p50 ms", "p50_ms"), Column("p99 ms", "p99_ms"), Column("p99", "p99_ms", True),
    Column("max ms", "max_ms"), Column("worst client ms", "worst_client_ms"),
    Column("CPU µs/{unit}", "cpu_us"), Column("CPU", "cpu_us", True),
    Column("instructions/{unit}", "instructions"), Column("instr.", "instructions", True),
    Column("wake-ups/{unit}", "wake_ups"),
    Column("calls/{unit}", "calls"), Column("calls", "calls", True),
)
IDLE_COLUMNS = (
    Column("KiB a client", "bytes", divisor=1024), Column("memory", "bytes", True),
    Column("CPU µs/s", "quiet_cpu_us"), Column("with one client", "quiet_cpu_us_alone"),
    Column("wake-ups/s", "quiet_wake_ups"), Column("with one client", "quiet_wake_ups_alone"),
)
SUMMARY_COLUMNS = (*(column for column in WORK_COLUMNS if column.is_ratio),
                   *(column for column in IDLE_COLUMNS if column.is_ratio))


def _row(results: Results, columns: tuple[Column, ...], workload, kind) -> list[str]:
    at = (workload.key, kind.key)
    if at in results.failures:
        reason = results.failures[at].splitlines()[0][:60]
        return [kind.title, "", "", "failed", *[""] * (len(columns) - 1), reason]
    spread = results.spread(*at, "cpu_us")
    return [kind.title, results.reference(*at), "" if spread is None else f"± {spread:.0%}",
            *(column.cell(results, at) for column in columns),
            _frequent_calls(results.calls.get(at, {}))]


def summary(results: Results, workloads: list, kinds: list) -> str:
    """A Markdown table of the ratios alone, of what has one thread as PgBouncer has."""
    rows = [["target", "workload", *(column.title for column in SUMMARY_COLUMNS)]]
    for kind in kinds:
        if kind.is_one_thread and kind.reference != kind.key:
            rows += [[kind.title, workload.key,
                      *(column.cell(results, (workload.key, kind.key))
                        for column in SUMMARY_COLUMNS)]
                     for workload in workloads if (workload.key, kind.key) in results.samples]
    title = "### summary: ratios to PgBouncer in the same pool mode"
    return "\n".join([title, "", *_markdown(rows)]) if len(rows) > 1 else ""


def table(results: Results, workloads: list, kinds: list) -> str:
    """A Markdown table for each workload, and the summary."""
    lines: list[str] = []
    for workload in workloads:
        tested = [kind for kind in kinds
                  if (workload.key, kind.key) in {*results.samples, *results.failures}]
        if not tested:
            continue
        lines += ["", f"### {workload.key}: {workload.title}", ""]
        unit = getattr(workload, "unit", None)
        columns = WORK_COLUMNS if unit else IDLE_COLUMNS
        short = "tx" if unit == "transaction" else unit
        rows = [["target", "ratios to", "spread",
                 *(column.title.format(unit=short) for column in columns), CALLS_TITLE]]
        rows += [_row(results, columns, workload, kind) for kind in tested]
        lines += _markdown(rows)
    lines += ["", summary(results, workloads, kinds)]
    return "\n".join(lines).strip()


def as_json(results: Results, workloads: list, kinds: list) -> str:
    """All samples by round, with medians and ratios."""
    document: dict = {"cores": os.cpu_count(), "workloads": {}}
    for workload in workloads:
        entry = document["workloads"][workload.key] = {"title": workload.title, "targets": {}}
        for kind in kinds:
            at = (workload.key, kind.key)
            if at in results.failures:
                entry["targets"][kind.key] = {"failure": results.failures[at]}
            elif at in results.samples:
                entry["targets"][kind.key] = {
                    "reference": results.reference(*at),
                    "measures": {name: {"median": results.median(*at, name),
                                        "ratio": results.ratio(*at, name),
                                        "rounds": list(values.values())}
                                 for name, values in results.samples[at].items()},
                    "calls": results.calls.get(at, {})}
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


BAR_HEIGHT = 14
LABEL_WIDTH = 170
PIXELS_PER_UNIT = 110
COLOURS = ("#9aa5b1", "#5b8def", "#8fb3f5", "#e0a458", "#2f9e6e", "#7fcfab")


def plot(results: Results, workloads: list, kinds: list) -> str:
    """An SVG picture: CPU time of each target as a ratio to PgBouncer, a bar for each."""
    kinds = [kind for kind in kinds if kind.reference in (REFERENCE, TRANSACTION_REFERENCE)]
    y = 30
    title = "CPU time of the proxy, PgBouncer in the same pool mode = 1"
    shapes = [f'<text x="10" y="18" class="title">{title}</text>']
    right = LABEL_WIDTH
    for workload in workloads:
        bars = [(index, kind, results.ratio(workload.key, kind.key, "cpu_us"))
                for index, kind in enumerate(kinds)]
        bars = [bar for bar in bars if bar[2] is not None]
        if not bars:
            continue
        y += 16
        shapes.append(f'<text x="10" y="{y}" class="title">{escape(workload.title)}</text>')
        y += 6
        for index, kind, ratio in bars:
            width = ratio * PIXELS_PER_UNIT
            right = max(right, LABEL_WIDTH + width)
            shapes += [
                f'<text x="{LABEL_WIDTH - 8}" y="{y + 11}" text-anchor="end">'
                f'{escape(kind.title)}</text>',
                f'<rect x="{LABEL_WIDTH}" y="{y}" width="{width:.1f}" height="{BAR_HEIGHT - 2}" '
                f'fill="{COLOURS[index % len(COLOURS)]}"/>',
                f'<text x="{LABEL_WIDTH + width + 6:.1f}" y="{y + 11}">{ratio:.2f}</text>']
            y += BAR_HEIGHT
    line = LABEL_WIDTH + PIXELS_PER_UNIT
    shapes.append(f'<line x1="{line}" y1="28" x2="{line}" y2="{y + 4}" '
                  f'stroke="#444" stroke-dasharray="3 3"/>')
    width, height = round(max(right + 60, 480)), y + 16
    style = "text{font:11px sans-serif;fill:#222}.title{font-weight:bold}"
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
            f'viewBox="0 0 {width} {height}">\n<style>{style}</style>\n'
            f'<rect width="100%" height="100%" fill="white"/>\n' + "\n".join(shapes) + "\n</svg>\n")
