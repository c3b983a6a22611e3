"""Time a step on a GPU beside others, print what came of it, and say which targets are met.

    PYTHONPATH=benchmarks python -m gpu [--json FILE] [--seconds S]

Exit status 0: measured, whatever came of the targets; 1: a result was wrong, or something else ended the run, and what
was measured before is told all the same; 77: no GPU.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
import time
import traceback
from pathlib import Path

import torch

from against_targets import verdicts
from gpu.card import cache_bytes, card
from gpu.cases import Run, plan
from gpu.clock import GraphClock
from gpu.contest import Contest, measure_all
from gpu.solvers import find_solvers
from gpu.trial import first_line, try_captures
from nexttoken.bench.machine import commit
from nexttoken.bench.measurement import Measurement
from nexttoken.bench.report import Report, new_report, write_report
from nexttoken.bench.table import print_report
from nexttoken.exceptions import BenchmarkError

NO_DEVICE = 77
HOSTS = [Run(128256, batch, "bfloat16", "mid", cold=False) for batch in (1, 64)]
HOSTS += [Run(128256, batch, "bfloat16", "peaked", cold=False) for batch in (1, 64)]
NOTES = [
    "GPU time of graphs that hold one step for each batch, replayed for a millisecond or more between two events; "
    "medians over rounds in which all take turns. In brackets: times our own.",
    "Cold: the batches of a graph are together more than twice the L2 cache. Hot: one batch, again and again.",
    "Each result was checked before: ours against the CPU kernels bit for bit, a rival's against the tokens we keep.",
]


def report_of(contest: Contest, measurements: list[Measurement], skipped: list[str], command: str) -> Report:
    """With the card, and with what the targets say."""
    report = new_report("gpu", command, measurements, [*NOTES, *skipped, *contest.notes])
    report = dataclasses.replace(report, commit=commit(Path(__file__)), machine={**card(), **report.machine})
    told = [f"target: {verdict}" for verdict in verdicts({"gpu": report}, "gpu")]
    return dataclasses.replace(report, notes=[*report.notes, *told])


def main(arguments: list[str]) -> int:
    """Measure and tell; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m gpu")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--seconds", type=float, default=300.0)
    options = parser.parse_args(arguments)
    if not torch.cuda.is_available():
        print("no CUDA device")
        return NO_DEVICE
    start = time.monotonic()
    card()
    solvers, skipped = find_solvers()
    refused = try_captures(solvers)
    skipped += [f"{solver} is left out of {case}: {told}" for (solver, case), told in refused.items()]
    contest = Contest(torch.device("cuda"), GraphClock(), cache_bytes(), refused=refused)
    measurements: list[Measurement] = []
    ended = False
    try:
        left = options.seconds - (time.monotonic() - start)
        measure_all(contest, list(plan()), HOSTS, solvers, left, measurements)
    except BaseException as error:  # minutes of measuring are not lost to an interrupt either
        ended = True
        wrong = isinstance(error, BenchmarkError)
        told = f"a result is wrong: {error}" if wrong else f"{type(error).__name__}: {first_line(error)}"
        contest.notes.append(f"ended early: {told}")
        print(told)
        if not wrong:
            traceback.print_exc()
    notes = [solver.note for solver in solvers]
    report = report_of(contest, measurements, [*notes, *skipped], "make gpu-check-bench")
    if options.json:
        write_report(report, options.json)
    print_report(report)
    return 1 if ended else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
