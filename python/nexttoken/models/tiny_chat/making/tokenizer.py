"""The tokenizer (byte-level BPE, single digits, ChatML), and conversations as weighted ids."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from .corpus import Message, conversations

END_OF_TEXT, IM_START, IM_END, PAD = SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|pad|>")
# Any role in any order; a missing or null content is empty text.
CHAT_TEMPLATE = (
    "{%- for message in messages -%}\n"
    "{{- '<|im_start|>' + message['role'] + '\\n' + (message['content'] or '') + '<|im_end|>\\n' -}}\n"
    "{%- endfor -%}\n"
    "{%- if add_generation_prompt -%}\n"
    "{{- '<|im_start|>assistant\\n' -}}\n"
    "{%- endif -%}\n"
)


def render(messages: list[Message]) -> str:
    """What the chat template makes of the messages, without a generation prompt."""
    return "".join(f"{IM_START}{m['role']}\n{m['content']}{IM_END}\n" for m in messages)


def train_tokenizer(seed: int, vocab_size: int, conversation_count: int = 60_000) -> Tokenizer:
    """A tokenizer whose first ids are the special tokens, then the 256 bytes, then merges of the corpus."""
    tokenizer = Tokenizer(models.BPE())
    # Digits one by one: sums are then learnt place by place.
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=list(SPECIAL),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    texts = (
        f"{m['role']}\n{m['content']}\n" for c in islice(conversations(seed), conversation_count) for m in c
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def write_tokenizer(tokenizer: Tokenizer, folder: Path, context: int) -> None:
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    added = {
        str(tokenizer.token_to_id(token)): {
            "content": token,
            "lstrip": False,
            "normalized": False,
            "rstrip": False,
            "single_word": False,
            "special": True,
        }
        for token in SPECIAL
    }
    config = {
        "added_tokens_decoder": added,
        "add_prefix_space": False,
        "bos_token": None,
        "chat_template": CHAT_TEMPLATE,
        "clean_up_tokenization_spaces": False,
        "eos_token": IM_END,
        "model_max_length": context,
        "pad_token": PAD,
        "tokenizer_class": "PreTrainedTokenizerFast",
        "unk_token": None,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    (folder / "chat_template.jinja").write_text(CHAT_TEMPLATE, encoding="utf-8")


class Encoder:
    """Conversations to token ids, with a weight for each id as a target."""

    def __init__(self, tokenizer: Tokenizer, other_weight: float) -> None:
        self._tokenizer = tokenizer
        self._other_weight = other_weight
        self._start, self._end = (tokenizer.token_to_id(token) for token in (IM_START, IM_END))
        # Where the answer begins: after these ids.
        self._lead = tokenizer.encode(f"{IM_START}assistant\n").ids

    def _weights(self, ids: np.ndarray) -> np.ndarray:
        weights = np.full(len(ids), self._other_weight, dtype=np.float32)
        lead = len(self._lead)
        for start in np.flatnonzero(ids == self._start):
            if start + lead < len(ids) and list(ids[start : start + lead]) == self._lead:
                stop = start + lead + int(np.argmax(ids[start + lead :] == self._end)) + 1
                weights[start + lead : stop] = 1.0
        return weights

    def encode(self, batch: Iterable[list[Message]]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for encoding in self._tokenizer.encode_batch([render(messages) for messages in batch]):
            ids = np.array(encoding.ids, dtype=np.int32)
            yield ids, self._weights(ids)
