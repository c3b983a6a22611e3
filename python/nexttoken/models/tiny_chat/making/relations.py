"""Facts as tables: a relation between a subject and an object, with the wordings that ask and tell it."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from .exchange import Exchange
from .wording import expand, pick


def table(text: str) -> dict[str, str]:
    """Read `subject: object` entries, separated by `;` or line ends."""
    pairs = {}
    for entry in text.replace("\n", ";").split(";"):
        if entry.strip():
            subject, _, value = entry.partition(":")
            pairs[subject.strip()] = value.strip()
    return pairs


def inverse(pairs: dict[str, str]) -> dict[str, str]:
    """Object to subject, where only one subject has the object."""
    values = list(pairs.values())
    return {value: subject for subject, value in pairs.items() if values.count(value) == 1}


@dataclass(frozen=True)
class Relation:
    """`ask` and `tell` are patterns over {x}, the subject, and {y}, the object; `again` asks of another."""

    pairs: dict[str, str]
    ask: tuple[str, ...]
    tell: tuple[str, ...]
    again: tuple[str, ...] = ("[And|What about|How about|And what about|And how about] {x}?",)
    weight: float = 1.0

    def exchange(self, rng: Random, subject: str, patterns: tuple[str, ...]) -> Exchange:
        value = self.pairs[subject]
        user = expand(rng, pick(rng, patterns), x=subject)
        answer = expand(rng, pick(rng, self.tell), x=subject, y=value)
        user, answer = user[:1].upper() + user[1:], answer[:1].upper() + answer[1:]
        return Exchange(user, answer, short=value)

    def make(self, rng: Random) -> list[Exchange]:
        """One question, or one in four times a question and one to three more of the same kind."""
        further = 1 + int(rng.random() * 3) if rng.random() < 0.25 else 0
        first, *others = rng.sample(list(self.pairs), 1 + further)
        return [
            self.exchange(rng, first, self.ask),
            *(self.exchange(rng, other, self.again) for other in others),
        ]
