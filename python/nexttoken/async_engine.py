"""A request's events for an event loop: waited for with ``await``, while the engine steps in the background."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import Sequence

from nexttoken.engine import Engine, Event, Handle
from nexttoken.params import SamplingParams

__all__ = ["AsyncHandle"]


class AsyncHandle:
    """A submitted request, as a coroutine of the running event loop sees it.

    Closing or dropping it ends the work on the request. The parameters, and what is raised, are those of
    `Engine.submit`.
    """

    def __init__(
        self,
        engine: Engine,
        prompt_token_ids: Sequence[int],
        params: SamplingParams,
        *,
        max_waiting: int | None = None,
    ) -> None:
        self._progress = asyncio.Event()
        # It must not know the handle: that one can be dropped while the engine is at work.
        self._wake = functools.partial(_wake, asyncio.get_running_loop(), self._progress)
        self._handle: Handle = engine.submit(prompt_token_ids, params, on_progress=self._wake, max_waiting=max_waiting)

    @property
    def seed(self) -> int | None:
        """The seed of the draws; None until the first token when the request gave none."""
        return self._handle.seed

    async def events(self) -> list[Event]:
        """The events that have come since the last call, at least one; none when all have been read.

        Raises
        ------
        GenerationError
            If the request failed, once the events before that have been read.
        """
        while True:
            self._progress.clear()
            over = self._handle.over  # asked before: what comes in between would be lost
            events = self._handle.ready()
            if events or over:
                return events
            await self._progress.wait()

    def close(self) -> None:
        """End the work on this request; its rows are freed at once, or when the step in progress ends."""
        self._handle.close()
        self._wake()  # whoever waits for events, on whichever thread


def _wake(loop: asyncio.AbstractEventLoop, progress: asyncio.Event) -> None:
    with contextlib.suppress(RuntimeError):  # a loop that was closed waits for nothing
        loop.call_soon_threadsafe(progress.set)
