"""A Llama model directory in the Hugging Face layout, written as one GGUF file in float32.

    pip install 'nexttoken[chat]' gguf
    python benchmarks/llama_to_gguf.py MODEL_DIRECTORY OUTPUT.gguf

For small models whose tokenizer is byte-level BPE, such as the embedded one; llama.cpp's own converter knows all the
others. What this one does not know it refuses.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import gguf
import numpy as np

from nexttoken.runtimes.model_files import (
    read_chat_template,
    read_eos_token_ids,
    read_json,
    read_special_token_names,
    read_tensors,
)

_TENSORS = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}


def convert(directory: Path, path: Path) -> None:
    """Write `path` from the model in `directory`."""
    config = read_json(directory / "config.json")
    if config.get("model_type") != "llama" or config.get("rope_scaling"):
        raise SystemExit(f"{directory}: only Llama models without rope_scaling, got {config.get('model_type')!r}")
    writer = gguf.GGUFWriter(path, "llama")
    _write_shape(writer, config)
    _write_tokenizer(writer, directory, config)
    for name, tensor in read_tensors(directory / "model.safetensors").items():
        writer.add_tensor(*_renamed(name, tensor, config))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _write_shape(writer: gguf.GGUFWriter, config: dict[str, Any]) -> None:
    heads = config["num_attention_heads"]
    head_size = config.get("head_dim") or config["hidden_size"] // heads
    rope = config.get("rope_parameters") or {}
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(config.get("num_key_value_heads") or heads)
    writer.add_key_length(head_size)
    writer.add_value_length(head_size)
    writer.add_rope_dimension_count(head_size)
    writer.add_rope_freq_base(config.get("rope_theta") or rope.get("rope_theta") or 10000.0)
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_vocab_size(config["vocab_size"])


def _write_tokenizer(writer: gguf.GGUFWriter, directory: Path, config: dict[str, Any]) -> None:
    description = read_json(directory / "tokenizer.json")
    model = description["model"]
    if model["type"] != "BPE" or description.get("normalizer"):
        raise SystemExit(f"{directory}: only byte-level BPE without a normalizer, got {model['type']}")
    tokens = [f"[PAD{i}]" for i in range(config["vocab_size"])]
    types = [gguf.TokenType.UNUSED] * len(tokens)
    for text, i in model["vocab"].items():
        tokens[i], types[i] = text, gguf.TokenType.NORMAL
    for added in description["added_tokens"]:
        kind = gguf.TokenType.CONTROL if added["special"] else gguf.TokenType.USER_DEFINED
        tokens[added["id"]], types[added["id"]] = added["content"], kind
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(_pre_tokenizer(description.get("pre_tokenizer"), directory))
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    # Files come with merges as pairs, or, before 2024, as one text each.
    writer.add_token_merges([pair if isinstance(pair, str) else " ".join(pair) for pair in model["merges"]])
    writer.add_add_bos_token(False)
    writer.add_chat_template(read_chat_template(directory))

    ids = {text: i for i, text in enumerate(tokens)}
    names = read_special_token_names(directory)
    if "bos_token" in names:
        writer.add_bos_token_id(ids[names["bos_token"]])
    if "pad_token" in names:
        writer.add_pad_token_id(ids[names["pad_token"]])
    ends = read_eos_token_ids(directory, len(tokens))
    if ends:
        writer.add_eos_token_id(ends[0])
    if len(ends) > 1:
        writer.add_eot_token_id(ends[1])


def _pre_tokenizer(steps: Any, directory: Path) -> str:
    """llama.cpp's name for how text is split before merging: it knows the splits of known models only."""
    listed = steps["pretokenizers"] if steps["type"] == "Sequence" else [steps]
    kinds = [step["type"] for step in listed]
    plain = all(not step.get("add_prefix_space") and step.get("use_regex", True) for step in listed)
    if kinds == ["ByteLevel"] and plain:
        return "gpt-2"
    if kinds == ["Digits", "ByteLevel"] and plain and listed[0]["individual_digits"]:
        return "smollm"
    raise SystemExit(f"{directory}: no name in llama.cpp for the pre-tokenizer {json.dumps(steps)}")


def _renamed(name: str, tensor: np.ndarray, config: dict[str, Any]) -> tuple[str, np.ndarray]:
    whole = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}
    stem = name.removesuffix(".weight")
    if stem in whole:
        return f"{whole[stem]}.weight", tensor
    layer, part = stem.removeprefix("model.layers.").split(".", 1)
    heads = config["num_attention_heads"]
    turned = {"self_attn.q_proj": heads, "self_attn.k_proj": config.get("num_key_value_heads") or heads}
    if part in turned:
        # The Hugging Face layout rotates component i with i + half, GGUF's Llama 2i with 2i + 1.
        rows, columns = tensor.shape
        halves = tensor.reshape(turned[part], 2, rows // turned[part] // 2, columns)
        tensor = np.ascontiguousarray(halves.swapaxes(1, 2)).reshape(rows, columns)
    return f"blk.{layer}.{_TENSORS[part]}.weight", tensor


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    convert(Path(sys.argv[1]), Path(sys.argv[2]))
