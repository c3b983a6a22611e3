"""The two sides of transformers' loop: the batch as the model sees it, and the result as it grows."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

from nexttoken.extras import require

torch = require("torch", "transformers")
transformers = require("transformers", "transformers")

__all__ = ["Batch", "Result", "can_select"]


def can_select(cache: Any) -> bool:
    """Whether rows of this cache can be dropped and copied."""
    utils = transformers.cache_utils
    kinds = (utils.DynamicLayer, utils.DynamicSlidingWindowLayer)
    return type(cache) is transformers.DynamicCache and all(type(layer) in kinds for layer in cache.layers)


class Batch:
    """Prompts, then one token after the other of each row.

    Parameters
    ----------
    input_ids : LongTensor ``[prompts, columns]``
        Padded before their beginnings.
    model_kwargs : dict
        As `generate` prepared them, for rows of which each prompt has `given`.
    """

    def __init__(self, model: Any, config: Any, input_ids: Any, model_kwargs: dict[str, Any], given: int) -> None:
        self._model, self._config = model, config
        self.input_ids = input_ids
        self._kwargs = dict(model_kwargs)
        for name in ("attention_mask", "position_ids"):
            value = self._kwargs.get(name)
            if value is not None and value.shape[0] == given * len(input_ids):
                self._kwargs[name] = value[::given]
        self._mask = self._kwargs.get("attention_mask")
        self._positions: Any = None
        self._size = len(input_ids)
        takes = inspect.signature(model.forward).parameters
        self._takes_positions = "position_ids" in takes
        self._optional = {"logits_to_keep": 1} if "logits_to_keep" in takes else {}

    @property
    def cache(self) -> Any:
        """What the model keeps of the rows."""
        return self._kwargs["past_key_values"]

    def prompts(self) -> list[list[int]]:
        """The tokens of each, without padding."""
        if self._mask is None:
            tokens: list[list[int]] = self.input_ids.tolist()
            return tokens
        width = self.input_ids.shape[1]
        return [ids[mask[-width:] != 0].tolist() for ids, mask in zip(self.input_ids, self._mask, strict=True)]

    def prefill(self) -> Any:
        """Read the prompts. Returns logits ``[prompts, vocab]``."""
        output = self._model._prefill(self.input_ids, self._config, self._kwargs)
        self._kwargs["past_key_values"] = output.past_key_values
        if self._takes_positions:
            self._positions = self._kwargs["position_ids"][:, -1:].expand(self._size, 1)
        return output.logits[:, -1]

    def select(self, rows: Sequence[int]) -> None:
        """Make these the rows of the batch; one may come several times."""
        if list(rows) == list(range(self._size)):
            return
        indices = torch.tensor(rows, device=self.input_ids.device)
        self.cache.batch_select_indices(indices)
        if self._mask is not None:
            self._mask = self._mask[indices]
        if self._positions is not None:
            self._positions = self._positions[indices]
        self._size = len(rows)

    def forward(self, token_ids: Any) -> Any:
        """One token more of each row, ``[rows]``. Returns logits ``[rows, vocab]``."""
        inputs = dict(self._optional)
        if self._mask is not None:
            self._mask = torch.cat([self._mask, self._mask.new_ones((self._size, 1))], dim=1)
            inputs["attention_mask"] = self._mask
        if self._positions is not None:
            self._positions = self._positions + 1
            inputs["position_ids"] = self._positions
        output = self._model(
            input_ids=token_ids[:, None].to(self._model.device),
            past_key_values=self.cache,
            use_cache=True,
            return_dict=True,
            **inputs,
        )
        self._kwargs["past_key_values"] = output.past_key_values
        return output.logits[:, -1]


class Result:
    """What `generate` returns: the prompts, then a column for each step, and what else was asked for.

    Attributes
    ----------
    newest : LongTensor ``[rows]``
        The last column; padding where a row has ended.
    """

    def __init__(self, input_ids: Any, config: Any) -> None:
        self._config = config
        pad = config._pad_token_tensor
        # Nothing is drawn after it, so any token would do: `generate` itself has none to say then.
        self._pad = input_ids.new_tensor(0 if pad is None else int(pad.flatten()[0]))
        self._columns = [input_ids]
        self._scores: list[Any] = []
        self._logits: list[Any] = []
        dicts = bool(config.return_dict_in_generate)
        self._keeps_scores, self._keeps_logits = dicts and config.output_scores, dicts and config.output_logits

    def processed(self, logits: Any, processors: Sequence[Any], all_processors: Sequence[Any]) -> Any:
        """`logits` after `processors`, on a copy; scores, where asked for, are those after all of them."""
        if self._keeps_logits:
            self._logits.append(logits.to(torch.float32, copy=True))
        if not processors and not self._keeps_scores:
            return logits
        sequences = self._sequences()
        if self._keeps_scores:
            scores = logits.to(torch.float32, copy=True)
            for processor in all_processors:
                scores = processor(sequences, scores)
            self._scores.append(scores)
        if processors:
            logits = logits.to(torch.float32, copy=True)
            for processor in processors:
                logits = processor(sequences, logits)
        return logits

    def append(self, places: Sequence[int], token_ids: Any) -> None:
        """A step's tokens, of the rows that took part; -1 is none."""
        column = self._pad.repeat(len(self._columns[0]))
        drawn = torch.from_numpy(token_ids).to(column)
        column[list(places)] = torch.where(drawn < 0, self._pad, drawn)
        self.newest = column
        self._columns.append(column[:, None])

    def stopped(self, criteria: Sequence[Any]) -> set[int]:
        """The rows that transformers' criteria, or the caller's, end here."""
        if not criteria:
            return set()
        done = transformers.StoppingCriteriaList(criteria)(self._sequences(), tuple(self._scores) or None)
        return set(done.nonzero().flatten().tolist())

    def finished(self, cache: Any) -> Any:
        """As `generate` returns it."""
        sequences = self._sequences()
        if not self._config.return_dict_in_generate:
            return sequences
        return transformers.generation.GenerateDecoderOnlyOutput(
            sequences=sequences,
            scores=tuple(self._scores) if self._keeps_scores else None,
            logits=tuple(self._logits) if self._keeps_logits else None,
            past_key_values=cache,
        )

    def _sequences(self) -> Any:
        self._columns = [torch.cat(self._columns, dim=1)]
        return self._columns[0]
