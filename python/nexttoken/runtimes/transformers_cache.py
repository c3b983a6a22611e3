"""Keys and values of many sequences as the rows of transformers' own caches.

A `Batch` is one cache. Its rows end at the same column: shorter sequences have padding before their beginning, which
the attention mask hides. So rows join a batch, leave it and are forked by copying columns, and a step of all of them is
one forward pass. Nothing is copied while a batch stays as it is.

That is right where every layer keeps the keys and values of single tokens (`DynamicLayer`), or of the last ones in a
window (`DynamicSlidingWindowLayer`), and the model is told positions and mask. Other caches hold one row and are forked
by copying them whole.
"""

from __future__ import annotations

import copy
import inspect
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers.cache_utils import DummyLayer, DynamicCache, DynamicLayer, DynamicSlidingWindowLayer

Tensor = Any  # torch's, which the type checker does not look into


@dataclass(eq=False)
class Held:
    """Where a sequence is: a row of a batch, which forks share until one of them goes on."""

    batch: Batch
    row: int

    @property
    def length(self) -> int:
        """Tokens that the sequence holds."""
        return self.batch.width - self.batch.padding[self.row]


class Batch:
    """One cache, and who holds its rows.

    Attributes
    ----------
    cache : DynamicCache
        Rows, right-aligned.
    width : int
        Columns: the tokens of a row without padding.
    padding : list of int
        Columns before each row's beginning.
    holders : list of set of Held
        Who shares each row; empty for a row that nobody needs any more.
    """

    def __init__(self, cache: Any, width: int, padding: list[int], device: Any) -> None:
        self.cache = cache
        self.width = width
        self.padding = padding
        self.holders: list[set[Held]] = [set() for _ in padding]
        self.padding_tensor = torch.tensor(padding, device=device)

    def hold(self, row: int) -> Held:
        """One more holder of `row`."""
        held = Held(self, row)
        self.holders[row].add(held)
        return held

    def release(self, helds: Sequence[Held]) -> None:
        """`helds` need their rows no longer. Memory is given back when half of the rows are of no use."""
        for held in helds:
            self.holders[held.row].discard(held)
        rows = [row for row, holders in enumerate(self.holders) if holders]
        if not rows:
            self.cache = None
        elif len(rows) * 2 <= len(self.holders):
            self._keep(rows)

    def _keep(self, rows: list[int]) -> None:
        rest = gathered([(self, row) for row in rows])
        self.cache, self.width, self.padding = rest.cache, rest.width, rest.padding
        self.padding_tensor = rest.padding_tensor
        self.holders = [self.holders[row] for row in rows]
        for row, holders in enumerate(self.holders):
            for held in holders:
                held.row = row

    def rows_of(self, helds: Sequence[Held]) -> list[int] | None:
        """The rows of `helds` if they are all of this batch, and nobody else's; else None."""
        if len(helds) != len(self.holders) or any(held.batch is not self for held in helds):
            return None
        if any(len(holders) != 1 for holders in self.holders):
            return None
        return [held.row for held in helds]

    def inputs(self) -> dict[str, Tensor]:
        """What the model must be told of the next column: its positions, and which columns are padding."""
        if not any(self.padding):
            device = self.padding_tensor.device
            return {"position_ids": torch.full((len(self.padding), 1), self.width, device=device)}
        columns = torch.arange(self.width + 1, device=self.padding_tensor.device)
        return {
            "position_ids": (self.width - self.padding_tensor)[:, None],
            "attention_mask": (columns >= self.padding_tensor[:, None]).long(),
        }

    def snapshot(self) -> list[Any]:
        """What `restore` needs. Windows are small; the other layers only ever get longer."""
        return [
            (layer.keys, layer.values, layer.cumulative_length) if type(layer) is DynamicSlidingWindowLayer else None
            for layer in self.cache.layers
        ]

    def restore(self, snapshot: list[Any]) -> None:
        """Take back a forward pass that failed: some layers may have another column, and some of those only keys."""
        for layer, before in zip(self.cache.layers, snapshot, strict=True):
            if before is not None:
                layer.keys, layer.values, layer.cumulative_length = before
            elif layer.keys is not None:
                layer.keys = layer.keys[..., : self.width, :]
                layer.values = layer.values[..., : self.width, :]


def together(helds: Sequence[Held]) -> tuple[Batch, list[int]]:
    """A batch whose rows are `helds` and nothing else; they are moved to a new one if need be.

    Returns
    -------
    batch : Batch
    rows : list of int
        The row of each.
    """
    batch = helds[0].batch
    rows = batch.rows_of(helds)
    if rows is not None:
        return batch, rows
    batch = gathered([(held.batch, held.row) for held in helds])
    left: dict[Batch, list[Held]] = {}
    for held in helds:
        left.setdefault(held.batch, []).append(held)
    for old, leaving in left.items():
        old.release(leaving)
    for row, held in enumerate(helds):
        held.batch, held.row = batch, row
        batch.holders[row].add(held)
    return batch, list(range(len(helds)))


def alone(held: Held) -> Batch:
    """A batch whose one row is `held` and nobody else's, for caches of which only copies as a whole can be had."""
    old = held.batch
    if len(old.holders[0]) > 1:
        batch = Batch(copy.deepcopy(old.cache), old.width, old.padding.copy(), old.padding_tensor.device)
        old.release([held])
        held.batch = batch
        batch.holders[0].add(held)
    return held.batch


def gathered(sources: Sequence[tuple[Batch, int]]) -> Batch:
    """A new batch of copies of rows, no wider than the longest of them."""
    lengths = [batch.width - batch.padding[row] for batch, row in sources]
    width = max(lengths)
    # In each batch: which of its rows go where.
    moves: dict[Batch, tuple[list[int], list[int]]] = {}
    for target, (batch, row) in enumerate(sources):
        rows, targets = moves.setdefault(batch, ([], []))
        rows.append(row)
        targets.append(target)
    first = sources[0][0]
    cache = copy.copy(first.cache)
    cache.layers = []
    for index, template in enumerate(first.cache.layers):
        layer = copy.copy(template)
        if template.keys is not None:
            columns = width
            if type(template) is DynamicSlidingWindowLayer:
                columns = min(width, template.sliding_window - 1)
                layer.cumulative_length = width
            layer.keys, layer.values = (
                _gathered(
                    [(getattr(batch.cache.layers[index], name), *rows) for batch, rows in moves.items()],
                    len(sources),
                    columns,
                )
                for name in ("keys", "values")
            )
        cache.layers.append(layer)
    return Batch(cache, width, [width - length for length in lengths], first.padding_tensor.device)


def _gathered(moves: list[tuple[Tensor, list[int], list[int]]], count: int, columns: int) -> Tensor:
    """Keys or values [count, heads, columns, size] from the last columns of rows of several such tensors."""
    source, rows, _ = moves[0]
    if len(moves) == 1 and source.shape[-2] >= columns:
        return _last(source, columns).index_select(0, torch.tensor(rows, device=source.device))
    # Zeros, because padding is multiplied by 0, and 0 times what memory happens to hold may be NaN.
    result = source.new_zeros((count, source.shape[1], columns, source.shape[3]))
    for source, rows, targets in moves:
        piece = _last(source, columns)
        result[_span(targets), :, columns - piece.shape[-2] :, :] = piece[_span(rows)]
    return result


def _last(tensor: Tensor, columns: int) -> Tensor:
    return tensor[..., max(0, tensor.shape[-2] - columns) :, :]


def _span(indices: list[int]) -> slice | list[int]:
    """The same rows as a slice where they follow each other: that is copied without a copy in between."""
    if indices == list(range(indices[0], indices[0] + len(indices))):
        return slice(indices[0], indices[0] + len(indices))
    return indices


# Rotary embeddings whose angles depend on the longest sequence of the batch.
_ROPE_OF_THE_WHOLE_BATCH = re.compile("dynamic|longrope")


def rows_of_any_length(model: Any, cache: Any) -> bool:
    """Whether sequences of different lengths can be rows of this model's cache."""
    takes = inspect.signature(model.forward).parameters
    config = model.config.get_text_config(decoder=True)
    rope = getattr(config, "rope_parameters", None) or {}
    ropes = [rope, *(value for value in rope.values() if isinstance(value, dict))]
    return (
        type(cache) is DynamicCache
        and all(type(layer) in (DynamicLayer, DynamicSlidingWindowLayer, DummyLayer) for layer in cache.layers)
        and "position_ids" in takes
        and "attention_mask" in takes
        # Chunks are counted in columns, biases of position too in some models.
        and getattr(config, "attention_chunk_size", None) is None
        and not getattr(config, "alibi", False)
        and not any(_ROPE_OF_THE_WHOLE_BATCH.search(each.get("rope_type") or "") for each in ropes)
    )
