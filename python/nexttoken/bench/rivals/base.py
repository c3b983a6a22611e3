"""What a rival must offer, and what can be said of any two samplers: do they draw from the same tokens?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from nexttoken import ops
from nexttoken.exceptions import BenchmarkError

__all__ = ["Floats", "Rival", "RivalStep", "check_step"]

Floats = npt.NDArray[np.float32]

# Others add up to 262144 float32 numbers one after the other, so their cut falls a little off; more than this share of
# the probability is a mistake in how the rival is used.
_ROUNDING = 1e-3


class RivalStep(Protocol):
    """One row's step, prepared: all that a rival can keep between steps is made beforehand and not timed."""

    def draw(self, logits: Floats) -> int:
        """The timed part. `logits` [vocab] may be overwritten: the row is copied afresh for each call."""

    def kept(self, logits: Floats) -> npt.NDArray[np.int64]:
        """The tokens that `draw` chooses from, by the same path; for a greedy row, the one."""


class Rival(Protocol):
    """Another sampler; to be derived from.

    Attributes
    ----------
    name : str
        As in tables.
    note : str
        What differs from our own pipeline, for the reader of a table; may be empty.
    """

    name: str
    note: str

    def adapted(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """`options` of `nexttoken.sample` for one row, with what the rival lacks replaced by what comes next to it."""
        return dict(options)

    def prepare(self, options: Mapping[str, Any], vocab: int) -> RivalStep:
        """A step with these adapted options."""


def check_step(rival: Rival, step: RivalStep, logits: Floats, options: Mapping[str, Any]) -> None:
    """Raise unless the rival draws from the tokens that we draw from, ties and rounding apart.

    Parameters
    ----------
    rival : Rival
        Whose step.
    step : RivalStep
        Prepared with `options`.
    logits : float32 array [vocab]
        A row.
    options : mapping
        Of the row, adapted.

    Raises
    ------
    BenchmarkError
        Saying how many tokens differ and how much of the probability they have.
    """
    ours = ops.distribution(logits, **options)
    theirs = np.unique(step.kept(logits.copy()))
    drawn = step.draw(logits.copy())
    if drawn not in theirs:
        raise BenchmarkError(f"{rival.name} must draw one of the {len(theirs)} tokens it keeps, got {drawn}")
    kept = np.flatnonzero(ours.weights[0])
    if options.get("temperature", 1.0) < 1e-5:
        _check_greedy(rival, int(kept[0]), drawn, logits, options)
        return
    different = np.setxor1d(kept, theirs)
    if not len(different):
        return
    whole = ops.distribution(logits, **{**options, "top_p": 1.0, "top_k": 0, "min_p": 0.0}).probs[0]
    # A token belongs exactly when the mass before it, best first, has not reached top_p.
    order = np.lexsort((np.arange(len(whole)), -whole))
    if options.get("top_k"):
        whole = whole / whole[order[: options["top_k"]]].sum()
    before = np.empty_like(whole)
    before[order] = np.cumsum(whole[order]) - whole[order]
    cut = options.get("top_p", 1.0)
    far = different[np.abs(before[different] - cut) > _ROUNDING]
    if len(far):
        raise BenchmarkError(
            f"{rival.name} must keep the {len(kept)} tokens that nexttoken keeps, got {len(theirs)}; {len(far)} of "
            f"those that differ are not at the cut and have {whole[far].sum():.2g} of the probability"
        )


def _check_greedy(rival: Rival, ours: int, drawn: int, logits: Floats, options: Mapping[str, Any]) -> None:
    edited = options.get("logit_bias") or options.get("output_token_ids")
    tied = not edited and logits[ours] == logits[drawn]
    if drawn != ours and not tied:
        raise BenchmarkError(f"{rival.name} must take the best token {ours}, got {drawn}")
