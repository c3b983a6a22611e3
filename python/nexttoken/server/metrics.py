"""What ``GET /metrics`` tells, in Prometheus' text format."""

from __future__ import annotations

import functools
import time
from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from nexttoken.chat.models import ChatModel

__all__ = ["Metrics", "RequestMetrics"]

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)


class Metrics:
    """Counters of one server, in a registry of its own."""

    def __init__(self, models: Iterable[ChatModel]) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "nexttoken_requests",
            "Chat requests answered, by HTTP status; 499 are those whose client left.",
            ["status"],
            registry=self.registry,
        )
        self.prompt_tokens = Counter("nexttoken_prompt_tokens", "Tokens read.", registry=self.registry)
        self.completion_tokens = Counter("nexttoken_completion_tokens", "Tokens drawn.", registry=self.registry)
        self.first_token = Histogram(
            "nexttoken_time_to_first_token_seconds",
            "From the whole request, its body read, to its first token.",
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.duration = Histogram(
            "nexttoken_request_duration_seconds",
            "From the whole request, its body read, to the end of its answer.",
            buckets=_SECONDS,
            registry=self.registry,
        )
        running = Gauge("nexttoken_running_rows", "Answers being worked on.", ["model"], registry=self.registry)
        waiting = Gauge("nexttoken_waiting_requests", "Requests not begun.", ["model"], registry=self.registry)
        for model in models:
            running.labels(model.name).set_function(functools.partial(getattr, model.engine, "running_rows"))
            waiting.labels(model.name).set_function(functools.partial(getattr, model.engine, "waiting_requests"))

    def text(self) -> bytes:
        """All of it, as Prometheus reads it."""
        return generate_latest(self.registry)


class RequestMetrics:
    """Notes what becomes of one request; `end` counts it, once."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._start = time.perf_counter()

    def start(self) -> None:
        """The clock starts anew: the request is there, how long its client took over it is not counted."""
        self._start = time.perf_counter()

    def first(self, prompt_tokens: int) -> None:
        """The prompt has been read: here are the first tokens."""
        self._metrics.prompt_tokens.inc(prompt_tokens)
        self._metrics.first_token.observe(time.perf_counter() - self._start)

    def tokens(self, count: int) -> None:
        """So many tokens have been drawn."""
        self._metrics.completion_tokens.inc(count)

    def end(self, status: int) -> None:
        """The request is over."""
        self._metrics.requests.labels(str(status)).inc()
        self._metrics.duration.observe(time.perf_counter() - self._start)
