"""Batches of logits on a device, with what goes with each row: as many different ones as a run needs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from gpu.cases import Case
from nexttoken.bench.cases import Workload, cases_named
from nexttoken.bench.rows import ROWS, Shape


@dataclass(frozen=True)
class Inputs:
    """One batch. Rows of all batches differ.

    Attributes
    ----------
    logits : tensor [batch, vocab]
    seed, step : int64 tensor [batch]
    said : int64 tensor [batch, 512]
        What the penalties count.
    bias_tokens, bias_values : int64 and float32 tensor [batch, 20]
    """

    logits: torch.Tensor
    seed: torch.Tensor
    step: torch.Tensor
    said: torch.Tensor
    bias_tokens: torch.Tensor
    bias_values: torch.Tensor

    @property
    def batch(self) -> int:
        """Rows."""
        return len(self.logits)

    @property
    def vocab(self) -> int:
        """Tokens a row."""
        return self.logits.shape[1]

    def logit_bias(self) -> list[dict[int, float]]:
        """As `nexttoken.sample` takes it."""
        pairs = zip(self.bias_tokens.tolist(), self.bias_values.tolist(), strict=True)
        return [dict(zip(tokens, values, strict=True)) for tokens, values in pairs]

    def as_float32(self) -> Inputs:
        """The same numbers, in float32."""
        return Inputs(**{**vars(self), "logits": self.logits.float()})

    def repeated(self, row: int) -> Inputs:
        """A batch of one row, again and again, each with a seed of its own."""
        same = {name: value[row : row + 1].expand_as(value).contiguous() for name, value in vars(self).items()}
        return Inputs(**{**same, "seed": self.seed})

    def host_options(self, case: Case, row: int) -> dict[str, Any]:
        """The options of one row, as `nexttoken.sample` takes them for a row in host memory."""
        options = {**case.options, "seed": int(self.seed[row]), "step": int(self.step[row])}
        if case.edits:
            options["logit_bias"] = self.logit_bias()[row]
            options["output_token_ids"] = self.said[row].tolist()
        return options


class Pool:
    """Makes batches from a few rows of a shape, each turned by another distance: as many rows as are asked for."""

    def __init__(self, shape: Shape, vocab: int, device: torch.device, rows: int = ROWS) -> None:
        workload = Workload(cases_named(f"full, {shape}")[0], vocab, rows)
        options = workload.options
        self.vocab, self.device = vocab, device
        self.rows = torch.from_numpy(np.array(workload.logits)).to(device)
        self.said = torch.tensor(options["output_token_ids"], dtype=torch.int64, device=device)
        self.bias_tokens = torch.tensor([list(bias) for bias in options["logit_bias"]], device=device)
        values = [list(bias.values()) for bias in options["logit_bias"]]
        self.bias_values = torch.tensor(values, dtype=torch.float32, device=device)
        self._made = 0

    def batch(self, size: int, dtype: str = "float32") -> Inputs:
        """The next batch."""
        rows = torch.arange(self._made, self._made + size)
        self._made += size
        source = (rows % len(self.rows)).to(self.device)
        # Steps of an odd distance visit every place before they come back to one.
        turn = (rows * 7919 % self.vocab).to(self.device)[:, None]
        logits = torch.empty((size, self.vocab), dtype=getattr(torch, dtype), device=self.device)
        for row in range(size):
            logits[row] = torch.roll(self.rows[source[row]], int(turn[row]))
        return Inputs(
            logits=logits,
            seed=rows.to(self.device) + 5,
            step=torch.full((size,), 512, dtype=torch.int64, device=self.device),
            said=(self.said[source] + turn) % self.vocab,
            bias_tokens=(self.bias_tokens[source] + turn) % self.vocab,
            bias_values=self.bias_values[source],
        )


def batches_needed(batch: int, vocab: int, item_bytes: int, cache_bytes: int) -> int:
    """How many batches, one after the other, are more than twice what the cache holds; at least 2."""
    return max(2, math.ceil(2 * cache_bytes / (batch * vocab * item_bytes)) + 1)
