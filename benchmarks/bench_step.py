"""`Sampler.step` on one row, one thread, every case: checked against the reference, then timed; rivals beside it.

    make bench

Rows rotate: a sampler timed on one repeated row looks quicker than it is. With each step a row's history grows by a
token.
"""

from __future__ import annotations

import functools
import itertools
from typing import Any

import numpy as np
import pytest

import nexttoken
from nexttoken import _core
from nexttoken.bench.cases import CASES, VOCABULARIES, Case, Workload
from nexttoken.bench.check import check_against_reference
from nexttoken.bench.contest import CONTESTED
from nexttoken.bench.rivals import RIVALS, find_rivals
from nexttoken.bench.rivals.base import check_step
from nexttoken.bench.rows import make_rows

VOCAB = VOCABULARIES[0]


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
    sampler = nexttoken.Sampler(VOCAB)
    lines = []
    for row in range(workload.count):
        options = workload.of_row(row)
        said, _ = options.pop("output_token_ids", ()), options.pop("step", None)
        lines.append((workload.logits[row], [sampler.add(nexttoken.SamplingParams(**options), output_token_ids=said)]))
    tell(benchmark, workload)
    following = itertools.cycle(lines)

    def step() -> None:
        logits, rows = next(following)
        sampler.step(logits, rows=rows)

    benchmark(step)


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
    following = itertools.cycle(range(workload.count))
    scratch = np.empty(VOCAB, np.float32)

    def row_in_place() -> tuple[tuple[int], dict[str, Any]]:
        row = next(following)
        np.copyto(scratch, workload.logits[row])  # a rival may write into it
        return (row,), {}

    benchmark.pedantic(lambda row: steps[row].draw(scratch), setup=row_in_place, rounds=24, warmup_rounds=2)
