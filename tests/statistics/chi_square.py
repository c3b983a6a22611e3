"""Pearson's test on raw counts, with nothing but the standard library and NumPy."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

ALARM = 1e-6  # below this a test fails; fixed seeds make it fail always or never
LEAST = 5.0  # the expectation that a bin must have


def upper_gamma(a: float, x: float) -> float:
    """The regularised upper incomplete gamma function Q(a, x), to about 1e-12."""
    if x <= 0:
        return 1.0
    scale = math.exp(a * math.log(x) - x - math.lgamma(a))
    if x < a + 1:  # P by its power series
        term = total = 1.0 / a
        n = a
        while abs(term) > abs(total) * 1e-16:
            n += 1
            term *= x / n
            total += term
        return 1.0 - total * scale
    # Q by its continued fraction, evaluated forwards (modified Lentz)
    tiny = 1e-300
    b = x + 1 - a
    c = 1 / tiny
    d = 1 / b
    fraction = d
    for i in range(1, 100_000):
        numerator = -i * (i - a)
        b += 2
        d = 1 / (numerator * d + b or tiny)
        c = b + numerator / c or tiny
        fraction *= d * c
        if abs(d * c - 1) < 1e-15:
            break
    return scale * fraction


def p_value(statistic: float, degrees: int) -> float:
    """How often chance alone gives so large a statistic."""
    return upper_gamma(degrees / 2, statistic / 2)


def merged(expected: npt.NDArray[np.float64]) -> npt.NDArray[np.intp]:
    """For each cell the bin it belongs to: the rarest cells together, until every bin expects at least LEAST."""
    order = np.argsort(expected, kind="stable")
    bins = np.empty(len(expected), np.intp)
    current, total = 0, 0.0
    for cell in order:
        bins[cell] = current
        total += expected[cell]
        if total >= LEAST:
            current, total = current + 1, 0.0
    if total > 0 and current > 0:  # what is left over joins the last full bin
        bins[bins == current] = current - 1
    return bins


def test(counts: npt.NDArray[np.int64], probabilities: npt.NDArray[np.float64]) -> float:
    """The p-value of `counts` under `probabilities`; 0 where something impossible was counted."""
    if counts[probabilities == 0].any():
        return 0.0
    expected = probabilities / probabilities.sum() * counts.sum()
    bins = merged(expected)
    seen = np.bincount(bins, counts)
    due = np.bincount(bins, expected)
    seen, due = seen[due > 0], due[due > 0]
    if len(due) < 2:
        return 1.0
    return p_value(float(((seen - due) ** 2 / due).sum()), len(due) - 1)
