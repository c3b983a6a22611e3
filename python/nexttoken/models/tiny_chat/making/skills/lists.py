"""Lists by category, in ever different choice and order, and requests for another."""

from __future__ import annotations

from random import Random

from ..exchange import Exchange
from ..wording import article, capital, expand, pick
from .vocabulary import CATEGORIES, singular

_COUNT_WORDS = {2: "two", 3: "three", 4: "four", 5: "five", 6: "six"}
_NAME_N = (
    "[Name|List|Tell me|Give me|Say|Write|Show me] {n} {c}[.|, please.|]",
    "[Can|Could|Would] you [name|list|give me|tell me] {n} {c}?",
    "I need {n} {c}.",
    "What are {n} {c}?",
    "[Name|List|Give me] {n} {c} [you know|you like].",
    "[Think of|Find] {n} {c}.",
    "{N} {c}, please.",
    "[Make|Write] a list of {n} {c}.",
    "Which {n} {c} [can you name|do you know]?",
    "Please name {n} {c}.",
    "I want [to hear|to know] {n} {c}.",
    "Tell me the names of {n} {c}.",
    "Do you know {n} {c}?",
    "Give [me |]examples of {n} {c}.",
)
_NAME_ONE = (
    "[Name|Tell me|Give me|Say] {ac}[.|, please.|]",
    "[Can|Could] you [name|tell me|give me] {ac}?",
    "[Think of|Pick|Choose] {ac}[.|]",
    "Name [one|any] {c}.",
    "What is an example of {ac}?",
    "I need {ac}. [Any idea?|Help me.]",
    "Give me an example of {ac}.",
)
_ANOTHER = (
    "[Another|Another one|One more|And another][.|?|, please.]",
    "[Tell|Give] me another[ one|][.|, please.]",
    "[Name|Say] [another|one more].",
    "[Can|Could] you name another?",
    "[And|What else|Any other][?]",
)
_MORE = (
    "[Name|Give me|Tell me] {n} more[.|, please.]",
    "{N} more[.|, please.]",
    "[And|Now] {n} more[.|?]",
    "[Can|Could] you [name|give me] {n} more?",
)
_SOME = (
    "[Name|List|Tell me|Give me] some {c}[.|, please.|]",
    "[What|Which] {c} do you know?",
    "[Give me|Make|Write] a list of {c}.",
    "Examples of {c}[?|, please.]",
)


def joined(items: tuple[str, ...]) -> str:
    return ", ".join(items[:-1]) + " and " + items[-1] if len(items) > 1 else items[0]


def written(rng: Random, items: tuple[str, ...], lead: str) -> str:
    """The items as a sentence, a numbered list or a list of points."""
    draw = rng.random()
    if draw < 0.6:
        return capital(joined(items)) + "."
    if draw < 0.8:
        return f"{lead} {joined(items)}."
    if draw < 0.9:
        return "\n".join(f"{i}. {capital(item)}" for i, item in enumerate(items, 1))
    return "\n".join(f"- {capital(item)}" for item in items)


def _several(rng: Random) -> list[Exchange]:
    category = pick(rng, tuple(CATEGORIES))
    members = CATEGORIES[category]
    some = rng.random() < 0.15
    count = 3 + int(rng.random() * 3) if some else 2 + int(rng.random() * 4)
    count = min(count, len(members))
    order = rng.sample(members, len(members))
    chosen = tuple(order[:count])
    shown = _COUNT_WORDS[count] if rng.random() < 0.7 else str(count)
    user = expand(rng, pick(rng, _SOME if some else _NAME_N), n=shown, c=category)
    lead = f"Some {category} are" if some else f"{_COUNT_WORDS[count].capitalize()} {category} are"
    out = [Exchange(user, written(rng, chosen, lead), items=chosen)]
    if rng.random() < 0.3 and len(members) >= count + 3:
        more = 1 + int(rng.random() * 2)
        further = tuple(order[count : count + more])
        asked = (
            expand(rng, pick(rng, _ANOTHER), c=category)
            if more == 1
            else expand(rng, pick(rng, _MORE), n=_COUNT_WORDS[more])
        )
        out.append(Exchange(capital(asked), written(rng, further, "And also"), items=further))
    return out


def _one(rng: Random) -> list[Exchange]:
    category = pick(rng, tuple(CATEGORIES))
    order = rng.sample(CATEGORIES[category], min(4, len(CATEGORIES[category])))
    shown = singular(category)

    def tell(member: str) -> Exchange:
        answer = f"{capital(member)}." if rng.random() < 0.6 else f"One example is {member}."
        return Exchange("", answer, short=member)

    first = tell(order[0])
    out = [
        Exchange(
            expand(rng, pick(rng, _NAME_ONE).replace("{ac}", article(shown)), c=shown),
            first.answer,
            short=order[0],
        )
    ]
    for member in order[1 : 1 + int(rng.random() * 3)]:
        out.append(Exchange(capital(expand(rng, pick(rng, _ANOTHER))), tell(member).answer, short=member))
    return out


_CHOICE = (
    "[Choose|Pick]: {a} or {b}?",
    "[Choose|Pick] one: {a}, {b} or {c}.",
    "[Pick|Choose] [a word|something] from this list: {a}, {b}, {c}.",
)


def _choice(rng: Random) -> list[Exchange]:
    members = rng.sample(CATEGORIES[pick(rng, tuple(CATEGORIES))], 3)
    pattern = pick(rng, _CHOICE)
    chosen = pick(rng, members if "{c}" in pattern else members[:2])
    answer = pick(rng, (f"I choose {chosen}.", f"{capital(chosen)}."))
    return [Exchange(expand(rng, pattern, a=members[0], b=members[1], c=members[2]), answer, short=chosen)]


def make(rng: Random) -> list[Exchange]:
    draw = rng.random()
    return _several(rng) if draw < 0.68 else _one(rng) if draw < 0.95 else _choice(rng)
