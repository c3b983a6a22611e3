"""``nexttoken bench decode``: where a token's time goes: the model's forward pass, sampling, text, our loop.

The runtime and the sampler of a running engine are replaced by ones that time themselves. What is left of a step is the
loop's. Beside it, the shortest loop there is over the same runtime: forward, argmax, forward.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

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
    """A sampler that remembers how long its last step took, how long it takes without text, and what finding out cost.

    The second sampler has no token bytes, so it does no text; it steps along on the same logits. Which of the two goes
    first alternates, because the first finds the logits out of the cache.
    """

    def __init__(self, inner: Sampler) -> None:
        self._inner = inner
        self._plain = Sampler(inner.vocab_size)
        self._plain_rows: dict[int, int] = {}
        self._steps = 0
        self.step_ns = self.plain_ns = self.extra_ns = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def add(self, params: SamplingParams, prompt_token_ids: Sequence[int]) -> int:
        row = self._inner.add(params, prompt_token_ids)
        self._plain_rows[row] = self._plain.add(params, prompt_token_ids)
        return row

    def step(self, logits: Any, rows: Sequence[int], logits_rows: Sequence[int] | None = None) -> StepResult:
        entered = time.perf_counter_ns()
        plain_rows = [self._plain_rows[row] for row in rows]
        self._steps += 1
        if self._steps % 2:
            self.plain_ns, plain = _timed(self._plain, logits, plain_rows, logits_rows)
            self.step_ns, result = _timed(self._inner, logits, list(rows), logits_rows)
        else:
            self.step_ns, result = _timed(self._inner, logits, list(rows), logits_rows)
            self.plain_ns, plain = _timed(self._plain, logits, plain_rows, logits_rows)
        if plain.token_ids.tolist() != result.token_ids.tolist():
            raise BenchmarkError(
                f"a sampler without text must draw the same tokens {result.token_ids.tolist()}, "
                f"got {plain.token_ids.tolist()}"
            )
        self.extra_ns = time.perf_counter_ns() - entered - self.step_ns
        return result


def _timed(sampler: Sampler, logits: Any, rows: list[int], logits_rows: Any) -> tuple[int, StepResult]:
    start = time.perf_counter_ns()
    result = sampler.step(logits, rows=rows, logits_rows=logits_rows)
    return time.perf_counter_ns() - start, result


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
    names = ("forward", "sampling", "text", "our loop", "token", "the runtime's own loop")
    rounds: dict[str, list[list[float]]] = {name: [] for name in names}
    floors, answer = [], None
    for number in range(decoding.rounds + 1):  # the first warms up
        tick(f"round {number} of {decoding.rounds}" if number else "warming up")
        tokens, parts, floor = _engine_round(runtime, decoding)
        if answer is not None and tokens != answer:
            raise BenchmarkError(f"the same request must have the same answer each time, got {tokens} after {answer}")
        answer = tokens
        bare = _bare_loop(runtime, decoding)
        if number == 0:
            continue
        floors.append(floor)
        for name in names[:-1]:
            rounds[name].append(parts[name])
        rounds[names[-1]].append(bare)
    return [
        measured(
            rounds[name],
            floors,
            rounds["token"] if name in names[:4] else None,
            section="decode",
            case=name,
            solver=runtime.name,
            target=_core.active_target(),
            vocab=runtime.vocab_size,
            threads=_core.num_threads(),
            clock="wall",
            baseline="token" if name in names[:4] else None,
        )
        for name in names
    ]


def _engine_round(runtime: Runtime, decoding: Decoding) -> tuple[list[int], dict[str, list[float]], list[float]]:
    timed_runtime = _TimedRuntime(runtime)
    strip = getattr(runtime.tokenizer, "strip_leading_space", False)
    engine = Engine(timed_runtime, strip_leading_space=strip)
    timed_sampler = _TimedSampler(engine._sampler)
    engine._sampler = timed_sampler  # type: ignore[assignment]
    handle = engine.submit(decoding.prompt, decoding.request)
    tokens = [next(handle).token_id]
    parts: dict[str, list[float]] = {name: [] for name in ("forward", "sampling", "text", "our loop", "token")}
    while len(tokens) < decoding.tokens:
        start = time.perf_counter_ns()
        event = next(handle)
        whole = time.perf_counter_ns() - start - timed_sampler.extra_ns
        tokens.append(event.token_id)
        parts["forward"].append(timed_runtime.ns)
        parts["sampling"].append(timed_sampler.plain_ns)
        parts["text"].append(timed_sampler.step_ns - timed_sampler.plain_ns)
        parts["our loop"].append(whole - timed_runtime.ns - timed_sampler.step_ns)
        parts["token"].append(whole)
    line = np.ascontiguousarray(np.asarray(timed_runtime.logits).reshape(-1, np.shape(timed_runtime.logits)[-1])[:1])
    floor = _core.time_one_pass_max(_core.Logits(np.repeat(line, 9, axis=0)), sweep=False)
    return tokens, parts, floor.astype(np.float64).tolist()


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
