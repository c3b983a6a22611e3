"""One decoding step over logits on a CUDA device: `ops.py` comes here with them.

Nothing waits for the device. Parameters that lie there are looked at from outside only; those on the host are checked
as ever and go up in one copy. The work is queued on the stream that the logits' library uses, or on one that the caller
names, which then goes on after what that library has queued.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Mapping
from types import ModuleType
from typing import Any

import numpy as np

from nexttoken import _core
from nexttoken.device_arrays import ArrayReader
from nexttoken.exceptions import DeviceError, ParameterTypeError
from nexttoken.libraries import Library, library_of, stream_handle
from nexttoken.params import cuda_device
from nexttoken.per_row import batch_arguments

__all__ = ["device_count", "distribution", "sample"]

_NUMBERS = (
    "temperature", "top_p", "top_k", "min_p", "presence_penalty", "frequency_penalty", "repetition_penalty", "seed",
    "sequence_index", "step",
)  # fmt: skip
_HISTORIES = {"prompt_token_ids": "prompt_matrix", "output_token_ids": "output_matrix"}
_WORD = 8  # bytes: memory of no type is allocated as uint64


@functools.cache
def _extension() -> ModuleType:
    """The compiled kernels, loaded when they are first asked for."""
    try:
        return importlib.import_module("nexttoken._cuda")
    except ModuleNotFoundError as error:
        raise DeviceError(
            "this build of nexttoken has no CUDA kernels: from a checkout, where nvcc is found, "
            "pip install . --config-settings=cmake.define.NEXTTOKEN_CUDA=ON brings them"
        ) from error


def device_count() -> int:
    """How many CUDA devices can be used: 0 without a card, or a driver for it.

    Raises
    ------
    DeviceError
        If this build has no CUDA kernels.
    """
    return int(_extension().device_count())


def sample(logits: Any, view: _core.Logits, given: Mapping[str, Any]) -> dict[str, Any]:
    """`nexttoken.sample` of logits on a device: the fields of its result, as arrays there."""
    step = _Step(logits, view, given, draws=True)
    n, k, batch = given["n"], given["logprobs"], view.batch_size
    drawn = (batch,) if n == 1 else (batch, n)
    results = {"token_ids": step.empty(drawn, "int32"), "status": step.empty((batch,), "int32")}
    if k is not None:
        results["logprobs"] = step.empty(drawn, "float32")
    if k:
        results["top_token_ids"] = step.empty((batch, k), "int32")
        results["top_logprobs"] = step.empty((batch, k), "float32")
    step.queue("sample", results, ("token_ids", "status", "logprobs", "top_token_ids", "top_logprobs"))
    return {**results, "seed": step.seed}


def distribution(logits: Any, view: _core.Logits, given: Mapping[str, Any]) -> tuple[Any, Any, Any]:
    """`nexttoken.distribution` of logits on a device: weights, mass, status, as arrays there."""
    step = _Step(logits, view, given, draws=False)
    batch = view.batch_size
    results = {
        "weights": step.empty((batch, view.vocab_size), "uint64"),
        "mass": step.empty((batch,), "uint64"),
        "status": step.empty((batch,), "int32"),
    }
    step.queue("distribution", results, ("weights", "mass", "status"))
    return results["weights"], results["mass"], results["status"]


class _Step:
    """One call: parameters as the kernels take them, memory for results, and the work on its stream."""

    def __init__(self, logits: Any, view: _core.Logits, given: Mapping[str, Any], *, draws: bool) -> None:
        device, library = view.cuda_device, library_of(logits)
        assert device is not None
        if library is None:
            kind = type(logits)
            raise ParameterTypeError(
                "logits on a CUDA device must be an array of torch or cupy, which then hold the results, "
                f"got {kind.__module__}.{kind.__qualname__}: torch.from_dlpack(logits) makes one, in the same memory"
            )
        self._logits, self._view, self._library, self._device = logits, view, library, device
        self._extension = _extension()
        current = view.current_stream()
        self._current = library.current_stream(device) if current is None else current
        self._stream = self._current if given["stream"] is None else stream_handle(given["stream"], device)
        # Arrays of parameters in device memory, by library: theirs is the memory.
        self._arrays: dict[Library | None, list[Any]] = {library: [logits]}
        self._keep: list[object] = []
        self.seed: Any = None
        self._batch = self._prepare(given, draws)

    def _prepare(self, given: Mapping[str, Any], draws: bool) -> Any:
        batch, vocab = self._view.batch_size, self._view.vocab_size
        placed = self._look_at_arrays(given, batch, vocab)
        # The host's are checked as ever; in the places of the others stands what is legal for each.
        host = {name: 1 if name in _NUMBERS else None for name in placed}
        arguments = batch_arguments({**given, **host}, batch, vocab)
        if not draws:
            arguments["seed"] = np.empty(0, np.uint64)
        for name, matrix in _HISTORIES.items():
            arguments[matrix] = placed.pop(name, None)
        if "seed" in placed:
            self.seed = given["seed"]
        return self._extension.Batch(self._view.layout, self._device, **{**arguments, **placed})

    def _look_at_arrays(self, given: Mapping[str, Any], batch: int, vocab: int) -> dict[str, Any]:
        reader = ArrayReader(self._extension, self._library, self._device, self._stream)
        placed: dict[str, Any] = {}
        for name in (*_NUMBERS, *_HISTORIES, "token_bitmask"):
            value = given[name]
            if value is None or isinstance(value, (int, float, list, tuple)) or cuda_device(value) is None:
                continue
            if name in _HISTORIES:
                placed[name], keep = reader.tokens(name, value, batch)
            elif name == "token_bitmask":
                placed[name], keep = reader.bitmask(name, value, batch, vocab)
            else:
                placed[name], keep = reader.number(name, value, batch)
            self._keep.append(keep)
            self._arrays.setdefault(library_of(value), []).append(value)
        return placed

    def empty(self, shape: tuple[int, ...], dtype: str) -> Any:
        """Memory for a result."""
        return self._library.empty(self._logits, shape, dtype)

    def queue(self, function: str, results: Mapping[str, Any], names: tuple[str, ...]) -> None:
        """The copy of what the host knows, then the step. A name without a result is not wanted."""
        library, stream = self._library, self._stream
        library.check(stream)
        block = self.empty((-(-self._batch.block_bytes // _WORD),), "uint64")
        if self.seed is None:
            self.seed = block[: self._view.batch_size]  # which come first
        if self._view.batch_size == 0:
            return
        self._batch.place(library.address(block))
        workspace = self.empty((-(-self._batch.workspace_bytes() // _WORD),), "uint64")
        elsewhere = stream != self._current
        if elsewhere:  # the library queues what made its arrays, and what used the memory of the new ones before
            self._extension.order(self._device, stream, self._current)
        self._batch.upload(stream)
        addresses = [library.address(results[name]) if name in results else 0 for name in names]
        getattr(self._batch, function)(library.address(workspace), stream, *addresses)
        if elsewhere:
            self._arrays[library] += [block, workspace, *results.values()]
        for owner, arrays in self._arrays.items():
            if owner is not None and (elsewhere or owner is not library):
                owner.hold(arrays, stream, self._device)
