"""Llama models in NumPy: the embedded default, and the readable example of a runtime.

A runtime reads tokens, gives logits, and remembers: `NumpyLlama` meets `runtimes.base.Runtime` with one
forward pass for prompts and for steps alike. Its arrays have the axes [rows, features]: the rows are the tokens of
one prompt, or one token of each of several sequences.

The logits of a sequence are the same bits alone and in company. A step multiplies each row by itself
(`matrix.py`), its attention depends on the sequence's own length only (`llama_cache.py`), and nothing else looks
across rows. One product of all rows would round differently with every batch size, and a seed would not repeat its
answer; one of a fixed size would be safe, but a row alone would pay for all of it. A prompt is always read alone, so
there many rows are multiplied together.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from nexttoken.exceptions import ModelFileError, ParameterError
from nexttoken.runtimes.calls import check_prompt, check_step, check_token_ids, no_sequence
from nexttoken.runtimes.llama_cache import Cache, Held, PromptAttention, StepAttention, in_order
from nexttoken.runtimes.llama_weights import read_shape, read_weights
from nexttoken.runtimes.matrix import Floats, Matrix
from nexttoken.runtimes.model_files import (
    read_chat_template,
    read_eos_token_ids,
    read_json,
    read_special_token_names,
)
from nexttoken.text import load_tokenizer

# Long prompts are read in pieces, so that the arrays of a layer stay a few megabytes.
_TOKENS_AT_ONCE = 256


class NumpyLlama:
    """A Llama model read from a directory in the Hugging Face layout, computed in float32.

    Parameters
    ----------
    directory : path
        Holds ``config.json``, ``model.safetensors``, ``tokenizer.json`` and a chat template.

    Raises
    ------
    ModelFileError
        A file is missing or broken, or asks for what this runtime does not compute; the message names it.
    MissingExtraError
        The package `tokenizers` is not installed.

    Notes
    -----
    Not for use by two threads at once.
    """

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        directory = Path(directory).resolve()
        config = read_json(directory / "config.json")
        self._shape = shape = read_shape(config, directory / "config.json")
        self.name = directory.name
        self.context_length = shape.context
        self.chat_template = read_chat_template(directory)
        self.special_token_names = read_special_token_names(directory)
        self.tokenizer = load_tokenizer(directory)
        self.vocab_size = self.tokenizer.vocab_size
        if self.vocab_size > shape.vocab:
            raise ModelFileError(
                f"expected at most {shape.vocab} tokens in {directory / 'tokenizer.json'}, "
                f"as config.json says, got {self.vocab_size}"
            )
        self.eos_token_ids = read_eos_token_ids(directory, self.vocab_size)
        if (directory / "model.safetensors.index.json").exists():
            raise ModelFileError(f"expected one model.safetensors in {directory}, got weights in several files")
        self._embedding, self._layers, self._last_norm, self._head = read_weights(
            directory / "model.safetensors", shape
        )
        # Rounded to float32 where transformers rounds: a frequency one unit off is a wrong angle far out.
        exponents = np.arange(0, shape.head_size, 2, dtype=np.float32) / np.float32(shape.head_size)
        powers = (shape.rope_theta ** exponents.astype(np.float64)).astype(np.float32)
        self._frequencies: Floats = 1 / powers
        self._cache = Cache(shape)
        self._sequences: dict[int, Held] = {}
        self._numbers = itertools.count()

    def prefill(self, token_ids: Sequence[int]) -> tuple[int, Floats]:
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
            After the last token. May have more columns than `vocab_size`.

        Raises
        ------
        ParameterError
            No tokens, more than the context holds, or a token id outside the vocabulary.
        """
        ids = check_token_ids(token_ids, self._shape.vocab)
        check_prompt(ids, self.context_length)
        attention = PromptAttention(self._shape, len(ids))
        for start in range(0, len(ids), _TOKENS_AT_ONCE):
            piece = ids[start : start + _TOKENS_AT_ONCE]
            attention.extend(len(piece))
            x = self._forward(piece, np.arange(start, start + len(piece)), attention, Matrix.all_rows)
        sequence = next(self._numbers)
        self._sequences[sequence] = self._cache.add(attention.data)
        return sequence, self._logits(x[-1:])[0]

    def fork(self, sequence: int) -> int:
        """A new sequence that continues from the same state.

        Raises
        ------
        ParameterError
            There is no such sequence.
        """
        held = self._held(sequence)
        fork = next(self._numbers)
        self._sequences[fork] = self._cache.add(held.data)
        return fork

    def decode(self, sequences: Sequence[int], token_ids: Sequence[int]) -> Floats:
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
            The same bits whichever other sequences there are. May have more columns than `vocab_size`.

        Raises
        ------
        ParameterError
            No such sequence, one given twice, one that fills the context, or a token id outside the
            vocabulary. No sequence is changed then.
        """
        ids = check_token_ids(token_ids, self._shape.vocab)
        check_step(sequences, ids)
        helds = [self._held(sequence) for sequence in sequences]
        for sequence, held in zip(sequences, helds, strict=True):
            if held.length == self.context_length:
                raise ParameterError(f"sequence {sequence} fills the context of {held.length} tokens")
        self._cache.extend(helds)
        order = in_order(helds)
        ordered = [helds[i] for i in order]
        positions = np.array([held.length - 1 for held in ordered])
        logits = np.empty((len(ids), self._shape.vocab), np.float32)
        logits[order] = self._logits(self._forward(ids[order], positions, StepAttention(ordered), Matrix.row_by_row))
        return logits

    def free(self, sequence: int) -> None:
        """Forget a sequence; its number is not used again.

        Raises
        ------
        ParameterError
            There is no such sequence.
        """
        self._cache.remove(self._held(sequence))
        del self._sequences[sequence]

    @np.errstate(over="ignore")  # exp(-gate) may be infinite: the gate is then shut
    def _forward(
        self,
        token_ids: npt.NDArray[np.intp],
        positions: npt.NDArray[np.intp],
        attention: StepAttention | PromptAttention,
        product: Callable[[Matrix, Floats], Floats],
    ) -> Floats:
        """Token ids and their positions [rows] to hidden states [rows, hidden]."""
        shape = self._shape
        rows = len(token_ids)
        heads, turned = shape.heads, shape.heads + shape.kv_heads
        angles = positions.astype(np.float32)[:, None, None] * self._frequencies
        turns = np.cos(angles) + 1j * np.sin(angles)

        x: Floats = self._embedding[token_ids]
        for index, layer in enumerate(self._layers):
            qkv = product(layer.qkv, _normalized(x, shape.rms_norm_eps))
            qkv = qkv.reshape(rows, turned + shape.kv_heads, shape.head_size)
            qkv[:, :turned].view(np.complex64)[...] *= turns
            keys_values = qkv[:, heads:].reshape(rows, 2, shape.kv_heads, shape.head_size)
            attended = attention(index, qkv[:, :heads], keys_values)
            x += product(layer.output, attended.reshape(rows, heads * shape.head_size))

            gate_up = product(layer.gate_up, _normalized(x, shape.rms_norm_eps))
            gate, up = gate_up[:, : shape.intermediate], gate_up[:, shape.intermediate :]
            x += product(layer.down, gate / (1 + np.exp(-gate)) * up)
        return x

    def _logits(self, x: Floats) -> Floats:
        """Hidden states [rows, hidden] to logits [rows, vocab]."""
        return self._head.row_by_row(_normalized(x, self._shape.rms_norm_eps) * self._last_norm)

    def _held(self, sequence: int) -> Held:
        try:
            return self._sequences[sequence]
        except KeyError:
            raise no_sequence(sequence) from None


def _normalized(x: Floats, eps: float) -> Floats:
    """Each row of `x` divided by its root mean square. The norms' own weights are part of the matrices."""
    mean_square = np.einsum("...i,...i->...", x, x) / np.float32(x.shape[-1])
    normalized: Floats = x / np.sqrt(mean_square + np.float32(eps))[..., None]
    return normalized
