"""From a request's fields to a prompt and the engine that answers it: what all faces of the chat API begin with."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from nexttoken.async_engine import AsyncHandle
from nexttoken.chat import models
from nexttoken.chat.models import ChatModel
from nexttoken.chat.prompt_length import check_roughly
from nexttoken.chat.request import ChatRequest, check_context, check_vocabulary, parse_request
from nexttoken.engine import Handle
from nexttoken.exceptions import BadRequestError, QueueFullError, RateLimitError

__all__ = ["Prepared", "prepare"]


@dataclasses.dataclass(frozen=True)
class Prepared:
    """A request that has been checked against its model and can begin."""

    request: ChatRequest
    model: ChatModel
    token_ids: list[int]

    def begin(self) -> Handle:
        """Submit it; whoever waits for its events does the work."""
        return self.model.engine.submit(self.token_ids, self.request.params)

    def begin_async(self, max_waiting: int | None = None) -> AsyncHandle:
        """Submit it from a coroutine; a thread does the work.

        Raises
        ------
        RateLimitError
            If `max_waiting` requests wait for the model already.
        """
        try:
            return AsyncHandle(self.model.engine, self.token_ids, self.request.params, max_waiting=max_waiting)
        except QueueFullError as error:
            raise RateLimitError(
                "The model is busy: too many requests wait for it. Please try again later.", code="rate_limit_exceeded"
            ) from error


def prepare(fields: Mapping[str, Any], find: Callable[[Any], ChatModel] | None = None) -> Prepared:
    """Check a request and encode its prompt.

    Parameters
    ----------
    fields : mapping
        The request's fields by name, as keyword arguments or a JSON body give them.
    find : callable, optional
        Gives the model that the ``model`` field names, or raises NotFoundError; default: `models.find_model`.

    Raises
    ------
    BadRequestError, NotFoundError
        For the first field found wrong.
    """
    request = parse_request(fields)
    model = (find or models.find_model)(request.model)
    check_vocabulary(request.params, model.runtime.vocab_size)
    if request.params.n > model.engine.max_rows:
        raise BadRequestError(
            f"Invalid 'n': integer above maximum value. Expected a value <= {model.engine.max_rows} with this model, "
            f"but got {request.params.n} instead.",
            param="n",
            code="integer_above_max_value",
        )
    check_roughly(request.messages, model.runtime.tokenizer, model.runtime.context_length)
    token_ids = model.prompts.encode(request.messages)
    check_context(len(token_ids), request.params.max_tokens, model.runtime.context_length)
    return Prepared(request, model, token_ids)
