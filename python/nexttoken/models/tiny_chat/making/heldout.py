"""What the corpus must never say: the wordings of the question set, whatever their subject."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from pathlib import Path

from .wording import normal

QUESTIONS = Path(__file__).with_name("questions.json")


def load_questions() -> list[dict]:
    return json.loads(QUESTIONS.read_text(encoding="utf-8"))


def _pattern(text: str, subjects: list[str]) -> str:
    """The normal form of the text, each subject opened to any words: the wording, with any subject in it."""
    words = f" {normal(text)} "
    for subject in subjects:
        words = words.replace(f" {normal(subject)} ", " * ")
    return words.strip()


class HeldOut:
    """Tells whether a text is one of the questions, or one of their wordings about another subject.

    A question with `subjects` holds out its wording; one without holds out its exact text (a calculation,
    whose wording may be common because its operands are what is new).
    """

    def __init__(self, questions: list[dict]) -> None:
        self._exact: set[str] = set()
        by_first: dict[str, list[str]] = defaultdict(list)
        for question in questions:
            for turn in (*question["turns"], *([question["system"]] if "system" in question else [])):
                pattern = _pattern(turn, question.get("subjects", []))
                if "*" in pattern:
                    regex = re.escape(pattern).replace(r"\*", ".+")
                    by_first[pattern.split(" ")[0]].append(regex)
                else:
                    self._exact.add(pattern)
        # Sorted by the first word: most texts are then compared with a handful of wordings, not with all.
        self._by_first = {first: re.compile("|".join(sorted(regexes))) for first, regexes in by_first.items()}

    def has(self, text: str) -> bool:
        words = normal(text)
        if words in self._exact:
            return True
        for first in (words.split(" ")[0], "*"):
            regex = self._by_first.get(first)
            if regex is not None and regex.fullmatch(words):
                return True
        return False
