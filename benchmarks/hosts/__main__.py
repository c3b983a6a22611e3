"""The table of docs/plugging-in.md: each runtime's own sampling against ours, on one model, interleaved.

    PYTHONPATH=benchmarks python -m hosts --json benchmarks/results/hosts.json [NAME ...]

A runtime that is not installed is left out, and its entry in the file stays as it is: some live in environments of
their own. The models are random and tiny, so that what is around the forward pass can be seen; with a large model the
same microseconds are a smaller share of a token.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from hosts.contest import VOCABULARY, Contest, measure
from nexttoken.bench.machine import commit, machine, versions

NAMES = ("transformers", "llama_cpp", "onnxruntime_genai", "mlx_lm", "vllm")


def entry(contest: Contest, tokens: int, rounds: int) -> dict[str, Any]:
    """What the file says of a runtime."""
    ways = measure(contest, tokens, rounds)
    return {
        "package": contest.package,
        "version": version(contest.package),
        "vocabulary": VOCABULARY,
        "tokens": tokens,
        "rounds": rounds,
        "ways": ways,
        "tokens_per_second": {
            name: round(contest.rows.get(name, 1) * 1e6 / way["median_us"]) for name, way in ways.items()
        },
        "note": contest.note,
        "commit": commit(),
        "machine": machine(),
        "versions": versions(),
    }


def main() -> None:
    """Measure what is installed, print, and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="which runtimes; default: all installed ones")
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    found = json.loads(arguments.json.read_text()) if arguments.json and arguments.json.exists() else {}
    for name in arguments.names or NAMES:
        try:
            module = importlib.import_module(f"hosts.{name}")
        except (ImportError, PackageNotFoundError) as error:
            if arguments.names:
                raise
            print(f"{name}: left out: {error}", file=sys.stderr)
            continue
        with tempfile.TemporaryDirectory() as folder:
            found[name] = entry(module.contest(Path(folder)), arguments.tokens, arguments.rounds)
        print(name, json.dumps(found[name]["ways"], indent=2))
        if arguments.json is not None:
            arguments.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
