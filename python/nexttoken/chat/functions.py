"""Calls and their results, in the form that a model's template shows.

The API of 2023 has `function_call` in an assistant's message and the role `function`, today's has `tool_calls` and the
role `tool`; a template may know either, both, or pass over them without a word. What it shows is found out by asking
it, once.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping
from typing import Any

from nexttoken.chat.calls import in_order_of_calls
from nexttoken.chat.messages import Message
from nexttoken.chat.templates import ChatTemplate
from nexttoken.exceptions import BadRequestError

__all__ = ["FunctionMessages"]

Calls = list[dict[str, Any]]

_MARK = "\ue000probe"
# What a call of 2023 has no id for; nine letters and digits, because some templates insist on that.
_ID = "call00000"
_PROBE = {"id": _ID, "type": "function", "function": {"name": _MARK, "arguments": '{"key": 1}'}}
_PRINTED = str({"key": 1})


class FunctionMessages:
    """Rewrites calls and results for one template."""

    def __init__(self, template: ChatTemplate) -> None:
        self._template = template

    def __call__(self, messages: list[Message]) -> list[Message]:
        """The messages as the template knows them; those without calls or results in them are left alone.

        Raises
        ------
        BadRequestError
            If the template has no place for results.
        """
        names: dict[str, str] = {}
        rewritten = []
        for index, message in enumerate(in_order_of_calls(messages)):
            calls = _calls(message)
            names.update((call["id"], call["function"]["name"]) for call in calls)
            if calls:
                message = self._with_calls(message, calls)
            elif message["role"] in _RESULT_ROLES:
                message = self._as_result(index, message, names)
            rewritten.append(message)
        return rewritten

    def _with_calls(self, message: Message, calls: Calls) -> Message:
        wanted = _FORMS_OF_2023 if "function_call" in message else _FORMS_OF_TODAY
        form = next((form for form in wanted if form in self._call_forms and _fits(form, calls)), "words")
        return _rewritten(message, calls, form)

    def _as_result(self, index: int, message: Message, names: Mapping[str, str]) -> Message:
        role = next((role for role in _RESULT_ROLES[message["role"]] if role in self._result_roles), None)
        if role is None:
            raise BadRequestError(
                f"The model's chat template has no place for messages with role '{message['role']}'.",
                param=f"messages.[{index}].role",
            )
        result = {**message, "role": role}
        call_id = result.pop("tool_call_id", _ID)
        if "name" not in result and call_id in names:
            result["name"] = names[call_id]
        return result if role == "function" else {**result, "tool_call_id": call_id}

    @functools.cached_property
    def _call_forms(self) -> frozenset[str]:
        """The forms of a call that the template shows."""
        message = {"role": "assistant", "content": None}
        return frozenset(form for form in _FORMS if self._shows([_rewritten(message, [_PROBE], form)]))

    @functools.cached_property
    def _result_roles(self) -> frozenset[str]:
        """The roles of a result that the template shows; some want to see the call that it belongs to."""
        call = {"role": "assistant", "content": None, "tool_calls": [_PROBE]}
        before = self._with_calls(call, [{**_PROBE, "function": {"name": "f", "arguments": "{}"}}])
        result = {"name": "f", "content": _MARK, "tool_call_id": _ID}
        return frozenset(role for role in _RESULT_ROLES if self._shows([before, {"role": role, **result}]))

    def _shows(self, messages: list[Message]) -> bool:
        try:
            text = self._template.render([{"role": "user", "content": "x"}, *messages])
        except BadRequestError:
            return False
        # Arguments that come out as Python's own notation were meant to come in as text.
        return _MARK in text and _PRINTED not in text


def _calls(message: Message) -> Calls:
    if "function_call" in message:
        return [{"id": _ID, "type": "function", "function": message["function_call"]}]
    return list(message.get("tool_calls", ()))


def _fits(form: str, calls: Calls) -> bool:
    return len(calls) == 1 or form != "function_call"


def _rewritten(message: Message, calls: Calls, form: str) -> Message:
    """`message` with its calls in the given form; templates add contents up, so None becomes ``""``."""
    plain = {name: value for name, value in message.items() if name not in ("function_call", "tool_calls")}
    plain["content"] = plain["content"] or ""
    if form != "words":
        return {**plain, **_FORMS[form](calls)}
    # Where the template shows no call, it is said as JSON, as models write it.
    said = [json.dumps(call["function"], ensure_ascii=False) for call in calls]
    return {**plain, "content": "\n".join(filter(None, [plain["content"], *said]))}


def _parsed(call: dict[str, Any]) -> dict[str, Any]:
    """Most templates print arguments with `tojson` or one by one: they want an object. What is none stays text."""
    function = call["function"]
    try:
        arguments = json.loads(function["arguments"])
        json.dumps(arguments, ensure_ascii=False).encode()  # escapes may spell half of a surrogate pair
    except (ValueError, RecursionError):
        return call
    return {**call, "function": {**function, "arguments": arguments}} if isinstance(arguments, dict) else call


_FORMS: dict[str, Callable[[Calls], dict[str, Any]]] = {
    "function_call": lambda calls: {"function_call": calls[0]["function"]},
    "tool_calls": lambda calls: {"tool_calls": [_parsed(call) for call in calls]},
    "tool_calls_as_text": lambda calls: {"tool_calls": calls},
}
_FORMS_OF_2023 = ("function_call", "tool_calls", "tool_calls_as_text")
_FORMS_OF_TODAY = ("tool_calls", "tool_calls_as_text", "function_call")
_RESULT_ROLES = {"function": ("function", "tool"), "tool": ("tool", "function")}
