"""torch, in the way of vLLM where it has no kernel of its own: a sort of the row, then an exponential race.

Written from a description of what it computes: counts of the history at full width, the repetition penalty at full
width even where it is 1, temperature, an ascending sort with its running sum masked and put back, softmax, and the
largest of probabilities divided by exponential noise.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from nexttoken.bench.rivals.base import Floats, Rival

__all__ = ["TorchAsVllm", "make"]


class _Step:
    def __init__(self, options: Mapping[str, Any], vocab: int) -> None:
        self.vocab = vocab
        self.greedy = options.get("temperature", 1.0) < 1e-5
        self.temperature = torch.tensor([options.get("temperature", 1.0)], dtype=torch.float32)
        self.top_p = torch.tensor([options.get("top_p", 1.0)], dtype=torch.float32)
        self.top_k = options.get("top_k", 0)
        self.cuts = options.get("top_p", 1.0) < 1.0 or self.top_k > 0
        bias = options.get("logit_bias") or {}
        self.biased = torch.tensor(list(bias), dtype=torch.int64)
        self.bias = torch.tensor(list(bias.values()), dtype=torch.float32)
        self.said = list(options.get("output_token_ids", ()))
        self.presence = torch.tensor([[options.get("presence_penalty", 0.0)]])
        self.frequency = torch.tensor([[options.get("frequency_penalty", 0.0)]])
        self.repetition = torch.tensor([[options.get("repetition_penalty", 1.0)]])
        self.generator = torch.Generator().manual_seed(int(options.get("seed", 0)))

    def _edited(self, logits: torch.Tensor) -> torch.Tensor:
        if len(self.biased):
            logits[0, self.biased] += self.bias
        if self.said:
            said = torch.tensor([self.said])  # from Python lists, at each step
            counts = torch.zeros((1, self.vocab + 1), dtype=torch.int64)
            counts.scatter_add_(1, said, torch.ones_like(said))
            counts = counts[:, : self.vocab]
            present = counts > 0
            factor = torch.where(present, self.repetition, 1.0)
            logits *= torch.where(logits > 0, 1.0 / factor, factor)
            logits -= self.frequency * counts
            logits -= self.presence * present
        return logits

    def _cut(self, logits: torch.Tensor) -> torch.Tensor:
        ordered, places = logits.sort(dim=-1, descending=False)
        if self.top_k:
            threshold = ordered[:, -self.top_k].unsqueeze(1)
            ordered.masked_fill_(ordered < threshold, -float("inf"))
        running = ordered.softmax(dim=-1).cumsum(dim=-1)
        dropped = running <= 1 - self.top_p.unsqueeze(1)
        dropped[:, -1] = False
        ordered.masked_fill_(dropped, -float("inf"))
        return logits.scatter_(dim=-1, index=places, src=ordered)

    def _probs(self, row: Floats) -> torch.Tensor:
        logits = self._edited(torch.from_numpy(row).unsqueeze(0))
        logits.div_(self.temperature.unsqueeze(1))
        if self.cuts:
            logits = self._cut(logits)
        return logits.softmax(dim=-1, dtype=torch.float32)

    def draw(self, logits: Floats) -> int:
        with torch.inference_mode():
            if self.greedy:
                return int(self._edited(torch.from_numpy(logits).unsqueeze(0)).argmax(dim=-1))
            probs = self._probs(logits)
            noise = torch.empty_like(probs).exponential_(generator=self.generator)
            return int(probs.div_(noise).argmax(dim=-1))

    def kept(self, logits: Floats) -> npt.NDArray[np.int64]:
        if self.greedy:
            return np.array([self.draw(logits)])
        with torch.inference_mode():
            return np.asarray(self._probs(logits)[0].nonzero().flatten().numpy(), np.int64)


class TorchAsVllm(Rival):
    """Tensor after tensor, on one thread."""

    name = "torch as vLLM"
    note = "torch as vLLM: its tensor operations for CPUs without its compiled ones, on one thread"

    def prepare(self, options: Mapping[str, Any], vocab: int) -> _Step:
        """Parameters as tensors of a batch of one."""
        return _Step(options, vocab)


def make() -> TorchAsVllm:
    """The rival, ready for use."""
    torch.set_num_threads(1)
    return TorchAsVllm()
