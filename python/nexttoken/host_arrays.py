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
_ELSEWHERE = " memory, got DLPack device type "
_DEVICES = {2: "cuda", 4: "opencl", 7: "vulkan", 8: "metal", 10: "rocm", 13: "cuda", 14: "oneapi", 15: "webgpu"}
"""Device types of DLPack."""


def lend(logits: Any, error: Exception) -> npt.NDArray[Any] | None:
    """What the core may be given in the place of `logits`, in the same memory; None: `error` says all there is to say.

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

    Notes
    -----
    `error` is not raised here: it would know this frame, this frame knows it, and the logits would stay until the next
    garbage collection.
    """
    said = str(error)
    if isinstance(error, NextTokenError) and not said.startswith("logits must "):
        return None
    _explain_jax(logits, error)
    if not isinstance(error, ParameterTypeError):
        return None
    if said.startswith(_DTYPES + _UNNAMED) and hasattr(logits, "dtype"):  # the libraries name more dtypes than DLPack
        raise ParameterTypeError(_DTYPES + str(logits.dtype).removeprefix("torch.")) from None
    if _ELSEWHERE in said:
        where = _device(logits, said.partition(" got ")[2])
        raise ParameterTypeError(
            f"logits must be in host or CUDA memory, got {where}: logits.cpu() or the like brings them to the host"
        ) from None
    return None if isinstance(logits, np.ndarray) else _through_numpy(logits)


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


def _through_numpy(logits: Any) -> npt.NDArray[Any] | None:
    """By ``__array_interface__``, ``__array_struct__`` or a buffer whose format the core does not know."""
    if hasattr(logits, "__dlpack__"):
        return None
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
                "one, in the same memory"
            ) from None
        try:
            memoryview(logits)
        except TypeError:
            return None
    try:
        return np.asarray(logits)
    except (TypeError, ValueError, NotImplementedError):
        return None
