"""Models of ONNX Runtime GenAI, against NumPy's reading of the same weights, and everything that can go wrong."""

# ruff: noqa: E402 - what needs the package is imported after asking for it

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

MISSING = "onnxruntime_genai is not installed: make test-onnxruntime-genai"
pytest.importorskip("onnxruntime_genai", reason=MISSING)
for package in ("torch", "transformers", "onnx", "onnx_ir"):
    pytest.importorskip(package, reason=MISSING.replace("onnxruntime_genai", package))

from nexttoken.runtimes.numpy_llama import NumpyLlama
from nexttoken.runtimes.onnxruntime_genai import OnnxRuntimeGenAI
from random_llama import write_chat_model
from hf_to_genai import convert

from .conformance import RuntimeConformance


class TestConformance(RuntimeConformance):
    tolerance = 1e-3

    @classmethod
    def make_runtime(cls, folder: Path) -> Any:
        write_chat_model(folder / "random-llama", max_position_embeddings=96)
        convert(folder / "random-llama", folder / "genai")
        return OnnxRuntimeGenAI(folder / "genai")

    @classmethod
    def make_reference(cls, folder: Path) -> Any:
        return NumpyLlama(folder / "random-llama")
