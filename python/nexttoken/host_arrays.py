"""Logits that the core refused: lent to it through NumPy where that takes no copy, or refused in clearer words.

The core reads NumPy, DLPack and the buffer protocol by itself. Nothing here runs unless it has raised.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from nexttoken.exceptions import NextTokenError, ParameterTypeError

__all__ = ["lend"]

_DTYPES = "logits must be float32, float16 or bfloat16, got "
_UNNAMED = "DLPack type code "
_HOST = "logits must be in host memory, got "
_DEVICES = {2: "cuda", 4: "opencl", 7: "vulkan", 8: "metal", 10: "rocm", 13: "cuda", 14: "oneapi", 15: "webgpu"}
"""Device types of DLPack."""


def lend(logits: Any, error: Exception) -> npt.NDArray[Any]:
    """What the core may be given in the place of `logits`, in the same memory.

    Parameters
    ----------
    logits : object
        What it was given.
    error : Exception
        What it raised then. It may be about something else.

    Raises
    ------
    ParameterTypeError
        If they cannot be read, and there is more to say than `error` does.
    Exception
        `error` itself in all other cases.
    """
    said = str(error)
    if isinstance(error, NextTokenError) and not said.startswith("logits must "):
        raise error
    _explain_jax(logits, error)
    if not isinstance(error, ParameterTypeError):
        raise error
    if said.startswith(_DTYPES + _UNNAMED) and hasattr(logits, "dtype"):  # the libraries name more dtypes than DLPack
        raise ParameterTypeError(_DTYPES + str(logits.dtype).removeprefix("torch.")) from None
    if said.startswith(_HOST):
        raise ParameterTypeError(
            f"{_HOST}{_device(logits, said.removeprefix(_HOST))}: logits.cpu() or the like brings them here"
        ) from None
    array = _through_numpy(logits, error)
    # As ctypes and some buffers have it: little-endian by name, hence not NumPy's own dtype, which it is all the same.
    if not array.dtype.isnative or array.dtype.byteorder == "=":
        if isinstance(logits, np.ndarray):
            raise error
        return array
    return array.view(array.dtype.newbyteorder("="))


def _explain_jax(logits: Any, error: Exception) -> None:
    kinds = [kind for kind in type(logits).__mro__ if kind.__module__.partition(".")[0] in ("jax", "jaxlib")]
    if any(kind.__name__ == "Tracer" for kind in kinds):
        raise ParameterTypeError(
            "logits must hold values, got a tracer of JAX: inside jit, vmap and the like call through "
            "jax.pure_callback, or take the step outside"
        ) from error
    if not kinds or not hasattr(logits, "is_deleted"):
        return
    if logits.is_deleted():
        raise ParameterTypeError("logits must hold values, got an array of JAX that was deleted or donated") from error
    devices = len(logits.sharding.device_set)
    if devices > 1:
        raise ParameterTypeError(
            f"logits must be on one device, got an array of JAX over {devices}: jax.device_put(logits, one of them) "
            "gathers it, logits.addressable_shards[i].data is a part"
        ) from error


def _device(logits: Any, otherwise: str) -> str:
    kind, number = logits.__dlpack_device__() if hasattr(logits, "__dlpack_device__") else (0, 0)
    return f"{_DEVICES[int(kind)]}:{number}" if int(kind) in _DEVICES else otherwise


def _through_numpy(logits: Any, error: ParameterTypeError) -> npt.NDArray[Any]:
    """By ``__array_interface__``, ``__array_struct__`` or a buffer whose format the core does not know."""
    if isinstance(logits, np.ndarray):
        return logits
    if hasattr(logits, "__dlpack__"):
        raise error
    if any(kind.__name__ == "_Pointer" and kind.__module__ == "_ctypes" for kind in type(logits).__mro__):
        raise ParameterTypeError(
            "logits must have a shape, got a pointer of ctypes: numpy.ctypeslib.as_array(pointer, (rows, vocab)) "
            "gives it one, in the same memory"
        ) from None
    if not hasattr(logits, "__array_interface__") and not hasattr(logits, "__array_struct__"):
        if hasattr(logits, "__cuda_array_interface__"):
            raise ParameterTypeError(
                "logits on a CUDA device must be an array of torch or cupy, which then hold the results, got "
                f"{type(logits).__qualname__}: torch.as_tensor(logits, device='cuda') or cupy.asarray(logits) makes "
                "one of it, in the same memory"
            ) from None
        try:
            memoryview(logits)
        except TypeError:
            raise error from None
    try:
        return np.asarray(logits)
    except (TypeError, ValueError, NotImplementedError):
        raise error from None
