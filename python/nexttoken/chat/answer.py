"""The plain answer: a request's events gathered into one `ChatCompletion`."""

from __future__ import annotations

import contextlib
import dataclasses
import time
import uuid
from collections.abc import Iterator
from typing import Literal, cast

from openai.types import CompletionUsage
from openai.types.chat import ChatCompletion, ChatCompletionMessage
from openai.types.chat.chat_completion import Choice

from nexttoken.engine import Event, Handle
from nexttoken.exceptions import GenerationError, InternalServerError

__all__ = ["Answer", "FinishReason", "complete"]

FinishReason = Literal["stop", "length"]


@dataclasses.dataclass(frozen=True)
class Answer:
    """A request under way: what every part of its response says, and where the events come from."""

    handle: Handle
    model: str
    choices: int
    prompt_tokens: int
    id: str = dataclasses.field(default_factory=lambda: f"chatcmpl-{uuid.uuid4().hex}")
    created: int = dataclasses.field(default_factory=lambda: int(time.time()))


@contextlib.contextmanager
def server_errors() -> Iterator[None]:
    """A generation that fails is a fault of ours, so the API calls it a server error."""
    try:
        yield
    except GenerationError as error:
        raise InternalServerError(f"The model could not finish this answer: {error}") from error


def finish_reason_of(event: Event) -> FinishReason | None:
    """The event's finish reason, as the response types want it."""
    return cast("FinishReason | None", event.finish_reason)


def complete(answer: Answer) -> ChatCompletion:
    """Wait for the whole answer.

    Returns
    -------
    ChatCompletion
        Contents verbatim; ``completion_tokens`` counts every token drawn, those that ended a choice among
        them.

    Raises
    ------
    InternalServerError
        If the model fails on the way.
    """
    texts: list[list[str]] = [[] for _ in range(answer.choices)]
    reasons: dict[int, FinishReason] = {}
    completion_tokens = 0
    try:
        with server_errors():
            for event in answer.handle:
                completion_tokens += 1
                texts[event.index].append(event.text)
                reason = finish_reason_of(event)
                if reason is not None:
                    reasons[event.index] = reason
    finally:
        answer.handle.close()  # an interrupted caller must not leave its rows running
    return ChatCompletion(
        id=answer.id,
        object="chat.completion",
        created=answer.created,
        model=answer.model,
        choices=[_choice(index, "".join(parts), reasons[index]) for index, parts in enumerate(texts)],
        usage=CompletionUsage(
            prompt_tokens=answer.prompt_tokens,
            completion_tokens=completion_tokens,
            total_tokens=answer.prompt_tokens + completion_tokens,
        ),
    )


def _choice(index: int, content: str, finish_reason: FinishReason) -> Choice:
    message = ChatCompletionMessage(role="assistant", content=content)
    return Choice(index=index, message=message, finish_reason=finish_reason)
