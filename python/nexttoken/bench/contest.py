"""``nexttoken bench rivals``: other samplers on the same rows, interleaved in one process, one thread."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from nexttoken import _core
from nexttoken.bench.cases import Case, Workload, cases_named
from nexttoken.bench.check import check_against_reference
from nexttoken.bench.kernels import Tick, threads_used
from nexttoken.bench.measurement import KERNEL, Measurement, measured
from nexttoken.bench.overhead import Stepper, clock_cost_ns, row_in_cache
from nexttoken.bench.rivals.base import Rival, RivalStep, check_step

__all__ = ["CONTESTED", "Contest", "count_steps", "measure_rivals"]

CONTESTED: tuple[Case, ...] = tuple(
    cases_named("greedy", "temperature", "full, peaked", "full, mid", "full, flat", "full, top_k 40")
)
"""What others can do as well."""


@dataclass(frozen=True)
class Contest:
    """How much to measure: a vocabulary, rounds over so many different rows."""

    vocab: int = 128256
    rounds: int = 2
    rows: int = 32
    checked_rows: int = 2


def count_steps(contest: Contest) -> int:
    """How often `measure_rivals` calls its `tick`."""
    return len(CONTESTED) * (1 + contest.rounds)


def measure_rivals(contest: Contest, rivals: Sequence[Rival], tick: Tick = lambda _: None) -> list[Measurement]:
    """Each case by everyone, row by row: the floor, our kernel, `Sampler.step`, then each rival.

    Everyone finds the row freshly copied into the same place, so in the cache, and is called from Python and timed by
    the clock of the calling thread, less the clock's own cost. Our kernel alone is measured as in ``bench kernels``.

    Raises
    ------
    BenchmarkError
        If we do not draw the reference's tokens, or a rival does not draw from the tokens that we draw from.
    """
    results: list[Measurement] = []
    with threads_used(1):
        for case in CONTESTED:
            tick(f"{case.name}: checking")
            workload = Workload(case, contest.vocab, contest.rows)
            check_against_reference(workload, contest.checked_rows)
            results += _time_case(workload, rivals, contest, tick)
    return results


def _time_case(workload: Workload, rivals: Sequence[Rival], contest: Contest, tick: Tick) -> list[Measurement]:
    stepper = Stepper(workload)
    steps = {rival.name: _prepared(rival, workload, contest.checked_rows) for rival in rivals}
    floors: list[list[float]] = []
    times: dict[str, list[list[float]]] = {name: [] for name in ("nexttoken", KERNEL, *steps)}
    clock, cost = time.thread_time_ns, clock_cost_ns(time.thread_time_ns)
    scratch = row_in_cache(workload.vocab)
    for number in range(contest.rounds):
        tick(f"{workload.case.name}: round {number + 1} of {contest.rounds}")
        floors.append([])
        for name in times:
            times[name].append([])
        for row in range(workload.count):
            both, _, _ = _core.time_rows(*workload.prepared(slice(row, row + 1)), sweep=False)
            floors[-1].append(float(both[0, 0]))
            times[KERNEL][-1].append(float(both[0, 1]))
            # Another row: the branch predictor knows the one that the kernel has just read.
            other = (row + workload.count // 2) % workload.count
            times["nexttoken"][-1].append(stepper.time(other, clock)[0] - cost)
            for name, of_rows in steps.items():
                np.copyto(scratch, workload.logits[row])
                times[name][-1].append(_interval(of_rows[row], scratch, clock) - cost)
    return [
        measured(
            np.asarray(intervals, np.float64),
            np.asarray(floors, np.float64),
            None if name == "nexttoken" else np.asarray(times["nexttoken"], np.float64),
            section="rivals",
            case=workload.case.name,
            solver=name,
            target=_core.active_target() if name.startswith("nexttoken") else "",
            vocab=workload.vocab,
            nucleus=workload.nucleus() if name == "nexttoken" else None,
            baseline=None if name == "nexttoken" else workload.case.name,
        )
        for name, intervals in times.items()
    ]


def _prepared(rival: Rival, workload: Workload, checked_rows: int) -> list[RivalStep]:
    """The rival's step for each row; the first ones are checked, and all have run once before they are timed."""
    steps = []
    for row in range(workload.count):
        options = rival.adapted(workload.of_row(row))
        step = rival.prepare(options, workload.vocab)
        if row < checked_rows:
            check_step(rival, step, workload.logits[row], options)
        steps.append(step)
    return steps


def _interval(step: RivalStep, logits: np.ndarray, clock: Callable[[], int]) -> int:
    start = clock()
    step.draw(logits)
    return clock() - start
