"""Model directories of ONNX Runtime GenAI, by its own builder."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def build(source: Path, target: Path) -> Path:
    """What the builder makes of a directory in the Hugging Face layout, in float32 for the CPU."""
    command = [sys.executable, "-m", "onnxruntime_genai.models.builder", "-p", "fp32", "-e", "cpu"]
    command += ["-i", str(source), "-o", str(target), "-c", str(target.parent / "cache")]
    done = subprocess.run(
        command, env={**os.environ, "HF_HUB_OFFLINE": "1"}, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return target
