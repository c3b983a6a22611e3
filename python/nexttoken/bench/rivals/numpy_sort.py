"""NumPy: the row is sorted, as samplers in plain Python commonly do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from nexttoken.bench.rivals.base import Floats, Rival

__all__ = ["NumpySort", "make"]


class _Step:
    def __init__(self, options: Mapping[str, Any]) -> None:
        self.temperature = np.float32(options.get("temperature", 1.0))
        self.top_p, self.top_k = options.get("top_p", 1.0), options.get("top_k", 0)
        bias = options.get("logit_bias") or {}
        self.biased = np.array(list(bias), np.int64)
        self.bias = np.array(list(bias.values()), np.float32)
        self.said, counts = np.unique(np.array(options.get("output_token_ids", ()), np.int64), return_counts=True)
        self.penalty = counts.astype(np.float32) * np.float32(options.get("frequency_penalty", 0.0))
        self.penalty += np.float32(options.get("presence_penalty", 0.0))
        self.rng = np.random.default_rng(options.get("seed", 0))

    def _edited(self, logits: Floats) -> Floats:
        if len(self.biased):
            logits[self.biased] += self.bias
        if len(self.said):
            logits[self.said] -= self.penalty
        return logits

    def _nucleus(self, logits: Floats) -> tuple[npt.NDArray[np.int64], Floats]:
        """The tokens kept, best first, and their probabilities before they are scaled to a sum of 1."""
        order = np.argsort(-logits)
        if self.top_k:
            order = order[: self.top_k]
        probs = np.exp((logits[order] - logits[order[0]]) / self.temperature)
        probs /= probs.sum()
        kept = int(np.searchsorted(np.cumsum(probs, dtype=np.float64), self.top_p)) + 1
        return order[:kept], probs[:kept]

    def draw(self, logits: Floats) -> int:
        logits = self._edited(logits)
        if self.temperature < 1e-5:
            return int(np.argmax(logits))
        if self.top_p < 1.0 or self.top_k:
            tokens, probs = self._nucleus(logits)
        else:
            tokens, probs = None, np.exp((logits - logits.max()) / self.temperature)
        running = np.cumsum(probs, dtype=np.float64)
        at = int(np.searchsorted(running, self.rng.random() * running[-1], side="right"))
        return at if tokens is None else int(tokens[at])

    def kept(self, logits: Floats) -> npt.NDArray[np.int64]:
        logits = self._edited(logits)
        if self.temperature < 1e-5:
            return np.array([np.argmax(logits)])
        if self.top_p < 1.0 or self.top_k:
            return self._nucleus(logits)[0]
        return np.arange(len(logits))


class NumpySort(Rival):
    """Penalties and bias by fancy indexing, then argsort, a running sum and a search in it."""

    name = "numpy"
    note = ""

    def prepare(self, options: Mapping[str, Any], vocab: int) -> _Step:
        """History counted, bias as arrays."""
        return _Step(options)


def make() -> NumpySort:
    """The rival, ready for use."""
    return NumpySort()
