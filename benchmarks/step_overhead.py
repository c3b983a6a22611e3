"""What `Sampler.step` costs beyond the kernel: a tiny vocabulary, greedy rows, many different ones.

    python benchmarks/step_overhead.py [--vocab 256] [--json out.json]

The kernel's own time is not taken off (some 0.1 us at this size). Hides: cold caches; the kernel. Thread CPU time, the
median over rounds of 1000 steps; the cases take turns, so that noise meets all of them.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from nexttoken import Sampler, SamplingParams

STEPS = 1000


def cases(vocab: int) -> dict[str, Callable[[], float]]:
    """Each runs STEPS steps and gives the microseconds of one."""
    rng = np.random.default_rng(1)
    lines = [np.ascontiguousarray(line) for line in rng.normal(size=(64, vocab)).astype(np.float32)]
    pieces = [f" {token}".encode() for token in range(vocab)]
    greedy = SamplingParams(temperature=0)
    found: dict[str, Callable[[], float]] = {}

    def case(name: str, lines: list[Any], token_bytes: list[bytes] | None, given: bool, **params: Any) -> None:
        sampler = Sampler(vocab, token_bytes)
        asked = SamplingParams(temperature=0, **params) if params else greedy
        rows = [sampler.add(asked) for _ in range(len(lines) if given else 1)]

        def run() -> float:
            step = sampler.step
            before = time.thread_time_ns()
            if given:
                for i in range(STEPS):
                    step(lines[i % 64], rows=[rows[i % 64]])
            else:
                for i in range(STEPS):
                    step(lines[i % 64])
            return (time.thread_time_ns() - before) / STEPS / 1000

        found[name] = run

    case("numpy row, rows given", lines, None, True)
    case("numpy row, rows given, text", lines, pieces, True)
    case("numpy row, all rows", lines, None, False)
    case("numpy row, all rows, text", lines, pieces, False)
    case("numpy row, rows given, 20 logprobs", lines, None, True, logprobs=20)
    case("numpy [1, vocab], rows given, text", [line[None] for line in lines], pieces, True)
    try:
        import torch
    except ImportError:
        print("torch is not installed: no tensors")
    else:
        tensors = [torch.from_numpy(line) for line in lines]
        case("torch row, rows given", tensors, None, True)
        case("torch row, rows given, text", tensors, pieces, True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vocab", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--json")
    arguments = parser.parse_args()
    runs = cases(arguments.vocab)
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(arguments.rounds):
        for name, run in runs.items():
            times[name].append(run())
    for name, taken in times.items():
        print(f"{name:<40} {statistics.median(taken):6.2f} us   best {min(taken):6.2f}")
    if arguments.json:
        with open(arguments.json, "w") as file:
            json.dump({"vocab": arguments.vocab, "steps": STEPS, "us": times}, file)


if __name__ == "__main__":
    main()
