"""`Client` and `AsyncClient`: the chat API of this process in the shape of the official client.

What takes a client of the hosted API takes one of these: ``client.chat.completions.create(...)``,
``client.models.list()``. Models run in this process; nothing goes over a network.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Generator
from types import TracebackType
from typing import TYPE_CHECKING, Any

from nexttoken.chat.completion import async_chat_completion, chat_completion

if TYPE_CHECKING:
    from openai.pagination import AsyncPage, SyncPage
    from openai.types import Model

__all__ = ["AsyncClient", "Client"]


class _Completions:
    create = staticmethod(chat_completion)


class _Chat:
    def __init__(self) -> None:
        self.completions = _Completions()


class _Models:
    def list(self) -> SyncPage[Model]:
        """The models that come with the library."""
        from openai.pagination import SyncPage

        from nexttoken.chat.models import embedded_models, model_object

        return SyncPage(data=[model_object(name) for name in embedded_models()], object="list")

    def retrieve(self, model: str) -> Model:
        """The model of this name or directory; it is loaded if it was not.

        Raises
        ------
        NotFoundError
            If there is none.
        """
        from nexttoken.chat.models import find_model, model_object

        return model_object(find_model(model).name)


class Client:
    """The chat API of this process, in the shape of the official client.

    Examples
    --------
    >>> from nexttoken.runtimes.scripted import ScriptedRuntime
    >>> client = Client()
    >>> answer = client.chat.completions.create(
    ...     model=ScriptedRuntime(["Hello there!"]), messages=[{"role": "user", "content": "Hello!"}]
    ... )
    >>> answer.choices[0].message.content
    'Hello there!'
    """

    def __init__(self) -> None:
        self.chat = _Chat()
        self.models = _Models()

    def close(self) -> None:
        """There is nothing to close: models stay loaded for the next client."""

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _AsyncCompletions:
    create = staticmethod(async_chat_completion)


class _AsyncChat:
    def __init__(self) -> None:
        self.completions = _AsyncCompletions()


class _AsyncModelList:
    """Awaited for the page, or iterated with ``async for``: the official client's can be used in both ways."""

    def __await__(self) -> Generator[Any, None, AsyncPage[Model]]:
        return self._page().__await__()

    async def __aiter__(self) -> AsyncIterator[Model]:
        for model in (await self._page()).data:
            yield model

    async def _page(self) -> AsyncPage[Model]:
        from openai.pagination import AsyncPage

        return AsyncPage(data=_Models().list().data, object="list")


class _AsyncModels:
    def list(self) -> _AsyncModelList:
        """The models that come with the library."""
        return _AsyncModelList()

    async def retrieve(self, model: str) -> Model:
        """As `Client`'s, off the event loop."""
        return await asyncio.to_thread(_Models().retrieve, model)


class AsyncClient:
    """`Client` for coroutines: ``await client.chat.completions.create(...)``, ``async for chunk in stream``."""

    def __init__(self) -> None:
        self.chat = _AsyncChat()
        self.models = _AsyncModels()

    async def close(self) -> None:
        """There is nothing to close: models stay loaded for the next client."""

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
