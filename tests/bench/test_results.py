"""Committed results are what the documentation shows, and what targets are held against."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from gpu.cases import plan
from nexttoken.bench.cases import CASES, VOCABULARIES
from nexttoken.bench.report import write_report
from nexttoken.bench.rivals import RIVALS
from scripts import script as load

ROOT = Path(__file__).parents[2]
Make = Callable[..., Any]


def script(name: str) -> ModuleType:
    return load(ROOT / "benchmarks" / f"{name}.py")


def test_pages_are_what_the_results_say() -> None:
    docs = script("write_docs")
    found = docs.reports()
    for page in docs.PAGES:
        text = (ROOT / page).read_text()
        assert docs.MARKED.search(text), page
        assert docs.filled(page, text, found) == text, f"{page} is not made from benchmarks/results: make bench-docs"


def test_a_page_is_filled(report: Make, measurement: Make) -> None:
    docs = script("write_docs")
    found = {
        "kernels": report(measurement("full, mid")),
        "rivals": report(
            measurement("greedy", section="rivals"),
            measurement("greedy", section="rivals", solver="numpy", ratio=9.0, baseline="greedy", to_baseline=4.5),
            kind="rivals",
        ),
    }
    text = "a\n<!-- benchmark: kernels -->\nold\n<!-- end of benchmark -->\nb\n"
    text += "".join(f"<!-- benchmark: {name} -->\n<!-- end of benchmark -->\n" for name in ("chart-rivals", "decode"))
    filled = docs.filled("README.md", text, found)
    assert "old" not in filled
    assert "| full, mid | 10.0 | 9.00 to 12.0 | 2.0 |" in filled
    assert "![Times the cost of nexttoken](docs/rivals.svg)" in filled
    assert "Not measured yet." in filled  # decode
    assert filled.startswith("a\n")
    assert docs.filled("README.md", filled, found) == filled


def test_targets_name_what_is_measured() -> None:
    cases = {case.name for case in CASES} | {f"batch {batch}, 2 threads" for batch in (8, 64)}
    runs = [run for run in plan() if run.cold]
    on_gpu = {(run.name_of(case), run.batch, run.vocab) for run in runs for case in run.cases()}
    for target in json.loads((ROOT / "benchmarks" / "targets.json").read_text()):
        if target["report"] == "gpu":
            assert {(target["case"], target["batch"], vocab) for vocab in target["vocabularies"]} <= on_gpu
            assert ("at_most" in target) != ("at_least" in target)
            continue
        assert target["case"] in cases
        assert target.get("solver", "numpy") in RIVALS
        assert ("at_most" in target) != ("at_least" in target)
        assert set(target.get("vocabularies", VOCABULARIES)) == set(VOCABULARIES)


@pytest.mark.parametrize(("ratio", "word", "status"), [(1.4, "met", 0), (1.6, "MISSED", 1), (None, "not measured", 2)])
def test_against_targets(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    report: Make,
    measurement: Make,
    capsys: pytest.CaptureFixture[str],
    ratio: float | None,
    word: str,
    status: int,
) -> None:
    against = script("against_targets")
    monkeypatch.setattr(against, "HERE", tmp_path)
    targets = [{"report": "kernels", "case": "greedy", "what": "ratio", "at_most": 1.5}]
    (tmp_path / "targets.json").write_text(json.dumps(targets))
    if ratio is not None:
        write_report(report(measurement("greedy", ratio=ratio)), tmp_path / "kernels.json")
    assert against.main(tmp_path) == status
    assert word in capsys.readouterr().out.splitlines()[-1]


def test_each_vocabulary_has_its_target(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    report: Make,
    measurement: Make,
    capsys: pytest.CaptureFixture[str],
) -> None:
    against = script("against_targets")
    monkeypatch.setattr(against, "HERE", tmp_path)
    vocabularies = [128256, 32000, 151936]
    target = {"report": "kernels", "case": "greedy", "vocabularies": vocabularies, "what": "ratio", "at_most": 1.5}
    (tmp_path / "targets.json").write_text(json.dumps([target]))
    first = measurement("greedy", 1.4, vocab=128256)
    second = measurement("greedy", 1.6, vocab=32000, section="vocabulary")
    write_report(report(first, second), tmp_path / "kernels.json")
    assert against.main(tmp_path) == 2
    told = [line.split("|")[-2].strip() for line in capsys.readouterr().out.splitlines()[2:]]
    assert told == ["met", "MISSED", "not measured"]


GPU_TARGETS = [
    {"report": "gpu", "case": "full, mid", "batch": 64, "what": "ratio", "at_most": 1.5},
    {"report": "gpu", "case": "full, mid", "batch": 64, "what": "microseconds", "at_most": 20, "card": "H200"},
    {"report": "gpu", "case": "full, mid", "batch": 64, "solver": "FlashInfer", "what": "to_baseline", "at_least": 3},
]


@pytest.mark.parametrize(
    ("card", "words"),
    [
        ("NVIDIA H200", ["met", "MISSED", "met"]),
        ("NVIDIA H100", ["met", "not judged on NVIDIA H100, it is of H200", "met"]),
    ],
)
def test_targets_of_a_gpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, report: Make, measurement: Make, card: str, words: list[str]
) -> None:
    against = script("against_targets")
    monkeypatch.setattr(against, "HERE", tmp_path)
    (tmp_path / "targets.json").write_text(json.dumps(GPU_TARGETS))
    facts = {"section": "gpu", "batch": 64, "cold": True, "clock": "gpu"}
    found = report(
        measurement("full, mid", ratio=9.0, **{**facts, "batch": 1}),
        measurement("full, mid", ratio=1.4, floor_ns=20000.0, **facts),
        measurement("full, mid", ratio=5.0, solver="FlashInfer", baseline="full, mid", to_baseline=3.4, **facts),
        kind="gpu",
    )
    found.machine["gpu"] = card
    told = against.verdicts({"gpu": found}, "gpu")
    assert [line.rpartition("measured: ")[2] for line in told] == words
    assert told[0] == "batch 64, full, mid: at most 1.5 x torch.argmax, 1.40 measured: met"
    assert [line.rpartition(": ")[2] for line in against.verdicts({}, "gpu")] == ["not measured"] * 3


def test_a_page_says_what_a_gpu_gave(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, report: Make, measurement: Make
) -> None:
    docs = script("write_docs")
    monkeypatch.setattr(docs, "RESULTS", tmp_path)
    text = "".join(f"<!-- benchmark: {n} -->\n<!-- end of benchmark -->\n" for n in ("gpu-parity", "gpu-bench"))
    assert docs.filled("docs/performance.md", text, docs.reports()).count("No result of a GPU is committed yet") == 2
    parity = {"device": "A card", "rows": 1000000, "comparisons": 3000000, "different": 0}
    (tmp_path / "gpu-parity.json").write_text(json.dumps(parity))
    facts = {"section": "gpu", "cold": True, "clock": "gpu"}
    write_report(
        report(
            measurement("greedy", solver="torch.argmax", batch=16, **facts),
            measurement("greedy", ratio=1.2, batch=16, **facts),
            measurement("full, mid", ratio=2.4, batch=16, **facts),
            kind="gpu",
        ),
        tmp_path / "gpu-bench.json",
    )
    filled = docs.filled("docs/performance.md", text, docs.reports())
    assert "on one A card: 1,000,000 different rows, compared 3,000,000 times, 0 times different." in filled
    assert "| case | torch.argmax | nexttoken |" in filled
    assert "| batch 16, greedy | 10.0 | 6.00 |" in filled
    assert "GPU time, vocabulary 128256" in filled
