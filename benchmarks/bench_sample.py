"""One decoding step over a vocabulary of 128256, one row, one thread: checked first, then timed.

    make bench

Every case rotates over different rows, because a branch predictor learns a row that is repeated. Rivals run in the same
process: the floor (one pass over the row) and NumPy with a sort.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import nexttoken
from nexttoken import reference

VOCAB = 128256
ROWS = 64


def make_rows(shape: str) -> np.ndarray:
    """Peaked: a nucleus of tens. Mid: thousands. Flat: most of the vocabulary."""
    rng = np.random.default_rng(20231106)
    if shape == "flat":
        return rng.normal(size=(ROWS, VOCAB)).astype(np.float32)
    heavy = rng.standard_t(4, size=(ROWS, VOCAB)) * (2.6 if shape == "peaked" else 1.1)
    return heavy.astype(np.float32)


CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "greedy": ("peaked", {"temperature": 0.0}),
    "temperature": ("peaked", {"temperature": 0.8}),
    "full, peaked": ("peaked", {"temperature": 0.8, "top_p": 0.95, "edits": True}),
    "full, mid": ("mid", {"temperature": 0.8, "top_p": 0.95, "edits": True}),
    "full, flat": ("flat", {"temperature": 0.8, "top_p": 0.95, "edits": True}),
    "full, top_k 40": ("peaked", {"temperature": 0.8, "top_p": 0.95, "top_k": 40, "edits": True}),
    "full, 20 logprobs": ("peaked", {"temperature": 0.8, "top_p": 0.95, "edits": True, "logprobs": 20}),
}


def with_edits(options: dict[str, Any]) -> dict[str, Any]:
    """A bias on 20 tokens and penalties over a history of 512, where a case asks for them."""
    options = dict(options)
    if options.pop("edits", False):
        rng = np.random.default_rng(7)
        options["logit_bias"] = {int(t): 0.5 for t in rng.choice(VOCAB, 20, replace=False)}
        options["output_token_ids"] = rng.integers(0, VOCAB, 512).tolist()
        options |= {"presence_penalty": 0.1, "frequency_penalty": 0.2}
    return options


def rotate(rows: np.ndarray, call: Callable[[np.ndarray], Any]) -> Callable[[], Any]:
    """`call` on one row after the other."""
    lines: Iterator[np.ndarray] = itertools.cycle(list(rows))
    return lambda: call(next(lines))


@pytest.mark.parametrize("case", CASES)
def test_nexttoken(benchmark: Any, case: str) -> None:
    shape, options = CASES[case]
    options, rows = with_edits(options), make_rows(shape)
    expected = reference.sample_row(rows[0], seed=5, **options)
    assert nexttoken.sample(rows[0], seed=5, **options).token_ids.tolist() == expected.token_ids
    params = nexttoken.SamplingParams(
        **{name: value for name, value in options.items() if name != "output_token_ids"}, seed=5
    )
    sampler = nexttoken.Sampler(VOCAB)
    row = sampler.add(params, output_token_ids=options.get("output_token_ids", ()))
    benchmark.group = case
    benchmark(rotate(rows, lambda logits: sampler.step(logits, rows=[row])))


@pytest.mark.parametrize("case", [case for case in CASES if case.startswith("full") and "logprobs" not in case])
def test_numpy(benchmark: Any, case: str) -> None:
    shape, options = CASES[case]
    options, rows = with_edits(options), make_rows(shape)
    tokens, counts = np.unique(options["output_token_ids"], return_counts=True)
    rng = np.random.default_rng(5)

    def step(logits: np.ndarray) -> int:
        z = logits.copy()
        z[list(options["logit_bias"])] += np.fromiter(options["logit_bias"].values(), np.float32)
        z[tokens] -= counts * np.float32(options["frequency_penalty"]) + np.float32(options["presence_penalty"])
        order = np.argsort(-z)[: options.get("top_k", 0) or None]
        probs = np.exp((z[order] - z[order[0]]) / np.float32(options["temperature"]))
        probs /= probs.sum()
        kept = int(np.searchsorted(np.cumsum(probs), options["top_p"])) + 1
        return int(rng.choice(order[:kept], p=probs[:kept] / probs[:kept].sum()))

    benchmark.group = case
    benchmark(rotate(rows, step))


def test_floor(benchmark: Any) -> None:
    benchmark.group = "floor: one pass (np.max)"
    benchmark(rotate(make_rows("peaked"), np.max))
