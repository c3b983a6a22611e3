"""A server of its own process, as its users start it, and plain requests to it."""

from __future__ import annotations

import contextlib
import dataclasses
import http.client
import json
import os
import selectors
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import pytest

from nexttoken.extras import missing
from nexttoken.models import EMBEDDED

MODEL = "tiny-chat"
HELLO = [{"role": "user", "content": "Hello!"}]

# Generous, for machines that do much else at the same time; nothing waits for as long unless it fails.
START_S = 120
ANSWER_S = 120

running: list[Server] = []
"""The servers of this process; the log of each is shown beside a test that fails."""


@dataclasses.dataclass(frozen=True)
class Reply:
    """A response, read to its end. Names of headers are lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> dict[str, Any]:
        """The error object; it has the four members that clients read, and each is of the right type."""
        assert self.headers["content-type"] == "application/json"
        assert self.json.keys() == {"error"}
        error: dict[str, Any] = self.json["error"]
        check_error(error)
        return error


def check_error(error: Mapping[str, Any]) -> None:
    """An error object has four members, strings or null."""
    assert error.keys() == {"message", "type", "param", "code"}
    assert isinstance(error["message"], str)
    assert isinstance(error["type"], str)
    assert all(error[name] is None or isinstance(error[name], str) for name in ("param", "code"))
    assert "Traceback" not in error["message"]


class Server:
    """A server that runs."""

    def __init__(self, process: subprocess.Popen[str], url: str, log: Path) -> None:
        self.process = process
        self.url = url
        """What clients take as their base URL; ends in ``/v1``."""
        host, _, port = url.removeprefix("http://").removesuffix("/v1").rpartition(":")
        self.host, self.port = host.strip("[]"), int(port)
        self.log = log

    def send(
        self, method: str, path: str, body: bytes | str | None = None, headers: Mapping[str, str] | None = None
    ) -> Reply:
        """One request, over a connection of its own."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=ANSWER_S)
        with contextlib.closing(connection):
            connection.request(method, path, body, dict(headers or {}))
            response = connection.getresponse()
            return Reply(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())

    def chat(self, headers: Mapping[str, str] | None = None, **fields: Any) -> Reply:
        """A chat request, which says Hello! unless told otherwise."""
        body = json.dumps({"model": MODEL, "messages": HELLO, **fields})
        return self.send("POST", "/v1/chat/completions", body, {"Content-Type": "application/json", **(headers or {})})

    def metric(self, name: str, **labels: str) -> float:
        """What ``/metrics`` says of a counter or gauge; 0 before it was counted."""
        shown = ",".join(f'{label}="{value}"' for label, value in labels.items())
        wanted = f"{name}{{{shown}}} " if labels else f"{name} "
        for line in self.send("GET", "/metrics").body.decode().splitlines():
            if line.startswith(wanted):
                return float(line.removeprefix(wanted))
        return 0.0

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """Wait for what comes soon, but not at once."""
        end = time.monotonic() + ANSWER_S
        while not condition():
            assert time.monotonic() < end, f"not within {ANSWER_S} s"
            time.sleep(0.01)

    def wait_until_idle(self) -> None:
        """Wait until no answer is worked on."""
        self.wait_until(lambda: self.metric("nexttoken_running_rows", model=MODEL) == 0)


@contextlib.contextmanager
def serving(*flags: str, env: Mapping[str, str] | None = None) -> Iterator[Server]:
    """Run ``nexttoken serve`` with these flags, at a port that is free, until the block ends.

    `env` is added to the environment, which has no key of the API otherwise. A traceback in the server's log is a
    failure. Skips where the server cannot run.
    """
    lacking = [*missing("chat"), *missing("server")]
    if lacking:
        pytest.skip(f"the server needs {', '.join(lacking)}")
    if not (EMBEDDED[MODEL] / "config.json").exists():
        pytest.skip("the embedded model is not in this checkout")
    inherited = {name: value for name, value in os.environ.items() if name != "NEXTTOKEN_API_KEY"}
    environment = {**inherited, **(env or {})}
    command = [sys.executable, "-m", "nexttoken", "serve", "--port", "0", *flags]
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "stderr"
        with (
            log.open("w") as errors,
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment) as process,
        ):
            try:
                assert process.stdout is not None
                server = Server(process, _url(process.stdout, log), log)
                running.append(server)
                try:
                    yield server
                finally:
                    running.remove(server)
            finally:
                _stop(process)
        assert "Traceback" not in log.read_text(), log.read_text()


def _url(stdout: IO[str], log: Path) -> str:
    with selectors.DefaultSelector() as selector:
        selector.register(stdout, selectors.EVENT_READ)
        line = stdout.readline() if selector.select(START_S) else f"nothing within {START_S} s"
    begin = "nexttoken serves "
    assert line.startswith(begin), f"the server said {line!r}; its log:\n{log.read_text()}"
    return line.removeprefix(begin).strip()


def _stop(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(60)
    finally:
        process.kill()
