"""Arrays of CuPy: as logits, as parameters of either library's logits, and CuPy's own streams."""

from __future__ import annotations

from typing import Any

import numpy as np

import nexttoken
from contract.placement import host_arguments, on_device
from contract.rows import make_batch
from device_checks.equality import same
from device_checks.verdicts import Skipped, needed

BATCHES = 60


def _cupy() -> Any:
    cupy: Any = needed("cupy")
    try:
        cupy.zeros(1).sum().get()
    except Exception as error:  # it is there, and cannot use this device: its own words say why
        raise Skipped(f"cupy cannot compute here: {type(error).__name__}: {error}") from error
    return cupy


def _array(values: Any) -> Any:
    """With the same strides, those below 0 too: the memory is copied whole, then looked at in the same way."""
    cupy: Any = needed("cupy")
    values = np.asarray(values)
    if values.size == 0 or values.ndim == 0:
        return cupy.asarray(np.array(values))
    steps = [max(1, abs(stride) // values.itemsize) for stride in values.strides]
    length = 1 + sum((n - 1) * step for n, step in zip(values.shape, steps, strict=True))
    around = cupy.full(length, 255, values.dtype)
    strides = [step * values.itemsize for step in steps]
    inside = cupy.ndarray(values.shape, values.dtype, around.data, strides)
    turned = tuple(slice(None, None, -1 if stride < 0 else 1) for stride in values.strides)
    inside = inside[turned]
    inside[...] = cupy.asarray(np.array(values, order="C"))
    return inside


def _fetch(result: Any, cupy: Any) -> dict[str, Any]:
    fields = {name: value for name, value in vars(result).items() if value is not None}
    if "weights" in fields:
        fields["probs"] = result.probs
    for name, value in fields.items():
        assert isinstance(value, cupy.ndarray), f"{name} is {type(value)}"
    return {name: value.get() for name, value in fields.items()}


class _Plain:
    """An array that has no DLPack."""

    def __init__(self, array: Any) -> None:
        self._array = array

    @property
    def __cuda_array_interface__(self) -> Any:
        return self._array.__cuda_array_interface__


def all_of_cupy() -> str:
    cupy, rng, rows = _cupy(), np.random.default_rng(21), 0
    for count in range(BATCHES):
        batch = make_batch(rng, dtype=(np.float32, np.float16)[count % 2])
        there = on_device(batch, _array, rng)
        here, logits, what = host_arguments(batch), _array(batch.logits), f"batch {count}"
        same(_fetch(nexttoken.sample(logits, **there), cupy), nexttoken.sample(batch.logits, **here), what)
        got = _fetch(nexttoken.distribution(logits, **there), cupy)
        same(got, nexttoken.distribution(batch.logits, **here), what)
        rows += len(batch)
    return f"{rows} rows, both functions"


def cupy_for_torch() -> str:
    _cupy()
    from device_checks.tensors import both, on_cuda

    rng, rows = np.random.default_rng(22), 0
    for count in range(BATCHES):
        batch = make_batch(rng)
        plain = count % 2  # by __cuda_array_interface__ alone
        there = on_device(batch, (lambda values: _Plain(_array(values))) if plain else _array, rng)
        here = host_arguments(batch)
        if not isinstance(there["seed"], list):  # it would come back as an array that is no tensor
            there["seed"] = here["seed"]
        both(on_cuda(batch.logits), batch.logits, here, there, f"batch {count}")
        rows += len(batch)
    return f"{rows} rows, both functions"


def streams() -> str:
    """CuPy's current stream is used; `stream=` of CuPy; parameters queued on another stream are waited for."""
    cupy, values = _cupy(), np.random.default_rng(23).normal(0, 3, (8, 5000)).astype(np.float32)
    here: dict[str, Any] = {"temperature": [0.5] * 8, "seed": list(range(8)), "logprobs": 2}
    wanted = nexttoken.sample(values, **here)
    for count in range(20):
        side, other = (cupy.cuda.Stream(non_blocking=True) for _ in range(2))
        with side:
            logits = cupy.asarray(values)
            temperature = cupy.full(8, 0.5) if count % 2 else _Plain(cupy.full(8, 0.5))
            given = {**here, "temperature": temperature}
            result = nexttoken.sample(logits, **given, **({"stream": other} if count % 4 > 1 else {}))
            del logits, temperature, given
            churn = [cupy.full((8, 5000), np.nan, np.float32) for _ in range(4)]
            other.synchronize()
            got = {name: value.get(stream=side) for name, value in vars(result).items() if value is not None}
            side.synchronize()
            del churn
        same(got, wanted, f"call {count}")
    return "20 calls"
