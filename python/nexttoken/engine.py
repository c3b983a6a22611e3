"""The loop: requests join and leave a running batch, and every step gives each of their rows one token.

The engine knows neither HTTP nor tokenizers: token ids go in, tokens and the text they release come out.
Nobody has to run it. Whoever waits for a token and finds nobody at work does the next step for everyone; so
threads that share a model share its batches, and a consumer that dawdles only leaves its events in its own
queue. For callers that cannot wait, such as an event loop, a thread does the steps while there are any to do.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import warnings
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any, cast

import numpy as np

from nexttoken.exceptions import GenerationError, ParameterError, QueueFullError
from nexttoken.in_flight import Event, Request, Row
from nexttoken.ops import Status
from nexttoken.params import SamplingParams
from nexttoken.runtimes.base import Runtime
from nexttoken.sampler import Sampler, StepResult

__all__ = ["Engine", "Event", "Handle"]

_log = logging.getLogger("nexttoken.engine")

_STATUS_TEXTS = {
    Status.NAN_LOGITS: "the model's logits hold NaN",
    Status.NO_TOKEN: "the model's logits and the bans leave no token to draw",
}

# How many later requests may join before one that needs more rows than are free: then the door is held for it.
_OVERTAKEN = 64


class Handle(Iterator[Event]):
    """A request's events, in the order they happened. Closing or dropping it ends the work on the request."""

    def __init__(self, engine: Engine, request: Request) -> None:
        self._engine = engine
        self._request = request

    @property
    def seed(self) -> int | None:
        """The seed of the draws; None until the first token when the request gave none."""
        return self._request.seed

    def __next__(self) -> Event:
        request = self._request
        while not request.cancelled:
            self._engine._wait(request)
            with contextlib.suppress(IndexError):  # another reader of this handle may have been quicker
                return request.events.popleft()
            if request.error is not None:
                raise request.error
            if request.over:
                break
        raise StopIteration

    def ready(self) -> list[Event]:
        """The events that are there and not read yet; nothing is waited for, and no step is done.

        Raises
        ------
        GenerationError
            Once all events before the failure have been read.
        """
        request = self._request
        events: list[Event] = []
        over = request.over  # asked first: the last events come before the end is noted
        with contextlib.suppress(IndexError):
            while not request.cancelled:
                events.append(request.events.popleft())
        if over and not events and request.error is not None and not request.cancelled:
            raise request.error
        return events

    @property
    def over(self) -> bool:
        """Whether no event will come that is not there already."""
        return self._request.over

    def close(self) -> None:
        """End the work on this request; its rows are freed at once, or when the step in progress ends."""
        self._engine.cancel(self)

    def __del__(self) -> None:
        self._engine.cancel(self)


class Engine:
    """Runs requests on one runtime, in one batch.

    Parameters
    ----------
    runtime : Runtime
        The model. The engine must be its only user.
    strip_leading_space : bool
        Drop the space that some vocabularies put before the first word of an answer.
    max_rows : int
        The most rows that run at a time, each of which holds a sequence's state in the runtime; fewer if the
        runtime says so with `max_sequences`. Requests wait for room in the order they came, except that one which
        needs more rows than are free lets others pass, for a while.

    Notes
    -----
    Every method may be called from any thread.
    """

    def __init__(self, runtime: Runtime, *, strip_leading_space: bool = False, max_rows: int = 256) -> None:
        self.runtime = runtime
        # Two members that a runtime may have and need not: most take whatever there is.
        self._most_rows: int | None = getattr(runtime, "max_sequences", None)
        self.max_rows = max_rows
        self._batch_size: int | None = getattr(runtime, "max_batch_size", None)
        self._sampler = Sampler(
            runtime.vocab_size,
            token_bytes=runtime.tokenizer.token_bytes,
            eos_token_ids=tuple(runtime.eos_token_ids),
            strip_leading_space=strip_leading_space,
        )
        self._waiting: deque[Request] = deque()
        self._rows: list[Row] = []
        self._cancelled: deque[Request] = deque()
        # Held by whoever does a step, and only ever taken without blocking: a handle may be dropped by the
        # garbage collector in the middle of a step, on the thread that does it.
        self._driving = threading.Lock()
        self._progress = threading.Condition()
        self._background: threading.Thread | None = None
        self._starting = threading.Lock()

    def submit(
        self,
        prompt_token_ids: Sequence[int],
        params: SamplingParams,
        *,
        on_progress: Callable[[], None] | None = None,
        max_waiting: int | None = None,
    ) -> Handle:
        """Queue a request; it joins the batch with one of the next steps.

        Parameters
        ----------
        prompt_token_ids : sequence of int
            At least one token, and fewer than the runtime's context holds.
        params : SamplingParams
            `max_tokens` is narrowed to what the context leaves; a row that fills it ends with ``"length"``.
        on_progress : callable, optional
            Called after each step that gave this request events, or ended it, on the thread that did the step.
            It must neither wait nor raise. With it the steps are done in the background: see `Handle.ready`.
        max_waiting : int, optional
            How many requests may wait already.

        Raises
        ------
        ParameterError
            If the prompt is empty or leaves no room for a token, a token id is not in the vocabulary, or n is more
            than `max_rows`.
        QueueFullError
            If `max_waiting` requests wait already.
        """
        if max_waiting is not None and self.waiting_requests >= max_waiting:
            raise QueueFullError(f"{max_waiting} requests wait already")
        prompt = tuple(prompt_token_ids)
        context = self.runtime.context_length
        if not 1 <= len(prompt) < context:
            raise ParameterError(f"prompt_token_ids must hold 1 to {context - 1} tokens, got {len(prompt)}")
        # Checked here, because in the middle of a step it would be too late to raise at the caller.
        self._check_token_ids("prompt_token_ids", prompt)
        self._check_token_ids("logit_bias", params.logit_bias or ())
        self._check_token_ids("stop_token_ids", params.stop_token_ids)
        if params.n > self.max_rows:
            raise ParameterError(f"n must be at most max_rows, {self.max_rows}, got {params.n}")
        room = context - len(prompt)
        request = Request(prompt, params.limited(room), on_progress)
        handle = Handle(self, request)
        self._waiting.append(request)
        if on_progress is not None:
            self._run_in_background()
        return handle

    def _check_token_ids(self, name: str, token_ids: Collection[int]) -> None:
        vocab_size = self.runtime.vocab_size
        if token_ids and not (min(token_ids) >= 0 and max(token_ids) < vocab_size):
            wrong = next(token_id for token_id in token_ids if not 0 <= token_id < vocab_size)
            raise ParameterError(f"{name} must lie in [0, {vocab_size}), got {wrong}")

    def cancel(self, handle: Handle) -> None:
        """Drop a request; does nothing to one that is over. Never waits for a step in progress."""
        request = handle._request
        if request.over:
            return
        request.cancelled = True
        self._cancelled.append(request)
        if self._driving.acquire(blocking=False):
            self._stop_driving()
        # Otherwise whoever drives looks at the list after letting go.

    def step(self) -> bool:
        """Give one token to each running row, and let one waiting request join.

        Returns
        -------
        bool
            False when another thread was at work and nothing was done here.
        """
        if not self._driving.acquire(blocking=False):
            return False
        try:
            self._drop_cancelled()
            if self._rows:
                self._decode()
                self._drop_cancelled()  # a prompt that nobody waits for any more need not be read
            # One prompt a step: a crowd of newcomers must not keep the running rows waiting.
            if self._waiting:
                self._announce()
            # Nothing may come between these two: what is in neither list would be lost.
            newcomer = self._next_waiting()
            if newcomer is not None:
                self._admit(newcomer)
        finally:
            self._stop_driving()
        return True

    @property
    def max_rows(self) -> int:
        """The most rows that run at a time; never more than the runtime holds."""
        return self._max_rows

    @max_rows.setter
    def max_rows(self, value: int) -> None:
        self._max_rows = value if self._most_rows is None else min(value, self._most_rows)

    @property
    def running_rows(self) -> int:
        """Rows in the batch now."""
        return len(self._rows)

    @property
    def waiting_requests(self) -> int:
        """Requests whose prompt has not been read yet."""
        # Those that were cancelled leave with the step in progress, which may take long.
        return sum(not request.cancelled for request in self._waiting.copy())

    def _wait(self, request: Request) -> None:
        """Return when `request` has an event or is over, doing the steps that nobody else does."""
        while not (request.events or request.over):
            if self.step():
                continue
            with self._progress:
                # Whoever drives announces its end under this lock, after letting go: no wake-up is missed.
                if self._driving.locked() and not (request.events or request.over):
                    self._progress.wait()

    def _run_in_background(self) -> None:
        """See to it that a thread does the steps until there are none to do."""
        with self._starting:
            if self._background is None:
                thread = threading.Thread(target=self._run, name="nexttoken-engine", daemon=True)
                thread.start()  # where there is no room for a thread, this raises, and the next request tries again
                self._background = thread

    def _run(self) -> None:
        while True:
            try:
                stepped = self.step()
            except BaseException:
                # The requests that it concerned know already; the others need this thread.
                _log.exception("a step in the background failed")
                stepped = True
            if not stepped:
                with self._progress:
                    if self._driving.locked():
                        self._progress.wait()
            with self._starting:  # whoever comes later finds no thread, and starts one
                if self._is_idle():
                    self._background = None
                    return

    def _is_idle(self) -> bool:
        # Asked between steps: within one, a request may have left the queue and not be among the rows yet.
        if not self._driving.acquire(blocking=False):
            return False
        idle = not (self._rows or self._waiting)
        self._stop_driving()
        return idle

    def _announce(self) -> None:
        with self._progress:
            self._progress.notify_all()

    def _stop_driving(self) -> None:
        # A request cancelled while the lock was held is found after letting go; one cancelled later is
        # dropped by its own canceller. So none is left behind, and nobody waits.
        while True:
            try:
                self._drop_cancelled()
            finally:
                self._driving.release()
                self._announce()
            if not self._cancelled or not self._driving.acquire(blocking=False):
                return

    def _decode(self) -> None:
        running = list(self._rows)
        size = self._batch_size or len(running)
        for start in range(0, len(running), size):
            # A choice of the same request may have failed just now, and this one with it.
            rows = [row for row in running[start : start + size] if row.request.error is None]
            if not rows:
                continue
            with self._failing({row.request for row in rows}):
                # All of them have joined: they have a sequence.
                sequences = [cast(int, row.sequence) for row in rows]
                logits = self.runtime.decode(sequences, [row.token_id for row in rows])
                self._publish(rows, self._draw(rows, logits))

    def _next_waiting(self) -> Request | None:
        """Take the first waiting request that there is room for."""
        room = self.max_rows - len(self._rows)
        passed: list[Request] = []
        for request in self._waiting.copy():  # one step of the interpreter's: others append meanwhile
            if request.params.n <= room or not self._rows:
                for other in passed:
                    other.overtaken += 1
                self._waiting.remove(request)
                return request
            if request.overtaken >= _OVERTAKEN:
                break
            passed.append(request)
        return None

    def _admit(self, request: Request) -> None:
        first = Row(request, 0)
        # Listed before it holds anything: whatever fails from here on, dropping the row gives back what it
        # got.
        self._rows.append(first)
        with self._failing({request}):
            first.sequence, logits = self.runtime.prefill(request.prompt_token_ids)
            first.sampler_row = self._sampler.add(request.params, request.prompt_token_ids)
            request.seed = self._sampler.seed(first.sampler_row)
            rows = [first]
            if request.params.n > 1:
                # Sequence indices 1 .. n-1 of the first row's seed: choice 0 does not depend on n.
                copies = self._sampler.fork(first.sampler_row, request.params.n - 1)
                rows += [Row(request, index, copy) for index, copy in enumerate(copies, 1)]
                self._rows += rows[1:]
            result = self._draw(rows, logits, logits_rows=[0] * len(rows))
            for row, finish_reason in zip(rows[1:], result.finish_reason[1:], strict=True):
                if finish_reason is None:
                    row.sequence = self.runtime.fork(first.sequence)
            self._publish(rows, result)

    def _draw(self, rows: list[Row], logits: Any, logits_rows: list[int] | None = None) -> StepResult:
        return self._sampler.step(
            logits,
            rows=[cast(int, row.sampler_row) for row in rows],
            logits_rows=logits_rows,
        )

    def _publish(self, rows: list[Row], result: StepResult) -> None:
        """Hand out a step's tokens, after freeing the rows that ended: who sees the end may count on that."""
        for bad in np.flatnonzero(result.status):
            row, status = rows[bad], Status(result.status[bad])
            if row.request.error is None:
                self._fail(row.request, f"choice {row.index} cannot go on: {_STATUS_TEXTS.get(status, status.name)}")
        good = [(place, row) for place, row in enumerate(rows) if row.request.error is None]
        shown = {
            place: self._sampler.info(cast(int, row.sampler_row)).shown_bytes
            for place, row in good
            if row.request.params.logprobs is not None
        }
        self._leave([row for place, row in good if result.finish_reason[place] is not None])
        for place, row in good:
            row.take(result, place, shown.get(place))
        for request in {row.request: None for _, row in good}:
            request.tell()

    @contextlib.contextmanager
    def _failing(self, requests: set[Request]) -> Iterator[None]:
        """End `requests` with an error if the body raises: nobody can tell how far the runtime got."""
        try:
            yield
        except BaseException as error:
            for request in requests:
                self._fail(request, f"the model runtime failed: {type(error).__name__}: {error}", error)
            if not isinstance(error, Exception):  # Ctrl-C goes on to whoever drives
                raise

    def _fail(self, request: Request, message: str, cause: BaseException | None = None) -> None:
        failure = GenerationError(message)
        failure.__cause__ = cause
        self._leave([row for row in self._rows if row.request is request])
        request.error = failure
        request.tell()

    def _drop_cancelled(self) -> None:
        while self._cancelled:
            request = self._cancelled.popleft()
            with contextlib.suppress(ValueError):
                self._waiting.remove(request)
            self._leave([row for row in self._rows if row.request is request])

    def _leave(self, rows: list[Row]) -> None:
        gone = {id(row) for row in rows}
        self._rows = [row for row in self._rows if id(row) not in gone]
        for row in rows:
            if row.sampler_row is not None:
                self._sampler.remove(row.sampler_row)
            if row.sequence is not None:
                try:
                    self.runtime.free(row.sequence)
                except Exception as error:  # the answer is whole, so its caller must not suffer for this
                    warnings.warn(f"the runtime could not free a sequence: {error!r}", RuntimeWarning, stacklevel=2)
