"""The contract's rows as tensors on a device, parameters there and in host memory mixed, against the CPU's results."""

from __future__ import annotations

import time
from typing import Any

import ml_dtypes
import numpy as np
import torch

import nexttoken
from contract.placement import host_arguments, on_device
from contract.rows import make_batch
from device_checks.equality import same
from device_checks.tensors import both, fetch, normal, on_cuda, to_host

BATCHES, SECONDS = 150, 100.0


def _rows(dtype: Any, batches: int = BATCHES, **facts: Any) -> str:
    rng, start, rows = np.random.default_rng([3, np.dtype(dtype).itemsize]), time.monotonic(), 0
    for count in range(batches):
        if time.monotonic() - start > SECONDS:
            raise AssertionError(f"only {count} of {batches} batches in {SECONDS:g} s")
        batch = make_batch(rng, dtype=dtype, **facts)
        # One batch of eight has all its parameters in host memory. What is placed may be rounded, there and here.
        there = host_arguments(batch) if count % 8 == 0 else on_device(batch, on_cuda, rng)
        both(on_cuda(batch.logits), batch.logits, host_arguments(batch), there, f"batch {count}")
        rows += len(batch)
    return f"{rows} rows, both functions"


def float32() -> str:
    return _rows(np.float32)


def float16() -> str:
    return _rows(np.float16)


def bfloat16() -> str:
    return _rows(ml_dtypes.bfloat16)


def large() -> str:
    """Rows of one cluster, and longer ones that are read twice."""
    told = []
    for vocab, dtype in ((50257, np.float32), (128256, ml_dtypes.bfloat16), (151936, np.float16), (600000, np.float32)):
        told.append(f"{vocab}: {_rows(dtype, 2, size=3, vocab=vocab)}")
    return "; ".join(told)


def probs() -> str:
    values = normal(1, 5, 4000)
    values[1], values[2] = np.nan, -np.inf
    logits = on_cuda(values)
    got = nexttoken.distribution(logits, top_k=70, top_p=on_cuda(0.9, np.float32)).probs
    assert (got.device, got.dtype) == (logits.device, torch.float64), f"{got.dtype} on {got.device}"
    wanted = nexttoken.distribution(values, top_k=70, top_p=float(np.float32(0.9))).probs
    np.testing.assert_array_equal(to_host(got), wanted)
    assert got[1:3].count_nonzero().item() == 0
    return "5 rows, 2 of them bad"


def bitmask() -> str:
    rng, vocab, batch = np.random.default_rng(8), 1000, 6
    values, words = normal(2, batch, vocab), 32
    masks = rng.integers(-(2**31), 2**31, (batch, words + 5)).astype(np.int32)
    masks[2, :words], masks[3, :words] = -1, 0
    masks[4, :words], masks[4, 0] = 0, 1 << 7
    for name, mask in {
        "a row each": masks[:, :words].copy(),
        "rows with a gap between them": masks[:, :words],
        "one for all": masks[0, :words].copy(),
        "one, of a longer one": masks[1, 3 : words + 3],
    }.items():
        here: dict[str, Any] = {"seed": list(range(batch)), "top_p": 0.9, "logprobs": 3, "token_bitmask": mask}
        both(on_cuda(values), values, here, {**here, "token_bitmask": on_cuda(mask)}, name)
    return "4 layouts"


def histories() -> str:
    rng, vocab, batch = np.random.default_rng(9), 500, 5
    values = normal(3, batch, vocab)
    penalties: dict[str, Any] = {"repetition_penalty": 1.3, "frequency_penalty": 0.25, "presence_penalty": -0.5}
    count = 0
    for dtype in (np.int32, np.int64):
        for length in (0, 1, 40, 3000):
            wide = rng.integers(-1, vocab, (2, batch, length + 7)).astype(dtype)
            prompts, outputs = wide[0, :, :length], np.ascontiguousarray(wide[1, :, :length])
            lists = [[[token for token in row.tolist() if token >= 0] for row in rows] for rows in (prompts, outputs)]
            for scope in ("output", "prompt_and_output"):
                here = {**penalties, "penalty_scope": scope, "seed": list(range(batch))}
                said = {"prompt_token_ids": lists[0], "output_token_ids": lists[1]}
                placed = {"prompt_token_ids": on_cuda(prompts), "output_token_ids": on_cuda(outputs)}
                mixed = {"prompt_token_ids": on_cuda(prompts), "output_token_ids": lists[1]}
                shared = {"prompt_token_ids": lists[0][2], "output_token_ids": lists[1]}
                one = {"prompt_token_ids": on_cuda(prompts[2]), "output_token_ids": on_cuda(outputs)}
                logits, what = on_cuda(values), f"{np.dtype(dtype)}, {length} tokens, {scope}"
                both(logits, values, {**here, **said}, {**here, **placed}, f"{what}, matrices")
                both(logits, values, {**here, **said}, {**here, **mixed}, f"{what}, prompts alone")
                both(logits, values, {**here, **shared}, {**here, **one}, f"{what}, one prompt for all")
                count += 3
    return f"{count} pairs of histories"


class Plain:
    """A tensor that has no DLPack."""

    def __init__(self, tensor: Any) -> None:
        self._tensor = tensor

    @property
    def __cuda_array_interface__(self) -> Any:
        return self._tensor.__cuda_array_interface__


def array_interface() -> str:
    values, batch = normal(4, 4, 300), 4
    here: dict[str, Any] = {
        "temperature": [0.0, 0.5, 1.0, 2.0], "top_k": [0, 5, 20, 300], "seed": [1, -2, 3, 2**62], "step": [0, 1, 2, 3],
        "output_token_ids": [[1], [2, 3], [], [4]], "frequency_penalty": 0.5, "n": 2, "logprobs": 4,
    }  # fmt: skip
    spaced = np.zeros((batch, 2))
    spaced[:, 0] = here["temperature"]
    matrix = np.array([[1, -1], [2, 3], [-1, -1], [-1, 4]])
    placed = {
        "temperature": Plain(on_cuda(spaced[:, 0])),
        "top_k": Plain(on_cuda(here["top_k"], np.int32)),
        "seed": Plain(on_cuda(here["seed"], np.int64)),
        "step": Plain(on_cuda(here["step"], np.int64)),
        "output_token_ids": Plain(on_cuda(matrix)),
        "frequency_penalty": Plain(on_cuda(0.5)),
        "token_bitmask": Plain(on_cuda(np.full((batch, 10), -1, np.int32))),
    }
    result = nexttoken.sample(on_cuda(values), **{**here, **placed})
    assert result.seed is placed["seed"]
    got = fetch(nexttoken.SampleResult(**{**vars(result), "seed": None}))
    same(got, nexttoken.sample(values, **here), "sample")
    return "7 parameters"
