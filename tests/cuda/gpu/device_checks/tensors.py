"""Arrays as tensors of torch on the device, strides and all, and back."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

import nexttoken
from device_checks.equality import same

DEVICE = "cuda"
_BITS = {2: torch.int16, 4: torch.int32, 8: torch.int64}
_PADDING = 3  # elements before the first: memory that begins at no round address


def on_cuda(values: Any, dtype: Any = None) -> Any:
    """The same numbers with the same distances in between, as bits: all dtypes are alike then. Around them are ones."""
    values = np.asarray(values, dtype)
    kind = getattr(torch, values.dtype.name)
    bits = np.array(values, order="C").view(f"i{values.itemsize}")
    if values.size == 0 or values.ndim == 0:
        return torch.from_numpy(bits).to(DEVICE).view(kind)
    # torch has no strides below 0; NumPy's of an axis of one element may be anything.
    strides = [max(1, abs(stride) // values.itemsize) for stride in values.strides]
    length = _PADDING + 1 + sum((n - 1) * stride for n, stride in zip(values.shape, strides, strict=True))
    around = torch.full((length,), -1, dtype=_BITS[values.itemsize], device=DEVICE)
    inside = around.as_strided(values.shape, strides, _PADDING)
    inside.copy_(torch.from_numpy(bits))
    return inside.view(kind)


def to_host(tensor: Any) -> Any:
    """As NumPy's array; uint64 by way of int64, which all operations of torch know."""
    if tensor.dtype == torch.uint64:
        return tensor.view(torch.int64).cpu().numpy().view(np.uint64)
    return tensor.cpu().numpy()


def fetch(result: Any, *, seed: bool = True) -> dict[str, Any]:
    """The fields of a result, in host memory; each must have been a tensor on the device."""
    fields = {name: value for name, value in vars(result).items() if value is not None}
    if "weights" in fields:
        fields["probs"] = result.probs
    if not seed:
        fields.pop("seed", None)
    for name, value in fields.items():
        assert isinstance(value, torch.Tensor), f"{name} is {type(value)}"
        assert value.device.type == DEVICE, f"{name} is on {value.device}"
    return {name: to_host(value) for name, value in fields.items()}


def both(logits: Any, host: Any, here: dict[str, Any], there: dict[str, Any], what: str) -> None:
    """`sample` and `distribution` of tensors with the arguments `there` against those of host arrays with `here`."""
    given = there.get("seed")
    own = not isinstance(given, torch.Tensor) or (given.dtype == torch.uint64 and given.dim() == 1)
    same(fetch(nexttoken.sample(logits, **there), seed=own), nexttoken.sample(host, **here), f"{what}, sample")
    same(fetch(nexttoken.distribution(logits, **there)), nexttoken.distribution(host, **here), f"{what}, distribution")


def normal(seed: int, *shape: int) -> Any:
    """float32 logits."""
    return np.random.default_rng(seed).normal(0, 3, shape).astype(np.float32)
