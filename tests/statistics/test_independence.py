"""Neighbouring draws tell nothing about each other: pairs along every axis of the stream."""

from __future__ import annotations

from collections.abc import Callable

import chi_square
import numpy as np
import pytest
from draws import AXES, Floats, Tokens, model_logits, softmax

import nexttoken

COUNT = 80_000
GROUPS = 8


def pair_p_value(first: Tokens, second: Tokens, probabilities: Floats) -> float:
    """Of pairs, tokens gathered in groups of about equal probability, against the product of the groups'."""
    # Neighbours in token id fall into one group: draws that are close to each other would show.
    groups = np.minimum((np.cumsum(probabilities) - probabilities / 2) * GROUPS, GROUPS - 1).astype(int)
    shares = np.bincount(groups, probabilities, GROUPS)
    counts = np.bincount(groups[first] * GROUPS + groups[second], minlength=GROUPS**2)
    return chi_square.test(counts, np.outer(shares, shares).reshape(-1))


@pytest.fixture(scope="module")
def logits() -> np.ndarray:
    return model_logits(3)


@pytest.mark.parametrize("lag", [1, 64])
@pytest.mark.parametrize("axis", AXES)
def test_neighbours(axis: str, lag: int, logits: np.ndarray) -> None:
    tokens = AXES[axis](logits, COUNT)
    assert pair_p_value(tokens[:-lag], tokens[lag:], softmax(logits)) > chi_square.ALARM


AT: dict[str, Callable[[np.ndarray], dict[str, object]]] = {
    "seed": lambda i: {"seed": i, "sequence_index": 0, "step": 0},
    "sequence_index": lambda i: {"seed": 9, "sequence_index": i, "step": 0},
    "step": lambda i: {"seed": 9, "sequence_index": 0, "step": i},
}


@pytest.mark.parametrize("one", AT)
@pytest.mark.parametrize("other", AT)
def test_the_same_number_in_two_places(one: str, other: str, logits: np.ndarray) -> None:
    """Seed 5, sequence 5 and step 5 share nothing; nor do 5 and 5 + 2**32 of one axis, where it has as many."""
    numbers = np.arange(1, COUNT)
    rows = np.broadcast_to(logits, (len(numbers), len(logits)))
    first = nexttoken.sample(rows, **AT[one](numbers)).token_ids
    if one != other:
        second = nexttoken.sample(rows, **AT[other](numbers)).token_ids
    elif one == "sequence_index":
        second = nexttoken.sample(rows, **AT[one](numbers + 2**31)).token_ids
    else:
        second = nexttoken.sample(rows, **AT[one](numbers + 2**32)).token_ids
    assert pair_p_value(first, second, softmax(logits)) > chi_square.ALARM


def test_dependent_draws_are_caught(logits: np.ndarray) -> None:
    """One draw in fifty repeats the one before; and draws whose uniforms follow a lattice."""
    rng = np.random.default_rng(8)
    probabilities = softmax(logits)
    tokens = rng.choice(len(probabilities), COUNT, p=probabilities)
    assert pair_p_value(tokens[:-1], tokens[1:], probabilities) > chi_square.ALARM
    repeats = rng.random(COUNT) < 0.02
    repeats[0] = False
    tokens[repeats] = tokens[np.flatnonzero(repeats) - 1]
    assert pair_p_value(tokens[:-1], tokens[1:], probabilities) < chi_square.ALARM
    uniform = np.arange(COUNT) * 0.6180339887 % 1  # a perfect spread, and no randomness
    lattice = np.searchsorted(np.cumsum(probabilities), uniform)
    assert pair_p_value(lattice[:-1], lattice[1:], probabilities) < chi_square.ALARM
