"""Results of a device, fetched, against the CPU's of the same call: equal to the bit, logprobs nearly."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

EXACT = ("status", "token_ids", "seed", "top_token_ids", "mass", "weights", "probs")
CLOSE = ("logprobs", "top_logprobs")


def as_arrays(result: Any) -> dict[str, Any]:
    """The fields of a host result by name; a distribution's probabilities, too."""
    fields = {name: value for name, value in vars(result).items() if value is not None}
    return {**fields, "probs": result.probs} if "weights" in fields else fields


def same(got: Mapping[str, Any], wanted: Any, what: str) -> None:
    """Raise unless the arrays in `got` are those of the CPU's result: the same names, dtypes, shapes and values.

    Parameters
    ----------
    got : mapping of str to array
        In host memory. Without ``seed`` where it came back as the caller's own array.
    wanted : SampleResult or Distribution
    what : str
        For the message: which call it was.
    """
    arrays = as_arrays(wanted)
    if "seed" not in got:
        arrays.pop("seed", None)
    if set(got) != set(arrays):
        raise AssertionError(f"{what}: must have {sorted(arrays)}, got {sorted(got)}")
    for name in (*EXACT, *CLOSE):
        if name in arrays:
            _same_array(np.asarray(got[name]), np.asarray(arrays[name]), f"{what}: {name}", exact=name in EXACT)


def _same_array(got: Any, wanted: Any, what: str, *, exact: bool) -> None:
    if (got.dtype, got.shape) != (wanted.dtype, wanted.shape):
        raise AssertionError(f"{what} must be {wanted.dtype} {wanted.shape}, got {got.dtype} {got.shape}")
    if exact:
        wrong = got != wanted
    else:
        with np.errstate(invalid="ignore"):
            # Each is within 2e-6 + 2**-23 |ln p| of the same number.
            near = np.abs(got - wanted) <= 4e-6 + 2.0**-22 * np.abs(wanted)
        wrong = ~np.where(np.isfinite(wanted), near, (got == wanted) | (np.isnan(got) & np.isnan(wanted)))
    places = np.argwhere(wrong)
    if len(places):
        first = tuple(places[0].tolist())
        raise AssertionError(
            f"{what} must be {wanted[first]} at {list(first)}, got {got[first]}; {len(places)} of {wrong.size} differ"
        )
