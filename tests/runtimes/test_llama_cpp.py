"""GGUF models through llama.cpp, against NumPy's reading of the same weights, and everything that can go wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("llama_cpp", reason="llama-cpp-python is not installed: make test-llama-cpp")
pytest.importorskip("gguf", reason="gguf is not installed: make test-llama-cpp")

from llama_to_gguf import convert
from nexttoken.runtimes.llama_cpp import LlamaCpp
from nexttoken.runtimes.numpy_llama import NumpyLlama
from random_llama import write_chat_model

from .conformance import RuntimeConformance


class TestConformance(RuntimeConformance):
    tolerance = 1e-3
    reference_tolerance = 1e-3

    @classmethod
    def make_runtime(cls, folder: Path) -> Any:
        write_chat_model(folder / "random-llama", max_position_embeddings=96)
        convert(folder / "random-llama", folder / "random-llama.gguf")
        return LlamaCpp(folder / "random-llama.gguf", cache_type="f32")

    @classmethod
    def make_reference(cls, folder: Path) -> Any:
        return NumpyLlama(folder / "random-llama")
