"""Rows so long that the kernels guess where a cut lies (csrc/cpu/row_bracket.h), and rows that mislead the guess.

A guess decides nothing: whatever it was, the result equals the reference, bit for bit, on every target.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt
import pytest

from contract.comparison import ROWS_COMPARED, Expected, target
from contract.rows import Batch, make_batch
from contract.test_parity import TARGETS, Record, compare

Floats = npt.NDArray[np.float32]

GROUP = 256  # what the kernels take together: 16 rows of 16 columns
VOCAB = 48 * GROUP


def plain(logits: npt.NDArray[Any], rows: dict[str, list[Any]], logprobs: int | None = None) -> Batch:
    """A batch without penalties, bias or mask; `rows` has the parameters that matter."""
    size = len(logits)
    parameters: dict[str, list[Any]] = {
        "temperature": [1.0] * size, "top_p": [1.0] * size, "top_k": [0] * size, "min_p": [0.0] * size,
        "presence_penalty": [0.0] * size, "frequency_penalty": [0.0] * size, "repetition_penalty": [1.0] * size,
        "logit_bias": [None] * size, "prompt_token_ids": [[]] * size, "output_token_ids": [[]] * size,
        "seed": list(range(size)), "sequence_index": [0] * size, "step": [0] * size,
    }  # fmt: skip
    return Batch(logits, {**parameters, **rows}, None, 3, logprobs, "processed", "output")


def check(batch: Batch, record: Record) -> Expected:
    compared: Counter[str] = Counter()
    expected = compare(batch, compared)
    record(ROWS_COMPARED, compared.total())
    return expected


def sampled_rows() -> npt.NDArray[np.bool_]:
    """[VOCAB]: what the guess is made from, a row of every other group, as row_bracket.h has it for so few groups."""
    groups = np.arange(0, VOCAB // GROUP, 2)
    place = np.arange(len(groups)) * 5 % 16
    sampled = np.zeros((VOCAB // GROUP, 16, 16), bool)
    sampled[groups, place % 4 * 4 + place // 4] = True
    return sampled.reshape(-1)


def misleading(rng: np.random.Generator) -> Iterator[Floats]:
    """What the guess sees is not what the row is."""
    seen = sampled_rows()
    noise = rng.normal(size=VOCAB) * 0.3
    for low in (-3.0, -6.0, -12.0, -40.0):
        yield np.where(seen, low, 0.0) + noise  # the sample is all tail
        yield np.where(seen, 0.0, low) + noise  # the tail is never sampled
    for few in (3, 40, 300):
        heavy = np.zeros(VOCAB)
        heavy[rng.choice(np.flatnonzero(~seen), few, replace=False)] = 6.0
        yield heavy + noise
        heavy = np.zeros(VOCAB)
        heavy[rng.choice(np.flatnonzero(seen), few, replace=False)] = 6.0
        yield heavy + noise
    first_group = np.zeros(VOCAB)
    first_group[:GROUP] = 9.0  # 256 heavy tokens, of which one is the largest of its group
    yield first_group + noise
    yield np.sort(rng.normal(size=VOCAB))
    yield np.where(np.arange(VOCAB) % 16 == 5, 4.0, -20.0) + noise


@pytest.mark.parametrize("top_p", [1e-9, 0.1, 0.5, 0.9, 0.95, 0.999, 1 - 2**-53])
@pytest.mark.parametrize("dtype", [np.float32, ml_dtypes.bfloat16], ids=["float32", "bfloat16"])
def test_misleading_rows(top_p: float, dtype: Any, record_property: Record) -> None:
    logits = np.stack(list(misleading(np.random.default_rng(1)))).astype(np.float32).astype(dtype)
    temperatures = [0.7 if i % 2 else 1.3 for i in range(len(logits))]
    check(plain(logits, {"top_p": [top_p] * len(logits), "temperature": temperatures}), record_property)


def spreads(rng: np.random.Generator, vocab: int) -> Floats:
    """From a nucleus of nearly all to a nucleus of one."""
    scales = [0.0, 1e-6, 0.01, 0.3, 1, 2, 3.2, 5, 8, 20, 300]
    rows = [rng.normal(size=vocab) * scale for scale in scales] + [rng.standard_t(4, vocab) * 2.6]
    return np.stack(rows).astype(np.float32)


@pytest.mark.parametrize("top_p", [0.0, 0.3, 0.9, 0.95, 0.99, 0.99999])
@pytest.mark.parametrize("vocab", [8191, 8192, 8193, 12345, 33000, 50257])
def test_every_spread(top_p: float, vocab: int, record_property: Record) -> None:
    logits = spreads(np.random.default_rng([vocab, int(top_p * 1e5)]), vocab)
    expected = check(plain(logits, {"top_p": [top_p] * len(logits)}, logprobs=20), record_property)
    kept = (expected.weights > 0).sum(axis=1)
    assert top_p == 0 or kept.max() > vocab // 8 > 8 > kept.min()


@pytest.mark.parametrize("top_k", [1, 2, 15, 16, 17, 23, 24, 25, 40, 300, 384, 385, 4000, VOCAB - 1])
@pytest.mark.parametrize("make", [lambda z: z, np.round, lambda z: np.round(z * 4) / 4], ids=["fine", "ones", "fours"])
def test_top_k(top_k: int, make: Callable[[Floats], Floats], record_property: Record) -> None:
    """Up to half the groups, up to half the columns, and beyond; with and without ties across the cut."""
    logits = make(spreads(np.random.default_rng(top_k), VOCAB))
    half = [1.0, 0.6] * (len(logits) // 2)
    expected = check(plain(logits, {"top_k": [top_k] * len(logits), "top_p": half}, logprobs=5), record_property)
    assert ((expected.weights > 0).sum(axis=1) <= top_k).all()


@pytest.mark.parametrize("top_p", [0.2, 0.5, 0.95, 0.999])
def test_many_ties(top_p: float, record_property: Record) -> None:
    """bfloat16 has few values: hundreds of tokens are equal at the cut, and the lower ids are kept."""
    rng = np.random.default_rng(5)
    logits = (rng.normal(size=(6, 40000)) * [[0.5], [1], [2], [3], [4], [0]]).astype(ml_dtypes.bfloat16)
    check(plain(logits, {"top_p": [top_p] * 6}), record_property)


EDGES = np.arange(-20.0, -11.0, 0.25)


def test_rows_at_the_edge_of_narrow_sums(record_property: Record) -> None:
    """Groups full of equal weights about the size from which sums of 32 bits in a lane would overflow."""
    logits = np.zeros((len(EDGES), VOCAB), np.float32)
    logits[:] = (EDGES / np.log2(np.e))[:, None]
    logits[:, 1000] = 0.0
    for top_p in (1.0, 0.9999, 0.5):
        check(plain(logits, {"top_p": [top_p] * len(EDGES)}), record_property)


def test_the_largest_vocabulary(record_property: Record) -> None:
    """2**20 tokens, where the guess looks at one group in 34 and a list of candidates can be half of the row."""
    logits = np.random.default_rng(12).normal(size=(1, 2**20)).astype(np.float32)
    for cuts in ({"top_p": [0.9]}, {"top_k": [2**19], "top_p": [0.99]}):
        check(plain(logits, cuts), record_property)


@pytest.mark.parametrize("min_p", [2.0**-42, 1e-6, 0.01, 0.3, 1.0])
def test_min_p_with_the_other_cuts(min_p: float, record_property: Record) -> None:
    logits = spreads(np.random.default_rng(8), VOCAB)
    size = len(logits)
    for top_k, top_p in ((0, 1.0), (0, 0.9), (50, 0.9), (5000, 0.99)):
        check(
            plain(logits, {"min_p": [min_p] * size, "top_k": [top_k] * size, "top_p": [top_p] * size}), record_property
        )


@pytest.mark.parametrize("dtype", [np.float32, np.float16, ml_dtypes.bfloat16], ids=["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("seed", range(3))
def test_every_kind_of_row(dtype: Any, seed: int, record_property: Record) -> None:
    """The generator of short rows, with all its parameters, masks and layouts, at a length where guesses are made."""
    rng = np.random.default_rng([seed, np.dtype(dtype).itemsize, 11])
    vocab = int(rng.choice([8192, 9000, 12288 + 31]))
    check(make_batch(rng, size=24, vocab=vocab, dtype=dtype), record_property)


@pytest.mark.parametrize("touched", ["every block", "the last tokens", "one block", "the best tokens"])
def test_edits(touched: str, record_property: Record) -> None:
    """Penalties and bias where blocks are rewritten: all of them, the short last one, the ones that hold the maxima."""
    rng = np.random.default_rng(9)
    vocab = VOCAB - 41
    logits = spreads(rng, vocab)
    size = len(logits)
    tokens = {
        "every block": np.arange(3, vocab, 61),
        "the last tokens": np.arange(vocab - 70, vocab),
        "one block": np.arange(640, 704),
        "the best tokens": np.argsort(-logits[6])[:300],
    }[touched]
    rows: dict[str, list[Any]] = {
        "output_token_ids": [rng.choice(tokens, 400).tolist()] * size,
        "frequency_penalty": [0.7, -0.4] * (size // 2),
        "presence_penalty": [1.5] * size,
        "repetition_penalty": [1.0, 1.0, 1.3] * (size // 3),
        "logit_bias": [{int(token): float(rng.choice([-np.inf, -3, 2, 8])) for token in tokens[::7]}] * size,
    }
    for dtype in (np.float32, ml_dtypes.bfloat16):
        for top_k, top_p in ((0, 1.0), (0, 0.95), (40, 1.0)):
            cuts = {"top_k": [top_k] * size, "top_p": [top_p] * size}
            batch = plain(logits.astype(dtype), {**rows, **cuts}, logprobs=20)
            batch.logprobs_mode = "raw"
            check(batch, record_property)


def test_infinities_in_a_long_row(record_property: Record) -> None:
    logits = spreads(np.random.default_rng(10), VOCAB)
    logits[:, 7::1000] = np.inf
    for top_p in (1.0, 0.5):
        check(plain(logits, {"top_p": [top_p] * len(logits)}, logprobs=20), record_property)


def test_targets_are_all_tried() -> None:
    """`compare` would pass on a list of none."""
    assert TARGETS[-1] == "portable"
    with target(TARGETS[0]):
        assert Expected(plain(np.zeros((1, 8), np.float32), {})).check() == 1
