"""softmax and `torch.multinomial`: what is usually written first."""

from __future__ import annotations

from collections.abc import Callable

import torch

from gpu.cases import Case
from gpu.inputs import Inputs
from gpu.solvers.base import Solver


class Multinomial(Solver):
    """Temperature, and no cuts."""

    name = "torch.multinomial"
    note = "torch.multinomial: of a float32 softmax; temperature alone"

    def does(self, case: Case) -> bool:
        """Temperature alone."""
        return case.name == "temperature"

    def _probs(self, case: Case, inputs: Inputs) -> torch.Tensor:
        return (inputs.logits / case.options["temperature"]).softmax(dim=-1, dtype=torch.float32)

    def step(self, case: Case, inputs: Inputs) -> Callable[[], torch.Tensor]:
        """Two calls."""
        return lambda: self._probs(case, inputs).multinomial(1)[:, 0]

    def kept(self, case: Case, inputs: Inputs) -> torch.Tensor | None:
        """All that has any probability in float32."""
        return self._probs(case, inputs) > 0


def make() -> Multinomial:
    """The solver, ready for use."""
    return Multinomial()
