"""Calls of tools in a conversation: what a call and its reply must have, and that each has the other."""

from __future__ import annotations

import numpy as np
import pytest
from openai.types.chat import ChatCompletionMessage

from nexttoken.chat.messages import parse_messages
from nexttoken.exceptions import BadRequestError

USER = {"role": "user", "content": "x"}
FUNCTION = {"name": "weather", "arguments": '{"town": "Ulm"}'}


def call(call_id):
    return {"id": call_id, "type": "function", "function": FUNCTION}


def calls(*ids, **members):
    return {"role": "assistant", "content": None, "tool_calls": [call(call_id) for call_id in ids], **members}


def reply(call_id, **members):
    return {"role": "tool", "content": "21", "tool_call_id": call_id, **members}


def refused(*messages):
    with pytest.raises(BadRequestError) as caught:
        parse_messages(list(messages))
    return caught.value


def refused_call(**members):
    """The refusal of the second call of the second message, which is otherwise right."""
    return refused(USER, calls("a", tool_calls=[call("a"), {**call("b"), **members}]), reply("a"), reply("b"))


@pytest.mark.parametrize(
    "replies",
    [["a", "b"], ["b", "a"], ["a", "b", "a"]],
    ids=["in order", "in another order", "one of them twice"],
)
def test_calls_and_their_replies(replies):
    conversation = [USER, calls("a", "b"), *map(reply, replies), USER]
    assert parse_messages(conversation) == conversation


def test_calls_may_follow_the_replies_to_others():
    conversation = [calls("a"), reply("a"), calls("a"), reply("a"), {"role": "assistant", "content": "x"}]
    assert parse_messages(conversation) == conversation


@pytest.mark.parametrize("content", [{}, {"content": None}, {"content": ""}, {"content": "x"}])
def test_calls_need_no_content(content):
    message = calls("a")
    del message["content"]
    assert parse_messages([{**message, **content}, reply("a")])[0]["content"] == content.get("content")


@pytest.mark.parametrize(
    "before",
    [[], [USER], [calls("a"), reply("a"), USER], [{"role": "assistant", "content": "x"}]],
    ids=["first", "after the user", "too late", "after words"],
)
def test_a_reply_without_a_call(before):
    error = refused(*before, reply("a"))
    assert error.message == (
        "Invalid parameter: messages with role 'tool' must be a response to a preceeding message with 'tool_calls'."
    )
    assert (error.param, error.code) == (f"messages.[{len(before)}].role", None)


def test_a_reply_to_another_call():
    error = refused(calls("a"), reply("a"), reply("b"))
    assert error.message == "Invalid parameter: 'tool_call_id' of 'b' not found in 'tool_calls' of previous message."
    assert error.param == "messages.[2].tool_call_id"


@pytest.mark.parametrize(
    ("after", "missing"),
    [([], "a, b, c"), ([USER], "a, b, c"), ([reply("b")], "a, c"), ([reply("a"), USER, reply("b")], "b, c")],
)
def test_calls_without_replies(after, missing):
    error = refused(USER, calls("a", "b", "c"), *after)
    assert error.message == (
        "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. "
        f"The following tool_call_ids did not have response messages: {missing}"
    )
    assert (error.param, error.code) == ("messages.[1].tool_calls", None)


@pytest.mark.parametrize("value", ["x", 5, True, {}, np.array([1]), call("a")])
def test_tool_calls_of_the_wrong_type(value):
    error = refused(calls(tool_calls=value))
    assert (error.param, error.code) == ("messages.[0].tool_calls", "invalid_type")


def test_no_tool_calls():
    assert refused(calls()).param == "messages.[0].tool_calls"
    assert refused(calls()).code == "empty_array"


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"id": None}, ".id"),
        ({"id": 5}, ".id"),
        ({"id": "\ud800"}, ".id"),
        ({"type": None}, ".type"),
        ({"type": "custom"}, ".type"),
        ({"type": ["function"]}, ".type"),
        ({"function": None}, ".function"),
        ({"function": "weather"}, ".function"),
        ({"function": {}}, ".function.name"),
        ({"function": {"name": "f"}}, ".function.arguments"),
        ({"function": {"name": "f", "arguments": {}}}, ".function.arguments"),
        ({"function": {"name": 5, "arguments": "{}"}}, ".function.name"),
        ({"function": {"name": "f", "arguments": "\udfff"}}, ".function.arguments"),
        ({"function": {**FUNCTION, "strict": True}}, ".function.strict"),
        ({"index": 0}, ".index"),
        ({"custom": {"name": "f", "input": "x"}}, ".custom"),
    ],
    ids=str,
)
def test_tool_calls_that_are_not_right(members, param):
    assert refused_call(**members).param == f"messages.[1].tool_calls.[1]{param}"


@pytest.mark.parametrize("value", ["x", 5, None, [], ["a"]])
def test_a_call_of_the_wrong_type(value):
    assert refused(calls(tool_calls=[value])).param == "messages.[0].tool_calls.[0]"


@pytest.mark.parametrize("call_id", [{}, {"tool_call_id": None}])
def test_a_reply_names_its_call(call_id):
    error = refused(calls("a"), {"role": "tool", "content": "21", **call_id})
    assert error.message == "Missing parameter 'tool_call_id': messages with role 'tool' must have a 'tool_call_id'."
    assert error.param == "messages.[1].tool_call_id"


@pytest.mark.parametrize("call_id", [5, True, ["a"], "\ud800", np.array(["a"])], ids=ascii)
def test_a_reply_names_its_call_by_a_string(call_id):
    assert refused(calls("a"), reply(call_id)).param == "messages.[1].tool_call_id"


@pytest.mark.parametrize("role", ["user", "system", "developer", "function", "tool"])
def test_only_the_assistant_calls_tools(role):
    error = refused(calls("a"), reply("a"), {**reply("a"), "role": role, "name": "f", "tool_calls": [call("b")]})
    assert error.param in ("messages.[2].tool_calls", "messages.[2].tool_call_id")


@pytest.mark.parametrize("role", ["user", "system", "developer", "assistant", "function"])
def test_only_tools_reply(role):
    error = refused({"role": role, "content": "x", "name": "f", "tool_call_id": "a"})
    assert error.param == "messages.[0].tool_call_id"
    assert "only for messages with role 'tool'" in error.message


def test_both_kinds_of_calls_at_once():
    error = refused(calls("a", function_call=FUNCTION), reply("a"))
    assert (error.param, error.code) == ("messages.[0].function_call", "invalid_parameter_combination")


def test_the_client_s_own_objects():
    """As a whole, as the dictionary they become, and in pieces."""
    message = ChatCompletionMessage.model_validate(calls("a"))
    wanted = [calls("a"), reply("a")]
    for given in (message, message.model_dump(), message.model_dump(exclude_none=True)):
        assert parse_messages([given, reply("a")]) == [{**wanted[0]}, wanted[1]]
    assert parse_messages([calls(tool_calls=message.tool_calls), reply("a")]) == wanted
    of_2023 = ChatCompletionMessage.model_validate({"role": "assistant", "content": None, "function_call": FUNCTION})
    given = {"role": "assistant", "function_call": of_2023.function_call}
    assert parse_messages([of_2023]) == parse_messages([given])
    assert parse_messages([given])[0]["function_call"] == FUNCTION


def test_two_calls_of_one_id():
    error = refused(USER, calls("a", "b", "a"), reply("a"), reply("b"))
    assert error.param == "messages.[1].tool_calls.[2].id"
    assert "Duplicate" in error.message


def test_names_and_ids_are_short():
    assert refused_call(id="b" * 1025).param == "messages.[1].tool_calls.[1].id"
    assert refused_call(function={**FUNCTION, "name": "f" * 1025}).code == "string_above_max_length"
    assert refused(USER, calls("a"), reply("a" * 1025)).param == "messages.[2].tool_call_id"
