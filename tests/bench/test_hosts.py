"""benchmarks/hosts: ways are timed in turns, and an entry says what a reader needs."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from hosts import __main__ as command
from hosts.contest import Contest, measure


def test_every_way_gets_every_round_and_begins_some() -> None:
    calls: list[tuple[str, int]] = []

    def way(name: str, seconds: float):
        def make(tokens: int) -> float:
            calls.append((name, tokens))
            return seconds * tokens

        return make

    contest = Contest("numpy", {"bare": way("bare", 1e-6), "own": way("own", 3e-6), "ours": way("ours", 2e-6)}, "")
    found = measure(contest, 10, 6)
    assert {name: times["median_us"] for name, times in found.items()} == {"bare": 1.0, "own": 3.0, "ours": 2.0}
    timed = [name for name, tokens in calls if tokens == 10]
    assert sorted(timed) == sorted(["bare", "own", "ours"] * 6)
    assert {timed[start] for start in range(0, 18, 3)} == {"bare", "own", "ours"}


def test_entries_of_other_runtimes_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "hosts.json"
    path.write_text(json.dumps({"vllm": {"kept": True}, "mlx_lm": {"old": True}}))
    fake = SimpleNamespace(contest=lambda folder: Contest("numpy", {"bare": lambda tokens: tokens * 1e-6}, "a note"))
    monkeypatch.setitem(sys.modules, "hosts.mlx_lm", fake)
    monkeypatch.setitem(sys.modules, "hosts.vllm", None)
    monkeypatch.setattr(command, "NAMES", ("mlx_lm", "vllm"))
    monkeypatch.setattr(sys, "argv", ["hosts", "--json", str(path), "--rounds", "2", "--tokens", "3"])
    command.main()
    found = json.loads(path.read_text())
    assert found["vllm"] == {"kept": True}
    assert found["mlx_lm"]["tokens_per_second"] == {"bare": 1_000_000}
    assert found["mlx_lm"]["note"] == "a note"


def test_a_runtime_asked_for_by_name_must_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "hosts.vllm", None)
    monkeypatch.setattr(sys, "argv", ["hosts", "vllm"])
    with pytest.raises(ImportError):
        command.main()
