"""One decoding step over logits on a CUDA device: `ops.py` and `sampler.py` come here with them.

Nothing waits for the device, save a `Sampler`'s step for its tokens, which it must know. Parameters that lie there are
looked at from outside only; those on the host are checked as ever and go up in one copy. The work is queued on the
stream that the logits' library uses, or on one that the caller names, which then goes on after what that library has
queued.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from nexttoken import _core
from nexttoken.device_arrays import ArrayReader
from nexttoken.exceptions import DeviceError, ParameterTypeError
from nexttoken.libraries import Library, library_of, stream_handle
from nexttoken.params import cuda_device
from nexttoken.per_row import batch_arguments

__all__ = ["DrawnRows", "device_count", "distribution", "draw_rows", "sample"]

_NUMBERS = (
    "temperature", "top_p", "top_k", "min_p", "presence_penalty", "frequency_penalty", "repetition_penalty", "seed",
    "sequence_index", "step",
)  # fmt: skip
_HISTORIES = {"prompt_token_ids": "prompt_matrix", "output_token_ids": "output_matrix"}
_RESULTS = ("token_ids", "status", "logprobs", "top_token_ids", "top_logprobs")
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
    step = _Step(logits, view, given["stream"])
    step.prepare(given, draws=True)
    n, k, batch = given["n"], given["logprobs"], view.batch_size
    drawn = (batch,) if n == 1 else (batch, n)
    results = {"token_ids": step.empty(drawn, "int32"), "status": step.empty((batch,), "int32")}
    if k is not None:
        results["logprobs"] = step.empty(drawn, "float32")
    if k:
        results["top_token_ids"] = step.empty((batch, k), "int32")
        results["top_logprobs"] = step.empty((batch, k), "float32")
    step.queue("sample", results, _RESULTS)
    return {**results, "seed": step.seed}


def distribution(logits: Any, view: _core.Logits, given: Mapping[str, Any]) -> tuple[Any, Any, Any]:
    """`nexttoken.distribution` of logits on a device: weights, mass, status, as arrays there."""
    step = _Step(logits, view, given["stream"])
    step.prepare(given, draws=False)
    batch = view.batch_size
    results = {
        "weights": step.empty((batch, view.vocab_size), "uint64"),
        "mass": step.empty((batch,), "uint64"),
        "status": step.empty((batch,), "int32"),
    }
    step.queue("distribution", results, ("weights", "mass", "status"))
    return results["weights"], results["mass"], results["status"]


class DrawnRows(NamedTuple):
    """What a `Sampler` drew on a device, in host memory; the members are those of its `StepResult`."""

    token_ids: npt.NDArray[np.int32]
    status: npt.NDArray[np.int32]
    logprobs: npt.NDArray[np.float32] | None
    top_token_ids: npt.NDArray[np.int32]
    top_logprobs: npt.NDArray[np.float32]


def draw_rows(
    logits: Any,
    view: _core.Logits,
    vocab_size: int,
    lines: Sequence[int] | None,
    draws: _core.Draws,
    bitmask: npt.NDArray[np.int32] | None,
) -> DrawnRows:
    """Draw for the rows of a `Sampler` on the device, and wait for the tokens.

    Parameters
    ----------
    logits, view : array ``[vocab]`` or ``[lines, vocab]``
        At least `vocab_size` columns.
    lines : sequence of int, optional
        Which line of the logits serves each row; default: line i serves row i.
    draws : _core.Draws
        The rows, as `_core.Sampler.look` gives them.
    bitmask : int32 ``[1 or rows, words]``, optional
    """
    rows, row_stride = len(draws.logprobs), view.layout[3]
    if lines is not None and len(set(lines)) == 1:  # one prompt for all: its line is read where it is
        logits = logits if len(logits.shape) == 1 else logits[lines[0]]
        view, row_stride = _core.Logits(logits), 0
    elif lines is not None and lines != list(range(view.batch_size)):
        logits = logits[lines]
        view = _core.Logits(logits)
        row_stride = view.layout[3]
    arguments = {**draws.arguments, "token_bitmask": bitmask, "penalize_prompt": False, "n": 1}

    def draw(k: int, processed: bool) -> DrawnRows:
        step = _Step(logits, view, None)
        step.take(rows, vocab_size, row_stride, {**arguments, "logprobs": k, "processed": processed})
        results = {"token_ids": step.empty((rows,), "int32"), "status": step.empty((rows,), "int32")}
        if k >= 0:
            results["logprobs"] = step.empty((rows,), "float32")
        if k > 0:
            results["top_token_ids"] = step.empty((rows, k), "int32")
            results["top_logprobs"] = step.empty((rows, k), "float32")
        step.queue("sample", results, _RESULTS)
        host: dict[str, Any] = {name: step.to_host(array) for name, array in results.items()}
        nothing = {"top_token_ids": np.empty((rows, 0), np.int32), "top_logprobs": np.empty((rows, 0), np.float32)}
        return DrawnRows(**{"logprobs": None, **nothing, **host})

    asked = draws.logprobs
    wanted, processed = asked >= 0, draws.processed
    if not wanted.any():
        return draw(-1, False)
    top = int(asked.max())
    drawn = draw(top, bool(processed[wanted][0]))
    if len(set(processed[wanted].tolist())) > 1:
        # One call says logprobs of one kind: the other rows have theirs from a second, which draws the same tokens.
        other = draw(top, not processed[wanted][0])
        here = processed != processed[wanted][0]
        for column, values in zip(drawn[2:], other[2:], strict=True):
            column[here] = values[here]  # type: ignore[index]
    assert drawn.logprobs is not None
    drawn.logprobs[~wanted] = np.nan
    beyond = np.arange(top) >= asked[:, None]
    drawn.top_token_ids[beyond] = -1
    drawn.top_logprobs[beyond] = -np.inf
    return drawn


class _Step:
    """One call: parameters as the kernels take them, memory for results, and the work on its stream."""

    def __init__(self, logits: Any, view: _core.Logits, stream: Any) -> None:
        device, library = view.cuda_device, library_of(logits)
        assert device is not None
        if library is None:
            kind = type(logits)
            raise ParameterTypeError(
                "logits on a CUDA device must be an array of torch or cupy, which then hold the results, "
                f"got {kind.__module__}.{kind.__qualname__}: torch.from_dlpack(logits) makes one, in the same memory"
            )
        self._logits, self._view, self._library, self._device = logits, view, library, device
        self._rows = view.batch_size
        self._extension = _extension()
        current = view.current_stream()
        self._current = library.current_stream(device) if current is None else current
        self._stream = self._current if stream is None else stream_handle(stream, device)
        # Arrays of parameters in device memory, by library: theirs is the memory.
        self._arrays: dict[Library | None, list[Any]] = {library: [logits]}
        self._keep: list[object] = []
        self.seed: Any = None

    def prepare(self, given: Mapping[str, Any], *, draws: bool) -> None:
        """Take parameters as `sample` is given them."""
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
        self._batch = self._extension.Batch(self._view.layout, self._device, **{**arguments, **placed})

    def take(self, rows: int, vocab_size: int, row_stride: int, arguments: Mapping[str, Any]) -> None:
        """Take parameters that were checked when their rows were added: of `rows` rows, so far apart in the logits."""
        address, _, _, _, element_stride, dtype = self._view.layout
        self._rows = rows
        layout = (address, rows, vocab_size, row_stride, element_stride, dtype)
        nothing = {"prompt_matrix": None, "output_matrix": None}
        self._batch = self._extension.Batch(layout, self._device, **nothing, **arguments)

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

    def to_host(self, array: Any) -> npt.NDArray[Any]:
        """A result as NumPy's, once it is there."""
        return self._library.to_host(array)

    def queue(self, function: str, results: Mapping[str, Any], names: tuple[str, ...]) -> None:
        """The copy of what the host knows, then the step. A name without a result is not wanted."""
        library, stream = self._library, self._stream
        library.check(stream)
        block = self.empty((-(-self._batch.block_bytes // _WORD),), "uint64")
        if self.seed is None:
            self.seed = block[: self._rows]  # which come first
        if self._rows == 0:
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
