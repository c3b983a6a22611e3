"""Models of ONNX Runtime GenAI: a directory with ``genai_config.json``, as its model builder writes it.

Each of its generators is a batch of rows of one length that move together. A prompt is a batch of one; forks of it that
are first asked for together become one batch, for which the prompt is read again, and whatever falls out of step with
its batch is read again by itself.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nexttoken.exceptions import GenerationError, ModelFileError, ParameterError
from nexttoken.params import is_integer
from nexttoken.runtimes.calls import check_integer, check_prompt, check_step, check_token_ids, no_sequence
from nexttoken.runtimes.model_files import (
    optional_object,
    positive_integer,
    read_chat_template,
    read_json,
    read_special_token_names,
)
from nexttoken.runtimes.onnxruntime_genai_native import Batch, NativeModel
from nexttoken.text import TokenizerFile, load_tokenizer

__all__ = ["OnnxRuntimeGenAI"]

Logits = npt.NDArray[np.float32]

# Many models name a context that no machine at home has the memory for: it is taken for each sequence at once.
_LARGEST_DEFAULT_CONTEXT = 4096
_MOST_SEQUENCES = 256


@dataclass
class _Held:
    """A sequence: all its tokens, and the batch that has read them, if one has."""

    text: list[int]
    apart: bool  # whether the reserved token is among them
    batch: Batch | None = None
    row: int = 0

    def leave(self) -> None:
        if self.batch is not None:
            self.batch.sequences[self.row] = None
            self.batch = None


class OnnxRuntimeGenAI:
    """A model directory of ONNX Runtime GenAI, which runs it.

    Parameters
    ----------
    directory : path
        Holds ``genai_config.json``, the model that it names, ``tokenizer.json``, and the chat template in
        ``chat_template.jinja`` or ``tokenizer_config.json``.
    context_length : int, optional
        The most tokens a sequence may hold. Default: what the model was made for, at most 4096. ONNX Runtime GenAI
        takes the memory for all of them when it begins a sequence.
    max_sequences : int
        The most sequences alive at a time; further requests wait. At most 256.
    n_threads : int, optional
        Threads of a step. Default: what ``genai_config.json`` says, or ONNX Runtime's own choice.
    chat_template : str, optional
        Instead of the directory's own.

    Attributes
    ----------
    tokenizer : TokenizerFile
    eos_token_ids : tuple of int
        As ``genai_config.json`` says.
    special_token_names : dict of str to str
        Such as ``bos_token``, for chat templates.

    Raises
    ------
    ModelFileError
        A file is missing, broken, or of a model that does not only read text.
    ParameterError, ParameterTypeError
        Naming the parameter.
    MissingExtraError
        The package `onnxruntime-genai` is not installed.

    Notes
    -----
    Not for use by two threads at once; which one may change from call to call. The ``search`` part of
    ``genai_config.json`` is not looked at: what is drawn is drawn by the caller. Rows of a batch that leave it are
    computed along with it until the last has left.
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        *,
        context_length: int | None = None,
        max_sequences: int = 8,
        n_threads: int | None = None,
        chat_template: str | None = None,
    ) -> None:
        directory = Path(directory).resolve()
        check_integer("max_sequences", max_sequences, 1, _MOST_SEQUENCES)
        if n_threads is not None:
            check_integer("n_threads", n_threads, 1, 512)
        path = directory / "genai_config.json"
        config = optional_object(read_json(path), "model", path)
        if config.get("encoder") is not None:
            raise ModelFileError(f"expected a model that reads nothing but text, got an encoder in {path}")
        trained = positive_integer(config, "context_length", path)
        if context_length is None:
            context_length = min(trained, _LARGEST_DEFAULT_CONTEXT)
        check_integer("context_length", context_length, 1, trained)

        self.name = directory.name
        self.context_length = int(context_length)
        self.max_sequences = int(max_sequences)
        self.tokenizer = load_tokenizer(directory)
        self.vocab_size = self.tokenizer.vocab_size
        columns = positive_integer(config, "vocab_size", path)
        if self.vocab_size > columns:
            raise ModelFileError(
                f"expected at most {columns} tokens in {directory / 'tokenizer.json'}, as vocab_size in {path.name} "
                f"says, got {self.vocab_size}"
            )
        self.eos_token_ids = _eos_token_ids(config, self.vocab_size, path)
        self.special_token_names = read_special_token_names(directory)
        self.chat_template = read_chat_template(directory) if chat_template is None else chat_template

        spoken = self.chat_template + self.special_token_names.get("bos_token", "")
        self._reserved = _rarest_token(self.tokenizer, columns, self.eos_token_ids, spoken)
        self._model: NativeModel | None = NativeModel(directory, self.context_length, self._reserved, n_threads)
        self._sequences: dict[int, _Held] = {}
        self._numbers = itertools.count()

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
        logits : float32 array [columns]
            After the last token. There may be more columns than tokens.

        Raises
        ------
        ParameterError
            No tokens, more than the context holds, or a token id outside the vocabulary.
        GenerationError
            `max_sequences` are alive, or ONNX Runtime failed. The other sequences are as before.
        """
        model, ids = self._open(), check_token_ids(token_ids, self.vocab_size)
        check_prompt(ids, self.context_length)
        text: list[int] = ids.tolist()
        self._check_room()
        sequence = next(self._numbers)
        held = _Held(text, self._reserved in text)
        try:
            held.batch = Batch(model, [text], [sequence])
        except RuntimeError as error:
            raise GenerationError(f"ONNX Runtime failed on a prompt of {len(text)} tokens: {error}") from error
        self._sequences[sequence] = held
        return sequence, held.batch.logits[0]

    def fork(self, sequence: int) -> int:
        """A new sequence that continues from the same state. What that is is read again when it is first asked for.

        Raises
        ------
        ParameterError
            There is no such sequence.
        GenerationError
            `max_sequences` are alive.
        """
        held = self._held(sequence)
        self._check_room()
        copy = next(self._numbers)
        self._sequences[copy] = _Held(held.text.copy(), held.apart)
        return copy

    def decode(self, sequences: Sequence[int], token_ids: Sequence[int]) -> Logits:
        """Append one token to each sequence.

        Parameters
        ----------
        sequences : sequence of int
            All different, of any lengths. Those of one batch that are left out fall behind, and are read again, from
            the beginning, when they are next asked for.
        token_ids : sequence of int
            One for each.

        Returns
        -------
        float32 array [len(sequences), columns]
            There may be more columns than tokens. How a row rounds may depend on the rows beside it.

        Raises
        ------
        ParameterError
            No such sequence, one given twice, one that fills the context, or a token id outside the vocabulary. No
            sequence is changed then.
        GenerationError
            ONNX Runtime failed. All sequences are as before.
        """
        model, ids = self._open(), check_token_ids(token_ids, self.vocab_size)
        check_step(sequences, ids)
        asked = {sequence: self._held(sequence) for sequence in sequences}
        for sequence, held in asked.items():
            if len(held.text) == self.context_length:
                raise ParameterError(f"sequence {sequence} fills the context of {self.context_length} tokens")
        if not asked:
            return np.empty((0, self.vocab_size), np.float32)

        before = [held.apart for held in asked.values()]
        for held, token in zip(asked.values(), ids.tolist(), strict=True):
            held.text.append(token)
            held.apart |= token == self._reserved
        try:
            self._advance(model, asked)
        except BaseException as error:
            for held, apart in zip(asked.values(), before, strict=True):
                held.leave()  # its batch may have read anything
                held.text.pop()
                held.apart = apart
            if isinstance(error, RuntimeError):
                raise GenerationError(f"ONNX Runtime failed on {len(ids)} tokens: {error}") from error
            raise
        return _lines(list(asked.values()))

    def free(self, sequence: int) -> None:
        """Forget a sequence; its number is not used again.

        Raises
        ------
        ParameterError
            There is no such sequence.
        """
        self._held(sequence).leave()
        del self._sequences[sequence]

    def close(self) -> None:
        """Free the model and all sequences. Otherwise they are freed with the runtime."""
        self._model = None
        self._sequences.clear()

    def _advance(self, model: NativeModel, asked: Mapping[int, _Held]) -> None:
        """Have each sequence's last token read, by its batch or a new one."""
        for held in asked.values():
            if held.batch is None:
                continue
            if held.apart and len(held.batch.sequences) > 1:
                held.leave()
                continue
            for other in held.batch.sequences:
                if other is not None and other not in asked:
                    self._sequences[other].leave()

        unread: dict[int, list[int]] = {}
        for sequence, held in asked.items():
            if held.batch is None and not held.apart:
                unread.setdefault(len(held.text), []).append(sequence)
        # What goes on alone joins those of its length: a row more is less than a batch more.
        for sequence, held in asked.items():
            together = unread.get(len(held.text))
            if together and not held.apart and held.batch is not None and len(held.batch.sequences) == 1:
                held.leave()
                together.append(sequence)

        batches = {id(held.batch): held.batch for held in asked.values() if held.batch is not None}
        for batch in batches.values():
            batch.step([None if each is None else asked[each].text[-1] for each in batch.sequences])
        alone = [[sequence] for sequence, held in asked.items() if held.batch is None and held.apart]
        order = {sequence: place for place, sequence in enumerate(asked)}
        for rows in [*unread.values(), *alone]:
            rows.sort(key=order.__getitem__)
            batch = Batch(model, [asked[sequence].text for sequence in rows], rows)
            for row, sequence in enumerate(rows):
                asked[sequence].batch, asked[sequence].row = batch, row

    def _open(self) -> NativeModel:
        if self._model is None:
            raise ParameterError(f"the model {self.name} has been closed")
        return self._model

    def _check_room(self) -> None:
        if len(self._sequences) >= self.max_sequences:
            raise GenerationError(f"{self.max_sequences} sequences are alive, as many as max_sequences allows")

    def _held(self, sequence: int) -> _Held:
        self._open()
        try:
            return self._sequences[sequence]
        except KeyError:
            raise no_sequence(sequence) from None


def _lines(helds: Sequence[_Held]) -> Logits:
    """The logits of some sequences, in their order; without a copy where they are all that one batch has."""
    batches = [held.batch for held in helds if held.batch is not None]
    first, rows = batches[0], [held.row for held in helds]
    if any(batch is not first for batch in batches):
        return np.stack([batch.logits[row] for batch, row in zip(batches, rows, strict=True)])
    return first.logits if rows == list(range(len(first.sequences))) else first.logits[rows]


def _eos_token_ids(config: Mapping[str, Any], vocab_size: int, path: Path) -> tuple[int, ...]:
    value = config.get("eos_token_id")
    found = tuple(value) if isinstance(value, list) and value else (value,)
    for i in found:
        if not is_integer(i) or not 0 <= i < vocab_size:
            raise ModelFileError(
                f"expected eos_token_id in {path} to be of tokens in [0, {vocab_size}), as the tokenizer has, got {i!r}"
            )
    return found


def _rarest_token(tokenizer: TokenizerFile, columns: int, ends: Sequence[int], spoken: str) -> int:
    """A token that few texts hold, for `NativeModel.reserved`: those that do are read apart, which takes longer."""
    if columns > tokenizer.vocab_size:
        return columns - 1  # no token at all
    special = tokenizer.special_tokens
    unused = [i for text, i in special.items() if i not in ends and text not in spoken]
    taken = {*special.values(), *ends}
    plain = [i for i in range(tokenizer.vocab_size) if i not in taken]
    return max(unused or plain or taken)
