"""Batches of rows filled with whole conversations, which do not see each other.

Most conversations are short and attention over a long row would be wasted on them, so rows have two lengths.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor

from .corpus import conversations
from .tokenizer import PAD, Encoder

Document = tuple[np.ndarray, np.ndarray]
# Inputs, targets and target weights, each [rows, length]; who sees whom, [rows, 1, length, length].
Batch = tuple[Tensor, Tensor, Tensor, Tensor]


class Shelf:
    """Conversations that wait for a batch of `row_count` rows of `length` tokens."""

    def __init__(self, length: int, row_count: int, pad: int) -> None:
        self.length = length
        self._row_count = row_count
        self._pad = pad
        self._waiting: list[Document] = []
        self._tokens = 0
        self._causal = np.tri(length, dtype=bool)

    def add(self, document: Document) -> None:
        ids, weights = (part[: self.length + 1] for part in document)
        self._waiting.append((ids, weights))
        self._tokens += len(ids) - 1

    def is_ready(self) -> bool:
        """Whether enough waits to fill the rows well: a fifth more than they hold."""
        return self._tokens >= 1.2 * self.length * self._row_count

    def _row(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        inputs, targets, segments = (
            np.full(self.length, fill, np.int64) for fill in (self._pad, self._pad, 0)
        )
        weights = np.zeros(self.length, np.float32)
        at = segment = position = 0
        # Oldest first, so that none waits for ever; what no longer fits is left for the next row.
        while position < len(self._waiting) and at < self.length - 8:
            ids, weight = self._waiting[position]
            size = len(ids) - 1
            if at + size > self.length:
                position += 1
                continue
            self._waiting.pop(position)
            self._tokens -= size
            segment += 1
            here = slice(at, at + size)
            inputs[here], targets[here], weights[here], segments[here] = (
                ids[:-1],
                ids[1:],
                weight[1:],
                segment,
            )
            at += size
        return inputs, targets, weights, segments

    def batch(self) -> Batch:
        inputs, targets, weights, segments = (
            np.stack(part) for part in zip(*(self._row() for _ in range(self._row_count)), strict=True)
        )
        mask = (segments[:, :, None] == segments[:, None, :]) & self._causal
        return (
            torch.from_numpy(inputs),
            torch.from_numpy(targets),
            torch.from_numpy(weights),
            torch.from_numpy(mask[:, None]),
        )


def batches(
    tokenizer: Tokenizer, seed: int, mix: str, length: int, tokens: int, other_weight: float
) -> Iterator[Batch]:
    """Endless batches of about `tokens` tokens, in rows of `length` or of a third of it."""
    encoder = Encoder(tokenizer, other_weight)
    source = conversations(seed, mix)
    pad = tokenizer.token_to_id(PAD)
    shelves = [Shelf(size, tokens // size, pad) for size in (length // 3, length)]
    while True:
        for document in encoder.encode(islice(source, 256)):
            shelves[len(document[0]) - 1 > shelves[0].length].add(document)
        for shelf in shelves:
            while shelf.is_ready():
                yield shelf.batch()
