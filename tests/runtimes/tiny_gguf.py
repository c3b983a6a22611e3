"""Tiny random Llamas as GGUF files, with vocabularies that no converter here would write."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gguf
import numpy as np

NORMAL, UNKNOWN, CONTROL, USER, UNUSED, BYTE = (
    gguf.TokenType.NORMAL,
    gguf.TokenType.UNKNOWN,
    gguf.TokenType.CONTROL,
    gguf.TokenType.USER_DEFINED,
    gguf.TokenType.UNUSED,
    gguf.TokenType.BYTE,
)
CHATML = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "<|im_start|>assistant\n"
)


def sentencepiece() -> list[tuple[str, int, float]]:
    """A vocabulary as of Llama 2: pieces with scores, a token for each byte, U+2581 for a space."""
    control: list[tuple[str, int, float]] = [("<unk>", UNKNOWN, 0.0), ("<s>", CONTROL, 0.0), ("</s>", CONTROL, 0.0)]
    single = [(f"<0x{byte:02X}>", BYTE, 0.0) for byte in range(256)]
    words = ["\u2581", "H", "e", "l", "o", "w", "r", "d", "a", "He", "ll", "\u2581w", "or", "\u2581a", "\u2581\u2581"]
    words += ["Hell", "\u2581H", "\u2581Hell", "\u2581Hello", "\u2581wor", "\u2581worl", "\u2581world", "世", "世界"]
    pieces = [(word, NORMAL, -float(i)) for i, word in enumerate(words[::-1])]
    return [*control, *single, *pieces, ("<tool>", USER, 0.0), ("[UNUSED1]", UNUSED, 0.0)]


def write_gguf(
    path: Path,
    vocabulary: list[tuple[str, int, float]],
    *,
    model: str = "llama",
    architecture: str = "llama",
    template: str | None = CHATML,
    eos: int | None = 2,
    **settings: Any,
) -> Path:
    """Write a model of this vocabulary; `settings` are further ``add_...`` calls of the writer, by their name."""
    rng = np.random.default_rng(0)
    hidden, inner, vocab = 32, 48, len(vocabulary)
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_context_length(128)
    writer.add_embedding_length(hidden)
    writer.add_block_count(1)
    writer.add_feed_forward_length(inner)
    writer.add_head_count(2)
    writer.add_head_count_kv(1)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_tokenizer_model(model)
    if vocabulary:
        writer.add_token_list([token for token, _, _ in vocabulary])
        writer.add_token_types([kind for _, kind, _ in vocabulary])
        writer.add_token_scores([score for _, _, score in vocabulary])
    if eos is not None:
        writer.add_eos_token_id(eos)
    if template is not None:
        writer.add_chat_template(template)
    for name, value in settings.items():
        getattr(writer, f"add_{name}")(value)
    shapes = {
        "token_embd": (vocab or 64, hidden),
        "output_norm": (hidden,),
        "blk.0.attn_norm": (hidden,),
        "blk.0.attn_q": (hidden, hidden),
        "blk.0.attn_k": (hidden // 2, hidden),
        "blk.0.attn_v": (hidden // 2, hidden),
        "blk.0.attn_output": (hidden, hidden),
        "blk.0.ffn_norm": (hidden,),
        "blk.0.ffn_gate": (inner, hidden),
        "blk.0.ffn_up": (inner, hidden),
        "blk.0.ffn_down": (hidden, inner),
    }
    for name, shape in shapes.items():
        writer.add_tensor(f"{name}.weight", rng.standard_normal(shape).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
