"""A request's events as the API's response: one body for a plain answer, chunks for a streamed one.

Bodies are plain JSON objects. `chat_completion` makes the official client's types of them, the server sends them as
they are.
"""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Iterator, Sequence
from typing import Any

from nexttoken.async_engine import AsyncHandle
from nexttoken.chat.logprobs import ChoiceLogprobs
from nexttoken.chat.prepare import Prepared
from nexttoken.engine import Event, Handle
from nexttoken.exceptions import GenerationError, InternalServerError

__all__ = ["PlainAnswer", "StreamedAnswer", "agather", "gather", "server_errors"]

Body = dict[str, Any]


@contextlib.contextmanager
def server_errors() -> Iterator[None]:
    """A generation that fails is a fault of ours, so the API calls it a server error."""
    try:
        yield
    except GenerationError as error:
        raise InternalServerError(f"The model could not finish this answer: {error}") from error


class _Answer:
    """What both forms share: the members that every body has, the counts, the logprobs."""

    object: str

    def __init__(self, prepared: Prepared) -> None:
        request, model = prepared.request, prepared.model
        self._head = {
            "id": f"chatcmpl-{uuid.uuid4().hex}",
            "object": self.object,
            "created": int(time.time()),
            "model": model.name,
        }
        self._tail: Body = {"system_fingerprint": model.fingerprint}
        self.choices = request.params.n
        self.prompt_tokens = len(prepared.token_ids)
        self.completion_tokens = 0
        """Every token drawn, those that ended a choice among them."""
        self._logprobs: list[ChoiceLogprobs] | None = None
        if request.logprobs:
            self._logprobs = [ChoiceLogprobs(model.token_texts) for _ in range(self.choices)]

    def _take(self, event: Event) -> list[Body]:
        """Count an event; returns the logprobs of the tokens shown from now on, none unless asked for."""
        self.completion_tokens += 1
        return [] if self._logprobs is None else self._logprobs[event.index].add(event)

    def _usage(self) -> Body:
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "total_tokens": self.prompt_tokens + self.completion_tokens,
        }


class PlainAnswer(_Answer):
    """Gathers events into the body of a `ChatCompletion`. Contents are verbatim."""

    object = "chat.completion"

    def __init__(self, prepared: Prepared) -> None:
        super().__init__(prepared)
        self._texts: list[list[str]] = [[] for _ in range(self.choices)]
        self._reasons: list[str | None] = [None] * self.choices
        self._entries: list[list[Body]] = [[] for _ in range(self.choices)]

    def add(self, event: Event) -> None:
        """Take the next event in."""
        self._entries[event.index] += self._take(event)
        self._texts[event.index].append(event.text)
        self._reasons[event.index] = event.finish_reason

    def body(self) -> Body:
        """The response, once all events are in."""
        choices = [self._choice(index) for index in range(self.choices)]
        return {**self._head, "choices": choices, "usage": self._usage(), **self._tail}

    def _choice(self, index: int) -> Body:
        choice: Body = {
            "index": index,
            "message": {"role": "assistant", "content": "".join(self._texts[index])},
            "finish_reason": self._reasons[index],
        }
        if self._logprobs is not None:
            choice["logprobs"] = {"content": self._entries[index], "refusal": None}
        return choice


def gather(answer: PlainAnswer, handle: Handle) -> Body:
    """Wait for the whole answer.

    Raises
    ------
    InternalServerError
        If the model fails on the way.
    """
    try:
        with server_errors():
            for event in handle:
                answer.add(event)
    finally:
        handle.close()  # an interrupted caller must not leave its rows running
    return answer.body()


async def agather(answer: PlainAnswer, handle: AsyncHandle) -> Body:
    """`gather` for coroutines."""
    try:
        with server_errors():
            while events := await handle.events():
                for event in events:
                    answer.add(event)
    finally:
        handle.close()
    return answer.body()


class StreamedAnswer(_Answer):
    """Turns events into the bodies of `ChatCompletionChunk`.

    Each choice begins with a chunk that names the role and ends with one that has the finish reason and an
    empty delta; the chunks of several choices interleave.
    """

    object = "chat.completion.chunk"

    def __init__(self, prepared: Prepared) -> None:
        super().__init__(prepared)
        self._begun = [False] * self.choices
        self._include_usage = prepared.request.include_usage
        if self._include_usage:
            self._tail["usage"] = None

    def chunks(self, event: Event) -> Iterator[Body]:
        """The chunks that an event brings, if any."""
        entries = self._take(event)
        if not self._begun[event.index]:
            self._begun[event.index] = True
            yield self._chunk(event.index, {"role": "assistant", "content": ""})
        if event.text:
            yield self._chunk(event.index, {"content": event.text}, entries)
            entries = []
        if event.finish_reason is not None or entries:
            # Entries without text: special tokens, which have none.
            delta = {} if event.finish_reason is not None else {"content": ""}
            yield self._chunk(event.index, delta, entries, event.finish_reason)

    def last(self) -> Iterator[Body]:
        """What comes after the last event: the usage, where it was asked for."""
        if self._include_usage:
            yield {**self._head, "choices": [], **self._tail, "usage": self._usage()}

    def _chunk(self, index: int, delta: Body, entries: Sequence[Body] = (), finish_reason: str | None = None) -> Body:
        # finish_reason is there also where it is null, as in the API's own chunks.
        choice: Body = {"index": index, "delta": delta, "finish_reason": finish_reason}
        if self._logprobs is not None:
            choice["logprobs"] = {"content": list(entries), "refusal": None} if entries else None
        return {**self._head, "choices": [choice], **self._tail}
