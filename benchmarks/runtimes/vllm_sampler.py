"""vLLM's own V1 `Sampler.forward` and the plugin's, in turn, on the same logits and metadata on the CPU.

.venv-vllm/bin/python benchmarks/runtimes/vllm_sampler.py [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))

import torch
from vllm.v1.sample.sampler import Sampler

from plugins.vllm_batches import ORIGINAL, OURS, logits_of, metadata, row

CASES = [(vocab, batch) for vocab in (32_000, 128_256) for batch in (1, 16)]


def measure(vocab: int, batch: int, rounds: int = 15) -> dict[str, float]:
    """Median milliseconds of each, alternating: penalties and top_p 0.95 after 64 tokens."""
    said = {"prompt": range(32), "output": range(40, 104)}
    rows = [row(top_p=0.95, presence_penalty=0.5, repetition_penalty=1.1, **said) for _ in range(batch)]
    step, logits, sampler = metadata(rows, vocab), logits_of(batch, vocab), Sampler()
    best = metadata([row(temperature=0, presence_penalty=0.5, repetition_penalty=1.1, **said) for _ in rows], vocab)
    a, b = (f(sampler, logits.clone(), best).sampled_token_ids for f in (ORIGINAL, OURS))
    assert torch.equal(a, b), "checked before it is timed"
    times: dict[str, list[float]] = {"vllm": [], "nexttoken": []}
    for _ in range(rounds):
        for name, forward in (("vllm", ORIGINAL), ("nexttoken", OURS)):
            copy = logits.clone()  # vLLM's own works in place
            begin = time.perf_counter()
            forward(sampler, copy, step)
            times[name].append((time.perf_counter() - begin) * 1e3)
    return {name: statistics.median(values) for name, values in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    results = []
    for vocab, batch in CASES:
        found = measure(vocab, batch)
        results.append({"vocab": vocab, "batch": batch, "threads": torch.get_num_threads(), **found})
        print(
            f"vocab {vocab:>7} batch {batch:>3}: vLLM {found['vllm']:8.3f} ms, nexttoken {found['nexttoken']:8.3f} ms"
        )
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
