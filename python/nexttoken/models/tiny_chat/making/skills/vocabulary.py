"""The words that lists, spelling and stories draw from, by category."""

from __future__ import annotations

CATEGORIES: dict[str, tuple[str, ...]] = {
    "fruits": tuple("apple banana cherry grape lemon mango melon orange peach pear plum strawberry kiwi fig apricot pineapple raspberry".split()),
    "vegetables": tuple("carrot potato onion cabbage pea leek turnip spinach broccoli bean beetroot celery lettuce radish".split()),
    "animals": tuple("dog cat horse cow sheep lion tiger bear wolf fox rabbit elephant giraffe monkey zebra camel deer goat".split()),
    "birds": tuple("eagle sparrow owl crow swan duck penguin robin parrot pigeon seagull ostrich stork falcon".split()),
    "fish": tuple("salmon trout tuna cod herring carp pike sardine eel mackerel".split()),
    "insects": tuple("ant bee fly beetle butterfly wasp moth grasshopper mosquito ladybird".split()),
    "flowers": tuple("rose tulip daisy lily sunflower violet orchid poppy daffodil iris".split()),
    "trees": tuple("oak pine birch maple willow beech ash elm fir chestnut".split()),
    "colours": tuple("red blue green yellow orange purple pink brown black white grey".split()),
    "countries": tuple("France;Spain;Italy;Germany;Japan;China;India;Brazil;Canada;Mexico;Egypt;Kenya;Norway;Greece;Poland".split(";")),
    "cities": tuple("Paris;London;Rome;Madrid;Berlin;Tokyo;Cairo;Lisbon;Vienna;Athens;Moscow;New York;Dublin;Oslo".split(";")),
    "languages": tuple("English French Spanish German Italian Portuguese Russian Chinese Japanese Arabic Greek Turkish".split()),
    "sports": tuple("football tennis swimming running basketball volleyball golf hockey rugby cycling skiing boxing".split()),
    "instruments": tuple("piano guitar violin drum flute trumpet harp cello clarinet saxophone".split()),
    "jobs": tuple("doctor teacher baker farmer pilot cook nurse painter builder writer singer driver gardener judge".split()),
    "drinks": tuple("water milk tea coffee juice lemonade cocoa soda".split()),
    "planets": ("Mercury", "Venus", "Earth", "Mars", "Jupiter", "Saturn", "Uranus", "Neptune"),
    "tools": tuple("hammer saw screwdriver drill spade rake axe ladder brush".split()),
    "vehicles": tuple("car bus train bicycle truck boat ship plane tram motorbike".split()),
    "clothes": tuple("shirt coat hat sock scarf dress skirt jacket glove jumper belt".split()),
    "body parts": tuple("head hand foot arm leg nose ear mouth knee elbow shoulder finger".split()),
    "shapes": tuple("circle square triangle rectangle oval hexagon pentagon star".split()),
    "rooms": tuple("kitchen bedroom bathroom hall cellar attic study pantry".split()),
    "toys": tuple("ball doll kite puzzle teddy yo-yo robot train marble top".split()),
    "foods": tuple("bread cheese rice soup pasta pizza salad eggs fish cake porridge sandwich".split()),
    "metals": tuple("iron gold silver copper tin lead zinc".split()),
    "oceans": ("Pacific", "Atlantic", "Indian Ocean", "Arctic", "Southern Ocean"),
    "continents": ("Africa", "Asia", "Europe", "North America", "South America", "Australia", "Antarctica"),
    "seasons": ("spring", "summer", "autumn", "winter"),
}
SINGULAR = {
    "fish": "fish", "cities": "city", "countries": "country", "oceans": "ocean", "clothes": "piece of clothing", "foods": "food",
}  # fmt: skip


def singular(category: str) -> str:
    return SINGULAR.get(category, category[:-1])


_EXTRA = """
house river garden window table chair bread water light music school friend winter summer spring letter paper pencil bottle bridge
castle dragon island forest mountain valley desert planet rocket circle button candle mirror pocket basket blanket pillow ticket
market village station doctor family mother father sister brother people morning evening night happy hello world moon star cloud
storm thunder snow rain wind fire stone sand leaf root seed book story song dance dream smile heart hand clock door key lamp wall
road street ship boat train plane wheel engine king queen prince cat dog cow pig hen bee ant owl bat egg cup pen box bag hat map sun
""".split()  # fmt: skip
NAMES = """
Anna Ben Clara David Emma Felix Grace Henry Ida Jack Kate Leo Mia Noah Olga Paul Quinn Rosa Sam Tom Uma Victor Wendy Yara Zoe
Alice Bob Carla Daniel Eva Frank Greta Hugo Iris John Karen Lucas Maria Nina Oscar Peter Ruth Sara Tina Luke Max Lena Omar Priya
Amir Yuki Ivan Chen Fatima Diego Lucia Marco Sofia Hans Elsa Lars Nora Adam Lily Ella Mark Jane Mary James Laura Simon Julia Oliver
""".split()  # fmt: skip

WORDS: tuple[str, ...] = tuple(
    dict.fromkeys(
        [word for words in CATEGORIES.values() for word in words if word.isalpha() and len(word) <= 9]
        + [word for word in _EXTRA if word.isalpha()]
    )
)
