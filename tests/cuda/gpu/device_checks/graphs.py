"""Calls inside a graph capture: the first of a process, and a thousand replays against a thousand calls of the CPU."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

import nexttoken
from device_checks.equality import same
from device_checks.tensors import fetch, normal, on_cuda, to_host

REPLAYS = 1000


def _first(distribution: bool) -> str:
    """Nothing of ours has touched the device before: the kernels are loaded within the capture."""
    values = normal(7, 6, 9000)
    here: dict[str, Any] = {"seed": list(range(6)), "top_p": [0.9] * 6, "top_k": 400, "logprobs": 3}
    logits, top_p = on_cuda(values), on_cuda([0.9] * 6)
    torch.cuda.synchronize()
    function = nexttoken.distribution if distribution else nexttoken.sample
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        result = function(logits, **{**here, "top_p": top_p})
    graph.replay()
    torch.cuda.synchronize()
    same(fetch(result), function(values, **here), "the first replay")
    same(fetch(function(logits, **{**here, "top_p": top_p})), function(values, **here), "a call after it")
    return "1 replay, 1 call"


def first_call() -> str:
    return _first(distribution=False)


def first_distribution() -> str:
    return _first(distribution=True)


def step_in_the_graph() -> str:
    """One capture holds the step, its own token's place in the history, and the count."""
    batch, vocab = 4, 2000
    values = normal(8, batch, vocab)
    seeds = [11, 12, 13, 2**63 + 1]
    logits, seed = on_cuda(values), on_cuda(seeds, np.uint64)
    step = torch.zeros(batch, dtype=torch.int64, device="cuda")
    options: dict[str, Any] = {"top_p": 0.95, "temperature": [0.7, 1.0, 1.3, 0.0], "min_p": 0.001}
    kept = torch.empty((REPLAYS, batch), dtype=torch.int32, device="cuda")
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        drawn = nexttoken.sample(logits, seed=seed, step=step, **options)
        kept.index_copy_(0, step[:1], drawn.token_ids[None])
        step += 1
    for _ in range(REPLAYS):
        graph.replay()
    torch.cuda.synchronize()
    assert step.tolist() == [REPLAYS] * batch, f"step is {step.tolist()}"
    wanted = np.stack(
        [nexttoken.sample(values, seed=seeds, step=place, **options).token_ids for place in range(REPLAYS)]
    )
    _same_tokens(to_host(kept), wanted)
    return f"{REPLAYS} replays of {batch} rows"


def values_between() -> str:
    """All that lies on the device is another before each replay, logits too; statuses come and go."""
    batch, vocab = 3, 1500
    rng = np.random.default_rng(9)
    pool = normal(9, 20, batch, vocab)
    pool[7, 1] = np.nan
    rows = on_cuda(pool)
    logits, seed = torch.empty_like(rows[0]), torch.empty(batch, dtype=torch.int64, device="cuda")
    temperature, top_k = torch.ones((), device="cuda"), torch.empty(batch, dtype=torch.int32, device="cuda")
    said = torch.full((batch, 8), -1, dtype=torch.int32, device="cuda")
    bits = torch.full((batch, (vocab + 31) // 32), -1, dtype=torch.int32, device="cuda")
    graph = torch.cuda.CUDAGraph()
    seed.zero_(), top_k.zero_(), logits.copy_(rows[0])
    with torch.cuda.graph(graph):
        drawn = nexttoken.sample(
            logits, seed=seed, temperature=temperature, top_k=top_k, output_token_ids=said, token_bitmask=bits,
            frequency_penalty=0.5, logprobs=2,
        )  # fmt: skip
    for place in range(REPLAYS):
        seeds, ks = rng.integers(-(2**62), 2**62, batch), rng.integers(0, vocab, batch)
        tokens, masks = rng.integers(-1, vocab, (batch, 8)), rng.integers(-(2**31), 2**31, bits.shape)
        warm = float(np.float32(rng.choice([0.0, 0.5, 1.0, 2.0])))
        for target, source in ((seed, seeds), (top_k, ks), (said, tokens), (bits, masks)):
            target.copy_(torch.from_numpy(source))
        temperature.fill_(warm)
        logits.copy_(rows[place % 20])
        graph.replay()
        wanted = nexttoken.sample(
            pool[place % 20], seed=seeds.tolist(), temperature=warm, top_k=ks.tolist(),
            output_token_ids=[[token for token in row if token >= 0] for row in tokens.tolist()],
            token_bitmask=masks.astype(np.int32), frequency_penalty=0.5, logprobs=2,
        )  # fmt: skip
        same(fetch(drawn, seed=False), wanted, f"replay {place}")
    return f"{REPLAYS} replays of {batch} rows"


def _same_tokens(got: Any, wanted: Any) -> None:
    wrong = np.argwhere(got != wanted)
    if len(wrong):
        place, row = wrong[0]
        raise AssertionError(
            f"replay {place}, row {row}: token must be {wanted[place, row]}, got {got[place, row]}; "
            f"{len(wrong)} of {wanted.size} differ"
        )
