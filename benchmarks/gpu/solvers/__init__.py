"""Who is timed, one a file; those that are not installed are named."""

from __future__ import annotations

import importlib

from gpu.solvers.base import Solver

SOLVERS = ("nexttoken_sample", "torch_argmax", "torch_sort", "torch_multinomial", "flashinfer_sampling")
OURS, ARGMAX = "nexttoken", "torch.argmax"


def find_solvers() -> tuple[list[Solver], list[str]]:
    """The solvers that load, in order, and for each of the others why it does not."""
    found: list[Solver] = []
    skipped = []
    for module in SOLVERS:
        try:
            found.append(importlib.import_module(f"gpu.solvers.{module}").make())
        except (ImportError, OSError, RuntimeError) as error:
            if (getattr(error, "name", None) or "").startswith(("nexttoken", "gpu")):
                raise
            told = next(iter(str(error).splitlines()), "no message")
            skipped.append(f"{module} is left out: {type(error).__name__}: {told}")
    return found, skipped
