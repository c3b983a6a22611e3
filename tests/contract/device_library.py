"""A library of arrays that says its memory is on a CUDA device; it is NumPy's, and reading it as such is refused."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt

from contract import dlpack
from contract.dlpack import BFLOAT, CUDA, FLOAT, INT, UINT, Producer

_CODES = {"f": FLOAT, "i": INT, "u": UINT, "b": 6, "c": 5}


class Streams:
    """The stream that each device's work is queued on now."""

    current: dict[int, int]

    def __init__(self) -> None:
        self.current = {}

    def __call__(self, device: int) -> int:
        return self.current.get(device, 0)


STREAMS = Streams()


class _Array(Producer):
    """`values` as memory of a device, with any strides."""

    def __init__(self, values: npt.ArrayLike, dtype: Any = None, *, device: int = 0, kind: int = CUDA) -> None:
        self.values = values if isinstance(values, np.ndarray) and dtype is None else np.array(values, dtype)
        short = self.values.dtype == ml_dtypes.bfloat16
        code = BFLOAT if short else _CODES[self.values.dtype.kind]
        memory = self.values.view(np.uint16) if short else self.values
        strides = tuple(stride // self.values.itemsize for stride in self.values.strides)
        super().__init__(memory, self.values.shape, strides, code=code, device=kind, device_id=device)

    def __array__(self, *_: Any, **__: Any) -> None:
        raise TypeError("this would wait for the device")

    def __bool__(self) -> bool:
        raise TypeError("this would wait for the device")

    def __repr__(self) -> str:
        raise TypeError("this would wait for the device")

    def __len__(self) -> int:
        return len(self.values)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.values.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.values.dtype

    # What is computed with results.

    def _new(self, values: Any) -> _Array:
        return type(self)(np.asarray(values), device=self.device_id)

    def __getitem__(self, where: Any) -> _Array:
        return self._new(self.values[where])

    def __truediv__(self, other: _Array) -> _Array:
        return self._new(self.values / other.values)

    def astype(self, dtype: Any) -> _Array:
        return self._new(self.values.astype(dtype))

    def clip(self, low: float) -> _Array:
        return self._new(self.values.clip(low))


class PlainArray(_Array):
    """Of a library with ``__dlpack__`` alone."""


class Array(dlpack.exchanging(current_stream=STREAMS), _Array):  # type: ignore[misc]
    """Of a library with DLPack's C functions."""


class InterfaceArray:
    """Of a library with ``__cuda_array_interface__`` alone."""

    def __init__(self, values: npt.ArrayLike, dtype: Any = None, **members: Any) -> None:
        self.values = np.asarray(values, dtype)
        self.members = members

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        values = self.values
        strides = None if values.flags.c_contiguous else values.strides
        return {
            "shape": values.shape,
            "typestr": values.dtype.str,
            "data": (values.ctypes.data, False),
            "strides": strides,
            "version": 3,
            **self.members,
        }


class Library:
    """What `nexttoken.libraries` asks of a library; memory is full of garbage, and what was held is remembered."""

    def __init__(self) -> None:
        self.held: list[tuple[list[Any], int, int]] = []
        self.asked_for_stream = 0
        self.checked: list[int] = []
        self.made: list[_Array] = []

    def empty(self, like: _Array, shape: tuple[int, ...], dtype: str) -> _Array:
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        memory = np.full(size + 256, 0x5A, np.uint8)
        start = -memory.ctypes.data % 256
        array = type(like)(memory[start : start + size].view(dtype).reshape(shape), device=like.device_id)
        self.made.append(array)
        return array

    def address(self, array: _Array) -> int:
        return int(array.values.ctypes.data)

    def to_host(self, array: _Array) -> npt.NDArray[Any]:
        return array.values.copy()

    def current_stream(self, device: int) -> int:
        self.asked_for_stream += 1
        return STREAMS(device)

    def check(self, stream: int) -> None:
        self.checked.append(stream)

    def hold(self, arrays: Iterable[Any], stream: int, device: int) -> None:
        self.held.append((list(arrays), stream, device))


def fetch(result: Any) -> Any:
    """A result with its arrays as NumPy's."""
    fields = {field.name: getattr(result, field.name) for field in dataclasses.fields(result)}
    return type(result)(**{name: getattr(value, "values", value) for name, value in fields.items()})
