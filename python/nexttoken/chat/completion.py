"""`chat_completion`: a chat request, answered in this process."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypedDict, overload

from nexttoken.extras import require

if TYPE_CHECKING:
    from openai.types.chat import ChatCompletion, ChatCompletionMessage
    from typing_extensions import Unpack

    from nexttoken.chat.prepare import Prepared
    from nexttoken.chat.stream import AsyncChatCompletionStream, ChatCompletionStream
    from nexttoken.runtimes.base import Runtime

__all__ = ["async_chat_completion", "chat_completion", "create"]

Model: TypeAlias = "str | os.PathLike[str] | Runtime"
Messages: TypeAlias = "Sequence[Mapping[str, Any] | ChatCompletionMessage]"
LogitBias: TypeAlias = "Mapping[str, float] | Mapping[int, float]"


class _Fields(TypedDict, total=False):
    """The optional fields of a request, but for `stream`, which decides what comes back."""

    temperature: float | None
    top_p: float | None
    n: int | None
    stream_options: Mapping[str, bool | None] | None
    stop: str | Sequence[str] | None
    max_completion_tokens: int | None
    max_tokens: int | None
    presence_penalty: float | None
    frequency_penalty: float | None
    logit_bias: LogitBias | None
    logprobs: bool | None
    top_logprobs: int | None
    seed: int | None
    user: str | None
    # Without effect: no other value would be honoured.
    metadata: Mapping[str, str] | None
    prompt_cache_key: str | None
    response_format: Mapping[str, str] | None
    safety_identifier: str | None
    service_tier: Literal["auto", "default"] | None
    store: Literal[False] | None
    tool_choice: Literal["none"] | None


@overload
def chat_completion(
    *, model: Model, messages: Messages, stream: Literal[False] | None = None, **fields: Unpack[_Fields]
) -> ChatCompletion: ...


@overload
def chat_completion(
    *, model: Model, messages: Messages, stream: Literal[True], **fields: Unpack[_Fields]
) -> ChatCompletionStream: ...


@overload
def chat_completion(
    *, model: Model, messages: Messages, stream: bool | None = None, **fields: Unpack[_Fields]
) -> ChatCompletion | ChatCompletionStream: ...


def chat_completion(*, model: Model, messages: Messages, **fields: Any) -> ChatCompletion | ChatCompletionStream:
    """Create a chat completion with a model in this process.

    None stands for the default of every parameter but the first two.

    Parameters
    ----------
    model : str, path or Runtime
        ``"tiny-chat"``, which comes with the library, a directory of model files, or a runtime.
    messages : sequence of mapping
        The conversation so far: each with ``role`` (``system``, ``developer``, ``user``, ``assistant``,
        ``tool`` or ``function``) and ``content``, which is text or a list of text parts. The message of an
        earlier answer may be handed back as it is.
    temperature : float
        0 to 2, default 1. 0 always takes the likeliest token.
    top_p : float
        0 to 1, default 1: draw from the smallest set of likeliest tokens that has this much of the
        probability.
    n : int
        1 to 128, default 1: how many choices to generate. They share the seed and differ all the same.
    stream : bool
        Return the answer in chunks, as it comes.
    stream_options : mapping
        ``{"include_usage": True}``: a last chunk says how many tokens the stream took.
    stop : str or sequence of str
        Up to 4 texts; the answer is cut at the leftmost occurrence of any of them, wherever tokens begin and end.
    max_completion_tokens, max_tokens : int
        Two names of one limit: the most tokens to generate for each choice; by default, as many as the context holds.
    presence_penalty, frequency_penalty : float
        -2 to 2, default 0: taken off the logits of tokens this answer already has, once or per occurrence.
    logit_bias : mapping of token id to float
        -100 to 100, added to the logits. Ids are integers or, as in JSON, decimal strings.
    logprobs : bool
        Say how likely each token of the answer was, to the model itself: before temperature, biases, penalties
        and top_p.
    top_logprobs : int
        0 to 20: and as many of the likeliest tokens in its place.
    seed : int
        Makes the answer repeatable: the same request and seed give the same text. Fresh by default.
    user : str
        Who asks, for your own records: it has no effect.
    metadata, prompt_cache_key, response_format, safety_identifier, service_tier, store, tool_choice
        Taken where they ask for nothing, such as ``store=False`` or ``tool_choice="none"``; they have no
        effect.

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
    ready = _prepare(fields)
    # Imported late, for `import nexttoken` has to be quick and to need NumPy alone.
    from openai.types.chat import ChatCompletion

    from nexttoken.chat.answer import PlainAnswer, StreamedAnswer, gather
    from nexttoken.chat.stream import ChatCompletionStream

    handle = ready.begin()
    if ready.request.stream:
        return ChatCompletionStream(StreamedAnswer(ready), handle)
    return ChatCompletion.model_validate(gather(PlainAnswer(ready), handle))


@overload
async def async_chat_completion(
    *, model: Model, messages: Messages, stream: Literal[False] | None = None, **fields: Unpack[_Fields]
) -> ChatCompletion: ...


@overload
async def async_chat_completion(
    *, model: Model, messages: Messages, stream: Literal[True], **fields: Unpack[_Fields]
) -> AsyncChatCompletionStream: ...


@overload
async def async_chat_completion(
    *, model: Model, messages: Messages, stream: bool | None = None, **fields: Unpack[_Fields]
) -> ChatCompletion | AsyncChatCompletionStream: ...


async def async_chat_completion(
    *, model: Model, messages: Messages, **fields: Any
) -> ChatCompletion | AsyncChatCompletionStream:
    """`chat_completion` for coroutines: nothing that takes long holds up the event loop."""
    ready = await asyncio.to_thread(_prepare, {"model": model, "messages": messages, **fields})
    from openai.types.chat import ChatCompletion

    from nexttoken.chat.answer import PlainAnswer, StreamedAnswer, agather
    from nexttoken.chat.stream import AsyncChatCompletionStream

    handle = ready.begin_async()
    if ready.request.stream:
        return AsyncChatCompletionStream(StreamedAnswer(ready), handle)
    return ChatCompletion.model_validate(await agather(PlainAnswer(ready), handle))


def _prepare(fields: Mapping[str, Any]) -> Prepared:
    for module in ("jinja2", "openai.types.chat"):
        require(module, "chat")
    import openai

    from nexttoken.chat.prepare import prepare

    if isinstance(fields, Mapping):
        # What callers of the official client write for "as if I had not named it".
        absent = (openai.NotGiven, getattr(openai, "Omit", openai.NotGiven))
        fields = {name: value for name, value in fields.items() if not isinstance(value, absent)}
    return prepare(fields)
