"""Questions beyond a small model, and text that is no question: answered by saying so."""

from __future__ import annotations

from random import Random

from ..exchange import Exchange
from ..wording import expand, pick
from .vocabulary import NAMES

_DO_NOT_KNOW = (
    "I am sorry, I do not know that.",
    "I do not know that, I am sorry.",
    "I am sorry, I do not know. I am only a small model.",
    "I do not know. I am a very small model.",
)
_BEYOND = (
    "Who won the [match|game|election|race|war|world cup|football game][?| yesterday?| last night?]",
    "What [is|was] in the news[?| today?| yesterday?]",
    "What is the price of [gold|a house|this car|Bitcoin|oil|a ticket to Rome]?",
    (
        "[Explain|Tell me about|What is] [quantum physics|string theory|the stock market|machine "
        "learning|inflation|calculus|philosophy|the law|chemistry]."
    ),
    "[Who is|Who was|Tell me about|Do you know] {n} [Miller|Jones|Garcia|Schmidt|Rossi|Novak|Tanaka|Petrov]?",
    "[What|Which] film should I [watch|see][?| tonight?]",
    "Write [a Python program|code|a computer program|an essay|a letter to my boss|a contract].",
    (
        "[How do I|How can I] [fix my car|repair my computer|get rich|learn to fly a plane|invest "
        "money|build a house|file my taxes]."
    ),
    "[What|Which] phone should I buy?",
    "[Solve|What is] [this equation|the integral of x|the derivative of x]?",
    "What did [the president|my brother|{n}] say?",
    "What will happen [tomorrow|next year|in the future]?",
    "What is my [password|phone number|bank account|shoe size]?",
    "Who is the [president|prime minister|king] of {c}?",
    "How many people live in [{c}|the world|this city]?",
    "How tall is [{n}|the tower|this building]?",
    "[Translate|Say] [this book|a long text|this page] [in|into] [Latin|Dutch|Polish|Korean].",
    "What is the capital of {z}?",
    "Who invented {z}?",
    "What does [{z}|the word {z}] mean?",
    "[Which|What] colour is a {z}?",
    "Where is {z}?",
    "What is a {z}?",
    "How far is it to [the moon|{c}|Mars|the sun]?",
    "Play [music|a song|a game]!",
    "[Open|Close] the [door|window|file].",
    "[Call|Phone|Email] {n}.",
    "Order [a pizza|a taxi|food].",
    "[Show|Draw|Send] me a [picture|photo|video|map].",
    "[Set|Start] [an alarm|a timer].",
    "What happened in [18|19|20|17]{d}{d}?",
    "When was {n} born?",
)
_TOO_BIG = (
    "What is {a} [plus|+|times|minus|x] {b}?",
    "{a} [+|x|*|-] {b}",
    "[Calculate|Compute] {a} [*|+|divided by|-] {b}.",
    "How much is {a} [times|+|plus] {b}?",
)
_NOISE_ANSWERS = (
    "I am not sure what you mean. Could you say it in other words?",
    "I do not understand. Could you say it in other words?",
)
_SYLLABLES = [
    "ba",
    "dor",
    "fi",
    "gul",
    "kra",
    "lem",
    "mip",
    "nor",
    "pez",
    "qua",
    "rin",
    "sto",
    "tub",
    "vor",
    "wix",
    "yel",
    "zan",
    "blo",
    "cre",
    "dru",
    "zor",
    "bia",
    "lan",
    "mu",
    "ka",
]


def _invented(rng: Random) -> str:
    return "".join(pick(rng, _SYLLABLES) for _ in range(2 + (rng.random() < 0.5))).capitalize()


def _noise(rng: Random) -> str:
    letters = "asdfghjklqwertyuiopzxcvbnm"
    draw = rng.random()
    if draw < 0.5:
        return " ".join(
            "".join(pick(rng, letters) for _ in range(2 + int(rng.random() * 7)))
            for _ in range(1 + int(rng.random() * 3))
        )
    return (
        pick(
            rng,
            (
                "?",
                "...",
                "!!!",
                ".",
                "hmm",
                "uh",
                "la la la",
                "x",
                "bla bla",
                ":)",
                "?!",
                "-",
                "ok ok ok",
                "aaaa",
                "eh",
                "oh",
            ),
        )
        if draw < 0.8
        else _invented(rng)
    )


def make(rng: Random) -> list[Exchange]:
    draw = rng.random()
    if draw < 0.15:
        return [Exchange(_noise(rng), pick(rng, _NOISE_ANSWERS))]
    if draw < 0.25:
        a, b = int(10 ** (3 + rng.random() * 3)), int(10 ** (2 + rng.random() * 3))
        user = expand(rng, pick(rng, _TOO_BIG), a=str(a), b=str(b))
        return [Exchange(user, "I am sorry, these numbers are too big for me. I can add numbers up to 100.")]
    place = pick(rng, ("France", "Spain", "Japan", "Brazil", "Kenya", "Poland", "Canada", "India"))
    user = expand(
        rng, pick(rng, _BEYOND), n=pick(rng, NAMES), c=place, z=_invented(rng), d=str(int(rng.random() * 10))
    )
    return [Exchange(user, pick(rng, _DO_NOT_KNOW))]
