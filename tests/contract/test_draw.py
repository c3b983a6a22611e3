"""Draws whose 64 uniform bits are exactly 0, 2**63 and 2**64 - 1: where a target falls on a running sum.

No number of random draws would reach them. Philox can be run backwards: from the wanted bits and a seed to a step and a
sequence index, found among 2**32 tries.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pytest

import nexttoken
from contract.comparison import target
from nexttoken import reference

SEED = 1
# bits: (sequence index, step)
PLACES = {
    0: (1195149938, 16103355118981137465),
    2**63: (226347353, 17254608368469227989),
    2**64 - 1: (1214494495, 10390194536099911854),
}
ON, OFF = 0.0, -np.inf


@pytest.fixture(params=nexttoken.targets(), autouse=True)
def each_target(request: pytest.FixtureRequest) -> Iterator[None]:
    with target(request.param):
        yield


def drawn(bits: int, logits: list[float] | npt.NDArray[np.float32]) -> int:
    sequence_index, step = PLACES[bits]
    row = np.asarray(logits, np.float32)
    result = nexttoken.sample(row, seed=SEED, sequence_index=sequence_index, step=step)
    expected = reference.sample_row(row, seed=SEED, sequence_index=sequence_index, step=step)
    assert result.token_ids.tolist() == expected.token_ids
    return int(result.token_ids[0])


@pytest.mark.parametrize("bits", PLACES)
def test_the_places_are_right(bits: int) -> None:
    assert reference.draw_bits(SEED, *PLACES[bits]) == bits


def test_a_target_on_a_running_sum_is_the_next_token_of_any_weight() -> None:
    assert drawn(2**63, [ON, ON]) == 1
    assert drawn(2**63, [ON, OFF, ON]) == 2
    assert drawn(2**63, [OFF, ON, OFF, OFF, ON, OFF]) == 4
    assert drawn(2**63, [ON] * 7 + [OFF] + [ON] * 7) == 8


@pytest.mark.parametrize("half", [255, 256, 257, 512, 1000])
def test_the_same_on_the_edge_of_a_block(half: int) -> None:
    """The kernel sums blocks of tokens; empty blocks in between must be passed over."""
    assert drawn(2**63, [ON] * (2 * half)) == half
    assert drawn(2**63, [ON] * half + [OFF] * half + [ON] * half) == 2 * half


@pytest.mark.parametrize("banned", [0, 1, 5, 255, 256, 257, 600])
def test_bits_of_zero_are_the_first_token_that_is_left(banned: int) -> None:
    assert drawn(0, [OFF] * banned + [ON] * 3) == banned


@pytest.mark.parametrize("banned", [0, 1, 5, 255, 256, 257, 600])
def test_all_bits_are_the_last_token_that_is_left(banned: int) -> None:
    assert drawn(2**64 - 1, [ON] * 300 + [OFF] * banned) == 299


def test_the_largest_vocabulary() -> None:
    flat = np.zeros(2**20, np.float32)
    assert [drawn(bits, flat) for bits in PLACES] == [0, 2**19, 2**20 - 1]
