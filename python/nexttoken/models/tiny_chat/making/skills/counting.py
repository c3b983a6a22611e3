"""Counting up, down and by steps; what comes before, after and between."""

from __future__ import annotations

from random import Random

from ..exchange import Exchange
from ..wording import expand, pick
from .arithmetic import NUMBER_WORDS
from .world import DAYS, MONTHS


def held_out(start: int, stop: int) -> bool:
    """Counts from `start` to `stop` that the corpus never shows."""
    return abs(stop - start) > 2 and (start * 7 + stop * 3) % 9 == 4


_RANGE = (
    "Count from {a} to {b}[.|]",
    "[Can|Could] you count from {a} to {b}?",
    "Please count from {a} to {b}.",
    "Count {a} to {b}.",
    "[List|Write|Say|Give me|Tell me] the numbers from {a} to {b}.",
    "[What are|Which are] the numbers from {a} to {b}?",
    "[Start|Begin] at {a} and count to {b}.",
    "I want you to count from {a} to {b}.",
    "[Numbers from|From] {a} to {b}, please.",
    "Count [up |]to {b}, [starting|beginning] [at|from|with] {a}.",
)
_DOWN = (
    "Count [down |backwards ]from {a} to {b}[.|]",
    "[Can|Could] you count [down|backwards] from {a} to {b}?",
    "Count down from {a} to {b}, please.",
    "[Say|List|Give me|Write] the numbers from {a} down to {b}.",
    "Count backwards: {a} to {b}.",
)
_TO = (
    "Count to {b}[.|]",
    "[Can|Could] you count to {b}?",
    "Please count to {b}.",
    "Count up to {b}.",
    "I want you to count to {b}.",
    "Count for me to {b}.",
)
_STEP = (
    "Count [by|in] {s} from {a} to {b}.",
    "[Can|Could] you count [by|in] {s} from {a} to {b}?",
    "Count from {a} to {b} [by|in] {s}.",
    "Count [by|in] {s}, from {a} to {b}.",
    "[List|Write|Say|Give me] the numbers from {a} to {b} in steps of {n}.",
)
_STEP_WORDS = {2: "twos", 3: "threes", 5: "fives", 10: "tens"}
_AFTER = (
    "[What|Which number] comes [right |just |]after {n}?",
    "[What|Which] is the number after {n}?",
    "What number follows {n}?",
    "What [number |]is next after {n}?",
    "[Tell me|Name] the number after {n}.",
    "What comes next: {p}, {n}, ...?",
)
_BEFORE = (
    "[What|Which number] comes [right |just |]before {n}?",
    "[What|Which] is the number before {n}?",
    "[Tell me|Name] the number before {n}.",
    "What number is [right|just] before {n}?",
)
_BETWEEN = (
    "[What|Which number] [is|comes|lies] between {p} and {q}?",
    "[Tell me|Name] the number between {p} and {q}.",
)
_GO_ON = (
    "[Go on|Continue|Keep counting|Carry on] to {b}.",
    "[And|Now] [go on|continue|count on] to {b}[.|, please.]",
    "Now up to {b}.",
)


def _listed(numbers: range) -> Exchange:
    items = tuple(str(n) for n in numbers)
    return Exchange("", ", ".join(items), items=items)


def _count(rng: Random) -> list[Exchange]:
    while True:
        low = 1 if rng.random() < 0.35 else int(rng.random() * 90)
        high = low + 2 + int(rng.random() * 14)
        if not held_out(low, high) and not held_out(high, low):
            break
    if rng.random() < 0.3:
        body, user = _listed(range(high, low - 1, -1)), expand(rng, pick(rng, _DOWN), a=str(high), b=str(low))
        return [Exchange(user, body.answer, items=body.items)]
    patterns = _TO if low == 1 and rng.random() < 0.6 else _RANGE
    shown = (
        (NUMBER_WORDS[low], NUMBER_WORDS[high])
        if high <= 20 and rng.random() < 0.25
        else (str(low), str(high))
    )
    body = _listed(range(low, high + 1))
    out = [Exchange(expand(rng, pick(rng, patterns), a=shown[0], b=shown[1]), body.answer, items=body.items)]
    if rng.random() < 0.2:
        further = high + 2 + int(rng.random() * 6)
        body = _listed(range(high + 1, further + 1))
        out.append(Exchange(expand(rng, pick(rng, _GO_ON), b=str(further)), body.answer, items=body.items))
    return out


def _steps(rng: Random) -> Exchange:
    while True:
        step = pick(rng, tuple(_STEP_WORDS))
        low = step * int(rng.random() * 6)
        high = low + step * (3 + int(rng.random() * 7))
        if not held_out(low, high):
            break
    body = _listed(range(low, high + 1, step))
    user = expand(rng, pick(rng, _STEP), a=str(low), b=str(high), s=_STEP_WORDS[step], n=str(step))
    return Exchange(user, body.answer, items=body.items)


def _neighbour(rng: Random) -> Exchange:
    n = 1 + int(rng.random() * 99)
    slots = {"n": str(n), "p": str(n - 1), "q": str(n + 1)}
    draw = rng.random()
    if draw < 0.5:
        return Exchange(
            expand(rng, pick(rng, _AFTER), **slots), f"After {n} comes {n + 1}.", short=str(n + 1)
        )
    if draw < 0.8:
        return Exchange(
            expand(rng, pick(rng, _BEFORE), **slots), f"Before {n} comes {n - 1}.", short=str(n - 1)
        )
    return Exchange(
        expand(rng, pick(rng, _BETWEEN), **slots), f"{n} is between {n - 1} and {n + 1}.", short=str(n)
    )


def _calendar(rng: Random) -> Exchange:
    names, label = pick(rng, ((DAYS, "days of the week"), (MONTHS, "months of the year"), (MONTHS, "months")))
    asks = (
        "[Name|List|Tell me|Give me|Say] [all |]the {w}.",
        "[What|Which] are the {w}?",
        "[Can|Could] you [name|list|tell me] the {w}?",
    )
    return Exchange(expand(rng, pick(rng, asks), w=label), ", ".join(names), items=names)


def make(rng: Random) -> list[Exchange]:
    draw = rng.random()
    if draw < 0.55:
        return _count(rng)
    if draw < 0.72:
        return [_steps(rng)]
    return [_neighbour(rng)] if draw < 0.94 else [_calendar(rng)]
