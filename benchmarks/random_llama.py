"""Random tiny Llamas as model directories in the Hugging Face layout, for tests and benchmarks of runtimes.

They say nothing of sense, and everything that a runtime does with a model can be seen with one. Vocabularies may be as
large as real ones: what sampling costs depends on that.
"""

from __future__ import annotations

import itertools
import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

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
SPECIAL = ("<|im_start|>", "<|im_end|>")
TEMPLATE = "{% for message in messages %}{{ message.content }}{% endfor %}"
CHATML = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def random_tensors(config: dict[str, Any], seed: int = 0) -> Tensors:
    """Random weights, large enough that every part of the model matters to the logits."""
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


def write_tokenizer(directory: Path, tokens: int = 258) -> None:
    """Byte-level BPE: a token for each byte, then pairs, then pairs of pairs; the last two are special."""
    import tokenizers

    alphabet = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    merges = list(itertools.islice(_pairs(alphabet), tokens - len(alphabet) - len(SPECIAL)))
    vocabulary = {piece: i for i, piece in enumerate([*alphabet, *map("".join, merges)])}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE(vocabulary, merges))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    tokenizer.add_special_tokens(list(SPECIAL))
    tokenizer.save(str(directory / "tokenizer.json"))
    names = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": SPECIAL[1], "pad_token": SPECIAL[1]}
    (directory / "tokenizer_config.json").write_text(json.dumps(names), encoding="utf-8")


def _pairs(alphabet: list[str]) -> Iterator[tuple[str, str]]:
    letters = [letter for letter in alphabet if letter.isascii()]  # whose pairs are text
    pairs = list(itertools.product(letters, letters))
    yield from pairs
    yield from itertools.product(map("".join, pairs), map("".join, pairs))


def write_model(
    directory: Path,
    dtype: str = "F32",
    *,
    tokens: int = 258,
    template: str = TEMPLATE,
    seed: int = 0,
    **changes: Any,
) -> tuple[dict[str, Any], Tensors]:
    """Write a model directory; `changes` are members of ``config.json`` that differ from CONFIG (``...``: left out).

    Returns
    -------
    config, tensors
        What the files hold.
    """
    config = {key: value for key, value in (CONFIG | changes).items() if value is not ...}
    directory.mkdir(parents=True)
    (directory / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (directory / "chat_template.jinja").write_text(template, encoding="utf-8")
    write_tokenizer(directory, tokens)
    return config, write_safetensors(directory / "model.safetensors", random_tensors(CONFIG | changes, seed), dtype)


def write_chat_model(directory: Path, tokens: int = 1000, **changes: Any) -> Path:
    """A model directory that all runtimes take: ChatML, a name for its architecture, heads of 64."""
    config = {
        "architectures": ["LlamaForCausalLM"],
        "hidden_size": 128,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": 64,
        "vocab_size": tokens,
        "eos_token_id": tokens - 1,
        "bos_token_id": tokens - 2,
        "torch_dtype": "float32",
    }
    write_model(directory, tokens=tokens, template=CHATML, **(config | changes))
    return directory
