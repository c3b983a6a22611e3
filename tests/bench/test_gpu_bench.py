"""The benchmark of a GPU, on the host: its rows, its checks, its arithmetic and its report."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from nexttoken.bench.measurement import Measurement
from nexttoken.bench.report import read_report, write_report
from nexttoken.bench.rows import nucleus_sizes
from nexttoken.exceptions import BenchmarkError

torch = pytest.importorskip("torch")

from gpu import __main__ as program  # noqa: E402
from gpu import check  # noqa: E402
from gpu.cases import CASES, Case, Run, plan  # noqa: E402
from gpu.clock import HostClock  # noqa: E402
from gpu.contest import Contest, measure_all  # noqa: E402
from gpu.inputs import Inputs, Pool, batches_needed  # noqa: E402
from gpu.solvers import find_solvers  # noqa: E402
from gpu.solvers.base import Solver  # noqa: E402
from gpu.solvers.torch_argmax import Argmax  # noqa: E402
from gpu.solvers.torch_multinomial import Multinomial  # noqa: E402
from gpu.solvers.torch_sort import TorchSort  # noqa: E402

pytestmark = pytest.mark.slow

VOCAB = 2000
HOST = torch.device("cpu")
NAMED = {case.name: case for case in CASES}


@pytest.fixture(scope="module")
def pool() -> Pool:
    return Pool("mid", VOCAB, HOST, rows=4)


def test_rows_of_all_batches_differ_and_are_of_their_shape(pool: Pool) -> None:
    first, second = pool.batch(6), pool.batch(6)
    rows = np.concatenate([first.logits.numpy(), second.logits.numpy()])
    assert len({row.tobytes() for row in rows}) == 12
    assert len({seed for batch in (first, second) for seed in batch.seed.tolist()}) == 12
    assert VOCAB / 100 <= np.median(nucleus_sizes(rows)) <= VOCAB * 0.35
    assert pool.batch(2, "bfloat16").logits.dtype == torch.bfloat16


def test_what_goes_with_a_row_is_turned_with_it(pool: Pool) -> None:
    fresh = Pool("mid", VOCAB, HOST, rows=4)
    batch = fresh.batch(9)
    for row in range(9):
        for tokens, own in ((batch.said, fresh.said), (batch.bias_tokens, fresh.bias_tokens)):
            source = fresh.rows[row % 4][own[row % 4]]
            assert torch.equal(batch.logits[row][tokens[row]], source)


def test_batches_exceed_the_cache_twice() -> None:
    assert batches_needed(1, 128256, 4, 50 << 20) * 128256 * 4 > 2 * (50 << 20)
    assert batches_needed(256, 128256, 4, 50 << 20) == 2


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_solver_is_right(pool: Pool, case: Case, dtype: str) -> None:
    inputs = pool.batch(4, dtype)
    solvers, _ = find_solvers()
    assert [solver.name for solver in solvers][:4] == ["nexttoken", "torch.argmax", "torch sort", "torch.multinomial"]
    check.check_ours(case, inputs)
    for solver in solvers[1:]:
        if solver.does(case):
            check.check_rival(solver, case, inputs, draws=400)


class Spoilt(TorchSort):
    """A case with other options than it is told."""

    def __init__(self, **options: Any) -> None:
        self.options = options

    def _probs(self, case: Case, inputs: Inputs) -> Any:
        return super()._probs(Case(case.name, {**case.options, **self.options}, case.edits), inputs)


@pytest.mark.parametrize(
    ("case", "options"),
    [
        ("full", {"top_p": 0.8}),
        ("full", {"temperature": 1.2}),
        ("full", {"frequency_penalty": 2.0}),
        ("top_k 50, top_p 0.9", {"top_k": 30}),
        ("top_k 50, top_p 0.9", {"top_p": 1.0}),
    ],
)
def test_a_rival_that_keeps_other_tokens_is_noticed(pool: Pool, case: str, options: dict[str, Any]) -> None:
    with pytest.raises(BenchmarkError, match="torch sort must keep"):
        check.check_rival(Spoilt(**options), NAMED[case], pool.batch(4), draws=100)


def test_a_rival_that_draws_the_wrong_shares_is_noticed(pool: Pool) -> None:
    class Flat(Multinomial):
        def step(self, case: Case, inputs: Inputs) -> Callable[[], Any]:
            return lambda: torch.ones(inputs.logits.shape).multinomial(1)[:, 0]

    with pytest.raises(BenchmarkError, match=r"must draw one of the likeliest \d+ tokens in about"):
        check.check_rival(Flat(), NAMED["temperature"], pool.batch(4), draws=400)


def test_a_rival_that_misses_the_maximum_is_noticed(pool: Pool) -> None:
    class Least(Argmax):
        def step(self, case: Case, inputs: Inputs) -> Callable[[], Any]:
            return lambda: inputs.logits.argmin(dim=-1)

    with pytest.raises(BenchmarkError, match=r"torch\.argmax must take the best token"):
        check.check_rival(Least(), NAMED["greedy"], pool.batch(4))


def test_a_wrong_token_of_ours_is_noticed(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    inputs, sample = pool.batch(4), check.nexttoken.sample
    calls = []

    def wrong(*given: Any, **named: Any) -> Any:
        result = sample(*given, **named)
        calls.append(result)
        if len(calls) == 1:
            result.token_ids[2] += 1
        return result

    monkeypatch.setattr(check.nexttoken, "sample", wrong)
    with pytest.raises(BenchmarkError, match=r"token_ids must be the CPU kernel's .* at row 2"):
        check.check_ours(NAMED["full"], inputs)


def contest(**facts: Any) -> Contest:
    return Contest(HOST, HostClock(), cache_bytes=1 << 16, rounds=3, samples=2, rows=4, draws=200, **facts)


RUNS = [
    Run(VOCAB, 2, "float32", "mid", cold=True),
    Run(VOCAB, 2, "float32", "mid", cold=False),
    Run(VOCAB, 3, "bfloat16", "peaked", cold=True),
]


def test_a_contest_and_its_report(tmp_path: Any, capsys: pytest.CaptureFixture[str]) -> None:
    solvers, skipped = find_solvers()
    told = contest()
    results: list[Measurement] = []
    measure_all(told, RUNS, RUNS[:1], solvers, 600, results, tell=lambda text: None)
    assert told.notes == []
    named = {(m.section, m.case, m.batch, m.solver) for m in results}
    assert ("gpu", "full, mid", 2, "nexttoken") in named
    assert ("gpu", "full, mid", 2, "torch sort") in named
    assert ("gpu", "bfloat16, greedy", 3, "torch.argmax") in named
    assert ("gpu hot", "full, mid", 2, "nexttoken") in named
    assert ("gpu host", "full, mid", 2, "nexttoken") in named
    for m in results:
        assert m.median_ns > 0
        assert m.ratio > 0
        assert (m.to_baseline is None) == (m.solver == "nexttoken")
        if m.solver == "torch.argmax":
            assert m.ratio == 1.0
    report = program.report_of(told, results, skipped, "make gpu-check-bench")
    assert any(note.startswith("target: batch 1, full, peaked, vocabulary 128256: at most 10") for note in report.notes)
    write_report(report, tmp_path / "gpu-bench.json")
    assert read_report(tmp_path / "gpu-bench.json") == report
    program.print_report(report)
    assert "logits not in the GPU's cache" in capsys.readouterr().out


def test_what_there_is_no_time_for_is_told() -> None:
    solvers, _ = find_solvers()
    told = contest()
    results: list[Measurement] = []
    measure_all(told, RUNS, [], solvers, -1.0, results)
    assert results == []
    assert told.notes == ["3 of 3 runs are left out: -1 s were up"]


def test_a_rival_that_cannot_be_captured_is_left_out() -> None:
    class Refused(Multinomial):
        def step(self, case: Case, inputs: Inputs) -> Callable[[], Any]:
            if inputs.batch == 2 and not inputs.logits.is_contiguous():
                raise AssertionError
            step = super().step(case, inputs)
            calls = []

            def once() -> Any:
                calls.append(1)
                if len(calls) > 1 or self.checked:
                    raise RuntimeError("operation not permitted when stream is capturing\nand more")
                return step()

            return once

        checked = False

    solvers, _ = find_solvers()
    refused = Refused()
    told = contest()
    told._checked.add((refused.name, "temperature", VOCAB))
    refused.checked = True
    chosen: list[Solver] = [solvers[0], Argmax(), refused]
    results = told.measure(RUNS[0], chosen)
    assert "torch.multinomial" not in {m.solver for m in results}
    assert told.notes == [
        "torch.multinomial is left out of temperature, batch 2: operation not permitted when stream is capturing"
    ]


def test_without_a_gpu_it_says_so(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert program.main([]) == 77
    assert capsys.readouterr().out == "no CUDA device\n"


def test_the_plan_has_every_shape_and_batch() -> None:
    runs = list(plan())
    assert len(set(runs)) == len(runs)
    assert {(run.batch, run.dtype, run.shape) for run in runs if run.cold and run.vocab == 128256} == {
        (batch, dtype, shape)
        for batch in (1, 16, 64, 256)
        for dtype in ("float32", "bfloat16")
        for shape in ("peaked", "mid", "flat")
    }
