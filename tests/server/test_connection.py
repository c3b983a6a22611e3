"""A connection's patience, with a transport that is told how much of an answer is left in it."""

from __future__ import annotations

import asyncio

import pytest

uvicorn = pytest.importorskip("uvicorn", reason="the server needs its extra")

from uvicorn.server import ServerState  # noqa: E402

from nexttoken.server.connection import connection_class  # noqa: E402
from nexttoken.server.settings import Settings  # noqa: E402

REQUEST = b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n"


class Transport(asyncio.Transport):
    """Keeps what is written, as one to a client that does not read."""

    def __init__(self, left):
        super().__init__()
        self.left = left
        self.written = b""
        self.aborted = asyncio.Event()

    def write(self, data):
        self.written += data

    def get_write_buffer_size(self):
        return self.left

    def is_closing(self):
        return False

    def close(self):
        pass

    def abort(self):
        self.aborted.set()

    def get_extra_info(self, name, default=None):
        return default

    def resume_reading(self):
        pass


async def answered(left):
    """A connection after an answer of which so many bytes are not read, and its transport."""

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})

    settings = Settings(body_timeout_s=60, request_timeout_s=0.05)
    config = uvicorn.Config(app, http=connection_class(settings), lifespan="off", log_config=None)
    config.load()
    transport = Transport(left)
    state = ServerState()
    connection = connection_class(settings)(config=config, server_state=state, app_state={})
    connection.connection_made(transport)
    connection.data_received(REQUEST)
    await asyncio.gather(*state.tasks)
    assert transport.written.endswith(b"ok\r\n0\r\n\r\n")
    return connection, transport


def test_the_rest_of_an_answer_that_nobody_reads():
    """Less than what makes uvicorn pause, and closing would wait for it for ever."""

    async def main():
        connection, transport = await answered(left=100)
        await asyncio.wait_for(transport.aborted.wait(), 10)
        connection.connection_lost(None)

    asyncio.run(main())


@pytest.mark.parametrize("asks_again", [False, True])
def test_an_answer_that_was_read(asks_again):
    async def main():
        connection, transport = await answered(left=100 if asks_again else 0)
        if asks_again:
            transport.left = 0
            connection.data_received(REQUEST)
        await asyncio.sleep(0.2)
        assert not transport.aborted.is_set()
        connection.connection_lost(None)

    asyncio.run(main())
