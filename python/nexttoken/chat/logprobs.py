"""Logprobs of the tokens that an answer shows, with each token's exact bytes."""

from __future__ import annotations

import math
from collections import deque
from typing import Any

from nexttoken.engine import Event
from nexttoken.runtimes.base import Tokenizer

__all__ = ["ChoiceLogprobs", "TokenTexts"]

# JSON has no infinity: what the hosted API says of a token that cannot come.
_NEVER = -9999.0


class TokenTexts:
    """What a token is called in a response: its text and its exact bytes; special tokens by their spelling."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.token_bytes = tokenizer.token_bytes
        self._special = {token_id: text.encode() for text, token_id in tokenizer.special_tokens.items()}

    def entry(self, token_id: int, logprob: float | None) -> dict[str, Any]:
        """A token as the API shows it, without its alternatives."""
        exact = self._special.get(token_id, self.token_bytes[token_id])
        finite = logprob is not None and math.isfinite(logprob)
        return {
            "token": exact.decode("utf-8", "replace"),
            "logprob": logprob if finite else _NEVER,
            "bytes": list(exact),
        }


class ChoiceLogprobs:
    """Hands out the logprobs of one choice's tokens as the text that they are part of is shown.

    A token belongs to the text with its first byte that is shown: stop strings cut in the middle of tokens, and
    text waits while it may be part of one. The token that ends the text is no part of it.
    """

    def __init__(self, texts: TokenTexts) -> None:
        self._texts = texts
        self._size = 0
        self._waiting: deque[tuple[int, int, dict[str, Any]]] = deque()  # first byte, size, entry

    def add(self, event: Event) -> list[dict[str, Any]]:
        """Take an event in; returns the entries of the tokens that are shown from now on."""
        size = len(self._texts.token_bytes[event.token_id])
        if size or event.finish_reason != "stop":
            entry = self._texts.entry(event.token_id, event.logprob)
            entry["top_logprobs"] = [self._texts.entry(token_id, value) for token_id, value in event.top_logprobs]
            self._waiting.append((self._size, size, entry))
        self._size += size
        shown: list[dict[str, Any]] = []
        covered = event.shown_bytes or 0
        while self._waiting:
            start, size, entry = self._waiting[0]
            if start + min(size, 1) > covered:
                break
            shown.append(entry)
            self._waiting.popleft()
        return shown
