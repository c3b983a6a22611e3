"""The unit of the corpus: what the user says and what the assistant answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random


@dataclass(frozen=True)
class Exchange:
    """One question and its answer.

    `short` is the answer in a word or two where there is one, `items` its members where it is a list: the
    system prompts that ask for one word or for a list are obeyed from these. `fixed` marks an answer that a
    manner of speaking would spoil (letters spelled out, text said again).
    """

    user: str
    answer: str
    short: str = ""
    items: tuple[str, ...] = ()
    fixed: bool = False

    def said(self, answer: str) -> Exchange:
        return replace(self, answer=answer)


Skill = Callable[[Random], list[Exchange]]
