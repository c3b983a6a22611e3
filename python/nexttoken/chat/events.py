"""Server-sent events: a stream of chunks as the text that goes over the wire."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from nexttoken.exceptions import APIError

if TYPE_CHECKING:
    from openai.types.chat import ChatCompletionChunk

__all__ = ["DONE", "compact_json", "event_text", "sse"]

DONE = "data: [DONE]\n\n"
"""The event that ends a stream."""


def sse(chunks: Iterable[ChatCompletionChunk]) -> Iterator[str]:
    r"""Server-sent events of a stream, ended by ``data: [DONE]``.

    Parameters
    ----------
    chunks : iterable of ChatCompletionChunk
        A stream; it is closed when this iterator is.

    Yields
    ------
    str
        ``data: {json}\n\n``. Anything beyond ASCII is escaped: some readers break lines at U+2028. An error
        on the way becomes an event of its own.

    Examples
    --------
    >>> list(sse([]))
    ['data: [DONE]\n\n']
    """
    try:
        for chunk in chunks:
            yield event_text(chunk.model_dump(mode="json", exclude_unset=True))
    except APIError as error:
        yield event_text(error.body)
    finally:
        close = getattr(chunks, "close", None)
        if close is not None:
            close()
    yield DONE


def compact_json(value: Any) -> str:
    """JSON in ASCII: some readers break lines at U+2028, and half a surrogate pair has no UTF-8."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


def event_text(data: dict[str, Any]) -> str:
    """One server-sent event, in ASCII."""
    return f"data: {compact_json(data)}\n\n"
