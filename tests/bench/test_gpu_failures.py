"""What the benchmark of a GPU keeps when something fails, on the host with stubs for what only a GPU has."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from nexttoken.bench.measurement import Measurement
from nexttoken.bench.report import read_report
from nexttoken.exceptions import BenchmarkError

torch = pytest.importorskip("torch")

from gpu import __main__ as program  # noqa: E402
from gpu import contest as contests  # noqa: E402
from gpu import trial  # noqa: E402
from gpu.cases import CASES, Case, Run  # noqa: E402
from gpu.clock import CaptureError, GraphClock, HostClock  # noqa: E402
from gpu.contest import Contest, measure_all  # noqa: E402
from gpu.solvers import ARGMAX, OURS, find_solvers  # noqa: E402
from gpu.solvers.torch_argmax import Argmax  # noqa: E402
from gpu.solvers.torch_multinomial import Multinomial  # noqa: E402
from gpu.solvers.torch_sort import TorchSort  # noqa: E402

pytestmark = pytest.mark.slow

VOCAB = 2000
HOST = torch.device("cpu")
RUNS = [Run(VOCAB, 2, "float32", "mid", cold=True), Run(VOCAB, 3, "float32", "mid", cold=True)]


class NoCapture(HostClock):
    """Refuses the steps of one solver, as a capture does."""

    def __init__(self, refused: type) -> None:
        self._refused, self.asked = refused, 0

    def prepare(self, steps: Any) -> Callable[[], float]:
        self.asked += 1
        if self._refused.__name__ in steps[0].__qualname__:
            raise CaptureError("operation not permitted when stream is capturing\nand more")
        return super().prepare(steps)


def contest(clock: Any, **facts: Any) -> Contest:
    return Contest(HOST, clock, cache_bytes=1 << 16, rounds=2, samples=2, rows=4, draws=200, **facts)


def test_a_failed_capture_ends_capturing_and_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)

    def broken() -> None:
        raise RuntimeError("INTERNAL ASSERT FAILED")

    monkeypatch.setattr(torch.cuda, "empty_cache", broken)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    told, results = contest(NoCapture(TorchSort)), list[Measurement]()
    solvers = [solver for solver in find_solvers()[0] if solver.name in (OURS, ARGMAX, TorchSort.name)]
    measure_all(told, RUNS, [], solvers, 600, results, tell=lambda text: None)
    cases = {case.name for case in RUNS[0].cases()}
    assert {m.solver for m in results} == {OURS}
    assert len({m.case for m in results if m.solver == OURS}) == len(cases)
    assert told.notes == [
        "torch sort is left out of full, mid, batch 2: operation not permitted when stream is capturing",
        "1 of 2 runs are left out: a capture failed before them",
    ]


def test_what_was_refused_is_not_tried() -> None:
    refused = {(Multinomial.name, "temperature"): "no"}
    told = contest(NoCapture(Multinomial), refused=refused)
    results = told.measure(RUNS[0], [find_solvers()[0][0], Argmax(), Multinomial()])
    assert {m.solver for m in results} == {OURS}
    assert told.notes == []
    assert not told.stopped


def test_after_a_failed_capture_the_stream_of_before_is_current(monkeypatch: pytest.MonkeyPatch) -> None:
    current: list[Any] = ["before"]

    class Stream:
        def wait_stream(self, other: Any) -> None: ...

    class Before(Stream): ...

    before = Before()
    current[:] = [before]

    @contextlib.contextmanager
    def on_stream(stream: Any) -> Iterator[None]:
        kept, current[0] = current[0], stream
        yield
        current[0] = kept

    @contextlib.contextmanager
    def graph(_: Any) -> Iterator[None]:
        current[0] = "the capture's"
        try:
            yield
        finally:  # as torch does: the stream stays where ending the capture raises
            raise RuntimeError("capture was invalidated")

    for name, stub in {
        "current_stream": lambda: current[0],
        "set_stream": lambda stream: current.__setitem__(0, stream),
        "Stream": Stream,
        "stream": on_stream,
        "synchronize": lambda: None,
        "CUDAGraph": object,
        "graph": graph,
    }.items():
        monkeypatch.setattr(torch.cuda, name, stub)
    calls = []

    def step() -> None:
        calls.append(1)
        if len(calls) > 2:
            raise RuntimeError("this step waits for the device")

    with pytest.raises(CaptureError, match=r"^this step waits for the device$"):
        GraphClock().prepare([step])
    assert current == [before]


def test_captures_are_tried_in_other_processes() -> None:
    said = {
        "full": "pass",
        "top_k 50, top_p 0.9": "print('much\\nRuntimeError: not here'); raise SystemExit(1)",
        "temperature": "raise SystemExit(3)",
        "20 logprobs": "import time; time.sleep(60)",
    }

    def command(_: Any, case: Case) -> list[str]:
        return [sys.executable, "-c", said[case.name]]

    solvers = [solver for solver in find_solvers()[0] if solver.name in (OURS, TorchSort.name)]
    refused = trial.try_captures(solvers, CASES, 3.0, command)
    assert refused == {
        (TorchSort.name, "top_k 50, top_p 0.9"): "RuntimeError: not here",
        (TorchSort.name, "temperature"): "exit status 3",
        (TorchSort.name, "20 logprobs"): "no graph after 3 s",
    }


def test_what_a_trial_does(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    solver = TorchSort()
    assert trial.command_of(solver, CASES[0])[1:] == ["-m", "gpu.trial", "gpu.solvers.torch_sort", "full"]
    trial.attempt(solver, CASES[0], HOST, HostClock(), VOCAB)

    def fails(*_: Any) -> None:
        raise CaptureError("not permitted\nand more")

    monkeypatch.setattr(trial, "attempt", fails)
    assert trial.main(["gpu.solvers.torch_sort", "full"]) == 1
    assert capsys.readouterr().out == "CaptureError: not permitted\n"


@pytest.mark.parametrize(
    ("error", "note"),
    [
        (BenchmarkError("token 3 for 4"), "ended early: a result is wrong: token 3 for 4"),
        (RuntimeError("INTERNAL ASSERT FAILED\nand more"), "ended early: RuntimeError: INTERNAL ASSERT FAILED"),
        (KeyboardInterrupt(), "ended early: KeyboardInterrupt: no message"),
    ],
)
def test_whatever_ends_the_run_what_was_measured_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: BaseException, note: str
) -> None:
    measure = Contest.measure

    def second_fails(self: Contest, run: Run, solvers: Any) -> list[Measurement]:
        if run is not RUNS[0]:
            raise error
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
        return measure(self, run, solvers)

    monkeypatch.setattr(program, "card", lambda: {"gpu": "a card"})
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(program, "cache_bytes", lambda: 1 << 16)
    monkeypatch.setattr(program, "GraphClock", HostClock)
    monkeypatch.setattr(program, "HOSTS", [])
    monkeypatch.setattr(program, "plan", lambda: RUNS)
    monkeypatch.setattr(program, "find_solvers", lambda: ([find_solvers()[0][0], Argmax()], ["one is not here"]))
    monkeypatch.setattr(program, "try_captures", lambda solvers: {("torch sort", "full"): "not permitted"})
    monkeypatch.setattr(program.torch, "device", lambda name: HOST)
    monkeypatch.setattr(contests.Contest, "measure", second_fails)
    assert program.main(["--json", str(tmp_path / "gpu-bench.json")]) == 1
    report = read_report(tmp_path / "gpu-bench.json")
    assert {m.batch for m in report.measurements} == {2}
    assert note in report.notes
    assert "torch sort is left out of full: not permitted" in report.notes
    assert report.machine["gpu"] == "a card"
    assert note.removeprefix("ended early: ") in capsys.readouterr().out
