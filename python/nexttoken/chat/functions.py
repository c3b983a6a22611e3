"""Function calls and their results, in the form that a model's template shows.

The API of 2023 has `function_call` in an assistant's message and the role `function`; most templates know
`tool_calls` and the role `tool` for the same two things, and some know neither and pass over them without a
word. What a template shows is found out by asking it, once.
"""

from __future__ import annotations

import json
from typing import Any

from nexttoken.chat.messages import Message
from nexttoken.chat.templates import ChatTemplate
from nexttoken.exceptions import BadRequestError

__all__ = ["FunctionMessages"]

_MARK = "\ue000probe"


class FunctionMessages:
    """Rewrites function calls and results for one template."""

    def __init__(self, template: ChatTemplate) -> None:
        self._template = template
        self._call_form: str | None = None
        self._result_role: str | None = None

    def __call__(self, messages: list[Message]) -> list[Message]:
        """The messages as the template knows them; those without functions in them are left alone.

        Raises
        ------
        BadRequestError
            If the template has no place for function results.
        """
        return [self._rewrite(index, message) for index, message in enumerate(messages)]

    def _rewrite(self, index: int, message: Message) -> Message:
        if "function_call" in message:
            self._call_form = self._call_form or self._find_call_form()
            return _with_call(message, self._call_form)
        if message["role"] == "function":
            self._result_role = self._result_role or self._find_result_role()
            if not self._result_role:
                raise BadRequestError(
                    "The model's chat template has no place for messages with role 'function'.",
                    param=f"messages.[{index}].role",
                )
            return {**message, "role": self._result_role}
        return message

    def _find_call_form(self) -> str:
        call = {"name": _MARK, "arguments": "{}"}
        message: Message = {"role": "assistant", "content": None, "function_call": call}
        shown = (form for form in ("function_call", "tool_calls") if self._shows(_with_call(message, form)))
        # Where the template shows neither, the call is said in words: JSON, as models write it.
        return next(shown, "text")

    def _find_result_role(self) -> str | None:
        result = {"name": "f", "content": _MARK}
        return next((role for role in ("function", "tool") if self._shows({"role": role, **result})), None)

    def _shows(self, message: Message) -> bool:
        call = {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}}
        conversation = [{"role": "user", "content": "x"}, message]
        if message["role"] == "tool":  # some templates want to see the call that a result belongs to
            conversation.insert(1, _with_call(call, "tool_calls"))
        try:
            return _MARK in self._template.render(conversation)
        except BadRequestError:
            return False


def _with_call(message: Message, form: str) -> Message:
    """`message` with its call in the given form; templates add contents up, so None becomes ``""``."""
    call = message["function_call"]
    plain = {**message, "content": message["content"] or ""}
    if form == "function_call":
        return plain
    del plain["function_call"]
    if form == "text":
        said = json.dumps(call, ensure_ascii=False)
        plain["content"] = f"{plain['content']}\n{said}" if plain["content"] else said
    else:
        arguments = _parsed(call["arguments"])
        plain["tool_calls"] = [{"type": "function", "function": {"name": call["name"], "arguments": arguments}}]
    return plain


def _parsed(arguments: str) -> Any:
    """Templates print arguments with `tojson`, so they want the object; anything else stays a string."""
    try:
        value = json.loads(arguments)
    except (ValueError, RecursionError):
        return arguments
    return value if isinstance(value, dict) else arguments
