"""`torch.argmax`: one read of the logits and nothing else, the yardstick of all others."""

from __future__ import annotations

from collections.abc import Callable

import torch

from gpu.cases import Case
from gpu.inputs import Inputs
from gpu.solvers.base import Solver


class Argmax(Solver):
    """Greedy, without edits."""

    name = "torch.argmax"
    note = "torch.argmax: the likeliest token, whichever of equals; no parameters at all"

    def does(self, case: Case) -> bool:
        """Greedy alone."""
        return case.name == "greedy"

    def step(self, case: Case, inputs: Inputs) -> Callable[[], torch.Tensor]:
        """One call."""
        return lambda: inputs.logits.argmax(dim=-1)

    def kept(self, case: Case, inputs: Inputs) -> torch.Tensor | None:
        """The one token."""
        chosen = self.step(case, inputs)()
        return torch.zeros_like(inputs.logits, dtype=torch.bool).scatter_(1, chosen[:, None], True)


def make() -> Argmax:
    """The solver, ready for use."""
    return Argmax()
