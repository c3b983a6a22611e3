"""A DLPack producer made by hand: any dtype, strides, offset and version, and it counts how often it is given back."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

FLOAT, BFLOAT, INT, UINT = 2, 4, 0, 1
CPU, CUDA, CUDA_HOST, ROCM, CUDA_MANAGED = 1, 2, 3, 10, 13


class _Tensor(ctypes.Structure):
    _fields_: ClassVar = [
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int32),
        ("device_id", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    ]


_DELETER = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


class _Managed(ctypes.Structure):
    _fields_: ClassVar = [("tensor", _Tensor), ("context", ctypes.c_void_p), ("deleter", _DELETER)]


class _ManagedVersioned(ctypes.Structure):
    _fields_: ClassVar = [
        ("major", ctypes.c_uint32),
        ("minor", ctypes.c_uint32),
        ("context", ctypes.c_void_p),
        ("deleter", _DELETER),
        ("flags", ctypes.c_uint64),
        ("tensor", _Tensor),
    ]


_new_capsule = ctypes.pythonapi.PyCapsule_New
_new_capsule.restype = ctypes.py_object
_new_capsule.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]


class Producer:
    """Lends `memory` (one dimension, its own item size) under the shape and strides given, strides in items."""

    def __init__(
        self,
        memory: npt.NDArray[Any],
        shape: tuple[int, ...],
        strides: tuple[int, ...] | None = None,
        *,
        code: int = FLOAT,
        bits: int | None = None,
        lanes: int = 1,
        byte_offset: int = 0,
        device: int = CPU,
        device_id: int = 0,
        version: tuple[int, int] | None = (1, 0),
    ) -> None:
        self.device = device
        self.device_id = device_id
        self.streams: list[int | None] = []  # what each export was told, "nothing" left out
        self.version = version
        self.memory = memory
        self.lent = self.given_back = 0
        self._shape = (ctypes.c_int64 * max(len(shape), 1))(*shape)
        self._strides = None if strides is None else (ctypes.c_int64 * max(len(strides), 1))(*strides)
        tensor = _Tensor(memory.ctypes.data, device, device_id, len(shape), code, bits or 8 * memory.itemsize, lanes)
        tensor.shape = ctypes.cast(self._shape, ctypes.POINTER(ctypes.c_int64))
        if self._strides is not None:
            tensor.strides = ctypes.cast(self._strides, ctypes.POINTER(ctypes.c_int64))
        tensor.byte_offset = byte_offset
        self._deleter = _DELETER(self._take_back)
        if version is None:
            self._managed: ctypes.Structure = _Managed(tensor, None, self._deleter)
        else:
            self._managed = _ManagedVersioned(*version, None, self._deleter, 0, tensor)

    def _take_back(self, managed: int | None) -> None:
        assert managed == ctypes.addressof(self._managed)
        self.given_back += 1

    def _capsule(self) -> object:
        self.lent += 1
        name = b"dltensor" if self.version is None else b"dltensor_versioned"
        return _new_capsule(ctypes.addressof(self._managed), name, None)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.device, self.device_id

    def __dlpack__(self, *, max_version: tuple[int, int] | None = None, **told: int | None) -> object:
        assert set(told) <= {"stream"}
        self.streams += told.values()
        return self._capsule()


class OldProducer(Producer):
    """From before DLPack 1.0: knows no max_version and no device."""

    __dlpack_device__ = None  # type: ignore[assignment]

    def __init__(self, memory: npt.NDArray[Any], shape: tuple[int, ...]) -> None:
        super().__init__(memory, shape, version=None)

    def __getattribute__(self, name: str) -> Any:
        if name == "__dlpack_device__":
            raise AttributeError(name)
        return super().__getattribute__(name)

    def __dlpack__(self) -> object:  # type: ignore[override]
        return self._capsule()


_EXPORT = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.POINTER(ctypes.c_void_p))


class _ExchangeAPI(ctypes.Structure):
    _fields_: ClassVar = [
        ("major", ctypes.c_uint32),
        ("minor", ctypes.c_uint32),
        ("previous", ctypes.c_void_p),
        ("allocate", ctypes.c_void_p),
        ("managed_from_object", ctypes.c_void_p),
        ("managed_to_object", ctypes.c_void_p),
        ("tensor_from_object", ctypes.c_void_p),
        ("current_stream", ctypes.c_void_p),
    ]


_STREAM = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_int32, ctypes.POINTER(ctypes.c_void_p))


def exchanging(
    *, major: int = 1, exports: bool = True, fails: bool = False, current_stream: Callable[[int], int] | None = None
) -> type[Producer]:
    """A producer with DLPack's table of C functions on its type; `exchanged` counts how often that was asked.

    `current_stream` maps a device to the stream that its work is queued on.
    """

    @_EXPORT
    def export(source: int, out: Any) -> int:
        kind.exchanged += 1
        if fails:
            return -1
        producer = ctypes.cast(source, ctypes.py_object).value
        producer.lent += 1
        out[0] = ctypes.addressof(producer._managed)
        return 0

    @_STREAM
    def stream(kind: int, device: int, out: Any) -> int:
        assert current_stream is not None
        out[0] = current_stream(device)
        return 0

    address = ctypes.cast(export, ctypes.c_void_p).value if exports else None
    asked = ctypes.cast(stream, ctypes.c_void_p).value if current_stream else None
    api = _ExchangeAPI(major, 3, None, None, address, None, None, asked)

    class Exchanging(Producer):
        exchanged = 0
        keep = (export, stream, api)
        __dlpack_c_exchange_api__ = _new_capsule(ctypes.addressof(api), _NAME, None)

    kind = Exchanging
    return Exchanging


_NAME = b"dlpack_exchange_api"  # a capsule borrows its name


def memory(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """`values` as one dimension of plain items (ml_dtypes' own dtypes are opaque to ctypes)."""
    return np.ascontiguousarray(values).reshape(-1).view(np.uint16 if values.itemsize == 2 else values.dtype)
