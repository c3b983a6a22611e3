"""What a solver must offer to be timed, and be checked before."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch

from gpu.cases import Case
from gpu.inputs import Inputs


class Solver(Protocol):
    """To be derived from.

    Attributes
    ----------
    name : str
        As in tables.
    note : str
        Which semantics it runs, for the reader of a table.
    """

    name: str
    note: str

    def does(self, case: Case) -> bool:
        """Whether it has a way of doing that."""

    def step(self, case: Case, inputs: Inputs) -> Callable[[], torch.Tensor]:
        """What draws one token for each row: int ``[batch]``.

        All that can be kept between steps is made here. The call may be captured in a CUDA graph: it waits for nothing,
        leaves the logits as they are and returns a tensor on their device.
        """

    def kept(self, case: Case, inputs: Inputs) -> torch.Tensor | None:
        """Bool ``[batch, vocab]``: what the step draws from, by the same path. None where it cannot be seen."""
