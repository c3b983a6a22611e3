"""A row's tokens depend on the row alone: not on its batch, its place in it, threads, or what it shares with others."""

from __future__ import annotations

import numpy as np
import pytest

import nexttoken
from contract.comparison import target, threads
from contract.rows import Batch, make_batch

SEEDS = range(12)


def draw(batch: Batch) -> list[np.ndarray]:
    """All results, rows first."""
    result = nexttoken.sample(batch.logits, **batch.sample_arguments())
    shape = nexttoken.distribution(batch.logits, **batch.distribution_arguments())
    arrays = [result.token_ids, result.status, result.seed, shape.weights, shape.mass, shape.status]
    return arrays + [a for a in (result.logprobs, result.top_token_ids, result.top_logprobs) if a is not None]


def assert_same(got: list[np.ndarray], wanted: list[np.ndarray]) -> None:
    assert len(got) == len(wanted)
    for left, right in zip(got, wanted, strict=True):
        np.testing.assert_array_equal(left, right)


@pytest.mark.parametrize("seed", SEEDS)
def test_order_and_size_of_the_batch(seed: int) -> None:
    rng = np.random.default_rng([11, seed])
    batch = make_batch(rng, size=24)
    whole = draw(batch)
    order = rng.permutation(len(batch)).tolist()
    assert_same(draw(batch.take(order)), [array[order] for array in whole])
    cut = int(rng.integers(1, len(batch)))
    for part in (range(cut), range(cut, len(batch)), [3], [5, 5, 5]):
        assert_same(draw(batch.take(list(part))), [array[list(part)] for array in whole])


@pytest.mark.parametrize("seed", SEEDS)
def test_threads(seed: int) -> None:
    batch = make_batch(np.random.default_rng([12, seed]), size=40)
    alone = draw(batch)
    for count in (2, 3, 8, 1):
        with threads(count):
            assert_same(draw(batch), alone)


@pytest.mark.parametrize("seed", SEEDS)
def test_targets_agree_on_logprobs_too_within_the_bound(seed: int) -> None:
    batch = make_batch(np.random.default_rng([13, seed]))
    batch.logprobs = 20
    results = []
    for name in nexttoken.targets():
        with target(name):
            results.append(nexttoken.sample(batch.logits, **batch.sample_arguments()))
    for result in results[1:]:
        np.testing.assert_array_equal(result.top_token_ids, results[0].top_token_ids)
        np.testing.assert_allclose(result.logprobs, results[0].logprobs, rtol=2**-22, atol=4e-6)


@pytest.mark.parametrize("seed", SEEDS)
def test_choice_i_of_n_is_sequence_index_plus_i(seed: int) -> None:
    batch = make_batch(np.random.default_rng([14, seed]))
    batch.n = 8
    batch.rows["sequence_index"] = [min(index, 2**32 - 8) for index in batch.rows["sequence_index"]]
    together = nexttoken.sample(batch.logits, **batch.sample_arguments()).token_ids
    assert together.shape == (len(batch), 8)
    first = batch.rows["sequence_index"]
    batch.n = 1
    for i in range(8):
        batch.rows["sequence_index"] = [index + i for index in first]
        alone = nexttoken.sample(batch.logits, **batch.sample_arguments()).token_ids
        np.testing.assert_array_equal(alone, together[:, i])


@pytest.mark.parametrize("seed", SEEDS)
def test_one_value_for_all_is_that_value_per_row(seed: int) -> None:
    rng = np.random.default_rng([15, seed])
    batch = make_batch(rng, size=16)
    chosen = int(rng.integers(16))
    shared = {name: values[chosen] for name, values in batch.rows.items()}
    arguments = batch.sample_arguments()
    if batch.token_bitmask is not None:
        arguments["token_bitmask"] = batch.token_bitmask[chosen]
    one_for_all = nexttoken.sample(batch.logits, **{**arguments, **shared})
    batch.rows = {name: [value] * 16 for name, value in shared.items()}
    if batch.token_bitmask is not None:
        batch.token_bitmask = np.repeat(batch.token_bitmask[[chosen]], 16, axis=0)
    per_row = nexttoken.sample(batch.logits, **batch.sample_arguments())
    np.testing.assert_array_equal(one_for_all.token_ids, per_row.token_ids)
    np.testing.assert_array_equal(one_for_all.status, per_row.status)


@pytest.mark.parametrize("seed", SEEDS)
def test_logits_are_never_modified(seed: int) -> None:
    batch = make_batch(np.random.default_rng([16, seed]))
    base = batch.logits if batch.logits.base is None else batch.logits.base
    memory = bytes(base) if isinstance(base, bytearray) else base.tobytes()
    draw(batch)
    assert (bytes(base) if isinstance(base, bytearray) else base.tobytes()) == memory


def test_neighbours_of_bad_rows_are_unharmed() -> None:
    rng = np.random.default_rng(17)
    logits = rng.normal(size=(9, 77)).astype(np.float32)
    wanted = nexttoken.sample(logits, seed=list(range(9)), logprobs=3)
    bad = logits.copy()
    bad[1, 5], bad[4], bad[7, 0] = np.nan, -np.inf, np.nan
    got = nexttoken.sample(bad, seed=list(range(9)), logprobs=3)
    good = [0, 2, 3, 5, 6, 8]
    for name in ("token_ids", "logprobs", "top_token_ids", "top_logprobs"):
        np.testing.assert_array_equal(getattr(got, name)[good], getattr(wanted, name)[good])
    np.testing.assert_array_equal(got.token_ids[[1, 4, 7]], -1)
    np.testing.assert_array_equal(got.status, [0, 1, 0, 0, 2, 0, 0, 1, 0])
    assert np.isnan(got.logprobs[[1, 4, 7]]).all()
    np.testing.assert_array_equal(got.top_token_ids[[1, 4, 7]], -1)
    np.testing.assert_array_equal(got.top_logprobs[[1, 4, 7]], -np.inf)


def test_steps_are_a_stream_that_can_be_entered_anywhere() -> None:
    logits = np.random.default_rng(18).normal(size=(1, 500)).astype(np.float32)
    stream = [int(nexttoken.sample(logits, seed=5, step=step).token_ids[0]) for step in range(64)]
    repeated = np.repeat(logits, 64, axis=0)
    np.testing.assert_array_equal(nexttoken.sample(repeated, seed=5, step=list(range(64))).token_ids, stream)
    assert len(set(stream)) > 32  # steps differ
    other = nexttoken.sample(repeated, seed=6, step=list(range(64))).token_ids
    assert (other != stream).sum() > 32  # and so do seeds


def test_a_seed_is_taken_mod_two_to_the_64() -> None:
    logits = np.random.default_rng(19).normal(size=(1, 500)).astype(np.float32)
    for seed in (-1, -(2**63), 3):
        same = [nexttoken.sample(logits, seed=seed + k * 2**64, n=32) for k in (0, 1, -7)]
        assert all((result.token_ids == same[0].token_ids).all() for result in same)
        assert all(result.seed[0] == seed % 2**64 for result in same)


def test_a_fresh_seed_is_reported_and_draws_the_same_again() -> None:
    logits = np.zeros((6, 1000), np.float32)
    fresh = nexttoken.sample(logits, n=8)
    assert len(set(fresh.seed.tolist())) == 6
    assert (fresh.seed < 2**63).all()
    again = nexttoken.sample(logits, seed=fresh.seed, n=8)
    np.testing.assert_array_equal(again.token_ids, fresh.token_ids)
