"""Words about words: opposites, plurals, past tenses, meanings, a little translation."""

from __future__ import annotations

from ..relations import Relation, table

_PAIRS = table("""
    hot: cold; big: small; tall: short; fast: slow; day: night; up: down; left: right; light: dark
    old: young; happy: sad; rich: poor; open: closed; full: empty; hard: soft; wet: dry; early: late
    loud: quiet; good: bad; clean: dirty; strong: weak; near: far; high: low; black: white; true: false
    first: last; begin: end; start: stop; love: hate; win: lose; buy: sell; push: pull; give: take
    inside: outside; before: after; thick: thin; wide: narrow; heavy: light; easy: difficult
    brave: afraid; sweet: sour; day: night; summer: winter; north: south; east: west; king: queen
    man: woman; boy: girl; friend: enemy; question: answer; always: never; yes: no; top: bottom
    front: back; alive: dead; awake: asleep; sharp: blunt; rough: smooth; deep: shallow; war: peace
    sunrise: sunset; cheap: expensive; remember: forget; laugh: cry; ask: answer; come: go
    same: different; many: few; more: less; above: below; beautiful: ugly; noisy: quiet; kind: cruel
""")
_OPPOSITES = dict(_PAIRS)
for _word, _other in _PAIRS.items():
    _OPPOSITES.setdefault(_other, _word)

_PLURALS = table("""
    mouse: mice; child: children; foot: feet; tooth: teeth; man: men; woman: women; goose: geese
    person: people; sheep: sheep; fish: fish; leaf: leaves; wolf: wolves; knife: knives; wife: wives
    life: lives; loaf: loaves; half: halves; baby: babies; city: cities; story: stories; cherry: cherries
    puppy: puppies; fly: flies; box: boxes; bus: buses; dress: dresses; dish: dishes; watch: watches
    fox: foxes; tomato: tomatoes; potato: potatoes; hero: heroes; ox: oxen; deer: deer; cat: cats
    dog: dogs; book: books; house: houses; tree: trees; car: cars; apple: apples; flower: flowers
    bird: birds; chair: chairs; star: stars; key: keys; day: days; toy: toys; boy: boys; girl: girls
""")
_PAST = table("""
    go: went; eat: ate; see: saw; run: ran; come: came; take: took; give: gave; make: made; do: did
    have: had; say: said; think: thought; buy: bought; bring: brought; catch: caught; teach: taught
    find: found; write: wrote; read: read; speak: spoke; break: broke; swim: swam; sing: sang
    drink: drank; sleep: slept; fly: flew; know: knew; grow: grew; drive: drove; fall: fell; sit: sat
    stand: stood; win: won; walk: walked; play: played; jump: jumped; look: looked; help: helped
    cook: cooked; love: loved; like: liked; dance: danced; cry: cried; is: was; are: were; begin: began
    build: built; feel: felt; keep: kept; leave: left; lose: lost; meet: met; pay: paid; sell: sold
    wear: wore
""")
_SYNONYMS = table("""
    big: large; small: little; happy: glad; sad: unhappy; fast: quick; begin: start; end: finish
    smart: clever; pretty: beautiful; angry: mad; scared: afraid; tired: sleepy; easy: simple
    hard: difficult; rich: wealthy; quiet: silent; present: gift; shut: close; rock: stone; speak: talk
    jump: leap; shout: yell; sick: ill; strange: odd; correct: right; street: road; home: house
    huge: enormous; funny: amusing
""")
LANGUAGES = {
    "Spanish": table("""
    hello: hola; goodbye: adios; thank you: gracias; yes: si; no: no; please: por favor; cat: gato
    dog: perro; house: casa; water: agua; bread: pan; sun: sol; moon: luna; friend: amigo; book: libro
    red: rojo; one: uno; two: dos; three: tres; good morning: buenos dias
    """),
    "French": table("""
    hello: bonjour; goodbye: au revoir; thank you: merci; yes: oui; no: non; please: s'il vous plait
    cat: chat; dog: chien; house: maison; water: eau; bread: pain; sun: soleil; moon: lune; friend: ami
    book: livre; red: rouge; one: un; two: deux; three: trois; good morning: bonjour
    """),
    "German": table("""
    hello: hallo; goodbye: auf Wiedersehen; thank you: danke; yes: ja; no: nein; please: bitte; cat: Katze
    dog: Hund; house: Haus; water: Wasser; bread: Brot; sun: Sonne; moon: Mond; friend: Freund; book: Buch
    red: rot; one: eins; two: zwei; three: drei; good morning: guten Morgen
    """),
    "Italian": table("""
    hello: ciao; goodbye: arrivederci; thank you: grazie; yes: si; no: no; please: per favore; cat: gatto
    dog: cane; house: casa; water: acqua; bread: pane; sun: sole; moon: luna; friend: amico; book: libro
    red: rosso; one: uno; two: due; three: tre; good morning: buongiorno
    """),
}
_TRANSLATIONS = {
    f"{word} in {language}": other for language, words in LANGUAGES.items() for word, other in words.items()
}
_QUOTED = (
    "[And|What about|How about|And what about] {x}?",
    "[And|Now] the word {x}?",
    "[And|What about] of {x}?",
)

RELATIONS = [
    Relation(
        _OPPOSITES,
        (
            "[What is|What's|Tell me|Give me|Name] the opposite of [the word |]{x}[?|.]",
            "[What|Which] word is the opposite of {x}?",
            "[What|Which] word means the opposite of {x}?",
            "The opposite of {x} is [what|...]?",
            "Opposite of {x}[?|]",
            "[Can|Could] you [tell|give] me the opposite of {x}?",
            "What is [not {x} but the opposite|the contrary of {x}|the reverse of {x}]?",
            "If it is not {x}, [it is|then it is] what?",
            "[Do you know|I need|I am looking for] the opposite of {x}[.|?]",
            "[Can you tell me|I want to know|Do you know] what the opposite of {x} is[.|?]",
            "What [would be|could be] the opposite of {x}?",
        ),
        ("The opposite of {x} is {y}.",),
        _QUOTED,
        weight=2.2,
    ),
    Relation(
        _PLURALS,
        (
            "[What is|What's|Tell me|Give me] the plural of [the word |]{x}[?|.]",
            "[What|Which] is the plural [form |]of {x}?",
            "Plural of {x}[?|]",
            "How do [you|I] say {x} in the plural?",
            "One {x}, two what?",
            "One {x}, [many|several] ...?",
            "[Can|Could] you [tell|give] me the plural of {x}?",
            "What do [you|we] call more than one {x}?",
            "[Put|Write] {x} in[to|] the plural.",
            "[Can you tell me|I want to know|Do you know] what the plural of {x} is[.|?]",
            "[I need|I am looking for] the plural of {x}.",
        ),
        ("The plural of {x} is {y}.",),
        _QUOTED,
        weight=1.6,
    ),
    Relation(
        _PAST,
        (
            "[What is|What's|Tell me|Give me] the past tense of [the verb |]{x}[?|.]",
            "[What is|What's|Give me] the past [form |]of [to |]{x}[?|.]",
            "Past tense of {x}[?|]",
            "How do [you|I] say {x} in the past[ tense|]?",
            "[Put|Write] {x} in[to|] the past tense.",
            "Today I {x}, yesterday I ...?",
            "[Can you tell me|I want to know|Do you know] what the past tense of {x} is[.|?]",
            "[I need|I am looking for] the past tense of {x}.",
        ),
        ("The past tense of {x} is {y}.",),
        _QUOTED,
        weight=1.4,
    ),
    Relation(
        _SYNONYMS,
        (
            "[What is|What's|Tell me|Give me] [a|another|a different] word for {x}[?|.]",
            "[What|Which] word means the same as {x}?",
            "[Give me|Tell me|Name|Find] a synonym [of|for] {x}[.|?]",
            "What is a synonym [of|for] {x}?",
            "[Can|Could] you [tell|give] me another word for {x}?",
            "How else can [I|you] say {x}?",
        ),
        ("Another word for {x} is {y}.",),
        _QUOTED,
    ),
    Relation(
        _TRANSLATIONS,
        (
            "[What is|What's|Tell me] {x}[?|.]",
            "How do [you|I|they] say {x}?",
            "[Say|Translate|Give me] {x}[.|, please.|]",
            "[What is|Give me|Tell me] the word for {x}[.|?]",
            "[Can|Could] you say {x}?",
            "[Can you tell me|I want to know|Do you know] how to say {x}[.|?]",
            "[I need|I am looking for] the word for {x}.",
            "I want to say {x}. [How?|How do I do that?]",
        ),
        ("{X} is {y}.",),
        ("[And|What about|How about] {x}?",),
        weight=1.8,
    ),
]
