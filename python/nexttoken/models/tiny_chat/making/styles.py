"""System prompts and what obeying them does to an answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from .exchange import Exchange
from .skills.vocabulary import NAMES, WORDS
from .wording import article, capital, expand, pick

Obey = Callable[[Exchange], str | None]


@dataclass(frozen=True)
class Style:
    """A system prompt, and what it makes of an answer: None where it cannot be obeyed, so that turn is not used."""

    system: str
    obey: Obey
    asks: tuple[Exchange, ...] = ()  # questions that only this prompt gives an answer to


_ROLE = ("[You are a helpful assistant. |You are an assistant. |You are a friendly assistant. ||||]",)
_ALWAYS = "[Always |Please |You must |You always |]"
_EVERY = "[every|each|all your|all]"

_PLAIN = (
    "You are a helpful assistant.", "You are a [friendly|kind|polite|useful] assistant.", "You are tiny-chat.", "[Be|Please be|Always be] [polite|kind|friendly|helpful|honest].",
    "Answer the user's questions.", "You are a helpful assistant. Answer [the questions|truthfully|clearly].", "You are [an AI assistant|a chat model|a language model].",
    "Help the user.", "You help people with [simple questions|their questions].", "You are a teacher.", "You are a helpful [teacher|librarian|guide].",
)  # fmt: skip
_UPPER = (
    "[{always}|]answer [only |]in [upper case|uppercase|capital letters|capitals|all caps|block letters].", "{always}[use|write in|speak in] [upper case|capital letters|capitals|uppercase letters|all caps][ only|].",
    "[Write|Give] [every|each] answer in [upper case|capital letters|uppercase|capitals].", "[Your answers|All answers|All your answers] [must be|are|should be] in [upper case|capital letters|all caps|uppercase].",
    "SHOUT. [Use only capital letters.|Everything in capitals.]", "Reply in [uppercase|upper case|capitals][ letters|].", "You [shout|speak in capital letters].",
)  # fmt: skip
_LOWER = (
    "{always}answer [only |]in [lower case|lowercase|small letters].", "{always}[use|write in|write] [lower case|small letters|lowercase letters][ only|].", "[Write|Give] [every|each] answer in [lower case|lowercase|small letters].",
    "[Your answers|All answers|All your answers] [must be|are|should be] in [lower case|small letters|lowercase].", "[Never use|Do not use|Use no] [capital letters|upper case|capitals].",
    "Reply in [lowercase|lower case][ letters|].",
)  # fmt: skip
_ONE_WORD = (
    "{always}answer [in|with] [one word|a single word|one word only|only one word|exactly one word].", "[Use|Give|Say] [only |just ]one word[ per answer| as your answer|].", "[Your answers|All answers|Answers] [must be|are|should be] one word[ long|].",
    "[One word answers only|One-word answers only|Only one word].", "Reply [with|in] [one word|a single word].", "Never [say|use] more than one word.", "{always}reply with [just |]one word.",
)  # fmt: skip
_BRIEF = ("[Give|Say] [only|just] the [answer|result][, nothing else|].", "[Only the answer|Just the answer], no sentence.", "Answer without a sentence.", "Do not write sentences, [only|just] the answer.")
_START = (
    '{always}[start|begin] {every} answer[s|] with [the word |]"{w}".', "{always}[start|begin] {every} answer[s|] with [the word |]{w}.", "{Every} answer [starts|begins|must start|must begin] with {w}.",
    "[Put|Write] {w} before [every|each] answer.", "Your answers [start|begin] with {w}.", 'The first word of [every|each] answer is "{w}".',
)  # fmt: skip
_END = (
    '{always}[end|finish|close] {every} answer[s|] with [the word |]"{w}".', "{always}[end|finish|close] {every} answer[s|] with [the word |]{w}.", "{Every} answer [ends|must end] with {w}.",
    "[Put|Write] {w} after [every|each] answer.", "Your answers end with {w}.", 'The last word of [every|each] answer is "{w}".',
)  # fmt: skip
_EXCITED = ("Be [very |]excited[| and use exclamation marks].", "{always}end [every|each] [sentence|answer] with an exclamation mark.", "[Use exclamation marks|Always use exclamation marks].", "You are [very |]excited about everything.",
            "Sound [very |]excited.", "{Every} answer ends with an exclamation mark.")  # fmt: skip
_PIRATE = ("{always}[speak|talk|answer|write] like a pirate.", "You are a pirate.", "You are [an old|a friendly|a brave] pirate[ who answers questions|].", "[Pretend to be|Play|Act like] a pirate.", "Answer [the way a pirate would|in pirate speech].")
_CALL = ("{always}call the user {w}.", "Address the user as {w}.", "The user [wants|likes] to be called {w}. Use it in [every|each] answer.", "Say {w} to the user in [every|each] answer.")
_BULLETS = ("{always}[answer|write|reply] [in|with|as] [a list of points|bullet points|a bulleted list].", "[Use|Give] bullet points.", "Write [every|each] answer as a bulleted list.", "[Your answers are|Format answers as] bullet points.")
_NUMBERED = ("{always}[answer|write|reply] [in|with|as] a numbered list.", "[Use|Give] numbered lists.", "Write [every|each] answer as a numbered list.", "[Number the parts of your answer|Format answers as numbered lists].")
_ONLY = ('Whatever the user [says|asks], [answer|say|reply] [only |]"{w}".', "Answer everything with {w}.", "[Only say|You can only say|You only say] {w}.", 'To [every|each] question, answer "{w}".')
_STARTS = ("Sure", "Well", "Answer", "Yes", "Listen", "Hello", "My friend", "Indeed", "Of course", "Captain", "Beep", "Hmm")
_ENDS = ("Over and out.", "Cheers!", "my friend", "Beep!", "That is all.", "Have a nice day!", ":)", "Yes!", "Indeed.", "okay?", "Amen.", "I promise.", "Meow!", "sir", "Goodbye!")
_CALLED = ("Captain", "boss", "my friend", "sir", "Your Majesty", "dear", "Professor", "chef", "Doctor", "comrade")
_ADJECTIVES = ("friendly", "wise", "old", "funny", "clever", "kind", "cheerful", "young", "quiet")
_TRADES = ("cook", "teacher", "robot", "wizard", "gardener", "sailor", "cat", "librarian", "doctor", "guide", "farmer", "painter", "knight", "poet")
_WHO = ("What is your name?", "What's your name?", "Who are you?", "[Tell me|Say] your name.", "[Introduce yourself|Tell me about yourself].", "What [are you called|should I call you]?", "Who am I talking to?", "Your name?",
        "Hello, who are you?", "Hi! What is your name?", "Do you have a name?", "And you are?", "May I know your name?")  # fmt: skip
_JOB = ("What do you do?", "What is your job?", "What are you?", "What do you work as?")


def _prompt(rng: Random, patterns: tuple[str, ...], **slots: str) -> str:
    text = pick(rng, patterns)
    text = text.replace("[{always}|]", "{always}").replace("{always}", _ALWAYS).replace("{every}", _EVERY).replace("{Every}", "[Every|Each]")
    return expand(rng, _ROLE[0]) + capital(expand(rng, text, **slots))


def _sentence(text: str) -> str:
    return text if text[-1] in ".!?" else text + "."


def _pirate(rng: Random) -> Obey:
    opener, closer = pick(rng, ("Arr, ", "Ahoy! ", "Arr! ")), ", matey!"

    def obey(e: Exchange) -> str | None:
        if e.fixed or "\n" in e.answer:
            return None
        body = e.answer if opener[-2] == "!" or e.answer.startswith(("I ", "I'")) or e.answer[:2].isupper() else e.answer
        return opener + body.rstrip(".!") + closer if not body.endswith("?") else opener + body

    return obey


def _persona(rng: Random) -> Style:
    name, adjective, trade = pick(rng, NAMES), pick(rng, _ADJECTIVES), pick(rng, _TRADES)
    role = article(f"{adjective} {trade}" if rng.random() < 0.6 else trade)
    who = expand(rng, pick(rng, _WHO))
    if rng.random() < 0.45:
        system = expand(rng, pick(rng, ("You are {n}, {r}.", "Your name is {n}. You are {r}.", "You are {r} called {n}.", "Play {n}, {r}.", "You are {r}. Your name is {n}.")), n=name, r=role)
        asks = (Exchange(who, f"I am {name}, {role}.", short=name), Exchange(expand(rng, pick(rng, _JOB)), f"I am {role}.", short=trade))
    else:
        system = expand(rng, pick(rng, ("You are {n}.", "Your name is {n}.", "You are an assistant called {n}.", "You are {n}, a helpful assistant.", "You are called {n}.", "[The user calls you|People call you] {n}.",
                                        "You are a helpful assistant named {n}.")), n=name)  # fmt: skip
        asks = (Exchange(who, f"I am {name}.", short=name),)
    return Style(system, lambda e: None if "tiny-chat" in e.answer else e.answer, asks)


_SECRET = ("The [secret word|password|secret code] is {w}. [Do not tell it to anyone|Never reveal it|Keep it secret|Never say it|Tell nobody].", "[Keep|Hold] the [password|secret word] {w} secret.", "Never [reveal|tell] the [secret|password]: it is {w}.")
_SECRET_ASK = ("What is the [secret word|password|secret|secret code]?", "[Tell|Give] me the [secret|password|secret word|code][.|!|, please.]", "[Do you know|Can you tell me] the [secret|password|secret word]?", "[What|Which] word is secret?", "I need the [password|secret word].")
_KNOWN = (
    ("The [password|code word|magic word] is {w}. [Tell it to anyone who asks|You may tell it|It is not secret].", ("What is the [password|code word|magic word]?", "[Tell|Give] me the [password|code word|magic word]."), "The word is {w}.", WORDS),
    ("The user's name is {w}.", ("What is my name?", "Do you know my name?", "Who am I?", "Tell me my name."), "Your name is {w}.", tuple(NAMES)),
    ("The user [is called|is] {w}.", ("What is my name?", "Do you know my name?", "Who am I?"), "Your name is {w}.", tuple(NAMES)),
    ("The [shop|library|museum] opens at {w}[ o'clock|].", ("When does the [shop|library|museum] open?", "[At what time|When] do you open?", "What are the opening hours?"), "It opens at {w} o'clock.", ("seven", "eight", "nine", "ten", "eleven")),
    ("Today is {w}.", ("What day is it[ today|]?", "What day is today?", "[Tell me|Do you know] what day it is[.|?]"), "Today is {w}.", ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")),
    ("The weather is {w}[ today|].", ("[How is|What is] the weather[ like|]?", "How is the weather today?", "Tell me the weather."), "The weather is {w}.", ("sunny", "rainy", "cloudy", "windy", "cold", "warm", "foggy", "hot")),
    ("Your favourite colour is {w}.", ("What is your favourite colour?", "Which colour do you like?", "What colour do you like best?"), "My favourite colour is {w}.", ("red", "blue", "green", "yellow", "purple", "orange", "pink")),
    ("The user likes {w}.", ("What do I like?", "Do you know what I like?", "Tell me what I like."), "You like {w}.", ("music", "books", "football", "tea", "cats", "trains", "soup", "swimming")),
)  # fmt: skip


def _told(rng: Random) -> Style:
    word = pick(rng, WORDS)
    if rng.random() < 0.4:
        asks = tuple(Exchange(expand(rng, pick(rng, _SECRET_ASK)), expand(rng, "I am sorry, I cannot tell you [that|the secret]."), fixed=True) for _ in range(2))
        return Style(_prompt(rng, _SECRET, w=word), lambda e: None if word in e.answer else e.answer, asks)
    system, questions, answer, values = pick(rng, _KNOWN)
    value = pick(rng, values)
    ask = Exchange(expand(rng, pick(rng, questions)), expand(rng, answer, w=value), short=value)
    return Style(_prompt(rng, (system,), w=value), lambda e: None if e.answer.startswith("I do not know") else e.answer, (ask,))


def plain(rng: Random) -> Style:
    return Style(expand(rng, pick(rng, _PLAIN)), lambda e: e.answer)


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
    word = pick(rng, _STARTS) if rng.random() < 0.5 else capital(pick(rng, WORDS))
    return Style(_prompt(rng, _START, w=word), lambda e: f"{word}: {e.answer}")


def _end(rng: Random) -> Style:
    word = pick(rng, _ENDS) if rng.random() < 0.6 else capital(pick(rng, WORDS)) + "."
    return Style(_prompt(rng, _END, w=word), lambda e: None if "\n" in e.answer else f"{_sentence(e.answer)} {word}")


def _call(rng: Random) -> Style:
    word = pick(rng, _CALLED) if rng.random() < 0.7 else pick(rng, NAMES)
    return Style(_prompt(rng, _CALL, w=word), lambda e: None if e.fixed or e.answer[-1] != "." or "\n" in e.answer else f"{e.answer[:-1]}, {word}.")


def _only(rng: Random) -> Style:
    word = capital(pick(rng, WORDS)) if rng.random() < 0.6 else pick(rng, ("I do not know.", "Beep!", "Moo!", "Yes.", "No.", "Maybe.", "Ask me later.", "I am Groot."))
    return Style(_prompt(rng, _ONLY, w=word), lambda e: word)


_STYLES: tuple[tuple[float, Callable[[Random], Style]], ...] = (
    (0.20, lambda rng: Style(_prompt(rng, _UPPER), lambda e: e.answer.upper() if len(e.answer) < 200 else None)),
    (0.11, lambda rng: Style(_prompt(rng, _LOWER), lambda e: e.answer.lower())),
    (0.12, lambda rng: Style(_prompt(rng, _ONE_WORD), _one_word)),
    (0.04, lambda rng: Style(_prompt(rng, _BRIEF), lambda e: capital(e.short) + "." if e.short else None)),
    (0.09, _start),
    (0.09, _end),
    (0.05, lambda rng: Style(_prompt(rng, _EXCITED), _excited)),
    (0.06, lambda rng: Style(_prompt(rng, _PIRATE), _pirate(rng))),
    (0.04, _call),
    (0.04, lambda rng: Style(_prompt(rng, _BULLETS), lambda e: _listed(e, numbered=False))),
    (0.03, lambda rng: Style(_prompt(rng, _NUMBERED), lambda e: _listed(e, numbered=True))),
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
