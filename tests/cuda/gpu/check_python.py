"""The package on a real device, by way of Python: `make gpu-check-python`.

    PYTHONPATH=tests python tests/cuda/gpu/check_python.py [--json FILE] [--seconds S] [--at-once N] [--check NAME]

Exit status 0: no check failed; 1: one did, the file says which and why; 77: no GPU.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from device_checks import verdicts
from device_checks.verdicts import Check, Verdict

NO_DEVICE = 77
_ROWS, _STREAMS, _GRAPHS = "device_checks.rows", "device_checks.streams", "device_checks.graphs"
_OPERATIONS, _ERRORS, _CUPY = "device_checks.operations", "device_checks.errors", "device_checks.cupy_arrays"

# What takes longest comes first: several run side by side.
CHECKS = [
    Check("torch.compile, reduce-overhead", f"{_OPERATIONS}:reduce_overhead", 240),
    Check("torch.compile, fullgraph", f"{_OPERATIONS}:fullgraph", 240),
    Check("torch.library.opcheck", f"{_OPERATIONS}:opcheck", 240),
    Check("rows of float32", f"{_ROWS}:float32"),
    Check("rows of float16", f"{_ROWS}:float16"),
    Check("rows of bfloat16", f"{_ROWS}:bfloat16"),
    Check("large vocabularies", f"{_ROWS}:large"),
    Check("probs stay on the device", f"{_ROWS}:probs"),
    Check("token_bitmask on the device", f"{_ROWS}:bitmask"),
    Check("prompts and outputs as device matrices", f"{_ROWS}:histories"),
    Check("parameters by __cuda_array_interface__", f"{_ROWS}:array_interface"),
    Check("a Sampler's rows to their end", "device_checks.samplers:rows"),
    Check("a Sampler's rows that share lines", "device_checks.samplers:lines"),
    Check("stream=, a side stream", f"{_STREAMS}:side_stream"),
    Check("stream=torch.cuda.default_stream() while another is current", f"{_STREAMS}:default_stream"),
    Check("stream=0 while another is current", f"{_STREAMS}:handle_zero"),
    Check("two streams from two threads", f"{_STREAMS}:two_threads"),
    Check("a first call inside a capture", f"{_GRAPHS}:first_call"),
    Check("a first distribution inside a capture", f"{_GRAPHS}:first_distribution"),
    Check("1000 replays, step advanced in the graph", f"{_GRAPHS}:step_in_the_graph"),
    Check("1000 replays, values changed between them", f"{_GRAPHS}:values_between"),
    Check("torch.ops.nexttoken, eager", f"{_OPERATIONS}:eager"),
    Check("after errors a good call", f"{_ERRORS}:errors_leave_nothing"),
    Check("CuPy logits and parameters", f"{_CUPY}:all_of_cupy"),
    Check("CuPy parameters for torch logits", f"{_CUPY}:cupy_for_torch"),
    Check("CuPy streams", f"{_CUPY}:streams"),
]
_PACKAGES = ("nexttoken", "torch", "cupy-cuda12x", "cupy-cuda13x", "cupy", "numpy", "triton")


def facts() -> dict[str, Any]:
    """Where it runs; nothing that names a machine."""
    import nexttoken
    from nexttoken.bench.machine import commit

    versions = {"python": sys.version.split()[0]}
    for package in _PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    asked = subprocess.run(
        ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"], capture_output=True, text=True
    )
    return {
        "program": "check_python",
        "commit": commit(Path(__file__)),
        "card": (asked.stdout.splitlines() or ["unknown"])[0],
        "build": str(nexttoken.build_info()["cuda"]),
        "versions": versions,
    }


def devices() -> int:
    """How many can be used."""
    from nexttoken.cuda import device_count

    return device_count()


def show(found: Verdict) -> None:
    """One line for what went well, all that is known for what did not."""
    told = found.told if found.verdict == verdicts.FAILED else found.told.partition("\n")[0]
    print(f"{found.verdict:8}{found.seconds:6.1f} s  {found.name}: {told}", flush=True)


def main(arguments: Sequence[str], checks: Sequence[Check] = CHECKS) -> int:
    """Run all of them, or one; returns the exit status."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--json", type=Path)
    parser.add_argument("--seconds", type=float, default=270.0, help="for all checks")
    parser.add_argument("--at-once", type=int, default=4, help="how many run side by side")
    parser.add_argument("--check", help="this one, in this process")
    options = parser.parse_args(arguments)
    if options.check:
        (check,) = (check for check in checks if check.name == options.check)
        found = verdicts.run_here(check)
        verdicts.tell(found)
        return int(found.verdict == verdicts.FAILED)
    if devices() == 0:
        print("no CUDA device")
        return NO_DEVICE
    known, shown = facts(), set[str]()

    def finished(so_far: list[Verdict]) -> None:
        for found in so_far:
            if found.name not in shown:
                show(found)
                shown.add(found.name)
        if options.json:  # after each: what ends the run early does not take the file with it
            verdicts.write(options.json, known, so_far)

    def command(check: Check) -> list[str]:
        return verdicts.python(Path(__file__).resolve(), check)

    return verdicts.exit_status(checks, verdicts.run_all(checks, command, options.seconds, options.at_once, finished))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
