"""Animals, plants, the body, colours of things."""

from __future__ import annotations

from ..relations import Relation, inverse, table

SOUNDS = table("""
    dog: woof; cat: meow; cow: moo; sheep: baa; duck: quack; pig: oink; horse: neigh
    rooster: cock-a-doodle-doo; hen: cluck; bee: buzz; snake: hiss; lion: roar; wolf: howl; owl: hoot
    frog: ribbit; mouse: squeak; donkey: hee-haw; crow: caw; goat: maa; bird: tweet; bear: growl
    turkey: gobble; goose: honk; pigeon: coo; fly: buzz; cuckoo: cuckoo
""")
FOODS = table("""
    cow: grass; horse: grass and hay; rabbit: carrots and grass; lion: meat; cat: fish and meat
    dog: meat and bones; panda: bamboo; monkey: bananas; squirrel: nuts; bird: seeds and worms
    sheep: grass; bear: fish and honey; frog: flies; goat: grass and leaves; giraffe: leaves
    elephant: grass and leaves; mouse: cheese and seeds; owl: mice; shark: fish; penguin: fish
    koala: leaves; wolf: meat; tiger: meat; bee: nectar; spider: flies; caterpillar: leaves; hen: corn
    seal: fish; whale: small sea animals
""")
_YOUNG = table("""
    dog: puppy; cat: kitten; cow: calf; horse: foal; sheep: lamb; duck: duckling; pig: piglet; hen: chick
    goat: kid; frog: tadpole; goose: gosling; bear: cub; lion: cub; deer: fawn; kangaroo: joey; owl: owlet
    swan: cygnet; eagle: eaglet; butterfly: caterpillar
""")
_HOMES = table("""
    bee: a hive; bird: a nest; spider: a web; dog: a kennel; rabbit: a burrow; horse: a stable
    bear: a cave; lion: the savannah; cow: a barn; pig: a sty; fish: the water; ant: an anthill
    hen: a coop; fox: a den; beaver: a lodge; penguin: the cold south; camel: the desert
    monkey: the jungle; whale: the sea; shark: the sea; polar bear: the Arctic; kangaroo: Australia
    owl: a hollow tree; mole: a hole
""")
_LEGS = table("""
    dog: four; cat: four; cow: four; horse: four; bird: two; hen: two; duck: two; spider: eight; ant: six
    bee: six; fly: six; beetle: six; snake: no; fish: no; sheep: four; person: two; elephant: four
    frog: four; butterfly: six; penguin: two; worm: no
""")
_COLOURS = table("""
    banana: yellow; lemon: yellow; strawberry: red; tomato: red; carrot: orange; orange: orange
    leaf: green; cucumber: green; blueberry: blue; crow: black; swan: white; flamingo: pink
    pumpkin: orange; frog: green; fire engine: red; cherry: red; rose: red; snowman: white
    polar bear: white; sunflower: yellow; ruby: red; emerald: green; elephant: grey; mouse: grey
    plum: purple; eggplant: purple; cabbage: green; pea: green; raspberry: red; coconut: brown
    potato: brown; pig: pink; chick: yellow
""")
_COLOURS_MASS = table("""
    the sky: blue; the sea: blue; grass: green; snow: white; milk: white; coal: black; blood: red
    the sun: yellow; chocolate: brown; gold: yellow; silver: grey; salt: white; sugar: white; rice: white
    honey: golden; the night: black; fire: red and orange; ketchup: red; mustard: yellow; coffee: brown
    spinach: green; butter: yellow; cotton: white; paper: white; wood: brown
""")
_BODY = table("""
    see: eyes; hear: ears; smell: nose; taste: tongue; walk: legs; run: legs; think: brain; chew: teeth
    breathe: lungs; hold things: hands; write: hands; kick a ball: feet; clap: hands; bite: teeth
    listen: ears; read: eyes; point: finger; speak: mouth; pump blood: heart
""")
_KINDS = table("""
    rose: flower; tulip: flower; daisy: flower; lily: flower; sunflower: flower; oak: tree; pine: tree
    birch: tree; maple: tree; willow: tree; apple: fruit; banana: fruit; pear: fruit; cherry: fruit
    grape: fruit; peach: fruit; mango: fruit; plum: fruit; lemon: fruit; carrot: vegetable
    potato: vegetable; onion: vegetable; cabbage: vegetable; pea: vegetable; leek: vegetable
    turnip: vegetable; dog: animal; horse: animal; tiger: animal; elephant: animal; rabbit: animal
    eagle: bird; sparrow: bird; owl: bird; penguin: bird; crow: bird; salmon: fish; trout: fish
    tuna: fish; shark: fish; cod: fish; ant: insect; bee: insect; fly: insect; beetle: insect
    violin: instrument; piano: instrument; guitar: instrument; drum: instrument; flute: instrument
    trumpet: instrument; hammer: tool; saw: tool; screwdriver: tool; car: vehicle; bus: vehicle
    bicycle: vehicle; train: vehicle; truck: vehicle; chair: piece of furniture; table: piece of furniture
    bed: piece of furniture; sofa: piece of furniture; shirt: piece of clothing; coat: piece of clothing
    hat: piece of clothing; sock: piece of clothing; doctor: job; teacher: job; baker: job; mouse: animal
    frog: animal; sheep: animal; swan: bird; duck: bird; robin: bird; wasp: insect; butterfly: insect
""")
_NAMED_KINDS = table("""
    red: colour; blue: colour; green: colour; purple: colour; football: sport; tennis: sport
    swimming: sport; hockey: sport; France: country; Spain: country; Japan: country; Brazil: country
    Paris: city; London: city; Rome: city; Tokyo: city; Berlin: city; January: month; June: month
    August: month; Monday: day; Friday: day; Sunday: day; summer: season; winter: season; spring: season
    Mars: planet; Venus: planet; Saturn: planet; Jupiter: planet; gold: metal; iron: metal; silver: metal
    tea: drink; milk: drink; coffee: drink; Africa: continent; Asia: continent; Europe: continent
    French: language; Spanish: language; German: language; bread: food; cheese: food
""")
_SIZES = (
    "ant",
    "bee",
    "mouse",
    "frog",
    "cat",
    "dog",
    "sheep",
    "lion",
    "cow",
    "horse",
    "giraffe",
    "elephant",
    "whale",
)
_BIGGER = {
    f"{pair[0]} or {pair[1]}": large
    for i, small in enumerate(_SIZES)
    for large in _SIZES[i + 1 :]
    for pair in (
        (f"a{'n' * (small[0] in 'ae')} {small}", f"a{'n' * (large[0] in 'ae')} {large}"),
        (f"a{'n' * (large[0] in 'ae')} {large}", f"a{'n' * (small[0] in 'ae')} {small}"),
    )
}
_SMALLER = {}
for _pair, _large in _BIGGER.items():
    _SMALLER[_pair] = next(w for w in _pair.replace(" or ", " ").split(" ") if w not in ("a", "an", _large))

_AND_A = ("[And|What about|How about|And what about] {ax}?", "[And|Now] {ax}[?|.]")
_AND = ("[And|What about|How about|And what about] {x}?",)

RELATIONS = [
    Relation(
        SOUNDS,
        (
            "[What|Which] [sound|noise] does {ax} make?",
            "What does {ax} say?",
            "[What is|What's|Tell me] the [sound|noise] of {ax}[?|.]",
            "How does {ax} sound?",
            "[Make|Give me] the [sound|noise] of {ax}.",
            "What do {x}s say?",
            "What is the [sound|noise] {ax} makes?",
            "{AX} [says|goes] what?",
            "What noise comes from {ax}?",
            "[Can you tell me|Do you know|Tell me] [what|which] [sound|noise] {ax} makes[?|.]",
            "[Can you tell me|Do you know|Tell me] what {ax} says[?|.]",
            "I [hear|see] {ax}. What does it say?",
        ),
        ("{AX} says {y}.", "{AX} says {y}."),
        _AND_A,
        weight=1.6,
    ),
    Relation(
        inverse(SOUNDS),
        (
            "[What|Which] animal [says|makes the sound|goes] {x}?",
            "Who says {x}?",
            "{X}! Which animal is that?",
        ),
        ("{AY} says {x}.",),
        weight=0.7,
    ),
    Relation(
        FOODS,
        (
            "What [does|do] {ax} eat?",
            "What do {x}s [eat|like to eat|feed on]?",
            "[What is|What's|Tell me] the food of {ax}[?|.]",
            "[Tell me|Do you know] what {ax} eats.",
            "What [food |]do you [feed|give] [to |]{ax}?",
            "What [can|should|could] I feed {ax}?",
            "What does {ax} like to [eat|have for dinner]?",
            "[Can you tell me|I want to know] what {ax} eats[.|?]",
            "My {x} is hungry. What [does it eat|can I give it]?",
        ),
        ("{AX} eats {y}.",),
        _AND_A,
        weight=1.2,
    ),
    Relation(
        _YOUNG,
        (
            "What [is|do you call] a baby {x}[ called|]?",
            "[What is|What's|Tell me] the name of a [baby|young] {x}[?|.]",
            "What do [you|we|people] call a [baby|young|little] {x}?",
            "A [baby|young] {x} is called what?",
            "[What is|What's] the young of {ax} called?",
            "How do you call the baby of {ax}?",
        ),
        ("A baby {x} is called {ay}.",),
        ("[And|What about|How about] a baby {x}?", "[And|What about] {ax}?"),
        weight=1.2,
    ),
    Relation(
        _HOMES,
        (
            "Where does {ax} live?",
            "Where do {x}s live?",
            "[What is|What's] the home of {ax}[ called|]?",
            "[Tell me|Do you know] where {ax} lives[.|?]",
            "In what place does {ax} live?",
            "Where can [I|you] find {ax}?",
            "[Can you tell me|I want to know] where {ax} lives[.|?]",
        ),
        ("{AX} lives in {y}.",),
        _AND_A,
    ),
    Relation(
        _LEGS,
        (
            "How many legs does {ax} have?",
            "How many legs [has|are on] {ax}[ got|]?",
            "How many legs do {x}s have?",
            "[Tell me|Do you know] how many legs {ax} has[.|?]",
            "What is the number of legs of {ax}?",
        ),
        ("{AX} has {y} legs.",),
        _AND_A,
    ),
    Relation(
        _COLOURS,
        (
            "[What|Which] colo[u|]r is {ax}?",
            "[What is|What's|Tell me|Name] the colo[u|]r of {ax}[?|.]",
            "[What|Which] colo[u|]r does {ax} [have|usually have]?",
            "[What|Which] colo[u|]r [are|do] {x}s[| have]?",
            "{AX} is [what|which] colo[u|]r?",
            "What is {ax}'s colo[u|]r?",
            "[Can you tell me|Do you know|Tell me] [what|which] colo[u|]r {ax} is[?|.]",
            "[I want|I need] to paint {ax}. [What|Which] colo[u|]r do I [need|take]?",
        ),
        ("{AX} is {y}.",),
        _AND_A,
        weight=1.5,
    ),
    Relation(
        _COLOURS_MASS,
        (
            "[What|Which] colo[u|]r is {x}?",
            "[What is|What's|Tell me|Name] the colo[u|]r of {x}[?|.]",
            "[What|Which] colo[u|]r does {x} [have|usually have]?",
            "{X} is [what|which] colo[u|]r?",
            "[Can you tell me|Do you know|Tell me] [what|which] colo[u|]r {x} is[?|.]",
        ),
        ("{X} is {y}.",),
        _AND,
        weight=1.2,
    ),
    Relation(
        _BODY,
        (
            "[What|Which part of the body|What part of your body] do [we|you] use to {x}?",
            "[With what|With which part of the body] do [we|you|people] {x}?",
            "What do [we|you|people] {x} with?",
            "[What|Which part of the body] helps [us|you|me] [to |]{x}?",
            "What do I need to {x}?",
        ),
        ("We use the {y} to {x}.",),
        ("[And|What about] to {x}?", "[And|What about] [when we |]{x}?"),
    ),
    Relation(
        _KINDS,
        (
            "What [kind|sort|type] of thing is {ax}?",
            "[What kind of thing is|What sort of thing is] the {x}?",
            "To what [group|category|kind of things] does {ax} belong?",
            "What [group|category] is {ax} in?",
            "{AX} is a kind of what?",
            "{AX} is an example of what?",
            "[Tell me|Can you tell me] what kind of thing {ax} is[.|?]",
        ),
        ("{AX} is {ay}.",),
        _AND_A,
    ),
    Relation(
        _NAMED_KINDS,
        (
            "What [kind|sort|type] of thing is {x}?",
            "To what [group|category|kind of things] does {x} belong?",
            "What [group|category] is {x} in?",
            "{X} is a kind of what?",
            "{X} is an example of what?",
            "[Tell me|Can you tell me] what kind of thing {x} is[.|?]",
        ),
        ("{X} is {ay}.",),
        _AND,
        weight=0.6,
    ),
    Relation(
        _BIGGER,
        (
            "[Which|What|Who] is [bigger|larger], {x}?",
            "[Which|What] is the [bigger|larger] [animal|one], {x}?",
            "{X}, [which|what|who] is [bigger|larger]?",
            "[Which|What] animal is [bigger|larger]: {x}?",
        ),
        ("{AY} is bigger.",),
        ("[And|And now,|What about] {x}?",),
        weight=0.8,
    ),
    Relation(
        _SMALLER,
        (
            "[Which|What|Who] is smaller, {x}?",
            "[Which|What] is the smaller [animal|one], {x}?",
            "{X}, [which|what|who] is smaller?",
            "[Which|What] animal is smaller: {x}?",
        ),
        ("{AY} is smaller.",),
        ("[And|And now,|What about] {x}?",),
        weight=0.6,
    ),
]
