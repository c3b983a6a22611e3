"""The core's clock: it times what it says, on the row as it is."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest

import nexttoken
from bench.patience import sooner_or_later
from nexttoken import _core, ops
from nexttoken.exceptions import ParameterError


def prepared(logits: Any, **options: Any) -> tuple[_core.Logits, _core.BatchParams]:
    given = {name: parameter.default for name, parameter in inspect.signature(ops.sample).parameters.items()}
    view = _core.Logits(logits)
    return view, ops.prepare(view, given | options)[0]


def normal(rows: int, vocab: int, dtype: Any = np.float32) -> Any:
    return np.random.default_rng(vocab).normal(size=(rows, vocab)).astype(dtype)


@pytest.mark.parametrize("sweep", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_the_tokens_are_those_of_sample(dtype: Any, sweep: bool) -> None:
    logits = normal(4, 999, dtype)[:, ::3]  # strided: the row that is timed is a dense copy
    options = {"seed": [1, 2, 3, 4], "temperature": 0.9, "top_p": 0.9, "n": 3, "logprobs": 5}
    times, token_ids, clock_ns = _core.time_rows(*prepared(logits, **options), sweep=sweep)
    np.testing.assert_array_equal(token_ids, nexttoken.sample(logits, **options).token_ids)
    assert times.shape == (4, 2)
    assert times.dtype == np.uint64
    assert 0 < clock_ns < 100_000


def test_times_grow_with_the_row() -> None:
    def measure() -> Any:
        small, large = (np.median(_times(normal(9, vocab)), axis=0) for vocab in (2_000, 100_000))
        return large / np.maximum(small, 1)

    sooner_or_later(measure, lambda growth: bool((growth > 5).all()))


def test_swept_caches_cost_time() -> None:
    view = _core.Logits(normal(9, 100_000))
    sooner_or_later(
        lambda: [float(np.median(_core.time_one_pass_max(view, sweep=sweep))) for sweep in (False, True)],
        lambda times: times[1] > 1.2 * times[0],
    )


def test_the_floor_is_the_same_by_itself() -> None:
    logits = normal(9, 100_000)

    def measure() -> float:
        alone = np.median(_core.time_one_pass_max(_core.Logits(logits), sweep=False))
        return float(np.median(_times(logits)[:, 0]) / alone)

    sooner_or_later(measure, lambda times: 0.2 < times < 5)


def _times(logits: Any) -> Any:
    view, params = prepared(logits, seed=1, temperature=0.8)
    _core.time_rows(view, params, sweep=False)  # the first touch of memory is dear
    return _core.time_rows(view, params, sweep=False)[0]


def test_several_threads_are_refused() -> None:
    nexttoken.set_num_threads(2)
    try:
        with pytest.raises(ParameterError, match="num_threads must be 1 while rows are timed"):
            _core.time_rows(*prepared(normal(1, 9), seed=1), sweep=False)
    finally:
        nexttoken.set_num_threads(1)


def test_parameters_of_another_batch_are_refused() -> None:
    _, params = prepared(normal(2, 9), seed=1)
    with pytest.raises(ParameterError, match="params must be prepared for 3 rows, got 2"):
        _core.time_rows(_core.Logits(normal(3, 9)), params, sweep=False)


@pytest.mark.parametrize(("bad", "status"), [(np.nan, 1), (-np.inf, 2)])
def test_a_row_that_cannot_be_drawn_from_has_no_time(bad: float, status: int) -> None:
    logits = normal(3, 9)
    logits[1] = bad
    with pytest.raises(ParameterError, match=f"must have a token to draw and no NaN, got status {status} at row 1"):
        _core.time_rows(*prepared(logits, seed=1), sweep=False)
