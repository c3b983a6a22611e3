"""Libraries whose arrays live on a CUDA device: what is asked of torch and of CuPy, and of streams however given.

Memory comes from the library of the logits, so that its caching allocator and its graph captures know of it. A library
is imported by whoever made the array, never here.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any, Protocol

import numpy.typing as npt

from nexttoken.exceptions import DeviceError, ParameterError, ParameterTypeError
from nexttoken.params import is_integer, shown

__all__ = ["LIBRARIES", "Cupy", "Library", "Torch", "library_of", "stream_handle"]


_DEFAULT = (0, 1)
"""Handles of the legacy default stream."""


class Library(Protocol):
    """What a step needs of the library that its logits are an array of."""

    def empty(self, like: Any, shape: tuple[int, ...], dtype: str) -> Any:
        """An array on the device of `like`, rows one after the other, of what dtype NumPy's name says."""

    def address(self, array: Any) -> int:
        """Where it begins in device memory."""

    def to_host(self, array: Any) -> npt.NDArray[Any]:
        """A copy in host memory, made when what the current stream holds is done."""

    def current_stream(self, device: int) -> int:
        """The stream that work is queued on now."""

    def check(self, stream: int) -> None:
        """Raise DeviceError where a step on this stream could not have memory that lasts."""

    def hold(self, arrays: Iterable[Any], stream: int, device: int) -> None:
        """Keep their memory until what is queued on `stream`, which is not the current one, is done."""


class Torch:
    """Tensors of torch."""

    def empty(self, like: Any, shape: tuple[int, ...], dtype: str) -> Any:
        torch = sys.modules["torch"]
        if dtype == "uint64":  # few operations know it, and filling new memory, which torch can be told to do, is none
            return torch.empty(shape, dtype=torch.int64, device=like.device).view(torch.uint64)
        return torch.empty(shape, dtype=getattr(torch, dtype), device=like.device)

    def address(self, array: Any) -> int:
        return int(array.data_ptr())

    def to_host(self, array: Any) -> npt.NDArray[Any]:
        host: npt.NDArray[Any] = array.cpu().numpy()
        return host

    def current_stream(self, device: int) -> int:
        return int(sys.modules["torch"].cuda.current_stream(device).cuda_stream)

    def check(self, stream: int) -> None:
        """Memory of a capture is the graph's own."""

    def hold(self, arrays: Iterable[Any], stream: int, device: int) -> None:
        cuda = sys.modules["torch"].cuda
        # Of handle 0 ExternalStream makes a new stream, not the default one that it stands for.
        external = cuda.default_stream(device) if stream in _DEFAULT else cuda.ExternalStream(stream, device)
        for array in arrays:
            array.record_stream(external)


class Cupy:
    """Arrays of CuPy."""

    def empty(self, like: Any, shape: tuple[int, ...], dtype: str) -> Any:
        with like.device:
            return sys.modules["cupy"].empty(shape, dtype)

    def address(self, array: Any) -> int:
        return int(array.data.ptr)

    def to_host(self, array: Any) -> npt.NDArray[Any]:
        host: npt.NDArray[Any] = sys.modules["cupy"].asnumpy(array)
        return host

    def current_stream(self, device: int) -> int:
        cupy = sys.modules["cupy"]
        with cupy.cuda.Device(device):
            return int(cupy.cuda.get_current_stream().ptr)

    def check(self, stream: int) -> None:
        # Its pool takes memory back as soon as nobody holds it; a graph would go on to write there.
        if sys.modules["cupy"].cuda.runtime.streamIsCapturing(stream):
            raise DeviceError("a step cannot be captured with arrays of CuPy, which has no memory of a graph's own")

    def hold(self, arrays: Iterable[Any], stream: int, device: int) -> None:
        # Its pool hands memory back to the stream it came from: that one goes on after what is queued here.
        cupy = sys.modules["cupy"]
        with cupy.cuda.Device(device):
            done = cupy.cuda.ExternalStream(stream, device).record()
            cupy.cuda.get_current_stream().wait_event(done)


LIBRARIES: dict[str, Library] = {"torch": Torch(), "cupy": Cupy()}
"""By the package that the type of an array is from."""


def library_of(array: Any) -> Library | None:
    """The library that the array's type, or one that it is derived from, belongs to; None for all others."""
    for kind in type(array).__mro__:
        library = LIBRARIES.get(str(kind.__module__).partition(".")[0])
        if library is not None:
            return library
    return None


def stream_handle(stream: Any, device: int) -> int:
    """A stream of the caller's as the runtime's handle: 0 is the legacy default stream.

    Raises
    ------
    ParameterTypeError
        For what is no stream.
    ParameterError
        For a negative handle, or a stream of another device.
    """
    for name in ("device_index", "device_id"):  # torch, CuPy
        other = getattr(stream, name, device)
        if is_integer(other) and other not in (device, -1):
            raise ParameterError(f"stream must be of the logits' device cuda:{device}, got one of cuda:{other}")
    handle = stream
    if hasattr(stream, "__cuda_stream__"):  # (version, handle), of a method or an attribute
        pair = stream.__cuda_stream__
        handle = (pair() if callable(pair) else pair)[1]
    else:
        for name in ("cuda_stream", "ptr"):  # torch, CuPy
            handle = getattr(stream, name, handle)
    if not is_integer(handle):
        raise ParameterTypeError(
            "stream must be None, an integer or an object with cuda_stream, ptr or __cuda_stream__, "
            f"got {shown(stream)}"
        )
    if handle < 0:
        raise ParameterError(f"stream must be a handle of 0 or more, got {shown(handle)}")
    return int(handle)
