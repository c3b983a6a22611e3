"""Logits, histories, bitmasks and choices of words: what is taken, and how the rest is refused."""

from __future__ import annotations

import math
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import nexttoken
from contract.naming import brief
from nexttoken import ParameterError, ParameterTypeError, Sampler, SamplingParams

V = 40
LOGITS = np.zeros((3, V), np.float32)
ARRAYS = ["prompt_token_ids", "output_token_ids"]


@pytest.mark.parametrize("name", ARRAYS)
@pytest.mark.parametrize(
    "tokens",
    [[], [0], [V - 1, V - 1], (1, 2), np.array([3, 4]), np.array([3], np.uint8), range(5), [np.int64(2)]],
    ids=brief,
)
def test_token_ids_are_taken(name: str, tokens: Any) -> None:
    one_for_all = nexttoken.sample(LOGITS, temperature=0, presence_penalty=1, repetition_penalty=2, **{name: tokens})
    per_row = nexttoken.sample(
        LOGITS, temperature=0, presence_penalty=1, repetition_penalty=2, **{name: [tokens, [], tokens]}
    )
    assert one_for_all.token_ids[0] == per_row.token_ids[0] == per_row.token_ids[2]
    assert per_row.token_ids[1] == 0


@pytest.mark.parametrize(
    "rows", [[[0], [0, 1], []], [None, [0], None], [None, None, None], np.zeros((3, 2), int)], ids=brief
)
def test_histories_differ_in_length(rows: Any) -> None:
    result = nexttoken.sample(LOGITS, temperature=0, presence_penalty=1.0, output_token_ids=rows)
    said = [{int(token) for token in (() if row is None else row)} for row in rows]
    assert result.token_ids.tolist() == [min(set(range(V)) - tokens) for tokens in said]


@pytest.mark.parametrize("name", ARRAYS)
@pytest.mark.parametrize(
    ("tokens", "error"),
    [
        ([V], ParameterError),
        ([0, -1], ParameterError),
        ([2**40], ParameterError),
        (np.array([2**63], np.uint64), ParameterError),
        ([1.0], ParameterTypeError),
        ([True, False], ParameterTypeError),
        (["1", "2", "3"], ParameterTypeError),
        ([2**70], ParameterError),
        ("12", ParameterTypeError),
        (b"12", ParameterTypeError),
        ({1: 1}, ParameterTypeError),
        ({1, 2}, ParameterTypeError),
        (5, ParameterTypeError),
        (np.zeros((3, 2, 2), int), ParameterTypeError),
    ],
    ids=brief,
)
def test_bad_token_ids_are_refused(name: str, tokens: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match=f"^{name} must "):
        nexttoken.sample(LOGITS, **{name: tokens})
    if isinstance(tokens, list):
        with pytest.raises(error, match=f"^{name} must hold .* at row 1$"):
            nexttoken.sample(LOGITS, **{name: [[], tokens, []]})
        with pytest.raises(error, match=f"^{name} must hold "):
            Sampler(V).add(SamplingParams(), **{name: tokens})


@pytest.mark.parametrize("name", ARRAYS)
@pytest.mark.parametrize("rows", [[[1]], [[1], [2]], [[1], [2], [3], [4]], np.zeros((2, 5), int)], ids=brief)
def test_wrong_numbers_of_histories_are_refused(name: str, rows: Any) -> None:
    with pytest.raises(ParameterError, match=rf"^{name} must be one value or one per row \(3\), got {len(rows)}$"):
        nexttoken.sample(LOGITS, **{name: rows})


def test_bitmasks() -> None:
    mask = np.array([0, 1 << 5], np.int32)  # token 37
    assert nexttoken.sample(LOGITS, seed=1, token_bitmask=mask).token_ids.tolist() == [37] * 3
    rows = np.array([[1, 0], [-(2**31), 0], [0, 1]], np.int32)
    assert nexttoken.sample(LOGITS, seed=1, token_bitmask=rows).token_ids.tolist() == [0, 31, 32]
    assert nexttoken.sample(LOGITS, seed=1, token_bitmask=rows[:, ::-1]).token_ids.tolist() == [32, -1, 0]
    # Bits beyond the vocabulary mean nothing: this row has no token.
    assert nexttoken.sample(LOGITS, token_bitmask=np.array([0, -256], np.int32)).status.tolist() == [2] * 3


@pytest.mark.parametrize("mask", [np.zeros(2, np.int64), np.zeros(2, np.uint32), np.zeros(2), [0, 0], "1"], ids=brief)
def test_bitmasks_are_int32(mask: Any) -> None:
    with pytest.raises(ParameterTypeError, match=r"^token_bitmask must be int32, got "):
        nexttoken.sample(LOGITS, token_bitmask=mask)


@pytest.mark.parametrize("shape", [(1,), (3,), (1, 2), (2, 2), (3, 1), (3, 3), (), (3, 2, 1)])
def test_shapes_of_bitmasks(shape: tuple[int, ...]) -> None:
    with pytest.raises(ParameterError, match=r"^token_bitmask must have the shape \(2,\) or \(3, 2\), got \("):
        nexttoken.sample(LOGITS, token_bitmask=np.zeros(shape, np.int32))


@pytest.mark.parametrize("value", ["Raw", "", None, True, 0, ["raw"]], ids=brief)
@pytest.mark.parametrize("name", ["logprobs_mode", "penalty_scope"])
def test_words_are_chosen_from_a_list(name: str, value: Any) -> None:
    with pytest.raises(ParameterError, match=f"^{name} must be one of '.*', '.*', got "):
        nexttoken.sample(LOGITS, **{name: value})
    with pytest.raises(ParameterError, match=f"^{name} must be one of '.*', '.*', got "):
        SamplingParams(**{name: value})


@pytest.mark.parametrize(
    "dtype", [np.float64, np.int32, np.int64, np.uint8, np.bool_, np.complex64, object, ">f4", ">f2", "S4",
              ml_dtypes.float8_e4m3fn], ids=str,
)  # fmt: skip
def test_other_dtypes_are_refused(dtype: Any) -> None:
    for function in (nexttoken.sample, nexttoken.distribution):
        with pytest.raises(ParameterTypeError, match=r"^logits must be float32, float16 or bfloat16, got "):
            function(np.zeros((2, 4)).astype(dtype))


@pytest.mark.parametrize("shape", [(), (1, 1, 4), (2, 3, 4, 5)])
def test_other_dimensions_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ParameterError, match=rf"^logits must have the shape .*, got {len(shape)} dimensions$"):
        nexttoken.sample(np.zeros(shape, np.float32))


@pytest.mark.parametrize("shape", [(0,), (3, 0), (2**20 + 1,), (0, 0), (2, 2**20 + 1)])
def test_other_vocabularies_are_refused(shape: tuple[int, ...]) -> None:
    size = shape[-1]
    with pytest.raises(ParameterError, match=rf"^logits must have a vocabulary of 1 to 1048576, got {size}$"):
        nexttoken.sample(np.broadcast_to(np.float32(0), shape))


@pytest.mark.parametrize("logits", [None, 1.0, "logits", [0.0, 1.0], [[0.0]], object(), {0: 1.0}], ids=brief)
def test_what_is_no_array_is_refused(logits: Any) -> None:
    with pytest.raises(ParameterTypeError, match=r"^logits must be an array of .*, got "):
        nexttoken.sample(logits)


def test_strides_that_split_items_are_refused() -> None:
    fields = np.zeros(5, np.dtype([("pad", "u1"), ("z", "f4")]))  # 5 bytes an item
    with pytest.raises(ParameterError, match=r"^logits must have strides that are multiples .*, got 5 bytes"):
        nexttoken.sample(fields["z"])


def test_an_empty_batch_has_empty_results() -> None:
    logits = np.empty((0, V), np.float32)
    result = nexttoken.sample(logits, logprobs=3, n=2)
    assert result.token_ids.shape == result.logprobs.shape == (0, 2)
    assert result.status.shape == result.seed.shape == (0,)
    assert result.top_token_ids.shape == result.top_logprobs.shape == (0, 3)
    assert nexttoken.sample(logits).token_ids.shape == (0,)
    everything: dict[str, Any] = {name: [] for name in ("temperature", "top_p", "logit_bias", "seed", *ARRAYS)}
    mask = np.empty((0, 2), np.int32)
    assert nexttoken.sample(logits, token_bitmask=mask, **everything).token_ids.shape == (0,)
    assert nexttoken.sample(logits, prompt_token_ids=np.empty((0, 5), int)).token_ids.shape == (0,)
    shape = nexttoken.distribution(logits)
    assert shape.weights.shape == shape.probs.shape == (0, V)
    assert shape.mass.shape == shape.status.shape == (0,)


def test_refused_calls_draw_nothing_and_later_ones_are_as_ever() -> None:
    before = nexttoken.sample(LOGITS, seed=3).token_ids
    with pytest.raises(ParameterError, match=r"^top_p must be in \[0, 1\], got nan at row 2$"):
        nexttoken.sample(LOGITS, seed=3, top_p=[1, 1, math.nan])
    np.testing.assert_array_equal(nexttoken.sample(LOGITS, seed=3).token_ids, before)


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("stop", 5, ParameterTypeError),
        ("stop", b"x", ParameterTypeError),
        ("stop", [1], ParameterTypeError),
        ("stop", "", ParameterError),
        ("stop", ["a", ""], ParameterError),
        ("stop_token_ids", "12", ParameterTypeError),
        ("stop_token_ids", [1.0], ParameterTypeError),
        ("stop_token_ids", [-1], ParameterError),
        ("max_tokens", 0, ParameterError),
        ("max_tokens", 1.0, ParameterTypeError),
        ("max_tokens", True, ParameterTypeError),
        ("min_tokens", -1, ParameterError),
        ("min_tokens", None, ParameterTypeError),
        ("ignore_eos", 1, ParameterTypeError),
    ],
    ids=brief,
)
def test_parameters_of_a_request(name: str, value: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match=f"^{name} must"):
        SamplingParams(**{name: value})


def test_min_tokens_is_at_most_max_tokens() -> None:
    assert SamplingParams(min_tokens=3, max_tokens=3).min_tokens == 3
    with pytest.raises(ParameterError, match=r"^min_tokens must be at most max_tokens \(2\), got 3$"):
        SamplingParams(min_tokens=3, max_tokens=2)
