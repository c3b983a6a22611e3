"""A rival is timed only when it draws from the tokens that we draw from."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from nexttoken.bench import rivals as rivals_package
from nexttoken.bench.cases import Case, Workload, cases_named
from nexttoken.bench.contest import CONTESTED, Contest, _turns, count_steps, measure_rivals
from nexttoken.bench.rivals import RIVALS, find_rivals
from nexttoken.bench.rivals.base import check_step
from nexttoken.bench.rivals.numpy_sort import NumpySort
from nexttoken.exceptions import BenchmarkError

VOCAB = 2000


def checked(rival: Any, case: Case, rows: int = 3) -> None:
    workload = Workload(case, VOCAB, rows)
    for row in range(rows):
        options = rival.adapted(workload.of_row(row))
        check_step(rival, rival.prepare(options, VOCAB), workload.logits[row], options)


@pytest.mark.parametrize("name", RIVALS)
@pytest.mark.parametrize("case", CONTESTED, ids=lambda case: case.name)
def test_rivals_that_are_installed(name: str, case: Case) -> None:
    found, skipped = find_rivals([name])
    if not found:
        pytest.skip(skipped[0])
    checked(found[0], case)


def test_numpy_is_always_there() -> None:
    assert find_rivals(["numpy"])[0]


class Spoilt(NumpySort):
    """NumPy with one mistake in its options."""

    def __init__(self, **mistake: Any) -> None:
        self.mistake = mistake

    def prepare(self, options: Mapping[str, Any], vocab: int) -> Any:
        return super().prepare({**options, **self.mistake}, vocab)


@pytest.mark.parametrize(
    ("case", "mistake"),
    [
        ("full, mid", {"top_p": 0.9}),
        ("full, peaked", {"temperature": 1.0}),
        ("full, flat", {"logit_bias": {}}),
        ("full, flat", {"frequency_penalty": 2.0}),
        ("full, top_k 40", {"top_k": 30, "top_p": 1.0}),
    ],
)
def test_a_mistake_in_a_rival_is_noticed(case: str, mistake: dict[str, Any]) -> None:
    with pytest.raises(BenchmarkError, match=r"numpy must keep the \d+ tokens that nexttoken keeps, got \d+"):
        checked(Spoilt(**mistake), cases_named(case)[0])


def test_a_wrong_greedy_token_is_noticed() -> None:
    case = cases_named("greedy")[0]
    workload = Workload(case, VOCAB, 1)
    best = int(workload.logits[0].argmax())
    with pytest.raises(BenchmarkError, match=f"numpy must take the best token {best}"):
        checked(Spoilt(logit_bias={best: -50.0}), case, 1)


def test_equal_logits_may_be_taken_in_any_order() -> None:
    class Last(NumpySort):
        def prepare(self, options: Mapping[str, Any], vocab: int) -> Any:
            class Step:
                def draw(self, logits: Any) -> int:
                    return int(np.flatnonzero(logits == logits.max())[-1])

                def kept(self, logits: Any) -> Any:
                    return np.array([self.draw(logits)])

            return Step()

    logits = np.array([0.0, 3.0, 3.0, 1.0], np.float32)
    check_step(Last(), Last().prepare({}, 4), logits, {"temperature": 0.0})


def test_a_draw_outside_the_kept_tokens_is_noticed() -> None:
    class Outside(NumpySort):
        def prepare(self, options: Mapping[str, Any], vocab: int) -> Any:
            step = super().prepare(options, vocab)
            step.draw = lambda logits: int(np.argmin(logits))  # type: ignore[method-assign]
            return step

    with pytest.raises(BenchmarkError, match=r"must draw one of the \d+ tokens it keeps"):
        checked(Outside(), cases_named("full, peaked")[0])


def test_what_is_not_installed_is_left_out_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def lacking(name: str) -> Any:
        raise ModuleNotFoundError("No module named 'llama_cpp'", name="llama_cpp")

    monkeypatch.setattr(rivals_package.importlib, "import_module", lacking)
    found, skipped = find_rivals(["llama.cpp"])
    assert not found
    assert skipped == ["llama.cpp is left out: llama_cpp is not installed (pip install llama-cpp-python)"]


@pytest.mark.parametrize(
    "error",
    [
        ImportError("cannot import name 'TopPLogitsWarper' from 'transformers'\nand more", name="transformers"),
        OSError("libllama.so: cannot open shared object file"),
        RuntimeError("Failed to load shared library"),
    ],
)
@pytest.mark.parametrize("when", ["import", "make"])
def test_what_is_installed_and_broken_is_left_out_with_the_reason(
    monkeypatch: pytest.MonkeyPatch, error: Exception, when: str
) -> None:
    def broken() -> Any:
        raise error

    def loaded(name: str) -> Any:
        return broken() if when == "import" else SimpleNamespace(make=broken)

    monkeypatch.setattr(rivals_package.importlib, "import_module", loaded)
    found, skipped = find_rivals(["transformers"])
    assert not found
    reason = f"{type(error).__name__}: {str(error).splitlines()[0]}"
    assert skipped == [f"transformers is left out: it does not load ({reason})"]


@pytest.mark.parametrize("kind", [ImportError, ModuleNotFoundError])
def test_a_fault_of_ours_is_no_reason_to_leave_a_rival_out(
    monkeypatch: pytest.MonkeyPatch, kind: type[ImportError]
) -> None:
    def broken(name: str) -> Any:
        raise kind("cannot import", name="nexttoken.bench.rivals.base")

    monkeypatch.setattr(rivals_package.importlib, "import_module", broken)
    with pytest.raises(kind):
        find_rivals(["numpy"])


class Short(NumpySort):
    """NumPy that leaves out one of the tokens that belong."""

    def __init__(self, left_out: int) -> None:
        self.left_out = left_out

    def prepare(self, options: Mapping[str, Any], vocab: int) -> Any:
        step = super().prepare(options, vocab)
        kept = step.kept

        def fewer(logits: Any) -> Any:
            return np.delete(kept(logits), self.left_out)

        step.kept = fewer  # type: ignore[method-assign]
        step.draw = lambda logits: int(fewer(logits)[0])  # type: ignore[method-assign]
        return step


@pytest.mark.parametrize("left_out", [0, -1])
def test_a_rival_that_leaves_out_a_token_is_noticed(left_out: int) -> None:
    # The last: it stops before top_p is reached, the commonest mistake there is. The first: as large as it may be.
    with pytest.raises(BenchmarkError, match="1 of those that differ are not at the cut"):
        checked(Short(left_out), cases_named("full, peaked")[0])


def test_a_best_token_with_nearly_all_of_the_probability_is_missed() -> None:
    logits = np.zeros(1000, np.float32)
    logits[5] = 12.0
    options = {"temperature": 0.8, "top_p": 0.9999, "seed": 1}
    with pytest.raises(BenchmarkError, match="numpy must keep"):
        check_step(Short(0), Short(0).prepare(options, 1000), logits, options)


@pytest.mark.parametrize("rows", [1, 2, 4, 8, 20, 32])
def test_rows_half_of_them_away_are_not_of_the_same_turn(rows: int) -> None:
    turns = _turns(rows)
    assert [row for turn in turns for row in turn] == list(range(rows))
    for turn in turns:
        assert len(turn) <= 8
        assert rows == 1 or not {(row + rows // 2) % rows for row in turn} & set(turn)


def test_a_contest_has_everybody_on_every_case() -> None:
    told: list[str] = []
    contest = Contest(VOCAB, rounds=2, rows=4, checked_rows=1)
    results = measure_rivals(contest, [NumpySort()], told.append)
    assert len(told) == count_steps(contest)
    everyone = ("nexttoken", "nexttoken, kernel", "numpy")
    assert [(m.case, m.solver) for m in results] == [(case.name, who) for case in CONTESTED for who in everyone]
    for m in results:
        assert m.median_ns > 0
        assert m.samples == 8
        assert (m.to_baseline is None) == (m.solver == "nexttoken")


def test_a_contest_is_off_when_a_rival_is_wrong() -> None:
    with pytest.raises(BenchmarkError, match="numpy must keep"):
        measure_rivals(Contest(VOCAB, 1, 2, 1), [Spoilt(top_p=0.5)])
