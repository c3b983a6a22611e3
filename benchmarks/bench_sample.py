"""`nexttoken.sample` and `nexttoken.distribution`, which prepare their parameters at each call, and draws of many."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import nexttoken
from nexttoken import reference
from nexttoken.bench.cases import VOCABULARIES, Workload, cases_named
from nexttoken.bench.check import check_against_reference

VOCAB = VOCABULARIES[0]


@pytest.mark.parametrize("batch", [1, 8, 64])
@pytest.mark.parametrize("name", ["greedy", "temperature", "full, peaked", "full, flat"])
def test_sample(benchmark: Any, name: str, batch: int) -> None:
    workload = Workload(cases_named(name)[0], VOCAB, batch)
    check_against_reference(workload, 1)
    benchmark.group = f"sample, {name}"
    benchmark(nexttoken.sample, workload.logits, **workload.options)


@pytest.mark.parametrize("n", [1, 8, 64])
def test_draws(benchmark: Any, n: int) -> None:
    workload = Workload(cases_named("full, flat")[0], VOCAB, 4)
    workload.options["n"] = n
    check_against_reference(workload, 1)
    benchmark.group = "sample, n draws from one row, flat"
    benchmark(nexttoken.sample, workload.logits[:1], **workload.of_row(0))


@pytest.mark.parametrize("name", ["full, peaked", "full, flat"])
def test_distribution(benchmark: Any, name: str) -> None:
    workload = Workload(cases_named(name)[0], VOCAB, 4)
    options = workload.of_row(0)
    expected = reference.sample_row(workload.logits[0], **options)
    np.testing.assert_array_equal(nexttoken.distribution(workload.logits[0], **options).weights[0], expected.weights)
    benchmark.group = "distribution"
    benchmark(nexttoken.distribution, workload.logits[:1], **options)
