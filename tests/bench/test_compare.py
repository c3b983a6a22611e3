"""What changed beyond the noise, and what only seems to have."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nexttoken.bench import compare
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


def test_a_slower_machine_blurs_the_ratio(report: Make, measurement: Make) -> None:
    # A run at two thirds of the clock: the kernel, which computes, gains on the floor, which reads.
    slow, quick = report(measurement(ratio=11.5, floor_ns=5900.0)), report(measurement(ratio=13.2, floor_ns=4000.0))
    assert verdicts(slow, quick) == ["same"]
    assert verdicts(report(measurement(ratio=11.5, floor_ns=4000.0)), quick) == ["slower"]


@pytest.mark.parametrize(("floors", "verdict"), [((4000.0, 5800.0), "not judged"), ((30.0, 45.0), "slower")])
def test_steps_on_a_machine_of_another_speed_are_not_judged(
    report: Make, measurement: Make, floors: tuple[float, float], verdict: str
) -> None:
    # The second floor is a few ticks of the clock, which says nothing of the machine.
    old, new = (
        report(measurement(section="step", ratio=ns / floor, floor_ns=floor, spread_ns=0.0))
        for ns, floor in zip((1300.0, 2900.0), floors, strict=True)
    )
    assert verdicts(old, new) == [verdict]


def test_a_floor_of_a_few_ticks_of_the_clock_tells_little(report: Make, measurement: Make) -> None:
    assert verdicts(report(measurement(floor_ns=50.0)), report(measurement(ratio=2.6, floor_ns=50.0))) == ["same"]


def test_wall_time_is_not_judged(report: Make, measurement: Make) -> None:
    old, new = (report(measurement(ratio=ratio, clock="wall")) for ratio in (1.0, 9.0))
    comparison = compare_reports(old, new)
    assert [change.verdict for change in comparison.changes] == ["not judged"]
    assert comparison.exit_status == 2  # nothing could be told
    judged = measurement("temperature")
    both = compare_reports(report(*old.measurements, judged), report(*new.measurements, judged))
    assert both.exit_status == 0


def test_few_rounds_are_not_judged(report: Make, measurement: Make) -> None:
    def verdict_of(before: int, after: int) -> Any:
        few = [report(measurement(ratio=r, rounds=n, samples=n * 32)) for r, n in ((1.0, before), (9.0, after))]
        return compare_reports(*few)

    for rounds in ((4, 25), (25, 4), (1, 1)):
        comparison = verdict_of(*rounds)
        assert [change.verdict for change in comparison.changes] == ["not judged"]
        assert comparison.exit_status == 2
        assert "1 not judged: of fewer than 5 rounds" in describe(comparison)
    assert verdict_of(5, 5).exit_status == 1


def test_a_step_is_judged_by_its_difference(report: Make, measurement: Make) -> None:
    def step(ns: float, spread: float = 0.0) -> Any:
        # Some 2 us beyond a kernel whose floor is 5 us: a ratio of 0.4, or of anything.
        return report(measurement(section="step", ratio=ns / 5000, spread_ns=spread))

    assert verdicts(step(1000.0), step(1290.0)) == ["same"]
    assert verdicts(step(1000.0), step(1310.0)) == ["slower"]
    assert verdicts(step(1310.0), step(1000.0)) == ["faster"]
    assert verdicts(step(1000.0, 500.0), step(1400.0)) == ["same"]
    assert verdicts(step(-100.0), step(100.0)) == ["same"]
    text = "\n".join(describe(compare_reports(step(1000.0), step(2000.0))))
    assert "slower: step, greedy, nexttoken, avx2, vocabulary 128256: 1.00 to 2.00 µs (noise 0.30 µs)" in text


def test_a_slower_rival_is_information(report: Make, measurement: Make) -> None:
    def contest(ours: float, theirs: float) -> Any:
        facts = {"section": "rivals"}
        return report(measurement(ratio=ours, **facts), measurement(ratio=theirs, solver="numpy", **facts))

    comparison = compare_reports(contest(2.0, 10.0), contest(2.0, 20.0))
    assert comparison.exit_status == 0
    assert any(line.startswith("slower: rivals, greedy, numpy") for line in describe(comparison))
    assert compare_reports(contest(2.0, 10.0), contest(4.0, 10.0)).exit_status == 1
    alone = report(measurement(section="rivals"))
    assert compare_reports(contest(2.0, 10.0), alone).exit_status == 0  # a rival that is not there is no loss
    numpy = report(measurement(section="rivals", solver="numpy"))
    assert compare_reports(numpy, numpy).exit_status == 2  # nothing of ours was judged


def test_other_rows_are_not_compared(
    tmp_path: Path, report: Make, measurement: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [str(tmp_path / name) for name in ("full.json", "quick.json")]
    write_report(report(measurement(rounds=25, samples=25 * 32)), files[0])
    write_report(report(measurement(rounds=25, samples=25 * 8)), files[1])
    assert main(["bench", "compare", *files]) == 2
    assert "as many rows in both reports, got 32 and 8: table, greedy" in capsys.readouterr().err


def test_a_fault_is_not_taken_for_a_regression(
    tmp_path: Path,
    report: Make,
    measurement: Make,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = str(tmp_path / "a.json")
    write_report(report(measurement()), path)
    monkeypatch.setattr(compare, "describe", lambda comparison: 1 // 0)
    assert main(["bench", "compare", path, path]) == 2
    assert "ZeroDivisionError" in capsys.readouterr().err


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
