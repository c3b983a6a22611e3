"""The sampling contract in plain NumPy and Python integers: the definition that every kernel equals bit for bit.

Read it top to bottom; the steps are those of docs/sampling-contract.md. It is slow and checks nothing: the ranges of
the parameters are those of `params.py`. It imports nothing of ours, and nothing on the way of an answer imports it:
benchmarks check with it before they time.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

S = 42  # a row's largest weight is 2**S
OK, NAN_LOGITS, NO_TOKEN = 0, 1, 2
LOG2_E = 1.4426950408889634
COEFFICIENTS = [float.fromhex(c) for c in (
    "0x1.5bda58p-10", "0x1.3ce8aep-7", "0x1.c6b6d8p-5", "0x1.ebf9c2p-3", "0x1.62e42ap-1", "0x1p0")]  # fmt: skip


class Row(NamedTuple):
    """What one step makes of one row."""

    token_ids: list[int]  # n draws; -1 where status is not OK
    status: int
    weights: npt.NDArray[np.uint64]  # [vocab], 0 where cut; all 0 where status is not OK
    mass: int
    logprobs: list[float]  # of the draws, float64; NaN where status is not OK
    top: list[tuple[int, float]]  # the best tokens and their logprobs


def philox(key: int, counter: Sequence[int]) -> list[int]:
    """Philox4x32-10: four words of 32 bits."""
    k0, k1 = key & 0xFFFFFFFF, key >> 32
    c = list(counter)
    for _ in range(10):
        a, b = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(b >> 32) ^ c[1] ^ k0, b & 0xFFFFFFFF, (a >> 32) ^ c[3] ^ k1, a & 0xFFFFFFFF]
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return c


def draw_bits(seed: int, sequence_index: int, step: int, purpose: int = 0) -> int:
    """The 64 uniform bits of a draw."""
    x = philox(seed % 2**64, [step & 0xFFFFFFFF, step >> 32, sequence_index, purpose])
    return x[0] | x[1] << 32


def fma(a: Floats, b: Floats, c: float) -> Floats:
    """float32 a * b + c, rounded once. NumPy has none: the product is exact in float64, the sum is rounded to odd."""
    product = a.astype(np.float64) * b.astype(np.float64)
    total = product + c
    part = total - product
    error = (product - (total - part)) + (c - part)  # Knuth's two-sum: total + error is exact
    even = (total.view(np.uint64) & np.uint64(1)) == 0
    toward = np.where(error > 0, np.inf, -np.inf)
    odd = np.where((error != 0) & even, np.nextafter(total, toward), total)
    return odd.astype(np.float32)


def exp2_fraction(f: Floats) -> Floats:
    """2**f for f in [-1/2, 1/2]."""
    q = np.full_like(f, np.float32(COEFFICIENTS[0]))
    for coefficient in COEFFICIENTS[1:]:
        q = fma(q, f, coefficient)
    return q


def weigh(z: Floats, temperature: np.float32) -> npt.NDArray[np.uint64]:
    """Step 8: each logit's weight, an integer of at most 2**S."""
    scale = np.float32(LOG2_E / float(temperature))
    m = z.max()
    with np.errstate(invalid="ignore", over="ignore", under="ignore"):
        t = np.where(z == m, np.float32(0), (z - m) * scale)
    positive = (z != -np.inf) & (t >= -(S + 1))
    t = np.where(positive, t, np.float32(0))
    n = np.rint(t)
    f = (t - n - np.float32(0.5)) + np.float32(0.5)  # to a multiple of 2**-24
    q = exp2_fraction(f)
    exact = np.ldexp(q.astype(np.float64), S + n.astype(np.int64))  # 24 bits times a power of two
    return np.where(positive, np.floor(exact), 0).astype(np.uint64)


def adjust(
    z: Floats,
    token_bitmask: npt.NDArray[np.int32] | None,
    logit_bias: Mapping[int, float],
    repetition_penalty: float,
    frequency_penalty: float,
    presence_penalty: float,
    prompt: Sequence[int],
    output: Sequence[int],
    penalty_scope: str,
) -> Floats:
    """Steps 2 to 6, one float32 operation after the other. The product is rounded before the difference."""
    z = z.copy()
    if token_bitmask is not None:
        bits = np.unpackbits(token_bitmask.astype("<i4").view(np.uint8), bitorder="little")[: len(z)]
        z[bits == 0] = -np.inf
    with np.errstate(all="ignore"):
        for token, value in logit_bias.items():
            z[token] = -np.inf if value == -math.inf else z[token] + np.float32(value)
        counted = list(output) + (list(prompt) if penalty_scope == "prompt_and_output" else [])
        for token in dict.fromkeys([*prompt, *output]):
            r = np.float32(repetition_penalty)
            z[token] = z[token] / r if z[token] > 0 else z[token] * r
            count = counted.count(token)
            z[token] = z[token] - np.float32(count) * np.float32(frequency_penalty)
            if count > 0:
                z[token] = z[token] - np.float32(presence_penalty)
        z += np.float32(0)  # -0.0 becomes +0.0
    return z


def cut(z: Floats, weights: npt.NDArray[np.uint64], min_p: float, top_k: int, top_p: float) -> npt.NDArray[np.uint64]:
    """Steps 9 to 11. Ranks go by logit, descending, then by token id, ascending."""
    weights = weights.copy()
    threshold = math.ceil(Fraction(min_p) * 2**S)
    weights[weights < np.uint64(threshold)] = 0
    ranked = [int(i) for i in np.lexsort((np.arange(len(z)), -z.astype(np.float64))) if weights[i]]
    if top_k:
        weights[ranked[top_k:]] = 0
        ranked = ranked[:top_k]
    running = np.cumsum(weights[ranked])
    need = max(1, math.ceil(Fraction(top_p) * int(running[-1])))
    kept = int(np.searchsorted(running, np.uint64(need))) + 1  # the token that reaches it is kept
    weights[ranked[kept:]] = 0
    return weights


def draw(weights: npt.NDArray[np.uint64], bits: int) -> int:
    """Step 12: the first token, in id order, whose running sum exceeds floor(bits * mass / 2**64)."""
    running = np.cumsum(weights)
    target = bits * int(running[-1]) >> 64
    return int(np.searchsorted(running, np.uint64(target), side="right"))


def log_softmax(z: Floats, temperature: float, among: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """Step 13: natural logs, float64; -inf outside `among`. Several +inf share the probability."""
    x = z.astype(np.float64)
    with np.errstate(invalid="ignore"):
        t = np.where(x == x.max(), 0.0, (x - x.max()) / temperature)
    t = np.where(among, t, -np.inf)
    return np.asarray(t - math.log(np.exp(t).sum()), np.float64)


def sample_row(
    logits: npt.NDArray[Any],
    *,
    temperature: float = 1.0,
    top_p: float = 1.0,
    top_k: int = 0,
    min_p: float = 0.0,
    presence_penalty: float = 0.0,
    frequency_penalty: float = 0.0,
    repetition_penalty: float = 1.0,
    logit_bias: Mapping[int, float] | None = None,
    token_bitmask: npt.NDArray[np.int32] | None = None,
    prompt_token_ids: Sequence[int] = (),
    output_token_ids: Sequence[int] = (),
    penalty_scope: str = "output",
    seed: int = 0,
    sequence_index: int = 0,
    step: int = 0,
    n: int = 1,
    logprobs: int = 0,
    logprobs_mode: str = "raw",
) -> Row:
    """One decoding step of one row: `logits` is float32, or float16 or bfloat16 (ml_dtypes), shape [vocab]."""
    read = logits.astype(np.float32)  # widening is exact
    vocab = len(read)
    z = adjust(read, token_bitmask, logit_bias or {}, repetition_penalty, frequency_penalty, presence_penalty,
               prompt_token_ids, output_token_ids, penalty_scope)  # fmt: skip
    status = NAN_LOGITS if np.isnan(read).any() or np.isnan(z).any() else NO_TOKEN if z.max() == -np.inf else OK
    if status != OK:
        return Row([-1] * n, status, np.zeros(vocab, np.uint64), 0, [math.nan] * n, [])

    t = np.float32(temperature)
    if t < np.float32(1e-5):
        best = int(np.argmax(z))  # the first of equals
        weights = np.zeros(vocab, np.uint64)
        weights[best] = 2**S
        token_ids = [best] * n
        processed = log_softmax(z, 1.0, z > -np.inf)
    else:
        weights = cut(z, weigh(z, t), min_p, top_k, top_p)
        token_ids = [draw(weights, draw_bits(seed, sequence_index + i, step)) for i in range(n)]
        processed = log_softmax(z, float(t), weights > 0)
    raw = logprobs_mode == "raw"
    shown = log_softmax(read, 1.0, read > -np.inf) if raw else processed
    order = np.lexsort((np.arange(vocab), -(read if raw else z).astype(np.float64)))
    top = [(int(i), float(shown[i])) for i in order if shown[i] > -np.inf][:logprobs]
    return Row(token_ids, OK, weights, int(weights.sum()), [float(shown[i]) for i in token_ids], top)
