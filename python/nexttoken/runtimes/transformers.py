"""Models of the transformers package: whatever `AutoModelForCausalLM` loads and has a cache."""

from __future__ import annotations

import inspect
import itertools
import os
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from nexttoken.exceptions import GenerationError, ModelFileError, ParameterError
from nexttoken.extras import require
from nexttoken.runtimes.base import Tokenizer
from nexttoken.runtimes.calls import check_prompt, check_step, check_token_ids, no_sequence

torch = require("torch", "transformers")
DynamicCache = require("transformers.cache_utils", "transformers").DynamicCache

# Below the two lines that say what to install where these packages are missing.
from nexttoken.runtimes.transformers_cache import Batch, Held, alone, rows_of_any_length, together  # noqa: E402
from nexttoken.runtimes.transformers_files import (  # noqa: E402
    check_model,
    load_model,
    load_tokenizer,
    logit_columns,
    read_bytes,
    read_chat_template,
    read_context_length,
    read_eos_token_ids,
    read_special_token_names,
)

__all__ = ["TransformersModel"]

_DRAWS_ON_DEVICE = find_spec("nexttoken._cuda") is not None


class TransformersModel:
    """A causal language model of transformers, with a cache that sequences of any length share.

    Parameters
    ----------
    model : str, path or PreTrainedModel
        A directory in the Hugging Face layout, a name on the hub (``"org/name"``), or a loaded model, which stays where
        it is and is put into evaluation mode. Code that a repository brings along is never run.
    tokenizer : PreTrainedTokenizerBase, str or path, optional
        Of a fast kind (``tokenizer.json``). Default: the one that lies with the model.
    device : str or torch.device, optional
        Default: a GPU if there is one, else the CPU.
    dtype : {"float32", "float16", "bfloat16", "auto"} or torch.dtype, optional
        ``"auto"`` is what the files say: the default, but on a CPU, where half precision is slow: float32 there.
    chat_template : str, optional
        In place of the tokenizer's own.

    Raises
    ------
    ModelFileError
        There is no such model, a file is missing or broken, or transformers does not know the architecture.
    DeviceError
        The device that was named is not there.
    ParameterError, ParameterTypeError
        A parameter that cannot be honoured.

    Notes
    -----
    Not for use by two threads at once.

    The same request alone gives the same tokens each time, on one machine and with one version of torch. In company it
    may not: matrix products of another shape round differently, and where two tokens are as good as equal one or the
    other is drawn. What is drawn from given logits never depends on the company.

    `decode` is one forward pass of all sequences where the model's cache allows that, see `transformers_cache`. Else
    (linear attention, chunks, angles that depend on the longest sequence) it is one for each.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any = None,
        *,
        device: Any = None,
        dtype: Any = None,
        chat_template: str | None = None,
    ) -> None:
        named = isinstance(model, (str, os.PathLike))
        if named:
            tokenizer = load_tokenizer(model if tokenizer is None else tokenizer)
            self._model = load_model(model, device, dtype)
        else:
            self._model = model
            check_model(model)
            for name, value in (("device", device), ("dtype", dtype)):
                if value is not None:
                    raise ParameterError(f"{name} must be None for a loaded model, which stays as it is, got {value!r}")
            tokenizer = load_tokenizer(model.name_or_path if tokenizer is None else tokenizer)
        check_model(self._model)
        self._model.eval()
        self.name = Path(os.fsdecode(model) if named else model.name_or_path or type(model).__name__).name
        self.tokenizer: Tokenizer = read_bytes(tokenizer)
        self.vocab_size = len(self.tokenizer.token_bytes)
        columns = logit_columns(self._model)
        if self.vocab_size > columns:
            raise ModelFileError(
                f"expected at most {columns} tokens in the tokenizer of {self.name}, as its logits have columns, "
                f"got {self.vocab_size}"
            )
        self.special_token_names = read_special_token_names(tokenizer)
        self.chat_template = read_chat_template(tokenizer) if chat_template is None else chat_template
        self.eos_token_ids = read_eos_token_ids(self._model, self.vocab_size)
        self.context_length = read_context_length(self._model)

        self._inputs = self._model.get_input_embeddings().weight.shape[0]
        self._takes = inspect.signature(self._model.forward).parameters
        if "past_key_values" not in self._takes:
            raise ModelFileError(f"expected a model with a cache, got a {type(self._model).__name__}, which takes none")
        self._together = rows_of_any_length(self._model, self._new_cache())
        self._sequences: dict[int, Held | None] = {}
        self._numbers = itertools.count()

    def prefill(self, token_ids: Sequence[int]) -> tuple[int, Any]:
        """Read a prompt.

        Parameters
        ----------
        token_ids : sequence of int
            At least one.

        Returns
        -------
        sequence : int
            The new sequence.
        logits : tensor [vocab]
            After the last token, in the model's dtype; on the CPU, or on the CUDA device that it is drawn from. May
            have more columns than `vocab_size`.

        Raises
        ------
        ParameterError
            No tokens, more than the context holds, or a token id outside the vocabulary.
        """
        ids = check_token_ids(token_ids, self._inputs)
        check_prompt(ids, self.context_length)
        with torch.inference_mode():
            cache, logits = self._forward(self._new_cache(), [ids.tolist()], {})
            batch = Batch(cache, len(ids), [0], self._model.device)
        sequence = next(self._numbers)
        self._sequences[sequence] = batch.hold(0)
        return sequence, logits[0]

    def fork(self, sequence: int) -> int:
        """A new sequence that continues from the same state. Nothing is copied until one of the two goes on.

        Raises
        ------
        ParameterError
            There is no such sequence.
        GenerationError
            It was lost when a forward pass failed.
        """
        held = self._held(sequence)
        fork = next(self._numbers)
        self._sequences[fork] = held.batch.hold(held.row)
        return fork

    def decode(self, sequences: Sequence[int], token_ids: Sequence[int]) -> Any:
        """Append one token to each sequence.

        Parameters
        ----------
        sequences : sequence of int
            All different, of any lengths.
        token_ids : sequence of int
            One for each.

        Returns
        -------
        tensor [len(sequences), vocab]
            In the model's dtype, and where those of `prefill` are. May have more columns than `vocab_size`.

        Raises
        ------
        ParameterError
            No such sequence, one given twice, one that fills the context, or a token id outside the vocabulary.
        GenerationError
            A sequence was lost when a forward pass failed.

        Notes
        -----
        No sequence is changed by a call that raises, save that those which do not go forward together are lost when
        their forward pass fails.
        """
        ids = check_token_ids(token_ids, self._inputs)
        check_step(sequences, ids)
        if not len(ids):
            raise ParameterError("expected at least one sequence, got none")
        helds = [self._held(sequence) for sequence in sequences]
        for sequence, held in zip(sequences, helds, strict=True):
            if held.length >= self.context_length:
                raise ParameterError(f"sequence {sequence} fills the context of {held.length} tokens")
        with torch.inference_mode():
            if self._together:
                return self._decode_together(helds, ids.tolist())
            try:
                return torch.cat([self._decode_alone(held, i) for held, i in zip(helds, ids.tolist(), strict=True)])
            except BaseException:  # nobody knows how far each layer got
                for sequence in sequences:
                    self.free(sequence)
                    self._sequences[sequence] = None
                raise

    def free(self, sequence: int) -> None:
        """Forget a sequence; its number is not used again.

        Raises
        ------
        ParameterError
            There is no such sequence.
        """
        if sequence not in self._sequences:
            raise no_sequence(sequence)
        held = self._sequences.pop(sequence)
        if held is not None:
            with torch.inference_mode():
                held.batch.release([held])

    def _decode_together(self, helds: list[Held], ids: list[int]) -> Any:
        batch, rows = together(helds)
        column = [[0]] * len(rows)
        for row, i in zip(rows, ids, strict=True):
            column[row] = [i]
        before = batch.snapshot()
        try:
            _, logits = self._forward(batch.cache, column, batch.inputs())
        except BaseException:
            batch.restore(before)
            raise
        batch.width += 1
        return logits if rows == list(range(len(rows))) else logits[rows]

    def _decode_alone(self, held: Held, token_id: int) -> Any:
        batch = alone(held)
        inputs = batch.inputs() if "position_ids" in self._takes else {}
        batch.cache, logits = self._forward(batch.cache, [[token_id]], inputs)
        batch.width += 1
        return logits

    def _forward(self, cache: Any, ids: list[list[int]], inputs: dict[str, Any]) -> tuple[Any, Any]:
        """The cache with further columns, and the logits [rows, vocab] after the last one."""
        if "logits_to_keep" in self._takes:
            inputs["logits_to_keep"] = 1
        output = self._model(
            input_ids=torch.tensor(ids, device=self._model.device),
            past_key_values=cache,
            use_cache=True,
            return_dict=True,
            **inputs,
        )
        logits = output.logits[:, -1]
        if logits.dtype == torch.float64:
            logits = logits.float()
        # On a CUDA device they stay where they are, if the kernels that draw there are in this build.
        return output.past_key_values, logits if logits.is_cuda and _DRAWS_ON_DEVICE else logits.cpu()

    def _new_cache(self) -> Any:
        return DynamicCache(config=self._model.config)

    def _held(self, sequence: int) -> Held:
        try:
            held = self._sequences[sequence]
        except KeyError:
            raise no_sequence(sequence) from None
        if held is None:
            raise GenerationError(f"sequence {sequence} was lost when a forward pass failed")
        return held
