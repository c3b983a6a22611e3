"""Tokenizer files of every supported kind, trained on the spot."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

tokenizers = pytest.importorskip("tokenizers")

SPECIAL = ["<unk>", "<s>", "</s>", "<|im_end|>"]
CORPUS = [
    "The quick brown fox jumps over the lazy dog; the dog sleeps, the fox does not.",
    "def step(state):\n    return state + 1\n\n\ndef stop(text):\n    return text[:-1]",
    "Größe, café, naïve, 東京 と 京都, emoji 😀 😀, im_end and s and unk",
]  # fmt: skip


def byte_level(*, add_prefix_space: bool = False) -> dict[str, Any]:
    """As in GPT-2."""
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE())
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=add_prefix_space)
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    alphabet = tokenizers.pre_tokenizers.ByteLevel.alphabet()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=400, special_tokens=SPECIAL[1:], initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.add_tokens(["ünïx"])  # added, not special: literal text although ü is in the byte alphabet
    return _description(tokenizer)


def sentencepiece_bpe(*, prepend: bool) -> dict[str, Any]:
    """As in Llama 2 (a space before every text, stripped again) or as in Gemma (none)."""
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE(unk_token="<unk>", fuse_unk=True))
    normalizers, decoders = tokenizers.normalizers, tokenizers.decoders
    steps = [normalizers.Prepend("▁")] if prepend else []
    tokenizer.normalizer = normalizers.Sequence([*steps, normalizers.Replace(" ", "▁")])
    decoding = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    tokenizer.decoder = decoders.Sequence(decoding + ([decoders.Strip(" ", 1, 0)] if prepend else []))
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=200, special_tokens=SPECIAL, initial_alphabet=["▁"], show_progress=False
    )
    tokenizer.train_from_iterator([word for line in CORPUS for word in line.split()], trainer)
    description = _description(tokenizer)
    vocab = description["model"]["vocab"]
    vocab |= {f"<0x{byte:02X}>": len(vocab) + byte for byte in range(256)}
    description["model"]["byte_fallback"] = True
    return description


def unigram(scheme: str, *, byte_fallback: bool = True) -> dict[str, Any]:
    """As in XLM-R or T5, with Metaspace at both ends."""
    tokenizer = tokenizers.Tokenizer(tokenizers.models.Unigram())
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Metaspace(prepend_scheme=scheme)
    tokenizer.decoder = tokenizers.decoders.Metaspace(prepend_scheme=scheme)
    trainer = tokenizers.trainers.UnigramTrainer(
        vocab_size=150, special_tokens=SPECIAL, unk_token="<unk>", show_progress=False
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    description = _description(tokenizer)
    if byte_fallback:
        description["model"]["vocab"] += [[f"<0x{byte:02X}>", -20.0] for byte in range(256)]
        description["model"]["byte_fallback"] = True
    return description


def _description(tokenizer: Any) -> dict[str, Any]:
    description: dict[str, Any] = json.loads(tokenizer.to_str())
    return description


KINDS: dict[str, Callable[[], dict[str, Any]]] = {
    "byte_level": byte_level,
    "byte_level_prefix": lambda: byte_level(add_prefix_space=True),
    "llama2": lambda: sentencepiece_bpe(prepend=True),
    "gemma": lambda: sentencepiece_bpe(prepend=False),
    "unigram_always": lambda: unigram("always"),
    "unigram_first": lambda: unigram("first"),
    "unigram_never": lambda: unigram("never"),
    "unigram_unknown": lambda: unigram("always", byte_fallback=False),
}


@pytest.fixture(scope="session")
def tokenizer_directories(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A model directory with a tokenizer.json for each of KINDS."""
    directories = {}
    for kind, make in KINDS.items():
        directories[kind] = tmp_path_factory.mktemp(kind)
        text = json.dumps(make(), ensure_ascii=False)
        (directories[kind] / "tokenizer.json").write_text(text, encoding="utf-8")
    return directories
