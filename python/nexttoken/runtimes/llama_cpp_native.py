"""llama.cpp's own objects, held by Python ones: a loaded model, a context with its batch, and what they log.

Each frees what it holds when the last reference to it goes, or at the end of the process, before the library's own
state is torn down.
"""

from __future__ import annotations

import contextlib
import ctypes
import threading
import weakref
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nexttoken.exceptions import ModelFileError, ParameterError
from nexttoken.extras import require

lib: Any = require("llama_cpp", "llama-cpp")

_ERROR, _CONTINUED = 4, 5  # of ggml_log_level; the list in llama-cpp-python is of another year
_captured = threading.local()


class NativeModel:
    """A model that llama.cpp has loaded.

    Raises
    ------
    ModelFileError
        llama.cpp does not take the file; the message holds what it said.
    """

    def __init__(self, path: Path, n_gpu_layers: int) -> None:
        parameters = lib.llama_model_default_params()
        parameters.n_gpu_layers = n_gpu_layers
        with log_lines() as lines:
            pointer = lib.llama_model_load_from_file(bytes(path), parameters)
        if not pointer:
            raise ModelFileError(f"expected a GGUF model at {path}: {told(lines)}")
        self.pointer = pointer
        self.vocab = lib.llama_model_get_vocab(pointer)
        weakref.finalize(self, _free_model, pointer)

    def metadata(self, key: str) -> str | None:
        """A value of the file's, as text; None where there is none."""
        size = lib.llama_model_meta_val_str(self.pointer, key.encode(), None, 0)
        if size < 0:
            return None
        text = ctypes.create_string_buffer(size + 1)
        lib.llama_model_meta_val_str(self.pointer, key.encode(), text, size + 1)
        return text.value.decode("utf-8", "replace")


class NativeContext:
    """A context, the batch that it reads, and the logits that it writes.

    Attributes
    ----------
    token, pos, seq_id : int32 [n_batch]
        The batch's columns.
    wants_logits : int8 [n_batch]
        Whether a row's logits are wanted.
    """

    def __init__(self, model: NativeModel, parameters: Any) -> None:
        with log_lines() as lines:
            pointer = lib.llama_init_from_model(model.pointer, parameters)
        if not pointer:
            raise ParameterError(
                f"llama.cpp has no room for cache_tokens {parameters.n_ctx} and max_sequences {parameters.n_seq_max}: "
                f"{told(lines)}"
            )
        self._held = _Held(pointer, model)
        self.pointer = pointer
        self.memory = lib.llama_get_memory(pointer)
        self._vocab_size = lib.llama_vocab_n_tokens(model.vocab)
        self._views: dict[int, tuple[int, npt.NDArray[np.float32]]] = {}

        size = parameters.n_batch
        self.token, self.pos, self.seq_id = (np.zeros(size, np.int32) for _ in range(3))
        self.wants_logits = np.zeros(size, np.int8)
        self._ones = np.ones(size, np.int32)
        # A row may belong to several sequences: the batch wants pointers to lists, here of one each.
        self._lists = self.seq_id.ctypes.data + 4 * np.arange(size, dtype=np.uintp)
        self._batch = batch = lib.llama_batch()
        for field, column in (
            ("token", self.token),
            ("pos", self.pos),
            ("n_seq_id", self._ones),
            ("seq_id", self._lists),
            ("logits", self.wants_logits),
        ):
            kind = dict(lib.llama_batch._fields_)[field]
            setattr(batch, field, ctypes.cast(column.ctypes.data, kind))

    def decode(self, size: int) -> tuple[int, list[str]]:
        """Read the batch's first `size` rows. Returns llama.cpp's status and what it logged."""
        self._batch.n_tokens = size
        with log_lines() as lines:
            return lib.llama_decode(self.pointer, self._batch), lines

    def logits(self, rows: int) -> npt.NDArray[np.float32]:
        """The logits [rows, vocab] that the last `decode` left: llama.cpp's memory, not a copy."""
        address = ctypes.addressof(lib.llama_get_logits(self.pointer).contents)
        known, view = self._views.get(rows, (0, None))
        if view is None or known != address:
            count = rows * self._vocab_size
            memory: Any = (ctypes.c_float * count).from_address(address)
            memory.held = self._held  # whoever has the view has the memory
            view = np.frombuffer(memory, np.float32).reshape(rows, self._vocab_size)
            self._views[rows] = (address, view)
        return view

    def forget(self, seq_id: int, start: int = -1) -> None:
        """Drop a sequence's tokens, all of them or those from position `start` on."""
        lib.llama_memory_seq_rm(self.memory, seq_id, start, -1)

    def copy(self, source: int, target: int) -> None:
        """Let the sequence `target` hold what `source` holds."""
        lib.llama_memory_seq_cp(self.memory, source, target, -1, -1)


class _Held:
    """A context and the model under it, which is freed second; apart from what holds views, so that no circle forms."""

    def __init__(self, pointer: Any, model: NativeModel) -> None:
        weakref.finalize(self, _free_context, pointer, model)


def _free_model(pointer: Any) -> None:
    with log_lines():
        lib.llama_model_free(pointer)


def _free_context(pointer: Any, model: NativeModel) -> None:
    with log_lines():
        lib.llama_free(pointer)
    del model  # only kept so that it goes second


@contextlib.contextmanager
def log_lines() -> Iterator[list[str]]:
    """Collect what llama.cpp has to complain of on this thread, and print none of what it says.

    Calls of other users of the library in this process go on to log as they did.
    """
    _install()
    lines: list[str] = []
    outer = getattr(_captured, "lines", None)
    _captured.lines, _captured.went_on = lines, False
    try:
        yield lines
    finally:
        _captured.lines = outer


def told(lines: Sequence[str]) -> str:
    """What llama.cpp complained of, as the end of a message."""
    return "; ".join("".join(lines).strip().splitlines()) or "it does not say why"


_previous: Any = None
_installed = threading.Lock()


def _install() -> None:
    global _previous
    if _previous is not None:
        return
    with _installed:
        if _previous is None:
            found, data = lib.llama_log_callback(), ctypes.c_void_p()
            lib.llama_log_get(ctypes.byref(found), ctypes.byref(data))
            _previous = found
            lib.llama_log_set(_callback, ctypes.c_void_p())


def _take_line(level: int, text: bytes, data: Any) -> None:
    lines = getattr(_captured, "lines", None)
    if lines is None:
        if _previous:
            _previous(level, text, data)
    elif level == _ERROR or (level == _CONTINUED and _captured.went_on):
        lines.append(text.decode("utf-8", "replace"))
        _captured.went_on = True
    else:
        _captured.went_on = False


_callback: Any = lib.llama_log_callback(_take_line)  # for as long as the library may call it
