"""Parameters in device memory, looked at from outside: dtype, shape, strides and device; values are never read."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import ModuleType
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from nexttoken import _core
from nexttoken.exceptions import ParameterError, ParameterTypeError
from nexttoken.libraries import Library, library_of
from nexttoken.params import RANGES
from nexttoken.per_row import check_bitmask_shape, check_rows

__all__ = ["ArrayReader", "Placed", "PlacedTokens"]

Placed: TypeAlias = tuple[int, int, str]
"""Address, elements from a row's to the next's (0: one for all rows), dtype: as `_cuda.Batch` takes it."""

PlacedTokens: TypeAlias = tuple[int, int, int, str]
"""Address, elements from a row to the next (0: one for all rows), length, dtype."""

_REALS, _INTEGERS, _TOKENS = ("float32", "float64"), ("int32", "int64", "uint64"), ("int32", "int64")


class _Interface:
    """What `_core.DeviceArray` is for DLPack, by ``__cuda_array_interface__``."""

    def __init__(self, name: str, source: Any, reader: ArrayReader) -> None:
        found: Mapping[str, Any] = source.__cuda_array_interface__
        if found.get("mask") is not None:
            raise ParameterTypeError(f"{name} must be a plain array, got a masked one")
        dtype = np.dtype(found["typestr"])
        self.dtype = dtype.name if dtype.isnative else dtype.str
        self.shape = tuple(found["shape"])
        self.address: int = found["data"][0] or 0
        strides = found.get("strides")
        if strides is None:
            strides = [dtype.itemsize * math.prod(self.shape[i + 1 :]) for i in range(len(self.shape))]
        if any(stride % dtype.itemsize for stride in strides):
            raise ParameterError(f"{name} must have strides that are multiples of the item size, got {strides} bytes")
        self.strides = tuple(stride // dtype.itemsize for stride in strides)
        # An array without memory is at home everywhere.
        self.device: int | None = reader.extension.device_of(self.address) if self.address else reader.device
        queued = found.get("stream")
        if queued is not None and queued != reader.stream:
            reader.extension.order(reader.device, reader.stream, queued)


class ArrayReader(NamedTuple):
    """Looks at the arrays of one call."""

    extension: ModuleType
    library: Library
    """Of the logits: what it has queued comes before what is queued on `stream`."""
    device: int
    """Where the logits are, and all else must be."""
    stream: int

    def number(self, name: str, source: Any, batch: int) -> tuple[Placed, object]:
        """One number for all rows or one per row. Returns it, and what keeps the memory."""
        array = self._look(name, source, _INTEGERS if name == "seed" or RANGES[name].integer else _REALS)
        if len(array.shape) > 1:
            raise ParameterError(f"{name} must have the shape () or ({batch},), got {array.shape}")
        if array.shape:
            check_rows(name, array.shape[0], batch)
        return (array.address, array.strides[0] if array.shape else 0, array.dtype), array

    def tokens(self, name: str, source: Any, batch: int) -> tuple[PlacedTokens, object]:
        """Token ids ``[length]`` or ``[batch, length]``, -1 for none."""
        array = self._look(name, source, _TOKENS)
        if len(array.shape) not in (1, 2):
            raise ParameterError(f"{name} must have the shape (length,) or ({batch}, length), got {array.shape}")
        if len(array.shape) == 2:
            check_rows(name, array.shape[0], batch)
        return (array.address, _row_stride(name, array), array.shape[-1], array.dtype), array

    def bitmask(self, name: str, source: Any, batch: int, vocab: int) -> tuple[Placed, object]:
        """Words ``[words]`` or ``[batch, words]``."""
        array = self._look(name, source, ("int32",))
        check_bitmask_shape(array.shape, batch, (vocab + 31) // 32)
        return (array.address, _row_stride(name, array), array.dtype), array

    def _look(self, name: str, source: Any, dtypes: tuple[str, ...]) -> _core.DeviceArray | _Interface:
        array: _core.DeviceArray | _Interface
        if not hasattr(source, "__dlpack__"):
            array = _Interface(name, source, self)
        else:
            # Another library than the logits' is told which stream is to wait for it: in the protocol's words, where 1
            # is the legacy default stream and 0 is none.
            ordered = library_of(source) is self.library
            array = _core.DeviceArray(name, source, None if ordered else self.stream or 1)
        if array.device != self.device:
            where = "host memory" if array.device is None else f"cuda:{array.device}"
            raise ParameterError(f"{name} must be on the logits' device cuda:{self.device}, got {where}")
        if array.dtype not in dtypes:
            words = ", ".join(dtypes[:-1]) + (" or " if dtypes[1:] else "") + dtypes[-1]
            raise ParameterTypeError(f"{name} must be {words}, got {array.dtype}")
        if array.address % np.dtype(array.dtype).itemsize:
            raise ParameterError(f"{name} must begin at a multiple of the item size, got one between")
        return array


def _row_stride(name: str, array: _core.DeviceArray | _Interface) -> int:
    """Of a matrix whose rows are dense; 0 for one row that serves all."""
    if array.shape[-1] > 1 and array.strides[-1] != 1:
        raise ParameterError(f"{name} must have rows without gaps, got a stride of {array.strides[-1]} elements")
    return int(array.strides[0]) if len(array.shape) == 2 else 0
