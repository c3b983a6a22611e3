"""``POST /v1/chat/completions``: one request, from its bytes to the last byte of its answer."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NoReturn, TypeVar

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from nexttoken.async_engine import AsyncHandle
from nexttoken.chat.answer import PlainAnswer, StreamedAnswer, server_errors
from nexttoken.chat.events import DONE, compact_json, event_text
from nexttoken.chat.models import ChatModel
from nexttoken.chat.prepare import Prepared, prepare
from nexttoken.engine import Event
from nexttoken.exceptions import APIError, InternalServerError
from nexttoken.server.body import parse_json, read_body
from nexttoken.server.metrics import Metrics, RequestMetrics
from nexttoken.server.models import served
from nexttoken.server.responses import RequestTimeoutError, ShuttingDownError, error_response, json_response
from nexttoken.server.settings import Settings

__all__ = ["ChatCompletions"]

_log = logging.getLogger("nexttoken.server")
_T = TypeVar("_T")

_CLIENT_LEFT = 499
"""Of the metrics alone: nobody is there to read a status."""

_SORRY = "The server had an error while processing your request. Sorry about that!"

_LAST_WORDS_S = 5.0
"""How long an error may take to be sent: a client that has stopped reading would never get it."""

_LARGE = 2**16
"""Bodies beyond this size take turns: several at a time would hold up everybody else."""

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
        self._large = ThreadPoolExecutor(1, "nexttoken-large")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        noted = RequestMetrics(self._metrics)
        answer = _Sender(send)
        try:
            body = await read_body(Request(scope, receive), self._settings)
            noted.start()
            await _while_connected(receive, self._answer(body, answer, noted), self._settings.request_timeout_s)
        except ClientDisconnect:
            pass
        except asyncio.CancelledError:
            # Nobody but a server that stops ends this task; with the answer it is over, so nothing goes on upwards.
            await answer.fail(ShuttingDownError("The server is shutting down."))
        except Exception as error:
            await answer.fail(_as_api_error(error, scope["state"]["request_id"]))
        finally:
            noted.end(answer.outcome)

    async def _answer(self, body: bytes, send: _Sender, noted: RequestMetrics) -> None:
        # Off the event loop: parsers, templates and tokenizers take their time over long messages.
        executor = self._large if len(body) > _LARGE else None
        prepared = await asyncio.get_running_loop().run_in_executor(executor, self._prepare, body)
        handle = prepared.begin_async(self._settings.max_waiting)
        try:
            with server_errors():
                reply = _stream if prepared.request.stream else _plain
                await reply(prepared, handle, send, noted)
        finally:
            handle.close()

    def _prepare(self, body: bytes) -> Prepared:
        try:
            fields = parse_json(body, self._settings.max_depth)
            return prepare(fields, lambda model: served(self._models, model))
        except Exception:
            raise
        except BaseException as error:  # a panic in a tokenizer's Rust: it must not end more than this request
            raise InternalServerError(_SORRY) from error


async def _plain(prepared: Prepared, handle: AsyncHandle, send: _Sender, noted: RequestMetrics) -> None:
    answer = PlainAnswer(prepared)
    async for events in _noting(prepared, handle, noted):
        for event in events:
            answer.add(event)
    await send.json(answer.body())


async def _stream(prepared: Prepared, handle: AsyncHandle, send: _Sender, noted: RequestMetrics) -> None:
    answer = StreamedAnswer(prepared)
    async for events in _noting(prepared, handle, noted):
        await send.events([chunk for event in events for chunk in answer.chunks(event)])
    await send.events(list(answer.last()), last=True)


async def _noting(prepared: Prepared, handle: AsyncHandle, noted: RequestMetrics) -> AsyncIterator[list[Event]]:
    first = True
    while events := await handle.events():
        if first:
            noted.first(len(prepared.token_ids))
            first = False
        noted.tokens(len(events))
        yield events


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
        # What the worker raised knows this frame: with the worker in it, body and all would wait for the collector.
        del worker, watcher, task


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _as_api_error(error: Exception, request_id: str) -> APIError:
    if not isinstance(error, APIError):
        _log.error("%s failed", request_id, exc_info=error)
        return InternalServerError(_SORRY)
    if error.status_code >= 500:
        _log.error("%s: %s", request_id, error.message, exc_info=error.__cause__)
    if isinstance(error, InternalServerError) and error.__cause__ is not None and error.__cause__.__cause__ is not None:
        # What a model's runtime raised may tell of paths and arguments: the log has it, the client need not.
        return InternalServerError("The model failed and could not finish this answer. Sorry about that!")
    return error


class _Sender:
    """Sends one answer, in one of the two forms, or what is left of it when it fails."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._failed: int | None = None
        self._begun = self._streams = self._complete = False
        self._status = _CLIENT_LEFT

    @property
    def outcome(self) -> int:
        """The status that the metrics count: the answer's, that of the failure that cut it, or 499."""
        return self._failed or (self._status if self._complete else _CLIENT_LEFT)

    async def json(self, body: dict[str, Any]) -> None:
        """A plain answer. Choice by choice: 128 of them with all their logprobs take more than a second to write."""
        choices = []
        for choice in body["choices"]:
            choices.append(compact_json(choice))
            await asyncio.sleep(0)
        # Within a string the quotes would be escaped, so there is but one place like this.
        head, tail = compact_json({**body, "choices": []}).split('"choices":[]')
        await self._respond(json_response(f'{head}"choices":[{",".join(choices)}]{tail}'))

    async def events(self, chunks: list[dict[str, Any]], last: bool = False) -> None:
        """Chunks of a stream. The headers go with the first: a stream that fails before is a plain error."""
        if not self._begun:
            await self._send({"type": "http.response.start", "status": 200, "headers": [*_STREAM_HEADERS]})
            self._status = 200
            self._begun = self._streams = True
        text = "".join(map(event_text, chunks)) + (DONE if last else "")
        await self._send({"type": "http.response.body", "body": text.encode("ascii"), "more_body": not last})
        self._complete = last

    async def fail(self, error: APIError) -> None:
        """Say what went wrong, as far as that is still possible: to a client that does not read, it is not."""
        if self._complete:
            return
        self._failed = error.status_code
        with contextlib.suppress(asyncio.TimeoutError, asyncio.CancelledError):
            if not self._begun:
                await asyncio.wait_for(self._respond(error_response(error)), _LAST_WORDS_S)
            elif self._streams:
                await asyncio.wait_for(self.events([error.body], last=True), _LAST_WORDS_S)

    async def _respond(self, response: Response) -> None:
        self._begun = True
        self._status = response.status_code
        await response({"type": "http"}, _nothing, self._send)
        self._complete = True


async def _nothing() -> NoReturn:
    raise AssertionError("a response reads nothing")
