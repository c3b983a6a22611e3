"""Calls in a conversation: `function_call` as in 2023, `tool_calls` as today, and the replies to the latter."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from nexttoken.chat.fields import array, choice, members, require_members, shown, string
from nexttoken.exceptions import BadRequestError

__all__ = ["check_replies", "in_order_of_calls", "parse_function_call", "parse_id", "parse_tool_calls"]

# Longer ones are nobody's, and encoding megabytes of them would hold up others.
_MAX_NAME = 1024

# How many ids a refusal names.
_NAMED = 20


def parse_function_call(param: str, value: Any) -> dict[str, str]:
    """A call's name and its arguments, both text; nobody promises that the arguments are JSON."""
    names = ("name", "arguments")
    given = members(param, value, names)
    require_members(param, given, names)
    return {
        "name": string(f"{param}.name", given["name"], maximum=_MAX_NAME),
        "arguments": string(f"{param}.arguments", given["arguments"]),
    }


def parse_id(param: str, value: Any) -> str:
    """What a reply names its call by."""
    return string(param, value, maximum=_MAX_NAME)


def parse_tool_calls(param: str, value: Any) -> list[dict[str, Any]]:
    """One call or more, each with the id that its reply will name."""
    given = array(param, value, "an array of objects", minimum=1)
    calls = [_parse_tool_call(f"{param}.[{index}]", call) for index, call in enumerate(given)]
    seen: set[str] = set()
    for index, call in enumerate(calls):
        if call["id"] in seen:
            raise BadRequestError(f"Duplicate value for 'id': '{shown(call['id'])}'.", param=f"{param}.[{index}].id")
        seen.add(call["id"])
    return calls


def _parse_tool_call(param: str, value: Any) -> dict[str, Any]:
    names = ("id", "type", "function")
    given = members(param, value, names)
    require_members(param, given, names)
    return {
        "id": parse_id(f"{param}.id", given["id"]),
        "type": choice(f"{param}.type", given["type"], ["function"]),
        "function": parse_function_call(f"{param}.function", given["function"]),
    }


def in_order_of_calls(messages: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The messages with the replies to each message in the order of its calls: many templates show no ids."""
    ordered: list[dict[str, Any]] = []
    places: dict[str, int] = {}
    for are_replies, run in itertools.groupby(messages, lambda message: message["role"] == "tool"):
        group = list(run)
        if are_replies:
            group.sort(key=lambda reply: places.get(reply["tool_call_id"], 0))
        else:
            places = {call["id"]: place for place, call in enumerate(group[-1].get("tool_calls", ()))}
        ordered += group
    return ordered


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
        waiting = [call_id for call_id, done in replied.items() if not done]
        if waiting:
            named = ", ".join(map(shown, waiting[:_NAMED])) + ", ..." * (len(waiting) > _NAMED)
            raise BadRequestError(
                "An assistant message with 'tool_calls' must be followed by tool messages responding to each "
                f"'tool_call_id'. The following tool_call_ids did not have response messages: {named}",
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
