"""The suite over the runtimes that need no package beside the chat extra."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from nexttoken.runtimes.numpy_llama import NumpyLlama
from nexttoken.runtimes.scripted import ByteTokenizer, ScriptedRuntime
from random_llama import write_chat_model

from .conformance import RuntimeConformance


class TestNumpyLlama(RuntimeConformance):
    @classmethod
    def make_runtime(cls, folder: Path) -> Any:
        return NumpyLlama(write_chat_model(folder / "random-llama", max_position_embeddings=96))


class TestScripted(RuntimeConformance):
    @classmethod
    def make_runtime(cls, folder: Path) -> Any:
        def line(prompt: list[int], output: list[int]) -> Any:
            return np.random.default_rng([*prompt, *output]).standard_normal(260) * 3

        return ScriptedRuntime(line, tokenizer=ByteTokenizer([b"ab", b"cd"]), context_length=96)
