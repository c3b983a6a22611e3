"""A server with the embedded model, for all tests of a worker; and the logs of servers beside a test that fails."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Any

import pytest

from server import serving


@pytest.fixture(scope="session")
def server() -> Iterator[serving.Server]:
    """``nexttoken serve`` with the embedded model and nothing else said."""
    with serving.serving() as server:
        yield server


@pytest.fixture(scope="session")
def end_token(server: serving.Server) -> int:
    """The embedded model's token that ends an answer: where it is banned, an answer goes on to the limit."""
    for token in range(16):
        choice = server.chat(logit_bias={str(token): 100}, max_tokens=2).json["choices"][0]
        if (choice["message"]["content"], choice["finish_reason"]) == ("", "stop"):
            return token
    raise AssertionError("no token ends an answer")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: Any) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        for server in serving.running:
            report.sections.append((f"log of {server.url}", server.log.read_text()[-10_000:]))
    return report
