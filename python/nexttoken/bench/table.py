"""Results on a terminal: a progress bar while they come, a table when they are there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from nexttoken.bench.kernels import Tick
from nexttoken.bench.measurement import KERNEL, Measurement
from nexttoken.bench.report import Report
from nexttoken.extras import require

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["LEFT", "SECTIONS", "by", "cells", "heading", "microseconds", "print_report", "progress_bar"]

SECTIONS = {
    "table": "One row, one thread",
    "vocabulary": "Over the vocabulary",
    "nucleus": "Full pipeline over the size of the nucleus",
    "batch": "Full pipeline, mid rows, over the batch size",
    "step": "Sampler.step from Python, beyond the kernel",
    "rivals": "µs a step beside others, one row, one thread",
    "decode": "A token's time",
    "gpu": "µs a step of the whole batch, logits not in the GPU's cache",
    "gpu hot": "µs a step of the whole batch, logits in the GPU's cache",
    "gpu host": "A call of nexttoken.sample on a CUDA tensor, beside torch.argmax",
}
"""Titles, in the order of the tables."""

_COLUMNS = ("case", "by", "vocab", "nucleus", "µs", "10 to 90 %", "x one pass", "x base")
LEFT = ("case", "by")
_SIDE_BY_SIDE = ("rivals", "gpu", "gpu hot")
_ALWAYS = (0, 4, 5, 6)
_RATIO = 6


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
    from rich import box
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = console or Console()
    if not console.is_terminal and console.width < 110:  # a file or a pipe, which has no width of its own
        console = Console(width=110)
    for section, title in SECTIONS.items():
        measurements = report.section(section)
        if not measurements:
            continue
        columns, rows = cells(measurements)
        table = Table(box=box.SIMPLE, collapse_padding=True, pad_edge=False)
        for column in columns:
            table.add_column(column, justify="left" if column in LEFT else "right", no_wrap=True)
        for row in rows:
            table.add_row(*map(escape, row))
        console.print(f"\n[bold]{title}[/bold]: {heading(measurements)}", highlight=False)
        console.print(table)
    for note in report.notes:
        console.print(f"- {note}", markup=False, highlight=False)


def heading(measurements: Sequence[Measurement]) -> str:
    """What the rows of a table have in common."""
    clocks = {"cpu": "CPU time", "wall": "wall time", "gpu": "GPU time"}
    facts = [" and ".join(dict.fromkeys(clocks[m.clock] for m in measurements))]
    if measurements[0].clock == "cpu":  # else rows are where they were
        facts.append("caches swept" if measurements[0].cold else "row in cache")
    makers, vocabs = ({by(m) for m in measurements}, {m.vocab for m in measurements})
    facts += [f"by {makers.pop()}"] if len(makers) == 1 else []
    facts += [f"vocabulary {vocabs.pop()}"] if len(vocabs) == 1 else []
    if measurements[0].clock == "cpu":  # as the floor is
        floors = [m.floor_ns for m in measurements]
        ends = dict.fromkeys((microseconds(min(floors)), microseconds(max(floors))))
        facts.append(f"one pass {' to '.join(ends)} µs")
    return ", ".join(facts)


def by(measurement: Measurement) -> str:
    """Who did it, on which CPU target."""
    return f"{measurement.solver}, {measurement.target}" if measurement.target else measurement.solver


def cells(measurements: Sequence[Measurement]) -> tuple[list[str], list[list[str]]]:
    """A table's columns and rows; a column that says the same in each row, or nothing, is left out.

    Returns
    -------
    columns : list of str
        Titles; those in LEFT hold text, the others numbers.
    rows : list of list of str
        One for each measurement.
    """
    if measurements[0].section in _SIDE_BY_SIDE:
        return _side_by_side(measurements)
    rows = [_row(m) for m in measurements]
    told = [place for place, _ in enumerate(_COLUMNS) if place in _ALWAYS or len({row[place] for row in rows}) > 1]
    if any(m.clock == "wall" for m in measurements):
        told.remove(_RATIO)  # wall time in terms of CPU time says nothing
    return [_COLUMNS[place] for place in told], [[row[place] for place in told] for row in rows]


def _side_by_side(measurements: Sequence[Measurement]) -> tuple[list[str], list[list[str]]]:
    """A column for each solver: its time, and how many times our own it is."""
    batched, vocabs = measurements[0].section != "rivals", {m.vocab for m in measurements}
    # What a row of the table is about: a batch of a vocabulary too, where there are several.
    lines = list(dict.fromkeys((m.vocab, m.batch, m.case) for m in measurements))
    solvers = list(dict.fromkeys(m.solver for m in measurements))
    found = {(m.vocab, m.batch, m.case, m.solver): m for m in measurements}
    rows = []
    for vocab, batch, case in lines:
        told = f"batch {batch}, {case}" if batched else case
        row = [f"{told}, vocabulary {vocab}" if len(vocabs) > 1 else told]
        for solver in solvers:
            m = found.get((vocab, batch, case, solver))
            times = "" if m is None or m.to_baseline is None or solver == KERNEL else f" ({_times(m.to_baseline)})"
            row.append("" if m is None else microseconds(m.median_ns) + times)
        rows.append(row)
    return ["case", *("kernel" if solver == KERNEL else solver for solver in solvers)], rows


def _times(factor: float) -> str:
    return f"{factor:.1f}x" if factor < 10 else f"{factor:,.0f}x"


def _row(m: Measurement) -> list[str]:
    varied = "" if m.to_baseline is None else f"{m.to_baseline:.2f}"
    if m.threads > 1 and m.to_baseline and m.section == "batch":
        varied = f"{1 / m.to_baseline:.2f} x rows/s"
    return [
        f"batch {m.batch}, {m.case}" if m.section == "gpu host" else m.case,
        by(m),
        str(m.vocab),
        "" if m.nucleus is None else f"{m.nucleus:.0f}",
        microseconds(m.median_ns),
        f"{microseconds(m.p10_ns)} to {microseconds(m.p90_ns)}",
        f"{m.ratio:.1f}",
        varied,
    ]


def microseconds(ns: float) -> str:
    """A time to three digits."""
    us = ns / 1e3
    return f"{us:.2f}" if abs(us) < 10 else f"{us:.1f}" if abs(us) < 100 else f"{us:,.0f}"
