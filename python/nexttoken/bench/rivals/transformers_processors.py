"""transformers: the logits processors that `generate` uses, then its draw (softmax and multinomial)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from transformers import (
    LogitsProcessorList,
    RepetitionPenaltyLogitsProcessor,
    SequenceBiasLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from nexttoken.bench.rivals.base import Floats, Rival

__all__ = ["TransformersProcessors", "make"]

_REPETITION_PENALTY = 1.1


class _Step:
    def __init__(self, options: Mapping[str, Any], vocab: int) -> None:
        self.greedy = options.get("temperature", 1.0) < 1e-5
        said = list(options.get("output_token_ids", ())) or [0]
        self.input_ids = torch.tensor([said], dtype=torch.int64)
        self.processors = LogitsProcessorList()
        bias = options.get("logit_bias")
        if bias:
            self.processors.append(SequenceBiasLogitsProcessor({(token,): value for token, value in bias.items()}))
        if options.get("repetition_penalty", 1.0) != 1.0:
            self.processors.append(RepetitionPenaltyLogitsProcessor(options["repetition_penalty"]))
        if not self.greedy:
            self.processors.append(TemperatureLogitsWarper(options.get("temperature", 1.0)))
            if options.get("top_k"):
                self.processors.append(TopKLogitsWarper(options["top_k"]))
            if options.get("top_p", 1.0) < 1.0:
                self.processors.append(TopPLogitsWarper(options["top_p"]))
        # The bias processor makes its table of the whole vocabulary at its first call.
        self.processors(self.input_ids, torch.zeros((1, vocab)))

    def _scores(self, logits: Floats) -> torch.Tensor:
        scores: torch.Tensor = self.processors(self.input_ids, torch.from_numpy(logits).unsqueeze(0))
        return scores

    def draw(self, logits: Floats) -> int:
        with torch.inference_mode():
            scores = self._scores(logits)
            if self.greedy:
                return int(torch.argmax(scores, dim=-1))
            return int(torch.multinomial(torch.nn.functional.softmax(scores, dim=-1), num_samples=1))

    def kept(self, logits: Floats) -> npt.NDArray[np.int64]:
        if self.greedy:
            return np.array([self.draw(logits)])
        with torch.inference_mode():
            scores = self._scores(logits)
            return np.asarray(torch.isfinite(scores[0]).nonzero().flatten().numpy(), np.int64)


class TransformersProcessors(Rival):
    """`generate`'s own objects in its own order, on one thread."""

    name = "transformers"
    note = "transformers: has no presence or frequency penalty; a repetition penalty of 1.1 stands in for both"

    def adapted(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """With a repetition penalty in place of the two that it lacks."""
        adapted = {key: value for key, value in options.items() if key not in ("presence_penalty", "frequency_penalty")}
        if len(adapted) < len(options):
            adapted["repetition_penalty"] = _REPETITION_PENALTY
        return adapted

    def prepare(self, options: Mapping[str, Any], vocab: int) -> _Step:
        """Processors built and run once."""
        return _Step(options, vocab)


def make() -> TransformersProcessors:
    """The rival, ready for use."""
    torch.set_num_threads(1)
    return TransformersProcessors()
