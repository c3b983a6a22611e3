"""The benchmark of ONNX Runtime GenAI runs, all its ways."""

from __future__ import annotations

from pathlib import Path

import pytest

MISSING = "{} is not installed: make test-onnxruntime-genai"
for package in ("onnxruntime_genai", "torch", "transformers", "onnx", "onnx_ir"):
    pytest.importorskip(package, reason=MISSING.format(package))


@pytest.mark.slow
def test_all_ways(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from hosts import onnxruntime_genai as host
    from hosts.contest import measure

    monkeypatch.setattr(host, "VOCABULARY", 1000)
    contest = host.contest(tmp_path)
    found = measure(contest, 3, 1)
    assert {"bare", "own", "ours", "own greedy", "ours greedy"} <= set(found)
    assert all(way["median_us"] > 0 for way in found.values())
    assert set(contest.rows) <= set(found)
