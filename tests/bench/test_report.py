"""A report that was written is read back as it was, and what is no report is refused by name."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nexttoken.bench.machine import commit, machine, versions
from nexttoken.bench.report import SCHEMA, Report, new_report, read_report, write_report
from nexttoken.exceptions import BenchmarkError

Make = Callable[..., Any]


def test_round_trip(tmp_path: Path, report: Make, measurement: Make) -> None:
    first = report(
        measurement("greedy"),
        measurement("8 draws", baseline="greedy", to_baseline=1.1, nucleus=12.5),
        measurement("batch 8", section="batch", clock="wall", batch=8, threads=2, cold=True),
    )
    write_report(first, tmp_path / "a.json")
    assert read_report(tmp_path / "a.json") == first
    assert json.loads((tmp_path / "a.json").read_text())["schema"] == SCHEMA


def test_a_new_report_says_where_it_was_made(tmp_path: Path, measurement: Make) -> None:
    made = new_report("kernels", "nexttoken bench kernels", [measurement()], [])
    write_report(made, tmp_path / "a.json")
    assert read_report(tmp_path / "a.json") == made
    assert made.machine["cpu"]
    assert "++" in made.machine["compiler"] or "clang" in made.machine["compiler"]
    assert made.versions["numpy"]
    assert set(made.machine) == set(machine())
    assert made.versions == versions()
    assert made.commit == commit()


def spoil(tmp_path: Path, good: Report, change: Callable[[dict[str, Any]], object]) -> Path:
    path = tmp_path / "spoilt.json"
    write_report(good, path)
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    return path


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.update(schema=99), "schema 2, got 99"),
        (lambda c: c.pop("schema"), "schema 2, got None"),
        (lambda c: c.pop("machine"), "must have the members of a report"),
        (lambda c: c.update(extra=1), "must have the members of a report"),
        (lambda c: c["measurements"][0].pop("ratio"), "must have the members of a report"),
        (lambda c: c["measurements"][0].update(ratio="2"), "case 'greedy': ratio must be float, finite, got '2'"),
        (lambda c: c["measurements"][0].update(vocab=True), "vocab must be int, got True"),
        (lambda c: c["measurements"][0].update(ratio=float("nan")), "ratio must be float, finite, got nan"),
        (lambda c: c["measurements"][0].update(floor_ns=float("-inf")), "floor_ns must be float, finite, got -inf"),
        (lambda c: c["measurements"][0].update(nucleus=float("inf")), "nucleus must be float | None, finite, got inf"),
        (lambda c: c["measurements"][0].update(p10_ns=10**400), "p10_ns must be float, finite, got an integer beyond"),
        (lambda c: c["measurements"][0].update(rounds=0), "rounds must be in [1, samples], got 0"),
        (lambda c: c["measurements"].append(c["measurements"][0]), "must be of another thing, got two of ('table', "),
        (lambda c: c["measurements"].append(7), "must have the members of a report"),
        (lambda c: c.update(measurements="text"), "measurements must be a list, got str"),
        (lambda c: c.update(measurements={}), "measurements must be a list, got dict"),
        (lambda c: c.update(commit=5), "commit must be str | None, got 5"),
        (lambda c: c.update(kind=None), "kind must be str, got None"),
        (lambda c: c.update(machine=["cpu"]), "machine must be dict[str, str], got ['cpu']"),
        (lambda c: c["machine"].update(cpu=7), "machine must be dict[str, str], got {'cpu': 7"),
        (lambda c: c.update(notes="A note."), "notes must be list[str], got 'A note.'"),
        (lambda c: c.update(notes=[1]), "notes must be list[str], got [1]"),
    ],
)
def test_what_is_no_report_is_refused(
    tmp_path: Path, report: Make, measurement: Make, change: Callable[[dict[str, Any]], object], message: str
) -> None:
    with pytest.raises(BenchmarkError, match=re.escape(message)):
        read_report(spoil(tmp_path, report(measurement()), change))


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match="cannot read"):
        read_report(tmp_path / "missing.json")
    (tmp_path / "text.json").write_text("not json")
    with pytest.raises(BenchmarkError, match="must be JSON"):
        read_report(tmp_path / "text.json")
    (tmp_path / "deep.json").write_text("[" * 100_000)
    with pytest.raises(BenchmarkError, match="must be JSON"):
        read_report(tmp_path / "deep.json")
    (tmp_path / "list.json").write_text("[]")
    with pytest.raises(BenchmarkError, match="must be a benchmark report"):
        read_report(tmp_path / "list.json")
