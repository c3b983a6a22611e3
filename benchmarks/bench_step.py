"""`Sampler.step` on one row, one thread, every case: checked against the reference, then timed; rivals beside it.

    make bench

Rows rotate: a sampler timed on one repeated row looks quicker than it is. Everyone finds the row just copied into
place, outside the interval; ours starts each step from the same history.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from nexttoken import _core
from nexttoken.bench.cases import CASES, VOCABULARIES, Case, Workload
from nexttoken.bench.check import check_against_reference
from nexttoken.bench.contest import CONTESTED
from nexttoken.bench.overhead import Stepper, row_in_cache
from nexttoken.bench.rivals import RIVALS, find_rivals
from nexttoken.bench.rivals.base import check_step
from nexttoken.bench.rows import make_rows

VOCAB = VOCABULARIES[0]
Call = tuple[tuple[Any, ...], dict[str, Any]]
"""Arguments by place and by name."""


@functools.cache
def floor_us() -> float:
    """One pass over a row, once for all groups."""
    rows = make_rows("flat", VOCAB)
    return float(np.median(_core.time_one_pass_max(_core.Logits(rows), sweep=False))) / 1e3


def tell(benchmark: Any, workload: Workload) -> None:
    """What a reader needs beside the times."""
    benchmark.group = f"{workload.case.name} (one pass {floor_us():.1f} us)"
    benchmark.extra_info |= {"floor_us": floor_us(), "nucleus": workload.nucleus()}


@pytest.mark.parametrize("case", [case for case in CASES if "n" not in case.options], ids=lambda case: case.name)
def test_nexttoken(benchmark: Any, case: Case) -> None:
    workload = Workload(case, VOCAB)
    check_against_reference(workload)
    stepper = Stepper(workload)
    tell(benchmark, workload)

    def ready(row: int) -> Call:
        logits, rows = stepper.ready(row)
        return (logits,), {"rows": rows}

    time_rotating(benchmark, workload.count, stepper.sampler.step, ready)


@pytest.mark.parametrize("name", RIVALS)
@pytest.mark.parametrize("case", CONTESTED, ids=lambda case: case.name)
def test_rival(benchmark: Any, case: Case, name: str) -> None:
    rivals, skipped = find_rivals([name])
    if not rivals:
        pytest.skip(skipped[0])
    workload = Workload(case, VOCAB, 8)
    steps = []
    for row in range(workload.count):
        options = rivals[0].adapted(workload.of_row(row))
        steps.append(rivals[0].prepare(options, VOCAB))
        check_step(rivals[0], steps[-1], workload.logits[row], options)
    tell(benchmark, workload)
    scratch = row_in_cache(VOCAB)

    def ready(row: int) -> Call:
        np.copyto(scratch, workload.logits[row])  # a rival may write into it
        return (steps[row], scratch), {}

    time_rotating(benchmark, workload.count, lambda step, logits: step.draw(logits), ready)


def time_rotating(benchmark: Any, rows: int, function: Callable[..., object], ready: Callable[[int], Call]) -> None:
    """Times `function` on each row in turn, with the arguments that `ready` makes, which is not timed."""
    following = itertools.cycle(range(rows))
    benchmark.pedantic(function, setup=lambda: ready(next(following)), rounds=3 * rows, warmup_rounds=2)
