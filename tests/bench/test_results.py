"""Committed results are what the documentation shows, and what targets are held against."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from nexttoken.bench.cases import CASES, VOCABULARIES
from nexttoken.bench.report import write_report
from nexttoken.bench.rivals import RIVALS

ROOT = Path(__file__).parents[2]
Make = Callable[..., Any]


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"benchmarks_{name}", ROOT / "benchmarks" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


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
    for target in json.loads((ROOT / "benchmarks" / "targets.json").read_text()):
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
