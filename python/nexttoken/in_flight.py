"""What the engine knows of a request while it runs: its choices, and the events that it has had so far."""

from __future__ import annotations

import dataclasses
import logging
from collections import deque
from collections.abc import Callable

from nexttoken.exceptions import GenerationError
from nexttoken.params import SamplingParams
from nexttoken.sampler import FinishReason, StepResult

__all__ = ["Event", "Request", "Row"]

_log = logging.getLogger("nexttoken.engine")


@dataclasses.dataclass(frozen=True, slots=True)
class Event:
    """One token of one choice.

    Attributes
    ----------
    index : int
        Which of the request's n choices.
    token_id : int
        The token drawn.
    text : str
        Text that is certain now; may be empty, because a stop string or a character may be half complete.
    finish_reason : str or None
        ``"stop"`` or ``"length"`` in the last event of a choice, else None.
    logprob : float or None
        Of the token, where the request asked for `logprobs`.
    top_logprobs : tuple of (int, float)
        The best tokens and their logprobs, best first, as many as the request asked for.
    shown_bytes : int or None
        With logprobs: how many of the bytes of the choice's tokens its text covers so far, see `RowInfo`.
    """

    index: int
    token_id: int
    text: str
    finish_reason: FinishReason | None
    logprob: float | None = None
    top_logprobs: tuple[tuple[int, float], ...] = ()
    shown_bytes: int | None = None


@dataclasses.dataclass(slots=True)
class Row:
    """One choice while it runs: its row in the sampler, its sequence in the runtime, the token to feed."""

    request: Request
    index: int
    sampler_row: int | None = None
    sequence: int | None = None
    token_id: int = -1

    def take(self, result: StepResult, place: int, shown_bytes: int | None) -> None:
        """Make the event of what a step drew for this row, and remember it."""
        request = self.request
        self.token_id = int(result.token_ids[place])
        finish_reason = result.finish_reason[place]
        text = result.text[place] if result.text else ""
        logprobs = _logprobs(result, place, request.params.logprobs)
        request.events.append(Event(self.index, self.token_id, text, finish_reason, *logprobs, shown_bytes))
        if finish_reason is not None:
            request.unfinished -= 1


class Request:
    """What the engine keeps of a request. It does not point to the handle, so that one can be dropped."""

    def __init__(
        self, prompt_token_ids: tuple[int, ...], params: SamplingParams, on_progress: Callable[[], None] | None
    ) -> None:
        self.prompt_token_ids = prompt_token_ids
        self.params = params
        self.on_progress = on_progress
        self.overtaken = 0
        self.seed: int | None = params.seed
        self.events: deque[Event] = deque()
        self.unfinished = params.n
        self.error: GenerationError | None = None
        self.cancelled = False

    def tell(self) -> None:
        """Call `on_progress`, if there is one."""
        if self.on_progress is not None:
            try:
                self.on_progress()
            except Exception:  # its own fault, and nobody else's
                _log.exception("on_progress failed")

    @property
    def over(self) -> bool:
        """Whether no event will come that is not there already."""
        return self.unfinished == 0 or self.error is not None or self.cancelled


def _logprobs(result: StepResult, place: int, count: int | None) -> tuple[float | None, tuple[tuple[int, float], ...]]:
    """An event's `logprob` and `top_logprobs`; the arrays are as wide as the row that asked for most."""
    if count is None or result.logprobs is None:
        return None, ()
    pairs = zip(result.top_token_ids[place, :count], result.top_logprobs[place, :count], strict=True)
    return float(result.logprobs[place]), tuple((int(token), float(value)) for token, value in pairs if token >= 0)
