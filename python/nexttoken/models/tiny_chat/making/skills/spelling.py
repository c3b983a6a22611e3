"""Letters of words, words in order, text said again or in another case."""

from __future__ import annotations

from random import Random

from ..exchange import Exchange
from ..wording import expand, pick
from .vocabulary import NAMES, WORDS

_SPELL = (
    "[How do you|How do I|How do we|Can you|Could you|Please|] spell [the word |]{w}[?|]",
    "Spell [the word |]{w}[ for me|][.|, please.|]",
    "What is the spelling of [the word |]{w}?",
    "[Tell|Show] me how to spell {w}.",
    "How is {w} [spelled|spelt]?",
    "{W}: how do you spell it?",
    "[What are|Which are] the letters [of|in] [the word |]{w}?",
)
_FIRST = (
    "[What is|What's|Tell me|Give me|Name] the first letter [of|in] [the word |]{w}[?|.]",
    "[With|By] [what|which] letter does {w} [start|begin]?",
    "[What|Which] letter does [the word |]{w} [start|begin] with?",
    "First letter of {w}[?|]",
    "{W} [starts|begins] with [what|which] letter?",
    "[What|Which] letter [comes|is] first in {w}?",
)
_LAST = (
    "[What is|What's|Tell me|Give me|Name] the last letter [of|in] [the word |]{w}[?|.]",
    "[What|Which] letter does [the word |]{w} end with?",
    "Last letter of {w}[?|]",
    "{W} ends with [what|which] letter?",
    "[What|Which] letter [comes|is] last in {w}?",
    "[With|On] which letter does {w} end?",
)
_LENGTH = (
    "How many letters [are|are there] in [the word |]{w}?",
    "How many letters does [the word |]{w} have?",
    "[Count|Tell me the number of] the letters [of|in] {w}.",
    "How long is the word {w}?",
    "How many letters has {w}[ got|]?",
)
_BACK = (
    "[Spell|Write|Say] [the word |]{w} [backwards|in reverse].",
    "What is {w} [backwards|in reverse|spelled backwards]?",
    "Reverse [the word |]{w}.",
    "Turn [the word |]{w} around.",
)
_NTH = (
    "[What is|What's|Tell me] the {n} letter [of|in] [the word |]{w}[?|.]",
    "[What|Which] letter [comes|is] {n} in {w}?",
)
_REVERSE_LIST = (
    "[Reverse|Turn around] [this|the] list: {l}.",
    "Say [this|these] in reverse order: {l}.",
    "[Put|Write] {l} in reverse order.",
    "{l}: [now backwards|in reverse order, please].",
    "What is {l} in reverse order?",
)
_SORT = (
    "[Put|Sort] [these words |]in alphabetical order: {l}.",
    "Sort {l} [by letter|alphabetically].",
    "[Put|Write] {l} in alphabetical order.",
)
_REPEAT = (
    "Say [the word |]{w}.",
    "Repeat [after me|this]: {w}",
    "[Please repeat|Say this]: {w}",
    "Say {w} [twice|two times].",
    "Write [the word |]{w}.",
    "Can you say {w}?",
    "Just say {w}.",
    "Please say {w}.",
    "Say exactly this: {w}",
)
_UPPER = (
    "[Write|Say|Put] {w} in [upper case|capital letters|capitals|big letters].",
    "What is {w} in [upper case|capitals]?",
    "Make {w} upper case.",
)
_LETTER = (
    "[What|Which] letter comes [right |]after {x}?",
    "[What|Which] letter follows {x}?",
    "After the letter {x} comes [what|which letter]?",
    "What is the next letter after {x}?",
)
_LETTER_BEFORE = (
    "[What|Which] letter comes [right |just |]before {x}?",
    "Before the letter {x} comes [what|which letter]?",
    "What is the letter before {x}?",
)
_ALPHABET = (
    "Say the alphabet.",
    "[What is|Tell me|Write|Give me] the alphabet[?|.]",
    "[Can|Could] you say the alphabet?",
    "List the letters of the alphabet.",
)

_COUNTS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_PHRASES = (
    "good morning",
    "hello world",
    "I like tea",
    "the sun is warm",
    "see you soon",
    "all is well",
    "one two three",
    "happy birthday",
    "we are friends",
    "this is a test",
    "it works",
    "the cat is on the mat",
    "I am here",
    "hello there",
    "time to go home",
    "open the window",
)


def _alphabet(rng: Random) -> Exchange:
    letters = "abcdefghijklmnopqrstuvwxyz"
    draw = rng.random()
    if draw < 0.06:
        return Exchange(expand(rng, pick(rng, _ALPHABET)), ", ".join(letters.upper()), fixed=True)
    at = int(rng.random() * 25)
    if draw < 0.6:
        user = expand(rng, pick(rng, _LETTER), x=letters[at].upper())
        return Exchange(
            user,
            f"After {letters[at].upper()} comes {letters[at + 1].upper()}.",
            short=letters[at + 1].upper(),
        )
    user = expand(rng, pick(rng, _LETTER_BEFORE), x=letters[at + 1].upper())
    return Exchange(
        user, f"Before {letters[at + 1].upper()} comes {letters[at].upper()}.", short=letters[at].upper()
    )


def _of_list(rng: Random) -> Exchange:
    words = rng.sample(WORDS, 3 + (rng.random() < 0.3))
    reverse = rng.random() < 0.65
    user = expand(rng, pick(rng, _REVERSE_LIST if reverse else _SORT), l=", ".join(words))
    items = tuple(reversed(words)) if reverse else tuple(sorted(words))
    return Exchange(user[:1].upper() + user[1:], ", ".join(items), items=items, fixed=True)


def _said_again(rng: Random) -> Exchange:
    text = pick(rng, WORDS) if rng.random() < 0.6 else pick(rng, _PHRASES)
    if rng.random() < 0.3:
        return Exchange(expand(rng, pick(rng, _UPPER), w=text), text.upper(), fixed=True)
    user = expand(rng, pick(rng, _REPEAT), w=text)
    return Exchange(user, f"{text}, {text}" if user.endswith(("twice.", "times.")) else text, fixed=True)


_HOW_MANY = (
    (
        "How many [times does the letter {x} occur|{x}'s are|{x} are|letters {x} are|times is the letter "
        "{x}] in [the word |]{w}?"
    ),
    "How often is {x} in {w}?",
    "Count the [letter {x}|{x}'s] in [the word |]{w}.",
    "How many {x}s does {w} have?",
    "How many {x} in {w}?",
)


def _occurrences(rng: Random) -> Exchange:
    word = pick(rng, WORDS)
    letter = pick(rng, word) if rng.random() < 0.85 else pick(rng, "aeiourst")
    number = _COUNTS[word.count(letter)]
    times = "times" if number != "one" else "time"
    user = expand(rng, pick(rng, _HOW_MANY), x=letter, w=word)
    return Exchange(user, f"{spelled(word)}: {letter.upper()} occurs {number} {times}.", short=number)


def spelled(word: str) -> str:
    return "-".join(word.upper())


def make(rng: Random) -> list[Exchange]:
    draw = rng.random()
    if draw >= 0.82:
        return [pick(rng, (_alphabet, _of_list, _said_again, _said_again, _occurrences))(rng)]
    word = pick(rng, WORDS) if rng.random() < 0.9 else pick(rng, NAMES)
    upper = word.upper()
    if draw < 0.34:
        return [Exchange(expand(rng, pick(rng, _SPELL), w=word), spelled(word), fixed=True)]
    if draw < 0.50:
        return [
            Exchange(
                expand(rng, pick(rng, _FIRST), w=word),
                f"The first letter of {word} is {upper[0]}.",
                short=upper[0],
            )
        ]
    if draw < 0.61:
        return [
            Exchange(
                expand(rng, pick(rng, _LAST), w=word),
                f"The last letter of {word} is {upper[-1]}.",
                short=upper[-1],
            )
        ]
    if draw < 0.70:
        number = _COUNTS[len(word)]
        # The letters are written out first, so that the number is read off and not guessed.
        answer = f"{spelled(word)}: {word} has {number} letters."
        return [Exchange(expand(rng, pick(rng, _LENGTH), w=word), answer, short=number)]
    if draw < 0.75:
        at = 1 + int(rng.random() * min(2, len(word) - 1))
        user = expand(rng, pick(rng, _NTH), w=word, n=("first", "second", "third")[at])
        answer = f"The {('first', 'second', 'third')[at]} letter of {word} is {upper[at]}."
        return [Exchange(user, answer, short=upper[at])]
    while len(word) > 5:
        word = pick(rng, WORDS)
    return [Exchange(expand(rng, pick(rng, _BACK), w=word), spelled(word[::-1]), fixed=True)]
