"""A model directory in the Hugging Face layout as one of ONNX Runtime GenAI, by its own model builder.

    python benchmarks/hf_to_genai.py DIRECTORY INTO

The builder runs in a process of its own: it prints, warns and sets what torch does for the whole process. It is told to
stay off the network.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path


def convert(directory: Path, into: Path, precision: str = "fp32") -> Path:
    """Build the model for the CPU; returns `into`.

    Raises
    ------
    SystemExit
        The builder failed; with what it said.
    """
    with tempfile.TemporaryDirectory() as cache:
        command = [sys.executable, "-m", "onnxruntime_genai.models.builder", "-i", str(directory), "-o", str(into)]
        done = subprocess.run(
            [*command, "-p", precision, "-e", "cpu", "-c", cache],
            env=os.environ | {"HF_HUB_OFFLINE": "1"},
            capture_output=True,
            text=True,
        )
    if done.returncode:
        raise SystemExit(f"the model builder failed on {directory}:\n{done.stderr}")
    return into


if __name__ == "__main__":
    convert(Path(sys.argv[1]), Path(sys.argv[2]))
