"""What is timed on a GPU: the ways of sampling, and the batches that they are tried on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from nexttoken.bench.rows import Shape

FULL: Mapping[str, Any] = {
    "temperature": 0.8, "top_p": 0.95, "presence_penalty": 0.1, "frequency_penalty": 0.2, "logprobs": 0,
}  # fmt: skip


@dataclass(frozen=True)
class Case:
    """One way of sampling.

    Attributes
    ----------
    name : str
        What tables call it, with the shape of the rows after it.
    options : mapping
        Arguments of `nexttoken.sample` that all rows share.
    edits : bool
        Whether each row has a bias on 20 tokens and a history of 512, as `nexttoken.bench.cases` makes them.
    shapes : tuple of str
        Of the rows that it is tried on.
    """

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)
    edits: bool = False
    shapes: tuple[Shape, ...] = ("peaked", "mid", "flat")


CASES: tuple[Case, ...] = (
    Case("full", FULL, edits=True),
    Case("top_k 50, top_p 0.9", {"top_k": 50, "top_p": 0.9}),
    Case("greedy", {"temperature": 0.0}, shapes=("peaked",)),
    Case("temperature", {"temperature": 0.8}, shapes=("mid",)),
    Case("20 logprobs", {**FULL, "logprobs": 20}, edits=True, shapes=("mid",)),
)


@dataclass(frozen=True)
class Run:
    """Batches of one kind, which all solvers are tried on in turn."""

    vocab: int
    batch: int
    dtype: str
    shape: Shape
    cold: bool

    def cases(self) -> list[Case]:
        """What is timed on them. Hot, only what a reader compares with the cold figures."""
        fitting = [case for case in CASES if self.shape in case.shapes]
        return fitting if self.cold else [case for case in fitting if case.name in ("full", "greedy")]

    def name_of(self, case: Case) -> str:
        """As in tables and in targets.json."""
        name = f"{case.name}, {self.shape}" if len(case.shapes) > 1 else case.name
        return name if self.dtype == "float32" else f"{self.dtype}, {name}"


BATCHES = (1, 16, 64, 256)
DTYPES = ("float32", "bfloat16")


def plan() -> Iterator[Run]:
    """All runs, what matters most first: time may run out."""
    for shape in ("mid", "peaked", "flat"):
        for batch in BATCHES:
            for dtype in DTYPES:
                yield Run(128256, batch, dtype, shape, cold=True)  # type: ignore[arg-type]
    for batch in BATCHES:
        yield Run(128256, batch, "float32", "mid", cold=False)
    for batch in (1, 64):
        for dtype in DTYPES:
            yield Run(151936, batch, dtype, "mid", cold=True)
