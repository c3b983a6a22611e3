"""The messages of a request: roles, contents, names, function calls."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from nexttoken.chat.fields import invalid_type, shown, string
from nexttoken.exceptions import BadRequestError

__all__ = ["ROLES", "Message", "parse_messages"]

ROLES = ("system", "assistant", "user", "function")

Message = dict[str, Any]
"""A checked message: ``role``, ``content`` (a string, or None beside a function call), and what else was
given of ``name`` and ``function_call``."""

_FIELDS = ("role", "content", "name", "function_call")
# Members of today's message objects. Clients hand an answer's message back as it came, with these as nulls.
_LATER_FIELDS = ("annotations", "audio", "refusal", "tool_call_id", "tool_calls")
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")


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
    if not isinstance(value, (list, tuple)):
        raise invalid_type("messages", "an array of objects", value)
    if not value:
        raise BadRequestError(
            "Invalid 'messages': empty array. Expected an array with minimum length 1, but got an empty array instead.",
            param="messages",
            code="empty_array",
        )
    return [_parse_message(index, message) for index, message in enumerate(value)]


def _parse_message(index: int, value: Any) -> Message:
    at = f"messages.[{index}]"
    if not isinstance(value, Mapping):
        if isinstance(value, type) or not hasattr(value, "model_dump"):
            raise invalid_type(at, "an object", value)
        value = value.model_dump(exclude_unset=True)
    for key in value:
        if key not in _FIELDS and not (key in _LATER_FIELDS and _is_empty(value[key])):
            raise BadRequestError(
                f"Additional properties are not allowed ('{shown(key)}' was unexpected) - 'messages.{index}'",
                param=f"{at}.{shown(key)}",
            )
    role = _parse_role(index, value)
    message: Message = {"role": role, "content": None}
    if value.get("function_call") is not None:
        if role != "assistant":
            raise BadRequestError(
                f"Invalid 'function_call': only for messages with role 'assistant' - 'messages.{index}'",
                param=f"{at}.function_call",
            )
        message["function_call"] = _parse_function_call(f"{at}.function_call", value["function_call"])
    content = value.get("content")
    if content is not None or "function_call" not in message:
        if not isinstance(content, str):
            got = "null" if content is None else type(content).__name__
            raise BadRequestError(f"Invalid value for 'content': expected a string, got {got}.", param=f"{at}.content")
        message["content"] = string(f"{at}.content", content)
    name = value.get("name")
    if name is not None:
        if not _NAME.fullmatch(string(f"{at}.name", name)):
            raise BadRequestError(
                f"'{shown(name)}' does not match '^[a-zA-Z0-9_-]{{1,64}}$' - 'messages.{index}.name'",
                param=f"{at}.name",
            )
        message["name"] = name
    elif role == "function":
        raise BadRequestError(
            "Missing parameter 'name': messages with role 'function' must have a 'name'.", param=f"{at}.name"
        )
    return message


def _is_empty(value: object) -> bool:
    # Asked of known types only: an array cannot say whether it is true.
    return value is None or (isinstance(value, (str, list, tuple, dict)) and not value)


def _parse_role(index: int, value: Mapping[str, Any]) -> str:
    role = value.get("role")
    if role is None:
        raise BadRequestError(f"'role' is a required property - 'messages.{index}'", param=f"messages.[{index}].role")
    if not isinstance(role, str) or role not in ROLES:
        raise BadRequestError(
            f"'{shown(role)}' is not one of {list(ROLES)} - 'messages.{index}.role'",
            param=f"messages.[{index}].role",
        )
    return role


def _parse_function_call(at: str, value: Any) -> dict[str, str]:
    if not isinstance(value, Mapping):
        raise invalid_type(at, "an object", value)
    for key in value:
        if key not in ("name", "arguments"):
            raise BadRequestError(
                f"Additional properties are not allowed ('{shown(key)}' was unexpected) - '{at}'", param=at
            )
    for key in ("name", "arguments"):
        if value.get(key) is None:
            raise BadRequestError(f"'{key}' is a required property - '{at}'", param=f"{at}.{key}")
    return {key: string(f"{at}.{key}", value[key]) for key in ("name", "arguments")}
