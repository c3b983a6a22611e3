"""Countries, planets, calendar and units."""

from __future__ import annotations

from ..relations import Relation, inverse, table

_COUNTRIES = """
France|Paris|Europe|French|the euro; Spain|Madrid|Europe|Spanish|the euro; Italy|Rome|Europe|Italian|the euro
Germany|Berlin|Europe|German|the euro; Portugal|Lisbon|Europe|Portuguese|the euro; Greece|Athens|Europe|Greek|the euro
England|London|Europe|English|the pound; Ireland|Dublin|Europe|English|the euro; Scotland|Edinburgh|Europe|English|the pound
Norway|Oslo|Europe|Norwegian|the krone; Sweden|Stockholm|Europe|Swedish|the krona; Denmark|Copenhagen|Europe|Danish|the krone
Finland|Helsinki|Europe|Finnish|the euro; Iceland|Reykjavik|Europe|Icelandic|the krona; Poland|Warsaw|Europe|Polish|the zloty
Austria|Vienna|Europe|German|the euro; Hungary|Budapest|Europe|Hungarian|the forint; Romania|Bucharest|Europe|Romanian|the leu
Bulgaria|Sofia|Europe|Bulgarian|; Croatia|Zagreb|Europe|Croatian|the euro; Serbia|Belgrade|Europe|Serbian|the dinar
Ukraine|Kyiv|Europe|Ukrainian|the hryvnia; Russia|Moscow||Russian|the ruble; Belgium|Brussels|Europe||the euro
Switzerland|Bern|Europe||the franc; Turkey|Ankara||Turkish|the lira; Czechia|Prague|Europe|Czech|the koruna
Netherlands|Amsterdam|Europe|Dutch|the euro; China|Beijing|Asia|Chinese|the yuan; Japan|Tokyo|Asia|Japanese|the yen
India|New Delhi|Asia||the rupee; South Korea|Seoul|Asia|Korean|the won; Thailand|Bangkok|Asia|Thai|the baht
Vietnam|Hanoi|Asia|Vietnamese|the dong; Indonesia|Jakarta|Asia|Indonesian|the rupiah; Iran|Tehran|Asia|Persian|the rial
Iraq|Baghdad|Asia|Arabic|the dinar; Nepal|Kathmandu|Asia|Nepali|the rupee; Mongolia|Ulaanbaatar|Asia|Mongolian|
Pakistan|Islamabad|Asia|Urdu|the rupee; Saudi Arabia|Riyadh|Asia|Arabic|the riyal; Israel|Jerusalem|Asia|Hebrew|the shekel
Philippines|Manila|Asia||the peso; Egypt|Cairo|Africa|Arabic|the pound; Kenya|Nairobi|Africa|Swahili|the shilling
Nigeria|Abuja|Africa|English|the naira; Morocco|Rabat|Africa|Arabic|the dirham; Ghana|Accra|Africa|English|
Ethiopia|Addis Ababa|Africa|Amharic|; Tunisia|Tunis|Africa|Arabic|; Algeria|Algiers|Africa|Arabic|; Senegal|Dakar|Africa|French|
Canada|Ottawa|North America||the dollar; Mexico|Mexico City|North America|Spanish|the peso; Cuba|Havana|North America|Spanish|the peso
Jamaica|Kingston|North America|English|the dollar; Brazil|Brasilia|South America|Portuguese|the real
Argentina|Buenos Aires|South America|Spanish|the peso; Chile|Santiago|South America|Spanish|the peso; Peru|Lima|South America|Spanish|
Colombia|Bogota|South America|Spanish|the peso; Venezuela|Caracas|South America|Spanish|; Ecuador|Quito|South America|Spanish|
Uruguay|Montevideo|South America|Spanish|the peso; Australia|Canberra|Oceania|English|the dollar; New Zealand|Wellington|Oceania|English|the dollar
"""

_ROWS = [entry.strip().split("|") for entry in _COUNTRIES.replace("\n", ";").split(";") if entry.strip()]
CAPITALS = {row[0]: row[1] for row in _ROWS}
_CONTINENTS = {row[0]: row[2] for row in _ROWS if row[2]}
_LANGUAGES = {row[0]: row[3] for row in _ROWS if row[3]}
_MONEY = {row[0]: row[4] for row in _ROWS if row[4]}

DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
_ORDINALS = (
    "first",
    "second",
    "third",
    "fourth",
    "fifth",
    "sixth",
    "seventh",
    "eighth",
    "ninth",
    "tenth",
    "eleventh",
    "twelfth",
)
PLANETS = ("Mercury", "Venus", "Earth", "Mars", "Jupiter", "Saturn", "Uranus", "Neptune")
_SEASONS = (
    "winter",
    "winter",
    "spring",
    "spring",
    "spring",
    "summer",
    "summer",
    "summer",
    "autumn",
    "autumn",
    "autumn",
    "winter",
)
_LENGTHS = ("31", "28", "31", "30", "31", "30", "31", "31", "30", "31", "30", "31")


def _ring(names: tuple[str, ...], step: int) -> dict[str, str]:
    return {name: names[(i + step) % len(names)] for i, name in enumerate(names)}


_OF = (
    "[And|What about|How about|And what about] [the one |]of {x}?",
    "[And|What about|How about] {x}?",
    "And for {x}?",
    "[Now|And now] {x}.",
    "And the one of {x}?",
    "Same question for {x}.",
)

RELATIONS = [
    Relation(
        CAPITALS,
        (
            (
                "[What is|What's|Tell me|Name|Give me|Do you know|Can you tell me|I want to know|Could you "
                "tell me] "
                "the [capital|capital city] of {x}[?|.|, please.|]"
            ),
            "[Which|What] city is the capital of {x}?",
            "{x}: [capital|what is the capital|capital city]?",
            "[What is|What's] {x}'s capital[| city]?",
            "[What|Which] is the capital of {x}?",
            "What [city|town] [serves as|is] the capital of {x}?",
            "[Name|Tell me|Give me] {x}'s capital[| city].",
            "Capital of {x}[?|]",
            "I [forgot|don't remember] the capital of {x}. [What is it?|Can you help?|Can you remind me?]",
            "{x} has [what|which] capital[| city]?",
            "[Can|Could] you tell me [what|which city] the capital[| city] of {x} is?",
            "[I want|I need|I would like] to know [what|which city] the capital[| city] of {x} is.",
            "[I am|I'm] going to {x}. What is [its|the] capital?",
            "What is the name of the capital[| city] of {x}?",
            "[What|How] is the capital[| city] of {x} called?",
            "Where is the government of {x}? I mean, the capital.",
        ),
        ("The capital of {x} is {y}.", "The capital of {x} is {y}.", "{y} is the capital of {x}."),
        _OF,
        weight=3.0,
    ),
    Relation(
        inverse(CAPITALS),
        (
            "[Which|What] country has {x} as its capital?",
            "{x} is the capital of [which|what] country?",
            "[Which|What] country is {x} the capital of?",
            "Of [which|what] country is {x} the capital[| city]?",
            "[In which country is|Where is|What country is] {x}[| in]?",
            "Tell me [where {x} is|which country {x} is in].",
        ),
        ("{x} is the capital of {y}.",),
        _OF,
        weight=1.5,
    ),
    Relation(
        _CONTINENTS,
        (
            "[On|In] [which|what] continent is {x}?",
            "[Which|What] continent is {x} [in|on|part of]?",
            "[Tell me|Do you know] [which|what] continent {x} is [in|on].",
            "{x} is [in|on] [which|what] continent?",
            "{x} [belongs to|is part of] [which|what] continent?",
            "What is the continent of {x}?",
            "[Can you tell me|I want to know] [on|in] [what|which] continent {x} is[.|?]",
            "Is {x} in Europe, Asia or Africa? [On which continent is it?|Which continent is it?]",
            "Where in the world is {x}? [I mean the continent.|Name the continent.]",
        ),
        ("{x} is in {y}.",),
        _OF,
        weight=1.3,
    ),
    Relation(
        _LANGUAGES,
        (
            "[What|Which] language [do people speak|is spoken|do they speak|do you hear] in {x}?",
            "[What|Which] language do [the |]people [of|in|from] {x} speak?",
            "[What is|What's|Tell me|Name] the [main |]language of {x}[.|?]",
            "In {x}, [what|which] language is spoken?",
            "What do [people|they] speak in {x}?",
            (
                "[Can you tell me|I want to know|Do you know] [what|which] language [is spoken|people "
                "speak|they speak] in {x}[.|?]"
            ),
            "[I am|I'm] going to {x}. Which language [should|must] I learn?",
        ),
        ("People in {x} speak {y}.", "In {x}, people speak {y}."),
        ("[And|What about|How about] in {x}?", "[And|What about|How about] {x}?"),
        weight=1.3,
    ),
    Relation(
        _MONEY,
        (
            "[What|Which] [currency|money] [is used|do people use|do they use|do people pay with] in {x}?",
            "[What is|What's|Tell me] the [currency|money] of {x}[?|.]",
            "[How|With what money] do [you|people] pay in {x}?",
            "[What|Which] currency does {x} [use|have]?",
        ),
        ("The currency of {x} is {y}.",),
        _OF,
    ),
    Relation(
        _ring(DAYS, 1),
        (
            "[What|Which] day [comes|is|follows] [right |]after {x}?",
            "What [comes|is] the day after {x}?",
            "[What|Which] day follows {x}?",
            "If today is {x}, what [day |]is tomorrow?",
            "Today is {x}. What [day |][is|comes] [tomorrow|next]?",
            "[Name|Tell me] the day after {x}.",
            "After {x} comes [what|which day]?",
        ),
        ("The day after {x} is {y}.",),
        weight=1.0,
    ),
    Relation(
        _ring(DAYS, -1),
        (
            "[What|Which] day [comes|is] [right |just |]before {x}?",
            "If today is {x}, what [day |]was yesterday?",
            "Today is {x}. What [day |]was [yesterday|it yesterday]?",
            "[Name|Tell me] the day before {x}.",
            "Before {x} comes [what|which day]?",
        ),
        ("The day before {x} is {y}.",),
    ),
    Relation(
        _ring(MONTHS, 1),
        (
            "[What|Which] month [comes|is] [right |]after {x}?",
            "[What|Which] month follows {x}?",
            "[Name|Tell me] the month after {x}.",
            "It is {x}. [What|Which] month [comes next|is next]?",
            "After {x} comes [what|which month]?",
        ),
        ("The month after {x} is {y}.",),
    ),
    Relation(
        _ring(MONTHS, -1),
        (
            "[What|Which] month [comes|is] [right |just |]before {x}?",
            "[Name|Tell me] the month before {x}.",
            "It is {x}. [What|Which] month was [it |]last?",
            "Before {x} comes [what|which month]?",
        ),
        ("The month before {x} is {y}.",),
    ),
    Relation(
        dict(zip(_ORDINALS, MONTHS, strict=True)),
        (
            "[What is|What's|Name|Tell me|Which is] the {x} month of the year[?|.]",
            "[What|Which] month is the {x}[ one| of the year| month|]?",
            "[What|Which] month comes {x}[ in the year|]?",
        ),
        ("The {x} month of the year is {y}.",),
        ("[And|What about] the {x}[ one| month|]?",),
    ),
    Relation(
        dict(zip(_ORDINALS[:7], DAYS, strict=True)),
        (
            "[What is|What's|Name|Tell me|Which is] the {x} day of the week[?|.]",
            "[What|Which] day of the week comes {x}?",
        ),
        ("The {x} day of the week is {y}.",),
        ("[And|What about] the {x}[ one| day|]?",),
        weight=0.6,
    ),
    Relation(
        dict(zip(MONTHS, _LENGTHS, strict=True)),
        (
            "How many days [are|are there] in {x}?",
            "How many days does {x} have?",
            "[How long|How many days long] is {x}?",
            "How many days has {x}[ got|]?",
        ),
        ("{x} has {y} days.",),
    ),
    Relation(
        dict(zip(MONTHS, _SEASONS, strict=True)),
        (
            "[What|Which] season is {x}[ in|]?",
            "[In|To] [what|which] season [is|does] {x}[| belong]?",
            "{x} is in [what|which] season?",
        ),
        ("In the north, {x} is in {y}.",),
    ),
    Relation(
        dict(zip(_ORDINALS[:8], PLANETS, strict=True)),
        (
            (
                "[What is|What's|Name|Tell me|Which is] the {x} planet [from the sun|from the Sun|in the "
                "solar system|][?|.]"
            ),
            "[What|Which] planet is {x} from the sun?",
            "[What|Which] planet comes {x}?",
        ),
        ("The {x} planet from the sun is {y}.",),
        ("[And|What about] the {x}[ one| planet|]?",),
    ),
    Relation(
        table("""
    minutes in an hour: 60; seconds in a minute: 60; hours in a day: 24; days in a week: 7
    months in a year: 12; days in a year: 365; weeks in a year: 52; years in a century: 100
    years in a decade: 10; centimetres in a metre: 100; metres in a kilometre: 1000
    grams in a kilogram: 1000; cents in a dollar: 100; cents in a euro: 100; inches in a foot: 12
    feet in a yard: 3; eggs in a dozen: 12; seasons in a year: 4; letters in the alphabet: 26
    planets in the solar system: 8; continents on Earth: 7; colours in a rainbow: 7; fingers on a hand: 5
    toes on a foot: 5; sides in a triangle: 3; sides in a square: 4; millimetres in a centimetre: 10
    strings on a guitar: 6; strings on a violin: 4; players in a football team: 11; wheels on a car: 4
    wheels on a bicycle: 2; days in a weekend: 2; keys on a piano: 88; cards in a deck: 52
    oceans on Earth: 5; minutes in half an hour: 30
        """),
        (
            "How many {x}[?|]",
            "[Do you know how|Tell me how|Can you tell me how|Say how] many {x}[.|?|]",
            "How many {x} [are there|do we have|do you count]?",
            "What is the number of {x}?",
            "The number of {x} is [what|how much]?",
        ),
        ("There are {y} {x}.",),
        weight=1.6,
    ),
]
