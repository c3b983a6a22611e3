"""Keys and values of many sequences, and the attention that reads them.

A sequence's step is computed over the capacity of its room: its own length, rounded up to a power of two. So its
arithmetic depends on nothing else, and sequences that lie side by side in a room are served by one call.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from nexttoken.runtimes.llama_weights import Shape
from nexttoken.runtimes.matrix import TOGETHER, Floats, most_on_one_thread

_LEAST_CAPACITY = 64


@dataclass(eq=False)
class Held:
    """Where the keys and values of a sequence of `length` tokens are."""

    room: Room
    slot: int
    length: int

    @property
    def data(self) -> Floats:
        """Keys and values [layers, 2, kv_heads, length, head_size]."""
        view: Floats = self.room.data[:, self.slot, ..., : self.length, :]
        return view


class Room:
    """Sequences of up to `capacity` tokens, in slots from 0 on and without gaps."""

    def __init__(self, shape: Shape, capacity: int) -> None:
        self.capacity = capacity
        self.sequences: list[Held] = []  # by slot
        self.data: Floats = np.zeros((shape.layers, 0, 2, shape.kv_heads, capacity, shape.head_size), np.float32)

    def take(self, data: Floats) -> int:
        """A slot that holds `data`, as `Held.data` gives it, and zeros after it."""
        layers, slots, *rest = self.data.shape
        slot, length = len(self.sequences), data.shape[-2]
        if slot == slots:
            grown = np.zeros((layers, max(1, 2 * slots), *rest), np.float32)
            grown[:, :slots] = self.data
            self.data = grown
        self.data[:, slot, ..., :length, :] = data
        # Tokens to come weigh 0 in a step, which an infinity left by the slot's former sequence would make NaN.
        self.data[:, slot, ..., length:, :] = 0
        return slot

    def leave(self, slot: int) -> None:
        """Free a slot. The last sequence moves there, as gaps would cost calls."""
        last = self.sequences.pop()
        if last.slot != slot:
            self.data[:, slot] = self.data[:, last.slot]
            self.sequences[slot] = last
            last.slot = slot
        slots = self.data.shape[1]
        if len(self.sequences) <= slots // 4:
            self.data = self.data[:, : slots // 2].copy()


class Cache:
    """The keys and values of all sequences."""

    def __init__(self, shape: Shape) -> None:
        self._shape = shape
        self._rooms: dict[int, Room] = {}

    def add(self, data: Floats) -> Held:
        """A new sequence with these keys and values [layers, 2, kv_heads, length, head_size]."""
        length = data.shape[-2]
        room = self._room(length)
        held = Held(room, room.take(data), length)
        room.sequences.append(held)
        return held

    def extend(self, held: Held) -> None:
        """Make room for one more token, which each layer then writes."""
        if held.length == held.room.capacity:
            room, former = self._room(held.length + 1), held.room
            slot = room.take(held.data)
            former.leave(held.slot)
            held.room, held.slot = room, slot
            room.sequences.append(held)
        held.length += 1

    def remove(self, held: Held) -> None:
        """Forget a sequence."""
        held.room.leave(held.slot)

    def _room(self, length: int) -> Room:
        capacity = min(max(_LEAST_CAPACITY, 1 << (length - 1).bit_length()), self._shape.context)
        return self._rooms.setdefault(capacity, Room(self._shape, capacity))


class StepAttention:
    """One new token of each of several sequences, which looks at all tokens of its own.

    The sequences have been extended by their new tokens. They must come by room and slot (`in_order`).
    """

    def __init__(self, sequences: Sequence[Held]) -> None:
        self._runs = []
        for rows, room, slots in _runs(sequences):
            newest = np.array([held.length - 1 for held in sequences[rows]])
            future = np.where(np.arange(room.capacity) > newest[:, None], np.float32(-np.inf), np.float32(0))
            self._runs.append((rows, room.data[:, slots], np.arange(len(newest)), newest, future[:, None, None]))

    def __call__(self, layer: int, queries: Floats, keys_values: Floats) -> Floats:
        """Queries [rows, heads, head_size], the new keys and values [rows, 2, kv_heads, head_size]; like queries."""
        rows, heads, head_size = queries.shape
        kv_heads = keys_values.shape[2]
        # One vector for each query: OpenBLAS would pack a matrix of two or four, which takes longer.
        grouped = queries.reshape(rows, kv_heads, heads // kv_heads, 1, head_size)
        attended = np.empty_like(grouped)
        for run, data, each, newest, future in self._runs:
            data[layer][each, :, :, newest] = keys_values[run]
            keys, values = data[layer][:, :, :, None].swapaxes(0, 1)
            weights = (grouped[run] @ keys.swapaxes(-1, -2))[..., 0, :]
            sums = _exponentials(weights, future)
            np.divide(weights[..., None, :] @ values, sums[..., None], out=attended[run])
        return attended.reshape(queries.shape)


class PromptAttention:
    """The tokens of one prompt, a piece after the other, which look at themselves and those before them."""

    def __init__(self, shape: Shape, length: int) -> None:
        self.data: Floats = np.empty((shape.layers, 2, shape.kv_heads, length, shape.head_size), np.float32)
        self._start = self._stop = 0

    def extend(self, tokens: int) -> None:
        """Go on to the next piece."""
        self._start, self._stop = self._stop, self._stop + tokens

    def __call__(self, layer: int, queries: Floats, keys_values: Floats) -> Floats:
        """Queries [tokens, heads, head_size], keys and values [tokens, 2, kv_heads, head_size]; like queries."""
        tokens, _, head_size = queries.shape
        kv_heads = keys_values.shape[2]
        self.data[layer, :, :, self._start : self._stop] = keys_values.transpose(1, 2, 0, 3)
        attended = np.empty_like(queries)
        for first in range(0, tokens, TOGETHER):
            tile = queries[first : first + TOGETHER]
            stop = self._start + first + len(tile)
            keys, values = self.data[layer, :, :, None, :stop]
            # The queries that look at the same keys are the rows of one product, or of several small ones.
            grouped = tile.reshape(len(tile), kv_heads, -1, head_size).transpose(1, 2, 0, 3)
            at_once = most_on_one_thread(grouped.shape[1] * len(tile), stop, head_size)
            scores = grouped.reshape(kv_heads, -1, at_once, head_size) @ keys.swapaxes(-1, -2)
            weights = scores.reshape(*grouped.shape[:3], stop)
            future = np.triu(np.full((len(tile), stop), -np.inf, np.float32), k=1 + stop - len(tile))
            sums = _exponentials(weights, future)
            looked = (weights.reshape(scores.shape) @ values).reshape(grouped.shape) / sums
            attended[first : first + TOGETHER] = looked.transpose(2, 0, 1, 3).reshape(tile.shape)
        return attended


def in_order(sequences: Sequence[Held]) -> list[int]:
    """The places of the sequences, by room and slot: neighbours in a room are then neighbours in the batch."""
    return sorted(range(len(sequences)), key=lambda i: (sequences[i].room.capacity, sequences[i].slot))


def _runs(sequences: Sequence[Held]) -> Iterator[tuple[slice, Room, slice]]:
    """Stretches of sequences that are neighbours in one room: their rows, their room, their slots."""
    start = 0
    for stop in range(1, len(sequences) + 1):
        first, last = sequences[start], sequences[stop - 1]
        if stop < len(sequences):
            following = sequences[stop]
            if following.room is last.room and following.slot == last.slot + 1:
                continue
        yield slice(start, stop), first.room, slice(first.slot, last.slot + 1)
        start = stop


def _exponentials(weights: Floats, future: Floats) -> Floats:
    """Attention scores to weights in place, without what lies in the future. Returns what to divide them by."""
    weights += future
    weights -= weights.max(axis=-1, keepdims=True)
    np.exp(weights, out=weights)
    sums: Floats = weights.sum(axis=-1, keepdims=True)
    return sums
