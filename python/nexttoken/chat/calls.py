"""Calls in a conversation: `function_call` as in 2023, `tool_calls` as today, and the replies to the latter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nexttoken.chat.fields import array, choice, members, require_members, shown, string
from nexttoken.exceptions import BadRequestError

__all__ = ["check_replies", "parse_function_call", "parse_tool_calls"]


def parse_function_call(param: str, value: Any) -> dict[str, str]:
    """A call's name and its arguments, both text; nobody promises that the arguments are JSON."""
    names = ("name", "arguments")
    given = members(param, value, names)
    require_members(param, given, names)
    return {name: string(f"{param}.{name}", given[name]) for name in names}


def parse_tool_calls(param: str, value: Any) -> list[dict[str, Any]]:
    """One call or more, each with the id that its reply will name."""
    calls = array(param, value, "an array of objects", minimum=1)
    return [_parse_tool_call(f"{param}.[{index}]", call) for index, call in enumerate(calls)]


def _parse_tool_call(param: str, value: Any) -> dict[str, Any]:
    names = ("id", "type", "function")
    given = members(param, value, names)
    require_members(param, given, names)
    return {
        "id": string(f"{param}.id", given["id"]),
        "type": choice(f"{param}.type", given["type"], ["function"]),
        "function": parse_function_call(f"{param}.function", given["function"]),
    }


def check_replies(messages: Sequence[Mapping[str, Any]]) -> None:
    """Refuse a reply without its call, and calls without their replies, which follow them at once.

    Raises
    ------
    BadRequestError
        Naming the first message that is not answered, or that answers nothing.
    """
    caller = -1
    replied: dict[str, bool] = {}  # the ids that the message at `caller` calls by

    def leave_caller() -> None:
        waiting = [shown(call_id) for call_id, done in replied.items() if not done]
        if waiting:
            raise BadRequestError(
                "An assistant message with 'tool_calls' must be followed by tool messages responding to each "
                f"'tool_call_id'. The following tool_call_ids did not have response messages: {', '.join(waiting)}",
                param=f"messages.[{caller}].tool_calls",
            )

    for index, message in enumerate(messages):
        if message["role"] != "tool":
            leave_caller()
            caller, replied = index, {call["id"]: False for call in message.get("tool_calls", ())}
        elif not replied:
            raise BadRequestError(
                "Invalid parameter: messages with role 'tool' must be a response to a preceeding message with "
                "'tool_calls'.",
                param=f"messages.[{index}].role",
            )
        elif message["tool_call_id"] not in replied:
            raise BadRequestError(
                f"Invalid parameter: 'tool_call_id' of '{shown(message['tool_call_id'])}' not found in 'tool_calls' "
                "of previous message.",
                param=f"messages.[{index}].tool_call_id",
            )
        else:
            replied[message["tool_call_id"]] = True
    leave_caller()
