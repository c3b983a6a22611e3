"""``POST /v1/chat/completions``: one request, from its bytes to the last byte of its answer."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Mapping
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect, Request
from starlette.types import Receive, Scope, Send

from nexttoken.async_engine import AsyncHandle
from nexttoken.chat.answer import PlainAnswer, StreamedAnswer, server_errors
from nexttoken.chat.events import DONE, event_text
from nexttoken.chat.models import ChatModel
from nexttoken.chat.prepare import Prepared, prepare
from nexttoken.exceptions import APIError, InternalServerError
from nexttoken.server.body import parse_json, read_body
from nexttoken.server.errors import RequestTimeoutError, error_response
from nexttoken.server.json_response import json_response
from nexttoken.server.metrics import Metrics, RequestMetrics
from nexttoken.server.models import served
from nexttoken.server.settings import Settings

__all__ = ["ChatCompletions"]

_log = logging.getLogger("nexttoken.server")
_T = TypeVar("_T")

_CLIENT_LEFT = 499
"""Of the metrics alone: nobody is there to read a status."""

_STREAM_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),  # proxies that would collect the stream first
]


class ChatCompletions:
    """The endpoint, as an ASGI application: it has to notice when a client leaves, whatever it is doing."""

    def __init__(self, models: Mapping[str, ChatModel], settings: Settings, metrics: Metrics) -> None:
        self._models = models
        self._settings = settings
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        noted = RequestMetrics(self._metrics)
        answer = _Sender(send)
        status = _CLIENT_LEFT
        try:
            body = await read_body(Request(scope, receive), self._settings)
            await _while_connected(receive, self._answer(body, answer, noted), self._settings.request_timeout_s)
            status = answer.status or _CLIENT_LEFT
        except ClientDisconnect:
            pass
        except Exception as error:
            failure = _as_api_error(error)
            status = failure.status_code
            await answer.fail(failure)
        finally:
            noted.end(status)

    async def _answer(self, body: bytes, send: _Sender, noted: RequestMetrics) -> None:
        # Off the event loop: templates and tokenizers take their time over long messages.
        prepared = await asyncio.to_thread(self._prepare, body)
        handle = prepared.begin_async(self._settings.max_waiting)
        noted.begin(len(prepared.token_ids))
        try:
            with server_errors():
                reply = _stream if prepared.request.stream else _plain
                await reply(prepared, handle, send, noted)
        finally:
            handle.close()

    def _prepare(self, body: bytes) -> Prepared:
        fields = parse_json(body, self._settings.max_depth)
        return prepare(fields, lambda model: served(self._models, model))


async def _plain(prepared: Prepared, handle: AsyncHandle, send: _Sender, noted: RequestMetrics) -> None:
    answer = PlainAnswer(prepared)
    while events := await handle.events():
        noted.tokens(len(events))
        for event in events:
            answer.add(event)
    await send.json(answer.body())


async def _stream(prepared: Prepared, handle: AsyncHandle, send: _Sender, noted: RequestMetrics) -> None:
    answer = StreamedAnswer(prepared)
    while events := await handle.events():
        noted.tokens(len(events))
        await send.events([chunk for event in events for chunk in answer.chunks(event)])
    await send.events(list(answer.last()), last=True)


async def _while_connected(receive: Receive, work: Coroutine[Any, Any, _T], timeout_s: float) -> _T:
    """The result of `work`, which is cancelled when the client leaves or the time is up."""
    worker = asyncio.ensure_future(work)
    watcher = asyncio.ensure_future(_disconnected(receive))
    try:
        await asyncio.wait({worker, watcher}, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        if worker.done():
            return worker.result()
        if watcher.done():
            raise ClientDisconnect
        raise RequestTimeoutError(f"Timed out: the answer was not complete after {timeout_s:g} seconds.")
    finally:
        for task in (worker, watcher):
            task.cancel()
        await asyncio.gather(worker, watcher, return_exceptions=True)


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _as_api_error(error: Exception) -> APIError:
    if not isinstance(error, APIError):
        _log.error("a request failed", exc_info=error)
        return InternalServerError("The server had an error while processing your request. Sorry about that!")
    if error.status_code >= 500:
        _log.error("%s", error.message, exc_info=error.__cause__)
    return error


class _Sender:
    """Sends one answer, in one of the two forms, or what is left of it when it fails."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.status: int | None = None
        """What went over the wire, once something did."""

    async def json(self, body: Any) -> None:
        await self._respond(json_response(body))

    async def events(self, chunks: list[dict[str, Any]], last: bool = False) -> None:
        """Chunks of a stream. The headers go with the first: a stream that fails before is a plain error."""
        if self.status is None:
            self.status = 200
            await self._send({"type": "http.response.start", "status": 200, "headers": [*_STREAM_HEADERS]})
        text = "".join(map(event_text, chunks)) + (DONE if last else "")
        await self._send({"type": "http.response.body", "body": text.encode("ascii"), "more_body": not last})

    async def fail(self, error: APIError) -> None:
        if self.status is None:
            await self._respond(error_response(error))
        elif self.status == 200:  # in the middle of a stream
            await self.events([error.body], last=True)

    async def _respond(self, response: Any) -> None:
        self.status = response.status_code
        await response({"type": "http"}, None, self._send)
