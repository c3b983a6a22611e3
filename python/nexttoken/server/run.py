"""Running the application with uvicorn: sockets, signals, the line that says where it listens."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
from collections.abc import Mapping
from types import FrameType
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from nexttoken.server.app import create_app
from nexttoken.server.connection import connection_class
from nexttoken.server.settings import Settings

__all__ = ["Server", "serve", "server_config"]

_LAST_WORDS_S = 1.0


class Server(uvicorn.Server):
    """uvicorn's, which says where it listens and lets what it cuts say so."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)
        if self.started:
            port = self.servers[0].sockets[0].getsockname()[1]
            host = f"[{self.config.host}]" if ":" in self.config.host else self.config.host
            print(f"nexttoken serves http://{host}:{port}/v1", flush=True)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self.should_exit:  # the second signal: what is on its way says so, and ends
            self._loop.call_soon_threadsafe(self._cut)
        super().handle_exit(sig, frame)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await super().shutdown(sockets)
        if self.server_state.tasks:  # cancelled just now
            await asyncio.wait(set(self.server_state.tasks), timeout=_LAST_WORDS_S)
        for connection in list(self.server_state.connections):  # to clients that do not read
            connection.transport.abort()
        await asyncio.sleep(0)  # the sockets are closed in the loop's next round

    def _cut(self) -> None:
        for task in list(self.server_state.tasks):
            task.cancel()


def server_config(app: ASGIApp, settings: Settings, *, host: str, port: int, shutdown_timeout_s: int) -> uvicorn.Config:
    """How uvicorn runs the application."""
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        http=connection_class(settings),
        ws="none",
        lifespan="off",
        log_level="warning",
        timeout_graceful_shutdown=shutdown_timeout_s,
        server_header=False,
    )


def serve(
    models: Mapping[str, Any],
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    settings: Settings | None = None,
    shutdown_timeout_s: int = 30,
) -> int:
    """Serve until a signal says to stop; answers that have begun are then finished, and the signal takes its course.

    Parameters
    ----------
    models : mapping of str to str, path or Runtime
        As `create_app` takes them.
    host, port
        Where to listen: this machine only, unless told otherwise; port 0 takes one that is free.
    settings : Settings
        Keys and limits.
    shutdown_timeout_s : int
        How long answers that have begun may still take after the first signal. A second signal ends them at once.

    Returns
    -------
    int
        0, or 1 where it could not listen.
    """
    settings = settings or Settings()
    app = create_app(models, settings)
    server = Server(server_config(app, settings, host=host, port=port, shutdown_timeout_s=shutdown_timeout_s))
    with contextlib.suppress(SystemExit):  # uvicorn's way to say that it could not listen, once it has logged why
        server.run()
    if not server.started:
        print(f"nexttoken: cannot listen at {host}:{port}", file=sys.stderr)
        return 1
    return 0
