"""Models of ONNX Runtime GenAI: a directory that its model builder, or somebody with it, has written.

A generator of that library holds a batch whose rows cannot join or leave: it reads one text for each row, once, and
from then on every row gets one token a step. So what a sequence is here is its text, and a generator is how it goes on
cheaply. Sequences of one length that go on together for the first time become the rows of one generator. Whoever does
not go on with the others leaves them, and is read anew when its turn comes: always right, and for rows that step
together, as an engine's do, without reading anything twice but a prompt with several choices.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nexttoken.exceptions import ModelFileError, ParameterError
from nexttoken.extras import require
from nexttoken.params import is_integer, shown
from nexttoken.runtimes.model_files import positive_integer, read_chat_template, read_json, read_special_token_names
from nexttoken.text import load_tokenizer

__all__ = ["OnnxRuntimeGenAI"]

genai: Any = require("onnxruntime_genai", "onnxruntime-genai")

Logits = npt.NDArray[np.float32]

# Of keys and values the library allots the whole context at once, and some models name one of a million tokens.
_LARGEST_DEFAULT_CONTEXT = 4096


class OnnxRuntimeGenAI:
    """A model of ONNX Runtime GenAI.

    Parameters
    ----------
    directory : path
        Holds ``genai_config.json``, the ONNX files that it names, ``tokenizer.json`` and a chat template.
    context_length : int, optional
        The most tokens a sequence may hold; memory for them is taken at once. Default: the model's, at most 4096.
    chat_template : str, optional
        Instead of the directory's own.

    Raises
    ------
    ModelFileError
        A file is missing or broken; the message names it.
    ParameterError
        If `context_length` is not in [1, the model's].
    MissingExtraError
        The package `onnxruntime-genai` or `tokenizers` is not installed.

    Notes
    -----
    Not for use by two threads at once. How a row rounds may depend on the rows beside it.
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        *,
        context_length: int | None = None,
        chat_template: str | None = None,
    ) -> None:
        directory = Path(directory).resolve()
        path = directory / "genai_config.json"
        config = read_json(path).get("model")
        if not isinstance(config, dict):
            raise ModelFileError(f"expected model in {path} to be a JSON object, got {config!r}")
        longest = positive_integer(config, "context_length", path)
        columns = positive_integer(config, "vocab_size", path)
        if context_length is None:
            context_length = min(longest, _LARGEST_DEFAULT_CONTEXT)
        if not is_integer(context_length) or not 1 <= context_length <= longest:
            raise ParameterError(f"context_length must be in [1, {longest}], got {shown(context_length)}")
        self.name = directory.name
        self.context_length = int(context_length)
        self.chat_template = read_chat_template(directory) if chat_template is None else chat_template
        self.special_token_names = read_special_token_names(directory)
        self.tokenizer = load_tokenizer(directory)
        self.vocab_size = self.tokenizer.vocab_size
        if self.vocab_size > columns:
            raise ModelFileError(
                f"expected at most {columns} tokens in {directory / 'tokenizer.json'}, as {path.name} says, "
                f"got {self.vocab_size}"
            )
        self.eos_token_ids = _eos_token_ids(config, path, self.vocab_size)
        try:
            self._model = genai.Model(str(directory))
        except Exception as error:  # of the library's own kind, or of pybind11's
            raise ModelFileError(f"expected a model of ONNX Runtime GenAI in {directory}: {error}") from error
        self._columns = columns
        self._filler = next((token for token in range(columns) if token not in self.eos_token_ids), 0)
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
        held = _Held(ids)
        logits = self._read([held])
        return self._add(held), logits[0]

    def fork(self, sequence: int) -> int:
        """A new sequence that continues from the same text. Nothing is read until it goes on.

        Raises
        ------
        ParameterError
            There is no such sequence.
        """
        return self._add(_Held(list(self._held(sequence).text)))

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
            May have more columns than `vocab_size`.

        Raises
        ------
        ParameterError
            No such sequence, one given twice, one that fills the context, or a token id outside the vocabulary. No
            sequence is changed then, nor by an error of the library.
        """
        ids = self._checked(token_ids)
        if len(ids) != len(sequences) or len(set(sequences)) != len(sequences):
            raise ParameterError(
                f"expected different sequences and one token for each, got {len(ids)} tokens for {list(sequences)}"
            )
        helds = [self._held(sequence) for sequence in sequences]
        for sequence, held in zip(sequences, helds, strict=True):
            if len(held.text) == self.context_length:
                raise ParameterError(f"sequence {sequence} fills the context of {len(held.text)} tokens")
        before = [len(held.text) for held in helds]
        for held, token in zip(helds, ids, strict=True):
            held.text.append(token)
        try:
            lines = self._advance(helds)
        except BaseException:
            # Nobody knows which generators have moved; the texts are known.
            for held, length in zip(helds, before, strict=True):
                held.leave()
                del held.text[length:]
            raise
        if len(lines) == 1:
            ((rows, logits),) = lines
            if rows == list(range(len(helds))):
                return logits
        result = np.empty((len(helds), lines[0][1].shape[1]), np.float32)
        for rows, logits in lines:
            result[rows] = logits
        return result

    def free(self, sequence: int) -> None:
        """Forget a sequence; its number is not used again.

        Raises
        ------
        ParameterError
            There is no such sequence.
        """
        self._held(sequence).leave()
        del self._sequences[sequence]

    def _advance(self, helds: list[_Held]) -> list[tuple[list[int], Logits]]:
        """Logits of texts that are one token longer than what their generators have read, by places in `helds`."""
        places = {id(held): place for place, held in enumerate(helds)}
        lines = []
        for group in {id(held.group): held.group for held in helds if held.group is not None}.values():
            for held in group.rows:
                if held is not None and (id(held) not in places or self._ends(held)):
                    held.leave()
            alive = group.alive()
            if 0 < 2 * len(alive) <= len(group.rows):  # most of what it computes is for nobody
                for held in alive:
                    held.leave()
            elif alive:
                logits = self._step(group)
                rows = [row for row, held in enumerate(group.rows) if held is not None]
                lines.append(
                    ([places[id(held)] for held in alive], logits if len(rows) == len(logits) else logits[rows])
                )
        unread: dict[tuple[int, int], list[_Held]] = {}
        for place, held in enumerate(helds):
            if held.group is None:
                alone = place + 1 if self._ends(held) else 0
                unread.setdefault((len(held.text), alone), []).append(held)
        for together in unread.values():
            lines.append(([places[id(held)] for held in together], self._read(together)))
        return lines

    def _ends(self, held: _Held) -> bool:
        """Whether the library takes it for ended: it then gets padding, or the logits of the token before."""
        return held.text[-1] in self.eos_token_ids

    def _step(self, group: _Group) -> Logits:
        newest = [self._filler if held is None else held.text[-1] for held in group.rows]
        if len(newest) == 1:
            group.generator.append_tokens(np.array(newest, np.int32))
        else:  # where nothing can be appended any more, it draws the one token that is left to it
            group.forced.fill(-np.inf)
            group.forced[np.arange(len(newest)), 0, newest] = 0
            group.generator.set_logits(group.forced)
            group.generator.generate_next_token()
        return _last_lines(group.generator)

    def _read(self, helds: list[_Held]) -> Logits:
        """Read texts of one length into a generator of their own. Returns logits ``[len(helds), vocab]``."""
        parameters = genai.GeneratorParams(self._model)
        parameters.set_search_options(
            batch_size=len(helds), max_length=self.context_length, min_length=0, do_sample=False, num_beams=1,
            repetition_penalty=1.0, no_repeat_ngram_size=0,
        )  # fmt: skip
        generator = genai.Generator(self._model, parameters)
        generator.append_tokens(np.array([held.text for held in helds], np.int32))
        logits = _last_lines(generator)
        group = _Group(generator, list(helds), np.empty((len(helds), 1, logits.shape[1]), np.float32))
        for row, held in enumerate(helds):
            held.group, held.row = group, row
        return logits

    def _checked(self, token_ids: Sequence[int]) -> list[int]:
        ids = [int(token) for token in token_ids]
        for place, token in enumerate(ids):
            if not 0 <= token < self._columns:
                raise ParameterError(f"token ids must be in [0, {self._columns}), got {token} at position {place}")
        return ids

    def _add(self, held: _Held) -> int:
        sequence = next(self._numbers)
        self._sequences[sequence] = held
        return sequence

    def _held(self, sequence: int) -> _Held:
        try:
            return self._sequences[sequence]
        except KeyError:
            raise ParameterError(f"there is no sequence {sequence}: it was freed, or never made") from None


class _Group:
    """A generator and whose rows it computes; None for a row that nobody wants any more."""

    def __init__(self, generator: Any, rows: list[_Held | None], forced: Logits) -> None:
        self.generator, self.rows, self.forced = generator, rows, forced

    def alive(self) -> list[_Held]:
        return [held for held in self.rows if held is not None]


class _Held:
    """A sequence: its text, and the row of a generator that has read it; None: it is read when it goes on."""

    def __init__(self, text: list[int]) -> None:
        self.text = text
        self.group: _Group | None = None
        self.row = 0

    def leave(self) -> None:
        """Let the others of its generator go on without it."""
        if self.group is not None:
            self.group.rows[self.row] = None
            self.group = None


def _last_lines(generator: Any) -> Logits:
    logits: Logits = generator.get_logits()
    return logits[:, -1]


def _eos_token_ids(config: dict[str, Any], path: Path, vocab_size: int) -> tuple[int, ...]:
    found = config.get("eos_token_id")
    ids = found if isinstance(found, list) else [] if found is None else [found]
    for i in ids:
        if not isinstance(i, int) or isinstance(i, bool) or not 0 <= i < vocab_size:
            raise ModelFileError(
                f"expected eos_token_id in {path} to be of tokens in [0, {vocab_size}), as the tokenizer has, got {i!r}"
            )
    return tuple(ids)
