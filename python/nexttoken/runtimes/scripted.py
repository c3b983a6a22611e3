"""A runtime without a model: it says what a script tells it to, and writes down what it was asked.

For tests of anything that sits above a runtime. The script is either a list of texts, taken in turn as
prompts arrive, or a function that makes each line of logits.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from nexttoken.exceptions import ParameterError
from nexttoken.runtimes.calls import check_token_ids, no_sequence

__all__ = ["ByteTokenizer", "ScriptedRuntime"]

Logits = npt.NDArray[np.float32]

CHATML = (
    "{% for message in messages %}"
    "<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


class ByteTokenizer:
    """One token per byte, then longer tokens if given, then special tokens.

    Parameters
    ----------
    longer : sequence of bytes
        Tokens of several bytes, ids 256 onwards; encoding takes the longest that fits.
    special : sequence of str
        Special tokens, the last ids.
    """

    def __init__(self, longer: Sequence[bytes] = (), special: Sequence[str] = ("<|im_start|>", "<|im_end|>")) -> None:
        plain = [bytes([value]) for value in range(256)] + list(longer)
        self.token_bytes: Sequence[bytes] = plain + [b""] * len(special)
        self.special_tokens: Mapping[str, int] = {text: len(plain) + i for i, text in enumerate(special)}
        spellings = {token: i for i, token in enumerate(plain)}
        spellings.update((text.encode(), i) for text, i in self.special_tokens.items())
        self._spellings = spellings
        self._lengths = sorted({len(token) for token in spellings}, reverse=True)

    def encode(self, text: str) -> list[int]:
        """Token ids of `text`, longest match first; special tokens are recognised."""
        data, ids, at = text.encode(), [], 0
        while at < len(data):
            length = next(n for n in self._lengths if data[at : at + n] in self._spellings)
            ids.append(self._spellings[data[at : at + length]])
            at += length
        return ids


class ScriptedRuntime:
    """A runtime that follows a script.

    Parameters
    ----------
    script : sequence of str, or callable
        Answers, the k-th prompt getting the k-th (round and round); each token has logit `peak`, the rest 0,
        and ``<|im_end|>`` follows. Or ``f(prompt, output) -> float32 [vocab]``, called with the two lists of
        token ids.
    tokenizer : Tokenizer, optional
        A ByteTokenizer by default.
    context_length : int
        Tokens a sequence may hold.
    peak : float
        Logit of a scripted answer's next token.

    Attributes
    ----------
    calls : list of tuple
        ``("prefill", tokens)``, ``("fork", sequence)``, ``("decode", rows)`` and ``("free", sequence)``, in
        order.
    sequences : dict
        Prompt and output of each sequence that is alive.
    """

    name = "scripted"
    chat_template = CHATML

    def __init__(
        self,
        script: Sequence[str] | Callable[[list[int], list[int]], Any],
        *,
        tokenizer: ByteTokenizer | None = None,
        context_length: int = 4096,
        peak: float = 40.0,
    ) -> None:
        self.tokenizer = tokenizer or ByteTokenizer()
        self.vocab_size = len(self.tokenizer.token_bytes)
        self.context_length = context_length
        self.eos_token_ids = (self.tokenizer.special_tokens["<|im_end|>"],)
        self.calls: list[tuple[str, int]] = []
        self.sequences: dict[int, tuple[list[int], list[int]]] = {}
        self._script, self._peak, self._made, self._prompts = script, peak, 0, 0
        self._lines: dict[int, Callable[[list[int], list[int]], Any]] = {}

    def _answer(self, answer: list[int], prompt: list[int], output: list[int]) -> Logits:
        line = np.zeros(self.vocab_size, np.float32)
        line[answer[len(output)] if len(output) < len(answer) else self.eos_token_ids[0]] = self._peak
        return line

    def _add(self, prompt: list[int], output: list[int], line: Callable[[list[int], list[int]], Any]) -> int:
        self._made += 1
        self.sequences[self._made], self._lines[self._made] = (prompt, output), line
        return self._made

    def prefill(self, token_ids: Sequence[int]) -> tuple[int, Any]:
        """Begin a sequence."""
        self.calls.append(("prefill", len(token_ids)))
        if not 1 <= len(token_ids) <= self.context_length:
            raise ParameterError(
                f"a prompt must have 1 to {self.context_length} tokens (context), got {len(token_ids)}"
            )
        check_token_ids(token_ids, self.vocab_size)
        line = self._script if callable(self._script) else None
        if line is None:
            texts: Any = self._script
            answer = self.tokenizer.encode(texts[self._prompts % len(texts)])
            line = functools.partial(self._answer, answer)
        self._prompts += 1
        sequence = self._add(list(token_ids), [], line)
        return sequence, np.asarray(line(*self.sequences[sequence]), np.float32)

    def fork(self, sequence: int) -> int:
        """Copy a sequence."""
        self.calls.append(("fork", sequence))
        prompt, output = self._held(sequence)
        return self._add(list(prompt), list(output), self._lines[sequence])

    def decode(self, sequences: Sequence[int], token_ids: Sequence[int]) -> Logits:
        """Append a token to each sequence."""
        self.calls.append(("decode", len(sequences)))
        if len(set(sequences)) != len(sequences) or len(token_ids) != len(sequences):
            raise ParameterError(
                f"sequences must differ and have a token each, got {list(sequences)}, {list(token_ids)}"
            )
        check_token_ids(token_ids, self.vocab_size)
        for sequence in sequences:  # before any of them moves
            if sum(map(len, self._held(sequence))) >= self.context_length:
                raise ParameterError(f"sequence {sequence} fills the context of {self.context_length} tokens")
        lines = []
        for sequence, token_id in zip(sequences, token_ids, strict=True):
            prompt, output = self.sequences[sequence]
            output.append(token_id)
            lines.append(self._lines[sequence](prompt, output))
        return np.asarray(lines, np.float32)

    def free(self, sequence: int) -> None:
        """Forget a sequence."""
        self.calls.append(("free", sequence))
        self._held(sequence)
        del self.sequences[sequence], self._lines[sequence]

    def _held(self, sequence: int) -> tuple[list[int], list[int]]:
        if sequence not in self.sequences:
            raise no_sequence(sequence)
        return self.sequences[sequence]
