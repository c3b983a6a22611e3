"""Ours: `nexttoken.sample`, seeds, steps and histories in device memory, biases as the host has them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

import nexttoken
from gpu.cases import Case
from gpu.inputs import Inputs
from gpu.solvers.base import Solver


def arguments(case: Case, inputs: Inputs) -> dict[str, Any]:
    """Of `nexttoken.sample`, beside the logits."""
    given: dict[str, Any] = {**case.options, "seed": inputs.seed, "step": inputs.step}
    if case.edits:
        given |= {"logit_bias": inputs.logit_bias(), "output_token_ids": inputs.said}
    if not inputs.logits.is_cuda:  # in host memory histories are lists, and seeds integers
        given |= {name: value.tolist() for name, value in given.items() if isinstance(value, torch.Tensor)}
    return given


class Ours(Solver):
    """The package under test."""

    name = "nexttoken"
    note = (
        "nexttoken: exact top_p and top_k, ties to the lower id, a seed for each row; biases are uploaded in the graph"
    )

    def does(self, case: Case) -> bool:
        """All of it."""
        return True

    def step(self, case: Case, inputs: Inputs) -> Callable[[], torch.Tensor]:
        """One call."""
        given = arguments(case, inputs)
        return lambda: nexttoken.sample(inputs.logits, **given).token_ids

    def kept(self, case: Case, inputs: Inputs) -> torch.Tensor | None:
        """Not asked: it is compared token by token."""
        return None


def make() -> Ours:
    """The solver, ready for use."""
    return Ours()
