"""Tokens of probability 1e-6 to 1e-9 are drawn as often as they should be: no float32 sum swallows them."""

from __future__ import annotations

import math

import chi_square
import numpy as np
import pytest
from draws import AXES

import nexttoken

VOCAB = 1000


def with_tail(each: float) -> np.ndarray:
    """One token has nearly everything, the 999 others `each`; the likely one in the middle."""
    logits = np.full(VOCAB, math.log(each / (1 - (VOCAB - 1) * each)), np.float32)
    logits[VOCAB // 2] = 0
    return logits


def poisson_tail(seen: int, expected: float) -> float:
    """The probability of a count as far out as `seen`, on its side: by the gamma function."""
    if seen > expected:
        return 1 - chi_square.upper_gamma(seen, expected)
    return chi_square.upper_gamma(seen + 1, expected)


def check(each: float, draws: int) -> None:
    logits = with_tail(each)
    counts = np.zeros(VOCAB, np.int64)
    done = 0
    while done < draws:
        n = min(10_000_000, draws - done)
        tokens = nexttoken.sample(logits, seed=17, sequence_index=done, n=n).token_ids
        counts += np.bincount(tokens[0], minlength=VOCAB)
        done += n
    tail = np.delete(counts, VOCAB // 2)
    expected = float(np.exp(np.float64(logits[0]))) * draws  # of each, by the logit as float32 has it
    assert poisson_tail(int(tail.sum()), expected * (VOCAB - 1)) > chi_square.ALARM
    assert chi_square.test(tail, np.full(VOCAB - 1, 1 / (VOCAB - 1))) > chi_square.ALARM  # none before another


def test_one_in_a_million() -> None:
    check(1e-6, 2_000_000)


@pytest.mark.slow
@pytest.mark.parametrize(("each", "draws"), [(1e-7, 100_000_000), (1e-8, 200_000_000), (1e-9, 400_000_000)])
def test_rarer_still(each: float, draws: int) -> None:
    check(each, draws)


def test_a_lost_tail_is_caught() -> None:
    """What a float32 running sum does: the tail after the likely token is below its unit in the last place."""
    logits = with_tail(1e-6)
    weights = np.exp(logits.astype(np.float64)).astype(np.float32)
    running = np.cumsum(weights * np.float32(0.01), dtype=np.float16)
    assert (np.diff(running)[VOCAB // 2 :] == 0).all()
    lost = 2_000_000 * 1e-6 * (VOCAB - 1) / 2
    assert poisson_tail(int(lost), lost * 2) < chi_square.ALARM


def test_the_poisson_tail() -> None:
    for seen, expected in ((0, 3.0), (3, 3.0), (12, 3.0), (200, 150.0)):
        terms = [math.exp(-expected + k * math.log(expected) - math.lgamma(k + 1)) for k in range(1000)]
        exact = sum(terms[seen:]) if seen > expected else sum(terms[: seen + 1])
        assert poisson_tail(seen, expected) == pytest.approx(exact, rel=1e-9)


def test_axes_reach_the_tail_too() -> None:
    logits = with_tail(1e-4)
    for axis in AXES.values():
        tokens = axis(logits, 50_000)
        assert poisson_tail(int((tokens != VOCAB // 2).sum()), 50_000 * (VOCAB - 1) * 1e-4) > chi_square.ALARM
