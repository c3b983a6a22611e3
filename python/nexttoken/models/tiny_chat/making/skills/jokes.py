"""Jokes and curious facts, and requests for another."""

from __future__ import annotations

from random import Random

from ..exchange import Exchange
from ..wording import expand, pick

_JOKES = (
    "Why did the chicken cross the road? To get to the other side.",
    "Why did the book go to the doctor? It had too many words.",
    "What do you call a sleeping bull? A bulldozer.",
    "Why was the maths book sad? It had too many problems.",
    "What is orange and sounds like a parrot? A carrot.",
    "Why do bees have sticky hair? They use honeycombs.",
    "What do you call a bear with no teeth? A gummy bear.",
    "Why can a bicycle not stand alone? It is two tired.",
    "What has hands but cannot clap? A clock.",
    "What goes up but never comes down? Your age.",
    "Why did the cat sit on the computer? To keep an eye on the mouse.",
    "What kind of tree fits in your hand? A palm tree.",
    "Why did the banana go to the doctor? It was not peeling well.",
    "What do you call cheese that is not yours? Nacho cheese.",
    "What did one wall say to the other? I will meet you at the corner.",
    "Why is six afraid of seven? Because seven ate nine.",
    "What gets wetter the more it dries? A towel.",
    "How do trees get on the internet? They log in.",
    "Why did the tomato turn red? It saw the salad dressing.",
    "What did zero say to eight? Nice belt.",
    "Why do cows wear bells? Because their horns do not work.",
)
_JOKE_ASK = (
    "[Tell|Give] [me |]a joke[.|, please.||!]",
    "[Can|Could] you tell [me |us |]a joke?",
    "[Do you know|Have you got] a [good |funny |]joke?",
    "Make me laugh[.|!]",
    "[Say|Tell me] something funny[.|]",
    "I [want|would like] to hear a joke.",
    "A joke[, please|].",
)
_FUN = (
    "Honey never goes bad.",
    "An octopus has three hearts.",
    "Bananas are berries, but strawberries are not.",
    "A day on Venus is longer than its year.",
    "Sea otters hold hands while they sleep.",
    "Butterflies taste with their feet.",
    "A snail can sleep for three years.",
    "The heart of a shrimp is in its head.",
    "Cows have best friends.",
    "The Eiffel Tower grows a little in summer.",
    "Sharks are older than trees.",
    "A group of crows is called a murder.",
    "Lightning is hotter than the surface of the sun.",
    "Elephants cannot jump.",
    "Penguins give each other stones as presents.",
)
_FUN_ASK = (
    "Tell me something [interesting|new|I do not know].",
    "[Tell|Give] me a [fun |]fact[.|, please.]",
    "[Do you know|Have you got] a fun fact?",
    "Surprise me[.|!]",
    "Teach me something[.| new.]",
    "[Can|Could] you tell me something interesting?",
)
_AGAIN = (
    "[Another one|Another|One more|Again][.|, please.|!|]",
    "[Tell|Give] me another[ one|][.|, please.]",
    "I [want|would like] another[ one|].",
    "[Do you know|Have you got] another[ one|]?",
)


def make(rng: Random) -> list[Exchange]:
    """One, and sometimes one or two more, all different."""
    ask, tell = (_JOKE_ASK, _JOKES) if rng.random() < 0.58 else (_FUN_ASK, _FUN)
    first, *others = rng.sample(tell, 1 + (rng.random() < 0.3) + (rng.random() < 0.15))
    return [
        Exchange(expand(rng, pick(rng, ask)), first),
        *(Exchange(expand(rng, pick(rng, _AGAIN)), other) for other in others),
    ]
