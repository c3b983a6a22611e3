"""Every parameter: the ends of its range are taken, what lies beyond is refused and the error says what and where."""

from __future__ import annotations

import math
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import nexttoken
from contract.naming import brief
from nexttoken import ParameterError, ParameterTypeError, Sampler, SamplingParams
from nexttoken.params import shown

V = 40
LOGITS = np.zeros((3, V), np.float32)
FLOAT32_MAX = float(np.finfo(np.float32).max)
HUGE = 10**400  # beyond float64

# name: (legal values, refused values, how an error says what is expected)
NUMBERS: dict[str, tuple[list[Any], list[Any], str]] = {
    "temperature": (
        [0, -0.0, 5e-324, 1e-6, 1, 1e30, np.float32(0.5), np.float16(2), Fraction(1, 3)],
        [-1e-9, -1, math.nextafter(1e30, math.inf), math.inf, -math.inf, math.nan, HUGE, -HUGE],
        "0 or in (0, 1e30]",
    ),
    "top_p": (
        [0, -0.0, 5e-324, 1e-300, 0.5, 1 - 2**-53, 1, 1.0, np.float64(1)],
        [-5e-324, -1, 1 + 2**-52, 2, math.inf, math.nan, HUGE],
        "in [0, 1]",
    ),
    "min_p": ([0, -0.0, 1e-300, 1 - 2**-53, 1], [-1e-300, 1 + 2**-52, 1.2, math.inf, math.nan], "in [0, 1]"),
    "top_k": (
        [0, 1, V - 1, V, V + 1, 2**40, 10**30, np.int64(3), np.uint8(3)],
        [-1, -(2**40)],
        "0 (off) or more",
    ),
    "presence_penalty": (
        [0, -2, 2, 1e-45, 1e-60, FLOAT32_MAX, -FLOAT32_MAX],
        [math.inf, -math.inf, math.nan, 3.5e38, -1e39, HUGE],
        "finite in float32",
    ),
    "frequency_penalty": (
        [0, -2, 2, 1e-45, FLOAT32_MAX, -FLOAT32_MAX],
        [math.inf, -math.inf, math.nan, 3.5e38, -HUGE],
        "finite in float32",
    ),
    "repetition_penalty": (
        [1e-6, 1, 1.5, 1e6],
        [0, -1, 9.99e-7, math.nextafter(1e6, math.inf), math.inf, math.nan],
        "in [1e-6, 1e6]",
    ),
    "sequence_index": ([0, 1, 2**32 - 1, np.uint32(7)], [-1, 2**32, 2**70], "in [0, 2**32)"),
    "step": ([0, 2**63, 2**64 - 1, np.uint64(2**64 - 1)], [-1, 2**64], "in [0, 2**64)"),
    "n": ([1, 2, 100], [0, -1, 2**24 + 1], "in [1, 2**24]"),
    "logprobs": ([None, 0, 1, 20], [-1, 21], "None or in [0, 20]"),
}
PER_ROW = [name for name in NUMBERS if name not in ("n", "logprobs")]
INTEGERS = ["top_k", "sequence_index", "step", "n", "logprobs"]
OF_A_REQUEST = [name for name in NUMBERS if name not in ("sequence_index", "step")]

CASES = [(name, value) for name, (legal, _, _) in NUMBERS.items() for value in legal]
REFUSED = [(name, value, expected) for name, (_, refused, expected) in NUMBERS.items() for value in refused]


@pytest.mark.parametrize(("name", "value"), CASES, ids=brief)
def test_legal_values_are_taken(name: str, value: Any) -> None:
    result = nexttoken.sample(LOGITS, **{"seed": 1, name: value})
    assert (result.status == 0).all()
    assert ((result.token_ids >= 0) & (result.token_ids < V)).all()
    if name in PER_ROW:
        again = nexttoken.sample(LOGITS, **{"seed": 1, name: [value, value, value]})
        np.testing.assert_array_equal(again.token_ids, result.token_ids)
    if name in OF_A_REQUEST:
        sampler = Sampler(V)
        row = sampler.add(SamplingParams(**{"seed": 1, name: value}))
        assert sampler.step(LOGITS[0]).token_ids[0] == np.ravel(result.token_ids)[0]
        assert sampler.info(row).step == 1


@pytest.mark.parametrize(("name", "value", "expected"), REFUSED, ids=brief)
def test_values_outside_the_range_are_refused(name: str, value: Any, expected: str) -> None:
    with pytest.raises(ParameterError) as refused:
        nexttoken.sample(LOGITS, **{name: value})
    assert str(refused.value) == f"{name} must be {expected}, got {shown(value)}"
    if name in PER_ROW:
        good = NUMBERS[name][0][0]
        with pytest.raises(ParameterError) as refused:
            nexttoken.sample(LOGITS, **{name: [good, value, good]})
        assert str(refused.value) == f"{name} must be {expected}, got {shown(value)} at row 1"
    if name in OF_A_REQUEST:
        with pytest.raises(ParameterError, match=f"^{name} must be"):
            SamplingParams(**{name: value})


@pytest.mark.parametrize("value", [True, np.True_, "1", b"1", 1j, Decimal(1), {0: 1}, {1}, object()], ids=brief)
@pytest.mark.parametrize("name", NUMBERS)
def test_what_is_no_number_is_refused(name: str, value: Any) -> None:
    kind = "an integer" if name in INTEGERS else "a number"
    with pytest.raises(ParameterTypeError) as refused:
        nexttoken.sample(LOGITS, **{name: value})
    assert str(refused.value).startswith(f"{name} must be {kind}, got ")
    if name in PER_ROW:
        with pytest.raises(ParameterTypeError, match=f"^{name} must be {kind}, got .* at row 2$"):
            nexttoken.sample(LOGITS, **{name: [1, 1, value]})
    if name in OF_A_REQUEST:
        with pytest.raises(ParameterTypeError, match=f"^{name} must be {kind}, got "):
            SamplingParams(**{name: value})


@pytest.mark.parametrize("name", INTEGERS)
@pytest.mark.parametrize("value", [1.0, 0.5, math.nan, np.float32(1)], ids=brief)
def test_integers_are_not_given_as_floats(name: str, value: float) -> None:
    with pytest.raises(ParameterTypeError, match=f"^{name} must be an integer, got "):
        nexttoken.sample(LOGITS, **{name: value})


@pytest.mark.parametrize("name", [name for name in NUMBERS if name != "logprobs"])
def test_none_is_no_number(name: str) -> None:
    with pytest.raises(ParameterTypeError, match=f"^{name} must be .*, got None"):
        nexttoken.sample(LOGITS, **{name: None})


@pytest.mark.parametrize("values", [[], [1], [1, 1], [1] * 4, np.ones(4), (1, 1)], ids=brief)
@pytest.mark.parametrize("name", [*PER_ROW, "seed", "logit_bias"])
def test_wrong_numbers_of_rows_are_refused(name: str, values: Any) -> None:
    with pytest.raises(ParameterError) as refused:
        nexttoken.sample(LOGITS, **{name: values})
    assert str(refused.value) == f"{name} must be one value or one per row (3), got {len(values)}"


@pytest.mark.parametrize("name", [*PER_ROW, "seed"])
@pytest.mark.parametrize("make", [list, tuple, np.array, lambda x: np.array(x, object)])
def test_values_per_row_come_in_any_sequence(name: str, make: Any) -> None:
    assert (nexttoken.sample(LOGITS, **{name: make([1, 1, 1])}).status == 0).all()
    assert (nexttoken.sample(LOGITS, **{name: np.array(1)}).status == 0).all()  # 0-D is one value


def test_a_number_per_row_is_one_number() -> None:
    with pytest.raises(ParameterTypeError, match=r"temperature must be a number, got array.* at row 0"):
        nexttoken.sample(LOGITS, temperature=np.ones((3, 1)))


@pytest.mark.parametrize("value", [1.5, 1.0, True, "7", b"7", math.nan, [1, 2.0, 3]], ids=brief)
def test_seeds_are_integers(value: Any) -> None:
    with pytest.raises(ParameterTypeError, match=r"^seed must be an integer or None, got "):
        nexttoken.sample(LOGITS, seed=value)
    if not isinstance(value, list):
        with pytest.raises(ParameterTypeError, match=r"^seed must be an integer or None, got "):
            SamplingParams(seed=value)


def test_sequence_indices_end_at_two_to_the_32() -> None:
    last = nexttoken.sample(LOGITS, seed=1, sequence_index=2**32 - 4, n=4)
    assert last.token_ids.shape == (3, 4)
    with pytest.raises(ParameterError) as refused:
        nexttoken.sample(LOGITS, sequence_index=2**32 - 3, n=4)
    assert str(refused.value) == "sequence_index + n must be at most 2**32, got 4294967293 + 4"
    with pytest.raises(ParameterError, match=r"got 4294967293 \+ 4 at row 2$"):
        nexttoken.sample(LOGITS, sequence_index=[0, 1, 2**32 - 3], n=4)


BIASES: list[tuple[Any, type[Exception], str]] = [
    ({V: 1.0}, ParameterError, rf"logit_bias must hold token ids in \[0, {V}\), got {V}"),
    ({-1: 1.0}, ParameterError, "logit_bias must hold token ids in .*, got -1"),
    ({str(V): 1.0}, ParameterError, f"logit_bias must hold token ids in .*, got {V}"),
    ({5: 1.0, "5": 1.0}, ParameterError, "logit_bias must name each token once, got 5 twice"),
    ({"05": 1.0, "5": 1.0}, ParameterError, "logit_bias must name each token once, got 5 twice"),
    ({5: math.inf}, ParameterError, "logit_bias must be finite in float32 or -inf, got inf for token 5"),
    ({5: math.nan}, ParameterError, "logit_bias must be finite .*, got nan for token 5"),
    ({5: -3.5e38}, ParameterError, "logit_bias must be finite .*, got -3.5e.38 for token 5"),
    ({5: HUGE}, ParameterError, "logit_bias must be finite .* for token 5"),
    ({5: "1"}, ParameterTypeError, "logit_bias must hold numbers, got '1' for token 5"),
    ({5: None}, ParameterTypeError, "logit_bias must hold numbers, got None for token 5"),
    ({5: True}, ParameterTypeError, "logit_bias must hold numbers, got True for token 5"),
    ({5.0: 1.0}, ParameterTypeError, "logit_bias must hold token ids, got 5.0"),
    ({True: 1.0}, ParameterTypeError, "logit_bias must hold token ids, got True"),
    ({"-1": 1.0}, ParameterTypeError, "logit_bias must hold token ids, got '-1'"),
    ({"five": 1.0}, ParameterTypeError, "logit_bias must hold token ids, got 'five'"),
    ({"": 1.0}, ParameterTypeError, "logit_bias must hold token ids, got ''"),
    ({"٥": 1.0}, ParameterTypeError, "logit_bias must hold token ids, got '٥'"),
    ([5, 6, 7], ParameterTypeError, "logit_bias must map token ids to numbers, got 5"),
]


@pytest.mark.parametrize(("bias", "error", "message"), BIASES, ids=brief)
def test_bad_biases_are_refused(bias: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"^{message}"):
        nexttoken.sample(LOGITS, logit_bias=bias)
    if isinstance(bias, dict):
        with pytest.raises(error, match=f"^{message} at row 1$"):
            nexttoken.sample(LOGITS, logit_bias=[None, bias, {}])
        with pytest.raises(error, match=r"^logit_bias must"):
            Sampler(V).add(SamplingParams(logit_bias=bias))


@pytest.mark.parametrize("bias", [5, 1.0, "5", {1, 2}], ids=["an integer", "a float", "a string", "a set"])
def test_a_bias_is_a_mapping(bias: Any) -> None:
    with pytest.raises(ParameterTypeError, match=r"^logit_bias must map token ids to numbers, got "):
        nexttoken.sample(LOGITS, logit_bias=bias)
    with pytest.raises(ParameterTypeError, match=r"^logit_bias must map token ids to numbers, got "):
        SamplingParams(logit_bias=bias)


def test_biases_end_to_end() -> None:
    assert nexttoken.sample(LOGITS, temperature=0, logit_bias={0: -math.inf, "7": 1e-45}).token_ids.tolist() == [7] * 3
    per_row = [{1: 1.0}, None, {np.int64(2): np.float32(1)}]
    assert nexttoken.sample(LOGITS, temperature=0, logit_bias=per_row).token_ids.tolist() == [1, 0, 2]


def test_limited_changes_nothing_but_the_limit() -> None:
    params = SamplingParams(temperature=0.5, logit_bias={3: 1.0}, stop=["x"], min_tokens=2)
    assert params.limited(5) == replace(params, max_tokens=5)
    assert params.limited(5).limited(7).max_tokens == 5
    assert params.max_tokens is None
    with pytest.raises(ParameterError, match=r"min_tokens must be at most max_tokens \(1\), got 2"):
        params.limited(1)
