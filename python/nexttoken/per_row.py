"""One value or one per row: parameters of a batch as the arrays that the compiled core takes.

Names, ranges and messages are those of `params.py`; here each error also says at which row.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from nexttoken.exceptions import ParameterError, ParameterTypeError
from nexttoken.params import (
    RANGES,
    Range,
    as_sequence,
    at_row,
    check_choice,
    check_logit_bias,
    check_number,
    check_seed,
    check_token,
    shown,
    to_array,
)

__all__ = [
    "batch_arguments",
    "bias_lists",
    "bitmask",
    "check_bitmask_shape",
    "check_rows",
    "mask_array",
    "per_row",
    "per_row_seeds",
    "token_array",
    "token_lists",
]

_NO_TOKENS = np.empty(0, np.int32), np.zeros(2, np.int64)
"""One empty list, which serves all rows, and its offsets."""


def _rows_of(name: str, values: Any, batch: int) -> Sequence[Any] | npt.NDArray[Any] | None:
    """The values per row, or None where `values` is one value for all."""
    if hasattr(values, "__array__"):  # torch tensors, too
        values = to_array(name, values)
        if values.ndim == 0:
            return None
    elif not isinstance(values, Sequence) or isinstance(values, (str, bytes)):
        return None
    check_rows(name, len(values), batch)
    return values  # type: ignore[no-any-return]


def check_rows(name: str, count: int, batch: int) -> None:
    """Raise ParameterError unless there is one value per row."""
    if count != batch:
        raise ParameterError(f"{name} must be one value or one per row ({batch}), got {count}")


def _one(name: str, values: Any) -> Any:
    """A value for all rows: what is in a 0-D array or tensor."""
    return to_array(name, values)[()] if hasattr(values, "__array__") else values


def per_row(name: str, values: Any, batch: int) -> npt.NDArray[Any]:
    """One number for all rows, shape [1], or one per row, shape [batch]."""
    wanted = RANGES[name]
    dtype = np.uint64 if name == "step" else np.int64 if wanted.integer else np.float64
    if isinstance(values, (int, float)):
        return np.array([_clamped(name, check_number(name, values))], dtype)
    rows = _rows_of(name, values, batch)
    if rows is None:
        return np.array([_clamped(name, check_number(name, _one(name, values)))], dtype)
    at_once = _all_legal(wanted, rows)
    if at_once is not None:
        return np.minimum(at_once, 2**31, dtype=np.int64) if name == "top_k" else at_once.astype(dtype)
    return np.array([_clamped(name, check_number(name, value, row)) for row, value in enumerate(rows)], dtype)


def _all_legal(wanted: Range, rows: Sequence[Any] | npt.NDArray[Any]) -> npt.NDArray[Any] | None:
    """The values, where all are plain numbers and legal: a loop over them takes longer than a step.

    None: a loop says which is not, or what becomes of it.
    """
    if isinstance(rows, np.ndarray):
        plain = rows.ndim == 1 and rows.dtype.kind in ("i" if wanted.integer else "if") and rows.itemsize <= 8
    else:
        plain = all(type(value) is int or (type(value) is float and not wanted.integer) for value in rows)
    if not plain:
        return None
    try:
        values = np.asarray(rows, np.int64 if wanted.integer else np.float64)
        return values if np.all(wanted.legal(values)) else None
    except OverflowError:  # an integer that no array holds
        return None


def _clamped(name: str, value: Any) -> Any:
    """top_k beyond any vocabulary is off, however large the integer."""
    return min(value, 2**31) if name == "top_k" else value


def per_row_seeds(values: Any, batch: int) -> npt.NDArray[np.uint64]:
    """One seed per row, shape [batch]."""
    if values is None:
        return np.array([check_seed(None) for _ in range(batch)], np.uint64)
    rows = _rows_of("seed", values, batch)
    if rows is None:
        return np.full(batch, check_seed(_one("seed", values)), np.uint64)
    if _are_ints(rows):
        with contextlib.suppress(OverflowError):
            return np.array(rows, np.int64).astype(np.uint64)  # mod 2**64
    return np.array([check_seed(value, row) for row, value in enumerate(rows)], np.uint64)


def bias_lists(
    values: Any, batch: int, vocab: int
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Tokens, biases, and the offsets of each row's; one row serves all."""
    if values is None:
        return _NO_TOKENS[0], np.empty(0, np.float64), _NO_TOKENS[1]
    if isinstance(values, Mapping):
        rows = [check_logit_bias(values, vocab)]
    else:
        given = _rows_of("logit_bias", values, batch)
        if given is None:
            raise ParameterTypeError(f"logit_bias must map token ids to numbers, got {shown(values)}")
        rows = [check_logit_bias(value, vocab, row) for row, value in enumerate(given)]
    tokens = np.array([token for row in rows for token in row], np.int32)
    biases = np.array([bias for row in rows for bias in row.values()], np.float64)
    return tokens, biases, _offsets([len(row) for row in rows])


def token_lists(name: str, values: Any, batch: int, vocab: int) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
    """Token ids and the offsets of each row's; one row serves all."""
    if values is None:
        return _NO_TOKENS
    values = as_sequence(name, values)
    if isinstance(values, np.ndarray):
        nested = values.ndim > 1
    else:
        nested = not _are_ints(values) and any(value is None or hasattr(value, "__len__") for value in values)
    if nested:
        rows = _rows_of(name, values, batch)
        assert rows is not None
        arrays = [token_array(name, value, vocab, row) for row, value in enumerate(rows)]
    else:
        arrays = [token_array(name, values, vocab, None)]
    return np.concatenate([np.empty(0, np.int32), *arrays]), _offsets([len(array) for array in arrays])


def token_array(name: str, values: Any, vocab: int, row: int | None) -> npt.NDArray[np.int32]:
    """Token ids, int32 ``[tokens]``; None is none."""
    if values is None:
        return np.empty(0, np.int32)
    values = as_sequence(name, values)
    if _are_ints(values):
        with contextlib.suppress(OverflowError):  # which one is out of range is found below
            values = np.array(values, np.int64)
    if isinstance(values, np.ndarray) and values.ndim == 1 and values.dtype.kind in "iu":
        bad = (values < 0) | (values >= vocab)
        if not bad.any():
            return values.astype(np.int32)
        values = values[bad]
    return np.array([check_token(name, token, vocab, row) for token in values], np.int32)


def _are_ints(values: Any) -> bool:
    """Whether all are plain integers, which NumPy converts and checks ten times as fast as a loop would."""
    return isinstance(values, (list, tuple)) and all(type(value) is int for value in values)


def _offsets(lengths: list[int]) -> npt.NDArray[np.int64]:
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(np.array(lengths, np.int64), dtype=np.int64)])


def bitmask(values: Any, batch: int, vocab: int) -> npt.NDArray[np.int32] | None:
    """int32 [1 or batch, words]."""
    if values is None:
        return None
    mask = mask_array(values)
    words = (vocab + 31) // 32
    check_bitmask_shape(mask.shape, batch, words)
    return np.ascontiguousarray(np.atleast_2d(mask))


def check_bitmask_shape(shape: tuple[int, ...], batch: int, words: int) -> None:
    """Raise ParameterError unless there is one row of words, or one per row."""
    if shape not in ((words,), (batch, words)):
        raise ParameterError(f"token_bitmask must have the shape ({words},) or ({batch}, {words}), got {shape}")


def mask_array(values: Any) -> npt.NDArray[np.int32]:
    """int32, of any shape."""
    mask = to_array("token_bitmask", values) if hasattr(values, "__array__") else np.asarray(values)
    if mask.dtype != np.int32:
        raise ParameterTypeError(f"token_bitmask must be int32, got {mask.dtype}")
    return mask


_NUMBERS = (
    "temperature", "top_p", "top_k", "min_p", "presence_penalty", "frequency_penalty", "repetition_penalty",
    "sequence_index", "step",
)  # fmt: skip
_NO_LOGPROBS = -1


def batch_arguments(given: Mapping[str, Any], batch: int, vocab: int) -> dict[str, Any]:
    """The parameters of `sample`, given by name, checked: as the compiled core takes them, by its names."""
    check_choice("logprobs_mode", given["logprobs_mode"], ("raw", "processed"))
    check_choice("penalty_scope", given["penalty_scope"], ("output", "prompt_and_output"))
    n = check_number("n", given["n"])
    logprobs = given["logprobs"]
    arguments: dict[str, Any] = {name: per_row(name, given[name], batch) for name in _NUMBERS}
    indices = arguments["sequence_index"]
    if n - 1 + int(indices.max(initial=0)) >= 2**32:
        where = at_row(int(indices.argmax()) if len(indices) > 1 else None)
        raise ParameterError(f"sequence_index + n must be at most 2**32, got {int(indices.max())} + {n}{where}")
    arguments["seed"] = per_row_seeds(given["seed"], batch)
    bias_tokens, bias_values, bias_offsets = bias_lists(given["logit_bias"], batch, vocab)
    prompt_tokens, prompt_offsets = token_lists("prompt_token_ids", given["prompt_token_ids"], batch, vocab)
    output_tokens, output_offsets = token_lists("output_token_ids", given["output_token_ids"], batch, vocab)
    return arguments | {
        "bias_tokens": bias_tokens,
        "bias_values": bias_values,
        "bias_offsets": bias_offsets,
        "prompt_tokens": prompt_tokens,
        "prompt_offsets": prompt_offsets,
        "output_tokens": output_tokens,
        "output_offsets": output_offsets,
        "token_bitmask": bitmask(given["token_bitmask"], batch, vocab),
        "penalize_prompt": given["penalty_scope"] == "prompt_and_output",
        "n": n,
        "logprobs": _NO_LOGPROBS if logprobs is None else check_number("logprobs", logprobs),
        "processed": given["logprobs_mode"] == "processed",
    }
