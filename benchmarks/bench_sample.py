"""`nexttoken.sample` and `nexttoken.distribution`, which prepare their parameters at each call, and draws of many.

Rows rotate, as in bench_step.py.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import nexttoken
from nexttoken import reference
from nexttoken.bench.cases import VOCABULARIES, Workload, cases_named
from nexttoken.bench.check import check_against_reference
from nexttoken.bench.rows import ROWS

VOCAB = VOCABULARIES[0]


def time_rotating(benchmark: Any, function: Callable[..., object], workload: Workload, batch: int) -> None:
    """Times `function` on `batch` rows of the workload after the other."""
    starts = itertools.cycle(range(0, workload.count - batch + 1, batch))
    scratch = np.empty((batch, workload.vocab), np.float32)

    def next_rows() -> tuple[tuple[Any], dict[str, Any]]:
        start = next(starts)
        np.copyto(scratch, workload.logits[start : start + batch])  # as when a model has just written them
        return (scratch,), workload.of_rows(slice(start, start + batch))

    benchmark.pedantic(function, setup=next_rows, rounds=max(96 // batch, 8), warmup_rounds=2)


@pytest.mark.parametrize("batch", [1, 8, 64])
@pytest.mark.parametrize("name", ["greedy", "temperature", "full, peaked", "full, flat"])
def test_sample(benchmark: Any, name: str, batch: int) -> None:
    workload = Workload(cases_named(name)[0], VOCAB, max(batch, ROWS))
    check_against_reference(workload, 1)
    benchmark.group = f"sample, {name}"
    time_rotating(benchmark, nexttoken.sample, workload, batch)


@pytest.mark.parametrize("n", [1, 8, 64])
def test_draws(benchmark: Any, n: int) -> None:
    workload = Workload(cases_named("full, flat")[0], VOCAB)
    workload.options["n"] = n
    check_against_reference(workload, 1)
    benchmark.group = "sample, n draws from one row, flat"
    time_rotating(benchmark, nexttoken.sample, workload, 1)


@pytest.mark.parametrize("name", ["full, peaked", "full, flat"])
def test_distribution(benchmark: Any, name: str) -> None:
    workload = Workload(cases_named(name)[0], VOCAB)
    options = workload.of_row(0)
    expected = reference.sample_row(workload.logits[0], **options)
    np.testing.assert_array_equal(nexttoken.distribution(workload.logits[0], **options).weights[0], expected.weights)
    benchmark.group = "distribution"
    time_rotating(benchmark, nexttoken.distribution, workload, 1)
