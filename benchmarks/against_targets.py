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


def find(report: Report | None, target: dict[str, Any], vocab: int | None) -> Measurement | None:
    """The measurement that `target` is about; for a vocabulary, it may be in either of two sections."""
    section = target.get("section", "rivals" if target["report"] == "rivals" else "table")
    sections = (section,) if vocab is None else ("table", "vocabulary")
    named = (target["case"], target.get("solver", "nexttoken"))
    for m in report.measurements if report else ():
        if m.section in sections and (m.case, m.solver) == named and vocab in (None, m.vocab):
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


def main(folder: Path) -> int:
    """Print a table; returns the exit status."""
    reports = {kind: read_report(path) for kind in ("kernels", "rivals") if (path := folder / f"{kind}.json").exists()}
    status = 0
    print("| case | target | measured | |\n| --- | ---: | ---: | --- |")
    for target in json.loads((HERE / "targets.json").read_text()):
        bound = f"at most {target['at_most']:g}" if "at_most" in target else f"at least {target['at_least']:g}"
        case = target["case"] + (", Sampler.step beyond the kernel" if target.get("section") == "step" else "")
        case = f"{case}, {target['solver']}" if "solver" in target else case
        for vocab in target.get("vocabularies", [None]):
            told = f"| {case}" + (f", vocabulary {vocab}" if vocab else "") + f" | {bound} {UNITS[target['what']]}"
            report = reports.get(target["report"])
            found = find(report, target, vocab)
            if report is None or found is None:
                print(f"{told} | | not measured |")
                status = 2
                continue
            number = value(report, found, target["what"])
            met = judge(target, number)
            status = status if met else max(status, 1)
            print(f"{told} | {number:.2f} | {'met' if met else 'MISSED'} |")
    return status


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "results"))
