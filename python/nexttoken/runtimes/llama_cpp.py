"""GGUF models through llama.cpp (the package `llama-cpp-python`), by its low-level calls.

One context holds all sequences in one pool of cells. Forks share the cells of what they have in common, and a step of
several sequences, of whatever lengths, is one `llama_decode`. Logits are read where llama.cpp leaves them.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nexttoken.exceptions import GenerationError, ModelFileError, ParameterError
from nexttoken.extras import require
from nexttoken.params import check_choice
from nexttoken.runtimes.calls import check_integer, check_prompt, check_step, check_token_ids, no_sequence
from nexttoken.runtimes.llama_cpp_native import NativeContext, NativeModel, told
from nexttoken.runtimes.llama_cpp_tokenizer import GgufTokenizer

lib: Any = require("llama_cpp", "llama-cpp")

__all__ = ["LlamaCpp"]

Logits = npt.NDArray[np.float32]

# Many models name a context that no machine at home has the memory for.
_LARGEST_DEFAULT_CONTEXT = 4096
_CACHE_TYPES = {"f16": lib.GGML_TYPE_F16, "f32": lib.GGML_TYPE_F32}
_NO_ROOM = 1


@dataclass
class _Held:
    """A sequence: its number inside llama.cpp, and how many tokens it has."""

    seq_id: int
    length: int


class LlamaCpp:
    """A model in a GGUF file, run by llama.cpp.

    Parameters
    ----------
    path : path
        The file; of a model in several files, the first.
    context_length : int, optional
        The most tokens a sequence may hold. Default: what the model was made for, at most 4096.
    max_sequences : int
        The most sequences alive at a time; further requests wait. At most 256.
    cache_tokens : int, optional
        Tokens that all sequences together may hold; what forks have in common counts once. Default: enough for
        `max_sequences` that fill their context, so that no step can fail for lack of room. With less, a step that
        finds none ends the requests in it.
    cache_type : {"f16", "f32"}
        What the cache holds keys and values as. With float32 attention is computed in it too, for twice the memory
        and more time.
    n_gpu_layers : int
        How many layers a GPU computes, where llama.cpp is built for one; -1 is all.
    n_threads : int, optional
        Threads of a step. Default: half of the processors, as in llama-cpp-python; prompts are read with all.
    n_batch : int
        Tokens of a prompt that are read at a time.
    chat_template : str, optional
        Instead of the file's own.

    Attributes
    ----------
    tokenizer : GgufTokenizer
    eos_token_ids : tuple of int
        All that llama.cpp holds for an end of generation.
    special_token_names : dict of str to str
        Such as ``bos_token``, for chat templates.

    Raises
    ------
    ModelFileError
        The file is missing, broken, of a model that does not generate text, or has no chat template and none is given.
    ParameterError, ParameterTypeError
        Naming the parameter.
    MissingExtraError
        The package `llama-cpp-python` is not installed.

    Notes
    -----
    Not for use by two threads at once; which one may change from call to call. No token is put before a prompt: a
    beginning of text, where the model wants one, is spelled by its chat template.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        context_length: int | None = None,
        max_sequences: int = 8,
        cache_tokens: int | None = None,
        cache_type: str = "f16",
        n_gpu_layers: int = -1,
        n_threads: int | None = None,
        n_batch: int = 512,
        chat_template: str | None = None,
    ) -> None:
        path = Path(path).resolve()
        check_integer("max_sequences", max_sequences, 1, lib.llama_max_parallel_sequences())
        check_integer("n_gpu_layers", n_gpu_layers, -1, 2**31 - 1)
        check_integer("n_batch", n_batch, max_sequences, 2**20)
        check_choice("cache_type", cache_type, list(_CACHE_TYPES))
        processors = os.cpu_count() or 1
        if n_threads is not None:
            check_integer("n_threads", n_threads, 1, 512)
        if n_gpu_layers > 0 and not lib.llama_supports_gpu_offload():
            raise ParameterError(
                f"n_gpu_layers must be 0 or -1 with this build of llama.cpp, which knows no GPU, got {n_gpu_layers}"
            )
        _check_file(path)
        model = NativeModel(path, 2**31 - 1 if n_gpu_layers == -1 else n_gpu_layers)
        if lib.llama_model_has_encoder(model.pointer) or not lib.llama_model_has_decoder(model.pointer):
            raise ModelFileError(f"expected a model that generates text, by a decoder alone, in {path}")

        trained = lib.llama_model_n_ctx_train(model.pointer)
        if context_length is None:
            context_length = min(trained, _LARGEST_DEFAULT_CONTEXT)
        check_integer("context_length", context_length, 1, trained)
        enough = max_sequences * context_length
        if cache_tokens is None:
            cache_tokens = enough
        check_integer("cache_tokens", cache_tokens, context_length, enough)

        self.name = path.stem
        self.context_length = int(context_length)
        self.max_sequences = int(max_sequences)
        self.chat_template = _chat_template(model, path) if chat_template is None else chat_template
        self.tokenizer = GgufTokenizer(model, path)
        self.vocab_size = self.tokenizer.vocab_size
        self.eos_token_ids = tuple(i for i in range(self.vocab_size) if lib.llama_vocab_is_eog(model.vocab, i))
        self.special_token_names = _special_token_names(model, self.tokenizer)

        parameters = lib.llama_context_default_params()
        parameters.n_ctx = cache_tokens
        parameters.n_batch = n_batch
        parameters.n_ubatch = min(n_batch, parameters.n_ubatch)
        parameters.n_seq_max = parameters.n_outputs_max = max_sequences
        parameters.n_threads = n_threads or max(processors // 2, 1)
        parameters.n_threads_batch = n_threads or processors
        parameters.type_k = parameters.type_v = _CACHE_TYPES[cache_type]
        if cache_type == "f32":  # llama.cpp's flash attention rounds whatever it reads to float16
            parameters.flash_attn_type = lib.LLAMA_FLASH_ATTN_TYPE_DISABLED
        parameters.kv_unified = True
        parameters.no_perf = True
        self._n_batch = int(n_batch)
        self._native: NativeContext | None = NativeContext(model, parameters)
        self._sequences: dict[int, _Held] = {}
        self._numbers = itertools.count()
        self._unused = list(range(max_sequences))[::-1]

    def prefill(self, token_ids: Sequence[int]) -> tuple[int, Logits]:
        """Read a prompt.

        Parameters
        ----------
        token_ids : sequence of int
            At least one.

        Returns
        -------
        sequence : int
            The new sequence.
        logits : float32 array [vocab]
            After the last token: llama.cpp's own memory, overwritten by the next call.

        Raises
        ------
        ParameterError
            No tokens, more than the context holds, or a token id outside the vocabulary.
        GenerationError
            `max_sequences` are alive, or there is no room. The other sequences are as before.
        """
        native = self._open()
        ids = check_token_ids(token_ids, self.vocab_size)
        check_prompt(ids, self.context_length)
        seq_id = self._take()
        try:
            for start in range(0, len(ids), self._n_batch):
                piece = ids[start : start + self._n_batch]
                size = len(piece)
                native.token[:size] = piece
                native.pos[:size] = np.arange(start, start + size)
                native.seq_id[:size] = seq_id
                native.wants_logits[:size] = 0
                native.wants_logits[size - 1] = start + size == len(ids)
                self._run(native, size)
        except BaseException:
            native.forget(seq_id)
            self._unused.append(seq_id)
            raise
        return self._add(seq_id, len(ids)), native.logits(1)[0]

    def fork(self, sequence: int) -> int:
        """A new sequence that continues from the same state, and shares its cells.

        Raises
        ------
        ParameterError
            There is no such sequence.
        GenerationError
            `max_sequences` are alive.
        """
        native, held = self._open(), self._held(sequence)
        seq_id = self._take()
        native.copy(held.seq_id, seq_id)
        return self._add(seq_id, held.length)

    def decode(self, sequences: Sequence[int], token_ids: Sequence[int]) -> Logits:
        """Append one token to each sequence.

        Parameters
        ----------
        sequences : sequence of int
            All different, of any lengths.
        token_ids : sequence of int
            One for each.

        Returns
        -------
        float32 array [len(sequences), vocab]
            llama.cpp's own memory, overwritten by the next call. How a row rounds may depend on the rows beside it.

        Raises
        ------
        ParameterError
            No such sequence, one given twice, one that fills the context, or a token id outside the vocabulary. No
            sequence is changed then.
        GenerationError
            There is no room for the tokens, or llama.cpp failed. All sequences are as before.
        """
        native = self._open()
        ids = check_token_ids(token_ids, self.vocab_size)
        size = len(ids)
        check_step(sequences, ids)
        if not size:
            return np.empty((0, self.vocab_size), np.float32)
        helds = [self._held(sequence) for sequence in sequences]
        for sequence, held in zip(sequences, helds, strict=True):
            if held.length == self.context_length:
                raise ParameterError(f"sequence {sequence} fills the context of {held.length} tokens")
        native.token[:size] = ids
        native.pos[:size] = [held.length for held in helds]
        native.seq_id[:size] = [held.seq_id for held in helds]
        native.wants_logits[:size] = 1
        try:
            self._run(native, size)
        except BaseException:
            # Where it failed half way, llama.cpp keeps what it had read.
            for held in helds:
                native.forget(held.seq_id, held.length)
            raise
        for held in helds:
            held.length += 1
        return native.logits(size)

    def free(self, sequence: int) -> None:
        """Forget a sequence; its number is not used again.

        Raises
        ------
        ParameterError
            There is no such sequence.
        """
        held = self._held(sequence)
        self._open().forget(held.seq_id)
        del self._sequences[sequence]
        self._unused.append(held.seq_id)

    def close(self) -> None:
        """Free the model and all sequences. Otherwise they are freed with the runtime.

        Logits that are still held keep their memory until they are let go.
        """
        self._native = None
        self._sequences.clear()

    def _run(self, native: NativeContext, size: int) -> None:
        status, lines = native.decode(size)
        if status == _NO_ROOM:
            raise GenerationError(
                f"no room in the cache for {size} more tokens of {len(self._sequences)} sequences: "
                "raise cache_tokens, or lower max_sequences"
            )
        if status:
            raise GenerationError(f"llama_decode failed with {status} on {size} tokens: {told(lines)}")

    def _open(self) -> NativeContext:
        if self._native is None:
            raise ParameterError(f"the model {self.name} has been closed")
        return self._native

    def _take(self) -> int:
        if not self._unused:
            raise GenerationError(f"{self.max_sequences} sequences are alive, as many as max_sequences allows")
        return self._unused.pop()

    def _add(self, seq_id: int, length: int) -> int:
        sequence = next(self._numbers)
        self._sequences[sequence] = _Held(seq_id, length)
        return sequence

    def _held(self, sequence: int) -> _Held:
        self._open()
        try:
            return self._sequences[sequence]
        except KeyError:
            raise no_sequence(sequence) from None


def _check_file(path: Path) -> None:
    """What llama.cpp would only answer with "failed to load"."""
    try:
        with path.open("rb") as file:
            magic = file.read(4)
    except OSError as error:
        raise ModelFileError(f"expected a GGUF model at {path}: {error.strerror}") from error
    if magic != b"GGUF":
        raise ModelFileError(f"expected a GGUF model at {path}, got a file that begins with {magic!r}")


def _chat_template(model: NativeModel, path: Path) -> str:
    template = lib.llama_model_chat_template(model.pointer, None)
    if not template:
        raise ModelFileError(
            f"expected a chat template, tokenizer.chat_template, in {path}: give one as chat_template="
        )
    text: str = template.decode("utf-8", "replace")
    return text


def _special_token_names(model: NativeModel, tokenizer: GgufTokenizer) -> dict[str, str]:
    """What the file names; llama.cpp's own guesses for what it does not name are no business of a template."""
    names = {}
    for name, key in (("bos", "bos"), ("eos", "eos"), ("unk", "unknown"), ("pad", "padding"), ("sep", "seperator")):
        token = model.metadata(f"tokenizer.ggml.{key}_token_id")
        if token is not None and token.isdigit() and int(token) < tokenizer.vocab_size:
            names[f"{name}_token"] = tokenizer.all_token_bytes[int(token)].decode("utf-8", "replace")
    return names
