"""A matrix of weights, multiplied with rows that must not touch each other, or with all rows of a prompt."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

# A block of at most this many numbers, half a megabyte, stays in a core's own cache while every row meets it.
_BLOCK = 2**17

# OpenBLAS spreads a product over threads and waits for them: with one row from about half a million numbers on (its
# issue 2846), with several rows from 2**18 multiplications on. On a busy machine one such wait takes longer than a
# small model's whole step: a short prompt took a second instead of ten milliseconds. So products stay below that ...
_ONE_THREAD = 2**18

# ... save for matrices larger than this: reading them takes longest, and all cores together read faster.
_LARGE = 2**22

# Rows of a prompt that are multiplied together. More gain little: fewer outputs then fit below the limit.
TOGETHER = 32


class Matrix:
    """Weights, given as [outputs, inputs].

    A product of all rows at once rounds a row differently with every number of rows: OpenBLAS has other kernels for
    one row, and other edges for each number of them. A seed would then not repeat its answer. So a step multiplies
    each row by itself, always with the same blocks. It reads a block from memory once, and multiplies every row
    with it while it is in cache.
    """

    def __init__(self, numbers: Floats) -> None:
        outputs, inputs = numbers.shape
        self._large = numbers.size > _LARGE
        if self._large:
            self._parts = self._narrow = [numbers.T[None, None]]
            return
        width = min(outputs, _power_of_two(_BLOCK // inputs))
        whole = outputs - outputs % width
        blocks = numbers[:whole].reshape(-1, width, inputs).swapaxes(1, 2)
        rest = numbers[None, whole:].swapaxes(1, 2)
        # [blocks, 1, inputs, width], and what is left of the outputs as one more block, narrower.
        self._parts = [np.ascontiguousarray(part)[:, None] for part in (blocks, rest) if part.size]
        self._narrow = [_narrowed(part) for part in self._parts]

    def row_by_row(self, x: Floats) -> Floats:
        """Rows `x` [rows, inputs] to [rows, outputs]: the same bits for a row, whichever other rows there are."""
        rows = x[:, None]
        # No `out`: NumPy would go through the blocks in the order that suits it, row after row.
        return _joined([(rows @ part).swapaxes(0, 1) for part in self._parts])

    def all_rows(self, x: Floats) -> Floats:
        """Rows `x` [rows, inputs] to [rows, outputs], many together: for rows that always come in this company."""
        at_once = len(x) if self._large else TOGETHER
        tiles = [x[start : start + at_once] for start in range(0, len(x), at_once)]
        return np.concatenate(
            [_joined([(tile @ part).transpose(2, 0, 1, 3) for part in self._narrow]) for tile in tiles]
        )


def most_on_one_thread(whole: int, *others: int) -> int:
    """The length to cut an axis of length `whole` to, so that a product with these other axes waits for no threads."""
    return math.gcd(whole, _power_of_two(_ONE_THREAD // math.prod(others)))


def _narrowed(part: Floats) -> Floats:
    """Blocks [blocks, 1, inputs, width], cut for products of several rows: a view [blocks, cuts, inputs, narrow]."""
    blocks, _, inputs, width = part.shape
    narrow = most_on_one_thread(width, TOGETHER, inputs)
    view: Floats = part.reshape(blocks, inputs, width // narrow, narrow).swapaxes(1, 2)
    return view


def _joined(products: list[Floats]) -> Floats:
    """Products [rows, ...] beside each other: [rows, outputs]."""
    joined = [each.reshape(len(each), math.prod(each.shape[1:])) for each in products]
    return joined[0] if len(joined) == 1 else np.concatenate(joined, axis=1)


def _power_of_two(most: int) -> int:
    """The largest one up to `most`, and at least 1."""
    return 1 << max(0, most.bit_length() - 1)
