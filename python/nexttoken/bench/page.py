"""Results as one HTML file: tables and plots, nothing loaded from elsewhere, no scripts."""

from __future__ import annotations

import html
import os
from collections.abc import Mapping
from pathlib import Path

from nexttoken.bench.plots import plots
from nexttoken.bench.report import Report
from nexttoken.bench.table import LEFT, SECTIONS, cells, heading
from nexttoken.exceptions import BenchmarkError

__all__ = ["page", "write_page"]

# Plots have dark text and no ground of their own, so the page is light whatever the reader's system prefers.
_STYLE = """
:root { color-scheme: light }
body { font: 15px/1.5 system-ui, sans-serif; color: #1f2328; background: #fff; max-width: 60rem; margin: 2rem auto;
  padding: 0 1rem }
h1 { font-size: 1.5rem } h2 { font-size: 1.15rem; margin-top: 2.2rem }
table { border-collapse: collapse; font-variant-numeric: tabular-nums }
th, td { padding: .2rem .7rem; text-align: right; border-bottom: 1px solid #d0d7de; white-space: nowrap }
th.text, td.text { text-align: left }
.wide { overflow-x: auto } svg { width: 100%; max-width: 46rem; height: auto }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .1rem 1rem } dt { color: #57606a } dd { margin: 0 }
"""


def page(report: Report) -> str:
    """`report` as the text of an HTML page."""
    title = f"nexttoken bench {report.kind}"
    parts = [f"<h1>{title}</h1>", _facts(report)]
    parts += [f"<h2>{html.escape(name)}</h2>\n{svg}" for name, svg in plots(report).items()]
    parts += [_table(report, section) for section in SECTIONS if report.section(section)]
    if report.notes:
        parts.append("<h2>Notes</h2><ul>" + "".join(f"<li>{html.escape(note)}</li>" for note in report.notes) + "</ul>")
    body = "\n".join(parts)
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{_STYLE}</style></head>\n<body>\n{body}\n</body></html>\n"
    )


def write_page(report: Report, path: str | os.PathLike[str]) -> None:
    """Write `page` to a file.

    Raises
    ------
    BenchmarkError
        If it cannot be written.
    """
    text = page(report)
    try:
        Path(path).write_text(text, encoding="utf-8")
    except OSError as error:
        raise BenchmarkError(f"cannot write {os.fspath(path)}: {error.strerror}") from error


def _facts(report: Report) -> str:
    told: Mapping[str, str] = {
        "command": report.command,
        "when": report.created,
        "commit": report.commit or "not a checkout",
        **report.machine,
        "versions": ", ".join(f"{name} {version}" for name, version in report.versions.items()),
    }
    items = "".join(f"<dt>{html.escape(name)}</dt><dd>{html.escape(value)}</dd>" for name, value in told.items())
    return f"<dl>{items}</dl>"


def _table(report: Report, section: str) -> str:
    measurements = report.section(section)
    columns, rows = cells(measurements)
    sides = [' class="text"' if column in LEFT else "" for column in columns]
    head = "".join(f"<th{side}>{html.escape(column)}</th>" for side, column in zip(sides, columns, strict=True))
    body = "\n".join(
        "<tr>" + "".join(f"<td{side}>{html.escape(cell)}</td>" for side, cell in zip(sides, row, strict=True)) + "</tr>"
        for row in rows
    )
    title = f"<h2>{html.escape(SECTIONS[section])}</h2>\n<p>{html.escape(heading(measurements))}</p>"
    return f'{title}\n<div class="wide"><table><tr>{head}</tr>\n{body}\n</table></div>'
