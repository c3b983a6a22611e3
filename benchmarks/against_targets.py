"""Measured against targets.json, for the CPU target that was measured first.

For the vocabulary of the full table, where a target does not name its vocabularies.

    python benchmarks/against_targets.py [FOLDER]     default: benchmarks/results

Exit status 0: all met. 1: one was missed. 2: one was not measured.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from nexttoken.bench.measurement import KERNEL, Measurement
from nexttoken.bench.report import Report, read_report

HERE = Path(__file__).parent
FILES = {"kernels": "kernels", "rivals": "rivals", "gpu": "gpu-bench"}
"""Kind of report and the file it is in."""


def find(report: Report | None, target: dict[str, Any], vocab: int | None) -> Measurement | None:
    """The measurement that `target` is about; for a vocabulary, it may be in either of two sections."""
    section = target.get("section", {"kernels": "table"}.get(target["report"], target["report"]))
    sections = (section,) if vocab is None or target["report"] == "gpu" else ("table", "vocabulary")
    named = (target["case"], target.get("solver", "nexttoken"))
    batch = target.get("batch")
    for m in report.measurements if report else ():
        if (
            m.section in sections
            and (m.case, m.solver) == named
            and vocab in (None, m.vocab)
            and batch in (None, m.batch)
        ):
            return m
    return None


def value(report: Report, m: Measurement, what: str) -> float:
    """The number that a target is held against."""
    if what == "ratio":
        return m.ratio
    if what == "microseconds":
        return m.median_ns / 1e3
    if what == "to_kernel":
        kernels = {other.case: other for other in report.measurements if other.solver == KERNEL}
        return m.median_ns / kernels[m.case].median_ns
    assert m.to_baseline is not None, m.case
    return 1 / m.to_baseline if what == "speedup" else m.to_baseline


def judge(target: dict[str, Any], number: float) -> bool:
    """Whether `number` meets the target."""
    return bool(number <= target["at_most"]) if "at_most" in target else bool(number >= target["at_least"])


UNITS = {
    "ratio": "x one pass",
    "to_baseline": "x its baseline",
    "speedup": "x rows/s",
    "microseconds": "µs",
    "to_kernel": "x our kernel",
}


def name_of(target: dict[str, Any], vocab: int | None) -> str:
    """What the target is about."""
    case = target["case"] + (", Sampler.step beyond the kernel" if target.get("section") == "step" else "")
    case = f"batch {target['batch']}, {case}" if "batch" in target else case
    case = f"{case}, {target['solver']}" if "solver" in target else case
    return case + (f", vocabulary {vocab}" if vocab else "")


def bound_of(target: dict[str, Any]) -> str:
    """What it asks for."""
    bound = f"at most {target['at_most']:g}" if "at_most" in target else f"at least {target['at_least']:g}"
    on_gpu = {"ratio": "x torch.argmax", "to_baseline": "x nexttoken"} if target["report"] == "gpu" else {}
    return f"{bound} {on_gpu.get(target['what'], UNITS[target['what']])}"


def verdict(report: Report | None, target: dict[str, Any], vocab: int | None) -> tuple[str, str, int]:
    """The number, the word for it, and an exit status."""
    found = find(report, target, vocab)
    if report is None or found is None:
        return "", "not measured", 2
    number = value(report, found, target["what"])
    card = report.machine.get("gpu", "")
    if target.get("card", "") not in card:
        return f"{number:.2f}", f"not judged on {card}, it is of {target['card']}", 0
    met = judge(target, number)
    return f"{number:.2f}", "met" if met else "MISSED", 0 if met else 1


def targets() -> list[dict[str, Any]]:
    """All of them."""
    found: list[dict[str, Any]] = json.loads((HERE / "targets.json").read_text())
    return found


def verdicts(reports: dict[str, Report], kind: str) -> list[str]:
    """Of the targets for one kind of report, in words."""
    told = []
    for target in targets():
        for vocab in target.get("vocabularies", [None]) if target["report"] == kind else ():
            number, word, _ = verdict(reports.get(kind), target, vocab)
            told.append(f"{name_of(target, vocab)}: {bound_of(target)}, {number or 'nothing'} measured: {word}")
    return told


def main(folder: Path) -> int:
    """Print a table; returns the exit status."""
    reports = {kind: read_report(path) for kind, name in FILES.items() if (path := folder / f"{name}.json").exists()}
    status = 0
    print("| case | target | measured | |\n| --- | ---: | ---: | --- |")
    for target in targets():
        if target["report"] == "gpu" and "gpu" not in reports:
            continue  # one line for all of them, below
        for vocab in target.get("vocabularies", [None]):
            number, word, its = verdict(reports.get(target["report"]), target, vocab)
            status = max(status, its)
            print(f"| {name_of(target, vocab)} | {bound_of(target)} | {number} | {word} |")
    if "gpu" not in reports and any(target["report"] == "gpu" for target in targets()):
        print("\nNo targets of a GPU are judged: there is no gpu-bench.json (make gpu-check-bench)")
    return status


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "results"))
