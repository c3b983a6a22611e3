"""TransformersModel: the suite over several kinds of cache, and what is its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import random_llama

from .conformance import RuntimeConformance

torch = pytest.importorskip("torch", reason="torch is not installed: make test-transformers")
transformers = pytest.importorskip("transformers", reason="transformers is not installed: make test-transformers")

from nexttoken.runtimes.numpy_llama import NumpyLlama  # noqa: E402
from nexttoken.runtimes.transformers import TransformersModel  # noqa: E402

SMALL: dict[str, Any] = {
    "vocab_size": 400,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 16,
    "max_position_embeddings": 96,
    "eos_token_id": 399,
    "bos_token_id": 398,
    "pad_token_id": None,
    "initializer_range": 0.5,
}


WINDOW_AND_WHOLE = ["sliding_attention", "full_attention"]
CONFIGS = {"Gemma3": "TextConfig"}
HEADS = {"GPT2": "LMHeadModel"}


def write_family(folder: Path, kind: str, **changes: Any) -> Path:
    """A random model of one of transformers' architectures, with the tokenizer of the other tests."""
    directory = folder / kind
    config = getattr(transformers, kind + CONFIGS.get(kind, "Config"))(**(SMALL | changes))
    torch.manual_seed(1)
    getattr(transformers, kind + HEADS.get(kind, "ForCausalLM"))(config).save_pretrained(directory)
    random_llama.write_tokenizer(directory, 400)
    (directory / "chat_template.jinja").write_text(random_llama.CHATML, encoding="utf-8")
    return directory


class Conformance(RuntimeConformance):
    tolerance = 1e-3
    together = True
    make: Callable[[Path], Path]

    @classmethod
    def make_runtime(cls, folder: Path) -> TransformersModel:
        return TransformersModel(cls.make(folder), device="cpu")

    def test_rows_go_together(self, runtime: TransformersModel) -> None:
        assert runtime._together is self.together

    @pytest.fixture(autouse=True)
    def nothing_is_left(self, request: pytest.FixtureRequest) -> Any:
        yield
        if "runtime" in request.fixturenames and "held" not in request.fixturenames:
            assert request.getfixturevalue("runtime")._sequences == {}


class TestLlama(Conformance):
    @classmethod
    def make(cls, folder: Path) -> Path:
        return random_llama.write_chat_model(folder / "llama", max_position_embeddings=96)

    @classmethod
    def make_reference(cls, folder: Path) -> NumpyLlama:
        return NumpyLlama(folder / "llama")


class TestSlidingWindow(Conformance):
    """A window of 8: prompts and answers are longer."""

    @classmethod
    def make(cls, folder: Path) -> Path:
        return write_family(folder, "Mistral", sliding_window=8)


class TestWindowsAndWhole(Conformance):
    """Gemma 3 has layers of both kinds."""

    @classmethod
    def make(cls, folder: Path) -> Path:
        return write_family(folder, "Gemma3", initializer_range=0.1, sliding_window=8, layer_types=WINDOW_AND_WHOLE)


class TestLearnedPositions(Conformance):
    @classmethod
    def make(cls, folder: Path) -> Path:
        return write_family(folder, "GPT2", n_embd=32, n_head=2, n_layer=2, n_positions=96)


class TestAnglesOfTheWholeBatch(Conformance):
    together = False

    @classmethod
    def make(cls, folder: Path) -> Path:
        rope = {"rope_type": "dynamic", "rope_theta": 500.0, "factor": 2.0}
        return write_family(folder, "Llama", rope_parameters=rope)


class TestBiasesOfPosition(Conformance):
    together = False

    @classmethod
    def make(cls, folder: Path) -> Path:
        return write_family(folder, "Bloom", n_head=2, n_layer=2)
