"""``nexttoken bench kernels``: every case in CPU time on one thread, then over vocabulary, nucleus and batch size."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nexttoken import _core
from nexttoken.bench.cases import CASES, FULL, VOCABULARIES, Case, Workload, cases_named
from nexttoken.bench.check import check_against_reference
from nexttoken.bench.measurement import Measurement, measured
from nexttoken.bench.rows import ROWS, laplace_rows

__all__ = ["Plan", "Tick", "count_steps", "forced_target", "measure_kernels", "threads_used", "time_workloads"]

Times = npt.NDArray[np.float64]
Tick = Callable[[str], None]
"""Called with what comes next, once per step of the progress bar."""

_OVER_VOCABULARIES = ("greedy", "temperature", "full, peaked", "full, mid", "full, flat")
_SCALES = (2.0, 1.4, 1.2, 1.1, 1.0, 0.95, 0.9, 0.8, 0.6)


@dataclass(frozen=True)
class Plan:
    """How much to measure.

    Attributes
    ----------
    vocabularies : sequence of int
        The first has the full table; the others are points of a plot.
    targets : sequence of str
        CPU targets, by name.
    rounds, rows : int
        How often, and over how many different rows.
    cold : bool
        Sweep the caches before each interval.
    checked_rows : int
        How many rows of each case the reference draws first.
    batches : sequence of int
        Rows a call, for the throughput of one thread and of `threads`.
    threads : int
        How many threads the throughput is also measured with.
    """

    vocabularies: Sequence[int] = VOCABULARIES
    targets: Sequence[str] = ()
    rounds: int = 25
    rows: int = ROWS
    cold: bool = False
    checked_rows: int = 2
    batches: Sequence[int] = (1, 2, 4, 8, 16, 32, 64)
    threads: int = 2

    @classmethod
    def quick(cls, vocabularies: Sequence[int] | None, **facts: object) -> Plan:
        """A plan of seconds: for a first look, and for trying the command out. Its numbers are rough."""
        chosen = tuple(vocabularies or (32000,))
        defaults = {"rounds": 5, "rows": 8, "checked_rows": 1, "batches": (1, 8)}
        return cls(vocabularies=chosen, **{**defaults, **facts})  # type: ignore[arg-type]


@contextmanager
def forced_target(name: str) -> Iterator[None]:
    """The CPU target `name`, and after it the one that was in use."""
    before = _core.active_target()
    _core.set_target(name)
    try:
        yield
    finally:
        _core.set_target(before)


@contextmanager
def threads_used(count: int) -> Iterator[None]:
    """`count` threads, and after it as many as before."""
    before = _core.num_threads()
    _core.set_num_threads(count)
    try:
        yield
    finally:
        _core.set_num_threads(before)


def count_steps(plan: Plan) -> int:
    """How often `measure_kernels` calls its `tick`."""
    cases = len(CASES) + len(_SCALES) + len(_OVER_VOCABULARIES) * (len(plan.vocabularies) - 1)
    return len(plan.targets or [""]) * (cases + 2)


def measure_kernels(plan: Plan, tick: Tick = lambda _: None) -> list[Measurement]:
    """All that `plan` asks for.

    Parameters
    ----------
    plan : Plan
        How much to measure.
    tick : callable
        For a progress bar.

    Returns
    -------
    list of Measurement
        Sections ``"table"``, ``"vocabulary"``, ``"nucleus"``, ``"batch"`` and ``"step"``.

    Raises
    ------
    BenchmarkError
        If a case does not draw the reference's tokens; nothing was timed of it then.
    """
    # Late, because they measure with what is defined here.
    from nexttoken.bench.overhead import measure_overhead
    from nexttoken.bench.throughput import measure_throughput

    results: list[Measurement] = []
    main = plan.vocabularies[0]
    for target in plan.targets or [_core.active_target()]:
        with forced_target(target), threads_used(1):
            results += time_workloads([Workload(case, main, plan.rows) for case in CASES], "table", plan, tick)
            for vocab in plan.vocabularies[1:]:
                over = [Workload(case, vocab, plan.rows) for case in cases_named(*_OVER_VOCABULARIES)]
                results += time_workloads(over, "vocabulary", plan, tick)
            results += time_workloads(_nucleus_workloads(main, plan.rows), "nucleus", plan, tick)
            tick("rows a second over batch sizes")
            results += measure_throughput(plan)
            tick("overhead of Sampler.step")
            results += measure_overhead(plan)
    return results


def _nucleus_workloads(vocab: int, count: int) -> list[Workload]:
    """The full pipeline over rows from nearly certain to nearly even."""
    return [
        Workload(Case(f"scale {scale:g}", "mid", FULL, edits=True), vocab, rows=laplace_rows(scale, vocab, count))
        for scale in _SCALES
    ]


def time_workloads(workloads: Sequence[Workload], section: str, plan: Plan, tick: Tick) -> list[Measurement]:
    """Check each workload, then time them all, interleaved: a round passes over the rows of each."""
    for workload in workloads:
        tick(f"{workload.case.name}, vocabulary {workload.vocab}")
        check_against_reference(workload, plan.checked_rows)
    prepared = [workload.prepared() for workload in workloads]
    for view, params in prepared:
        _core.time_rows(view, params, sweep=False)  # memory that is touched for the first time is slow
    floors: dict[str, list[Times]] = {workload.case.name: [] for workload in workloads}
    kernels: dict[str, list[Times]] = {workload.case.name: [] for workload in workloads}
    for _ in range(plan.rounds):
        for workload, (view, params) in zip(workloads, prepared, strict=True):
            times, _, _ = _core.time_rows(view, params, sweep=plan.cold)
            floors[workload.case.name].append(times[:, 0].astype(np.float64))
            kernels[workload.case.name].append(times[:, 1].astype(np.float64))
    return [
        measured(
            kernels[workload.case.name],
            floors[workload.case.name],
            kernels.get(workload.case.baseline or ""),
            section=section,
            case=workload.case.name,
            target=_core.active_target(),
            vocab=workload.vocab,
            cold=plan.cold,
            nucleus=workload.nucleus(),
            baseline=workload.case.baseline,
        )
        for workload in workloads
    ]
