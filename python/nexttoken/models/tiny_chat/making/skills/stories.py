"""Stories from grammars with many slots: the place where temperature shows."""

from __future__ import annotations

from random import Random

from ..exchange import Exchange
from ..wording import article, capital, expand, pick, words_of
from .vocabulary import NAMES

HEROES = words_of(
    "dog cat fox rabbit bear mouse owl dragon robot king queen princess farmer sailor knight baker boy "
    "girl wizard frog duck lion wolf "
    "unicorn elephant turtle monkey fisherman teacher giant snail"
)
_ADJECTIVES = words_of(
    "little old brave young clever lazy kind hungry lonely curious shy funny tiny proud happy sleepy "
    "gentle merry"
)
_PLACES = (
    "in a green forest",
    "by the sea",
    "on a high mountain",
    "in a small village",
    "near a quiet lake",
    "in an old castle",
    "on a far island",
    "at the edge of a desert",
    "in a busy town",
    "under a big oak tree",
    "in a house by the river",
    "on a windy hill",
    "in a snowy valley",
)
_THINGS = words_of(
    "key map lamp book ring box flute bell letter stone feather boat mirror seed button coin shell kite"
    " drum hat basket"
)
_QUALITIES = words_of(
    "golden silver red strange shining old broken wooden magic blue heavy glass secret forgotten"
)
_TIMES = (
    "One morning",
    "One day",
    "One evening",
    "One cold night",
    "One summer day",
    "One rainy day",
    "One bright spring morning",
    "Late one night",
)
_WISHES = (
    "wanted to see the world",
    "dreamed of flying",
    "looked for a friend",
    "loved to sing",
    "wanted to learn to read",
    "was afraid of the dark",
    "liked nothing better than honey cake",
    "wished for snow",
    "collected stars in a jar",
    "never told a lie",
    "could not sleep at night",
    "wanted to find the end of the rainbow",
)
_TROUBLES = (
    "a great storm came up",
    "the bridge broke",
    "the river rose higher and higher",
    "a thick fog fell",
    "the path came to an end",
    "the moon went out",
    "somebody cried for help",
    "a loud noise shook the ground",
    "the door would not open",
    "snow covered everything",
)
_DEEDS = (
    "shared the last piece of bread",
    "sang a song until morning",
    "built a small raft",
    "lit a fire to show the way",
    "asked the wind for help",
    "dug a long tunnel",
    "climbed the tallest tree",
    "told a story so funny that everybody laughed",
    "thought hard and made a plan",
    "gave away the warm coat",
)
_ENDINGS = (
    "From that day on they were the best of friends.",
    "And they lived happily ever after.",
    "And that night everybody slept well.",
    "Since then, no one in that place has ever been lonely.",
    "And if you listen well, you can still hear them laugh.",
    "So it is that a small kindness can change a whole day.",
    "Then they went home, had some soup, and told the tale to all who would listen.",
    "And the {q} {t} is still there today.",
)


def story(rng: Random, hero: str | None = None) -> str:
    """Five to nine sentences, each with its own alternatives: hardly any two stories are alike."""
    hero = hero or pick(rng, HEROES)
    friend = pick(rng, tuple(h for h in HEROES if h != hero))
    name = pick(rng, NAMES)
    first, second = pick(rng, _ADJECTIVES), pick(rng, _ADJECTIVES)
    slots = {
        "h": hero,
        "f": friend,
        "n": name,
        "t": pick(rng, _THINGS),
        "q": pick(rng, _QUALITIES),
        "p": pick(rng, _PLACES),
        "w": pick(rng, _WISHES),
    }
    named = rng.random() < 0.6
    slots["who"] = name if named else f"the {hero}"
    slots["fa"], slots["ha"] = article(f"{second} {friend}"), article(f"{first} {hero}")
    slots["qt"] = article(f"{slots['q']} {slots['t']}")
    parts = [
        (
            "[Once upon a time|Long ago|Once|Many years ago], [there was|there lived] {ha} [called {n} "
            "|named {n} ]{p}."
        )
        if named
        else "[Once upon a time|Long ago|Once|Many years ago], [there was|there lived] {ha} {p}.",
        "[{WHO}|The {h}] {w}.",
        (
            f"{pick(rng, _TIMES)}, {{who}} [found|saw|picked up|discovered] {{qt}} [on the way|in the "
            f"grass|under a stone|behind the house|near the water]."
        ),
        (
            "[It [was warm to the touch|glowed in the dark|made a soft sound|was very light].|Nobody knew "
            "where it came from.|It had a name written on it.|]"
        ),
        (
            "[Just then|Not long after|On the way home|A little later], {who} met {fa} who [had lost|was "
            "looking for|had never seen|was guarding] [it|the {t}]."
        ),
        f"[But then|Suddenly|Before they could speak,|All at once] {pick(rng, _TROUBLES)}.",
        f"[The {{h}}|{{WHO}}] {pick(rng, _DEEDS)}[, and the {{f}} helped|, while the {{f}} held the {{t}}|].",
        '["Thank you," said the {f}. "You are very {g}."|The {f} smiled and said: "You are very {g}!"|'
        "The {f} was so glad that it danced.|]",
        pick(rng, _ENDINGS),
    ]
    slots["g"] = pick(rng, ("brave", "kind", "clever", "good"))
    return " ".join(part for part in (expand(rng, part, **slots) for part in parts) if part)


_STORY_ASK = (
    "[Tell|Read|Write] [me |]a [short |little |]story[.|, please.||!]",
    "[Can|Could] you tell [me |us |]a [short |little |]story?",
    "I [want|would like] to hear a story.",
    "A story[, please|].",
    "Make up a [short |little |]story.",
    "[Do you know|Have you got] a [good |]story?",
)
_ABOUT = (
    "[Tell|Write] [me |]a [short |little |]story about {ah}[.|, please.|]",
    "[Can|Could] you tell [me |]a [short |]story about {ah}?",
    "A story about {ah}[, please|].",
    "I [want|would like] [to hear |]a story about {ah}.",
    "[Make up|Invent] a [short |]story about {ah}.",
    "[Tell me|Do you know] a tale about {ah}[.|?]",
)
_ONE_SENTENCE = (
    (
        "[Write|Tell me|Give me] a [one-sentence|one sentence|very short] [story|bedtime story|tale][ about"
        " {ah}|][.|, please.|]"
    ),
    "A story in one sentence[| about {ah}], please.",
    "[Tell|Write] [me |]a story [about {ah} |]in one sentence.",
    "Write a one-sentence bedtime story about {ah}.",
)


def sentence(rng: Random, hero: str) -> str:
    """A whole story in one sentence."""
    slots = {
        "h": hero,
        "t": pick(rng, _THINGS),
        "q": pick(rng, _QUALITIES),
        "p": pick(rng, _PLACES),
        "f": pick(rng, HEROES),
    }
    slots["ha"], slots["qt"] = (
        article(f"{pick(rng, _ADJECTIVES)} {hero}"),
        article(f"{slots['q']} {slots['t']}"),
    )
    pattern = (
        "[Once upon a time|Long ago|{t0}], {ha} {p} found {qt}, [and {d}|and then {d}|"
        "gave it to {af}, and they became friends|and never felt alone again|and dreamed of it all night]."
    )
    return expand(rng, pattern, t0=pick(rng, _TIMES), d=pick(rng, _DEEDS), **slots)


_AGAIN = (
    "[Another one|Another story|One more|Again][.|, please.|!|]",
    "[Tell|Give] me another[ one| story|][.|, please.]",
    "[And|Now] one about {ah}[.|, please.]",
)


def make(rng: Random) -> list[Exchange]:
    draw = rng.random()
    if draw < 0.10:
        hero = pick(rng, HEROES)
        return [Exchange(capital(expand(rng, pick(rng, _ONE_SENTENCE), h=hero)), sentence(rng, hero))]
    hero = pick(rng, HEROES) if rng.random() < 0.6 else None
    asked = expand(rng, pick(rng, _ABOUT), h=hero) if hero else expand(rng, pick(rng, _STORY_ASK))
    out = [Exchange(asked, story(rng, hero))]
    if rng.random() < 0.12:
        hero = pick(rng, HEROES)
        again = pick(rng, _AGAIN)
        out.append(
            Exchange(capital(expand(rng, again, h=hero)), story(rng, hero if "{ah}" in again else None))
        )
    return out
