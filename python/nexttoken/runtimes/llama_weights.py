"""A Llama's ``config.json`` and ``model.safetensors`` as sizes and matrices, ready to multiply with."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nexttoken.exceptions import ModelFileError
from nexttoken.runtimes.matrix import Floats, Matrix
from nexttoken.runtimes.model_files import number, optional_object, positive_integer, read_tensors


@dataclass(frozen=True)
class Shape:
    """The sizes of a model, as its ``config.json`` says."""

    layers: int
    hidden: int
    intermediate: int
    heads: int
    kv_heads: int
    head_size: int
    vocab: int
    context: int
    rope_theta: float
    rms_norm_eps: float
    tied: bool  # the embedding is the output matrix too


@dataclass(frozen=True)
class Layer:
    """A layer's matrices: the ones that read the same input are one."""

    qkv: Matrix
    output: Matrix
    gate_up: Matrix
    down: Matrix


# What this runtime computes. Another value in config.json means another computation, and is refused.
_COMPUTED = {
    "model_type": "llama",
    "hidden_act": "silu",
    "attention_bias": False,
    "mlp_bias": False,
    "sliding_window": None,
    "quantization_config": None,
}


def read_shape(config: Mapping[str, Any], path: Path) -> Shape:
    """The sizes in a ``config.json``.

    Raises
    ------
    ModelFileError
        A size is missing or wrong, or the model needs what this runtime does not compute.
    """
    asked = [(key, config.get(key, value), value) for key, value in _COMPUTED.items()]
    # The same thing under its new and its old name, and before that in the config itself. All that are there count.
    ropes = [optional_object(config, key, path) for key in ("rope_parameters", "rope_scaling")]
    asked += [("rope_type", rope.get("rope_type", rope.get("type", "default")), "default") for rope in ropes]
    asked += [("partial_rotary_factor", each.get("partial_rotary_factor", 1), 1) for each in (*ropes, config)]
    for key, got, computed in asked:
        if got != computed:
            raise ModelFileError(f"expected {key} in {path} to be {computed!r}, got {got!r}: not computed here")
    rope_theta = next((each for each in ropes if "rope_theta" in each), config)
    hidden, heads = (positive_integer(config, key, path) for key in ("hidden_size", "num_attention_heads"))
    kv_heads = positive_integer(config, "num_key_value_heads", path, default=heads)
    if heads % kv_heads:
        raise ModelFileError(f"expected num_key_value_heads in {path} to divide {heads} heads, got {kv_heads}")
    head_size = positive_integer(config, "head_dim", path, default=hidden // heads)
    if head_size % 2:
        raise ModelFileError(f"expected heads of an even size in {path}, as the rotation needs, got {head_size}")
    return Shape(
        layers=positive_integer(config, "num_hidden_layers", path),
        hidden=hidden,
        intermediate=positive_integer(config, "intermediate_size", path),
        heads=heads,
        kv_heads=kv_heads,
        head_size=head_size,
        vocab=positive_integer(config, "vocab_size", path),
        context=positive_integer(config, "max_position_embeddings", path),
        # Angles must not outgrow float32, nor must a row of zeros be divided by zero.
        rope_theta=number(rope_theta, "rope_theta", path, 1, 1e30, default=10000.0),
        rms_norm_eps=number(config, "rms_norm_eps", path, 1e-30, 1e30, default=1e-6),
        tied=bool(config.get("tie_word_embeddings", False)),
    )


def read_weights(path: Path, shape: Shape) -> tuple[Floats, list[Layer], Floats, Matrix]:
    """Embedding [vocab, hidden], layers, last norm [hidden] and output matrix [vocab, hidden].

    Raises
    ------
    ModelFileError
        The file is missing or broken, or its tensors are not those of the shape.
    """
    tensors = read_tensors(path)

    def take(name: str, *expected: int) -> Floats:
        tensor = tensors.pop(name, None)
        if tensor is None or tensor.shape != expected:
            got = "none" if tensor is None else list(tensor.shape)
            raise ModelFileError(f"expected {name} of shape {list(expected)} in {path}, got {got}")
        return tensor

    def paired(matrix: Floats) -> Floats:
        """Rows reordered so that two numbers which turn together are neighbours: one complex number.

        The file has them half a head apart. Queries and keys are reordered alike: their products stay.
        """
        halves = matrix.reshape(-1, 2, shape.head_size // 2, shape.hidden)
        neighbours: Floats = halves.swapaxes(1, 2).reshape(matrix.shape)
        return neighbours

    def read_layer(prefix: str) -> Layer:
        heads, kv_heads = shape.heads * shape.head_size, shape.kv_heads * shape.head_size
        attention_norm = take(f"{prefix}.input_layernorm.weight", shape.hidden)
        query = take(f"{prefix}.self_attn.q_proj.weight", heads, shape.hidden)
        key = take(f"{prefix}.self_attn.k_proj.weight", kv_heads, shape.hidden)
        value = take(f"{prefix}.self_attn.v_proj.weight", kv_heads, shape.hidden)
        output = take(f"{prefix}.self_attn.o_proj.weight", shape.hidden, heads)
        mlp_norm = take(f"{prefix}.post_attention_layernorm.weight", shape.hidden)
        gate = take(f"{prefix}.mlp.gate_proj.weight", shape.intermediate, shape.hidden)
        up = take(f"{prefix}.mlp.up_proj.weight", shape.intermediate, shape.hidden)
        down = take(f"{prefix}.mlp.down_proj.weight", shape.hidden, shape.intermediate)
        # The norm before a matrix and the scale of the attention are constants: they go into it.
        scaled = paired(query) * np.float32(1 / math.sqrt(shape.head_size))
        return Layer(
            qkv=Matrix(np.concatenate([scaled, paired(key), value]) * attention_norm),
            output=Matrix(output),
            gate_up=Matrix(np.concatenate([gate, up]) * mlp_norm),
            down=Matrix(down),
        )

    embedding = take("model.embed_tokens.weight", shape.vocab, shape.hidden)
    layers = [read_layer(f"model.layers.{i}") for i in range(shape.layers)]
    last_norm = take("model.norm.weight", shape.hidden)
    head = embedding if shape.tied else take("lm_head.weight", shape.vocab, shape.hidden)
    # A tied head may be stored twice, and old files hold the rotation's constants.
    unused = [name for name in tensors if name != "lm_head.weight" and not name.endswith("rotary_emb.inv_freq")]
    if unused:
        raise ModelFileError(f"expected only the tensors of a Llama in {path}, got {unused[0]} too")
    return embedding, layers, last_norm, Matrix(head)
