"""The trained model as Hugging Face files."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer

from .llama import Llama, Shape
from .tokenizer import IM_END, PAD, write_tokenizer


def _config(shape: Shape, eos: int, pad: int) -> dict:
    return {
        "architectures": ["LlamaForCausalLM"],
        "attention_bias": False,
        "attention_dropout": 0.0,
        "bos_token_id": None,
        "dtype": "float16",
        "eos_token_id": eos,
        "head_dim": shape.head_dim,
        "hidden_act": "silu",
        "hidden_size": shape.hidden_size,
        "initializer_range": 0.02,
        "intermediate_size": shape.intermediate_size,
        "max_position_embeddings": shape.context,
        "mlp_bias": False,
        "model_type": "llama",
        "num_attention_heads": shape.heads,
        "num_hidden_layers": shape.layers,
        "num_key_value_heads": shape.kv_heads,
        "pad_token_id": pad,
        "rms_norm_eps": shape.rms_norm_eps,
        "rope_parameters": {"rope_theta": shape.rope_theta, "rope_type": "default"},
        # The older name, which readers before transformers 5 look for.
        "rope_theta": shape.rope_theta,
        "tie_word_embeddings": True,
        "use_cache": True,
        "vocab_size": shape.vocab_size,
    }


def write_model(model: Llama, tokenizer: Tokenizer, folder: Path) -> None:
    """Write the configs, the tokenizer and float16 weights; the tied output matrix is not written twice."""
    folder.mkdir(parents=True, exist_ok=True)
    eos, pad = tokenizer.token_to_id(IM_END), tokenizer.token_to_id(PAD)
    files = {
        "config.json": _config(model.shape, eos, pad),
        "generation_config.json": {
            "do_sample": True,
            "eos_token_id": eos,
            "pad_token_id": pad,
            "temperature": 1.0,
        },
    }
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    write_tokenizer(tokenizer, folder, model.shape.context)
    tensors = {
        f"model.{name}": p.detach().cpu().to(torch.float16).contiguous()
        for name, p in model.named_parameters()
    }
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
