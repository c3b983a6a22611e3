"""Sums, differences, small products and quotients, halves, doubles, comparisons.

One sum in ten is never shown, chosen by its operands, so that the questions over those ask for arithmetic
and not for memory. Products are too few to hide whole: there one order of the two factors is hidden.
"""

from __future__ import annotations

from random import Random

from ..exchange import Exchange
from ..wording import expand, pick

NUMBER_WORDS = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
    "twenty",
]

_PLUS = (
    "What is {a} [plus|+|and] {b}[?|]",
    "What's {a} [plus|+] {b}?",
    "{a} [+|plus] {b}[?| = ?| =|]",
    "{a}+{b}[?|=|]",
    "How much is {a} [plus|+|and] {b}?",
    "[Add|Please add] {a} and {b}.",
    "[Calculate|Compute] {a} [+|plus] {b}[.|]",
    "[What is|Tell me|Give me] the sum of {a} and {b}[?|.]",
    "[Can|Could] you add {a} and {b}[ for me|]?",
    "What do you get [when|if] you add {a} and {b}?",
    "Add {b} to {a}.",
    "[Tell me|Work out|Solve] {a} [+|plus] {b}.",
    "If I add {b} to {a}, [what do I get|what is the result]?",
    (
        "I have {a} [apples and get {b} more. How many apples|coins and find {b} more. How many coins|books"
        " and buy {b} more. How many books] do I have[ now|]?"
    ),
    (
        "There are {a} [boys and {b} girls|cats and {b} dogs|red balls and {b} blue balls]. How many are "
        "there [together|in all]?"
    ),
    (
        "[Anna|Tom|My friend] has {a} [apples|coins|books] and I have {b}. How many do we have [together|in"
        " all]?"
    ),
    "[Can you tell me|I want to know|Do you know] what {a} [plus|+] {b} is[?|.]",
    "What [number|result] is {a} [plus|+] {b}?",
)
_MINUS = (
    "What is {a} [minus|-|take away|less] {b}[?|]",
    "What's {a} [minus|-] {b}?",
    "{a} [-|minus] {b}[?| = ?| =|]",
    "{a}-{b}[?|=|]",
    "How much is {a} [minus|-|take away] {b}?",
    "Subtract {b} from {a}[.|]",
    "[Calculate|Compute] {a} [-|minus] {b}[.|]",
    "[What is|Tell me|Give me] the difference [between|of] {a} and {b}[?|.]",
    "Take {b} [away |]from {a}.",
    "What do you get [when|if] you take {b} from {a}?",
    "[Tell me|Work out|Solve] {a} [-|minus] {b}.",
    "[Can you tell me|I want to know|Do you know] what {a} [minus|-] {b} is[?|.]",
    "What [number|result] is {a} [minus|-] {b}?",
    "[Can|Could] you subtract {b} from {a}?",
    "What is left [when|if] I take {b} from {a}?",
    (
        "I have {a} [apples and eat {b}. How many apples|coins and lose {b}. How many coins|books and sell "
        "{b}. How many books] [are left|do I have now]?"
    ),
)
_TIMES = (
    "What is {a} [times|x|*|multiplied by] {b}[?|]",
    "What's {a} [times|x|*] {b}?",
    "{a} [x|*|times] {b}[?| = ?| =|]",
    "{a}*{b}[?|=|]",
    "How much is {a} [times|x] {b}?",
    "Multiply {a} [by|and|with] {b}[.|]",
    "[Calculate|Compute] {a} [times|*|x] {b}[.|]",
    "[What is|Tell me|Give me] the product of {a} and {b}[?|.]",
    "[Tell me|Work out|Solve] {a} [times|x|*] {b}.",
    "[Can you tell me|I want to know|Do you know] what {a} [times|x] {b} is[?|.]",
    "[Can|Could] you multiply {a} by {b}?",
    "There are {a} bags with {b} [apples|coins|balls] in each. How many are there in all?",
)
_DIVIDE = (
    "What is {a} [divided by|/|over] {b}[?|]",
    "What's {a} [divided by|/] {b}?",
    "{a} [/|divided by] {b}[?| = ?| =|]",
    "How much is {a} [divided by|/] {b}?",
    "Divide {a} by {b}[.|]",
    "[Calculate|Work out] {a} [/|divided by] {b}.",
    "How many times does {b} [go|fit] into {a}?",
    "{b} friends share {a} [apples|coins|sweets]. How many does each get?",
)
_SIGNS = {"+": (_PLUS, "plus"), "-": (_MINUS, "minus"), "x": (_TIMES, "times"), "/": (_DIVIDE, "divided by")}


def held_out(sign: str, a: int, b: int) -> bool:
    """Whether the corpus never shows this calculation; for sums the order of the operands does not matter."""
    if sign == "+":
        low, high = sorted((a, b))
        return high > 9 and (low * 37 + high * 11) % 10 == 3
    if sign == "-":
        return a > 19 and (a * 29 + b * 13) % 10 == 7
    if sign == "x":
        return 2 < a < b and (a + 2 * b) % 3 == 0
    return False


def result(sign: str, a: int, b: int) -> int:
    return a + b if sign == "+" else a - b if sign == "-" else a * b if sign == "x" else a // b


def _operands(rng: Random, sign: str) -> tuple[int, int]:
    while True:
        if sign == "x":
            a, b = int(rng.random() * 13), int(rng.random() * 13)
        elif sign == "/":
            b = 1 + int(rng.random() * 10)
            a = b * int(rng.random() * 11)
        else:
            top = 10 if rng.random() < 0.2 else 100
            a, b = int(rng.random() * top), int(rng.random() * top)
            if sign == "-" and a < b:
                a, b = b, a
        if not held_out(sign, a, b):
            return a, b


def calculation(rng: Random, sign: str, a: int, b: int) -> Exchange:
    patterns, word = _SIGNS[sign]
    value = result(sign, a, b)
    as_words = max(a, b, value) <= 20 and rng.random() < 0.25
    shown_a, shown_b = (NUMBER_WORDS[a], NUMBER_WORDS[b]) if as_words else (str(a), str(b))
    user = expand(rng, pick(rng, patterns), a=shown_a, b=shown_b)
    # The answer says the operands again: the digits it adds are then next to each other.
    answer = f"{a} {sign} {b} = {value}." if rng.random() < 0.6 else f"{a} {word} {b} is {value}."
    return Exchange(user[:1].upper() + user[1:], answer, short=str(value))


_NEXT = {
    "+": (
        "[Now|And] add {b}[.| to that.| more.]",
        "[And|Now] plus {b}[?|.]",
        "Add {b} to that.",
        "What is that plus {b}?",
    ),
    "-": (
        "[Now|And] [take away|subtract] {b}[.| from that.]",
        "[And|Now] minus {b}[?|.]",
        "What is that minus {b}?",
    ),
    "x": ("[Now|And] [times|multiply by] {b}[.|?]", "Multiply that by {b}.", "What is that times {b}?"),
}
_DOUBLE = (
    "[Now|And|] double [that|it][.|, please.]",
    "What is [twice that|double that|the double]?",
    "Double that.",
)


def _chain(rng: Random) -> list[Exchange]:
    """A calculation, then one or two that go on from its result."""
    first = pick(rng, "+-")
    a, b = _operands(rng, first)
    out = [calculation(rng, first, a, b)]
    value = result(first, a, b)
    for _ in range(1 + (rng.random() < 0.3)):
        if rng.random() < 0.35 and value <= 60 and not held_out("+", value, value):
            out.append(
                Exchange(
                    expand(rng, pick(rng, _DOUBLE)).capitalize(),
                    f"2 x {value} = {2 * value}.",
                    short=str(2 * value),
                )
            )
            value *= 2
            continue
        sign = pick(rng, "++--x")
        b = int(rng.random() * (20 if sign != "x" else 10))
        if (
            held_out(sign, value, b)
            or (sign == "-" and b > value)
            or (sign == "x" and value > 12)
            or value > 99
        ):
            break
        user = expand(rng, pick(rng, _NEXT[sign]), b=str(b))
        out.append(
            Exchange(
                user, f"{value} {sign} {b} = {result(sign, value, b)}.", short=str(result(sign, value, b))
            )
        )
        value = result(sign, value, b)
    return out


def _compare(rng: Random) -> Exchange:
    a, b = (int(rng.random() * 100) for _ in range(2))
    while a == b or held_out("+", a, b):
        a, b = (int(rng.random() * 100) for _ in range(2))
    large = rng.random() < 0.6
    word = pick(rng, ("bigger", "larger", "greater", "more") if large else ("smaller", "less"))
    user = expand(
        rng,
        pick(
            rng,
            (
                "[Which|What] is {w}, {a} or {b}?",
                "[Which|What] [number|one] is {w}: {a} or {b}?",
                "{a} or {b}: which is {w}?",
                "Is {a} or {b} {w}?",
                "Which of {a} and {b} is {w}?",
                "Compare {a} and {b}: which is {w}?",
            ),
        ),
        w=word,
        a=str(a),
        b=str(b),
    )
    value = max(a, b) if large else min(a, b)
    return Exchange(user, f"{value} is {word}." if word != "more" else f"{value} is more.", short=str(value))


def _half_or_double(rng: Random) -> Exchange:
    n = 1 + int(rng.random() * 50)
    if rng.random() < 0.5:
        asks = (
            "What is [half of|a half of] {n}?",
            "[Tell me|Give me] half of {n}.",
            "Half of {n}?",
            "Halve {n}.",
            "How much is half of {n}?",
        )
        user = expand(rng, pick(rng, asks), n=str(2 * n))
        return Exchange(user, f"Half of {2 * n} is {n}.", short=str(n))
    asks = (
        "What is [twice|double|the double of|two times] {n}?",
        "[Tell me|Give me] [the double of|twice] {n}.",
        "Double {n}[.|, please.]",
    )
    return Exchange(expand(rng, pick(rng, asks), n=str(n)), f"Twice {n} is {2 * n}.", short=str(2 * n))


def _parity(rng: Random) -> Exchange:
    n = int(rng.random() * 100)
    asks = (
        "Is {n} [even or odd|odd or even]?",
        "Is {n} an [even|odd] number?",
        "[Tell me if|Say whether] {n} is even or odd.",
        "{n}: even or odd?",
    )
    word = "odd" if n % 2 else "even"
    return Exchange(
        expand(rng, pick(rng, asks), n=str(n)),
        f"{n} is an {word} number." if word == "odd" else f"{n} is an even number.",
        short=word,
    )


def make(rng: Random) -> list[Exchange]:
    draw = rng.random()
    if draw < 0.62:
        sign = pick(rng, "+++++---xx/")
        return [calculation(rng, sign, *_operands(rng, sign))]
    if draw < 0.76:
        return _chain(rng)
    if draw < 0.87:
        return [_compare(rng)]
    return [_half_or_double(rng)] if draw < 0.94 else [_parity(rng)]
