"""Rhymes and poems: couplets of lines that end alike."""

from __future__ import annotations

from random import Random

from ..exchange import Exchange
from ..wording import article, capital, expand, pick, words_of

_RHYMES = {
    "ee": ("tree", "sea", "bee", "me", "free", "key", "tea", "knee"),
    "ight": ("night", "light", "bright", "kite", "white", "sight", "right"),
    "ay": ("day", "way", "play", "May", "grey", "hay", "bay"),
    "ox": ("fox", "box", "socks", "rocks", "clocks"),
    "ound": ("ground", "sound", "round", "found"),
    "at": ("cat", "hat", "mat", "rat", "bat"),
    "ouse": ("house", "mouse", "blouse"),
    "ing": ("king", "ring", "sing", "spring", "wing", "bring"),
    "oon": ("moon", "spoon", "soon", "June", "tune", "balloon"),
    "ell": ("bell", "well", "shell", "tell", "smell"),
    "ow": ("snow", "glow", "go", "know", "slow", "grow"),
    "ook": ("book", "cook", "look", "brook"),
    "ain": ("rain", "train", "plain", "again"),
    "og": ("dog", "frog", "log", "fog"),
    "ake": ("cake", "lake", "snake", "wake"),
}
_LINES = {
    "tree": "I sat [alone |at noon ][under|below] a tree",
    "sea": "[The boats|My dreams|The gulls] went out to sea",
    "bee": "I [heard|saw] a [busy|tiny|happy] bee",
    "me": "[The wind|A bird] sang [a song|softly] to me",
    "free": "[The clouds|The birds] are light and free",
    "key": "I found a [rusty|little|golden] key",
    "tea": "[My aunt|The queen] was drinking tea",
    "knee": "The cat sat on my knee",
    "night": "The stars [come out|awake] at night",
    "light": "The lamp gave [little|golden] light",
    "bright": "The [moon|sun|snow] was round and bright",
    "kite": "The wind [took|lifted] up my kite",
    "white": "The [hills|fields|roofs] were soft and white",
    "sight": "It was a [wonderful|funny|lovely] sight",
    "right": "And everything was right",
    "day": "It was a [sunny|rainy|quiet] day",
    "way": "A [fox|child|cat] came down the way",
    "play": "The children [like to|want to|love to] play",
    "May": "It was the [first|last|third] of May",
    "grey": "The sky was wide and grey",
    "hay": "The [horse|mouse] lay in the hay",
    "bay": "The ship lay in the bay",
    "fox": "Behind the hill there lived a fox",
    "box": "I keep my treasures in a box",
    "socks": "My [brother|teacher|uncle] wears red socks",
    "rocks": "The waves [jump|dance] on the rocks",
    "clocks": "The house was full of clocks",
    "ground": "The [apple|snow|acorn] fell to the ground",
    "sound": "I heard a [merry|gentle|funny] sound",
    "round": "The wheel goes round and round",
    "found": "And look at what I found",
    "cat": "There was a [fat|black|grey] old cat",
    "hat": "My [father|brother|neighbour] wears a hat",
    "mat": "It slept all day upon the mat",
    "rat": "Along there came a rat",
    "bat": "Above us flew a bat",
    "house": "We live in a [little|yellow|quiet] house",
    "mouse": "I [met|saw] a [tiny|polite|hungry] mouse",
    "blouse": "My sister has a [silken|purple] blouse",
    "king": "Far away there lived a king",
    "ring": "She wore a [golden|silver] ring",
    "sing": "The birds begin to sing",
    "spring": "The snow was gone, and it was spring",
    "wing": "The swallow spread its wing",
    "bring": "What will the morning bring",
    "moon": "I saw a [big|thin|yellow] moon",
    "spoon": "He ate with a [wooden|silver] spoon",
    "soon": "The summer will come soon",
    "June": "It was a warm day in June",
    "tune": "They [played|hummed] a [merry|lovely] tune",
    "balloon": "She bought a [red|blue|big] balloon",
    "bell": "I heard the [silver|morning|evening] bell",
    "well": "The frog lives in the well",
    "shell": "I found a [pink|tiny|broken] shell",
    "tell": "That is a tale to tell",
    "smell": "What is that [lovely|funny] smell",
    "snow": "The world was full of snow",
    "glow": "The [windows|candles] start to glow",
    "go": "It is time for us to go",
    "know": "That is all I know",
    "slow": "The [river|snail] is deep and slow",
    "grow": "The [flowers|apples] start to grow",
    "book": "I like to read a [thick|funny] book",
    "cook": "My [uncle|father] is a cook",
    "look": "Come here and have a look",
    "brook": "The fish swim in the brook",
    "rain": "We walked home in the rain",
    "train": "I took the [early|evening] train",
    "plain": "The wind blows on the plain",
    "again": "Tomorrow we will come again",
    "dog": "I know a [clever|sleepy|brown] dog",
    "frog": "It met a [shiny|noisy|green] frog",
    "log": "We sat upon a log",
    "fog": "The hills were full of fog",
    "cake": "My mother baked a [lemon|chocolate] cake",
    "lake": "The ducks are on the lake",
    "snake": "Watch out, there is a snake",
    "wake": "It is time for us to wake",
}
_POEM_ASK = (
    "[Write|Tell me|Give me|Make|Say] a [short |little |]poem[.|, please.|]",
    "[Can|Could] you write [me |]a [short |]poem?",
    "[Write|Tell me|Make] a [short |little |]rhyme[.|, please.|]",
    "A [poem|rhyme], please.",
    "[Do you know|I want to hear] a [poem|rhyme][.|?]",
    "Make something rhyme.",
    "Write [me |]a [poem|rhyme|haiku].",
)
_POEM_ABOUT = (
    "[Write|Tell me|Give me|Make] a [short |little |][poem|rhyme] about {t}[.|, please.|]",
    "[Can|Could] you write [me |]a [poem|rhyme] about {t}?",
    "A [poem|rhyme] about {t}[, please|].",
    "I [want|would like] a [poem|rhyme] about {t}.",
    "Write [me |]a [poem|haiku] about {t}.",
)
_TOPICS = words_of(
    "tree sea bee night kite fox cat rat bat house mouse king ring moon spoon bell shell snow book rain"
    " train dog frog log cake lake snake"
)
_RHYME_ASK = (
    "[What|Which word] rhymes with {w}?",
    "[Tell me|Give me|Name|Find] a word that rhymes with {w}.",
    "[Can|Could] you rhyme {w}?",
    "A rhyme for {w}[?|, please.]",
    "Find a rhyme for {w}.",
)


def poem(rng: Random, topic: str | None = None) -> str:
    """Two or three couplets; the first one has a line that ends with the topic."""
    lines = []
    endings = rng.sample(tuple(_RHYMES), 2 + (rng.random() < 0.35))
    first = next((ending for ending, words in _RHYMES.items() if topic in words), endings[0])
    for ending in (first, *(e for e in endings[1:] if e != first)):
        words = rng.sample(_RHYMES[ending], 2)
        if topic in _RHYMES[ending] and topic not in words:
            words[0] = topic
        for i, word in enumerate(words):
            lines.append(expand(rng, _LINES[word]) + (",", ".")[i])
    return "\n".join(lines)


def make(rng: Random) -> list[Exchange]:
    if rng.random() < 0.38:
        words = rng.sample(_RHYMES[pick(rng, tuple(_RHYMES))], 2)
        user = expand(rng, pick(rng, _RHYME_ASK), w=words[1])
        return [Exchange(user, f"{capital(words[0])} rhymes with {words[1]}.", short=words[0])]
    if rng.random() < 0.5:
        topic = pick(rng, _TOPICS)
        shown = topic if topic in ("rain", "snow", "night") else pick(rng, (f"the {topic}", article(topic)))
        return [Exchange(expand(rng, pick(rng, _POEM_ABOUT), t=shown), poem(rng, topic))]
    return [Exchange(expand(rng, pick(rng, _POEM_ASK)), poem(rng))]
