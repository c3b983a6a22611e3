"""One value or one per row: parameters of a batch as the arrays that the compiled core takes.

Names, ranges and messages are those of `params.py`; here each error also says at which row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import Any

import numpy as np
import numpy.typing as npt

from nexttoken.exceptions import ParameterError, ParameterTypeError
from nexttoken.params import RANGES, at_row, check_logit_bias, check_number, check_seed

__all__ = ["bias_lists", "bitmask", "per_row", "per_row_seeds", "token_array", "token_lists"]


def _rows_of(name: str, values: Any, batch: int) -> Sequence[Any] | npt.NDArray[Any] | None:
    """The values per row, or None where `values` is one value for all."""
    if hasattr(values, "__array__"):  # torch tensors, too
        values = np.asarray(values)
    # Not np.ndim: rows of histories are of different lengths.
    if isinstance(values, (str, bytes, Mapping, Set)) or not hasattr(values, "__len__"):
        return None
    if getattr(values, "ndim", 1) == 0:
        return None
    if len(values) != batch:
        raise ParameterError(f"{name} must be one value or one per row ({batch}), got {len(values)}")
    return values  # type: ignore[no-any-return]


def per_row(name: str, values: Any, batch: int) -> npt.NDArray[Any]:
    """One number for all rows, shape [1], or one per row, shape [batch]."""
    wanted = RANGES[name]
    dtype = np.uint64 if name == "step" else np.int64 if wanted.integer else np.float64
    if isinstance(values, (int, float)):
        return np.array([_clamped(name, check_number(name, values))], dtype)
    rows = _rows_of(name, values, batch)
    if rows is None:
        if hasattr(values, "__array__"):
            values = np.asarray(values)[()]
        return np.array([_clamped(name, check_number(name, values))], dtype)
    return np.array([_clamped(name, check_number(name, value, row)) for row, value in enumerate(rows)], dtype)


def _clamped(name: str, value: Any) -> Any:
    """top_k beyond any vocabulary is off, however large the integer."""
    return min(value, 2**31) if name == "top_k" else value


def per_row_seeds(values: Any, batch: int) -> npt.NDArray[np.uint64]:
    """One seed per row, shape [batch]."""
    if values is None:
        return np.array([check_seed(None) for _ in range(batch)], np.uint64)
    rows = _rows_of("seed", values, batch)
    if rows is None:
        if hasattr(values, "__array__"):
            values = np.asarray(values)[()]
        return np.full(batch, check_seed(values), np.uint64)
    return np.array([check_seed(value, row) for row, value in enumerate(rows)], np.uint64)


def bias_lists(
    values: Any, batch: int, vocab: int
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Tokens, biases, and the offsets of each row's; one row serves all."""
    if values is None or isinstance(values, Mapping):
        rows = [check_logit_bias(values, vocab)]
    else:
        given = _rows_of("logit_bias", values, batch)
        if given is None:
            raise ParameterTypeError(f"logit_bias must map token ids to numbers, got {values!r}")
        rows = [check_logit_bias(value, vocab, row) for row, value in enumerate(given)]
    tokens = np.array([token for row in rows for token in row], np.int32)
    biases = np.array([bias for row in rows for bias in row.values()], np.float64)
    return tokens, biases, _offsets([len(row) for row in rows])


def token_lists(name: str, values: Any, batch: int, vocab: int) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
    """Token ids and the offsets of each row's; one row serves all."""
    if values is None:
        return np.empty(0, np.int32), _offsets([0])
    if isinstance(values, (str, bytes, Mapping)) or not hasattr(values, "__len__"):
        raise ParameterTypeError(f"{name} must be a sequence of token ids or one per row, got {values!r}")
    if hasattr(values, "__array__"):
        values = np.asarray(values)
        nested = values.ndim == 2
    else:
        nested = any(value is None or hasattr(value, "__len__") for value in values)
    if nested:
        rows = _rows_of(name, values, batch)
        assert rows is not None
        arrays = [token_array(name, value, vocab, row) for row, value in enumerate(rows)]
    else:
        arrays = [token_array(name, values, vocab, None)]
    return np.concatenate([np.empty(0, np.int32), *arrays]), _offsets([len(array) for array in arrays])


def token_array(name: str, values: Any, vocab: int, row: int | None) -> npt.NDArray[np.int32]:
    if values is None or len(values) == 0:
        return np.empty(0, np.int32)
    array = np.asarray(values)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise ParameterTypeError(f"{name} must hold integers, got {values!r:.80}{at_row(row)}")
    bad = (array < 0) | (array >= vocab)
    if bad.any():
        raise ParameterError(f"{name} must hold token ids in [0, {vocab}), got {array[bad][0]}{at_row(row)}")
    return array.astype(np.int32)


def _offsets(lengths: list[int]) -> npt.NDArray[np.int64]:
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(np.array(lengths, np.int64), dtype=np.int64)])


def bitmask(values: Any, batch: int, vocab: int) -> npt.NDArray[np.int32] | None:
    """int32 [1 or batch, words]."""
    if values is None:
        return None
    mask = np.asarray(values)
    words = (vocab + 31) // 32
    if mask.dtype != np.int32:
        raise ParameterTypeError(f"token_bitmask must be int32, got {mask.dtype}")
    if mask.shape not in ((words,), (batch, words)):
        raise ParameterError(f"token_bitmask must have the shape ({words},) or ({batch}, {words}), got {mask.shape}")
    return np.ascontiguousarray(np.atleast_2d(mask))
