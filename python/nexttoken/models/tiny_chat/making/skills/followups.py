"""What can be asked about the answer just given, whatever it was."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from ..exchange import Exchange
from ..wording import expand, pick
from .spelling import spelled

_AGAIN = (
    "[Say|Tell me] [that|it] again[.|, please.|]",
    "[Repeat|Please repeat] [that|it|your answer][.|, please.|]",
    "What did you [just |]say?",
    "[Can|Could] you [repeat|say] that[ again|]?",
    "Once more[.|, please.]",
    "I did not hear you.",
)
_UPPER = (
    (
        "[Now|And now|Say that|Say it|Write that|Again, but] in [upper case|capital letters|capitals][.|, "
        "please.]"
    ),
    "[Can|Could] you [say|write] that in [upper case|capitals|capital letters]?",
)
_LOWER = (
    "[Now|And now|Say that|Say it|Write that|Again, but] in [lower case|small letters][.|, please.]",
    "[Can|Could] you [say|write] that in [lower case|small letters]?",
)
_SHORT = (
    "[Say|Tell me|Put] [that|it] in [one word|a word|short][.|, please.]",
    "[In one word|In short|Shorter][?|.|, please.]",
    "[Just|Only] the [answer|word][.|, please.]",
    "[Can|Could] you say [that|it] in one word?",
)
_SPELL = (
    "[Spell|Now spell|Please spell] [that|it|the answer][.|, please.|]",
    "How do you spell [that|it]?",
    "[Can|Could] you spell [that|it]?",
    "How is that spelled?",
)
_ASKED = (
    "What did I [just |]ask[ you|]?",
    "What was my [last |]question?",
    "[Repeat|Tell me] my question[.|, please.]",
    "[Do you remember|Say again] what I asked[?|.]",
)


def after(rng: Random, previous: Exchange) -> Exchange | None:
    """A turn that only makes sense after `previous`, or None where the drawn one does not fit it."""
    short = previous.short
    one_word = bool(short) and " " not in short
    choices: tuple[tuple[tuple[str, ...], Callable[[], str], bool], ...] = (
        (_AGAIN, lambda: previous.answer, len(previous.answer) < 160),
        (_UPPER, lambda: previous.answer.upper(), len(previous.answer) < 120),
        (_LOWER, lambda: previous.answer.lower(), len(previous.answer) < 120),
        (_SHORT, lambda: short[:1].upper() + short[1:] + ".", one_word),
        (_SPELL, lambda: spelled(short), one_word and short.isalpha() and len(short) <= 10),
        (
            _ASKED,
            lambda: f'You asked: "{previous.user}"',
            len(previous.user) < 80 and previous.user.endswith("?"),
        ),
    )
    patterns, answer, fits = pick(rng, choices)
    return Exchange(expand(rng, pick(rng, patterns)), answer(), fixed=True) if fits else None
