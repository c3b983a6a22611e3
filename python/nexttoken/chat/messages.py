"""The messages of a request: roles, contents, names, and which message is at fault."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from nexttoken.chat.calls import check_replies, parse_function_call, parse_id, parse_tool_calls
from nexttoken.chat.fields import (
    array,
    choice,
    members,
    path,
    require_members,
    shown,
    string,
    unsupported,
)
from nexttoken.exceptions import BadRequestError

__all__ = ["ROLES", "Message", "parse_messages"]

ROLES = ("system", "assistant", "user", "function", "tool", "developer")

Message = dict[str, Any]
"""A checked message: ``role``, ``content`` (a string, or None beside a call), and what else was given of
``name``, ``function_call``, ``tool_calls`` and ``tool_call_id``."""

_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_ONLY_FOR = {"function_call": "assistant", "tool_calls": "assistant", "tool_call_id": "tool"}
_REQUIRED = {"function": "name", "tool": "tool_call_id"}
# Clients hand an answer's message back as it came, with these as nulls or empty.
_UNSUPPORTED = ("annotations", "audio", "refusal")


def parse_messages(value: object) -> list[Message]:
    """Check the `messages` of a request.

    Parameters
    ----------
    value : object
        A list of mappings; objects with `model_dump`, such as an earlier answer's message, count as mappings.

    Raises
    ------
    BadRequestError
        Naming the message by its index.
    """
    given = array("messages", value, "an array of objects", minimum=1)
    messages = [_parse_message(f"messages.[{index}]", message) for index, message in enumerate(given)]
    check_replies(messages)
    return messages


def _parse_message(at: str, value: Any) -> Message:
    given = members(at, value, ("role", *_MEMBERS, *_UNSUPPORTED))
    role = _parse_role(at, given)
    for name in _UNSUPPORTED:
        if not _is_empty(given.get(name)):
            raise unsupported(f"{at}.{name}")
    for name, owner in _ONLY_FOR.items():
        if name in given and role != owner:
            raise BadRequestError(
                f"Invalid '{name}': only for messages with role '{owner}' - '{path(at)}'", param=f"{at}.{name}"
            )
    if "content" not in given and "function_call" not in given and "tool_calls" not in given:
        raise BadRequestError("Invalid value for 'content': expected a string, got null.", param=f"{at}.content")
    needed = _REQUIRED.get(role)
    if needed and needed not in given:
        raise BadRequestError(
            f"Missing parameter '{needed}': messages with role '{role}' must have a '{needed}'.",
            param=f"{at}.{needed}",
        )
    parsed = {name: parse(f"{at}.{name}", given[name]) for name, parse in _MEMBERS.items() if name in given}
    if "function_call" in parsed and "tool_calls" in parsed:
        raise BadRequestError(
            f"Setting 'function_call' and 'tool_calls' at the same time is not supported - '{path(at)}'",
            param=f"{at}.function_call",
            code="invalid_parameter_combination",
        )
    return {"role": role, "content": None, **parsed}


def _is_empty(value: object) -> bool:
    # Asked of known types only: an array cannot say whether it is true.
    return value is None or (isinstance(value, (str, list, tuple, dict)) and not value)


def _parse_role(at: str, given: Mapping[str, Any]) -> str:
    require_members(at, given, ["role"])
    role = given["role"]
    if not isinstance(role, str) or role not in ROLES:
        raise BadRequestError(f"'{shown(role)}' is not one of {list(ROLES)} - '{path(at)}.role'", param=f"{at}.role")
    return role


def _parse_content(param: str, value: Any) -> str:
    """A string, or parts of text, which lines join as in vLLM and llama.cpp."""
    if isinstance(value, str):
        return string(param, value)
    parts = array(param, value, "a string or an array of text parts", minimum=1)
    return "\n".join(_parse_part(f"{param}.[{index}]", part) for index, part in enumerate(parts))


def _parse_part(param: str, value: Any) -> str:
    # The type first: what else a part may have depends on it, and the type is what is wrong with an image.
    if isinstance(value, Mapping) and isinstance(value.get("type"), str):
        choice(f"{param}.type", value["type"], ["text"])
    given = members(param, value, ("type", "text"))
    require_members(param, given, ["type", "text"])
    choice(f"{param}.type", given["type"], ["text"])
    return string(f"{param}.text", given["text"])


def _parse_name(param: str, value: Any) -> str:
    if not _NAME.fullmatch(string(param, value)):
        raise BadRequestError(
            f"'{shown(value)}' does not match '^[a-zA-Z0-9_-]{{1,64}}$' - '{path(param)}'", param=param
        )
    return str(value)


_MEMBERS: dict[str, Callable[[str, Any], Any]] = {
    "content": _parse_content,
    "name": _parse_name,
    "function_call": parse_function_call,
    "tool_calls": parse_tool_calls,
    "tool_call_id": parse_id,
}
