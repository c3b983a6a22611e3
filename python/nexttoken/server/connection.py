"""One connection, uvicorn's, with an end to its patience: clients that stop in the middle cost a connection each."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from nexttoken.chat.events import compact_json
from nexttoken.server.responses import RequestError
from nexttoken.server.settings import Settings

__all__ = ["connection_class"]

_KEPT_BYTES = 2**16


def connection_class(settings: Settings) -> type[H11Protocol]:
    """The protocol of a server's connections.

    It closes a connection whose client takes longer than `body_timeout_s` over the headers of a request, or takes
    nothing of an answer for `request_timeout_s`. Bodies, and answers on the way, are the application's to limit.
    """

    class Connection(_Connection):
        headers_timeout_s = settings.body_timeout_s
        stall_timeout_s = settings.request_timeout_s

    return Connection


class _Connection(H11Protocol):
    headers_timeout_s: float
    stall_timeout_s: float

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._headers, self._stall = _Timer(), _Timer()

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._headers.start(self.headers_timeout_s, self.transport.abort)

    def data_received(self, data: bytes) -> None:
        if not self.flow.write_paused:
            self._stall.stop()  # it has read what it was sent, or would not ask again
        super().data_received(data)
        if self.cycle is None or self.cycle.response_complete:
            # Between two requests, uvicorn gives up those that say nothing.
            self._headers.start(self.headers_timeout_s, self.transport.abort)
        else:
            self._headers.stop()
            # uvicorn stops reading when another request comes before this one is answered. It would then miss that
            # the client leaves, so it goes on, as far as what it has to keep stays small.
            if self.conn.their_state is h11.DONE and len(self.conn.trailing_data[0]) <= _KEPT_BYTES:
                self.flow.resume_reading()

    def send_400_response(self, msg: str) -> None:
        """uvicorn's answer to what is no HTTP, in the API's form."""
        body = compact_json(RequestError(400, msg).body).encode()
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            (b"connection", b"close"),
        ]
        for event in (h11.Response(status_code=400, headers=headers), h11.Data(data=body), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.transport.get_write_buffer_size() > 0:
            # Too little for uvicorn to pause, but closing waits until it has been read.
            self._stall.start(self.stall_timeout_s, self.transport.abort)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stall.start(self.stall_timeout_s, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stall.stop()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._headers.stop()
        self._stall.stop()


class _Timer:
    """Calls something once, unless it is stopped before."""

    def __init__(self) -> None:
        self._handle: asyncio.TimerHandle | None = None

    def start(self, seconds: float, call: Callable[[], None]) -> None:
        """Does nothing to one that runs."""
        if self._handle is None:
            self._handle = asyncio.get_running_loop().call_later(seconds, call)

    def stop(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
