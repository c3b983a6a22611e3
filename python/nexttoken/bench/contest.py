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
from nexttoken.bench.rivals.base import Rival, check_step

__all__ = ["CONTESTED", "Contest", "count_steps", "measure_rivals"]

CONTESTED: tuple[Case, ...] = tuple(
    cases_named("greedy", "temperature", "full, peaked", "full, mid", "full, flat", "full, top_k 40")
)
"""What others can do as well."""

Interval = Callable[[int], float]
"""Takes the step of a row, and the time it takes in ns."""

# Rows that each has in turn: enough to be at one's best, and few, so that a machine that slows down does so for all.
_TURN = 8


@dataclass(frozen=True)
class Contest:
    """How much to measure: a vocabulary, rounds over so many different rows."""

    vocab: int = 128256
    rounds: int = 5
    rows: int = 32
    checked_rows: int = 2


def count_steps(contest: Contest) -> int:
    """How often `measure_rivals` calls its `tick`."""
    return len(CONTESTED) * (1 + contest.rounds)


def measure_rivals(contest: Contest, rivals: Sequence[Rival], tick: Tick = lambda _: None) -> list[Measurement]:
    """Each case by everyone, in turns of a few rows: the floor and our kernel, `Sampler.step`, then each rival.

    Everyone finds the row freshly copied into place, so in the cache, and is called from Python and timed by the clock
    of the calling thread, less the clock's own cost. Our kernel alone is measured as in ``bench kernels``. The first
    call of a turn finds the others' data in the caches, and is not timed.

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
    clock = time.thread_time_ns
    players: dict[str, Interval] = {"nexttoken": _our_step(workload, clock)}
    players |= {rival.name: _rival_step(rival, workload, contest.checked_rows, clock) for rival in rivals}
    floors: list[list[float]] = []
    times: dict[str, list[list[float]]] = {name: [] for name in (KERNEL, *players)}
    for number in range(contest.rounds):
        tick(f"{workload.case.name}: round {number + 1} of {contest.rounds}")
        floors.append([])
        for intervals in times.values():
            intervals.append([])
        for turn in _turns(workload.count):
            floor, kernel = _kernel_turn(workload, turn)
            floors[-1] += floor
            times[KERNEL][-1] += kernel
            for name, interval in players.items():
                interval(turn[0] - 1)
                times[name][-1] += [interval(row) for row in turn]
    return [
        measured(
            times[name],
            floors,
            None if name == "nexttoken" else times["nexttoken"],
            section="rivals",
            case=workload.case.name,
            solver=name,
            target=_core.active_target() if name.startswith("nexttoken") else "",
            vocab=workload.vocab,
            nucleus=workload.nucleus() if name == "nexttoken" else None,
            baseline=None if name == "nexttoken" else workload.case.name,
        )
        for name in ("nexttoken", KERNEL, *(rival.name for rival in rivals))
    ]


def _turns(rows: int) -> list[range]:
    """At most half of the rows each, so that rows half of them away are not of the same turn."""
    size = max(1, min(_TURN, rows // 2))
    return [range(start, min(start + size, rows)) for start in range(0, rows, size)]


def _kernel_turn(workload: Workload, turn: range) -> tuple[list[float], list[float]]:
    _core.time_rows(*workload.prepared(slice(turn[-1], turn[-1] + 1)), sweep=False)
    times, _, _ = _core.time_rows(*workload.prepared(slice(turn[0], turn[-1] + 1)), sweep=False)
    return times[:, 0].astype(float).tolist(), times[:, 1].astype(float).tolist()


def _our_step(workload: Workload, clock: Callable[[], int]) -> Interval:
    stepper, cost = Stepper(workload), clock_cost_ns(clock)
    # Half of the rows away: the branch predictor knows those that the kernel has just read.
    return lambda row: float(stepper.time((row + workload.count // 2) % workload.count, clock)[0] - cost)


def _rival_step(rival: Rival, workload: Workload, checked_rows: int, clock: Callable[[], int]) -> Interval:
    """The rival's step, prepared for each row; the first ones are checked."""
    steps = []
    for row in range(workload.count):
        options = rival.adapted(workload.of_row(row))
        steps.append(rival.prepare(options, workload.vocab))
        if row < checked_rows:
            check_step(rival, steps[-1], workload.logits[row], options)
    scratch, cost = row_in_cache(workload.vocab), clock_cost_ns(clock)

    def interval(row: int) -> float:
        np.copyto(scratch, workload.logits[row])  # afresh: a rival may write into it
        start = clock()
        steps[row].draw(scratch)
        return float(clock() - start - cost)

    return interval
