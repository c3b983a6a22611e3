"""`nexttoken.torch` on a device: called, looked at by torch, and compiled, with and without graphs."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

import nexttoken
import nexttoken.torch as operations
from device_checks.tensors import DEVICE, normal, on_cuda, to_host
from device_checks.verdicts import Skipped, needed

ROWS, VOCAB = 4, 3000
VALUES = normal(10, ROWS, VOCAB)
SEEDS = [1, 2, 3, 4]
TENSORS: list[dict[str, tuple[Any, Any]]] = [
    {},
    {"temperature": (0.5, np.float64), "top_p": ([0.5, 0.75, 1.0, 0.9], np.float64), "step": (7, np.int64)},
    {"top_k": ([1, 2, 3, 0], np.int64), "min_p": (0.25, np.float32), "sequence_index": ([4, 5, 6, 7], np.int64)},
    {
        "prompt_token_ids": ([1, -1, 2], np.int64),
        "output_token_ids": ([[1, -1], [-1, -1], [3, 3], [0, 1]], np.int32),
        "frequency_penalty": ([1.0, 2.0, 3.0, 0.5], np.float64),
    },
    {"token_bitmask": ([[-1] * 94, [7] * 94, [1 << 30] * 94, [0] * 94], np.int32)},
]
DRAWS: list[dict[str, Any]] = [{}, {"n": 3, "logprobs": 0}, {"logprobs": 4, "logprobs_mode": "processed"}]


def _both(tensors: dict[str, tuple[Any, Any]]) -> tuple[dict[str, Any], dict[str, Any]]:
    """As tensors on the device, and as the host takes them."""
    here = {name: values for name, (values, _) in tensors.items()}
    for name in ("prompt_token_ids", "output_token_ids"):
        if name in here:
            rows = here[name]
            here[name] = [[t for t in row if t >= 0] for row in rows] if isinstance(rows[0], list) else [
                t for t in rows if t >= 0
            ]  # fmt: skip
    if "token_bitmask" in here:
        here["token_bitmask"] = np.array(here["token_bitmask"], np.int32)
    return {name: on_cuda(values, dtype) for name, (values, dtype) in tensors.items()}, here


def _equal(got: Any, wanted: Any, what: str) -> None:
    """Fields of an operation; what was not asked for has no elements there and is None here."""
    for name in got._fields:
        mine, theirs = getattr(got, name), getattr(wanted, name)
        assert mine.device.type == DEVICE, f"{what}: {name} is on {mine.device}"
        if theirs is None:
            assert mine.numel() == 0, f"{what}: {name} must be empty"
        elif "logprobs" in name:
            np.testing.assert_allclose(to_host(mine), theirs, rtol=2.0**-22, atol=4e-6, err_msg=f"{what}: {name}")
        else:
            np.testing.assert_array_equal(to_host(mine), theirs, f"{what}: {name}")


def eager() -> str:
    logits, seeds, count = on_cuda(VALUES), on_cuda(SEEDS, np.int64), 0
    for tensors in TENSORS:
        there, here = _both(tensors)
        for draws in DRAWS:
            what = f"{list(here)} {draws}"
            got = operations.sample(logits, seeds, **there, **draws)
            _equal(got, nexttoken.sample(VALUES, seed=SEEDS, **here, **draws), what)
            count += 1
        drawing = ("step", "sequence_index")
        there = {name: value for name, value in there.items() if name not in drawing}
        _equal(operations.distribution(logits, **there), nexttoken.distribution(VALUES, **here), f"{list(here)}")
        count += 1
    return f"{count} calls"


def opcheck() -> str:
    try:
        from torch.library import opcheck as check

        needed("torch.testing._internal.optests")
    except ImportError as error:
        raise Skipped(str(error)) from error
    seeds, count = on_cuda(SEEDS, np.int64), 0
    for dtype in (torch.float32, torch.bfloat16):
        logits = on_cuda(VALUES).to(dtype)
        for tensors in TENSORS[1:4:2]:
            there, _ = _both(tensors)
            for draws in DRAWS:
                check(torch.ops.nexttoken.sample.default, (logits, seeds), there | draws)
                count += 1
            there.pop("step", None)
            check(torch.ops.nexttoken.distribution.default, (logits,), there)
            count += 1
    return f"{count} calls"


def _decode(logits: Any, seeds: Any, temperature: Any, step: Any) -> tuple[Any, ...]:
    # Products with powers of two are exact, compiled or not: the CPU's tokens must come out.
    drawn = operations.sample(logits * 2, seeds, temperature=temperature * 0.5, step=step, top_k=seeds + 60, logprobs=2)
    shape = operations.distribution(logits, temperature=temperature)
    return drawn.token_ids + 1, drawn.status, drawn.top_token_ids, shape.mass, step + 1


def _compiled(mode: str | None, calls: int, dynamic: bool | None) -> str:
    needed("triton")
    decode = torch.compile(_decode, fullgraph=True, mode=mode, dynamic=dynamic)
    for batch in (ROWS, ROWS, 3) if mode is None else (ROWS,):
        values, seeds = VALUES[:batch], SEEDS[:batch]
        logits, seed = on_cuda(values.copy()), on_cuda(seeds, np.int64)
        temperature = on_cuda([1.0, 0.5, 2.0, 0.75][:batch], np.float32)
        step = torch.zeros(batch, dtype=torch.int64, device=DEVICE)
        for place in range(calls):
            torch.compiler.cudagraph_mark_step_begin()
            tokens, status, top, mass, later = decode(logits, seed, temperature, step)
            warm = np.array([1.0, 0.5, 2.0, 0.75][:batch])
            wanted = nexttoken.sample(
                values * 2, seed=seeds, temperature=(warm / 2).tolist(), step=place,
                top_k=[one + 60 for one in seeds], logprobs=2,
            )  # fmt: skip
            for name, got, theirs in (
                ("token_ids", tokens, wanted.token_ids + 1),
                ("status", status, wanted.status),
                ("top_token_ids", top, wanted.top_token_ids),
                ("mass", mass, nexttoken.distribution(values, temperature=warm.tolist()).mass),
            ):
                np.testing.assert_array_equal(to_host(got), theirs, f"batch {batch}, call {place}: {name}")
            step = later.clone()  # a graph's results are overwritten by its next replay
    return f"{calls} calls a batch"


def fullgraph() -> str:
    return _compiled(None, 5, True)


def reduce_overhead() -> str:
    told = _compiled("reduce-overhead", 40, None)
    from torch._dynamo.utils import counters

    skips = counters["inductor"]["cudagraph_skips"]
    assert not skips, f"the results are right, but torch made no graph of {skips} parts"
    return told
