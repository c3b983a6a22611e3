"""What a step costs from Python beyond the kernel: `Sampler.step` on one row, less the kernel's own time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from nexttoken import _core
from nexttoken.bench.cases import Case, Workload, cases_named
from nexttoken.bench.kernels import Plan
from nexttoken.bench.measurement import Measurement, measured
from nexttoken.exceptions import BenchmarkError
from nexttoken.extras import missing, require
from nexttoken.params import SamplingParams
from nexttoken.sampler import Sampler

__all__ = ["Stepper", "clock_cost_ns", "measure_overhead", "row_in_cache"]

# Here the kernel takes next to nothing, so that what is left is not the difference of two large numbers.
_SMALL_VOCAB = 1024


class Stepper:
    """`Sampler.step` on the rows of a workload, each from the state that the workload gives it.

    Parameters
    ----------
    workload : Workload
        Whose rows and parameters.
    token_bytes : sequence of bytes, optional
        Of a sampler that makes text, too.
    given_as : callable, optional
        Makes of an array what `sampler.step` is given, in the same memory.
    """

    def __init__(
        self,
        workload: Workload,
        token_bytes: Sequence[bytes] | None = None,
        given_as: Callable[[npt.NDArray[Any]], Any] = lambda array: array,
    ) -> None:
        self.workload = workload
        self.sampler = Sampler(workload.vocab, token_bytes)
        self._rows = [self._add(workload.of_row(row)) for row in range(workload.count)]
        self._copy: list[int] = []
        self._scratch = row_in_cache(workload.vocab, workload.logits.dtype)
        self._given = given_as(self._scratch)

    def _add(self, options: dict[str, object]) -> int:
        said = options.pop("output_token_ids", ())
        options.pop("step", None)  # the sampler counts for itself
        return self.sampler.add(SamplingParams(**options), output_token_ids=said)  # type: ignore[arg-type]

    def ready(self, row: int) -> tuple[Any, list[int]]:
        """The logits, just copied into the cache, and the rows that `sampler.step` is to be called with, once."""
        # A step moves a row on. A copy of it, made outside the interval, starts each time from the same history.
        if self._copy:
            self.sampler.remove(self._copy[0])
        self._copy = self.sampler.fork(self._rows[row], 1, sequence_index=0)
        np.copyto(self._scratch, self.workload.logits[row])
        return self._given, self._copy

    def time(self, row: int, clock: Callable[[], int]) -> tuple[int, int]:
        """The interval of one step in ns, with the row in the cache; and the token that it drew."""
        logits, copy = self.ready(row)
        start = clock()
        result = self.sampler.step(logits, rows=copy)
        interval = clock() - start
        return interval, int(result.token_ids[0])


def row_in_cache(vocab: int, dtype: npt.DTypeLike = np.float32) -> npt.NDArray[Any]:
    """A place for a row, at the start of a cache line, as the core's own clock has it."""
    size = np.dtype(dtype).itemsize * vocab
    memory = np.empty(size + 64, np.uint8)
    start = -memory.ctypes.data % 64
    return memory[start : start + size].view(dtype)


def clock_cost_ns(clock: Callable[[], int]) -> int:
    """The median of empty intervals: what reading the clock adds to each."""
    intervals = []
    for _ in range(1001):
        start = clock()
        intervals.append(clock() - start)
    return int(np.median(intervals))


def measure_overhead(plan: Plan) -> list[Measurement]:
    """The section ``"step"``: greedy and the full pipeline, over the plan's first vocabulary and a small one.

    Over the small one also text, logprobs and, where torch is installed, a tensor: what they add is of Python's side.

    Raises
    ------
    BenchmarkError
        If `Sampler.step` draws another token than the kernel alone.
    """
    results = []
    for vocab in dict.fromkeys((plan.vocabularies[0], _SMALL_VOCAB)):
        # Mid rows: a small vocabulary has no confident head to speak of.
        for case in cases_named("greedy", "full, mid"):
            results.append(_beyond_the_kernel(Stepper(Workload(case, vocab, plan.rows)), plan.rounds))
    results += [_beyond_the_kernel(stepper, plan.rounds) for stepper in _additions(plan.rows)]
    return results


def _additions(rows: int) -> Iterator[Stepper]:
    def greedy(name: str, **options: int) -> Workload:
        case = Case(f"greedy, {name}", "peaked", {"temperature": 0.0, **options})
        return Workload(case, _SMALL_VOCAB, rows)

    yield Stepper(greedy("text"), [f" {token}".encode() for token in range(_SMALL_VOCAB)])
    yield Stepper(greedy("20 logprobs", logprobs=20))
    if not missing("torch"):
        yield Stepper(greedy("torch tensor"), given_as=require("torch", "torch").from_numpy)


def _beyond_the_kernel(stepper: Stepper, rounds: int) -> Measurement:
    workload = stepper.workload
    clock = time.thread_time_ns
    cost = clock_cost_ns(clock)
    view, params = workload.prepared()
    beyond, floors = [], []
    for _ in range(rounds):
        # All rows by the kernel, then all by the sampler: the branch predictor knows a row that it has just seen.
        times, tokens, _ = _core.time_rows(view, params, sweep=False)
        steps = [stepper.time(row, clock) for row in range(workload.count)]
        drawn = [token for _, token in steps]
        if drawn != tokens[:, 0].tolist():
            raise BenchmarkError(f"Sampler.step must draw the kernel's tokens {tokens[:, 0].tolist()}, got {drawn}")
        beyond.append(
            [interval - cost - float(kernel) for (interval, _), kernel in zip(steps, times[:, 1], strict=True)]
        )
        floors.append(times[:, 0].astype(np.float64))
    return measured(
        beyond,
        floors,
        section="step",
        case=workload.case.name,
        target=_core.active_target(),
        vocab=workload.vocab,
    )
