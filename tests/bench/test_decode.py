"""A token's time in parts: they add up, and each is where it belongs."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import pytest

from nexttoken.bench.decode import Decoding, count_steps, measure_decode
from nexttoken.exceptions import BenchmarkError
from nexttoken.runtimes.scripted import ScriptedRuntime
from nexttoken.sampler import Sampler

PROMPT = (72, 105)


class Slow(ScriptedRuntime):
    """A forward pass of two milliseconds."""

    def decode(self, sequences: Sequence[int], token_ids: Sequence[int]) -> Any:
        spin(0.002)
        return super().decode(sequences, token_ids)


def test_parts_of_a_token() -> None:
    told: list[str] = []
    decoding = Decoding(PROMPT, tokens=12, rounds=3)
    runtime = Slow(["An answer that goes on for a while, and a bit longer."])
    results = {m.case: m for m in measure_decode(runtime, decoding, told.append)}
    assert len(told) == count_steps(decoding)
    assert list(results) == ["forward", "sampling", "text", "our loop", "token", "the runtime's own loop"]
    assert results["forward"].median_ns > 2e6
    assert results["the runtime's own loop"].median_ns > 2e6
    assert 0 < results["sampling"].median_ns < 1e6
    assert 0 < results["our loop"].median_ns < 1e6
    parts = sum(results[name].median_ns for name in ("forward", "sampling", "text", "our loop"))
    assert parts == pytest.approx(results["token"].median_ns, rel=0.2)
    assert all(m.samples == 3 * 11 for m in results.values())
    assert {m.solver for m in results.values()} == {"scripted"}
    assert not runtime.sequences  # all freed


def test_an_answer_that_changes_is_refused() -> None:
    runtime = ScriptedRuntime(["One answer.", "Another one.", "Yet another."])
    with pytest.raises(BenchmarkError, match="the same request must have the same answer each time"):
        measure_decode(runtime, Decoding(PROMPT, tokens=5, rounds=2))


@pytest.mark.parametrize("tokens", [1, 15])
def test_tokens_must_fit(tokens: int) -> None:
    with pytest.raises(BenchmarkError, match=rf"tokens must be in \[2, 14\] with this prompt and model, got {tokens}"):
        measure_decode(ScriptedRuntime(["Hi"], context_length=16), Decoding(PROMPT, tokens=tokens))


def spin(seconds: float) -> None:
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass


@pytest.mark.parametrize("slow_for", ["text", "whoever comes first to a row"])
def test_text_is_what_text_takes(monkeypatch: pytest.MonkeyPatch, slow_for: str) -> None:
    step = Sampler.step
    seen: list[Any] = []

    def slow(self: Any, logits: Any, **rows: Any) -> Any:
        # A row that comes out of the cold, or a sampler that has text to do, takes a millisecond.
        if self._has_text if slow_for == "text" else not any(logits is one for one in seen):
            spin(0.001)
        seen.append(logits)
        return step(self, logits, **rows)

    monkeypatch.setattr(Sampler, "step", slow)
    runtime = ScriptedRuntime(["An answer that goes on for a while."])
    results = {m.case: m.median_ns for m in measure_decode(runtime, Decoding(PROMPT, tokens=12, rounds=3))}
    text, other = ("text", "sampling") if slow_for == "text" else ("sampling", "text")
    assert results[text] > 0.9e6
    assert abs(results[other]) < 0.5e6
    assert results["our loop"] < 0.5e6
