"""Numbers of a measurement, worked by hand; and where it was made."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from nexttoken.bench import machine
from nexttoken.bench.measurement import measured


def test_a_measurement_by_hand() -> None:
    # Three rounds of three rows; the second was disturbed, on both sides of its ratio.
    times = [[20, 30, 40], [40, 60, 80], [22, 33, 44]]
    floors = [[10, 10, 10], [20, 20, 20], [10, 10, 10]]
    m = measured(times, floors, [[15], [30], [15]], section="table", case="a", vocab=8, baseline="b")
    assert (m.rounds, m.samples, m.samples_a_round) == (3, 9, 3)
    assert m.spread_ns == pytest.approx(54.6 - 30.6)  # of 30, 60 and 33
    assert m.median_ns == 40
    assert m.floor_ns == 10
    assert m.ratio == 3  # of 3, 3 and 3.3: the disturbed round is like the others
    assert (m.ratio_p10, m.ratio_p90) == (3, pytest.approx(3.24))
    assert m.to_baseline == 2
    assert m.p10_ns == pytest.approx(21.6)


@pytest.mark.parametrize(("solver", "ours"), [("nexttoken", True), ("nexttoken, kernel", True), ("numpy", False)])
def test_whose_it_is(solver: str, ours: bool) -> None:
    assert measured([[5.0]], [[1.0]], section="rivals", case="a", vocab=1, solver=solver).ours is ours


def test_a_floor_of_nothing_divides_nothing() -> None:
    assert measured([[5.0]], [[0.0]], section="table", case="a", vocab=1).ratio == 5


def git(folder: Path, *arguments: str) -> None:
    who = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True)


def test_the_commit_and_whether_files_were_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = tmp_path / "machine.py"
    module.write_text("1")
    monkeypatch.setattr(machine, "__file__", str(module))
    git(tmp_path, "init", "-q")
    assert machine.commit() is None  # no commit yet
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "page.md").write_text("1")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "first")
    clean = machine.commit()
    assert clean is not None
    assert len(clean) == 12
    (tmp_path / "docs" / "page.md").write_text("2")  # what benchmarks write does not count
    assert machine.commit() == clean
    module.write_text("2")
    assert machine.commit() == clean + "-dirty"


def test_no_checkout_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "__file__", str(tmp_path / "machine.py"))
    assert machine.commit() is None


def test_a_package_inside_anothers_checkout_is_not_of_that_checkout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As a virtual environment in a project's folder: git does not track what is in it.
    (tmp_path / ".gitignore").write_text("venv\n")
    (tmp_path / "venv").mkdir()
    (tmp_path / "venv" / "machine.py").write_text("1")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "first")
    monkeypatch.setattr(machine, "__file__", str(tmp_path / "venv" / "machine.py"))
    assert machine.commit() is None
