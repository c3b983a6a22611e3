"""The contract's rows through the binding of device memory: equal to the reference bit for bit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import nexttoken
from contract.comparison import ROWS_COMPARED, Expected
from contract.device_library import Array, Library, PlainArray, fetch
from contract.placement import aligned, on_device
from contract.rows import Batch, make_batch
from nexttoken import Status

Record = Callable[[str, object], None]
pytestmark = pytest.mark.usefixtures("library")


def compare(batch: Batch, arguments: dict[str, Any], kind: Any) -> Expected:
    expected = Expected(batch)
    logits = kind(aligned(batch.logits))
    result = nexttoken.sample(logits, **arguments)
    assert all(isinstance(value, kind) for value in vars(result).values() if value is not None)
    expected.check_sample(fetch(result))
    shape = nexttoken.distribution(logits, **arguments)
    assert all(isinstance(value, kind) for value in vars(shape).values())
    expected.check_distribution(fetch(shape))
    assert logits.lent == logits.given_back
    return expected


@pytest.mark.parametrize("kind", [Array, PlainArray])
@pytest.mark.parametrize("where", ["host", "device"])
def test_random_rows(kind: Any, where: str, record_property: Record) -> None:
    rng = np.random.default_rng([77, kind is Array, where == "host"])
    rows, statuses = 0, set()
    for _ in range(60):
        batch = make_batch(rng)
        arguments = batch.sample_arguments() if where == "host" else on_device(batch, kind, rng)
        statuses |= set(compare(batch, arguments, kind).status.tolist())
        rows += len(batch)
    assert statuses == {0, 1, 2}
    record_property(ROWS_COMPARED, rows)


@pytest.mark.parametrize("dtype", [np.float32, np.float16, ml_dtypes.bfloat16])
def test_dtypes(dtype: Any) -> None:
    rng = np.random.default_rng(5)
    for _ in range(6):
        batch = make_batch(rng, dtype=dtype)
        compare(batch, on_device(batch, Array, rng), Array)


@pytest.mark.parametrize("vocab", [1, 33, 50257])
def test_vocabularies(vocab: int) -> None:
    rng = np.random.default_rng(vocab)
    batch = make_batch(rng, size=3, vocab=vocab)
    compare(batch, on_device(batch, Array, rng), Array)


def test_one_row_and_no_row(library: Library) -> None:
    values = np.random.default_rng(1).normal(size=40).astype(np.float32)
    wanted = nexttoken.sample(values, seed=5, top_p=0.8, logprobs=2, n=3)
    got = fetch(nexttoken.sample(Array(values), seed=5, top_p=0.8, logprobs=2, n=3))
    np.testing.assert_array_equal(got.token_ids, wanted.token_ids)
    np.testing.assert_array_equal(got.seed, [5])
    empty = fetch(nexttoken.sample(Array(np.empty((0, 40), np.float32)), logprobs=2, n=3, temperature=[]))
    assert empty.token_ids.shape == (0, 3)
    assert empty.top_logprobs.shape == (0, 2)
    assert empty.seed.shape == empty.status.shape == (0,)
    shape = nexttoken.distribution(Array(np.empty((0, 40), np.float32)))
    assert shape.probs.shape == (0, 40)
    assert nexttoken.sample(Array(values)).token_ids.shape == (1,)


def test_probabilities_stay_where_they_are() -> None:
    values = np.random.default_rng(1).normal(size=(3, 40)).astype(np.float32)
    values[1] = np.nan
    probs = nexttoken.distribution(Array(values), top_k=7).probs
    assert isinstance(probs, Array)
    np.testing.assert_array_equal(probs.values, nexttoken.distribution(values, top_k=7).probs)


def test_fresh_seeds_are_told(library: Library) -> None:
    values = np.zeros((4, 1000), np.float32)
    drawn = fetch(nexttoken.sample(Array(values)))
    assert len(set(drawn.seed.tolist())) == 4
    again = nexttoken.sample(values, seed=drawn.seed)
    np.testing.assert_array_equal(drawn.token_ids, again.token_ids)
    assert drawn.seed.dtype == np.uint64


def test_seeds_on_the_device_come_back_as_they_were_given() -> None:
    seeds = Array([-1, 7, 2**40], np.int64)
    values = np.zeros((3, 1000), np.float32)
    drawn = nexttoken.sample(Array(values), seed=seeds)
    assert drawn.seed is seeds
    wanted = nexttoken.sample(values, seed=[-1, 7, 2**40])
    np.testing.assert_array_equal(drawn.token_ids.values, wanted.token_ids)
    one = nexttoken.sample(Array(values), seed=Array(-1, np.int32))
    np.testing.assert_array_equal(one.token_ids.values, nexttoken.sample(values, seed=-1).token_ids)


def test_histories_of_both_places_count_together() -> None:
    values = np.zeros((2, 6), np.float32)
    arguments: dict[str, Any] = {"temperature": 0, "repetition_penalty": 2.0, "frequency_penalty": 1.0}
    prompts, outputs = [[0, 1], [5]], np.array([[1, 2, -1], [-1, 0, 0]])
    wanted = nexttoken.distribution(
        values + 1, prompt_token_ids=prompts, output_token_ids=[[1, 2], [0, 0]], **arguments | {"temperature": 1}
    )
    for given in ((prompts, Array(outputs)), (Array([[0, 1], [5, -1]], np.int32), [[1, 2], [0, 0]])):
        got = nexttoken.distribution(
            Array(values + 1), prompt_token_ids=given[0], output_token_ids=given[1], **arguments | {"temperature": 1}
        )
        np.testing.assert_array_equal(got.weights.values, wanted.weights)
    shared = nexttoken.distribution(
        Array(values + 1), prompt_token_ids=Array([0, -1, 1], np.int32), output_token_ids=[2], frequency_penalty=1.0
    )
    wanted = nexttoken.distribution(values + 1, prompt_token_ids=[0, 1], output_token_ids=[2], frequency_penalty=1.0)
    np.testing.assert_array_equal(shared.weights.values, wanted.weights)


@pytest.mark.parametrize(
    ("name", "values", "bad"),
    [
        ("temperature", np.array([1, -1, np.nan, 2e30]), [1, 2, 3]),
        ("top_p", np.array([0.5, 1.1, -0.1, np.nan], np.float32), [1, 2, 3]),
        ("min_p", np.array([0.0, 1.0, 2.0, -1.0]), [2, 3]),
        ("top_k", np.array([0, -1, 2**31 - 1, -(2**31)], np.int32), [1, 3]),
        ("presence_penalty", np.array([0, np.inf, 1e39, -3e38]), [1, 2]),
        ("frequency_penalty", np.array([0, -np.inf, np.nan, 1], np.float32), [1, 2]),
        ("repetition_penalty", np.array([0, 1, 1e7, 1e-7]), [0, 2, 3]),
        ("sequence_index", np.array([0, -1, 2**32 - 2, 2**32 - 3]), [1, 2]),
        ("step", np.array([0, -1, 2**62, 1]), [1]),
        ("output_token_ids", np.array([[0], [40], [-2], [-1]]), [1, 2]),
        ("prompt_token_ids", np.array([[0], [2**40], [39], [-(2**40)]]), [1, 3]),
    ],
)
def test_values_out_of_range_give_their_row_a_status(name: str, values: Any, bad: list[int]) -> None:
    logits = Array(np.random.default_rng(3).normal(size=(4, 40)).astype(np.float32))
    arguments = {"seed": 1, "n": 3, "logprobs": 2, "repetition_penalty": 1.5, name: Array(values)}
    result = fetch(nexttoken.sample(logits, **arguments))
    statuses = [Status.BAD_PARAMETER if row in bad else Status.OK for row in range(4)]
    assert result.status.tolist() == statuses
    assert [bool((row == -1).all()) for row in result.token_ids] == [status != 0 for status in statuses]
    assert np.isnan(result.logprobs[bad]).all()
    assert (result.top_token_ids[bad] == -1).all()
    assert (result.top_logprobs[bad] == -np.inf).all()
    shape = fetch(nexttoken.distribution(logits, **arguments))
    assert shape.status.tolist() == statuses
    assert (shape.mass[bad] == 0).all()
    assert (shape.weights[bad] == 0).all()
