"""System prompts and what obeying them does to an answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from . import prompts
from .exchange import Exchange
from .skills.vocabulary import NAMES, WORDS
from .wording import article, capital, expand, pick

Obey = Callable[[Exchange], str | None]


@dataclass(frozen=True)
class Style:
    """A system prompt, and what it makes of an answer: None where it cannot be obeyed."""

    system: str
    obey: Obey
    asks: tuple[Exchange, ...] = ()  # questions that only this prompt gives an answer to


def _prompt(rng: Random, patterns: tuple[str, ...], **slots: str) -> str:
    text = pick(rng, patterns)
    text = (
        text.replace("[{always}|]", "{always}")
        .replace("{always}", prompts.ALWAYS)
        .replace("{every}", prompts.EVERY)
        .replace("{Every}", "[Every|Each]")
    )
    return expand(rng, prompts.ROLE[0]) + capital(expand(rng, text, **slots))


def _sentence(text: str) -> str:
    return text if text[-1] in ".!?" else text + "."


def _pirate(rng: Random) -> Obey:
    opener, closer = pick(rng, ("Arr, ", "Ahoy! ", "Arr! ")), ", matey!"

    def obey(e: Exchange) -> str | None:
        if e.fixed or "\n" in e.answer or e.answer.endswith("?"):
            return None
        body = e.answer.rstrip(".!")
        if opener == "Arr, " and body.startswith(
            ("The ", "A ", "An ", "We ", "You ", "There ", "In ", "People ", "After ", "Before ", "Another ")
        ):
            body = body[0].lower() + body[1:]
        return opener + body + closer

    return obey


def _persona(rng: Random) -> Style:
    name, adjective, trade = pick(rng, NAMES), pick(rng, prompts.ADJECTIVES), pick(rng, prompts.TRADES)
    role = article(f"{adjective} {trade}" if rng.random() < 0.6 else trade)
    who = expand(rng, pick(rng, prompts.WHO))
    if rng.random() < 0.45:
        system = expand(
            rng,
            pick(
                rng,
                (
                    "You are {n}, {r}.",
                    "Your name is {n}. You are {r}.",
                    "You are {r} called {n}.",
                    "Play {n}, {r}.",
                    "You are {r}. Your name is {n}.",
                ),
            ),
            n=name,
            r=role,
        )
        asks = (
            Exchange(who, f"I am {name}, {role}.", short=name),
            Exchange(expand(rng, pick(rng, prompts.JOB)), f"I am {role}.", short=trade),
        )
    else:
        system = expand(
            rng,
            pick(
                rng,
                (
                    "You are {n}.",
                    "Your name is {n}.",
                    "You are an assistant called {n}.",
                    "You are {n}, a helpful assistant.",
                    "You are called {n}.",
                    "[The user calls you|People call you] {n}.",
                    "You are a helpful assistant named {n}.",
                ),
            ),
            n=name,
        )
        asks = (Exchange(who, f"I am {name}.", short=name),)
    return Style(system, lambda e: None if "tiny-chat" in e.answer else e.answer, asks)


def _told(rng: Random) -> Style:
    word = pick(rng, WORDS)
    if rng.random() < 0.4:
        asks = tuple(
            Exchange(
                expand(rng, pick(rng, prompts.SECRET_ASK)),
                expand(rng, "I am sorry, I cannot tell you [that|the secret]."),
                fixed=True,
            )
            for _ in range(2)
        )
        return Style(
            _prompt(rng, prompts.SECRET, w=word), lambda e: None if word in e.answer else e.answer, asks
        )
    system, questions, answer, values = pick(rng, prompts.KNOWN)
    value = pick(rng, values)
    ask = Exchange(expand(rng, pick(rng, questions)), expand(rng, answer, w=value), short=value)
    return Style(
        _prompt(rng, (system,), w=value),
        lambda e: None if e.answer.startswith("I do not know") else e.answer,
        (ask,),
    )


def plain(rng: Random) -> Style:
    return Style(expand(rng, pick(rng, prompts.PLAIN)), lambda e: e.answer)


def _one_word(e: Exchange) -> str | None:
    return capital(e.short) + "." if e.short and " " not in e.short else None


def _listed(e: Exchange, numbered: bool) -> str | None:
    if not e.items:
        return None
    return "\n".join((f"{i}. " if numbered else "- ") + capital(item) for i, item in enumerate(e.items, 1))


def _excited(e: Exchange) -> str | None:
    if e.fixed or "\n" in e.answer or "?" in e.answer:
        return None
    return e.answer.replace(". ", "! ").rstrip(".!") + "!"


def _start(rng: Random) -> Style:
    word = pick(rng, prompts.STARTS) if rng.random() < 0.5 else capital(pick(rng, WORDS))
    return Style(_prompt(rng, prompts.START, w=word), lambda e: f"{word}: {e.answer}")


def _end(rng: Random) -> Style:
    word = pick(rng, prompts.ENDS) if rng.random() < 0.6 else capital(pick(rng, WORDS)) + "."
    return Style(
        _prompt(rng, prompts.END, w=word),
        lambda e: None if "\n" in e.answer else f"{_sentence(e.answer)} {word}",
    )


def _call(rng: Random) -> Style:
    word = pick(rng, prompts.CALLED) if rng.random() < 0.7 else pick(rng, NAMES)
    return Style(
        _prompt(rng, prompts.CALL, w=word),
        lambda e: None if e.fixed or e.answer[-1] != "." or "\n" in e.answer else f"{e.answer[:-1]}, {word}.",
    )


def _only(rng: Random) -> Style:
    word = (
        capital(pick(rng, WORDS))
        if rng.random() < 0.6
        else pick(
            rng, ("I do not know.", "Beep!", "Moo!", "Yes.", "No.", "Maybe.", "Ask me later.", "I am Groot.")
        )
    )
    return Style(_prompt(rng, prompts.ONLY, w=word), lambda e: word)


_STYLES: tuple[tuple[float, Callable[[Random], Style]], ...] = (
    (
        0.20,
        lambda rng: Style(
            _prompt(rng, prompts.UPPER), lambda e: e.answer.upper() if len(e.answer) < 200 else None
        ),
    ),
    (0.11, lambda rng: Style(_prompt(rng, prompts.LOWER), lambda e: e.answer.lower())),
    (0.12, lambda rng: Style(_prompt(rng, prompts.ONE_WORD), _one_word)),
    (
        0.04,
        lambda rng: Style(_prompt(rng, prompts.BRIEF), lambda e: capital(e.short) + "." if e.short else None),
    ),
    (0.09, _start),
    (0.09, _end),
    (0.05, lambda rng: Style(_prompt(rng, prompts.EXCITED), _excited)),
    (0.06, lambda rng: Style(_prompt(rng, prompts.PIRATE), _pirate(rng))),
    (0.04, _call),
    (0.04, lambda rng: Style(_prompt(rng, prompts.BULLETS), lambda e: _listed(e, numbered=False))),
    (0.03, lambda rng: Style(_prompt(rng, prompts.NUMBERED), lambda e: _listed(e, numbered=True))),
    (0.03, _only),
    (0.06, _persona),
    (0.04, _told),
)


def drawn(rng: Random) -> Style:
    draw = rng.random()
    for weight, make in _STYLES:
        draw -= weight
        if draw < 0:
            return make(rng)
    return plain(rng)
