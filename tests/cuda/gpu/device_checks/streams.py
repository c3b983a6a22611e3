"""Work on a stream that is not the current one, while memory that it uses is freed and asked for again."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

import nexttoken
from device_checks.equality import same
from device_checks.tensors import fetch, normal, on_cuda

BATCH, VOCAB = 16, 30000
VALUES = normal(6, BATCH, VOCAB)
HERE: dict[str, Any] = {
    "temperature": np.linspace(0.5, 1.5, BATCH).tolist(), "top_p": [0.95] * BATCH, "top_k": [2000] * BATCH,
    "seed": list(range(BATCH)), "logit_bias": {3: 1.5}, "n": 2, "logprobs": 5,
}  # fmt: skip
PLACED = {"temperature": np.float64, "top_p": np.float64, "top_k": np.int64, "seed": np.uint64}
_ASLEEP = 600_000_000
"""Cycles: a third of a second, in which the host frees memory and asks for it again."""
_SIZES = [512, 1024, 2048, 4096, 16 << 10, 64 << 10, 256 << 10, 1 << 20, 2 << 20, 4 << 20, 8 << 20]


def _overwrite() -> None:
    """Asks for memory of all sizes on the current stream and writes into it: what was freed too early is lost."""
    kept = []
    for size in _SIZES:
        for _ in range(24 if size < 1 << 20 else 6):
            kept.append(torch.full((size,), 0x5A, dtype=torch.uint8, device="cuda"))
    del kept


def _call(used: Any, given: Any, distribution: bool) -> tuple[dict[str, Any], bool, bool]:
    """One call on the stream `used`, given as `given`, that sleeps meanwhile: the result, and whether the call and the
    overwriting were done before it woke."""
    logits = on_cuda(VALUES)
    there = {**HERE, **{name: on_cuda(HERE[name], dtype) for name, dtype in PLACED.items()}}
    with torch.cuda.stream(used):
        torch.cuda._sleep(_ASLEEP)
    result = (nexttoken.distribution if distribution else nexttoken.sample)(logits, **there, stream=given)
    done = torch.cuda.Event()
    done.record(used)
    returned = not done.query()
    del logits, there
    _overwrite()
    torch.cuda.current_stream().synchronize()
    asleep = not done.query()
    used.synchronize()
    return fetch(result), returned, asleep


def _another_stream(used: Any, given: Any) -> None:
    _overwrite()  # so that the pool has what the next ones ask for: new memory may wait for the device
    for distribution in (False, True):
        host = nexttoken.distribution(VALUES, **HERE) if distribution else nexttoken.sample(VALUES, **HERE)
        for count in range(4):
            got, returned, asleep = _call(used, given, distribution)
            same(got, host, f"call {count}, {'distribution' if distribution else 'sample'}")
            if count:  # the first loads kernels and asks the driver for memory
                assert returned, f"call {count} waited for the stream"
                assert asleep, f"call {count}: the memory was written to after the stream had used it: nothing is shown"


def side_stream() -> str:
    """By torch's object, by its handle, and from a side stream to another."""
    side, other = torch.cuda.Stream(), torch.cuda.Stream()
    _another_stream(side, side)
    _another_stream(side, side.cuda_stream)
    with torch.cuda.stream(other):
        _another_stream(side, side)
    return "24 calls"


def default_stream() -> str:
    default = torch.cuda.default_stream()
    with torch.cuda.stream(torch.cuda.Stream()):
        _another_stream(default, default)
    return "8 calls"


def handle_zero() -> str:
    with torch.cuda.stream(torch.cuda.Stream()):
        _another_stream(torch.cuda.default_stream(), 0)
    return "8 calls"


def two_threads() -> str:
    """Each its own stream, rows and seeds; all results are kept and compared at the end."""
    calls, failures = 200, list[BaseException]()
    together = threading.Barrier(2)

    def run(own: int) -> None:
        values = normal(own, 4, 20000 + own)
        with torch.cuda.stream(torch.cuda.Stream()):
            logits, step = on_cuda(values), torch.zeros(4, dtype=torch.int64, device="cuda")
            together.wait(60)
            results = []
            for _ in range(calls):
                drawn = nexttoken.sample(logits, seed=[own, 2, 3, 4], step=step, top_p=0.9, logprobs=2)
                results.append(drawn)
                step += 1
            torch.cuda.current_stream().synchronize()
            for place, drawn in enumerate(results):
                wanted = nexttoken.sample(values, seed=[own, 2, 3, 4], step=place, top_p=0.9, logprobs=2)
                same(fetch(drawn), wanted, f"thread {own}, call {place}")

    def guarded(work: Callable[[int], None], own: int) -> None:
        try:
            work(own)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=guarded, args=(run, own)) for own in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return f"2 x {calls} calls"
