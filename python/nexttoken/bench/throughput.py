"""Rows a second over batch sizes, with one thread and with several, in wall time."""

from __future__ import annotations

import time

import numpy as np

from nexttoken import _core
from nexttoken.bench.cases import Workload, cases_named
from nexttoken.bench.check import check_against_reference
from nexttoken.bench.kernels import Plan, Times, threads_used
from nexttoken.bench.measurement import Measurement, measured

__all__ = ["measure_throughput"]


def measure_throughput(plan: Plan) -> list[Measurement]:
    """The section ``"batch"``: the full pipeline on mid rows.

    Several threads are no use of one thread's clock, so this is wall time: another program on the same cores halves it.
    Each round times one thread and several, one after the other, on the same rows.
    """
    case = cases_named("full, mid")[0]
    workload = Workload(case, plan.vocabularies[0], max(plan.rows, *plan.batches))
    check_against_reference(workload, plan.checked_rows)
    nucleus = workload.nucleus()
    with threads_used(1):
        floors: Times = np.asarray(_core.time_one_pass_max(_core.Logits(workload.logits), sweep=False), np.float64)
    results = []
    for batch in plan.batches:
        starts = range(0, workload.count - batch + 1, batch)
        calls = [workload.prepared(slice(start, start + batch)) for start in starts]
        # A batch of one row is one thread's work whatever was asked for, and one thread is measured once.
        threads = tuple(dict.fromkeys((1, 1 if batch == 1 else plan.threads)))
        times: dict[int, list[list[float]]] = {count: [] for count in threads}
        for _ in range(plan.rounds):
            for count in threads:
                with threads_used(count):
                    _wall_ns(*calls[-1])  # starts the threads; and a first row after a change of threads is slow
                    times[count].append([_wall_ns(view, params) / batch for view, params in calls])
        results += [
            measured(
                times[count],
                [floors] * plan.rounds,
                None if count == 1 else times[1],
                section="batch",
                case=f"batch {batch}" + (f", {count} threads" if count > 1 else ""),
                target=_core.active_target(),
                vocab=workload.vocab,
                batch=batch,
                threads=count,
                clock="wall",
                nucleus=nucleus,
                baseline=None if count == 1 else f"batch {batch}",
            )
            for count in threads
        ]
    return results


def _wall_ns(view: _core.Logits, params: _core.BatchParams) -> float:
    start = time.perf_counter_ns()
    _core.sample(view, params)
    return float(time.perf_counter_ns() - start)
