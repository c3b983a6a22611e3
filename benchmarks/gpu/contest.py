"""All solvers on the same batches, turn by turn, in one process."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch

from gpu.cases import Case, Run
from gpu.check import check_ours, check_rival
from gpu.clock import CaptureError, Clock, HostClock
from gpu.inputs import Inputs, Pool, batches_needed
from gpu.solvers import ARGMAX, OURS
from gpu.solvers.base import Solver
from gpu.trial import first_line
from nexttoken.bench.measurement import Measurement, measured
from nexttoken.bench.rows import Shape
from nexttoken.exceptions import BenchmarkError

HOT_STEPS = 16
"""Steps of a graph over one batch."""


@dataclass
class Contest:
    """How all of it is measured.

    Attributes
    ----------
    device : torch.device
        Where the batches are.
    clock : Clock
        Times steps there.
    cache_bytes : int
        What cold batches must exceed twice.
    rounds, samples : int
        Turns, and samples of each in a turn.
    rows : int
        Different rows that batches are made of.
    draws : int
        For the check of a rival.
    refused : mapping of (solver, case) to str
        What is not tried, because it cannot be captured, and why.
    notes : list of str
        What went wrong and harms nothing else.
    stopped : bool
        A capture failed: no other can be relied on in this process.
    """

    device: torch.device
    clock: Clock
    cache_bytes: int
    rounds: int = 9
    samples: int = 2
    rows: int = 32
    draws: int = 2000
    refused: Mapping[tuple[str, str], str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    stopped: bool = False
    _pools: dict[tuple[Shape, int], Pool] = field(default_factory=dict)
    _checked: set[tuple[str, str, int]] = field(default_factory=set)

    def pool(self, run: Run) -> Pool:
        """Of the run's rows; kept, because they take seconds to make."""
        key = (run.shape, run.vocab)
        if key not in self._pools:
            self._pools[key] = Pool(run.shape, run.vocab, self.device, self.rows)
        return self._pools[key]

    def batches(self, run: Run) -> list[Inputs]:
        """As many different ones as the run's figures need."""
        if not run.cold:
            return [self.pool(run).batch(run.batch, run.dtype)] * HOT_STEPS
        item_bytes = getattr(torch, run.dtype).itemsize
        count = batches_needed(run.batch, run.vocab, item_bytes, self.cache_bytes)
        return [self.pool(run).batch(run.batch, run.dtype) for _ in range(count)]

    def check(self, run: Run, solver: Solver, case: Case, inputs: Inputs) -> None:
        """Ours on every run, to the bit; a rival once for each kind of rows."""
        if solver.name == OURS:
            check_ours(case, inputs)
            return
        key = (solver.name, run.name_of(case).removeprefix("bfloat16, "), run.vocab)
        if key not in self._checked:
            # A solver reads what it is given in one way: eight rows say as much as many.
            few = Inputs(**{name: value[:8] for name, value in vars(inputs).items()})
            check_rival(solver, case, few, draws=self.draws)
            self._checked.add(key)

    def _prepared(
        self, run: Run, solvers: Sequence[Solver], batches: Sequence[Inputs]
    ) -> dict[tuple[str, str], Callable[[], float]]:
        """What times each solver on each case; a rival that fails is left out with the reason.

        Ours and the yardstick come first: should a capture of a rival fail, the others of the run have their figures.
        """
        samples: dict[tuple[str, str], Callable[[], float]] = {}
        argmax = [(solver, case) for solver in solvers for case in _greedy(solver)]
        pairs = argmax + [(s, c) for c in run.cases() for s in solvers if s.does(c)]
        for solver, case in sorted(pairs, key=lambda pair: pair[0].name not in (OURS, ARGMAX)):
            key = (solver.name, case.name)
            if key in samples or key in self.refused:
                continue
            self.check(run, solver, case, batches[0])
            try:
                samples[key] = self.clock.prepare([solver.step(case, inputs) for inputs in batches])
            except RuntimeError as error:
                if solver.name == OURS:
                    raise
                self.notes.append(
                    f"{solver.name} is left out of {run.name_of(case)}, batch {run.batch}: {first_line(error)}"
                )
                if isinstance(error, CaptureError):
                    self.stopped = True
                    break
        return samples

    def measure(self, run: Run, solvers: Sequence[Solver]) -> list[Measurement]:
        """Every solver on every case of a run."""
        batches = self.batches(run)
        samples = self._prepared(run, solvers, batches)
        times: dict[tuple[str, str], list[list[float]]] = {key: [] for key in samples}
        for _ in range(self.rounds):
            for key, sample in samples.items():
                times[key].append([sample() for _ in range(self.samples)])
        floors = times.get((ARGMAX, "greedy"))
        if floors is None:
            raise BenchmarkError(f"{ARGMAX} must be among the solvers: all are told beside it")
        results = []
        for case in run.cases():
            ours = times[OURS, case.name]
            for solver in solvers:
                own = times.get((solver.name, case.name))
                if own is None or not solver.does(case):
                    continue
                results.append(
                    measured(
                        own, floors, None if solver.name == OURS else ours,
                        section="gpu" if run.cold else "gpu hot", case=run.name_of(case), solver=solver.name,
                        baseline=None if solver.name == OURS else run.name_of(case), vocab=run.vocab,
                        batch=run.batch, cold=run.cold, clock="gpu",
                    )
                )  # fmt: skip
        del samples, batches
        gc.collect()
        if torch.cuda.is_available() and not self.stopped:  # torch 2.11 cannot empty it after a failed capture
            torch.cuda.empty_cache()
        return results

    def measure_host(self, run: Run, ours: Solver) -> list[Measurement]:
        """What a call costs the thread that makes it, beside one of torch.argmax."""
        inputs = self.pool(run).batch(run.batch, run.dtype)
        clock = HostClock()
        calls = 20  # fewer than a stream takes without waiting
        argmax = clock.prepare([lambda: inputs.logits.argmax(dim=-1)] * calls)
        results = []
        for case in run.cases():
            sample = clock.prepare([ours.step(case, inputs)] * calls)
            floors, times = [], []
            for _ in range(self.rounds):
                floors.append([argmax() for _ in range(self.samples)])
                times.append([sample() for _ in range(self.samples)])
            facts = {"vocab": run.vocab, "batch": run.batch, "clock": "wall", "section": "gpu host"}
            results.append(measured(times, floors, case=run.name_of(case), solver=ours.name, **facts))
        return results


def _greedy(solver: Solver) -> list[Case]:
    """The yardstick is timed on every run, whatever its cases are."""
    case = Case("greedy", {"temperature": 0.0})
    return [case] if solver.name == ARGMAX else []


def measure_all(
    contest: Contest, runs: Sequence[Run], hosts: Sequence[Run], solvers: Sequence[Solver], seconds: float,
    results: list[Measurement], tell: Callable[[str], object] = print,
) -> None:  # fmt: skip
    """All runs, in order, until time is up or a capture failed: those that are left out are noted.

    What is measured is added to `results` run by run, so that the caller has it whatever is raised.
    """
    start = time.monotonic()
    ours = next(solver for solver in solvers if solver.name == OURS)
    for run in hosts:
        results += contest.measure_host(run, ours)
    for place, run in enumerate(runs):
        if time.monotonic() - start > seconds:
            contest.notes.append(f"{len(runs) - place} of {len(runs)} runs are left out: {seconds:g} s were up")
            break
        if contest.stopped:
            contest.notes.append(f"{len(runs) - place} of {len(runs)} runs are left out: a capture failed before them")
            break
        tell(f"{time.monotonic() - start:4.0f} s  vocabulary {run.vocab}, batch {run.batch}, {run.dtype}, {run.shape}")
        results += contest.measure(run, solvers)
