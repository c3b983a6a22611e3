"""Results on a terminal: a progress bar while they come, a table when they are there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from nexttoken.bench.kernels import Tick
from nexttoken.bench.measurement import Measurement
from nexttoken.bench.report import Report
from nexttoken.extras import require

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["COLUMNS", "SECTIONS", "cells", "heading", "markdown_table", "print_report", "progress_bar"]

SECTIONS = {
    "table": "One row, one thread",
    "vocabulary": "Over the vocabulary",
    "nucleus": "Over the size of the nucleus",
    "batch": "Over the batch size",
    "step": "Sampler.step from Python, beyond the kernel",
    "rivals": "Beside others, one row, one thread",
    "decode": "A token's time",
}
"""Titles, in the order of the tables."""

COLUMNS = ("case", "by", "vocab", "nucleus", "µs", "10 to 90 %", "x one pass", "x its baseline")


@contextmanager
def progress_bar(steps: int) -> Iterator[Tick]:
    """A bar on stderr, which leaves no trace; yields what moves it one step on."""
    require("rich", "bench")
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=steps)
        started = False

        def tick(description: str) -> None:
            nonlocal started
            progress.update(task, description=description, advance=1 if started else 0)
            started = True

        yield tick


def print_report(report: Report, console: Console | None = None) -> None:
    """Print the sections of `report` as tables, then its notes."""
    require("rich", "bench")
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = console or Console()
    for section, title in SECTIONS.items():
        measurements = report.section(section)
        if not measurements:
            continue
        table = Table(title=f"{title} ({heading(measurements)})", title_justify="left")
        for column, text in enumerate(COLUMNS):
            table.add_column(text, justify="left" if column < 2 else "right", no_wrap=column > 1)
        for measurement in measurements:
            table.add_row(*map(escape, cells(measurement)))
        console.print(table)
    for note in report.notes:
        console.print(f"- {note}", markup=False, highlight=False)


def heading(measurements: Sequence[Measurement]) -> str:
    """What the rows of a table have in common."""
    clocks = {"cpu": "CPU time", "wall": "wall time"}
    facts = [" and ".join(dict.fromkeys(clocks[m.clock] for m in measurements))]
    facts.append("caches swept" if measurements[0].cold else "row in cache")
    floors = sorted({round(m.floor_ns / 1e3, 1) for m in measurements})
    facts.append(f"one pass {floors[0]:g}" + (f" to {floors[-1]:g}" if len(floors) > 1 else "") + " µs")
    return ", ".join(facts)


def cells(measurement: Measurement) -> list[str]:
    """One row of a table."""
    m = measurement
    by = f"{m.solver}, {m.target}" if m.target else m.solver
    varied = "" if m.to_baseline is None else f"{m.to_baseline:.2f}"
    if m.threads > 1 and m.to_baseline:
        varied = f"{1 / m.to_baseline:.2f} x rows/s"
    return [
        m.case,
        by,
        str(m.vocab),
        "" if m.nucleus is None else f"{m.nucleus:.0f}",
        _microseconds(m.median_ns),
        f"{_microseconds(m.p10_ns)} to {_microseconds(m.p90_ns)}",
        f"{m.ratio:.1f}",
        varied,
    ]


def _microseconds(ns: float) -> str:
    us = ns / 1e3
    return f"{us:.2f}" if abs(us) < 10 else f"{us:.1f}" if abs(us) < 100 else f"{us:,.0f}"


def markdown_table(rows: Sequence[Sequence[Any]], head: Sequence[str]) -> str:
    """A table for a page of documentation: the first column is text, the others are numbers."""
    rule = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join("| " + " | ".join(map(str, row)) + " |" for row in [head, rule, *rows])
