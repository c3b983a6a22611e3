"""Arguments of a batch, some of them in device memory by chance: for stand-ins of a device, and for a real one."""

from __future__ import annotations

from typing import Any

import numpy as np

from contract.rows import Batch

__all__ = ["aligned", "host_arguments", "on_device", "spaced"]

REALS = ("temperature", "top_p", "min_p", "presence_penalty", "frequency_penalty", "repetition_penalty")
INTEGERS = {"top_k": np.int64, "sequence_index": np.int64, "step": np.uint64, "seed": np.uint64}


def aligned(values: Any) -> Any:
    """Devices read no item that is not at a multiple of its size."""
    return values if values.ctypes.data % values.itemsize == 0 else values.copy()


def spaced(values: Any) -> Any:
    """The same numbers with a gap after each."""
    around = np.full((*values.shape[:-1], 2 * values.shape[-1]), values.flat[0] if values.size else 0, values.dtype)
    around[..., ::2] = values
    return around[..., ::2]


def on_device(batch: Batch, kind: Any, rng: np.random.Generator) -> dict[str, Any]:
    """The arguments, each that can be in device memory by chance."""
    arguments = batch.sample_arguments()
    for name in REALS:
        if rng.random() < 0.7:
            values = np.array(arguments[name], np.float64)
            if name not in ("top_p", "min_p") and rng.random() < 0.5:
                # What is no float32 is rounded by the kernels in the same way, the ends of the ranges too.
                values = values.astype(np.float32)
                batch.rows[name] = values.tolist()
            arguments[name] = kind(spaced(values) if rng.random() < 0.5 else values)
    for name, dtype in INTEGERS.items():
        if rng.random() < 0.7:
            top = 2**64 if dtype is np.uint64 else 2**62
            values = np.array([min(value % top, top - 1) for value in arguments[name]], dtype)
            if name == "top_k":  # beyond any vocabulary is off
                values = np.array([min(value, 2**40) for value in arguments[name]], dtype)
            arguments[name] = kind(spaced(values) if rng.random() < 0.5 else values)
    for name in ("prompt_token_ids", "output_token_ids"):
        if rng.random() < 0.5:
            rows = arguments[name]
            dtype = [np.int32, np.int64][rng.integers(2)]
            matrix = np.full((len(rows), max(map(len, rows), default=0) + 1), -1, dtype)
            for row, tokens in enumerate(rows):
                matrix[row, rng.permutation(matrix.shape[1])[: len(tokens)]] = tokens
            arguments[name] = kind(matrix)
    if arguments["token_bitmask"] is not None and rng.random() < 0.5:
        arguments["token_bitmask"] = kind(arguments["token_bitmask"])
    return arguments


def host_arguments(batch: Batch) -> dict[str, Any]:
    """The arguments after `on_device`, as the host takes them.

    It holds a number against the range itself, a device a float32 against the range's float32 ends, some of which lie
    just outside: both then go on with the same float32.
    """
    arguments = batch.sample_arguments()
    for name, low, high in (("temperature", 0.0, 1e30), ("repetition_penalty", 1e-6, 1e6)):
        arguments[name] = [min(max(value, low), high) for value in arguments[name]]
    return arguments
