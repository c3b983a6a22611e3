"""A matrix of weights, multiplied with rows that must not touch each other, or with all rows of a prompt."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

# A block is at most this many outputs and this many numbers: it stays in a core's own cache while every row meets it.
_BLOCK_OUTPUTS, _BLOCK_NUMBERS = 64, 2**16

# A larger matrix is not cut: reading it takes longest, and OpenBLAS spreads that over the cores.
_LARGE = 2**22


class Matrix:
    """Weights [outputs, inputs].

    A product of all rows at once rounds a row differently with every number of rows: OpenBLAS has other kernels for
    one row, and other edges for each number of them. A seed would then not repeat its answer. So a step multiplies
    each row by itself, always with the same blocks; it reads a block from memory once, and has every row
    multiplied while the block is in cache.
    """

    def __init__(self, numbers: Floats) -> None:
        outputs, inputs = numbers.shape
        self.numbers = numbers
        size = 1 << (min(_BLOCK_OUTPUTS, max(1, _BLOCK_NUMBERS // inputs)).bit_length() - 1)
        if numbers.size > _LARGE:
            size = outputs
        self._whole = outputs - outputs % size  # outputs in whole blocks; what is left is a smaller one
        self._blocks = numbers[: self._whole].reshape(-1, 1, size, inputs).swapaxes(2, 3)

    def row_by_row(self, x: Floats) -> Floats:
        """Rows `x` [rows, inputs] to [rows, outputs]: the same bits for a row, whichever other rows there are."""
        rows = x[:, None]
        # No `out` here: NumPy would go through the blocks in the order of its strides, row after row.
        product: Floats = (rows @ self._blocks).swapaxes(0, 1).reshape(len(x), self._whole)
        if self._whole < len(self.numbers):
            rest = (rows @ self.numbers[self._whole :].T)[:, 0]
            product = np.concatenate([product, rest], axis=1)
        return product

    def all_rows(self, x: Floats) -> Floats:
        """Rows `x` [rows, inputs] to [rows, outputs], in one go."""
        product: Floats = x @ self.numbers.T
        return product
