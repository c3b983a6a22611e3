"""Random tiny Llamas as model directories, and a second opinion on what they compute."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

Tensors = dict[str, npt.NDArray[np.float32]]

CONFIG: dict[str, Any] = {
    "model_type": "llama",
    "hidden_act": "silu",
    "hidden_size": 32,
    "intermediate_size": 56,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 272,
    "max_position_embeddings": 600,
    "rms_norm_eps": 1e-5,
    "rope_theta": 500.0,
    "tie_word_embeddings": True,
    "eos_token_id": 257,
}
TEMPLATE = "{% for message in messages %}{{ message.content }}{% endfor %}"


def random_tensors(config: dict[str, Any], seed: int = 0) -> Tensors:
    """Weights large enough that every part of the model matters to the logits."""
    rng = np.random.default_rng(seed)
    hidden, inner, vocab = config["hidden_size"], config["intermediate_size"], config["vocab_size"]
    head = config.get("head_dim") or hidden // config["num_attention_heads"]
    q, kv = config["num_attention_heads"] * head, config["num_key_value_heads"] * head
    shapes: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (vocab, hidden)}
    for i in range(config["num_hidden_layers"]):
        layer = f"model.layers.{i}."
        shapes |= {
            layer + "input_layernorm.weight": (hidden,),
            layer + "self_attn.q_proj.weight": (q, hidden),
            layer + "self_attn.k_proj.weight": (kv, hidden),
            layer + "self_attn.v_proj.weight": (kv, hidden),
            layer + "self_attn.o_proj.weight": (hidden, q),
            layer + "post_attention_layernorm.weight": (hidden,),
            layer + "mlp.gate_proj.weight": (inner, hidden),
            layer + "mlp.up_proj.weight": (inner, hidden),
            layer + "mlp.down_proj.weight": (hidden, inner),
        }
    shapes["model.norm.weight"] = (hidden,)
    if not config["tie_word_embeddings"]:
        shapes["lm_head.weight"] = (vocab, hidden)
    return {
        name: (rng.standard_normal(shape) * (0.3 if len(shape) == 2 else 0.2) + (len(shape) == 1)).astype("f4")
        for name, shape in shapes.items()
    }


def write_safetensors(path: Path, tensors: Tensors, dtype: str = "F32") -> Tensors:
    """Write tensors as F32, F16 or BF16 (cut, not rounded); returns what the file then holds."""
    header: dict[str, Any] = {"__metadata__": {"format": "np"}}
    body, held = b"", {}
    for name, tensor in tensors.items():
        if dtype == "BF16":
            upper = (tensor.view(np.uint32) >> 16).astype("<u2")
            data, held[name] = upper.tobytes(), (upper.astype(np.uint32) << 16).view(np.float32)
        else:
            stored = tensor.astype("<f2" if dtype == "F16" else "<f4")
            data, held[name] = stored.tobytes(), stored.astype(np.float32)
        offsets = [len(body), len(body) + len(data)]
        header[name] = {"dtype": dtype, "shape": list(tensor.shape), "data_offsets": offsets}
        body += data
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + body)
    return held


def write_tokenizer(directory: Path) -> None:
    """One token for each byte, and two special ones."""
    tokenizers = pytest.importorskip("tokenizers")
    alphabet = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE({c: i for i, c in enumerate(alphabet)}, []))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    tokenizer.add_special_tokens(["<|im_start|>", "<|im_end|>"])
    tokenizer.save(str(directory / "tokenizer.json"))


WriteModel = Callable[..., tuple[Path, dict[str, Any], Tensors]]


@pytest.fixture
def write_model(tmp_path: Path) -> WriteModel:
    """Writes a model directory: ``write_model(dtype="F32", **changes of CONFIG)``."""

    def write(dtype: str = "F32", **changes: Any) -> tuple[Path, dict[str, Any], Tensors]:
        config = {key: value for key, value in (CONFIG | changes).items() if value is not ...}
        directory = tmp_path / "tiny-llama"
        directory.mkdir()
        (directory / "config.json").write_text(json.dumps(config), encoding="utf-8")
        (directory / "chat_template.jinja").write_text(TEMPLATE, encoding="utf-8")
        write_tokenizer(directory)
        held = write_safetensors(directory / "model.safetensors", random_tensors(CONFIG | changes), dtype)
        return directory, config, held

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
