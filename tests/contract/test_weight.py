"""Step 8: the weight never decreases as a logit grows, and is as close to 2**t as weight.h says.

Through every compiled target and the reference, on the values that matter; tests/cpp/weights_main.cc tries every t.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

import nexttoken
from contract.comparison import target
from nexttoken import reference

S = 42
BOUND = 2**-22.4  # relative, of a weight; truncation takes less than 1 besides
ROW = 2**20 - 1
# At this temperature the scale is exactly 1: a logit below a maximum of 0 is its own t.
TEMPERATURE = np.float32(np.log2(np.e))

Weights = npt.NDArray[np.uint64]
Weigher = Callable[[npt.NDArray[np.float32]], Weights]


def by_core(name: str) -> Weigher:
    def weigh(t: npt.NDArray[np.float32]) -> Weights:
        parts = []
        with target(name):
            for start in range(0, len(t), ROW):
                row = np.concatenate([np.zeros(1, np.float32), t[start : start + ROW]])
                parts.append(nexttoken.distribution(row, temperature=float(TEMPERATURE)).weights[0, 1:])
        return np.concatenate(parts)

    return weigh


def by_reference(t: npt.NDArray[np.float32]) -> Weights:
    parts = []
    for start in range(0, len(t), ROW):
        row = np.concatenate([np.zeros(1, np.float32), t[start : start + ROW]])
        parts.append(reference.weigh(row, TEMPERATURE)[1:])
    return np.concatenate(parts)


WEIGHERS = {**{name: by_core(name) for name in nexttoken.targets()}, "reference": by_reference}


@pytest.fixture(params=WEIGHERS)
def weigh(request: pytest.FixtureRequest) -> Weigher:
    return WEIGHERS[request.param]


def check(weigh: Weigher, t: npt.NDArray[np.float32]) -> Weights:
    """`t` ascending: weights ascend, and each is within the bound of 2**(S + t)."""
    assert (np.diff(t) >= 0).all()
    weights = weigh(t)
    assert (weights[1:] >= weights[:-1]).all(), "a weight decreases"
    exact = np.exp2(t.astype(np.float64) + S)
    error = np.abs(weights.astype(np.float64) - exact)
    assert (error <= BOUND * exact + 1).all(), f"off by {(error / exact).max()}"
    return weights


def test_the_scale_is_one() -> None:
    """What the tests below rest on."""
    assert np.float32(reference.LOG2_E / float(TEMPERATURE)) == 1


def test_every_fraction(weigh: Weigher) -> None:
    """t = -1 .. 0 in steps of 2**-24: f takes all 2**24 + 1 values of its grid but +1/2, which the seams have."""
    t = (np.arange(-(2**24), 1) / 2**24).astype(np.float32)
    weights = check(weigh, t)
    assert weights[-1] == 2**S  # P(0) = 1
    assert weights[0] == 2 ** (S - 1)  # and at the next integer


def test_both_sides_of_every_seam(weigh: Weigher) -> None:
    """Where rint changes its mind (half integers, ties to even) and where f changes sign (integers)."""
    seams = -np.arange(0, 2 * S + 4, dtype=np.float32) / 2
    near = [seams.view(np.int32) + d for d in range(-200, 201)]
    t = np.unique(np.stack(near)[:, 1:].astype(np.int32).view(np.float32))
    weights = check(weigh, t)
    at = dict(zip(t.tolist(), weights.tolist(), strict=True))
    for k in range(S):  # P(1/2) = 2 P(-1/2): the two sides of a half integer are one value
        assert at[-0.5 - k] in (at[-0.5] >> k, (at[-0.5] >> k) + 1)
        assert at[-1.0 - k] == 2 ** (S - 1 - k)


def test_the_end_of_the_scale(weigh: Weigher) -> None:
    """2**-42 of the maximum weighs 1, anything less weighs 0, however far."""
    limit = np.float32(-S)
    below, above = np.nextafter(limit, np.float32(-np.inf)), np.nextafter(limit, np.float32(0))
    t = np.array([-np.inf, -3e38, -1e10, -150, -44, -43.5, -43, -42.999996, -42.5, below, limit, above], np.float32)
    weights = weigh(t)
    np.testing.assert_array_equal(weights[:-2], 0)
    np.testing.assert_array_equal(weights[-2:], 1)


def test_above_one_half(weigh: Weigher) -> None:
    """Where float32 is finer than the grid of fractions: neighbours around many places, four units apart and less."""
    places = -np.random.default_rng(3).uniform(2**-9, 0.5, 4096).astype(np.float32)
    t = np.unique((places.view(np.int32)[:, None] + np.arange(-60, 61)).astype(np.int32).view(np.float32))
    check(weigh, t[t > -0.5])


def test_tiny_differences(weigh: Weigher) -> None:
    """Down to the smallest subnormal: finer than the grid of fractions."""
    exponents = np.arange(-149, 0, dtype=np.float64)
    t = -np.sort(np.concatenate([np.exp2(exponents), np.exp2(exponents) * 1.5]))[::-1]
    weights = check(weigh, t.astype(np.float32))
    assert (weights[t > -(2**-26)] == 2**S).all()


def test_random_differences(weigh: Weigher) -> None:
    t = -np.sort(np.random.default_rng(1).uniform(0, 44, 2**20).astype(np.float32))[::-1]
    check(weigh, t)


@pytest.mark.parametrize("temperature", [0.05, 0.7, 1.0, 1.3, 8.0])
@pytest.mark.parametrize("name", nexttoken.targets())
def test_as_close_as_a_float32_softmax(name: str, temperature: float) -> None:
    """Any temperature: beside the polynomial, t has two float32 roundings and the scale one, each of |t| * 2**-24."""
    z = np.random.default_rng(2).normal(0, 4, 50_000).astype(np.float32)
    with target(name):
        weights = nexttoken.distribution(z, temperature=temperature).weights[0].astype(np.float64)
    t = (z.astype(np.float64) - z.max()) / float(np.float32(temperature)) / np.log(2)
    exact = np.exp2(S + t)
    relative = BOUND + 3.01 * np.abs(t) * 2**-24 * np.log(2)
    assert (np.abs(weights - exact) <= relative * exact + 1).all()
