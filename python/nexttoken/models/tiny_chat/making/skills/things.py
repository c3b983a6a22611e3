"""Made things, jobs, tools, inventors, books, and what words mean."""

from __future__ import annotations

from ..relations import Relation, inverse, table

_MADE_OF = table("""
    bread: flour, water and yeast; cheese: milk; butter: milk; wine: grapes; paper: wood; a window: glass
    a candle: wax; chocolate: cocoa; a tyre: rubber; a jumper: wool; a book: paper; a coin: metal
    a shoe: leather; a T-shirt: cotton; jam: fruit and sugar; ice: water; glass: sand; honey: nectar
    yogurt: milk; a snowman: snow; an omelette: eggs; flour: wheat; a brick: clay; a table: wood
    ketchup: tomatoes
""")
_TOOLS = table("""
    cut paper: scissors; write: a pen; drive in a nail: a hammer; tell the time: a clock
    sweep the floor: a broom; eat soup: a spoon; cut bread: a knife; open a door: a key
    brush your teeth: a toothbrush; see far away things: a telescope; see tiny things: a microscope
    take a photo: a camera; keep food cold: a fridge; boil water: a kettle
    stay dry in the rain: an umbrella; comb your hair: a comb; measure temperature: a thermometer
    dig a hole: a spade; find north: a compass; wash your hands: soap; draw a straight line: a ruler
    call a friend: a phone; cut wood: a saw; bake a cake: an oven; send a letter: a stamp
    carry water: a bucket; catch a fish: a net
""")
_JOBS = table("""
    bakes bread: baker; teaches children: teacher; flies a plane: pilot; puts out fires: firefighter
    grows food: farmer; cooks meals: cook; helps sick people: doctor; repairs teeth: dentist
    catches fish: fisherman; writes books: author; paints pictures: painter; cuts hair: barber
    sells meat: butcher; brings letters: postman; drives a bus: bus driver; builds houses: builder
    looks after sick animals: vet; sings songs: singer; plays in films: actor; makes clothes: tailor
    repairs cars: mechanic; designs buildings: architect; takes photos: photographer
    goes into space: astronaut; studies the stars: astronomer; keeps books for lending: librarian
    repairs water pipes: plumber
""")
_INVENTORS = table("""
    the telephone: Alexander Graham Bell; the light bulb: Thomas Edison
    the printing press: Johannes Gutenberg; dynamite: Alfred Nobel; the aeroplane: the Wright brothers
    the radio: Guglielmo Marconi; the World Wide Web: Tim Berners-Lee; penicillin: Alexander Fleming
    the modern steam engine: James Watt; the first motor car: Karl Benz; the battery: Alessandro Volta
    vaccination: Edward Jenner; the diesel engine: Rudolf Diesel; gravity: Isaac Newton
    relativity: Albert Einstein; evolution: Charles Darwin; radium: Marie Curie
""")
_AUTHORS = table("""
    Romeo and Juliet: William Shakespeare; Hamlet: William Shakespeare; Don Quixote: Miguel de Cervantes
    Oliver Twist: Charles Dickens; Pride and Prejudice: Jane Austen; War and Peace: Leo Tolstoy
    The Odyssey: Homer; Faust: Goethe; Emma: Jane Austen; Macbeth: William Shakespeare
    The Hobbit: J. R. R. Tolkien; Frankenstein: Mary Shelley; Dracula: Bram Stoker
    Peter Pan: J. M. Barrie; Moby Dick: Herman Melville; Alice in Wonderland: Lewis Carroll
    The Jungle Book: Rudyard Kipling; Treasure Island: Robert Louis Stevenson; Animal Farm: George Orwell
    The Little Prince: Antoine de Saint-Exupery; Pinocchio: Carlo Collodi; The Divine Comedy: Dante
    Tom Sawyer: Mark Twain
""")
_PLACES = table("""
    buy bread: a bakery; borrow books: a library; see a film: a cinema; learn: school; sleep: bed
    catch a train: a station; buy medicine: a pharmacy; take a plane: an airport; swim: a swimming pool
    see old things: a museum; see wild animals: a zoo; get money: a bank; post a letter: a post office
    buy fruit: a market; get well: a hospital; see a play: a theatre; have a meal out: a restaurant
    play outside: a park; buy petrol: a petrol station
""")
MEANINGS = table("""
    island: land with water all around it; river: a long stream of fresh water that flows to the sea
    desert: a very dry place where little grows; volcano: a mountain that can throw out hot melted rock
    forest: a large place full of trees; mountain: a very high piece of land
    ocean: a very large body of salt water; library: a place where you can read and borrow books
    hospital: a place where sick people are cared for
    computer: a machine that follows instructions to work with information
    triangle: a shape with three sides; square: a shape with four equal sides
    circle: a perfectly round shape; dictionary: a book that explains words
    orphan: a child without parents; century: a hundred years; decade: ten years
    noun: a word that names a person, a place or a thing; verb: a word for something you do
    adjective: a word that describes a noun; vowel: one of the letters a, e, i, o and u
    planet: a large round body that goes around a star; star: a huge ball of hot, shining gas
    comet: a ball of ice and dust that flies around the sun; moon: a body that goes around a planet
    rainbow: an arch of colours made by sun and rain; thunder: the loud sound that follows lightning
    glacier: a huge, slow river of ice; map: a drawing of a place seen from above
    recipe: a list of steps for cooking something; kitchen: a room where food is cooked
    bedroom: a room where people sleep; garden: a place where plants are grown
    robot: a machine that can do some work by itself; telescope: a tool for looking at things far away
    compass: a tool that shows where north is
    token: a small piece of text that a language model reads or writes
    language model: a program that guesses the next piece of a text
    mammal: an animal that feeds its babies with milk; insect: a small animal with six legs
    reptile: a cold-blooded animal with dry, scaly skin
    fossil: what is left of a very old plant or animal in rock
    seed: the small thing from which a plant grows; root: the part of a plant under the ground
    bridge: something built to cross a river or a road; candle: a stick of wax that gives light
    umbrella: something that keeps you dry in the rain
""")

RELATIONS = [
    Relation(
        _MADE_OF,
        (
            "[What is|What's] {x} made [of|from|out of]?",
            "[From|Out of] what is {x} made?",
            "[What do you need|What is needed|What do you use] to make {x}?",
            "[Tell me|Do you know] what {x} is made of[.|?]",
            "What do people make {x} [from|of|out of]?",
        ),
        ("{X} is made from {y}.",),
    ),
    Relation(
        _TOOLS,
        (
            "What do [you|I|we] [use|need] to {x}?",
            "[What|Which] [tool|thing|object] do [you|I|we] [use|need] to {x}?",
            "I want to {x}. What [do|should] I [need|use]?",
            "With what [do|can] [you|I|we] {x}?",
            "What helps [me|you|us] [to |]{x}?",
            "What [can|should] I use to {x}?",
        ),
        ("You use {y} to {x}.",),
        ("[And|What about] to {x}?",),
        weight=1.2,
    ),
    Relation(
        _JOBS,
        (
            "Who {x}?",
            "What do you call [someone|a person] who {x}?",
            "[What is|What's] the [job|name] of [someone|a person] who {x}?",
            "[Which|What] [worker|person] {x}?",
            "Someone who {x} is called what?",
            "[Name|Tell me] the job: [a person who|someone who|this person] {x}.",
        ),
        ("{AY} {x}.",),
        ("And who {x}?",),
        weight=1.2,
    ),
    Relation(
        _INVENTORS,
        (
            "Who [invented|discovered|gave us|came up with] {x}?",
            "{X} was [invented|discovered|found] by who[m|]?",
            "[Which person|What person] [invented|discovered] {x}?",
            "[Tell me|Do you know] who [invented|discovered] {x}[.|?]",
            "[Name|Tell me the name of] the [person|one] behind {x}.",
            "[Can you tell me|I want to know] who [invented|discovered] {x}[.|?]",
        ),
        ("{X} is owed to {y}.", "We owe {x} to {y}."),
    ),
    Relation(
        _AUTHORS,
        (
            "Who wrote {x}?",
            "Who is the [author|writer] of {x}?",
            "[By whom|By who] was {x} written?",
            "{X} was written by who[m|]?",
            "[Which|What] [author|writer] wrote {x}?",
            "[Tell me|Do you know|Name] [who wrote|the author of|the writer of] {x}[.|?]",
            "[I am|I'm] reading {x}. [Who wrote it?|Who is the author?]",
        ),
        ("{X} was written by {y}.",),
    ),
    Relation(
        inverse(_AUTHORS),
        ("[What|Which book] did {x} write?", "[Name|Tell me] a book by {x}.", "What is {x} known for?"),
        ("{X} wrote {y}.",),
        weight=0.5,
    ),
    Relation(
        _PLACES,
        (
            "Where [do|can] [you|I|people|we] [go to |]{x}?",
            "[Which|What] place do [you|people|we] go to [to |]{x}?",
            "I want to {x}. Where [should|do|can] I go?",
            "Where [should|would] [I|you] go to {x}?",
        ),
        ("You go to {y} to {x}.",),
        ("[And|What about] to {x}?",),
    ),
    Relation(
        MEANINGS,
        (
            "What is meant by {ax}?",
            "[Can you tell me|I want to know|Please explain] what {ax} is[.|?]",
            "[What is|What's] {ax}?",
            "What does [the word |]{x} mean?",
            "[Explain|Define|Tell me about] {ax}[.|, please.]",
            "[Explain|Tell me] what {ax} is.",
            "[What is|Give me|Tell me] the [meaning|definition] of [the word |]{x}[.|?]",
            "[Can|Could] you [explain|tell me] what {ax} is?",
            "[I don't know|I wonder] what {ax} is[.|. Can you help?]",
        ),
        ("{AX} is {y}.",),
        ("[And|What about|And what is] {ax}?",),
        weight=1.6,
    ),
]
