"""What the user said of themselves: told in one turn, asked for in a later one."""

from __future__ import annotations

from random import Random

from ..exchange import Exchange
from ..wording import expand, pick
from .vocabulary import CATEGORIES, NAMES

# Per thing: ways to tell it, the reply, ways to ask for it, the answer, the answer when it was never told.
_THINGS: dict[str, tuple[tuple[str, ...], str, tuple[str, ...], str, str]] = {
    "name": (
        (
            "My name is {v}[.|!|]",
            "I am {v}[.|!|]",
            "I'm {v}[.|]",
            "Hello, my name is {v}[.|]",
            "Hi, I am {v}[.|!]",
            "Hello! I'm {v}.",
            "[You can call|Call] me {v}[.|]",
            "People call me {v}.",
            "My name's {v}.",
            "Hi there, {v} here.",
        ),
        (
            "[Nice to meet you|Hello|It is nice to meet you|Pleased to meet you], {v}! [How can I help "
            "you?|What can I do for you?|How may I help you today?]"
        ),
        (
            "What is my name?",
            "What's my name[?|]",
            "[Do you know|Do you remember|Can you tell me|Tell me] my name[?|.]",
            "Who am I?",
            "What am I called?",
            "[Can|Do] you remember [what my name is|who I am]?",
            "What did I say my name was?",
            "Say my name[.|]",
        ),
        "Your name is {v}.",
        "I do not know your name yet. What is it?",
    ),
    "city": (
        (
            "I live in {v}[.|]",
            "My home is in {v}.",
            "I am from {v}[.|]",
            "I come from {v}.",
            "My city is {v}.",
        ),
        "[{v} is a lovely place!|How nice! I have heard of {v}.|It must be nice in {v}.]",
        (
            "Where do I live?",
            "Where am I from?",
            "Where is my home?",
            "[Do you remember|Tell me|Can you tell me] where I live[?|.]",
            "Which city do I live in?",
            "What is my city?",
        ),
        "You live in {v}.",
        "I do not know where you live. You have not told me.",
    ),
    "colour": (
        (
            "My favo[u|]rite colo[u|]r is {v}[.|]",
            "I like [the colour |]{v} best.",
            "The colour I like [best|most] is {v}.",
            "I love the colour {v}.",
        ),
        "[{V} is a beautiful colour!|{V} is a nice colour!]",
        (
            "What is my favo[u|]rite colo[u|]r?",
            "What's my favo[u|]rite colo[u|]r?",
            "Which colour do I like [best|most]?",
            "[Do you remember|Tell me] my favo[u|]rite colo[u|]r[?|.]",
            "What colour do I like?",
        ),
        "Your favourite colour is {v}.",
        "I do not know your favourite colour. What is it?",
    ),
    "age": (
        ("I am {v} years old[.|]", "I'm {v}[ years old|].", "My age is {v}."),
        "[That is a good age!|{v} is a good age!]",
        (
            "How old am I?",
            "What is my age?",
            "[Do you remember|Tell me] how old I am[?|.]",
            "[Do you remember|Tell me] my age[?|.]",
        ),
        "You are {v} years old.",
        "I do not know how old you are. You have not told me.",
    ),
    "food": (
        (
            "I like {v}[.|]",
            "I love {v}[.|!]",
            "My favo[u|]rite food is {v}[.|]",
            "I really like {v}.",
            "I like to eat {v}.",
        ),
        "[{V}! That sounds tasty.|That sounds tasty!]",
        (
            "What do I like[ to eat|]?",
            "What is my favo[u|]rite food?",
            "What food do I like?",
            "[Do you remember|Tell me] what I like[?|.]",
            "Which food do I like best?",
        ),
        "You like {v}.",
        "I do not know what you like. You have not told me.",
    ),
    "job": (
        ("I am {av}[.|]", "I'm {av}[.|]", "I work as {av}[.|]", "My job is {v}."),
        "[That is a fine job!|How interesting! It must be nice to be {av}.]",
        (
            "What is my job?",
            "What do I do[ for a living|]?",
            "What do I work as?",
            "[Do you remember|Tell me] my job[?|.]",
            "What's my job?",
        ),
        "You are {av}.",
        "I do not know what your job is. You have not told me.",
    ),
}
_PETS = ("dog", "cat", "rabbit", "horse", "parrot", "goat", "pony", "duck")
_PET_TELL = (
    "I have a {k}[ called| named] {v}.",
    "My {k} is called {v}[.|]",
    "My {k}'s name is {v}.",
    "The name of my {k} is {v}.",
)
_PET_ASK = (
    "What is my {k} called?",
    "What is the name of my {k}?",
    "What is my {k}'s name?",
    "[Do you remember|Tell me] [the name of my {k}|what my {k} is called][?|.]",
)
_PET_KIND = (
    "What [pet|animal] do I have?",
    "What kind of [pet|animal] do I have?",
    "What kind of animal is {v}?",
    "Who is {v}?",
)


def _value(rng: Random, thing: str) -> str:
    if thing == "age":
        return str(6 + int(rng.random() * 80))
    source = {
        "name": NAMES,
        "city": CATEGORIES["cities"],
        "colour": CATEGORIES["colours"],
        "food": CATEGORIES["foods"],
        "job": CATEGORIES["jobs"],
    }
    return pick(rng, source[thing])


def told_and_asked(rng: Random) -> tuple[Exchange, Exchange]:
    """The telling and the asking, for the corpus to put other turns between them."""
    if rng.random() < 0.15:
        kind, name = pick(rng, _PETS), pick(rng, NAMES)
        reply = expand(
            rng,
            pick(
                rng,
                (
                    "[{v} is a lovely name!|Say hello to {v} from me!]",
                    "How nice! {v} is a [lovely|good] name for a {k}.",
                ),
            ),
            k=kind,
            v=name,
        )
        tell = Exchange(expand(rng, pick(rng, _PET_TELL), k=kind, v=name), reply)
        if rng.random() < 0.35:
            pattern = pick(rng, _PET_KIND)
            answer = f"{name} is your {kind}." if "{v}" in pattern else f"You have a {kind}."
            return tell, Exchange(expand(rng, pattern, k=kind, v=name), answer, short=kind)
        return tell, Exchange(
            expand(rng, pick(rng, _PET_ASK), k=kind, v=name), f"Your {kind} is called {name}.", short=name
        )
    thing = "name" if rng.random() < 0.4 else pick(rng, tuple(_THINGS))
    tell, reply, ask, answer, _ = _THINGS[thing]
    value = _value(rng, thing)
    told = Exchange(expand(rng, pick(rng, tell), v=value), expand(rng, reply, v=value))
    return told, Exchange(expand(rng, pick(rng, ask)), expand(rng, answer, v=value), short=value)


def make(rng: Random) -> list[Exchange]:
    if rng.random() < 0.25:
        _, _, ask, _, unknown = _THINGS[pick(rng, tuple(_THINGS))]
        return [Exchange(expand(rng, pick(rng, ask)), unknown)]
    told, asked = told_and_asked(rng)
    if rng.random() < 0.12:
        # Told and asked in one breath.
        return [Exchange(f"{told.user.rstrip('.! ')}. {asked.user}", asked.answer, short=asked.short)]
    if rng.random() < 0.25:
        other, other_asked = told_and_asked(rng)
        if other_asked.answer.split(" ")[:3] != asked.answer.split(" ")[:3]:
            return (
                [told, other, asked, other_asked] if rng.random() < 0.5 else [told, other, other_asked, asked]
            )
    return [told, asked]
