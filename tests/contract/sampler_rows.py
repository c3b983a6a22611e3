"""Two samplers with the same random rows: one is fed logits in host memory, the other the same ones elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from nexttoken import Sampler, SamplingParams

VOCAB = 60
WORDS = [bytes([97 + token % 26]) * (1 + token % 3) for token in range(VOCAB)]


def make_params(rng: np.random.Generator) -> SamplingParams:
    def sometimes(value: Any, otherwise: Any) -> Any:
        return value if rng.random() < 0.4 else otherwise

    return SamplingParams(
        temperature=float(rng.choice([0, 0.5, 1, 3])),
        top_p=sometimes(0.8, 1.0),
        top_k=sometimes(7, 0),
        min_p=sometimes(0.05, 0.0),
        presence_penalty=sometimes(0.7, 0.0),
        frequency_penalty=sometimes(-0.4, 0.0),
        repetition_penalty=sometimes(1.3, 1.0),
        penalty_scope=sometimes("prompt_and_output", "output"),
        logit_bias=sometimes({3: 2.0, 7: float("-inf")}, None),
        seed=int(rng.integers(2**40)),
        stop=sometimes(["ab", "ccc"], []),
        stop_token_ids=sometimes([11], []),
        max_tokens=int(rng.integers(3, 12)),
        min_tokens=sometimes(3, 0),
        logprobs=sometimes(int(rng.integers(0, 6)), None),
        logprobs_mode=sometimes("processed", "raw"),
    )


def pair(rng: np.random.Generator, count: int) -> tuple[Sampler, Sampler, list[int]]:
    """Two samplers with the same rows."""
    samplers = [Sampler(VOCAB, token_bytes=WORDS, eos_token_ids=[5, 9]) for _ in range(2)]
    for _ in range(count):
        params, prompt = make_params(rng), rng.integers(0, VOCAB, 4).tolist()
        rows = [sampler.add(params, prompt, sequence_index=2) for sampler in samplers]
    assert rows[0] == rows[1] == count - 1
    return samplers[0], samplers[1], list(range(count))


def check(got: Any, wanted: Any) -> None:
    for name in ("token_ids", "status", "top_token_ids"):
        np.testing.assert_array_equal(getattr(got, name), getattr(wanted, name), err_msg=name)
        assert type(getattr(got, name)) is np.ndarray
    assert got.finish_reason == wanted.finish_reason
    assert got.text == wanted.text
    assert (got.logprobs is None) == (wanted.logprobs is None)
    if wanted.logprobs is not None:
        np.testing.assert_allclose(got.logprobs, wanted.logprobs, rtol=0, atol=5e-6)
        np.testing.assert_allclose(got.top_logprobs, wanted.top_logprobs, rtol=0, atol=5e-6)


def run_both(place: Callable[[Any], Any], seed: list[int], trials: int) -> tuple[int, set[Any]]:
    """Run rows to their end, with logits as they are and as `place` puts them. Returns steps, and why rows ended."""
    steps, reasons = 0, set[Any]()
    for trial in range(trials):
        rng = np.random.default_rng([*seed, trial])
        host, device, _ = pair(rng, 6)
        for step in range(12):
            rows = host.active_rows
            assert device.active_rows == rows
            if not rows:
                break
            values = rng.normal(0, 2, (len(rows), VOCAB + 4)).astype(np.float32)  # 4 columns of padding
            values[:, VOCAB:] = np.inf
            if step == 5:
                values[0, 3] = np.nan
            mask = None
            if rng.random() < 0.3:
                mask = rng.integers(-(2**31), 2**31, (len(rows), 2), dtype=np.int64).astype(np.int32) | 1
            wanted = host.step(values, token_bitmask=mask)
            check(device.step(place(values), token_bitmask=mask), wanted)
            steps += 1
            reasons |= set(wanted.finish_reason)
            assert [device.info(row) for row in rows] == [host.info(row) for row in rows]
    return steps, reasons
