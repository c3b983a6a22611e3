"""The contract by hand: rows of four tokens, the numbers written out.

Logits are multiples of ln 2 in float32 or temperatures are such that weights are powers of two, so that a reader can
check each table without a computer. ONE is the weight of a row's best token.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import nexttoken
from nexttoken import Status, reference

ONE = 2**42
INF = math.inf
# log2(e) as a temperature makes the scale 1: a logit of -3 below the best weighs 2**-3 of it.
BASE_2 = float(np.float32(math.log2(math.e)))


def weights(logits: list[float], **parameters: Any) -> list[int]:
    """By the compiled core, after the reference has said the same."""
    parameters = {"temperature": BASE_2, **parameters}
    row = np.array(logits, np.float32)
    shape = nexttoken.distribution(row, **parameters)
    assert shape.weights[0].tolist() == reference.sample_row(row, **parameters).weights.tolist()
    assert int(shape.mass[0]) == sum(shape.weights[0].tolist())
    return [int(weight) for weight in shape.weights[0]]


def best(logits: list[float], **parameters: Any) -> int:
    """The greedy token: what the adjusted logits say."""
    row = np.array(logits, np.float32)
    result = nexttoken.sample(row, temperature=0, **parameters)
    assert result.token_ids.tolist() == reference.sample_row(row, temperature=0, **parameters).token_ids
    return int(result.token_ids[0])


def test_weights_are_powers_of_two_times_the_best() -> None:
    assert weights([0, -1, -2, -42]) == [ONE, ONE // 2, ONE // 4, 1]
    assert weights([-7, -5, -5, -48]) == [ONE // 4, ONE, ONE, 0]  # 2**-43 is less than one
    # 2**0.5 = 1.41421356..., in 24 bits 0x1.6a09e6p0; of half a step below the best, half of that.
    (half,) = weights([-0.5, 0, -INF, -INF])[:1]
    assert abs(half / ONE - math.sqrt(0.5)) < 2**-22.6


def test_temperature_scales_the_differences() -> None:
    assert weights([0, -1, -2, -3], temperature=BASE_2 / 2) == [ONE, ONE // 4, ONE // 16, ONE // 64]
    assert weights([0, -2, -4, -6], temperature=BASE_2 * 2) == [ONE, ONE // 2, ONE // 4, ONE // 8]
    assert weights([5, 4, 3, -INF], temperature=1e30) == [ONE, ONE, ONE, 0]


def test_bias_is_added_and_minus_infinity_bans() -> None:
    assert weights([0, -1, -2, -3], logit_bias={3: 4.0, 0: -1.0}) == [ONE // 4, ONE // 4, ONE // 8, ONE]
    assert weights([9, 0, -1, -2], logit_bias={0: -INF}) == [0, ONE, ONE // 2, ONE // 4]
    assert weights([INF, 0, -1, -2], logit_bias={0: -INF}) == [0, ONE, ONE // 2, ONE // 4]


def test_bitmask_bans_before_the_bias() -> None:
    mask = np.array([0b1010], np.int32)
    assert weights([0, -1, -2, -3], token_bitmask=mask) == [0, ONE, 0, ONE // 4]
    assert weights([0, -1, -2, -3], token_bitmask=mask, logit_bias={0: 100.0, 3: 1.0}) == [0, ONE, 0, ONE // 2]


def test_repetition_penalty_divides_above_zero_and_multiplies_below() -> None:
    # Tokens 0 (prompt) and 3 (output) occurred: 4 / 2 = 2 and -1 * 2 = -2; the others stay at 2 and 0.
    parameters: dict[str, Any] = {"repetition_penalty": 2.0, "prompt_token_ids": [0], "output_token_ids": [3, 3]}
    assert weights([4, 2, 0, -1], **parameters) == [ONE, ONE, ONE // 4, ONE // 16]


def test_frequency_counts_and_presence_does_not() -> None:
    said: dict[str, Any] = {"prompt_token_ids": [1, 1, 1], "output_token_ids": [0, 0, 2]}
    # Output only: token 0 twice, token 2 once.
    assert weights([0, 0, 0, 0], frequency_penalty=1.0, **said) == [ONE // 4, ONE, ONE // 2, ONE]
    assert weights([0, 0, 0, 0], presence_penalty=1.0, **said) == [ONE // 2, ONE, ONE // 2, ONE]
    assert weights([0, 0, 0, 0], presence_penalty=2.0, frequency_penalty=1.0, **said) == [
        ONE // 16, ONE, ONE // 8, ONE,
    ]  # fmt: skip
    # The prompt too: token 1 three times.
    assert weights([0, 0, 0, 0], frequency_penalty=1.0, penalty_scope="prompt_and_output", **said) == [
        ONE // 4, ONE // 8, ONE // 2, ONE,
    ]  # fmt: skip


def test_the_order_is_repetition_then_frequency_then_presence() -> None:
    # (8 / 2) - 1 = 3, then - 2 = 1; the other way round would be (8 - 3) / 2 = 2.5.
    said: dict[str, Any] = {"output_token_ids": [0]}
    parameters = {"repetition_penalty": 2.0, "frequency_penalty": 1.0, "presence_penalty": 2.0}
    assert weights([8, 1, 2, 0], **parameters, **said) == [ONE // 2, ONE // 2, ONE, ONE // 4]


def test_frequency_has_two_roundings() -> None:
    # 0.1 is 0x1.99999ap-4 and thrice that 0x1.3333338p-2, which rounds up to the logit 0x1.333334p-2: the difference is
    # 0, a tie that token 0 wins. With one rounding (fma) 2**-27 would be left, and token 1 would win.
    logit = float.fromhex("0x1.333334p-2")
    assert float(np.float32(3) * np.float32(0.1)) == logit > 3 * float(np.float32(0.1))
    assert best([0, logit, -1, -1], frequency_penalty=0.1, output_token_ids=[1, 1, 1]) == 0


def test_counts_are_rounded_to_float32() -> None:
    # 2**24 + 1 occurrences count as 2**24, the nearest float32 (ties to even): the difference is 0, and token 0 wins.
    said = np.zeros(2**24 + 1, np.int32)
    row = np.array([2**24, 0], np.float32)
    assert nexttoken.sample(row, temperature=0, frequency_penalty=1.0, output_token_ids=said).token_ids.tolist() == [0]


def test_both_zeros_are_one_value() -> None:
    assert best([-1, -0.0, 0.0, -1]) == 1
    assert weights([-1, -0.0, 0.0, -1], top_k=1) == [0, ONE, 0, 0]


def test_greedy_takes_the_lowest_id_and_is_one_hot() -> None:
    assert best([1, 3, 3, 2]) == 1
    assert weights([1, 3, 3, 2], temperature=0) == [0, ONE, 0, 0]
    # Greedy below float32(1e-5), a distribution from there on.
    below = float(np.nextafter(np.float32(1e-5), np.float32(0)))
    assert weights([3, 3, 3, 2], temperature=below) == [ONE, 0, 0, 0]
    assert weights([3, 3, 3, 2], temperature=1e-5) == [ONE, ONE, ONE, 0]


def test_min_p_is_relative_to_the_best_and_keeps_the_equal() -> None:
    logits = [0.0, -1, -2, -3]
    assert weights(logits, min_p=0.25) == [ONE, ONE // 2, ONE // 4, 0]
    assert weights(logits, min_p=math.nextafter(0.25, 1)) == [ONE, ONE // 2, 0, 0]
    assert weights(logits, min_p=1.0) == [ONE, 0, 0, 0]
    # Before top_p: the shares are of what min_p left.
    assert weights([0, 0, -1, -1], min_p=0.75, top_p=0.5) == [ONE, 0, 0, 0]


def test_top_k_keeps_exactly_k_and_lower_ids_among_equals() -> None:
    assert weights([-1, 0, -1, -1], top_k=2) == [ONE // 2, ONE, 0, 0]
    assert weights([-1, 0, -1, -1], top_k=3) == [ONE // 2, ONE, ONE // 2, 0]
    for off in (0, 4, 5, 2**40):
        assert weights([-1, 0, -1, -1], top_k=off) == [ONE // 2, ONE, ONE // 2, ONE // 2]


def test_top_k_ranks_by_logit_where_weights_are_equal() -> None:
    # Both weigh ONE: the difference is too small for the weight, not for the rank.
    assert weights([1e-30, 2e-30, 0, 0], top_k=1) == [0, ONE, 0, 0]


def test_top_p_keeps_the_token_that_crosses() -> None:
    # Shares of 8: 4, 2, 1, 1.
    logits = [0.0, -1, -2, -2]
    assert weights(logits, top_p=0.5) == [ONE, 0, 0, 0]  # exactly on the sum: reached
    assert weights(logits, top_p=math.nextafter(0.5, 1)) == [ONE, ONE // 2, 0, 0]
    assert weights(logits, top_p=0.75) == [ONE, ONE // 2, 0, 0]
    assert weights(logits, top_p=0.76) == [ONE, ONE // 2, ONE // 4, 0]
    assert weights(logits, top_p=0.875) == [ONE, ONE // 2, ONE // 4, 0]
    assert weights(logits, top_p=0.876) == [ONE, ONE // 2, ONE // 4, ONE // 4]
    assert weights(logits, top_p=1.0) == [ONE, ONE // 2, ONE // 4, ONE // 4]
    assert weights(logits, top_p=0.0) == [ONE, 0, 0, 0]


def test_top_p_is_a_share_of_what_top_k_left() -> None:
    # Of the two left, 4 of 6 is two thirds: 0.6 is reached by the first alone, though it has half of all four.
    assert weights([0, -1, -2, -2], top_k=2, top_p=0.6) == [ONE, 0, 0, 0]
    assert weights([0, -1, -2, -2], top_p=0.6) == [ONE, ONE // 2, 0, 0]


def test_the_draw() -> None:
    # Philox4x32-10 of key 0 and counter 0 begins 6627e8d5 e169c58d (Random123's vectors): u = 0xe169c58d6627e8d5.
    u = 0xE169C58D6627E8D5
    assert reference.draw_bits(0, 0, 0) == u
    # Four equal tokens: u / 2**64 = 0.88, so the last quarter.
    assert nexttoken.sample(np.zeros(4, np.float32), seed=0).token_ids.tolist() == [3]
    # Of eight it is 7.04, of nine 7.92.
    assert nexttoken.sample(np.zeros(8, np.float32), seed=0).token_ids.tolist() == [7]
    assert nexttoken.sample(np.zeros(9, np.float32), seed=0).token_ids.tolist() == [7]
    # Token ids order the draw, not ranks: shares 1/8 1/8 1/4 1/2, running sums 0.125 0.25 0.5 1.
    assert nexttoken.sample(np.array([-2, -2, -1, 0], np.float32), seed=0, temperature=BASE_2).token_ids.tolist() == [3]
    assert nexttoken.sample(np.array([0, -1, -2, -2], np.float32), seed=0, temperature=BASE_2).token_ids.tolist() == [3]


def test_a_target_on_a_running_sum_is_the_next_tokens() -> None:
    # The token is the first whose running sum exceeds the target.
    for target, token in ((0, 0), (2, 0), (3, 2), (4, 2), (5, 3)):
        bits = -(-(target << 64) // 6)  # the least u that floor(u * 6 / 2**64) makes the target
        assert reference.draw(np.array([3, 0, 2, 1], np.uint64), bits) == token


@pytest.mark.parametrize(
    ("logits", "status"),
    [
        ([0, math.nan, 0, 0], Status.NAN_LOGITS),
        ([-INF, math.nan, -INF, -INF], Status.NAN_LOGITS),
        ([-INF, -INF, -INF, -INF], Status.NO_TOKEN),
        ([INF, INF, 0, 0], Status.OK),
    ],
)
def test_rows_at_the_edge(logits: list[float], status: Status) -> None:
    result = nexttoken.sample(np.array(logits, np.float32), seed=1)
    assert result.status.tolist() == [status]
    assert (result.token_ids[0] == -1) == (status != Status.OK)


def test_a_masked_nan_is_a_nan() -> None:
    mask = np.array([0b0001], np.int32)
    row = np.array([0, math.nan, 0, 0], np.float32)
    assert nexttoken.sample(row, token_bitmask=mask).status.tolist() == [Status.NAN_LOGITS]


def test_infinite_less_infinite_is_a_nan() -> None:
    # A banned token that a huge reward lifts to -inf + inf.
    said: dict[str, Any] = {"output_token_ids": [0, 0], "frequency_penalty": -3e38}
    row = np.array([-INF, 0, 0, 0], np.float32)
    assert nexttoken.sample(row, **said).status.tolist() == [Status.NAN_LOGITS]


def test_infinities_share_the_probability() -> None:
    assert weights([INF, 3e38, INF, -INF]) == [ONE, 0, ONE, 0]
    assert best([0, INF, INF, 0]) == 1
    result = nexttoken.sample(np.array([INF, 3e38, INF, -INF], np.float32), seed=1, logprobs=4)
    assert result.logprobs.tolist() == pytest.approx([-math.log(2)])
    assert result.top_token_ids.tolist() == [[0, 2, -1, -1]]


def test_logprobs_raw_and_processed() -> None:
    row = np.array([0, math.log(2), math.log(4), math.log(8)], np.float32)  # shares 1, 2, 4, 8 of 15
    raw = nexttoken.sample(row, seed=1, top_k=2, temperature=0.5, logprobs=3)
    assert raw.top_token_ids.tolist() == [[3, 2, 1]]
    assert raw.top_logprobs[0].tolist() == pytest.approx([math.log(k / 15) for k in (8, 4, 2)], abs=2e-6)
    processed = nexttoken.sample(row, seed=1, top_k=2, temperature=0.5, logprobs=3, logprobs_mode="processed")
    assert processed.top_token_ids.tolist() == [[3, 2, -1]]
    assert processed.top_logprobs[0, :2].tolist() == pytest.approx([math.log(k / 80) for k in (64, 16)], abs=2e-6)
    assert processed.top_logprobs[0, 2] == -INF
    greedy = nexttoken.sample(row, temperature=0, logprobs=0, logprobs_mode="processed", logit_bias={3: -INF})
    assert greedy.token_ids.tolist() == [2]
    assert greedy.logprobs.tolist() == pytest.approx([math.log(4 / 7)], abs=2e-6)  # temperature 1, after the ban
