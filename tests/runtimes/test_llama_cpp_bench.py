"""The benchmark of llama.cpp runs, all its ways."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("llama_cpp", reason="llama-cpp-python is not installed: make test-llama-cpp")
pytest.importorskip("gguf", reason="gguf is not installed: make test-llama-cpp")


def test_all_ways(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from hosts import llama_cpp as host
    from hosts.contest import measure

    monkeypatch.setattr(host, "VOCABULARY", 1000)
    contest = host.contest(tmp_path)
    found = measure(contest, 3, 1)
    assert {"bare", "own", "ours", "own greedy", "ours greedy"} <= set(found)
    assert all(way["median_us"] > 0 for way in found.values())
    assert all(name.replace("ours", "own") in found for name in found if name.startswith("ours"))
