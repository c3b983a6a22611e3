"""Prompts far beyond the context are refused by a part of them.

Encoding megabytes takes seconds, for much of which a tokenizer may keep every other thread waiting.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from nexttoken.chat.messages import Message
from nexttoken.exceptions import BadRequestError
from nexttoken.runtimes.base import Tokenizer

__all__ = ["check_roughly"]

# Up to this many characters for each token of the context, messages are encoded as they are; most texts have 3 to 5.
_USUAL_CHARACTERS = 8
# Encoded at a time: some milliseconds.
_PIECE_CHARACTERS = 2**14
# Pieces may have more tokens than the whole; twice as many, those of no tokenizer have.
_CERTAIN = 2


def check_roughly(messages: Sequence[Message], tokenizer: Tokenizer, context_length: int) -> None:
    """Refuse messages that have at least twice the tokens that the context holds; may let some of them pass.

    Raises
    ------
    BadRequestError
        With code ``context_length_exceeded``.
    """
    text = "\n".join(_texts(messages))
    if len(text) <= _USUAL_CHARACTERS * context_length:
        return
    limit, count = _CERTAIN * context_length, 0
    for start in range(0, len(text), _PIECE_CHARACTERS):
        count += len(tokenizer.encode(text[start : start + _PIECE_CHARACTERS]))
        if count > limit:
            raise BadRequestError(
                f"This model's maximum context length is {context_length} tokens. However, your messages resulted in "
                f"more than {limit} tokens. Please reduce the length of the messages.",
                param="messages",
                code="context_length_exceeded",
            )


def _texts(messages: Sequence[Message]) -> Iterator[str]:
    """What every template shows; names and ids, which many do not, are short."""
    for message in messages:
        yield message["content"] or ""
        functions = [call["function"] for call in message.get("tool_calls", ())]
        if "function_call" in message:
            functions.append(message["function_call"])
        yield from (function["arguments"] for function in functions)
