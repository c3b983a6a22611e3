"""What a model runtime must offer, and nothing more.

A runtime turns token ids into logits and keeps the state (KV cache) that makes the next step cheap. It does not
sample, does not count penalties and does not look for stop strings: that is what the rest of the library is for.

Any object with these members is a runtime; nothing needs to be inherited. `numpy_llama.py` is the readable
example, `scripted.py` the smallest one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable


@runtime_checkable
class Tokenizer(Protocol):
    """Text to token ids, and each token's exact bytes.

    One further member is looked at where it exists: ``strip_leading_space`` (bool), for vocabularies that put a space
    before the first word of an answer. It is then not part of the answer.
    """

    @property
    def special_tokens(self) -> Mapping[str, int]:
        """Every token that stands for something other than its text (``<|im_end|>``), by its text."""

    @property
    def token_bytes(self) -> Sequence[bytes]:
        """The exact bytes of each token id; special tokens hold ``b""``: they are never part of an answer."""

    def encode(self, text: str) -> list[int]:
        """Token ids of `text`. Text that spells a special token becomes that token: the caller keeps them apart."""


@runtime_checkable
class Runtime(Protocol):
    """A language model that reads token ids and gives logits.

    Sequences are named by integers that the runtime hands out. Logits are float32 (float16 and bfloat16 work too),
    any array with DLPack or the buffer protocol, and may be overwritten by the next call.

    Three further members are looked at where they exist: ``special_token_names`` (mapping such as ``"bos_token"`` to
    ``"<s>"``), for a `chat_template` that calls special tokens by name; ``max_batch_size`` (int), the most
    sequences that one `decode` takes: more than those then take turns, in each step; and ``max_sequences`` (int), the
    most that may be alive at a time: further requests wait, and one with a greater n is refused.
    """

    @property
    def name(self) -> str:
        """What the response's ``model`` field says."""

    @property
    def vocab_size(self) -> int:
        """Token ids that may be drawn; logits may have more columns (padding), which are ignored."""

    @property
    def context_length(self) -> int:
        """The most tokens a sequence may hold, prompt included."""

    @property
    def eos_token_ids(self) -> Sequence[int]:
        """Tokens that end an answer."""

    @property
    def tokenizer(self) -> Tokenizer: ...

    @property
    def chat_template(self) -> str:
        """A Jinja template in the Hugging Face style: `messages`, `add_generation_prompt`, special tokens by name."""

    def prefill(self, token_ids: Sequence[int]) -> tuple[int, Any]:
        """Read a prompt (at least one token). Returns a new sequence and the logits ``[vocab]`` after its end."""

    def fork(self, sequence: int) -> int:
        """A new sequence that continues from the same state."""

    def decode(self, sequences: Sequence[int], token_ids: Sequence[int]) -> Any:
        """Append one token to each of `sequences` (all different). Returns logits ``[len(sequences), vocab]``."""

    def free(self, sequence: int) -> None:
        """Forget a sequence; its number is not used again."""
