"""Plots as SVG text: self-contained, no scripts, nothing from elsewhere."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from nexttoken.bench.measurement import Measurement
from nexttoken.bench.report import Report
from nexttoken.extras import require

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure
    from matplotlib.ticker import Locator

__all__ = ["figures", "plots", "svg"]

_COLORS = ("#1f6feb", "#d1690e", "#2da44e", "#8250df", "#bf3989", "#57606a")
_NO_METADATA = {"Date": None, "Creator": None, "Format": None, "Type": None}


def plots(report: Report) -> dict[str, str]:
    """All plots that the report has the numbers for, as SVG elements by their titles."""
    return {title: svg(figure) for title, figure in figures(report).items()}


def figures(report: Report) -> dict[str, Figure]:
    """All plots that the report has the numbers for, by their titles."""
    require("matplotlib", "bench")
    drawn: dict[str, Figure] = {}
    for title, section, draw in _PLOTS:
        measurements = report.section(section)
        if section == "vocabulary":  # the table has its first point
            names = {m.case for m in measurements}
            measurements = [m for m in report.section("table") if m.case in names] + measurements
        figure = draw(measurements) if measurements else None
        if figure is not None:
            drawn[title] = figure
    return drawn


def svg(figure: Figure, *, standalone: bool = False) -> str:
    """A figure as SVG.

    Parameters
    ----------
    figure : Figure
        What to draw.
    standalone : bool
        A file of its own, with the declarations that needs; otherwise an element to stand inside a page.
    """
    import matplotlib

    out = io.StringIO()
    # Text stays text, set in the reader's font; a fixed salt makes the same picture the same bytes.
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "nexttoken", "font.family": "sans-serif"}):
        figure.savefig(out, format="svg", metadata=_NO_METADATA, bbox_inches="tight", transparent=not standalone)
    text = out.getvalue()
    if standalone:
        return re.sub(r"<!DOCTYPE[^>]*>\s*", "", text)
    tag, _, content = text[text.index("<svg") :].partition(">")
    # Inside a page, HTML knows the namespaces, and the style says how wide.
    return re.sub(r' (xmlns(:\w+)?|version|width|height)="[^"]*"', "", tag) + ">" + content


def _axes(x: str, y: str) -> tuple[Figure, Axes]:
    # Figures of their own, not pyplot's: those would be kept, and would look for a screen.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 3.8))
    axes = figure.add_subplot()
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(True, which="major", color="#d0d7de", linewidth=0.6)
    axes.set_axisbelow(True)  # the grid lies below bars
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _lines(
    axes: Axes,
    measurements: Sequence[Measurement],
    line: Callable[[Measurement], str],
    x: Callable[[Measurement], float | None],
) -> None:
    """A line through the medians, and the spread as a band. The medians decide how far the axis goes."""
    medians = [m.median_ns / 1e3 for m in measurements]
    for color, label in zip(_COLORS * 9, dict.fromkeys(map(line, measurements)), strict=False):
        found = ((x(m), m) for m in measurements if line(m) == label)
        points = sorted(((at, m) for at, m in found if at is not None), key=lambda point: point[0])
        xs = [at for at, _ in points]
        axes.plot(xs, [m.median_ns / 1e3 for _, m in points], "o-", ms=3.5, lw=1.4, color=color, label=label)
        if len(points) > 1:  # a band over one point has no width, and would still stretch the axes
            low, high = [m.p10_ns / 1e3 for _, m in points], [m.p90_ns / 1e3 for _, m in points]
            axes.fill_between(xs, low, high, color=color, alpha=0.15, linewidth=0)
    axes.set_ylim(0, 1.1 * max(medians))
    _legend_outside(axes)


def _legend_outside(axes: Axes) -> None:
    axes.legend(frameon=False, fontsize="small", loc="upper left", bbox_to_anchor=(1.01, 1))


def _plain(axis: Axis) -> None:
    """Numbers as people write them, in place of powers."""
    axis.set_major_formatter(lambda value, _: f"{value:,.10g}")


def _named(m: Measurement, text: str, measurements: Sequence[Measurement]) -> str:
    several = len({other.target for other in measurements}) > 1
    return f"{text}, {m.target}" if several else text


def _over_vocabulary(measurements: Sequence[Measurement]) -> Figure | None:
    """Of the first target alone: all cases of several are more lines than can be told apart."""
    first = [m for m in measurements if m.target == measurements[0].target]
    if len({m.vocab for m in first}) < 2:
        return None
    several = len(first) < len(measurements)
    figure, axes = _axes("tokens in the vocabulary", "µs a row, CPU time" + f", {first[0].target}" * several)
    _lines(axes, first, lambda m: m.case, lambda m: m.vocab)
    floors = sorted({m.vocab: m.floor_ns / 1e3 for m in first}.items())
    axes.plot(*zip(*floors, strict=True), "--", color="#57606a", lw=1, label="one pass")
    ends = [floor for _, floor in floors] + [m.median_ns / 1e3 for m in first]
    axes.set_yscale("log")
    axes.set_ylim(min(ends) / 1.2, max(ends) * 1.2)
    axes.yaxis.set_major_locator(_steps())
    axes.yaxis.minorticks_off()
    _plain(axes.xaxis)
    _plain(axes.yaxis)
    _legend_outside(axes)
    return figure


def _steps() -> Locator:
    """1, 2, 5, 10, 20, 50 ... along a logarithmic axis."""
    from matplotlib.ticker import LogLocator

    return LogLocator(subs=(1.0, 2.0, 5.0))


def _over_nucleus(measurements: Sequence[Measurement]) -> Figure | None:
    figure, axes = _axes("tokens in the nucleus (median)", "µs a row, CPU time")
    _lines(axes, measurements, lambda m: _named(m, "full pipeline", measurements), lambda m: m.nucleus)
    axes.set_xscale("log")
    axes.xaxis.minorticks_off()
    _plain(axes.xaxis)
    return figure


def _over_batch(measurements: Sequence[Measurement]) -> Figure | None:
    batches = sorted({m.batch for m in measurements})
    if len(batches) < 2:
        return None
    figure, axes = _axes("rows in the batch", "µs a row, wall time")
    threads = {count: f"{count} thread" + "s" * (count > 1) for count in (m.threads for m in measurements)}
    _lines(axes, measurements, lambda m: _named(m, threads[m.threads], measurements), lambda m: m.batch)
    axes.set_xscale("log", base=2)
    axes.set_xticks(batches, map(str, batches))
    axes.minorticks_off()
    return figure


def _against_rivals(measurements: Sequence[Measurement]) -> Figure | None:
    """How many times our own cost each rival takes."""
    others = [m for m in measurements if not m.ours and m.to_baseline is not None]
    rivals, cases = (list(dict.fromkeys(names)) for names in ((m.solver for m in others), (m.case for m in others)))
    if not others:
        return None
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 0.9 + 0.22 * len(cases) * (len(rivals) + 1)))
    axes = figure.add_subplot()
    height = 0.8 / len(rivals)
    for place, rival in enumerate(rivals):
        found = {m.case: m.to_baseline for m in others if m.solver == rival and m.to_baseline is not None}
        at = [index + (place - (len(rivals) - 1) / 2) * height for index, case in enumerate(cases) if case in found]
        widths = [found[case] for case in cases if case in found]
        axes.barh(at, widths, height * 0.9, color=_COLORS[(place + 1) % len(_COLORS)], label=rival)
        for y, width in zip(at, widths, strict=True):
            axes.text(width, y, f" {width:,.0f}x" if width >= 10 else f" {width:.1f}x", va="center", fontsize=7)
    axes.axvline(1, color=_COLORS[0], lw=1.4, label="nexttoken")
    axes.set_yticks(range(len(cases)), cases)
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.set_xlim(left=min(0.5, *axes.get_xlim()[:1]))
    axes.set_xlabel("CPU time of a step from Python, in steps of nexttoken")
    _plain(axes.xaxis)
    axes.spines[["top", "right"]].set_visible(False)
    _legend_outside(axes)
    return figure


def _token_time(measurements: Sequence[Measurement]) -> Figure | None:
    figure, axes = _axes("µs a token, wall time", "")
    figure.set_size_inches(6.4, 1.8)
    parts = [m for m in measurements if m.baseline is not None]
    left = 0.0
    for color, m in zip(_COLORS * 2, parts, strict=False):
        width = m.median_ns / 1e3
        axes.barh(0, width, left=left, color=color, label=f"{m.case}: {width:,.1f}")
        if width < 0:  # a difference within its noise: it goes back over the part before, and is marked
            axes.barh(0, width, left=left, color="none", edgecolor="white", hatch="////", linewidth=0)
        left += width
    wholes = [m for m in measurements if m.baseline is None]
    for place, m in enumerate(wholes, 1):
        axes.barh(place, m.median_ns / 1e3, color="#d0d7de")
    axes.set_yticks(range(len(wholes) + 1), ["its parts", *(m.case for m in wholes)])
    axes.legend(frameon=False, fontsize="small", loc="upper left", bbox_to_anchor=(0, -0.35), ncols=2)
    return figure


_PLOTS: tuple[tuple[str, str, Callable[[Sequence[Measurement]], Any]], ...] = (
    ("Cost over the vocabulary", "vocabulary", _over_vocabulary),
    ("Cost over the size of the nucleus", "nucleus", _over_nucleus),
    ("Cost over the batch size", "batch", _over_batch),
    ("Times the cost of nexttoken", "rivals", _against_rivals),
    ("A token's time", "decode", _token_time),
)
