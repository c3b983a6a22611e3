"""What is timed: each case by name, and the rows and parameters it comes to for a vocabulary."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from nexttoken import _core, ops
from nexttoken.bench.rows import ROWS, Shape, make_rows
from nexttoken.extras import require

__all__ = ["CASES", "FULL", "VOCABULARIES", "Case", "Workload", "cases_named"]

VOCABULARIES = (128256, 32000, 151936, 262144)
"""Of models that are in use; the first is the one of the full table."""

FULL: Mapping[str, Any] = {"temperature": 0.8, "top_p": 0.95}
_SEED = 5
_BIASED, _SAID = 20, 512
_PER_ROW = ("seed", "logit_bias", "output_token_ids")


@dataclass(frozen=True)
class Case:
    """One way of using the sampler.

    Attributes
    ----------
    name : str
        What tables call it.
    shape : {"peaked", "mid", "flat"}
        Of its rows.
    options : mapping
        Arguments of `nexttoken.sample` that all rows share.
    edits : bool
        Whether rows carry a bias on 20 tokens, and penalties over 512 tokens said before.
    dtype : {"float32", "bfloat16"}
        Of the logits.
    baseline : str, optional
        The case that this one is a variation of: its cost is also given in terms of that one's.
    """

    name: str
    shape: Shape
    options: Mapping[str, Any] = field(default_factory=dict)
    edits: bool = False
    dtype: str = "float32"
    baseline: str | None = None


CASES: tuple[Case, ...] = (
    Case("greedy", "peaked", {"temperature": 0.0}),
    Case("temperature", "peaked", {"temperature": 0.8}),
    Case("full, peaked", "peaked", FULL, edits=True),
    Case("full, mid", "mid", FULL, edits=True),
    Case("full, flat", "flat", FULL, edits=True),
    Case("full, top_k 40", "peaked", {**FULL, "top_k": 40}, edits=True),
    Case("8 draws, peaked", "peaked", {**FULL, "n": 8}, edits=True, baseline="full, peaked"),
    Case("8 draws, mid", "mid", {**FULL, "n": 8}, edits=True, baseline="full, mid"),
    Case("8 draws, flat", "flat", {**FULL, "n": 8}, edits=True, baseline="full, flat"),
    Case("20 logprobs, peaked", "peaked", {**FULL, "logprobs": 20}, edits=True, baseline="full, peaked"),
    Case("20 logprobs, mid", "mid", {**FULL, "logprobs": 20}, edits=True, baseline="full, mid"),
    Case("20 logprobs, flat", "flat", {**FULL, "logprobs": 20}, edits=True, baseline="full, flat"),
    Case("bfloat16, greedy", "peaked", {"temperature": 0.0}, dtype="bfloat16", baseline="greedy"),
    Case("bfloat16, peaked", "peaked", FULL, edits=True, dtype="bfloat16", baseline="full, peaked"),
    Case("bfloat16, mid", "mid", FULL, edits=True, dtype="bfloat16", baseline="full, mid"),
    Case("bfloat16, flat", "flat", FULL, edits=True, dtype="bfloat16", baseline="full, flat"),
)


def cases_named(*names: str) -> list[Case]:
    """The cases of these names, in the order of CASES."""
    return [case for case in CASES if case.name in names]


class Workload:
    """A case for one vocabulary: rows, and what goes with each.

    Parameters
    ----------
    case : Case
        What to do.
    vocab, count : int
        Tokens and rows.
    rows : float32 array [count, vocab], optional
        In place of the case's own; `count` is theirs then.

    Attributes
    ----------
    logits : array [count, vocab]
        In the case's dtype.
    options : dict
        Arguments of `nexttoken.sample` for the whole batch.
    """

    def __init__(
        self, case: Case, vocab: int, count: int = ROWS, *, rows: npt.NDArray[np.float32] | None = None
    ) -> None:
        self.case = case
        rows = make_rows(case.shape, vocab, count) if rows is None else rows
        self.vocab, self.count = vocab, len(rows)
        self.logits: npt.NDArray[Any] = rows
        if case.dtype != "float32":
            self.logits = rows.astype(require("ml_dtypes", "bench").bfloat16)
        self.options: dict[str, Any] = {**case.options, "seed": [_SEED + row for row in range(self.count)]}
        if case.edits:
            edits = [_edits(line, np.random.default_rng([row, vocab])) for row, line in enumerate(rows)]
            self.options |= {
                "logit_bias": [bias for bias, _ in edits],
                "output_token_ids": [said for _, said in edits],
                "presence_penalty": 0.1,
                "frequency_penalty": 0.2,
                "step": _SAID,  # as many draws lie behind the row as tokens
            }

    def of_row(self, row: int) -> dict[str, Any]:
        """The options of one row alone, as `nexttoken.sample` and the reference take them."""
        return {name: value[row] if name in _PER_ROW else value for name, value in self.options.items()}

    def of_rows(self, rows: slice) -> dict[str, Any]:
        """The options of some rows, as `nexttoken.sample` takes them for a batch."""
        return {name: value[rows] if name in _PER_ROW else value for name, value in self.options.items()}

    def prepared(self, rows: slice = slice(None)) -> tuple[_core.Logits, _core.BatchParams]:
        """Logits and parameters of some rows, as the core takes them."""
        defaults = {name: parameter.default for name, parameter in inspect.signature(ops.sample).parameters.items()}
        view = _core.Logits(self.logits[rows])
        return view, ops.prepare(view, defaults | self.of_rows(rows))[0]

    def nucleus(self) -> float | None:
        """The median number of tokens that a draw chooses from; None where nothing is cut."""
        if not (self.options.get("top_k") or self.options.get("top_p", 1.0) < 1.0):
            return None
        sizes: list[int] = []
        for start in range(0, self.count, 4):  # weights take 8 bytes a token
            view, params = self.prepared(slice(start, start + 4))
            weights, _, _ = _core.distribution(view, params)
            sizes += np.count_nonzero(weights, axis=1).tolist()
        return float(np.median(sizes))


def _edits(row: npt.NDArray[np.float32], rng: np.random.Generator) -> tuple[dict[int, float], list[int]]:
    """A bias and a history for a row: half of the tokens are among its best, as those of a real text are.

    Any of the best 200 were said. A bias is on the best 50: it is there because it makes a difference.
    """
    vocab = len(row)
    best = np.argsort(-row, kind="stable")[:200].tolist()
    biased = dict.fromkeys(rng.choice(best[:50], min(_BIASED // 2, len(best)), replace=False).tolist())
    while len(biased) < min(_BIASED, vocab):
        biased[int(rng.integers(vocab))] = None
    said = [*rng.choice(best, _SAID // 2).tolist(), *rng.integers(0, vocab, _SAID // 2).tolist()]
    return {token: float(rng.uniform(-2, 2)) for token in biased}, said
