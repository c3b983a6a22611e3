"""How to do everyday things, in steps: the longer plain answers."""

from __future__ import annotations

from random import Random

from ..exchange import Exchange
from ..wording import expand, pick

_STEPS: dict[str, tuple[str, ...]] = {
    "make tea": (
        "Boil some water.",
        "Put a tea bag in a cup.",
        "Pour the hot water over it.",
        "Wait for three minutes.",
        "Take out the tea bag and enjoy your tea.",
    ),
    "make coffee": (
        "Boil some water.",
        "Put ground coffee in a filter.",
        "Pour the hot water over it slowly.",
        "Add milk or sugar if you like.",
    ),
    "boil an egg": (
        "Put the egg in a pot of water.",
        "Bring the water to the boil.",
        "Wait for eight minutes.",
        "Cool the egg in cold water.",
        "Take off the shell.",
    ),
    "make a sandwich": (
        "Take two slices of bread.",
        "Spread butter on them.",
        "Add cheese, tomato or what you like.",
        "Put the slices together.",
    ),
    "bake a cake": (
        "Mix butter, sugar and eggs.",
        "Stir in flour and a little milk.",
        "Pour it into a pan.",
        "Bake it for forty minutes.",
        "Let it cool before you cut it.",
    ),
    "make soup": (
        "Cut carrots, onions and potatoes.",
        "Put them in a pot with water.",
        "Add some salt.",
        "Cook it for half an hour.",
    ),
    "plant a tree": (
        "Choose a sunny place.",
        "Dig a hole.",
        "Set the young tree in it.",
        "Fill the hole with earth.",
        "Water the tree well.",
    ),
    "brush my teeth": (
        "Put toothpaste on the brush.",
        "Brush all sides of your teeth.",
        "Take two minutes for it.",
        "Rinse your mouth with water.",
    ),
    "wash my hands": (
        "Wet your hands.",
        "Take some soap.",
        "Rub your hands for twenty seconds.",
        "Rinse them and dry them.",
    ),
    "make a salad": (
        "Wash the lettuce.",
        "Cut tomatoes and cucumber.",
        "Mix everything in a bowl.",
        "Add oil, vinegar and a little salt.",
    ),
    "cook rice": (
        "Wash the rice.",
        "Take two cups of water for one cup of rice.",
        "Bring it to the boil.",
        "Cook it on low heat for fifteen minutes.",
    ),
    "cook pasta": (
        "Boil a big pot of water.",
        "Add salt.",
        "Cook the pasta for ten minutes.",
        "Pour off the water and add sauce.",
    ),
    "write a letter": (
        "Begin with the date and a greeting.",
        "Say why you write.",
        "Tell your news.",
        "End with kind regards and your name.",
    ),
    "sleep better": (
        "Go to bed at the same time every day.",
        "Keep the room dark and cool.",
        "Put away your phone.",
        "Read a quiet book.",
    ),
    "learn a language": (
        "Learn a few words every day.",
        "Listen to songs and stories.",
        "Speak with other people.",
        "Do not be afraid of mistakes.",
    ),
    "stay healthy": (
        "Eat fruit and vegetables.",
        "Drink enough water.",
        "Move every day.",
        "Sleep eight hours.",
    ),
    "make a friend": (
        "Smile and say hello.",
        "Ask a question and listen well.",
        "Find something you both like.",
        "Be kind and keep your word.",
    ),
    "clean a room": (
        "Open the window.",
        "Put things back in their place.",
        "Wipe the dust from the shelves.",
        "Sweep the floor.",
    ),
    "wrap a present": (
        "Put the present on the paper.",
        "Cut the paper to size.",
        "Fold it around the present.",
        "Fix it with tape.",
        "Tie a ribbon around it.",
    ),
    "build a snowman": (
        "Roll a big ball of snow.",
        "Put a smaller ball on top of it.",
        "Add a third ball as the head.",
        "Use a carrot for the nose and coal for the eyes.",
    ),
}
_ASK = (
    "How [do|can|should] [I|you|we] {t}?",
    "[Tell|Show] me how to {t}[.|, please.|]",
    "[Can|Could] you [tell me|explain|show me] how to {t}?",
    "How to {t}[?|]",
    "[I want|I would like] to {t}. [How do I do it?|How?|What should I do?]",
    "[Explain|Describe] how to {t}.",
    "[Help me|Teach me to] {t}[.|, please.]",
    "What are the steps to {t}?",
    "What is the [best|right] way to {t}?",
    "I need to {t}. [Help me.|What now?]",
    "Give me [steps|tips|advice] to {t}.",
)


def make(rng: Random) -> list[Exchange]:
    task = pick(rng, tuple(_STEPS))
    steps = _STEPS[task]
    draw = rng.random()
    if draw < 0.45:
        answer = "\n".join(f"{i}. {step}" for i, step in enumerate(steps, 1))
    elif draw < 0.75:
        answer = " ".join(steps)
    else:
        # The same steps told as one goes: only the first letters change.
        links = ("First, ", "Then ", "After that, ", "Next, ", "At last, ")
        used = (*links[: len(steps) - 1], links[-1])
        answer = " ".join(link + step[0].lower() + step[1:] for link, step in zip(used, steps, strict=True))
    user = expand(rng, pick(rng, _ASK), t=task)
    return [Exchange(user, answer, items=steps)]
