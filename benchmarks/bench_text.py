"""Bytes of tokens to text that is safe to show, with and without stop strings."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nexttoken import _core

TOKENS = 4096
STOPS = [b"</answer>", b"\n\nUser:", "— Ende —".encode(), b"<|im_end|>"]


def pieces() -> list[bytes]:
    """The bytes of an answer, split as a tokenizer would: characters of several bytes come apart now and then."""
    rng = np.random.default_rng(3)
    text = ("Grüße aus Köln — the answer is 42, or so they say. " * 400).encode()
    ends = np.cumsum(rng.integers(1, 7, TOKENS))
    return [text[start:end] for start, end in zip([0, *ends[:-1].tolist()], ends.tolist(), strict=True)]


@pytest.mark.parametrize("stops", [[], STOPS], ids=["no stop strings", "4 stop strings"])
def test_push(benchmark: Any, stops: list[bytes]) -> None:
    parts = pieces()
    automaton = _core.StopAutomaton(stops) if stops else None

    def answer() -> str:
        stream = _core.TextStream(automaton)
        return "".join([stream.push(piece)[0] for piece in parts]) + stream.finish()

    assert answer() == b"".join(parts).decode(errors="replace")
    benchmark.group = f"text of {TOKENS} tokens"
    benchmark(answer)
