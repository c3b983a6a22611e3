"""Random tiny Llamas as model directories, and a second opinion on what they compute."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import random_llama
from random_llama import Tensors

WriteModel = Callable[..., tuple[Path, dict[str, Any], Tensors]]


@pytest.fixture
def write_model(tmp_path: Path) -> WriteModel:
    """Writes a model directory: ``write_model(dtype="F32", **changes of CONFIG)``."""
    pytest.importorskip("tokenizers")

    def write(dtype: str = "F32", **changes: Any) -> tuple[Path, dict[str, Any], Tensors]:
        directory = tmp_path / "tiny-llama"
        return directory, *random_llama.write_model(directory, dtype, **changes)

    return write


def expected_logits(config: dict[str, Any], tensors: Tensors, token_ids: list[int]) -> npt.NDArray[np.float64]:
    """Logits [tokens, vocab] after each token, in float64 and as the architecture is written down.

    No cache, no merged matrices, rotation by halves: nothing in common with the runtime but the weights.
    """
    w = {name: tensor.astype(np.float64) for name, tensor in tensors.items()}
    tokens, hidden, heads = len(token_ids), config["hidden_size"], config["num_attention_heads"]
    head = config.get("head_dim") or hidden // heads
    repeat = heads // config["num_key_value_heads"]
    theta = config.get("rope_theta") or config["rope_parameters"]["rope_theta"]
    angles = np.outer(np.arange(tokens), theta ** (-np.arange(0, head, 2) / head))
    cos, sin = (np.concatenate([f(angles), f(angles)], axis=1)[:, None] for f in (np.cos, np.sin))

    def norm(x: npt.NDArray[np.float64], weight: str) -> npt.NDArray[np.float64]:
        return x / np.sqrt((x**2).mean(axis=1, keepdims=True) + config["rms_norm_eps"]) * w[weight]

    def turned(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        first, second = np.split(x, 2, axis=2)
        return x * cos + np.concatenate([-second, first], axis=2) * sin

    x = w["model.embed_tokens.weight"][token_ids]
    for i in range(config["num_hidden_layers"]):
        layer = f"model.layers.{i}."
        h = norm(x, layer + "input_layernorm.weight")
        q, k, v = ((h @ w[f"{layer}self_attn.{n}_proj.weight"].T).reshape(tokens, -1, head) for n in "qkv")
        q, k, v = turned(q), turned(k).repeat(repeat, axis=1), v.repeat(repeat, axis=1)
        scores = np.einsum("ahd,bhd->hab", q, k) / np.sqrt(head)
        scores[:, np.triu(np.ones((tokens, tokens), bool), k=1)] = -np.inf
        weights = np.exp(scores - scores.max(axis=2, keepdims=True))
        weights /= weights.sum(axis=2, keepdims=True)
        attended = np.einsum("hab,bhd->ahd", weights, v).reshape(tokens, -1)
        x = x + attended @ w[layer + "self_attn.o_proj.weight"].T
        h = norm(x, layer + "post_attention_layernorm.weight")
        gate, up = (h @ w[f"{layer}mlp.{n}_proj.weight"].T for n in ("gate", "up"))
        x = x + (gate / (1 + np.exp(-gate)) * up) @ w[layer + "mlp.down_proj.weight"].T
    output = "model.embed_tokens.weight" if config["tie_word_embeddings"] else "lm_head.weight"
    return norm(x, "model.norm.weight") @ w[output].T
