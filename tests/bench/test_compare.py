"""What changed beyond the noise, and what only seems to have."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nexttoken.bench.compare import compare_reports, describe
from nexttoken.bench.report import write_report
from nexttoken.cli import main
from nexttoken.exceptions import BenchmarkError, ParameterError

Make = Callable[..., Any]


def verdicts(before: Any, after: Any) -> list[str]:
    return [change.verdict for change in compare_reports(before, after).changes]


@pytest.mark.parametrize(
    ("before", "after", "spread", "verdict"),
    [
        (10.0, 10.9, 0.02, "same"),  # less than any two runs differ
        (10.0, 11.5, 0.02, "slower"),
        (11.5, 10.0, 0.02, "faster"),
        (10.0, 11.5, 0.2, "same"),  # the same change, in more noise
        (10.0, 14.0, 0.2, "slower"),
        (0.01, 0.02, 0.0, "same"),  # a hundredth of one pass is no cost to speak of
    ],
)
def test_verdicts(report: Make, measurement: Make, before: float, after: float, spread: float, verdict: str) -> None:
    old, new = (report(measurement(ratio=ratio, spread=spread)) for ratio in (before, after))
    assert verdicts(old, new) == [verdict]


def test_a_busier_machine_is_no_regression(report: Make, measurement: Make) -> None:
    # Everything takes twice the time, the floor too.
    assert verdicts(report(measurement(floor_ns=5e3)), report(measurement(floor_ns=1e4))) == ["same"]


def test_a_floor_of_a_few_ticks_of_the_clock_tells_little(report: Make, measurement: Make) -> None:
    assert verdicts(report(measurement(floor_ns=50.0)), report(measurement(ratio=2.6, floor_ns=50.0))) == ["same"]


def test_wall_time_is_not_judged(report: Make, measurement: Make) -> None:
    old, new = (report(measurement(ratio=ratio, clock="wall")) for ratio in (1.0, 9.0))
    comparison = compare_reports(old, new)
    assert [change.verdict for change in comparison.changes] == ["not judged"]
    assert comparison.exit_status == 0


def test_cases_that_are_not_in_both(report: Make, measurement: Make) -> None:
    old = report(measurement("a"), measurement("b"))
    new = report(measurement("b"), measurement("c"))
    comparison = compare_reports(old, new)
    assert [m.case for m in comparison.only_before] == ["a"]
    assert [m.case for m in comparison.only_after] == ["c"]
    assert comparison.exit_status == 2
    assert compare_reports(report(measurement("b")), new).exit_status == 0  # a new case is no loss
    text = "\n".join(describe(comparison))
    assert "missing from the second report: table, a" in text
    assert "only in the second report: table, c" in text


@pytest.mark.parametrize("facts", [{"target": "avx512"}, {"vocab": 32000}, {"batch": 8}, {"cold": True}])
def test_another_setting_is_another_case(report: Make, measurement: Make, facts: dict[str, Any]) -> None:
    with pytest.raises(BenchmarkError, match="must have a case in common"):
        compare_reports(report(measurement()), report(measurement(**facts)))


def test_what_cannot_be_compared(report: Make, measurement: Make) -> None:
    with pytest.raises(BenchmarkError, match="one model of processor, got Some CPU and Other CPU"):
        compare_reports(report(measurement()), report(measurement(), cpu="Other CPU"))
    with pytest.raises(BenchmarkError, match="of one kind, got kernels and rivals"):
        compare_reports(report(measurement()), report(measurement(), kind="rivals"))
    with pytest.raises(ParameterError, match=r"tolerance must be in \(0, 1\), got 1"):
        compare_reports(report(measurement()), report(measurement()), 1)


def test_exit_status(tmp_path: Path, report: Make, measurement: Make, capsys: pytest.CaptureFixture[str]) -> None:
    files = {}
    for name, ratio in (("base", 10.0), ("same", 10.1), ("slow", 12.0)):
        files[name] = str(tmp_path / f"{name}.json")
        write_report(report(measurement(ratio=ratio)), files[name])
    assert main(["bench", "compare", files["base"], files["same"]]) == 0
    assert "1 of 1 cases unchanged" in capsys.readouterr().out
    assert main(["bench", "compare", files["base"], files["slow"]]) == 1
    assert "slower: table, greedy, nexttoken, avx2, vocabulary 128256: 10.00 to 12.00" in capsys.readouterr().out
    assert main(["bench", "compare", files["slow"], files["base"]]) == 0
    assert main(["bench", "compare", files["base"], files["slow"], "--tolerance", "0.3"]) == 0
    assert main(["bench", "compare", files["base"], str(tmp_path / "none.json")]) == 2
    assert "cannot read" in capsys.readouterr().err
    assert main(["bench", "compare", files["base"], files["slow"], "--tolerance", "3"]) == 2
