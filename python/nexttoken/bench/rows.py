"""Rows of logits to time with: peaked as a confident model's, mid, and flat. Always many different ones.

A sampler that is timed on one repeated row looks several times faster than it is, because the branch predictor learns
the row.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from nexttoken.exceptions import BenchmarkError

__all__ = ["ROWS", "SHAPES", "Shape", "check_nucleus", "laplace_rows", "make_rows", "nucleus_sizes"]

Floats = npt.NDArray[np.float32]
Shape = Literal["peaked", "mid", "flat"]
SHAPES: tuple[Shape, ...] = ("peaked", "mid", "flat")

ROWS = 32
"""How many different rows a case rotates over."""

TEMPERATURE, TOP_P = 0.8, 0.95
"""What the sizes of a nucleus are given for."""

# Exponential tails make the weights a power law of the rank: above a scale of TEMPERATURE the head holds the mass, as
# in a confident model, below it the bulk does.
_SCALES = {"peaked": 1.25, "mid": 1.0}
# Rows of one shape differ in how sure they are, as steps of one text do.
_SPREAD = 0.04


@dataclass(frozen=True)
class _Expected:
    """The range of a shape's median nucleus, as tokens or as shares of the vocabulary."""

    low: float
    high: float

    def __contains__(self, size: float) -> bool:
        return self.low <= size <= self.high


def _expected(shape: Shape, vocab: int) -> _Expected:
    if shape == "peaked":
        return _Expected(3, 100)
    if shape == "mid":
        return _Expected(min(1000, vocab / 100), vocab * 0.35)
    return _Expected(vocab / 2, vocab * 3 / 4)


def laplace_rows(scale: float, vocab: int, count: int = ROWS, seed: int = 20231106) -> Floats:
    """Logits with exponential tails, at random places.

    Parameters
    ----------
    scale : float
        The larger, the fewer tokens hold the probability. Rows differ from it by up to 4 %.
    vocab, count : int
        Tokens and rows.
    seed : int
        The same rows on every machine.

    Returns
    -------
    float32 array [count, vocab]
    """
    rng = np.random.default_rng([seed, vocab])
    rows = np.empty((count, vocab), np.float32)
    for row, own in zip(rows, scale * np.linspace(1 - _SPREAD, 1 + _SPREAD, count), strict=True):
        # Near the quantiles, not at random: the luck of the one best token would decide the size of the nucleus.
        u = (np.arange(vocab) + rng.uniform(0.2, 0.8, vocab)) / vocab
        row[:] = rng.permutation(np.where(u < 0.5, np.log(2 * u), -np.log(2 * (1 - u))) * own)
    return rng.permutation(rows)


@functools.lru_cache(maxsize=8)
def make_rows(shape: Shape, vocab: int, count: int = ROWS) -> Floats:
    """Different rows of one shape, read-only and the same on every machine.

    Parameters
    ----------
    shape : {"peaked", "mid", "flat"}
        At temperature 0.8 and top_p 0.95 a nucleus of tens of tokens; of thousands (a hundredth of a small vocabulary);
        of most of the vocabulary.
    vocab, count : int
        Tokens and rows.

    Returns
    -------
    float32 array [count, vocab]

    Raises
    ------
    BenchmarkError
        If the rows are not of that shape: their median nucleus is measured each time they are made.
    """
    if shape == "flat":
        rows = np.random.default_rng([20231106, vocab]).normal(size=(count, vocab)).astype(np.float32)
    else:
        rows = laplace_rows(_SCALES[shape], vocab, count)
    check_nucleus(shape, rows)
    rows.flags.writeable = False
    return rows


def nucleus_sizes(rows: Floats, temperature: float = TEMPERATURE, top_p: float = TOP_P) -> npt.NDArray[np.int64]:
    """How many tokens of each row hold `top_p` of its probability.

    Parameters
    ----------
    rows : float32 array [batch, vocab]
        Logits.
    temperature, top_p : float
        As in `SamplingParams`.

    Returns
    -------
    int64 array [batch]
        In float64, so one off where the sum comes within rounding of `top_p`.
    """
    sizes = []
    for row in rows:
        weights = np.sort(np.exp((row - row.max()).astype(np.float64) / temperature))[::-1]
        running = np.cumsum(weights)
        sizes.append(int(np.searchsorted(running, top_p * running[-1])) + 1)
    return np.array(sizes, np.int64)


def check_nucleus(shape: Shape, rows: Floats) -> float:
    """The median nucleus of `rows`, in tokens.

    Raises
    ------
    BenchmarkError
        If it is not what `shape` promises.
    """
    median = float(np.median(nucleus_sizes(rows)))
    expected = _expected(shape, rows.shape[1])
    if median not in expected:
        raise BenchmarkError(
            f"{shape} rows must have a median nucleus of {expected.low:g} to {expected.high:g} tokens, "
            f"got {median:g} of {rows.shape[1]}"
        )
    return median
