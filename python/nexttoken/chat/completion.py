"""`chat_completion`: a chat request, answered in this process."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, overload

from nexttoken.chat.request import check_context, check_vocabulary, parse_request
from nexttoken.extras import require

if TYPE_CHECKING:
    from openai.types.chat import ChatCompletion, ChatCompletionMessage

    from nexttoken.chat.stream import ChatCompletionStream
    from nexttoken.runtimes.base import Runtime

__all__ = ["chat_completion", "create"]

Model: TypeAlias = "str | os.PathLike[str] | Runtime"
Messages: TypeAlias = "Sequence[Mapping[str, Any] | ChatCompletionMessage]"
LogitBias: TypeAlias = "Mapping[str, float] | Mapping[int, float]"


@overload
def chat_completion(
    *,
    model: Model,
    messages: Messages,
    temperature: float | None = None,
    top_p: float | None = None,
    n: int | None = None,
    stream: Literal[False] | None = None,
    stop: str | Sequence[str] | None = None,
    max_tokens: int | None = None,
    presence_penalty: float | None = None,
    frequency_penalty: float | None = None,
    logit_bias: LogitBias | None = None,
    user: str | None = None,
    seed: int | None = None,
) -> ChatCompletion: ...


@overload
def chat_completion(
    *,
    model: Model,
    messages: Messages,
    temperature: float | None = None,
    top_p: float | None = None,
    n: int | None = None,
    stream: Literal[True],
    stop: str | Sequence[str] | None = None,
    max_tokens: int | None = None,
    presence_penalty: float | None = None,
    frequency_penalty: float | None = None,
    logit_bias: LogitBias | None = None,
    user: str | None = None,
    seed: int | None = None,
) -> ChatCompletionStream: ...


@overload
def chat_completion(
    *,
    model: Model,
    messages: Messages,
    temperature: float | None = None,
    top_p: float | None = None,
    n: int | None = None,
    stream: bool | None = None,
    stop: str | Sequence[str] | None = None,
    max_tokens: int | None = None,
    presence_penalty: float | None = None,
    frequency_penalty: float | None = None,
    logit_bias: LogitBias | None = None,
    user: str | None = None,
    seed: int | None = None,
) -> ChatCompletion | ChatCompletionStream: ...


def chat_completion(*, model: Model, messages: Messages, **fields: Any) -> ChatCompletion | ChatCompletionStream:
    """Create a chat completion with a model in this process.

    None stands for the default of every parameter but the first two.

    Parameters
    ----------
    model : str, path or Runtime
        ``"tiny-chat"``, which comes with the library, a directory of model files, or a runtime.
    messages : sequence of mapping
        The conversation so far: each with ``role`` (``system``, ``user``, ``assistant`` or ``function``) and
        ``content``. The message of an earlier answer may be handed back as it is.
    temperature : float
        0 to 2, default 1. 0 always takes the likeliest token.
    top_p : float
        0 to 1, default 1: draw from the smallest set of likeliest tokens that has this much of the
        probability.
    n : int
        1 to 128, default 1: how many choices to generate. They share the seed and differ all the same.
    stream : bool
        Return the answer in chunks, as it comes.
    stop : str or sequence of str
        Up to 4 texts; the answer is cut at the leftmost occurrence of any of them, wherever tokens begin and end.
    max_tokens : int
        The most tokens to generate for each choice; by default, as many as the context holds.
    presence_penalty, frequency_penalty : float
        -2 to 2, default 0: taken off the logits of tokens this answer already has, once or per occurrence.
    logit_bias : mapping of token id to float
        -100 to 100, added to the logits. Ids are integers or, as in JSON, decimal strings.
    user : str
        Who asks, for your own records: it has no effect.
    seed : int
        Makes the answer repeatable: the same request and seed give the same text. Fresh by default.

    Returns
    -------
    ChatCompletion or ChatCompletionStream
        The official client's own types; with ``stream=True``, an iterator of its `ChatCompletionChunk`.

    Raises
    ------
    BadRequestError
        For a parameter that is unknown or not as described; at the call, also when streaming.
    NotFoundError
        For a model that does not exist.
    InternalServerError
        If the model fails on the way.
    MissingExtraError
        If the packages of the `chat` extra are not installed.

    Examples
    --------
    >>> from nexttoken.runtimes.scripted import ScriptedRuntime
    >>> answer = chat_completion(
    ...     model=ScriptedRuntime(["Hello there!"]), messages=[{"role": "user", "content": "Hello!"}]
    ... )
    >>> answer.choices[0].message.content
    'Hello there!'
    """
    return create({"model": model, "messages": messages, **fields})


def create(fields: Mapping[str, Any]) -> ChatCompletion | ChatCompletionStream:
    """`chat_completion` for fields that came as a mapping, such as a request's JSON body.

    Parameters
    ----------
    fields : mapping
        The request's fields by name. ``model`` and ``messages`` may be missing: that, too, is a
        `BadRequestError`, and so are fields that are no mapping.
    """
    for module in ("jinja2", "openai.types.chat"):
        require(module, "chat")
    # Imported late, for `import nexttoken` has to be quick and to need NumPy alone.
    from nexttoken.chat.answer import Answer, complete
    from nexttoken.chat.models import find_model
    from nexttoken.chat.stream import ChatCompletionStream

    request = parse_request(fields)
    model = find_model(request.model)
    runtime, params = model.runtime, request.params
    check_vocabulary(params, runtime.vocab_size)
    prompt = model.prompts.encode(request.messages)
    check_context(len(prompt), params.max_tokens, runtime.context_length)
    answer = Answer(model.engine.submit(prompt, params), model.name, params.n, len(prompt))
    return ChatCompletionStream(answer) if request.stream else complete(answer)
