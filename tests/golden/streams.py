"""What the golden files hold, computed with the reference. ``python tests/golden/streams.py`` writes the files anew.

A file that comes out different means that the same seed draws other tokens than before: a change of the sampling
contract. It goes into the changelog under **STREAM**, with the reason, and needs a new minor version.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nexttoken import reference

HERE = Path(__file__).parent

# Philox4x32-10 of Random123 1.14 (kat_vectors): counter, key and what comes out, as published.
RANDOM123 = [
    ("00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
]

# (z, max, temperature) of the weights: the ends, the seams, and a few in between.
WEIGHED = [
    (z, m, t)
    for m in (0.0, 5.5, -1000.0)
    for t in (1e-5, 0.1, 0.7, 1.0, 1.4426950216293335, 2.0, 1e30)
    for z in (m, m - 2**-20, m - 0.1, m - 0.34657359, m - 0.6931472, m - 1.0, m - 7.5, m - 29.0, m - 3e38)
]

# Names of the parameter sets of the token file, and what they are.
PARAMETERS: dict[str, dict[str, Any]] = {
    "plain": {},
    "cool": {"temperature": 0.6},
    "nucleus": {"temperature": 1.3, "top_p": 0.9},
    "short list": {"top_k": 40, "min_p": 0.02},
    "penalised": {"repetition_penalty": 1.2, "presence_penalty": 0.4, "frequency_penalty": 0.3},
    "biased": {"logit_bias": {3: 4.5, 11: float("-inf")}, "top_p": 0.95},
}
COORDINATES = [(0, 0, 0), (1, 0, 0), (-1, 0, 1), (12345678901234567890, 3, 7), (2**63, 2**32 - 1, 2**64 - 1)]
VOCABULARIES = [1, 33, 1000, 8192]
PROMPT, OUTPUT = [0, 5, 5, 9], [5, 2, 2, 2]


def logits_of(vocab: int) -> npt.NDArray[np.float32]:
    """A row made of integers, so that it is the same everywhere: steps of 1/256 between -12 and 4."""
    words = [reference.philox(vocab, [block, 0, 0, 99]) for block in range((vocab + 3) // 4)]
    numbers = np.array(words, np.int64).reshape(-1)[:vocab]
    return ((numbers % 4097 - 3073) / 256).astype(np.float32)


def within(token: list[int], vocab: int) -> list[int]:
    return [t % vocab for t in token]


def arguments_of(name: str, vocab: int) -> dict[str, Any]:
    arguments = dict(PARAMETERS[name])
    if "logit_bias" in arguments:
        arguments["logit_bias"] = {token: v for token, v in arguments["logit_bias"].items() if token < vocab}
    return arguments | {"prompt_token_ids": within(PROMPT, vocab), "output_token_ids": within(OUTPUT, vocab)}


def philox_file() -> list[dict[str, Any]]:
    draws = [*COORDINATES, *((s, q, k) for s in (7, 2**40) for q in (0, 1) for k in (0, 1, 2**32))]
    known = [{"counter": c.split(), "key": k.split(), "words": w.split()} for c, k, w in RANDOM123]
    bits = [{"seed": s, "sequence_index": q, "step": k, "bits": reference.draw_bits(s, q, k)} for s, q, k in draws]
    return [*known, *bits]


def weight_of(z: float, m: float, temperature: float) -> int:
    row = np.array([m, z], np.float32)
    return int(reference.weigh(row, np.float32(temperature))[1])


def weights_file() -> list[dict[str, Any]]:
    return [{"z": z, "max": m, "temperature": t, "weight": weight_of(z, m, t)} for z, m, t in WEIGHED]


def tokens_of(vocab: int, name: str, at: tuple[int, int, int]) -> list[int]:
    seed, sequence_index, step = at
    n = min(4, 2**32 - sequence_index)
    row = reference.sample_row(
        logits_of(vocab), **arguments_of(name, vocab), seed=seed, sequence_index=sequence_index, step=step, n=n
    )
    return row.token_ids


def tokens_file() -> Iterator[dict[str, Any]]:
    for vocab in VOCABULARIES:
        for name in PARAMETERS:
            for at in COORDINATES:
                seed, sequence_index, step = at
                yield {
                    "vocab_size": vocab,
                    "parameters": name,
                    "seed": seed,
                    "sequence_index": sequence_index,
                    "step": step,
                    "token_ids": tokens_of(vocab, name, at),
                }


FILES = {"philox": philox_file, "weights": weights_file, "tokens": tokens_file}


def main() -> None:
    for name, make in FILES.items():
        lines = ",\n".join(json.dumps(entry) for entry in make())
        (HERE / f"{name}.json").write_text(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    main()
