"""The test itself: known values of its distribution, how bins are merged, and that its p-values are what they say."""

from __future__ import annotations

import math

import chi_square
import numpy as np
import pytest


def test_two_degrees_are_an_exponential() -> None:
    for x in (0.0, 0.1, 1.0, 5.0, 30.0, 200.0):
        assert chi_square.p_value(x, 2) == pytest.approx(math.exp(-x / 2), rel=1e-12)


def test_one_degree_is_a_normal_squared() -> None:
    for x in (0.01, 0.5, 1.0, 4.0, 25.0):
        assert chi_square.p_value(x, 1) == pytest.approx(math.erfc(math.sqrt(x / 2)), rel=1e-10)


def test_even_degrees_are_a_sum_of_poisson_terms() -> None:
    for degrees in (4, 20, 100, 998):
        for x in (0.3 * degrees, degrees, 1.5 * degrees):
            terms = [math.exp(-x / 2 + k * math.log(x / 2) - math.lgamma(k + 1)) for k in range(degrees // 2)]
            assert chi_square.p_value(x, degrees) == pytest.approx(math.fsum(terms), rel=1e-9)


def test_bins_expect_enough() -> None:
    expected = np.array([100.0, 0.1, 3.0, 2.5, 0.2, 7.0, 4.9])
    bins = chi_square.merged(expected)
    assert (np.bincount(bins, expected) >= chi_square.LEAST).all()
    assert bins.tolist() == [2, 0, 0, 0, 0, 1, 1]
    assert chi_square.merged(np.array([4.0, 2.0, 3.0])).tolist() == [0, 0, 0]  # what is left over joins the last


def test_impossible_counts_are_impossible() -> None:
    assert chi_square.test(np.array([10, 1]), np.array([1.0, 0.0])) == 0
    assert chi_square.test(np.array([10, 0]), np.array([1.0, 0.0])) == 1


def test_p_values_are_uniform() -> None:
    rng = np.random.default_rng(4)
    shares = rng.dirichlet(np.full(30, 0.5))
    values = np.sort([chi_square.test(rng.multinomial(3000, shares), shares) for _ in range(800)])
    distance = np.abs(values - (np.arange(800) + 0.5) / 800).max()
    assert distance < 2.5 / math.sqrt(800)  # Kolmogorov: one in 100 000
