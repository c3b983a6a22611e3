"""Where draws come from and what they should look like: float64 softmax with the cuts, and four axes of the stream."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

import nexttoken

Floats = npt.NDArray[np.float64]
Tokens = npt.NDArray[np.int64]
Parameters = dict[str, Any]


def softmax(logits: npt.NDArray[np.float32], temperature: float = 1.0) -> Floats:
    x = (logits.astype(np.float64) - float(logits.max())) / temperature
    weights: Floats = np.exp(x)
    return weights / weights.sum()


def kept_by_top_p(ranked: Floats, top_p: float) -> int:
    """How many of the descending probabilities: the one that crosses included."""
    return int(np.searchsorted(np.cumsum(ranked), top_p * ranked.sum())) + 1


def truth(
    logits: npt.NDArray[np.float32],
    temperature: float = 1.0,
    min_p: float = 0.0,
    top_k: int = 0,
    top_p: float = 1.0,
    keep: Callable[[Floats, float], int] = kept_by_top_p,
) -> Floats:
    """The probabilities that the documentation promises, in float64."""
    probabilities = softmax(logits, temperature)
    probabilities[probabilities < min_p * probabilities.max()] = 0
    ranked = np.argsort(-probabilities, kind="stable")
    if top_k:
        probabilities[ranked[top_k:]] = 0
    if top_p < 1:
        probabilities[ranked[keep(probabilities[ranked], top_p) :]] = 0
    return probabilities / probabilities.sum()


def along_n(logits: npt.NDArray[np.float32], count: int, **parameters: Any) -> Tokens:
    """n choices of one row."""
    return np.ravel(nexttoken.sample(logits, n=count, seed=41, **parameters).token_ids).astype(np.int64)


def _rows(logits: npt.NDArray[np.float32], count: int, **parameters: Any) -> Tokens:
    """One draw from each of `count` rows that are one row in memory."""
    rows = np.broadcast_to(logits, (count, len(logits)))
    return np.asarray(nexttoken.sample(rows, **parameters).token_ids).astype(np.int64)


def along_seeds(logits: npt.NDArray[np.float32], count: int, **parameters: Any) -> Tokens:
    return _rows(logits, count, seed=range(1000, 1000 + count), **parameters)


def along_sequences(logits: npt.NDArray[np.float32], count: int, **parameters: Any) -> Tokens:
    return _rows(logits, count, seed=42, sequence_index=range(count), **parameters)


def along_steps(logits: npt.NDArray[np.float32], count: int, **parameters: Any) -> Tokens:
    return _rows(logits, count, seed=43, step=range(count), **parameters)


AXES = {"n": along_n, "seeds": along_seeds, "sequences": along_sequences, "steps": along_steps}


def model_logits(seed: int, vocab: int = 300) -> npt.NDArray[np.float32]:
    """Shaped as a model's are: a few likely tokens, a long tail."""
    return np.random.default_rng(seed).gumbel(size=vocab).astype(np.float32)
