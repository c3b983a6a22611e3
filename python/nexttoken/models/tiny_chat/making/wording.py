"""Patterns that stand for many wordings, and the roughness of typed text.

A pattern holds choices in square brackets, which may nest, and slots in braces:
``"[What is|What's] the capital of {x}[?|]"`` stands for four texts.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from random import Random
from typing import TypeVar

T = TypeVar("T")
Node = str | tuple  # a literal, or the alternatives of one bracket, each a tuple of nodes


def pick(rng: Random, options: Sequence[T]) -> T:
    """`rng.choice` with one draw whatever the length: quicker, and the stream is easy to follow."""
    return options[int(rng.random() * len(options))]


def words_of(text: str) -> tuple[str, ...]:
    return tuple(text.split())


@cache
def _parse(pattern: str) -> tuple[Node, ...]:
    position = 0

    def sequence(inside: bool) -> tuple[Node, ...]:
        nonlocal position
        nodes: list[Node] = []
        literal = ""
        while position < len(pattern) and not (inside and pattern[position] in "|]"):
            if pattern[position] != "[":
                literal += pattern[position]
                position += 1
                continue
            position += 1
            alternatives = [sequence(True)]
            while pattern[position] == "|":
                position += 1
                alternatives.append(sequence(True))
            position += 1
            nodes += [literal, tuple(alternatives)]
            literal = ""
        return (*nodes, literal)

    return sequence(False)


def _choose(rng: Random, nodes: tuple[Node, ...], out: list[str]) -> None:
    for node in nodes:
        if isinstance(node, str):
            out.append(node)
        else:
            _choose(rng, pick(rng, node), out)


def article(noun: str) -> str:
    vowel = noun[0].lower() in "aeiou" and not noun.lower().startswith("uni")
    return ("an " if vowel else "a ") + noun


def capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def expand(rng: Random, pattern: str, **slots: str) -> str:
    """One text of the pattern. Slot `x` also answers to {X} (capital first), {ax} and {AX} (with article)."""
    out: list[str] = []
    _choose(rng, _parse(pattern), out)
    text = "".join(out)
    for name, value in slots.items():
        text = text.replace("{" + name + "}", value).replace("{" + name.upper() + "}", capital(value))
        if "{a" + name + "}" in text or "{A" + name.upper() + "}" in text:
            with_article = article(value)
            text = text.replace("{a" + name + "}", with_article)
            text = text.replace("{A" + name.upper() + "}", capital(with_article))
    return text


_OPENERS = (
    "Please tell me, ",
    "Tell me, ",
    "Hey, ",
    "Hi, ",
    "So, ",
    "OK, ",
    "Um, ",
    "Quick question: ",
    "I have a question: ",
    "I would like to know, ",
    "Now, ",
    "Well, ",
    "Question: ",
    "Hello, ",
    "And now, ",
    "Do you know this? ",
)
_CLOSERS = (" please", " thanks", " please?", ", please.", " Thank you.", ", thanks!", " :)")


def _typo(rng: Random, text: str) -> str:
    """One slip of the fingers inside a word: two letters swapped, one lost or one doubled."""
    places = [m.start() for m in re.finditer(r"(?<=[a-z])[a-z](?=[a-z])", text)]
    if not places:
        return text
    at = pick(rng, places)
    how = rng.random()
    if how < 0.4:
        return text[:at] + text[at + 1] + text[at] + text[at + 2 :]
    return text[:at] + text[at + 1 :] if how < 0.75 else text[:at] + text[at] + text[at:]


def roughen(rng: Random, text: str) -> str:
    """The text as a person might type it: often untouched, or lower-case, unpunctuated, with a slip."""
    draw = rng.random()
    if draw < 0.55:
        return text
    if rng.random() < 0.12 and len(text) > 12:
        first = text[0] if text.startswith(("I ", "I'")) else text[0].lower()
        text = pick(rng, _OPENERS) + first + text[1:]
    if rng.random() < 0.10 and len(text) > 12:
        text = text.rstrip("?.!") + pick(rng, _CLOSERS)
    if rng.random() < 0.55:
        text = text.lower()
    if rng.random() < 0.45 and "\n" not in text:
        text = text.rstrip("?.!")
    if rng.random() < 0.08 and len(text) > 14:
        text = _typo(rng, text)
    if rng.random() < 0.03:
        text = text.upper()
    if rng.random() < 0.06:
        text += pick(rng, ("!", "?", "??", "...", " ?", " "))
    return text


def normal(text: str) -> str:
    """The text without case, punctuation and spacing: two texts alike in this are one wording."""
    return " ".join(re.findall(r"[^\W_]+", text.lower().replace("'", "")))
