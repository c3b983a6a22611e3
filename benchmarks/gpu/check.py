"""A result is checked before it is timed: what is quick and wrong must not get a number."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

import nexttoken
from gpu.cases import Case
from gpu.inputs import Inputs
from gpu.solvers.base import Solver
from gpu.solvers.nexttoken_sample import arguments
from nexttoken.bench.rivals.base import Floats, Rival, check_step
from nexttoken.exceptions import BenchmarkError

DRAWS = 2000
"""How many draws of one row are looked at."""

_DEVIATIONS = 5.0


def check_ours(case: Case, inputs: Inputs) -> None:
    """Raise unless the device draws the CPU kernels' tokens, and finds their logprobs.

    Parameters
    ----------
    case : Case
    inputs : Inputs
        All rows are compared.
    """
    got = nexttoken.sample(inputs.logits, **arguments(case, inputs))
    here = Inputs(**{name: value.cpu() for name, value in vars(inputs).items()})
    wanted = nexttoken.sample(here.logits, **arguments(case, here))
    for name in ("token_ids", "status", "top_token_ids"):
        ours, theirs = getattr(got, name), getattr(wanted, name)
        if theirs is not None and ours.cpu().tolist() != theirs.tolist():
            row = next(r for r, (a, b) in enumerate(zip(ours.cpu(), theirs, strict=True)) if (a != b).any())
            raise BenchmarkError(
                f"{name} must be the CPU kernel's {theirs[row].tolist()} in case {case.name!r}, vocabulary "
                f"{inputs.vocab}, got {ours[row].tolist()} at row {row}"
            )
    for name in ("logprobs", "top_logprobs"):
        ours, theirs = getattr(got, name), getattr(wanted, name)
        # Each is within 2e-6 + 2^-23 |ln p| of the same number.
        if theirs is not None and ((ours.cpu() - theirs).abs() > 4e-6 + 2**-22 * theirs.abs()).any():
            raise BenchmarkError(f"{name} must be the CPU kernel's in case {case.name!r}, vocabulary {inputs.vocab}")


class _OneRow:
    """One row of a batched solver, as the check of rivals on the CPU takes it."""

    def __init__(self, drawn: int, kept: npt.NDArray[np.int64]) -> None:
        self._drawn, self._kept = drawn, kept

    def draw(self, logits: Floats) -> int:
        return self._drawn

    def kept(self, logits: Floats) -> npt.NDArray[np.int64]:
        return self._kept


class _Named(Rival):
    def __init__(self, name: str) -> None:
        self.name, self.note = name, ""


def check_rival(solver: Solver, case: Case, inputs: Inputs, rows: int = 2, draws: int = DRAWS) -> None:
    """Raise unless a rival draws from what we draw from, as often as it should, ties and rounding apart.

    Parameters
    ----------
    solver : Solver
        Other than ours.
    case : Case
        One that it does.
    inputs : Inputs
        Taken in float32, where ties are rare: its own way with ties is no mistake.
    rows : int
        How many of them are compared token by token.
    draws : int
        How often the first row is drawn from.
    """
    exact = inputs.as_float32()
    drawn = solver.step(case, exact)().cpu()
    if drawn.shape != (inputs.batch,) or int(drawn.min()) < 0 or int(drawn.max()) >= inputs.vocab:
        raise BenchmarkError(f"{solver.name} must draw a token for each of {inputs.batch} rows, got {drawn.tolist()}")
    kept = solver.kept(case, exact)
    for row in range(min(rows, inputs.batch)):
        options = exact.host_options(case, row)
        options.pop("logprobs", None)
        logits = exact.logits[row].cpu().numpy()
        if kept is not None:
            tokens = np.flatnonzero(kept[row].cpu().numpy())
        else:
            tokens = np.union1d(np.flatnonzero(nexttoken.distribution(logits, **options).weights[0]), drawn[row])
        check_step(_Named(solver.name), _OneRow(int(drawn[row]), tokens), logits, options)
    if case.options.get("temperature", 1.0) > 0:
        _check_share(solver, case, exact, draws)


def _check_share(solver: Solver, case: Case, inputs: Inputs, draws: int) -> None:
    """The likeliest half of a row must come up half of the time."""
    options = inputs.host_options(case, 0)
    options.pop("logprobs", None)
    probs = nexttoken.distribution(inputs.logits[0].cpu().numpy(), **options).probs[0]
    order = np.argsort(-probs, kind="stable")
    half = order[: int(np.searchsorted(np.cumsum(probs[order]), 0.5)) + 1]
    share = float(probs[half].sum())
    step = solver.step(case, inputs.repeated(0))
    count, hits = 0, 0
    while count < draws:
        tokens = step().cpu().numpy()
        count += len(tokens)
        hits += int(np.isin(tokens, half).sum())
    expected, deviation = count * share, math.sqrt(count * share * (1 - share))
    # Where one token has it all, a difference by rounding is none.
    if abs(hits - expected) > _DEVIATIONS * deviation + 0.01 * count:
        raise BenchmarkError(
            f"{solver.name} must draw one of the likeliest {len(half)} tokens in about {expected:.0f} of {count} draws "
            f"of case {case.name!r}, got {hits}"
        )
