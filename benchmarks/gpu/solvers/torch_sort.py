"""torch, in the way of vLLM where it has no kernel of its own: sorting the batch, then an exponential race.

Written from a description of what it computes: a float32 copy, counts of the history at full width. Histories and
biases lie in device memory beforehand, which spares it the lists that a server would send at each step.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from gpu.cases import Case
from gpu.inputs import Inputs
from gpu.solvers.base import Solver


class TorchSort(Solver):
    """Tensor after tensor."""

    name = "torch sort"
    note = (
        "torch sort: vLLM's way without kernels of its own; sort, softmax, running sum, mask, scatter, exponential "
        "race, logprob of the drawn token from a log_softmax of the row; tokens that tie at top_k are all kept"
    )

    def does(self, case: Case) -> bool:
        """All that samples."""
        return case.name != "greedy"

    def _edited(self, case: Case, inputs: Inputs, logits: torch.Tensor) -> torch.Tensor:
        if not case.edits:
            return logits
        logits.scatter_add_(1, inputs.bias_tokens, inputs.bias_values)
        counts = torch.zeros((inputs.batch, inputs.vocab + 1), dtype=torch.int64, device=logits.device)
        counts.scatter_add_(1, inputs.said, torch.ones_like(inputs.said))
        counts = counts[:, : inputs.vocab]
        logits -= case.options["frequency_penalty"] * counts
        logits -= case.options["presence_penalty"] * (counts > 0)
        return logits

    def _cut(self, case: Case, logits: torch.Tensor) -> torch.Tensor:
        top_k, top_p = case.options.get("top_k", 0), case.options.get("top_p", 1.0)
        if not top_k and top_p >= 1.0:
            return logits
        ordered, places = logits.sort(dim=-1, descending=False)
        if top_k:
            ordered.masked_fill_(ordered < ordered[:, -top_k, None], -torch.inf)
        dropped = ordered.softmax(dim=-1).cumsum(dim=-1) <= 1 - top_p
        dropped[:, -1] = False
        ordered.masked_fill_(dropped, -torch.inf)
        return logits.scatter_(dim=-1, index=places, src=ordered)

    def _probs(self, case: Case, inputs: Inputs) -> torch.Tensor:
        logits = inputs.logits.to(torch.float32, copy=True)
        logits = self._edited(case, inputs, logits).div_(case.options.get("temperature", 1.0))
        return self._cut(case, logits).softmax(dim=-1, dtype=torch.float32)

    def step(self, case: Case, inputs: Inputs) -> Callable[[], torch.Tensor]:
        """Probabilities, a race, and the logprobs that are asked for."""
        asked = case.options.get("logprobs")

        def draw() -> torch.Tensor:
            raw = None if asked is None else inputs.logits.log_softmax(dim=-1, dtype=torch.float32)
            probs = self._probs(case, inputs)
            noise = torch.empty_like(probs).exponential_()
            chosen = probs.div_(noise).argmax(dim=-1)
            if raw is not None:
                raw.gather(1, chosen[:, None])
                if asked:
                    raw.topk(asked, dim=-1)
            return chosen

        return draw

    def kept(self, case: Case, inputs: Inputs) -> torch.Tensor | None:
        """What has any probability left."""
        return self._probs(case, inputs) > 0


def make() -> TorchSort:
    """The solver, ready for use."""
    return TorchSort()
