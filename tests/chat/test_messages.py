"""The messages of a request: roles, contents, parts, names, function calls, and which message is at fault."""

from __future__ import annotations

import numpy as np
import pytest
from openai.types.chat import ChatCompletionMessage

from nexttoken.chat.messages import ROLES, parse_messages
from nexttoken.exceptions import BadRequestError

USER = {"role": "user", "content": "x"}
CALL = {"name": "weather", "arguments": '{"town": "Ulm"}'}


def refused(message):
    """The refusal of `message` as the third of a conversation."""
    with pytest.raises(BadRequestError) as caught:
        parse_messages([USER, USER, message])
    return caught.value


def taken(message):
    return parse_messages([USER, message])[1]


@pytest.mark.parametrize("value", ["Hello!", 5, True, {}, {"role": "user", "content": "x"}])
def test_messages_of_the_wrong_type(value, refusal):
    assert refusal(messages=value).param == "messages"


def test_no_messages(refusal):
    error = refusal(messages=[])
    assert (error.param, error.code) == ("messages", "empty_array")


@pytest.mark.parametrize("value", ["x", 5, None, [], ["user", "x"], ChatCompletionMessage])
def test_a_message_of_the_wrong_type(value):
    assert refused(value).param == "messages.[2]"


@pytest.mark.parametrize("role", ["system", "user", "assistant", "developer"])
def test_roles(role):
    assert taken({"role": role, "content": "x"}) == {"role": role, "content": "x"}


@pytest.mark.parametrize("role", ["x", "User", "USER", "", " user", "Tool", "functions"])
def test_unknown_roles(role):
    error = refused({"role": role, "content": "x"})
    assert error.message == (
        f"'{role}' is not one of ['system', 'assistant', 'user', 'function', 'tool', 'developer'] - 'messages.2.role'"
    )
    assert (error.param, error.code) == ("messages.[2].role", None)


@pytest.mark.parametrize("role", [None, 5, ["user"], True])
def test_roles_of_the_wrong_type(role):
    assert refused({"role": role, "content": "x"}).param == "messages.[2].role"
    assert refused({"content": "x"}).param == "messages.[2].role"


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("content", [{}, {"content": None}])
def test_content_is_required(role, content):
    error = refused({"role": role, "name": "f", **({"tool_call_id": "a"} if role == "tool" else {}), **content})
    assert error.message == "Invalid value for 'content': expected a string, got null."
    assert error.param == "messages.[2].content"


@pytest.mark.parametrize("content", [5, True, {"text": "x"}, b"x", np.array(["x"]), {"type": "text", "text": "x"}])
def test_content_of_the_wrong_type(content):
    error = refused({"role": "user", "content": content})
    assert (error.param, error.code) == ("messages.[2].content", "invalid_type")
    assert "expected a string or an array of text parts" in error.message


def parts(*texts):
    return [{"type": "text", "text": text} for text in texts]


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("texts", [("x",), ("",), ("a", "b"), ("a\n", "", " b")])
def test_parts_of_text_are_joined_by_lines(role, texts):
    members = {"function": {"name": "f"}, "tool": {"tool_call_id": "a"}}.get(role, {})
    calls = [{"id": "a", "type": "function", "function": CALL}]
    before = [{"role": "assistant", "tool_calls": calls}] if role == "tool" else []
    message = parse_messages([*before, {"role": role, "content": parts(*texts), **members}])[-1]
    assert message["content"] == "\n".join(texts)


def test_a_prompt_of_parts_is_that_of_the_text(ask, runtime):
    prompts = []
    prefill = runtime.prefill
    runtime.prefill = lambda token_ids: (prompts.append(list(token_ids)), prefill(token_ids))[1]
    for content in (parts("a<|im_end|>", "b"), tuple(parts("a<|im_end|>", "b")), "a<|im_end|>\nb"):
        ask(runtime, messages=[{"role": "user", "content": content}])
    assert prompts[0] == prompts[1] == prompts[2]


def test_no_parts():
    error = refused({"role": "user", "content": []})
    assert (error.param, error.code) == ("messages.[2].content", "empty_array")


@pytest.mark.parametrize(
    ("part", "param"),
    [
        ("x", ""),
        (None, ""),
        (["text", "x"], ""),
        (np.ones(2), ""),
        ({}, ".type"),
        ({"type": None, "text": "x"}, ".type"),
        ({"type": ["text"], "text": "x"}, ".type"),
        ({"type": np.array(["text"]), "text": "x"}, ".type"),
        ({"type": "Text", "text": "x"}, ".type"),
        ({"type": "image_url", "image_url": {"url": "http://x/y.png"}}, ".type"),
        ({"type": "input_audio", "input_audio": {"data": "", "format": "wav"}}, ".type"),
        ({"type": "file", "file": {"file_id": "x"}}, ".type"),
        ({"type": "refusal", "refusal": "no"}, ".type"),
        ({"type": "text"}, ".text"),
        ({"type": "text", "text": None}, ".text"),
        ({"type": "text", "text": 5}, ".text"),
        ({"type": "text", "text": ["x"]}, ".text"),
        ({"type": "text", "text": "\ud800"}, ".text"),
        ({"type": "text", "text": "x", "prompt_cache_breakpoint": {"mode": "explicit"}}, ".prompt_cache_breakpoint"),
        ({"type": "text", "text": "x", "\ud800": 1}, ".\\ud800"),
        ({"type": "text", "text": "x", 5: 1}, ".5"),
    ],
    ids=ascii,
)
def test_parts_that_are_not_right(part, param):
    error = refused({"role": "user", "content": [*parts("x"), part]})
    assert error.param == f"messages.[2].content.[1]{param}"


def test_a_part_that_is_no_text_is_named():
    error = refused({"role": "user", "content": [{"type": "image_url", "image_url": {"url": "http://x/y.png"}}]})
    assert error.message == "Invalid value: 'image_url'. Supported values are: 'text'."
    assert error.code == "invalid_value"


def test_content_that_is_half_a_character():
    error = refused({"role": "user", "content": "ab\ud83d"})
    assert error.param == "messages.[2].content"
    assert "surrogate at character 2" in error.message


@pytest.mark.parametrize("content", ["", " ", "\n\n", "\0", "😀", "x" * 100_000])
def test_content_is_kept_as_it_is(content):
    assert taken({"role": "user", "content": content})["content"] == content


@pytest.mark.parametrize("content", [{}, {"content": None}, {"content": ""}, {"content": "x"}])
def test_a_function_call_needs_no_content(content):
    message = taken({"role": "assistant", "function_call": CALL, **content})
    assert message == {"role": "assistant", "content": content.get("content"), "function_call": CALL}


@pytest.mark.parametrize("role", ["user", "system", "function"])
def test_only_the_assistant_calls_functions(role):
    error = refused({"role": role, "content": "x", "name": "f", "function_call": CALL})
    assert error.param == "messages.[2].function_call"


@pytest.mark.parametrize(
    "call",
    [
        "weather",
        5,
        [],
        {},
        {"name": "f"},
        {"arguments": "{}"},
        {"name": None, "arguments": "{}"},
        {"name": "f", "arguments": {}},
        {"name": 5, "arguments": "{}"},
        {"name": "f", "arguments": "{}", "id": "x"},
    ],
)
def test_function_calls_that_are_not_right(call):
    error = refused({"role": "assistant", "content": None, "function_call": call})
    assert error.param.startswith("messages.[2].function_call")


def test_a_function_needs_its_name():
    for name in ({}, {"name": None}):
        error = refused({"role": "function", "content": "21", **name})
        assert error.message == ("Missing parameter 'name': messages with role 'function' must have a 'name'.")
        assert error.param == "messages.[2].name"


@pytest.mark.parametrize("name", ["f", "get_weather-2", "x" * 64])
def test_names(name):
    for role in ("user", "function", "assistant", "system"):
        assert taken({"role": role, "content": "x", "name": name})["name"] == name


@pytest.mark.parametrize("name", ["", "x" * 65, "a b", "a.b", "ä", "x\n", 5, ["x"], True])
def test_names_that_are_not_right(name):
    assert refused({"role": "user", "content": "x", "name": name}).param == "messages.[2].name"


@pytest.mark.parametrize("field", ["weight", "id", "Content", "", "\ud800", 5, None, ("role",)])
def test_other_members_are_refused_by_name(field):
    error = refused({**USER, field: None})
    assert f"('{str(field).encode('utf-8', 'backslashreplace').decode()}' was unexpected)" in error.message
    assert "messages.2" in error.message


@pytest.mark.parametrize("field", ["refusal", "audio", "annotations"])
@pytest.mark.parametrize("value", ["x", {"id": "a"}, ["x"], np.array([1, 2]), np.array([]), 0, False, object()])
def test_members_that_are_not_supported(field, value):
    """Only what is known to be empty is passed over; nothing is asked whether it is true."""
    error = refused({"role": "assistant", "content": "x", field: value})
    assert (error.param, error.code) == (f"messages.[2].{field}", "unsupported_parameter")
    assert f"'messages.[2].{field}' is not supported here" in error.message


@pytest.mark.parametrize("field", ["refusal", "audio", "annotations"])
@pytest.mark.parametrize("value", [None, "", [], {}])
def test_members_that_are_empty(field, value):
    assert taken({"role": "assistant", "content": "x", field: value}) == {"role": "assistant", "content": "x"}


def test_an_answer_can_be_handed_back(ask, runtime):
    """Clients append the message as an object, or as the dictionary it becomes, nulls and all."""
    message = ask(runtime).choices[0].message
    wanted = {"role": "assistant", "content": message.content}
    official = ChatCompletionMessage.model_validate(
        {"role": "assistant", "content": "x", "refusal": None, "annotations": [], "tool_calls": None}
    )
    assert taken(message) == wanted
    assert taken(message.model_dump()) == wanted
    assert taken(message.model_dump(exclude_none=True)) == wanted
    assert taken(official) == {"role": "assistant", "content": "x"}


@pytest.mark.parametrize(
    "roles",
    [["assistant"], ["system", "system", "user"], ["user", "user"], ["assistant", "user", "assistant"], ["system"]],
)
def test_the_order_of_roles_is_free(roles, ask, runtime):
    answer = ask(runtime, messages=[{"role": role, "content": "x"} for role in roles])
    assert answer.choices[0].finish_reason == "stop"


def test_messages_may_be_a_tuple(ask, runtime):
    assert ask(runtime, messages=(USER,)).choices
