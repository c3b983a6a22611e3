"""The streamed answer: the official client's chunks as the tokens come, for loops and for coroutines."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Iterator
from types import TracebackType

from openai.types.chat import ChatCompletionChunk

from nexttoken.async_engine import AsyncHandle
from nexttoken.chat.answer import StreamedAnswer, server_errors
from nexttoken.engine import Handle

__all__ = ["AsyncChatCompletionStream", "ChatCompletionStream"]


class _Stream:
    def __init__(self, answer: StreamedAnswer) -> None:
        self._answer = answer
        self._ready: deque[ChatCompletionChunk] = deque()
        self._over = False

    def _end(self) -> None:
        """No event will come any more."""
        if not self._over:
            self._over = True
            self._ready.extend(map(ChatCompletionChunk.model_validate, self._answer.last()))


class ChatCompletionStream(_Stream, Iterator[ChatCompletionChunk]):
    """The chunks of one answer. Closing the stream, or dropping it, ends the work."""

    def __init__(self, answer: StreamedAnswer, handle: Handle) -> None:
        super().__init__(answer)
        self._handle = handle

    def __next__(self) -> ChatCompletionChunk:
        while not self._ready and not self._over:
            with server_errors():
                event = next(self._handle, None)
            if event is None:
                self._end()
            else:
                self._ready.extend(map(ChatCompletionChunk.model_validate, self._answer.chunks(event)))
        if not self._ready:
            raise StopIteration
        return self._ready.popleft()

    def close(self) -> None:
        """End the answer here: what is not drawn yet never will be."""
        self._over = True
        self._ready.clear()
        self._handle.close()

    def __enter__(self) -> ChatCompletionStream:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncChatCompletionStream(_Stream, AsyncIterator[ChatCompletionChunk]):
    """The chunks of one answer, for ``async for``. Closing the stream, or dropping it, ends the work."""

    def __init__(self, answer: StreamedAnswer, handle: AsyncHandle) -> None:
        super().__init__(answer)
        self._handle = handle

    async def __anext__(self) -> ChatCompletionChunk:
        while not self._ready and not self._over:
            with server_errors():
                events = await self._handle.events()
            for event in events:
                self._ready.extend(map(ChatCompletionChunk.model_validate, self._answer.chunks(event)))
            if not events:
                self._end()
        if not self._ready:
            raise StopAsyncIteration
        return self._ready.popleft()

    async def close(self) -> None:
        """End the answer here: what is not drawn yet never will be."""
        self._over = True
        self._ready.clear()
        self._handle.close()

    async def __aenter__(self) -> AsyncChatCompletionStream:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
