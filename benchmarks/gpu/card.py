"""The GPU that a benchmark ran on."""

from __future__ import annotations

import functools
import subprocess

import torch


def cache_bytes() -> int:
    """Of the L2 cache; of a usual host's where there is no GPU."""
    if not torch.cuda.is_available():
        return 1 << 25
    return int(torch.cuda.get_device_properties(0).L2_cache_size)


@functools.cache
def card() -> dict[str, str]:
    """What a reader needs in order to trust the numbers; nothing that names a machine.

    Asked once: after an error of the device nothing is told any more.
    """
    if not torch.cuda.is_available():
        return {"gpu": "none"}
    properties = torch.cuda.get_device_properties(0)
    return {
        "gpu": properties.name,
        "gpu memory": f"{properties.total_memory / 2**30:.0f} GiB",
        "multiprocessors": str(properties.multi_processor_count),
        "L2": f"{properties.L2_cache_size / 2**20:.0f} MiB",
        "CUDA": str(torch.version.cuda),
        **_asked("driver_version", "clocks.max.sm"),
    }


def _asked(*fields: str) -> dict[str, str]:
    command = ["nvidia-smi", f"--query-gpu={','.join(fields)}", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return {}
    values = done.stdout.splitlines()[0].split(", ")
    names = {"driver_version": "driver", "clocks.max.sm": "highest clock"}
    return {names[field]: value for field, value in zip(fields, values, strict=True)}
