"""Tables and charts of the documentation from benchmarks/results: `make bench-docs`.

Fills what stands between ``<!-- benchmark: NAME -->`` and ``<!-- end of benchmark -->`` in README.md,
docs/performance.md, docs/plugging-in.md and docs/serving.md, and draws docs/*.svg. Numbers on those pages come from no
other place.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from nexttoken.bench.plots import figures, svg
from nexttoken.bench.report import Report, read_report
from nexttoken.bench.table import LEFT, SECTIONS, cells, heading

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
PAGES = ("README.md", "docs/performance.md", "docs/plugging-in.md", "docs/serving.md")
MARKED = re.compile(r"(<!-- benchmark: ([\w-]+) -->\n)(.*?)(<!-- end of benchmark -->)", re.DOTALL)
CHARTS = {
    "rivals": ("rivals", "Times the cost of nexttoken"),
    "vocabulary": ("kernels", "Cost over the vocabulary"),
    "nucleus": ("kernels", "Cost over the size of the nucleus"),
    "batch": ("kernels", "Cost over the batch size"),
    "decode": ("decode", "A token's time"),
}
"""Name of each chart: the report it is of, and its title there."""


FORMS = ("plain", "streamed")


NOT_MEASURED = {
    name: f"No result of a GPU is committed yet: `make {verb}` makes one, on a machine that has one.\n"
    for name, verb in (("gpu-bench", "gpu-check-bench"), ("gpu-parity", "gpu-check-parity"))
}
"""What is said in place of a result that is not there."""


def reports() -> dict[str, Report]:
    """The committed results by kind, those of a GPU by name; checks, and what a server does, are no reports."""
    others = ("gpu-parity", "gpu-sanitize", "gpu-python", "serving", "hosts")
    paths = [path for path in sorted(RESULTS.glob("*.json")) if path.stem not in others]
    return {path.stem: read_report(path) for path in paths}


def parity_text() -> str:
    """What a GPU was compared with, in a sentence; empty where it was not."""
    path = RESULTS / "gpu-parity.json"
    if not path.exists():
        return ""
    found = json.loads(path.read_text())
    return (
        f"`make gpu-check-parity` on one {found['device']}: {found['rows']:,} different rows, compared "
        f"{found['comparisons']:,} times, {found['different']:,} times different.\n"
    )


def serving_text() -> str:
    """What a server brings and costs; empty where it was not measured."""
    path = RESULTS / "serving.json"
    if not path.exists():
        return ""
    found = json.loads(path.read_text())
    rates, ratios = found["tokens_per_second"], found["times_one_at_a_time"]
    counts = [name.removeprefix("plain, ").removesuffix(" at once") for name in rates if name.startswith("plain")]
    rows = [
        [
            count,
            *(f"{rates[f'{form}, {count} at once']:,} ({ratios[f'{form}, {count} at once']:.1f} x)" for form in FORMS),
            f"{found['model_step_ms'][count]:.2f}",
        ]
        for count in counts
    ]
    columns = ["requests at once", *(f"tokens per second, {form}" for form in FORMS), "ms a step of the model"]
    where = f"{found['machine']['cpu']}, {found['machine']['cores']} cores, which clients and server share"
    return (
        f"`{found['command']}` at commit {found['commit']}: {where}.\n\n{markdown(columns, rows)}\n\n"
        f"- {found['answers_compared']:,} answers in company, compared with those of the same requests alone: "
        f"{found['answers_different_in_company']} different.\n"
        f"- The first byte of a stream comes after {found['first_byte_ms']:.1f} ms, of which one forward pass over the "
        f"prompt is {found['prompt_forward_ms']:.1f}.\n"
    )


def hosts_text() -> str:
    """Each runtime's own sampling beside ours; empty where none was measured."""
    path = RESULTS / "hosts.json"
    if not path.exists():
        return ""
    found = json.loads(path.read_text())
    columns = [
        "runtime",
        "way",
        "own, tokens/s",
        "ours, tokens/s",
        "ours : own",
        "own, us beyond bare",
        "ours, us beyond bare",
    ]
    rows, notes = [], []
    for name, host in found.items():
        ways = {way: figures["median_us"] for way, figures in host["ways"].items()}
        for way in [way for way in ways if way.startswith("ours")]:
            own = ways.get(way.replace("ours", "own"))
            bare = ways.get(way.replace("ours", "bare"), ways.get("bare", 0.0))
            if own is None:
                continue
            label = way.removeprefix("ours").strip(" ,") or "penalties, top_p 0.95"
            rates = [f"{host['tokens_per_second'][each]:,}" for each in (way.replace("ours", "own"), way)]
            beyond = [f"{own - bare:,.0f}", f"{ways[way] - bare:,.0f}"]
            rows.append([f"{name} {host['version']}", label, *rates, f"{own / ways[way]:.2f} x", *beyond])
        machine = host["machine"]
        notes.append(
            f"- **{name}** ({machine['cpu']}, {machine['cores']} cores, {host['rounds']} rounds of {host['tokens']} "
            f"tokens, commit {host['commit']}): {host['note']}"
        )
    return markdown(columns, rows) + "\n\n" + "\n".join(notes) + "\n"


def markdown(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table."""
    rule = ["---" if column in (*LEFT, "runtime", "way") else "---:" for column in columns]
    return "\n".join("| " + " | ".join(line) + " |" for line in [columns, rule, *rows])


def section_text(report: Report, section: str) -> str:
    """A section's heading and table."""
    measurements = report.section(section)
    if not measurements:
        return ""
    return f"**{SECTIONS[section]}**: {heading(measurements)}.\n\n{markdown(*cells(measurements))}\n"


def report_text(report: Report) -> str:
    """All tables of a report, where and how they were measured, and what they hide."""
    where = ", ".join(f"{name} {value}" if name != "cpu" else value for name, value in report.machine.items())
    versions = ", ".join(f"{name} {value}" for name, value in report.versions.items())
    told = f"`{report.command}` at commit {report.commit}, {report.created[:10]}: {where}; {versions}.\n"
    tables = [text for section in SECTIONS if (text := section_text(report, section))]
    notes = "\n".join(f"- {note}" for note in report.notes) + "\n"
    return "\n".join([told, *tables, notes])


def chart_text(name: str, page: str, found: dict[str, Report]) -> str:
    """An image, described in words."""
    kind, title = CHARTS[name]
    if kind not in found or title not in figures(found[kind]):
        return ""
    source = f"docs/{name}.svg" if page == "README.md" else f"{name}.svg"
    return f"![{title}]({source})\n"


def filled(page: str, text: str, found: dict[str, Report]) -> str:
    """`text` of a page with what is marked in it made anew."""

    def fill(match: re.Match[str]) -> str:
        name = match[2]
        content = ""
        if name.startswith("chart-"):
            content = chart_text(name.removeprefix("chart-"), page, found)
        elif name == "gpu-parity":
            content = parity_text()
        elif name == "serving":
            content = serving_text()
        elif name == "hosts":
            content = hosts_text()
        elif name in found:
            content = report_text(found[name])
        return match[1] + (content or NOT_MEASURED.get(name, "Not measured yet.\n")) + match[4]

    return MARKED.sub(fill, text)


def main(write: Callable[[Path, str], object] = Path.write_text) -> None:
    """Write pages and charts."""
    found = reports()
    for page in PAGES:
        path = ROOT / page
        write(path, filled(page, path.read_text(), found))
    for name, (kind, title) in CHARTS.items():
        figure = figures(found[kind]).get(title) if kind in found else None
        if figure is not None:
            write(ROOT / "docs" / f"{name}.svg", svg(figure, standalone=True))


if __name__ == "__main__":
    main()
