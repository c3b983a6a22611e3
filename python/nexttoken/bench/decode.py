"""``nexttoken bench decode``: where a token's time goes: the model's forward pass, sampling, text, our loop.

The runtime and the sampler of a running engine are replaced by ones that time themselves. What is left of a step is the
loop's. A second run of the same engine has a sampler without token bytes, which does no text: side by side in one run,
whichever came first would find the logits out of the cache, and pay for both. Beside them, the shortest loop there is
over the same runtime: forward, argmax, forward.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from nexttoken import _core
from nexttoken.bench.kernels import Tick
from nexttoken.bench.measurement import Measurement, measured
from nexttoken.engine import Engine
from nexttoken.exceptions import BenchmarkError
from nexttoken.params import SamplingParams
from nexttoken.runtimes.base import Runtime
from nexttoken.sampler import Sampler, StepResult

__all__ = ["Decoding", "count_steps", "measure_decode"]

_SEED = 11
_PARTS = ("forward", "sampling", "text", "our loop")
_WHOLES = ("token", "the runtime's own loop")


@dataclass(frozen=True)
class Decoding:
    """What to generate.

    Attributes
    ----------
    prompt : sequence of int
        Token ids.
    tokens, rounds : int
        Tokens to generate, and how often.
    params : SamplingParams
        How they are chosen.
    """

    prompt: Sequence[int]
    tokens: int = 64
    rounds: int = 5
    params: SamplingParams = field(default_factory=lambda: SamplingParams(temperature=0.8, top_p=0.95))

    @property
    def request(self) -> SamplingParams:
        """`params` for exactly `tokens` tokens, repeatable."""
        return replace(self.params, max_tokens=self.tokens, ignore_eos=True, seed=_SEED, stop=(), n=1)


class _TimedRuntime:
    """A runtime that remembers how long its last call took; all else is the inner runtime's."""

    def __init__(self, inner: Runtime) -> None:
        self._inner = inner
        self.ns = 0
        self.logits: Any = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def prefill(self, token_ids: Sequence[int]) -> tuple[int, Any]:
        sequence, self.logits = self._inner.prefill(token_ids)
        return sequence, self.logits

    def decode(self, sequences: Sequence[int], token_ids: Sequence[int]) -> Any:
        start = time.perf_counter_ns()
        self.logits = self._inner.decode(sequences, token_ids)
        self.ns = time.perf_counter_ns() - start
        return self.logits


class _TimedSampler:
    """A sampler that remembers how long its last step took; all else is the inner sampler's."""

    def __init__(self, inner: Sampler) -> None:
        self._inner = inner
        self.ns = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def step(self, logits: Any, rows: Sequence[int], logits_rows: Sequence[int] | None = None) -> StepResult:
        start = time.perf_counter_ns()
        result = self._inner.step(logits, rows=rows, logits_rows=logits_rows)
        self.ns = time.perf_counter_ns() - start
        return result


def count_steps(decoding: Decoding) -> int:
    """How often `measure_decode` calls its `tick`."""
    return decoding.rounds + 1


def measure_decode(runtime: Runtime, decoding: Decoding, tick: Tick = lambda _: None) -> list[Measurement]:
    """The section ``"decode"``: parts of a token's time, the whole, and a bare loop over the same runtime.

    Wall time, because a runtime may use threads. The first token of an answer is left out: it reads the prompt.

    Raises
    ------
    BenchmarkError
        If the prompt and the tokens do not fit the context, or the runtime gives different answers to one request.
    """
    room = runtime.context_length - len(decoding.prompt)
    if not 2 <= decoding.tokens <= room:
        raise BenchmarkError(f"tokens must be in [2, {room}] with this prompt and model, got {decoding.tokens}")
    rounds: dict[str, list[list[float]]] = {name: [] for name in (*_PARTS, *_WHOLES)}
    floors, answer = [], None
    for number in range(decoding.rounds + 1):  # the first warms up
        tick(f"round {number} of {decoding.rounds}" if number else "warming up")
        with_text = _engine_run(runtime, decoding, text=True)
        without = _engine_run(runtime, decoding, text=False)
        bare = _bare_loop(runtime, decoding)
        for run in (with_text, without):
            if answer is not None and run.tokens != answer:
                raise BenchmarkError(
                    f"the same request must have the same answer each time, got {run.tokens} after {answer}"
                )
            answer = run.tokens
        if number == 0:
            continue
        floors.append(with_text.floor_ns)
        for name, times in _split(with_text, without).items():
            rounds[name].append(times.tolist())
        rounds[_WHOLES[-1]].append(bare)
    return [
        measured(
            rounds[name],
            floors,
            rounds["token"] if name in _PARTS else None,
            section="decode",
            case=name,
            solver=runtime.name,
            target=_core.active_target(),
            vocab=runtime.vocab_size,
            threads=_core.num_threads(),
            clock="wall",
            baseline="token" if name in _PARTS else None,
        )
        for name in (*_PARTS, *_WHOLES)
    ]


@dataclass
class _Run:
    """What one answer took: ns of each token but the first."""

    tokens: list[int]
    forward: list[int] = field(default_factory=list)
    step: list[int] = field(default_factory=list)
    whole: list[int] = field(default_factory=list)
    floor_ns: list[float] = field(default_factory=list)


def _split(with_text: _Run, without: _Run) -> dict[str, npt.NDArray[np.float64]]:
    """The parts, token by token; they add up to the tokens of the run with text."""
    forward, step, whole = (
        np.array(times, np.float64) for times in (with_text.forward, with_text.step, with_text.whole)
    )
    sampling = np.array(without.step, np.float64)
    parts = (forward, sampling, step - sampling, whole - forward - step, whole)
    return dict(zip((*_PARTS, _WHOLES[0]), parts, strict=True))


def _engine_run(runtime: Runtime, decoding: Decoding, *, text: bool) -> _Run:
    timed_runtime = _TimedRuntime(runtime)
    strip = getattr(runtime.tokenizer, "strip_leading_space", False)
    engine = Engine(timed_runtime, strip_leading_space=strip)
    timed_sampler = _TimedSampler(engine._sampler if text else Sampler(runtime.vocab_size))
    engine._sampler = timed_sampler  # type: ignore[assignment]
    handle = engine.submit(decoding.prompt, decoding.request)
    run = _Run([next(handle).token_id])
    while len(run.tokens) < decoding.tokens:
        start = time.perf_counter_ns()
        event = next(handle)
        run.whole.append(time.perf_counter_ns() - start)
        run.tokens.append(event.token_id)
        run.forward.append(timed_runtime.ns)
        run.step.append(timed_sampler.ns)
    line = np.ascontiguousarray(np.asarray(timed_runtime.logits).reshape(-1, np.shape(timed_runtime.logits)[-1])[:1])
    floor = _core.time_one_pass_max(_core.Logits(np.repeat(line, 9, axis=0)), sweep=False)
    run.floor_ns = floor.astype(np.float64).tolist()
    return run


def _bare_loop(runtime: Runtime, decoding: Decoding) -> list[float]:
    """What a loop costs that only asks the runtime and takes the likeliest token."""
    sequence, logits = runtime.prefill(decoding.prompt)
    token = int(np.argmax(np.asarray(logits)[: runtime.vocab_size]))
    times = []
    for _ in range(decoding.tokens - 1):
        start = time.perf_counter_ns()
        logits = runtime.decode([sequence], [token])
        token = int(np.argmax(np.asarray(logits)[0, : runtime.vocab_size]))
        times.append(float(time.perf_counter_ns() - start))
    runtime.free(sequence)
    return times
