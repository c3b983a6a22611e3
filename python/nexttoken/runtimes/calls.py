"""What every runtime checks of a call before anything moves, in the same words.

All raise ParameterError, and ParameterTypeError for what is no integer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from nexttoken.exceptions import ParameterError, ParameterTypeError
from nexttoken.params import is_integer, shown

__all__ = ["check_integer", "check_prompt", "check_step", "check_token_ids", "no_sequence"]


def check_token_ids(token_ids: Sequence[int], vocab_size: int) -> npt.NDArray[np.int64]:
    """Token ids, int64 ``[tokens]``, all in [0, `vocab_size`)."""
    ids = np.asarray(token_ids)
    if ids.size == 0:
        return np.empty(0, np.int64)
    if ids.dtype.kind not in "iu":
        raise ParameterTypeError(f"token ids must be integers, got {shown(token_ids)}")
    outside = np.flatnonzero((ids < 0) | (ids >= vocab_size))
    if outside.size:
        place = int(outside[0])
        raise ParameterError(f"token ids must be in [0, {vocab_size}), got {ids[place]} at position {place}")
    return ids.astype(np.int64, copy=False)


def check_prompt(ids: npt.NDArray[np.int64], context_length: int) -> None:
    """A prompt is not empty and fits the context."""
    if not 1 <= len(ids) <= context_length:
        raise ParameterError(f"a prompt must have 1 to {context_length} tokens, got {len(ids)}")


def check_step(sequences: Sequence[int], ids: npt.NDArray[np.int64]) -> None:
    """A step has different sequences and a token for each."""
    if len(ids) != len(sequences) or len(set(sequences)) != len(sequences):
        raise ParameterError(
            f"expected different sequences and one token for each, got {len(ids)} tokens for {list(sequences)}"
        )


def no_sequence(sequence: int) -> ParameterError:
    """What is raised for a number that names none."""
    return ParameterError(f"there is no sequence {sequence}: it was freed, or never made")


def check_integer(name: str, value: Any, low: int, high: int) -> None:
    """A setting is an integer in [`low`, `high`]."""
    if not is_integer(value):
        raise ParameterTypeError(f"{name} must be an integer, got {shown(value)}")
    if not low <= value <= high:
        raise ParameterError(f"{name} must be in [{low}, {high}], got {shown(value)}")
