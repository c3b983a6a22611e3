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


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: Any) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        for server in serving.running:
            report.sections.append((f"log of {server.url}", server.log.read_text()[-10_000:]))
    return report
