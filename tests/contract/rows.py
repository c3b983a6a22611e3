"""Rows that try the sampling contract: seeded batches in which every row has its own values and its own parameters.

Most values come from short lists of hard ones: ends of ranges, neighbours of thresholds, values that round to something
else in float32. A batch is what one call of `nexttoken.sample` takes; `Batch.expect` is what the reference makes of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt

from nexttoken import reference

Generator = np.random.Generator
Floats = npt.NDArray[np.float32]

DTYPES: list[Any] = [np.float32, np.float16, ml_dtypes.bfloat16]
EDGE_SIZES = [1, 2, 3, 31, 32, 33, 63, 64, 65, 127, 128, 129, 255, 256, 257, 300, 511, 512, 513]
FLOAT32_MAX = float(np.finfo(np.float32).max)
GREEDY = np.float32(1e-5)
ABOVE_GREEDY, BELOW_GREEDY = (float(np.nextafter(GREEDY, np.float32(x))) for x in (1, 0))

TEMPERATURES = [
    0, 0.0, -0.0, 5e-324, 1e-6, BELOW_GREEDY, (BELOW_GREEDY + float(GREEDY)) / 2, float(GREEDY), 1e-5, ABOVE_GREEDY,
    1e-4, 0.01, 0.1, 0.3, 0.7, 0.8, 1, 1.0, 1.0, 1.0, 1.3, 2.0, math.log2(math.e), 10, 1e4, 1e10, 1e30,
]  # fmt: skip
TOP_PS = [
    0,
    0.0,
    -0.0,
    5e-324,
    1e-300,
    1e-17,
    1e-6,
    0.1,
    0.25,
    0.5,
    0.5,
    0.75,
    0.9,
    0.95,
    0.99,
    1 - 2**-53,
    1,
    1.0,
    1.0,
]
MIN_PS = [0, 0.0, 0.0, 0.0, -0.0, 5e-324, 1e-300, 2.0**-43, 2.0**-42, 1.5 * 2.0**-42, 1e-9, 0.01, 0.1, 0.25, 0.5,
          0.5 + 2**-53, 1 - 2**-53, 1]  # fmt: skip
PENALTIES = [0, 0.0, 0.0, 0.0, -0.0, 0.5, -0.5, 2, 1.1, -1.7, 1e-46, 1e-45, 1e-40, -1e-40, 3e38, -3e38, FLOAT32_MAX,
             -FLOAT32_MAX]  # fmt: skip
REPETITIONS = [1, 1.0, 1.0, 1.0, 1 + 2**-30, 1 + 2**-23, 1.1, 1.3, 2, 0.5, 1e-6, 1e6]
BIASES = [0, -0.0, 1.0, -1.0, 100, -100, 0.1, -math.inf, -math.inf, 3e38, -3e38, FLOAT32_MAX, 1e-45, 1e-60]
SEEDS = [0, 1, 2, -1, -(2**63), 2**63, 2**64 - 1, 2**64, 2**70 + 5, -(2**80)]
STEPS = [0, 0, 1, 2, 17, 2**31, 2**32 - 1, 2**32, 2**63, 2**64 - 1]


def _normal(rng: Generator, vocab: int) -> Floats:
    return (rng.normal(size=vocab) * rng.choice([0.1, 1, 4, 20])).astype(np.float32)


def _peaked(rng: Generator, vocab: int) -> Floats:
    z = _normal(rng, vocab)
    z[rng.integers(vocab)] += np.float32(rng.uniform(5, 60))
    return z


def _flat(rng: Generator, vocab: int) -> Floats:
    return np.full(vocab, rng.choice([0, -0.0, 1, -7.25, 3e38, -3e38]), np.float32)


def _ties(rng: Generator, vocab: int) -> Floats:
    return (rng.integers(-3, 4, vocab) * rng.choice([0.5, 1, 3])).astype(np.float32)


def _dominant(rng: Generator, vocab: int) -> Floats:
    """One token holds 40 to 60 per cent, the others share the rest equally."""
    share = rng.uniform(0.4, 0.6)
    z = np.zeros(vocab, np.float32)
    z[rng.integers(vocab)] = math.log(max(vocab - 1, 1) * share / (1 - share))
    return z


def _all_but_one(rng: Generator, vocab: int) -> Floats:
    z = np.full(vocab, -np.inf, np.float32)
    z[rng.integers(vocab)] = rng.choice([0, -0.0, 5, -3e38, 3e38, np.inf])
    return z


def _all_banned(rng: Generator, vocab: int) -> Floats:
    return np.full(vocab, -np.inf, np.float32)


def _some(value: float) -> Callable[[Generator, int], Floats]:
    def make(rng: Generator, vocab: int) -> Floats:
        z = _normal(rng, vocab)
        z[rng.integers(vocab, size=rng.integers(1, 4))] = value
        return z

    return make


def _zeros(rng: Generator, vocab: int) -> Floats:
    return rng.choice([0.0, -0.0, 0.0, -0.0, 1e-45, -1e-45], vocab).astype(np.float32)


def _subnormal(rng: Generator, vocab: int) -> Floats:
    bits = rng.integers(0, 2**23, vocab) | rng.integers(0, 2, vocab) << 31
    return bits.astype(np.uint32).view(np.float32)


def _huge(rng: Generator, vocab: int) -> Floats:
    return rng.choice([3e38, -3e38, 1e38, FLOAT32_MAX, -FLOAT32_MAX, 0, 6e4, -6e4], vocab).astype(np.float32)


def _tail(rng: Generator, vocab: int) -> Floats:
    """One likely token, the others where weights are a few units or vanish."""
    z = rng.uniform(-30.5, rng.choice([-12, -27]), vocab).astype(np.float32)
    z[rng.integers(vocab)] = 0
    return z


def _seams(rng: Generator, vocab: int) -> Floats:
    """At temperature 1, z * log2(e) is near a half integer, where rint changes, or near an integer."""
    z = (-rng.integers(0, 90, vocab) / 2 * math.log(2)).astype(np.float32)
    z[rng.integers(vocab)] = 0
    return (z.view(np.int32) + rng.integers(-2, 3, vocab) * (z != 0)).astype(np.int32).view(np.float32)


# Weights of the kinds: bad rows are few, because nothing else of them is compared.
KINDS: list[tuple[Callable[[Generator, int], Floats], float]] = [
    (_normal, 20), (_peaked, 8), (_flat, 6), (_ties, 14), (_dominant, 6), (_all_but_one, 2), (_all_banned, 1),
    (_some(np.inf), 3), (_some(np.nan), 1), (_some(-np.inf), 6), (_zeros, 4), (_subnormal, 4), (_huge, 4), (_tail, 8),
    (_seams, 8),
]  # fmt: skip
_SHARES = np.cumsum([weight for _, weight in KINDS]) / sum(weight for _, weight in KINDS)


def values(rng: Generator, vocab: int, dtype: Any) -> npt.NDArray[Any]:
    """One row of logits."""
    make = KINDS[int(np.searchsorted(_SHARES, rng.random(), side="right"))][0]
    with np.errstate(over="ignore"):
        z = make(rng, vocab).astype(dtype)
    if (
        rng.random() < 0.15
    ):  # neighbours in this dtype of one value: what ranks between them is one unit in the last place
        bits = np.full(vocab, z[0]).view(np.int32 if z.itemsize == 4 else np.int16)
        if np.isfinite(z[0].astype(np.float32)):
            z = (bits + rng.integers(0, 3, vocab).astype(bits.dtype)).view(dtype)
            z[~np.isfinite(z.astype(np.float32))] = 0
    return z


def lay_out(rng: Generator, dense: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The same numbers with other strides, another alignment, or not writable; what lies between them is NaN."""
    batch, vocab = dense.shape
    layout = rng.integers(7)
    if layout == 0:
        return dense
    if layout in (1, 2, 3):
        pad, stride = [(int(rng.integers(1, 9)), 1), (0, 3), (2, -1)][layout - 1]
        around = np.full((batch, (vocab + pad) * abs(stride)), np.nan, dense.dtype)
        view = around[:, : vocab * abs(stride)][:, ::stride]
    elif layout == 4:
        view = np.empty((vocab, batch), dense.dtype).T
    elif layout == 5:
        view = np.ndarray(dense.shape, dense.dtype, bytearray(dense.nbytes + 1), offset=1)
    else:
        view = np.empty_like(dense)[::-1]
    view[...] = dense
    if rng.random() < 0.5:
        view.flags.writeable = False
    return view


@dataclass
class Batch:
    """Arguments of one call. `rows` has a list with one entry per row for each of its names."""

    logits: npt.NDArray[Any]
    rows: dict[str, list[Any]]
    token_bitmask: npt.NDArray[np.int32] | None
    n: int
    logprobs: int | None
    logprobs_mode: str
    penalty_scope: str

    def __len__(self) -> int:
        return len(self.logits)

    def sample_arguments(self) -> dict[str, Any]:
        return {
            **self.distribution_arguments(),
            **{name: self.rows[name] for name in ("seed", "sequence_index", "step")},
            "n": self.n,
            "logprobs": self.logprobs,
            "logprobs_mode": self.logprobs_mode,
        }

    def distribution_arguments(self) -> dict[str, Any]:
        placed = ("seed", "sequence_index", "step")
        arguments = {name: values for name, values in self.rows.items() if name not in placed}
        return {**arguments, "token_bitmask": self.token_bitmask, "penalty_scope": self.penalty_scope}

    def take(self, which: Sequence[int]) -> Batch:
        """A batch of these rows, in this order."""
        rows = {name: [values[i] for i in which] for name, values in self.rows.items()}
        mask = None if self.token_bitmask is None else self.token_bitmask[list(which)]
        return replace(self, logits=self.logits[list(which)], rows=rows, token_bitmask=mask)

    def expect_row(self, row: int) -> reference.Row:
        return reference.sample_row(
            self.logits[row],
            **{name: values[row] for name, values in self.rows.items()},
            token_bitmask=None if self.token_bitmask is None else self.token_bitmask[row],
            n=self.n,
            logprobs=self.logprobs or 0,
            logprobs_mode=self.logprobs_mode,
            penalty_scope=self.penalty_scope,
        )

    def expect(self) -> list[reference.Row]:
        return [self.expect_row(row) for row in range(len(self))]


def _picks(rng: Generator, pool: Sequence[Any], size: int) -> list[Any]:
    return [pool[i] for i in rng.integers(len(pool), size=size)]


def _bitmask(rng: Generator, batch: int, vocab: int) -> npt.NDArray[np.int32]:
    """Full, half full, sparse, empty and one-bit rows; bits beyond the vocabulary are noise."""
    words = (vocab + 31) // 32
    density = np.array(_picks(rng, [1, 1, 0.5, 0.5, 0.05, 1 / vocab, 0], batch))
    bits = rng.random((batch, words * 32)) < density[:, None]
    bits[np.arange(batch), rng.integers(vocab, size=batch)] |= density > 0
    bits[:, vocab:] = rng.random((batch, words * 32 - vocab)) < 0.5
    return np.packbits(bits, axis=1, bitorder="little").view("<i4").astype(np.int32)


def _histories(rng: Generator, batch: int, vocab: int) -> list[list[int]]:
    lengths = rng.integers(0, 14, batch) * (rng.random(batch) < 0.6)
    few = rng.integers(vocab, size=6)  # shared by the batch, so that tokens repeat
    return [few[rng.integers(6, size=length)].tolist() for length in lengths]


def _on_boundaries(rng: Generator, batch: Batch) -> None:
    """Moves top_p of some rows onto a share that a prefix of the ranks holds, or one unit in the last place beside."""
    for row in np.flatnonzero(rng.random(len(batch)) < 0.15):
        batch.rows["top_p"][row] = 1.0
        weights = batch.expect_row(int(row)).weights
        mass = int(weights.sum())
        if mass == 0:
            continue
        running = np.cumsum(np.sort(weights[weights > 0])[::-1])
        share = int(running[rng.integers(len(running))]) / mass
        batch.rows["top_p"][row] = min(1.0, float(rng.choice([share, np.nextafter(share, 0), np.nextafter(share, 2)])))


def make_batch(rng: Generator, size: int = 32, vocab: int | None = None, dtype: Any = None) -> Batch:
    """A batch of one vocabulary, dtype and layout; everything else differs from row to row."""
    if vocab is None:
        vocab = int(rng.choice(EDGE_SIZES) if rng.random() < 0.5 else rng.integers(1, 301))
    dtype = DTYPES[rng.choice(3, p=[0.5, 0.25, 0.25])] if dtype is None else dtype
    logits = lay_out(rng, np.stack([values(rng, vocab, dtype) for _ in range(size)]))
    penalised = rng.random() < 0.5
    quiet = {True: PENALTIES, False: [0.0]}[penalised]
    n = int(rng.choice([1, 1, 2, 3, 8]))
    top_ks = [0, 0, 0, 1, 2, 3, vocab // 2, vocab - 1, vocab, vocab + 1, 2**31, 2**40, 2**70]
    rows: dict[str, list[Any]] = {
        "temperature": _picks(rng, TEMPERATURES, size),
        "top_p": _picks(rng, TOP_PS, size),
        "top_k": _picks(rng, top_ks, size),
        "min_p": _picks(rng, MIN_PS, size),
        "presence_penalty": _picks(rng, quiet, size),
        "frequency_penalty": _picks(rng, quiet, size),
        "repetition_penalty": _picks(rng, REPETITIONS if penalised else [1.0], size),
        "logit_bias": [
            {int(token): value for token, value in zip(tokens, _picks(rng, BIASES, 4), strict=True)} if used else None
            for tokens, used in zip(rng.integers(vocab, size=(size, 4)), rng.random(size) < 0.2, strict=True)
        ],
        "prompt_token_ids": _histories(rng, size, vocab),
        "output_token_ids": _histories(rng, size, vocab),
        "seed": [*_picks(rng, SEEDS, size // 2), *rng.integers(-(2**63), 2**63, size - size // 2).tolist()],
        "sequence_index": _picks(rng, [0, 0, 1, 2**31 - 1, 2**31, 2**32 - n], size),
        "step": [*rng.integers(0, 2**64, size // 2, dtype=np.uint64).tolist(), *_picks(rng, STEPS, size - size // 2)],
    }
    batch = Batch(
        logits,
        rows,
        _bitmask(rng, size, vocab) if rng.random() < 0.3 else None,
        n,
        _picks(rng, [None, 0, 1, 5, 20], 1)[0],
        _picks(rng, ["raw", "processed"], 1)[0],
        _picks(rng, ["output", "prompt_and_output"], 1)[0],
    )
    _on_boundaries(rng, batch)
    return batch
