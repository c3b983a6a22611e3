"""Llama models in NumPy: the embedded default, and the readable example of a runtime.

A runtime reads tokens, gives logits, and remembers: `NumpyLlama` meets `runtimes.base.Runtime` with one
forward pass for prompts and for steps alike. Its arrays have the axes [sequences, tokens, features]: a prompt
is one sequence of many tokens, a step is one token of many sequences.

The logits of a sequence are the same bits alone and in company. Where the token axis has length 1, NumPy
multiplies each sequence's row by itself; attention goes sequence by sequence; nothing else looks across them.
One matrix product of all rows would round differently with every batch size, and a seed would not repeat its
answer.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from nexttoken.exceptions import ModelFileError, ParameterError
from nexttoken.runtimes.llama_weights import Floats, Shape, read_shape, read_weights
from nexttoken.runtimes.model_files import (
    read_chat_template,
    read_eos_token_ids,
    read_json,
    read_special_token_names,
)
from nexttoken.text import load_tokenizer

# Long prompts are read in pieces, so that the attention weights of a layer stay a few megabytes.
_TOKENS_AT_ONCE = 256

# OpenBLAS spreads a product over threads and waits for all of them: for a single row where the matrix has
# about half a million numbers (its issue 2846), for several rows nearly always. On a busy machine one such
# wait is longer than a small model's whole step. So a matrix of up to this size is multiplied row by row, and a
# small model's output matrix is cut to it.
_SMALL_MATRIX = 400_000


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
        self._embedding, self._layers, self._last_norm, head = read_weights(directory / "model.safetensors", shape)
        width = max(1, _SMALL_MATRIX // shape.hidden) if head.size < 10 * _SMALL_MATRIX else shape.vocab
        self._heads = [head[:, start : start + width] for start in range(0, shape.vocab, width)]
        # Rounded to float32 where transformers rounds: a frequency one unit off is a wrong angle far out.
        exponents = np.arange(0, shape.head_size, 2, dtype=np.float32) / np.float32(shape.head_size)
        powers = (shape.rope_theta ** exponents.astype(np.float64)).astype(np.float32)
        self._frequencies: Floats = 1 / powers
        self._caches: dict[int, Cache] = {}
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
        ids = self._checked(token_ids)
        if not 1 <= len(ids) <= self.context_length:
            raise ParameterError(f"a prompt must have 1 to {self.context_length} tokens, got {len(ids)}")
        cache = Cache(self._shape)
        for start in range(0, len(ids), _TOKENS_AT_ONCE):
            x = self._forward(ids[None, start : start + _TOKENS_AT_ONCE], [cache])
        sequence = next(self._numbers)
        self._caches[sequence] = cache
        return sequence, self._logits(x[:, -1:])[0]

    def fork(self, sequence: int) -> int:
        """A new sequence that continues from the same state.

        Raises
        ------
        ParameterError
            There is no such sequence.
        """
        cache = self._cache(sequence)
        fork = next(self._numbers)
        self._caches[fork] = cache.copy()
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
        ids = self._checked(token_ids)
        if len(ids) != len(sequences) or len(set(sequences)) != len(sequences):
            raise ParameterError(
                f"expected different sequences and one token for each, got {len(ids)} tokens for {list(sequences)}"
            )
        caches = [self._cache(sequence) for sequence in sequences]
        for sequence, cache in zip(sequences, caches, strict=True):
            if cache.length == self.context_length:
                raise ParameterError(f"sequence {sequence} fills the context of {cache.length} tokens")
        return self._logits(self._forward(ids[:, None], caches))

    def free(self, sequence: int) -> None:
        """Forget a sequence; its number is not used again.

        Raises
        ------
        ParameterError
            There is no such sequence.
        """
        self._cache(sequence)
        del self._caches[sequence]

    @np.errstate(over="ignore")  # exp(-gate) may be infinite: the gate is then shut
    def _forward(self, token_ids: npt.NDArray[np.intp], caches: Sequence[Cache]) -> Floats:
        """Token ids [sequences, tokens] to hidden states [sequences, tokens, hidden]. The caches grow."""
        shape = self._shape
        sequences, tokens = token_ids.shape
        starts = np.array([cache.extend(tokens) for cache in caches], np.float32)
        positions = starts[:, None] + np.arange(tokens, dtype=np.float32)
        angles = positions[:, :, None, None] * self._frequencies
        turns = np.cos(angles) + 1j * np.sin(angles)
        heads, turned = shape.heads, shape.heads + shape.kv_heads
        attended = np.empty((sequences, tokens, heads, shape.head_size), np.float32)

        x: Floats = self._embedding[token_ids]
        for index, layer in enumerate(self._layers):
            qkv = _product(_normalized(x, shape.rms_norm_eps), layer.qkv)
            qkv = qkv.reshape(sequences, tokens, turned + shape.kv_heads, shape.head_size)
            qkv[:, :, :turned].view(np.complex64)[...] *= turns
            for i, cache in enumerate(caches):
                queries, keys, values = qkv[i, :, :heads], qkv[i, :, heads:turned], qkv[i, :, turned:]
                attended[i] = cache.attend(index, queries, keys, values)
            x += _product(attended.reshape(sequences, tokens, heads * shape.head_size), layer.output)

            gate_up = _product(_normalized(x, shape.rms_norm_eps), layer.gate_up)
            gate, up = gate_up[..., : shape.intermediate], gate_up[..., shape.intermediate :]
            x += _product(gate / (1 + np.exp(-gate)) * up, layer.down)
        return x

    def _logits(self, x: Floats) -> Floats:
        """Hidden states [sequences, 1, hidden] to logits [sequences, vocab]."""
        x = _normalized(x, self._shape.rms_norm_eps) * self._last_norm
        return np.concatenate([(x @ head)[:, 0] for head in self._heads], axis=1)

    def _checked(self, token_ids: Sequence[int]) -> npt.NDArray[np.intp]:
        ids = np.asarray(token_ids, dtype=np.intp)
        outside = np.flatnonzero((ids < 0) | (ids >= self._shape.vocab))
        if outside.size:
            i = int(outside[0])
            raise ParameterError(f"token ids must be in [0, {self._shape.vocab}), got {ids[i]} at position {i}")
        return ids

    def _cache(self, sequence: int) -> Cache:
        try:
            return self._caches[sequence]
        except KeyError:
            raise ParameterError(f"there is no sequence {sequence}: it was freed, or never made") from None


def _normalized(x: Floats, eps: float) -> Floats:
    """Each row of `x` divided by its root mean square. The norms' own weights are part of the matrices."""
    mean_square = np.einsum("...i,...i->...", x, x) / np.float32(x.shape[-1])
    normalized: Floats = x / np.sqrt(mean_square + np.float32(eps))[..., None]
    return normalized


def _product(x: Floats, matrix: Floats) -> Floats:
    """Rows `x` [sequences, tokens, inputs] times `matrix` [inputs, outputs]."""
    if matrix.size > _SMALL_MATRIX:
        return x @ matrix
    product: Floats = (x[:, :, None] @ matrix)[:, :, 0]
    return product


class Cache:
    """The keys and values of one sequence."""

    def __init__(self, shape: Shape) -> None:
        self.length = 0
        self._shape = shape
        # [keys or values, layers, kv_heads, capacity, head_size]
        self._data = np.empty((2, shape.layers, shape.kv_heads, 0, shape.head_size), np.float32)

    def extend(self, tokens: int) -> int:
        """Make room for `tokens` more, which each layer then writes. Returns the position of the first."""
        start, self.length = self.length, self.length + tokens
        capacity = self._data.shape[3]
        if self.length > capacity:
            grown = min(max(2 * capacity, self.length + 64), self._shape.context)
            data = np.empty((*self._data.shape[:3], grown, self._shape.head_size), np.float32)
            data[..., :start, :] = self._data[..., :start, :]
            self._data = data
        return start

    def copy(self) -> Cache:
        """The same keys and values, to be continued another way."""
        cache = Cache(self._shape)
        cache.extend(self.length)
        cache._data[..., : self.length, :] = self._data[..., : self.length, :]
        return cache

    def attend(self, layer: int, queries: Floats, keys: Floats, values: Floats) -> Floats:
        """Store the newest tokens' keys and values, and look from their queries at all tokens up to each.

        `queries` is [tokens, heads, head_size], `keys` and `values` are [tokens, kv_heads, head_size].
        Returns an array like `queries`. Heads that share a key head are neighbours, so they are rows of one
        product.
        """
        tokens, heads, head_size = queries.shape
        kv_heads = keys.shape[1]
        start = self.length - tokens
        all_keys, all_values = self._data[:, layer, :, : self.length]
        all_keys[:, start:] = keys.swapaxes(0, 1)
        all_values[:, start:] = values.swapaxes(0, 1)

        grouped = queries.reshape(tokens, kv_heads, heads // kv_heads, head_size)
        weights: Floats = grouped @ all_keys.swapaxes(1, 2)  # [tokens, kv_heads, heads of each, length]
        if tokens > 1:
            future = np.triu(np.full((tokens, tokens), -np.inf, np.float32), k=1)
            weights[..., start:] += future[:, None, None]
        weights -= weights.max(axis=-1, keepdims=True)
        np.exp(weights, out=weights)
        weights /= weights.sum(axis=-1, keepdims=True)
        attended: Floats = (weights @ all_values).reshape(queries.shape)
        return attended
