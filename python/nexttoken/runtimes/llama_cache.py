"""Keys and values of many sequences, and the attention that reads them.

A sequence's step is computed over its own length, rounded up to a power of two. So its arithmetic depends on nothing
else, and sequences that lie side by side and round to the same are served by one call.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from nexttoken.runtimes.llama_weights import Shape
from nexttoken.runtimes.matrix import TOGETHER, Floats, most_on_one_thread

_LEAST_CAPACITY = 64

# Bytes that a room takes at once. The system gives them when they are first written, so one sequence holds no more
# than its slot. It gets them back when the block is dropped: glibc maps what is larger than 32 MiB by itself.
_BLOCK = 2**26

# Sequences that grow side by side move to a larger room over so many steps: no step waits for all of them. Those that
# have moved and still span less than their neighbours cost a call of their own, so not over more.
_STEPS_TO_MOVE = 16


@dataclass(eq=False)
class Held:
    """Where the keys and values of a sequence of `length` tokens are: in a room for `ahead` more."""

    room: Room
    slot: int
    length: int
    ahead: int

    @property
    def data(self) -> Floats:
        """Keys and values [layers, 2, kv_heads, length, head_size]."""
        view: Floats = self.room.at(self.slot)[..., : self.length, :]
        return view

    @property
    def span(self) -> int:
        """How many tokens a step computes over. Those after `length` weigh nothing."""
        return _capacity(self.room.shape, self.length)


class Room:
    """Sequences of up to `capacity` tokens, in slots from 0 on and without gaps.

    The slots lie in blocks of a fixed size, so nobody is copied when others come. What no sequence here wrote is zero:
    tokens to come weigh 0 in a step, which an infinity would make NaN.
    """

    def __init__(self, shape: Shape, capacity: int) -> None:
        self.shape = shape
        self.capacity = capacity
        self.sequences: list[Held] = []  # by slot
        self.blocks: list[Floats] = []
        self._slot_shape = (shape.layers, 2, shape.kv_heads, capacity, shape.head_size)
        self.block_slots = max(1, _BLOCK // (4 * math.prod(self._slot_shape)))

    def at(self, slot: int) -> Floats:
        """A slot [layers, 2, kv_heads, capacity, head_size]."""
        block, index = divmod(slot, self.block_slots)
        view: Floats = self.blocks[block][index]
        return view

    def take(self, data: Floats) -> int:
        """The next slot, which then holds `data`, as `Held.data` gives it."""
        slot = len(self.sequences)
        if slot == len(self.blocks) * self.block_slots:
            self.blocks.append(np.zeros((self.block_slots, *self._slot_shape), np.float32))
        self.at(slot)[..., : data.shape[-2], :] = data
        return slot

    def leave(self, held: Held) -> None:
        """Free the slot of a sequence. The last sequence moves there, as gaps would cost calls."""
        last = self.sequences.pop()
        left = self.at(last.slot)
        if last is not held:
            written = max(last.length, held.length)
            self.at(held.slot)[..., :written, :] = left[..., :written, :]
            self.sequences[held.slot] = last
        if last.slot % self.block_slots == 0:
            self.blocks.pop()
        else:
            left[..., : last.length, :] = 0
        last.slot = held.slot


class Cache:
    """The keys and values of all sequences."""

    def __init__(self, shape: Shape) -> None:
        self._shape = shape
        self._rooms: dict[int, Room] = {}
        self._aheads: Iterator[int] = itertools.cycle(range(_STEPS_TO_MOVE))

    def add(self, data: Floats) -> Held:
        """A new sequence with these keys and values [layers, 2, kv_heads, length, head_size]."""
        length, ahead = data.shape[-2], next(self._aheads)
        room = self._room(length + ahead)
        held = Held(room, room.take(data), length, ahead)
        room.sequences.append(held)
        return held

    def extend(self, sequences: Sequence[Held]) -> None:
        """Make room for one more token of each, which each layer then writes."""
        due = [held for held in sequences if held.length + held.ahead >= held.room.capacity]
        # From the last to the first: of neighbours that leave together, none is copied to the slot of another.
        for i in reversed(in_order(due)):
            held = due[i]
            former, room = held.room, self._room(held.length + 1 + held.ahead)
            if room is not former:
                slot = room.take(held.data)
                former.leave(held)
                held.room, held.slot = room, slot
                room.sequences.append(held)
        for held in sequences:
            held.length += 1

    def remove(self, held: Held) -> None:
        """Forget a sequence."""
        held.room.leave(held)

    def _room(self, length: int) -> Room:
        capacity = _capacity(self._shape, length)
        if capacity not in self._rooms:
            self._rooms[capacity] = Room(self._shape, capacity)
        return self._rooms[capacity]


class StepAttention:
    """One new token of each of several sequences, which looks at all tokens of its own.

    The sequences have been extended by their new tokens. They must come by room and slot (`in_order`).
    """

    def __init__(self, sequences: Sequence[Held]) -> None:
        self._runs = []
        for rows, data in _runs(sequences):
            newest = np.array([held.length - 1 for held in sequences[rows]])
            future = np.where(np.arange(data.shape[-2]) > newest[:, None], np.float32(-np.inf), np.float32(0))
            self._runs.append((rows, data, np.arange(len(newest)), newest, future[:, None, None]))

    def __call__(self, layer: int, queries: Floats, keys_values: Floats) -> Floats:
        """Queries [rows, heads, head_size], the new keys and values [rows, 2, kv_heads, head_size]; like queries."""
        rows, heads, head_size = queries.shape
        kv_heads = keys_values.shape[2]
        # One vector for each query: OpenBLAS would pack a matrix of two or four, which takes longer.
        grouped = queries.reshape(rows, kv_heads, heads // kv_heads, 1, head_size)
        attended = np.empty_like(grouped)
        for run, data, each, newest, future in self._runs:
            data[:, layer][each, :, :, newest] = keys_values[run]
            keys, values = data[:, layer, :, :, None].swapaxes(0, 1)
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


def _runs(sequences: Sequence[Held]) -> Iterator[tuple[slice, Floats]]:
    """Neighbours in one block that span the same: their rows, and what they hold up to that span."""

    def run(row: int) -> tuple[int, ...]:
        held = sequences[row]
        return held.room.capacity, held.slot // held.room.block_slots, held.slot - row, held.span

    for (_, block, _, span), group in itertools.groupby(range(len(sequences)), run):
        rows = list(group)
        room, slot = sequences[rows[0]].room, sequences[rows[0]].slot % sequences[rows[0]].room.block_slots
        yield slice(rows[0], rows[-1] + 1), room.blocks[block][slot : slot + len(rows), ..., :span, :]


def _capacity(shape: Shape, length: int) -> int:
    return min(max(_LEAST_CAPACITY, 1 << (length - 1).bit_length()), shape.context)


def _exponentials(weights: Floats, future: Floats) -> Floats:
    """Attention scores to weights in place, without what lies in the future. Returns what to divide them by."""
    weights += future
    weights -= weights.max(axis=-1, keepdims=True)
    np.exp(weights, out=weights)
    sums: Floats = weights.sum(axis=-1, keepdims=True)
    return sums
