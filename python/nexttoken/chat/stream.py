"""The streamed answer: chunks as the tokens come."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from types import TracebackType

from openai.types.chat import ChatCompletionChunk
from openai.types.chat.chat_completion_chunk import Choice, ChoiceDelta

from nexttoken.chat.answer import Answer, finish_reason_of, server_errors
from nexttoken.engine import Event

__all__ = ["ChatCompletionStream"]


class ChatCompletionStream(Iterator[ChatCompletionChunk]):
    """The chunks of one answer.

    Each choice begins with a chunk that names the role and ends with one that has the finish reason and an
    empty delta; the chunks of several choices interleave. Closing the stream, or dropping it, ends the work.
    """

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._ready: deque[ChatCompletionChunk] = deque()
        self._begun: set[int] = set()

    def __next__(self) -> ChatCompletionChunk:
        while not self._ready:
            with server_errors():
                event = next(self._answer.handle)
            self._ready.extend(self._chunks(event))
        return self._ready.popleft()

    def close(self) -> None:
        """End the answer here: what is not drawn yet never will be."""
        self._ready.clear()
        self._answer.handle.close()

    def __enter__(self) -> ChatCompletionStream:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _chunks(self, event: Event) -> Iterator[ChatCompletionChunk]:
        if event.index not in self._begun:
            self._begun.add(event.index)
            yield self._chunk(event.index, ChoiceDelta(role="assistant", content=""))
        if event.text:
            yield self._chunk(event.index, ChoiceDelta(content=event.text))
        if event.finish_reason is not None:
            yield self._chunk(event.index, ChoiceDelta(), event)

    def _chunk(self, index: int, delta: ChoiceDelta, last: Event | None = None) -> ChatCompletionChunk:
        # finish_reason is given also where it is null, so that the serialised chunk has the key.
        reason = None if last is None else finish_reason_of(last)
        return ChatCompletionChunk(
            id=self._answer.id,
            object="chat.completion.chunk",
            created=self._answer.created,
            model=self._answer.model,
            choices=[Choice(index=index, delta=delta, finish_reason=reason)],
        )
