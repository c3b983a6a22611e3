"""Rows per second of `Sampler.step` with two threads over those with one, steps in quick succession.

    python benchmarks/two_threads.py [--json out.json]

Checked first: both draw the same tokens. One thread and two take turns, a few steps each, so that noise meets both; the
medians of the wall time are compared. Hides: what lies between two steps in a real loop, where the second thread may
have gone to sleep; `--pause` puts so many milliseconds of sleep there. Says little while other work runs.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from typing import Any

import numpy as np

import nexttoken
from nexttoken import Sampler, SamplingParams

CASES: dict[str, tuple[int, dict[str, Any]]] = {
    "temperature, 16384": (16384, {"temperature": 0.8}),
    "greedy, 128256": (128256, {"temperature": 0}),
    "temperature, 128256": (128256, {"temperature": 0.8}),
}
RUN = 5  # steps with one number of threads before the other has its turn


def timed(sampler: Sampler, logits: np.ndarray, rows: list[int], threads: int, pause: float) -> list[float]:
    nexttoken.set_num_threads(threads)
    taken = []
    for _ in range(RUN):
        if pause:
            time.sleep(pause)
        before = time.perf_counter()
        sampler.step(logits, rows)
        taken.append(time.perf_counter() - before)
    return taken[0 if pause else 1 :]  # the first of a run finds the other threads asleep


def ratio(vocab: int, params: dict[str, Any], batch: int, seconds: float, pause: float) -> dict[str, float]:
    rng = np.random.default_rng(1)
    logits = (2 * rng.standard_t(4, size=(batch, vocab))).astype(np.float32)
    sampler = Sampler(vocab)
    rows = [sampler.add(SamplingParams(**params, seed=seed)) for seed in range(batch)]
    twins = [sampler.add(SamplingParams(**params, seed=seed)) for seed in range(batch)]
    nexttoken.set_num_threads(1)
    alone = sampler.step(logits, rows).token_ids
    nexttoken.set_num_threads(2)
    assert (sampler.step(logits, twins).token_ids == alone).all()
    times: dict[int, list[float]] = {1: [], 2: []}
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        for threads, taken in times.items():
            taken += timed(sampler, logits, rows, threads, pause)
    one, two = (statistics.median(taken) for taken in times.values())
    return {"one_us_per_row": one / batch * 1e6, "two_us_per_row": two / batch * 1e6, "ratio": one / two}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3, help="for each case")
    parser.add_argument("--pause", type=float, default=0, help="milliseconds of sleep between steps")
    parser.add_argument("--json")
    arguments = parser.parse_args()
    print(f"{os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}")
    found = {}
    for name, (vocab, params) in CASES.items():
        for batch in (2, 8, 64):
            result = ratio(vocab, params, batch, arguments.seconds, arguments.pause / 1000)
            found[f"{name}, batch {batch}"] = result
            print(
                f"{name:<22} batch {batch:>3}  {result['one_us_per_row']:7.1f} us a row  "
                f"{result['two_us_per_row']:7.1f} with two  {result['ratio']:.2f}x"
            )
    if arguments.json:
        with open(arguments.json, "w") as file:
            json.dump(found, file, indent=1)


if __name__ == "__main__":
    main()
