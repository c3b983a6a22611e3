"""A chat request: every field checked, and what cannot be honoured refused by name.

Checked by hand and not by a pydantic model, because the API's own messages, `param` and `code` are the contract.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

from nexttoken.chat.fields import (
    Check,
    array,
    boolean,
    integer,
    invalid_type,
    kind,
    members,
    number,
    shown,
    string,
    unsupported_value,
)
from nexttoken.chat.later_fields import LATER_FIELDS
from nexttoken.chat.messages import Message, parse_messages
from nexttoken.exceptions import BadRequestError
from nexttoken.params import MAX_LOGPROBS, SamplingParams, is_integer

__all__ = ["ChatRequest", "parse_request"]

MAX_CHOICES = 128
MAX_STOPS = 4
MAX_STOP_CHARACTERS = 4096  # of one: each choice keeps tens of bytes for each of them
MAX_TOKEN_ID = 2**31 - 1


@dataclasses.dataclass(frozen=True)
class ChatRequest:
    """A request whose every field has been checked, as far as that needs no model.

    Attributes
    ----------
    params : SamplingParams
        All that shapes the drawing of tokens; `n`, `seed`, `stop`, `max_tokens` and `logprobs` among it.
    stream : bool
        Whether the answer comes in chunks.
    include_usage : bool
        Whether a stream says at its end how many tokens it took.
    logprobs : bool
        Whether the answer says how likely its tokens were. `params.logprobs` is then the number of
        alternatives for each, and None otherwise.
    user : str or None
        Who asks, in the caller's own terms. It has no effect on the answer.
    """

    model: Any
    messages: list[Message]
    params: SamplingParams
    stream: bool
    include_usage: bool
    logprobs: bool
    user: str | None


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
        if not isinstance(name, str) or name not in _FIELDS:
            raise BadRequestError(f"Unrecognized request argument supplied: {shown(name)}")
    for name in _REQUIRED:
        if name not in fields:
            raise BadRequestError(
                f"Missing required parameter: '{name}'.", param=name, code="missing_required_parameter"
            )
    given = {
        name: _FIELDS[name](name, value) for name, value in fields.items() if value is not None or name in _REQUIRED
    }
    _check_combinations(given)
    logprobs = given.get("logprobs", False)
    params = SamplingParams(
        max_tokens=given.get("max_completion_tokens", given.get("max_tokens")),
        logprobs=given.get("top_logprobs", 0) if logprobs else None,
        **{name: given[name] for name in _SAMPLING if name in given},
    )
    return ChatRequest(
        model=given["model"],
        messages=given["messages"],
        params=params,
        stream=given.get("stream", False),
        include_usage=given.get("stream_options", False),
        logprobs=logprobs,
        user=given.get("user"),
    )


def _check_combinations(given: Mapping[str, Any]) -> None:
    for name, switch in _SWITCHES.items():
        if name in given and not given.get(switch):
            raise BadRequestError(f"The '{name}' parameter is only allowed when '{switch}' is enabled.", param=name)
    if "max_tokens" in given and "max_completion_tokens" in given:
        raise BadRequestError(
            "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.",
            param="max_tokens",
            code="invalid_parameter_combination",
        )


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


def _parse_model(param: str, value: Any) -> Any:
    # A path or a runtime is as good as a name, to whoever can say so; text has to be text all the same.
    if value is None or isinstance(value, str):
        return string(param, value)
    return value


def _parse_messages(_: str, value: Any) -> list[Message]:
    return parse_messages(value)


def _parse_stop(param: str, value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        return (string(param, value, minimum=1, maximum=MAX_STOP_CHARACTERS),)
    stops = array(param, value, "a string or an array of strings", maximum=MAX_STOPS)
    return tuple(
        string(f"{param}[{index}]", text, minimum=1, maximum=MAX_STOP_CHARACTERS) for index, text in enumerate(stops)
    )


def _parse_stream_options(param: str, value: Any) -> bool:
    """Whether the usage is to be included, which is all that there is to say."""
    given = {
        name: boolean(f"{param}.{name}", one)
        for name, one in members(param, value, ("include_usage", "include_obfuscation")).items()
    }
    if given.get("include_obfuscation"):
        raise unsupported_value(f"{param}.include_obfuscation", True)
    return given.get("include_usage", False)


def _parse_logit_bias(param: str, value: Any) -> dict[int, float]:
    if not isinstance(value, Mapping):
        raise invalid_type(param, "an object", value)
    biases: dict[int, float] = {}
    for key, bias in value.items():
        token_id = _parse_token_id(key)
        if token_id in biases:  # Python tells 5 from "5", and JSON keys "5" from "05"; the model does not
            raise _invalid_bias_key(key, f"Token {token_id} is given twice.")
        biases[token_id] = number(f"{param}.{token_id}", bias, -100, 100)
    return biases


def _parse_token_id(key: Any) -> int:
    if isinstance(key, str) and re.fullmatch("[0-9]+", key):
        digits = key.lstrip("0") or "0"
        # Python refuses to read thousands of digits; token ids are int32.
        token_id = int(digits) if len(digits) <= 10 else MAX_TOKEN_ID + 1
    elif is_integer(key) and key >= 0:
        token_id = int(key)
    else:
        raise _invalid_bias_key(key, "You should only be submitting non-negative integers.")
    if token_id > MAX_TOKEN_ID:
        raise _invalid_bias_key(key, f"Maximum value is {MAX_TOKEN_ID}.")
    return token_id


def _invalid_bias_key(key: object, why: str) -> BadRequestError:
    return BadRequestError(f"Invalid key in 'logit_bias': {shown(key)}. {why}", param="logit_bias")


def _number(minimum: int, maximum: int) -> Check:
    return lambda param, value: number(param, value, minimum, maximum)


def _integer(minimum: int, maximum: int) -> Check:
    return lambda param, value: integer(param, value, minimum, maximum)


_REQUIRED = ("model", "messages")

# What `SamplingParams` knows by the same name.
_SAMPLING: dict[str, Check] = {
    "temperature": _number(0, 2),
    "top_p": _number(0, 1),
    "n": _integer(1, MAX_CHOICES),
    "stop": _parse_stop,
    "presence_penalty": _number(-2, 2),
    "frequency_penalty": _number(-2, 2),
    "logit_bias": _parse_logit_bias,
    "seed": _integer(-(2**63), 2**63 - 1),
}

_FIELDS: dict[str, Check] = {
    "model": _parse_model,
    "messages": _parse_messages,
    **_SAMPLING,
    "max_tokens": _integer(1, 2**62),
    "max_completion_tokens": _integer(1, 2**62),
    "logprobs": boolean,
    "top_logprobs": _integer(0, MAX_LOGPROBS),
    "stream": boolean,
    "stream_options": _parse_stream_options,
    "user": string,
    **LATER_FIELDS,
}

# Fields that mean nothing unless another is true.
_SWITCHES = {"stream_options": "stream", "top_logprobs": "logprobs"}
