"""A chat request: the fields of the 2023 document and `seed`, each checked, the rest refused by name.

Checked by hand and not by a pydantic model, because the API's own messages, `param` and `code` are the contract.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping
from typing import Any

from nexttoken.chat.fields import boolean, integer, invalid_type, kind, number, shown, string
from nexttoken.chat.messages import Message, parse_messages
from nexttoken.exceptions import BadRequestError
from nexttoken.params import SamplingParams

__all__ = ["ChatRequest", "parse_request"]

MAX_CHOICES = 128
MAX_STOPS = 4
MAX_TOKEN_ID = 2**31 - 1


@dataclasses.dataclass(frozen=True)
class ChatRequest:
    """A request whose every field has been checked, as far as that needs no model.

    Attributes
    ----------
    params : SamplingParams
        All that shapes the drawing of tokens; `n`, `seed`, `stop` and `max_tokens` among it.
    user : str or None
        Who asks, in the caller's own terms. It has no effect on the answer.
    """

    model: Any
    messages: list[Message]
    params: SamplingParams
    stream: bool
    user: str | None
    include_usage: bool = False
    logprobs: bool = False


def parse_request(fields: Mapping[str, Any]) -> ChatRequest:
    """Check the fields of a request. None stands for the default, except in `model` and `messages`.

    Parameters
    ----------
    fields : mapping
        Names and values, as a JSON body or keyword arguments give them. What `model` may be, the caller
        decides.

    Raises
    ------
    BadRequestError
        For the first field found wrong.
    """
    if not isinstance(fields, Mapping):
        raise BadRequestError(
            f"Invalid type for the request: expected an object, but got {kind(fields)} instead.", code="invalid_type"
        )
    for name in fields:
        if name not in _FIELDS:
            raise BadRequestError(f"Unrecognized request argument supplied: {shown(name)}")
    for name in ("model", "messages"):
        if name not in fields:
            raise BadRequestError(
                f"Missing required parameter: '{name}'.", param=name, code="missing_required_parameter"
            )
    if fields["model"] is None:
        raise invalid_type("model", "a string", None)
    given = {name: value for name, value in fields.items() if value is not None}
    messages = parse_messages(fields["messages"])
    stream = boolean("stream", given.get("stream", False))
    user = string("user", given["user"]) if "user" in given else None
    sampling = {name: parse(given[name]) for name, parse in _SAMPLING.items() if name in given}
    return ChatRequest(fields["model"], messages, SamplingParams(**sampling), stream, user)


def check_vocabulary(params: SamplingParams, vocab_size: int) -> None:
    """Refuse biases on tokens that the model does not have.

    Raises
    ------
    BadRequestError
        Naming the first such token.
    """
    for token_id in params.logit_bias or ():
        if token_id >= vocab_size:
            raise _invalid_bias_key(token_id, f"Maximum value is {vocab_size - 1}.")


def check_context(prompt_tokens: int, max_tokens: int | None, context_length: int) -> None:
    """Refuse a prompt that does not fit the model's context together with the answer asked for.

    Raises
    ------
    BadRequestError
        With code ``context_length_exceeded``.
    """
    if prompt_tokens > context_length:
        what = f"your messages resulted in {prompt_tokens} tokens. Please reduce the length of the messages."
    elif max_tokens is not None and prompt_tokens + max_tokens > context_length:
        what = (
            f"you requested {shown(prompt_tokens + max_tokens)} tokens ({prompt_tokens} in the messages, "
            f"{shown(max_tokens)} in the completion). Please reduce the length of the messages or completion."
        )
    elif prompt_tokens == context_length:
        what = (
            f"your messages resulted in {prompt_tokens} tokens, which leaves no room for a completion. "
            "Please reduce the length of the messages."
        )
    else:
        return
    raise BadRequestError(
        f"This model's maximum context length is {context_length} tokens. However, {what}",
        param="messages",
        code="context_length_exceeded",
    )


def _parse_stop(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        return (_parse_stop_string("stop", value),)
    if not isinstance(value, (list, tuple)):
        raise invalid_type("stop", "a string or an array of strings", value)
    if len(value) > MAX_STOPS:
        raise BadRequestError(
            f"Invalid 'stop': array too long. Expected an array with maximum length {MAX_STOPS}, "
            f"but got an array with length {len(value)} instead.",
            param="stop",
            code="array_above_max_length",
        )
    return tuple(_parse_stop_string(f"stop[{index}]", text) for index, text in enumerate(value))


def _parse_stop_string(param: str, value: Any) -> str:
    text = string(param, value)
    if not text:
        raise BadRequestError(
            f"Invalid '{param}': string too short. Expected a string with minimum length 1, "
            "but got an empty string instead.",
            param=param,
            code="string_below_min_length",
        )
    return text


def _parse_logit_bias(value: Any) -> dict[int, float]:
    if not isinstance(value, Mapping):
        raise invalid_type("logit_bias", "an object", value)
    biases: dict[int, float] = {}
    for key, bias in value.items():
        token_id = _parse_token_id(key)
        if token_id in biases:  # Python tells 5 from "5", and JSON keys "5" from "05"; the model does not
            raise _invalid_bias_key(key, f"Token {token_id} is given twice.")
        biases[token_id] = number(f"logit_bias.{token_id}", bias, -100, 100)
    return biases


def _parse_token_id(key: Any) -> int:
    if isinstance(key, str) and re.fullmatch("[0-9]+", key):
        digits = key.lstrip("0") or "0"
        # Python refuses to read thousands of digits; token ids are int32.
        token_id = int(digits) if len(digits) <= 10 else MAX_TOKEN_ID + 1
    elif kind(key) == "an integer" and key >= 0:
        token_id = int(key)
    else:
        raise _invalid_bias_key(key, "You should only be submitting non-negative integers.")
    if token_id > MAX_TOKEN_ID:
        raise _invalid_bias_key(key, f"Maximum value is {MAX_TOKEN_ID}.")
    return token_id


def _invalid_bias_key(key: object, why: str) -> BadRequestError:
    return BadRequestError(f"Invalid key in 'logit_bias': {shown(key)}. {why}", param="logit_bias")


_SAMPLING: dict[str, Callable[[Any], Any]] = {
    "temperature": lambda value: number("temperature", value, 0, 2),
    "top_p": lambda value: number("top_p", value, 0, 1),
    "n": lambda value: integer("n", value, 1, MAX_CHOICES),
    "stop": _parse_stop,
    "max_tokens": lambda value: integer("max_tokens", value, 1, 2**62),
    "presence_penalty": lambda value: number("presence_penalty", value, -2, 2),
    "frequency_penalty": lambda value: number("frequency_penalty", value, -2, 2),
    "logit_bias": _parse_logit_bias,
    "seed": lambda value: integer("seed", value, -(2**63), 2**63 - 1),
}

_FIELDS = frozenset(_SAMPLING) | {"model", "messages", "stream", "user"}
