"""The rules a question's answer is checked by. All rules of a question must hold.

=========== =====================================================================================
contains    each entry occurs as whole words, case aside; `a|b` is met by either
absent      no entry occurs as whole words, case aside
regex       is found in the answer
case        "upper" or "lower": no letter of the other case
words       the answer has exactly this many words
min_words   the answer has at least this many words
result      the last number of the answer is this one
numbers     the numbers of the answer are exactly these, in this order
letters     the letters of the answer are exactly these, in this order, case aside
from, count the answer names exactly `count` different members of the category, and no other thing
new         the answer differs from the one of the turn before
=========== =====================================================================================
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from .skills.vocabulary import CATEGORIES


def _has(answer: str, entry: str) -> bool:
    return any(
        re.search(rf"(?<!\w){re.escape(word)}(?!\w)", answer, re.IGNORECASE) for word in entry.split("|")
    )


def _named(answer: str, category: str) -> tuple[set[str], str]:
    """The members of the category that the answer names, and what is left of the answer without them."""
    members, rest = set(), answer
    for member in sorted(CATEGORIES[category], key=len, reverse=True):
        pattern = rf"(?<!\w){re.escape(member)}(?!\w)"
        if re.search(pattern, rest, re.IGNORECASE):
            members.add(member)
            rest = re.sub(pattern, " ", rest, flags=re.IGNORECASE)
    return members, rest


def _numbers(answer: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", answer)]


def _case(answer: str, case: str) -> bool:
    return answer == (answer.upper() if case == "upper" else answer.lower()) and any(
        c.isalpha() for c in answer
    )


_RULES: dict[str, Callable[[str, Any], bool]] = {
    "contains": lambda answer, entries: all(_has(answer, entry) for entry in entries),
    "absent": lambda answer, entries: not any(_has(answer, entry) for entry in entries),
    "regex": lambda answer, pattern: re.search(pattern, answer) is not None,
    "case": _case,
    "words": lambda answer, count: len(answer.split()) == count,
    "min_words": lambda answer, count: len(answer.split()) >= count,
    "result": lambda answer, value: _numbers(answer)[-1:] == [value],
    "numbers": lambda answer, values: _numbers(answer) == values,
    "letters": lambda answer, letters: "".join(re.findall(r"[^\W\d_]", answer)).upper() == letters,
}
# What may stand around the members in a list: a lead such as "Three fruits are", numbers and "and".
_AROUND = re.compile(r"(?i)^(\W|\d|and|also|some|are|is|one|two|three|four|five|example|more|how|about)*$")


def passes(expect: dict[str, Any], answer: str, before: str) -> bool:
    """Whether the answer meets every rule; `before` is the answer of the turn before, or empty."""
    answer = answer.strip()
    for name, value in expect.items():
        if name in _RULES:
            if not _RULES[name](answer, value):
                return False
        elif name == "from":
            members, rest = _named(answer, value)
            rest = re.sub(rf"(?i)\b{value}\b", " ", rest)
            if len(members) != expect["count"] or not _AROUND.match(rest):
                return False
            if expect.get("new") and members & _named(before, value)[0]:
                return False
        elif name == "new":
            if value and answer == before.strip():
                return False
        elif name != "count":
            raise ValueError(f"rule must be one of {sorted(_RULES)}, from, count or new, got {name!r}")
    return True
