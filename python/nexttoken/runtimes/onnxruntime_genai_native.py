"""ONNX Runtime GenAI's own objects, held by Python ones: a loaded model, and a batch that reads with it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nexttoken.exceptions import ModelFileError
from nexttoken.extras import require

lib: Any = require("onnxruntime_genai", "onnxruntime-genai")

Logits = npt.NDArray[np.float32]


class NativeModel:
    """A model that ONNX Runtime GenAI has loaded.

    Parameters
    ----------
    directory : Path
    context_length : int
        The most tokens of a row.
    reserved : int
        A token of the model's that is told to be its end and its padding. A row that draws the end goes no further, and
        padding in a prompt is taken for no part of it: here neither must happen to any token that means something.
        What reads this one is read apart; see `Batch`.
    n_threads : int, optional
        Default: as ``genai_config.json`` says.

    Raises
    ------
    ModelFileError
        ONNX Runtime GenAI does not take the directory; the message holds what it said.
    """

    def __init__(self, directory: Path, context_length: int, reserved: int, n_threads: int | None = None) -> None:
        model: dict[str, Any] = {"eos_token_id": reserved, "pad_token_id": reserved}
        if n_threads is not None:
            model["decoder"] = {"session_options": {"intra_op_num_threads": n_threads}}
        try:
            config = lib.Config(str(directory))
            config.overlay(json.dumps({"model": model}))
            self._model = lib.Model(config)
        except RuntimeError as error:
            raise ModelFileError(f"expected a model of ONNX Runtime GenAI in {directory}: {error}") from error
        self.context_length = context_length
        self.reserved = reserved

    def generator(self, rows: int) -> Any:
        """A new batch of so many empty rows, in which nothing changes what is drawn."""
        parameters = lib.GeneratorParams(self._model)
        parameters.set_search_options(
            batch_size=rows,
            max_length=self.context_length,
            min_length=0,
            num_beams=1,
            num_return_sequences=1,
            do_sample=False,
            repetition_penalty=1.0,
            no_repeat_ngram_size=0,
            random_seed=0,  # nothing is drawn at random, and a seed of the machine's takes 14 ms
        )
        return lib.Generator(self._model, parameters)


class Batch:
    """Rows of one length that are read together, a token each at a time.

    Parameters
    ----------
    model : NativeModel
    texts : sequence of sequence of int
        What each row has read at first, all of the same length. None of several may hold the reserved token.
    sequences : sequence of int
        The caller's number for each.

    Attributes
    ----------
    sequences : list of int or None
        None: the row has left. It goes on with tokens that mean nothing.
    logits : float32 array [rows, columns]
        After the last token; new memory each time.
    """

    def __init__(self, model: NativeModel, texts: Sequence[Sequence[int]], sequences: Sequence[int]) -> None:
        self.sequences: list[int | None] = list(sequences)
        self._filler = 0 if model.reserved else 1
        self._generator = model.generator(len(texts))
        ids = np.asarray(texts, np.int32)
        # Padding at the end of what is read at once would hide the logits, and at the beginning the rest: what is
        # appended alone is taken as it is.
        where = np.flatnonzero(ids == model.reserved) if len(texts) == 1 else np.empty(0, np.intp)
        for piece in np.split(ids.reshape(-1), np.unique([where, where + 1])):
            if piece.size:
                self._generator.append_tokens(piece)
        self.logits = self._read()
        self._choice = np.full((len(texts), 1, self.logits.shape[1]), -np.inf, np.float32) if len(texts) > 1 else None

    def step(self, token_ids: Sequence[int | None]) -> None:
        """Append a token to each row; None for one that has left."""
        if self._choice is None:
            self._generator.append_tokens(np.asarray(token_ids, np.int32))
        else:
            # Only a row by itself can be given a token. Of several each draws its own: it must be the only one left.
            tokens = [self._filler if token is None else token for token in token_ids]
            rows = range(len(tokens))
            self._choice[rows, 0, tokens] = 0
            self._generator.set_logits(self._choice)
            self._choice[rows, 0, tokens] = -np.inf
            self._generator.generate_next_token()
        self.logits = self._read()

    def _read(self) -> Logits:
        logits: Logits = self._generator.get_logits()
        return logits.reshape(len(self.sequences), -1)
