"""FlashInfer, where it is installed: top_k and top_p from logits, by rejection."""

from __future__ import annotations

from collections.abc import Callable

import torch
from flashinfer.sampling import top_k_top_p_sampling_from_logits

from gpu.cases import Case
from gpu.inputs import Inputs
from gpu.solvers.base import Solver


class FlashInfer(Solver):
    """Without edits, temperature or logprobs; those are other kernels or nobody's."""

    name = "FlashInfer"
    note = (
        "FlashInfer: top_k_top_p_sampling_from_logits with one k and p for all rows, on a float32 copy; one seed for "
        "the batch; tokens that tie at a cut are all kept"
    )

    def does(self, case: Case) -> bool:
        """top_k and top_p together."""
        return case.name.startswith("top_k")

    def step(self, case: Case, inputs: Inputs) -> Callable[[], torch.Tensor]:
        """One call."""
        k, p = case.options["top_k"], case.options["top_p"]

        def draw() -> torch.Tensor:
            drawn: torch.Tensor = top_k_top_p_sampling_from_logits(
                inputs.logits.float(), k, p, filter_apply_order="top_k_first"
            )
            return drawn

        return draw

    def kept(self, case: Case, inputs: Inputs) -> torch.Tensor | None:
        """It cannot be asked: what it draws is looked at instead."""
        return None


def make() -> FlashInfer:
    """The solver, ready for use."""
    return FlashInfer()
