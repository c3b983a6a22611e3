"""What the tests of abuse share: a runtime that can be held, an ASGI application's client, raw sockets, a server."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

from nexttoken.runtimes.scripted import ScriptedRuntime
from nexttoken.server.app import create_app
from nexttoken.server.run import Server, server_config
from nexttoken.server.settings import Settings

LONG_S = 60.0
"""What a slow, busy machine may take for anything that is quick."""

HELLO = [{"role": "user", "content": "Hello!"}]
JSON = [(b"content-type", b"application/json")]


def body_of(**fields):
    """A request's body: Hello! to the model m, unless told otherwise."""
    return json.dumps({"model": "m", "messages": HELLO, **fields}).encode()


def until(condition, what="the condition"):
    """Wait for something that no event tells."""
    deadline = time.monotonic() + LONG_S
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come true"
        time.sleep(0.002)


class HeldRuntime(ScriptedRuntime):
    """A scripted runtime whose steps and prompts can be held.

    `decoding` and `reading` are set when one begins; `decode_on` and `read_on`, set at first, let it go on.
    """

    def __init__(self, script=("Hello there!",), **settings):
        super().__init__(script, **settings)
        self.decoding, self.decode_on = threading.Event(), threading.Event()
        self.reading, self.read_on = threading.Event(), threading.Event()
        self.decode_on.set()
        self.read_on.set()

    def prefill(self, token_ids):
        self.reading.set()
        assert self.read_on.wait(LONG_S)
        return super().prefill(token_ids)

    def decode(self, sequences, token_ids):
        self.decoding.set()
        assert self.decode_on.wait(LONG_S)
        return super().decode(sequences, token_ids)

    def hold(self):
        """Let no further step go on."""
        self.decode_on.clear()
        self.decoding.clear()

    def let_go(self):
        """Let everything go on."""
        self.decode_on.set()
        self.read_on.set()

    @property
    def batches(self):
        """The rows of each decode."""
        return [rows for call, rows in list(self.calls) if call == "decode"]


def endless(character="a"):
    """A script that says one character until something ends it."""
    import numpy as np

    line = np.zeros(258, np.float32)
    line[ord(character)] = 40
    return lambda prompt, output: line


def echo():
    """A script that repeats the last message, and so tells callers apart."""
    import numpy as np

    begin, end = 256, 257

    def script(prompt, output):
        last = len(prompt) - prompt[::-1].index(end) - 1
        first = last - prompt[:last][::-1].index(begin)
        said = prompt[first + len("user\n") : last]
        line = np.zeros(258, np.float32)
        line[said[len(output)] if len(output) < len(said) else end] = 60
        return line

    return script


def saying(text, **fields):
    """A request's body that asks an `echo`."""
    return body_of(messages=[{"role": "user", "content": text}], **fields)


class Exchange:
    """One request to an ASGI application, seen from its client."""

    def __init__(self, app, body=b"", *, method="POST", path="/v1/chat/completions", headers=None, parts=None):
        self._app = app
        self._parts = list(parts if parts is not None else [body])
        self._left, self.begun = asyncio.Event(), asyncio.Event()
        self._scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode("utf-8", "surrogatepass"),
            "query_string": b"",
            "root_path": "",
            "headers": JSON if headers is None else headers,
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 2),
        }
        self.status, self.headers, self.sent, self.complete = None, {}, b"", False

    def leave(self):
        """The client goes away."""
        self._left.set()

    async def run(self):
        """The whole exchange; returns itself."""
        await asyncio.wait_for(self._app(self._scope, self._receive, self._send), LONG_S)
        return self

    async def _receive(self):
        if self._parts and not self._left.is_set():
            part = self._parts.pop(0)
            if part is not None:  # one that never comes
                return {"type": "http.request", "body": part, "more_body": bool(self._parts)}
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message):
        if self._left.is_set():
            return
        assert not self.complete, f"{message['type']} after the end"
        if message["type"] == "http.response.start":
            assert self.status is None
            self.status = message["status"]
            self.headers = {name.decode(): value.decode() for name, value in message["headers"]}
        else:
            assert self.status is not None
            self.sent += message.get("body", b"")
            self.complete = not message.get("more_body", False)
            if self.complete:
                self._left.set()
        self.begun.set()

    @property
    def json(self):
        return json.loads(self.sent)

    @property
    def events(self):
        """The events of a stream, the last of which is [DONE]."""
        return events_in(self.sent)


def events_in(sent):
    parts = sent.decode("ascii").split("\n\n")
    assert parts.pop() == ""
    assert all(part.startswith("data: ") for part in parts)
    return [part.removeprefix("data: ") for part in parts]


def streamed_text(events, index=0):
    """A choice's text."""
    chunks = [json.loads(event) for event in events if event != "[DONE]"]
    choices = [choice for chunk in chunks for choice in chunk.get("choices", ())]
    return "".join(choice["delta"].get("content", "") for choice in choices if choice["index"] == index)


def is_error(body, status):
    """Whether this is the API's error object, every member of it in order."""
    assert body.keys() == {"error"}
    error = body["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    assert isinstance(error["message"], str)
    assert error["message"]
    assert error["type"] == ("server_error" if status >= 500 else "invalid_request_error")
    for name in ("param", "code"):
        assert error[name] is None or isinstance(error[name], str)
    assert "Traceback" not in error["message"]
    assert ".py" not in error["message"]
    return True


def counted(text):
    """The requests that ``GET /metrics`` has counted, by status."""
    found = re.findall(r'^nexttoken_requests_total\{status="(\d+)"\} ([\d.]+)$', text, re.M)
    return {int(status): int(float(count)) for status, count in found}


async def count_in(app):
    """`counted`, of an application in this process."""
    exchange = await Exchange(app, method="GET", path="/metrics", headers=[]).run()
    return counted(exchange.sent.decode())


class Live:
    """A server on a port of this machine."""

    def __init__(self, port):
        self.port = port
        self._connections = []

    def connect(self, receive_buffer=None):
        """A new connection; one with a small buffer stops its peer soon when it does not read."""
        connection = socket.socket()
        if receive_buffer:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        connection.settimeout(LONG_S)
        connection.connect(("127.0.0.1", self.port))
        self._connections.append(connection)
        return connection

    @contextlib.contextmanager
    def closed_on_failure(self):
        """What a test that fails leaves open is no other test's trouble."""
        try:
            yield
        except BaseException:
            for connection in self._connections:
                connection.close()
            raise

    def post(self, body, **settings):
        """Send a request, and leave its answer to be read."""
        connection = self.connect(**settings)
        connection.sendall(http_request(body))
        return connection

    def ask(self, body):
        """Status, headers and body of a request's answer."""
        with self.post(body) as connection:
            return read_answer(connection)

    def get(self, path):
        """Status, headers and body."""
        with self.connect() as connection:
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n".encode())
            return read_answer(connection)

    def counted(self):
        return counted(self.get("/metrics")[2].decode())


def http_request(body, headers=(), path="/v1/chat/completions"):
    lines = [f"POST {path} HTTP/1.1", "Host: h", "Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "Connection: close", *headers, "", ""]).encode() + body


def read_answer(connection):
    """Status, headers and body of what comes until the peer closes; an answer that breaks off is an error."""
    data = read_all(connection)
    head, _, rest = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    if headers.get("transfer-encoding") == "chunked":
        rest = unchunk(rest)
    return int(first.split()[1]), headers, rest


def read_all(connection):
    data = b""
    with contextlib.suppress(ConnectionResetError):
        while part := connection.recv(65536):
            data += part
    return data


def unchunk(data):
    body = b""
    while True:
        size, line, data = data.partition(b"\r\n")
        assert line, "the stream broke off"
        if not int(size, 16):
            return body
        body, data = body + data[: int(size, 16)], data[int(size, 16) + 2 :]


def reset(connection):
    """Leave with a RST, as a process that is killed may."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


@contextlib.contextmanager
def live(models, settings=None, keep_alive_s=5.0):
    """Serve models of this process, on a thread."""
    settings = settings or Settings()
    app = create_app(models, settings)
    server = Server(server_config(app, settings, host="127.0.0.1", port=0, shutdown_timeout_s=1))
    server.config.timeout_keep_alive = keep_alive_s
    server.config.log_level = "critical"
    server.config.configure_logging()
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    until(lambda: server.started or not thread.is_alive(), "the start of the server")
    assert server.started
    try:
        found = Live(server.servers[0].sockets[0].getsockname()[1])
        found.connections = lambda: list(server.server_state.connections)
        with found.closed_on_failure():
            yield found
    finally:
        server.should_exit = True
        thread.join(LONG_S)
        assert not thread.is_alive()


class Process(Live):
    """``nexttoken serve`` or a program like it, in a process of its own."""

    def __init__(self, process, port):
        super().__init__(port)
        self.process = process

    def signal(self, number):
        self.process.send_signal(number)

    def wait(self):
        """Its exit status, once it has ended by itself."""
        return self.process.wait(LONG_S)


@contextlib.contextmanager
def process(*arguments):
    """Run a Python program that serves, and says where as ``nexttoken serve`` does."""
    # Shells start what runs in the background with SIGINT ignored, and so would this process start its own.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        running = subprocess.Popen(
            [sys.executable, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "NEXTTOKEN_API_KEY": "", "PYTHONPATH": str(Path(__file__).parents[1])},
        )
    finally:
        signal.signal(signal.SIGINT, before)
    try:
        line = running.stdout.readline()
        found = re.search(r"http://127\.0\.0\.1:(\d+)/v1", line)
        assert found, line + running.stderr.read()
        serving = Process(running, int(found[1]))
        with serving.closed_on_failure():
            yield serving
    finally:
        if running.poll() is None:
            running.send_signal(signal.SIGKILL)
        running.communicate()
