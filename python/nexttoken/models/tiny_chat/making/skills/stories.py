"""Stories, rhymes, jokes and advice from grammars with many slots: the place where temperature shows."""

from __future__ import annotations

from random import Random

from ..exchange import Exchange
from ..wording import article, capital, expand, pick
from .vocabulary import NAMES

HEROES = tuple("dog cat fox rabbit bear mouse owl dragon robot king queen princess farmer sailor knight baker boy girl wizard frog duck lion wolf "
               "elephant turtle monkey fisherman teacher giant snail".split())  # fmt: skip
_ADJECTIVES = tuple("little old brave young clever lazy kind hungry lonely curious shy funny tiny proud happy sleepy gentle merry".split())
_PLACES = ("in a green forest", "by the sea", "on a high mountain", "in a small village", "near a quiet lake", "in an old castle", "on a far island",
           "at the edge of a desert", "in a busy town", "under a big oak tree", "in a house by the river", "on a windy hill", "in a snowy valley")  # fmt: skip
_THINGS = tuple("key map lamp book ring box flute bell letter stone feather boat mirror seed button coin shell kite drum hat basket".split())
_QUALITIES = tuple("golden silver red strange shining old broken wooden magic blue heavy glass secret forgotten".split())
_TIMES = ("One morning", "One day", "One evening", "One cold night", "One summer day", "One rainy day", "One bright spring morning", "Late one night")
_WISHES = ("wanted to see the world", "dreamed of flying", "looked for a friend", "loved to sing", "wanted to learn to read", "was afraid of the dark",
           "liked nothing better than honey cake", "wished for snow", "collected stars in a jar", "never told a lie", "could not sleep at night",
           "wanted to find the end of the rainbow")  # fmt: skip
_TROUBLES = ("a great storm came up", "the bridge broke", "the river rose higher and higher", "a thick fog fell", "the path came to an end", "the moon went out",
             "somebody cried for help", "a loud noise shook the ground", "the door would not open", "snow covered everything")  # fmt: skip
_DEEDS = ("shared the last piece of bread", "sang a song until morning", "built a small raft", "lit a fire to show the way", "asked the wind for help", "dug a long tunnel",
          "climbed the tallest tree", "told a story so funny that everybody laughed", "thought hard and made a plan", "gave away the warm coat")  # fmt: skip
_ENDINGS = ("From that day on they were the best of friends.", "And they lived happily ever after.", "And that night everybody slept well.",
            "Since then, no one in that place has ever been lonely.", "And if you listen well, you can still hear them laugh.",
            "So it is that a small kindness can change a whole day.", "Then they went home, had some soup, and told the tale to all who would listen.",
            "And the {q} {t} is still there today.")  # fmt: skip


def story(rng: Random, hero: str | None = None) -> str:
    """Five to nine sentences; each sentence has its own alternatives, so that hardly any two stories are alike."""
    hero = hero or pick(rng, HEROES)
    friend = pick(rng, tuple(h for h in HEROES if h != hero))
    name = pick(rng, NAMES)
    first, second = pick(rng, _ADJECTIVES), pick(rng, _ADJECTIVES)
    slots = {"h": hero, "f": friend, "n": name, "t": pick(rng, _THINGS), "q": pick(rng, _QUALITIES), "p": pick(rng, _PLACES), "w": pick(rng, _WISHES)}
    named = rng.random() < 0.6
    slots["who"] = name if named else f"the {hero}"
    slots["fa"], slots["ha"] = article(f"{second} {friend}"), article(f"{first} {hero}")
    slots["qt"] = article(f"{slots['q']} {slots['t']}")
    parts = [
        "[Once upon a time|Long ago|Once|Many years ago], [there was|there lived] {ha} [called {n} |named {n} ]{p}." if named
        else "[Once upon a time|Long ago|Once|Many years ago], [there was|there lived] {ha} {p}.",
        "[{WHO}|The {h}] {w}.",
        f"{pick(rng, _TIMES)}, {{who}} [found|saw|picked up|discovered] {{qt}} [on the way|in the grass|under a stone|behind the house|near the water].",
        "[It [was warm to the touch|glowed in the dark|made a soft sound|was very light].|Nobody knew where it came from.|It had a name written on it.|]",
        "[Just then|Not long after|On the way home|A little later], {who} met {fa} who [had lost|was looking for|had never seen|was guarding] [it|the {t}].",
        f"[But then|Suddenly|Before they could speak,|All at once] {pick(rng, _TROUBLES)}.",
        f"[The {{h}}|{{WHO}}] {pick(rng, _DEEDS)}[, and the {{f}} helped|, while the {{f}} held the {{t}}|].",
        '["Thank you," said the {f}. "You are very {g}."|The {f} smiled and said: "You are very {g}!"|The {f} was so glad that it danced.|]',
        pick(rng, _ENDINGS),
    ]  # fmt: skip
    slots["g"] = pick(rng, ("brave", "kind", "clever", "good"))
    text = " ".join(part for part in (expand(rng, part, **slots) for part in parts) if part)
    return text


_STORY_ASK = ("[Tell|Read|Write] [me |]a [short |little |]story[.|, please.||!]", "[Can|Could] you tell [me |us |]a [short |little |]story?", "I [want|would like] to hear a story.",
              "A story[, please|].", "Make up a [short |little |]story.", "[Do you know|Have you got] a [good |]story?")  # fmt: skip
_ABOUT = ("[Tell|Write] [me |]a [short |little |]story about {ah}[.|, please.|]", "[Can|Could] you tell [me |]a [short |]story about {ah}?", "A story about {ah}[, please|].",
          "I [want|would like] [to hear |]a story about {ah}.", "[Make up|Invent] a [short |]story about {ah}.", "[Tell me|Do you know] a tale about {ah}[.|?]")  # fmt: skip
_AGAIN = ("[Another one|Another story|One more|Again][.|, please.|!|]", "[Tell|Give] me another[ one| story|][.|, please.]", "[And|Now] one about {ah}[.|, please.]")

_RHYMES = {
    "ee": ("tree", "sea", "bee", "me", "free", "key", "tea", "knee"), "ight": ("night", "light", "bright", "kite", "white", "sight", "right"),
    "ay": ("day", "way", "play", "May", "grey", "hay", "bay"), "ox": ("fox", "box", "socks", "rocks", "clocks"), "ound": ("ground", "sound", "round", "found"),
    "at": ("cat", "hat", "mat", "rat", "bat"), "ouse": ("house", "mouse", "blouse"), "ing": ("king", "ring", "sing", "spring", "wing", "bring"),
    "oon": ("moon", "spoon", "soon", "June", "tune", "balloon"), "ell": ("bell", "well", "shell", "tell", "smell"), "ow": ("snow", "glow", "go", "know", "slow", "grow"),
    "ook": ("book", "cook", "look", "brook"), "ain": ("rain", "train", "plain", "again"), "og": ("dog", "frog", "log", "fog"), "ake": ("cake", "lake", "snake", "wake"),
}  # fmt: skip
_LINES = {
    "tree": "I sat [alone |at noon ][under|below] a tree", "sea": "[The boats|My dreams|The gulls] went out to sea", "bee": "I [heard|saw] a [busy|tiny|happy] bee",
    "me": "[The wind|A bird] sang [a song|softly] to me", "free": "[The clouds|The birds] are light and free", "key": "I found a [rusty|little|golden] key",
    "tea": "[My aunt|The queen] was drinking tea", "knee": "The cat sat on my knee", "night": "The stars [come out|awake] at night", "light": "The lamp gave [little|golden] light",
    "bright": "The [moon|sun|snow] was round and bright", "kite": "The wind [took|lifted] up my kite", "white": "The [hills|fields|roofs] were soft and white", "sight": "It was a [wonderful|funny|lovely] sight",
    "right": "And everything was right", "day": "It was a [sunny|rainy|quiet] day", "way": "A [fox|child|cat] came down the way", "play": "The children [like to|want to|love to] play",
    "May": "It was the [first|last|third] of May", "grey": "The sky was wide and grey", "hay": "The [horse|mouse] lay in the hay", "bay": "The ship lay in the bay",
    "fox": "Behind the hill there lived a fox", "box": "I keep my treasures in a box", "socks": "My [brother|teacher|uncle] wears red socks", "rocks": "The waves [jump|dance] on the rocks",
    "clocks": "The house was full of clocks", "ground": "The [apple|snow|acorn] fell to the ground", "sound": "I heard a [merry|gentle|funny] sound", "round": "The wheel goes round and round", "found": "And look at what I found",
    "cat": "There was a [fat|black|grey] old cat", "hat": "My [father|brother|neighbour] wears a hat", "mat": "It slept all day upon the mat", "rat": "Along there came a rat", "bat": "Above us flew a bat",
    "house": "We live in a [little|yellow|quiet] house", "mouse": "I [met|saw] a [tiny|polite|hungry] mouse", "blouse": "My sister has a [silken|purple] blouse", "king": "Far away there lived a king",
    "ring": "She wore a [golden|silver] ring", "sing": "The birds begin to sing", "spring": "The snow was gone, and it was spring", "wing": "The swallow spread its wing", "bring": "What will the morning bring",
    "moon": "I saw a [big|thin|yellow] moon", "spoon": "He ate with a [wooden|silver] spoon", "soon": "The summer will come soon", "June": "It was a warm day in June", "tune": "They [played|hummed] a [merry|lovely] tune", "balloon": "She bought a [red|blue|big] balloon",
    "bell": "I heard the [silver|morning|evening] bell", "well": "The frog lives in the well", "shell": "I found a [pink|tiny|broken] shell", "tell": "That is a tale to tell", "smell": "What is that [lovely|funny] smell",
    "snow": "The world was full of snow", "glow": "The [windows|candles] start to glow", "go": "It is time for us to go", "know": "That is all I know", "slow": "The [river|snail] is deep and slow", "grow": "The [flowers|apples] start to grow",
    "book": "I like to read a [thick|funny] book", "cook": "My [uncle|father] is a cook", "look": "Come here and have a look", "brook": "The fish swim in the brook",
    "rain": "We walked home in the rain", "train": "I took the [early|evening] train", "plain": "The wind blows on the plain", "again": "Tomorrow we will come again",
    "dog": "I know a [clever|sleepy|brown] dog", "frog": "It met a [shiny|noisy|green] frog", "log": "We sat upon a log", "fog": "The hills were full of fog",
    "cake": "My mother baked a [lemon|chocolate] cake", "lake": "The ducks are on the lake", "snake": "Watch out, there is a snake", "wake": "It is time for us to wake",
}  # fmt: skip
_POEM_ASK = ("[Write|Tell me|Give me|Make|Say] a [short |little |]poem[.|, please.|]", "[Can|Could] you write [me |]a [short |]poem?", "[Write|Tell me|Make] a [short |little |]rhyme[.|, please.|]",
             "A [poem|rhyme], please.", "[Do you know|I want to hear] a [poem|rhyme][.|?]", "Make something rhyme.")  # fmt: skip
_RHYME_ASK = ("[What|Which word] rhymes with {w}?", "[Tell me|Give me|Name|Find] a word that rhymes with {w}.", "[Can|Could] you rhyme {w}?", "A rhyme for {w}[?|, please.]", "Find a rhyme for {w}.")


def poem(rng: Random) -> str:
    """Two or three couplets."""
    lines = []
    for ending in rng.sample(tuple(_RHYMES), 2 + (rng.random() < 0.35)):
        for i, word in enumerate(rng.sample(_RHYMES[ending], 2)):
            lines.append(expand(rng, _LINES[word]) + (",", ".")[i])
    return "\n".join(lines)


_JOKES = """
Why did the chicken cross the road? To get to the other side.|Why did the book go to the doctor? It had too many words.|What do you call a sleeping bull? A bulldozer.
Why was the maths book sad? It had too many problems.|What is orange and sounds like a parrot? A carrot.|Why do bees have sticky hair? They use honeycombs.
What do you call a bear with no teeth? A gummy bear.|Why can a bicycle not stand alone? It is two tired.|What has hands but cannot clap? A clock.
What goes up but never comes down? Your age.|Why did the cat sit on the computer? To keep an eye on the mouse.|What kind of tree fits in your hand? A palm tree.
Why did the banana go to the doctor? It was not peeling well.|What do you call cheese that is not yours? Nacho cheese.|What did one wall say to the other? I will meet you at the corner.
Why is six afraid of seven? Because seven ate nine.|What gets wetter the more it dries? A towel.|How do trees get on the internet? They log in.
Why did the tomato turn red? It saw the salad dressing.|What did zero say to eight? Nice belt.|Why do cows wear bells? Because their horns do not work.
""".strip().replace("\n", "|").split("|")  # noqa: E501
_JOKE_ASK = ("[Tell|Give] [me |]a joke[.|, please.||!]", "[Can|Could] you tell [me |us |]a joke?", "[Do you know|Have you got] a [good |funny |]joke?", "Make me laugh[.|!]", "[Say|Tell me] something funny[.|]",
             "I [want|would like] to hear a joke.", "A joke[, please|].")  # fmt: skip
_FUN = """
Honey never goes bad.|An octopus has three hearts.|Bananas are berries, but strawberries are not.|A day on Venus is longer than its year.|Sea otters hold hands while they sleep.
Butterflies taste with their feet.|A snail can sleep for three years.|The heart of a shrimp is in its head.|Cows have best friends.|The Eiffel Tower grows a little in summer.
Sharks are older than trees.|A group of crows is called a murder.|Lightning is hotter than the surface of the sun.|Elephants cannot jump.|Penguins give each other stones as presents.
""".strip().replace("\n", "|").split("|")  # noqa: E501
_FUN_ASK = ("Tell me something [interesting|new|I do not know].", "[Tell|Give] me a [fun |]fact[.|, please.]", "[Do you know|Have you got] a fun fact?", "Surprise me[.|!]", "Teach me something[.| new.]",
            "[Can|Could] you tell me something interesting?")  # fmt: skip


def _asked_again(rng: Random, ask: tuple[str, ...], tell: tuple[str, ...]) -> list[Exchange]:
    told = rng.sample(tell, 3)
    out = [Exchange(expand(rng, pick(rng, ask)), told[0])]
    if rng.random() < 0.3:
        out.append(Exchange(expand(rng, pick(rng, _AGAIN[:2])).replace("story", "one"), told[1]))
    return out


def make(rng: Random) -> list[Exchange]:
    draw = rng.random()
    if draw < 0.50:
        hero = pick(rng, HEROES) if rng.random() < 0.6 else None
        asked = expand(rng, pick(rng, _ABOUT), h=hero) if hero else expand(rng, pick(rng, _STORY_ASK))
        out = [Exchange(asked, story(rng, hero))]
        if rng.random() < 0.12:
            hero = pick(rng, HEROES)
            again = pick(rng, _AGAIN)
            out.append(Exchange(capital(expand(rng, again, h=hero)), story(rng, hero if "{ah}" in again else None)))
        return out
    if draw < 0.66:
        return [Exchange(expand(rng, pick(rng, _POEM_ASK)), poem(rng))]
    if draw < 0.76:
        words = rng.sample(_RHYMES[pick(rng, tuple(_RHYMES))], 2)
        answer = pick(rng, (f"{capital(words[0])} rhymes with {words[1]}.",))
        return [Exchange(expand(rng, pick(rng, _RHYME_ASK), w=words[1]), answer, short=words[0])]
    if draw < 0.90:
        return _asked_again(rng, _JOKE_ASK, tuple(_JOKES))
    return _asked_again(rng, _FUN_ASK, tuple(_FUN))
