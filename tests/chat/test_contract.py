"""The contract row by row: what each field and message takes and refuses, and what fields do to each other.

A test's id names its row. The rows that need more than a line have tests of their own in the files beside this one;
`ELSEWHERE` says which.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nexttoken.chat.completion import _Fields
from nexttoken.chat.fields import shown
from nexttoken.chat.messages import ROLES
from nexttoken.exceptions import BadRequestError
from nexttoken.runtimes.scripted import ByteTokenizer, ScriptedRuntime

INFINITE, NAN, HUGE = math.inf, math.nan, 10**5000
NOT_TEXT = [5, True, ["x"], {}, b"x", np.array(["x"]), "\ud800"]
NOT_NUMBERS = [True, "1", [1], {}, NAN, INFINITE, -INFINITE, HUGE, np.ones(2), np.array(1)]
NOT_WHOLE = [*NOT_NUMBERS, 1.5]
NOT_BOOLEAN = [0, 1, "yes", "true", [], np.True_]

# Field -> legal values, and illegal ones with the error's param where that is not the field.
FIELDS: dict[str, tuple[list[Any], list[Any]]] = {
    "temperature": ([0, 1, 2, 0.5, 1e-300], [-0.01, 2.01, *NOT_NUMBERS]),
    "top_p": ([0, 1, 0.5, 1e-300], [-0.01, 1.01, *NOT_NUMBERS]),
    "n": ([1, 128, 2.0], [0, -1, 129, *NOT_WHOLE]),
    "stream": ([True, False], NOT_BOOLEAN),
    "stop": ([[], "x", ["x"], ["a", "b", "c", "d"]], ["", ["x"] * 5, *NOT_TEXT[:2], *NOT_TEXT[3:]]),
    "max_tokens": ([1, 5, 2.0], [0, -1, *NOT_WHOLE]),
    "max_completion_tokens": ([1, 5, 2.0], [0, -1, *NOT_WHOLE]),
    "presence_penalty": ([-2, 2, 0.5], [-2.01, 2.01, *NOT_NUMBERS]),
    "frequency_penalty": ([-2, 2, 0.5], [-2.01, 2.01, *NOT_NUMBERS]),
    "logit_bias": (
        [{}, {"65": 100}, {65: -100}, {"65": 0.5}, {str(i): i % 100 for i in range(258)}],
        [5, "x", [], [["65", 1]], {"AI": 1}, {"-1": 1}, {"1.5": 1}, {"": 1}, {"258": 1}, {HUGE: 1}, {"\ud800": 1}],
    ),
    "seed": ([0, -(2**63), 2**63 - 1, 5.0], [-(2**63) - 1, 2**63, *NOT_WHOLE]),
    "user": (["", "somebody"], NOT_TEXT),
    "logprobs": ([True, False], NOT_BOOLEAN),
    "messages": ([], [[], "x", 5, {}, np.ones(2), None]),
}

WITHOUT_EFFECT = {
    "metadata": {"a": "b"},
    "prompt_cache_key": "x",
    "response_format": {"type": "text"},
    "safety_identifier": "x",
    "service_tier": "auto",
    "store": False,
    "tool_choice": "none",
}

USER = {"role": "user", "content": "x"}
FUNCTION = {"name": "f", "arguments": "{}"}
CALLS = {"role": "assistant", "tool_calls": [{"id": "a", "type": "function", "function": FUNCTION}]}
REPLY = {"role": "tool", "content": "x", "tool_call_id": "a"}

TAKEN = {
    **{f"role {role}": [{"role": role, "content": "x"}] for role in ROLES if role not in ("function", "tool")},
    "role function": [{"role": "function", "content": "x", "name": "f"}],
    "role tool": [CALLS, REPLY],
    "function_call with content null": [{"role": "assistant", "content": None, "function_call": FUNCTION}],
    "function_call without content": [{"role": "assistant", "function_call": FUNCTION}],
    "empty content": [{"role": "user", "content": ""}],
    "name": [{**USER, "name": "a-Z_9"}],
    "parts": [{"role": "user", "content": [{"type": "text", "text": "x"}]}],
    "several systems": [{"role": "system", "content": "x"}] * 2,
    "assistant first": [{"role": "assistant", "content": "x"}, USER],
    "assistant last": [USER, {"role": "assistant", "content": "x"}],
    "nulls": [{**USER, "name": None, "function_call": None, "tool_calls": None, "refusal": None}],
}
REFUSED: dict[str, tuple[Any, str]] = {
    "no object": ("x", ""),
    "role missing": ({"content": "x"}, ".role"),
    "role unknown": ({"role": "x", "content": "x"}, ".role"),
    "role in capitals": ({"role": "User", "content": "x"}, ".role"),
    **{f"{role} without content": ({"role": role, "name": "f"}, ".content") for role in ROLES if role != "tool"},
    **{f"{role} with null": ({"role": role, "name": "f", "content": None}, ".content") for role in ROLES[:4]},
    "content a number": ({"role": "user", "content": 5}, ".content"),
    "no parts": ({"role": "user", "content": []}, ".content"),
    "an image": ({"role": "user", "content": [{"type": "image_url"}]}, ".content.[0].type"),
    "function without name": ({"role": "function", "content": "x"}, ".name"),
    "name with a space": ({**USER, "name": "a b"}, ".name"),
    "name of 65 characters": ({**USER, "name": "x" * 65}, ".name"),
    "function_call without name": ({"role": "assistant", "function_call": {"arguments": ""}}, ".function_call.name"),
    "function_call without arguments": (
        {"role": "assistant", "function_call": {"name": "f"}},
        ".function_call.arguments",
    ),
    "tool without id": ({"role": "tool", "content": "x"}, ".tool_call_id"),
    "tool without call": (REPLY, ".role"),
    "call without reply": (CALLS, ".tool_calls"),
    "refusal": ({"role": "assistant", "content": "x", "refusal": "no"}, ".refusal"),
    "another member": ({**USER, "weight": 1}, ".weight"),
}

ELSEWHERE = {
    "temperature 0": "test_interactions.py::test_temperature_zero_takes_the_likeliest",
    "bias before temperature": "test_interactions.py::test_the_bias_comes_before_the_temperature",
    "top_p after temperature": "test_interactions.py::test_top_p_comes_after_the_temperature",
    "top_p": "test_interactions.py::test_top_p_keeps_the_token_that_crosses",
    "n choices of one seed": "test_interactions.py::test_choices_of_one_seed_differ_and_do_not_depend_on_n",
    "same seed, same text": "test_interactions.py::test_one_seed_gives_one_answer",
    "max_tokens with n": "test_interactions.py::test_the_limit_holds_for_each_choice",
    "end token": "test_interactions.py::test_the_end_of_text_can_be_biased",
    "context": "test_interactions.py::test_the_context_boundary",
    "prompt alone too long": "test_interactions.py::test_a_prompt_that_is_too_long_alone",
    "no max_tokens": "test_interactions.py::test_without_a_limit_the_context_ends_the_answer",
    "two limits": "test_later_fields.py::test_two_limits_at_once",
    "stream_options without stream": "test_later_fields.py::test_stream_options_without_a_stream",
    "top_logprobs without logprobs": "test_later_fields.py::test_top_logprobs_without_logprobs",
    "today's other fields": "test_later_fields.py::test_every_field_is_dealt_with",
    "any other name": "test_request.py::test_unknown_fields_are_refused_by_name",
    "unknown model": "test_request.py::test_unknown_model",
    "special tokens are text": "test_templates.py::test_special_tokens_in_a_message_are_text",
}


def rows(table, side):
    return [
        pytest.param(field, value, id=f"{field}-{shown(value, 30)}")
        for field, sides in table.items()
        for value in sides[side]
    ]


@pytest.mark.parametrize(("field", "value"), rows(FIELDS, 0))
def test_fields_take(field, value, ask, runtime):
    answer = ask(runtime, **{field: value})
    if field == "stream" and value:
        answer.close()
    else:
        assert answer.object == "chat.completion"


@pytest.mark.parametrize(("field", "value"), rows(FIELDS, 1))
def test_fields_refuse(field, value, refusal):
    error = refusal(**{field: value})
    assert error.param.split("[")[0].split(".")[0] == field
    assert error.message.isprintable()


@pytest.mark.parametrize("model", [None, 5, True, [], "\ud800", np.array(["m"])], ids=shown)
def test_model_refuses(model, ask):
    with pytest.raises(BadRequestError) as caught:
        ask(model)
    assert caught.value.param == "model"


def test_the_signature_names_every_field_that_some_value_is_legal_for():
    optional = FIELDS.keys() - {"messages", "stream"}
    assert _Fields.__annotations__.keys() == optional | {"stream_options", "top_logprobs"} | WITHOUT_EFFECT.keys()


@pytest.mark.parametrize("field", WITHOUT_EFFECT)
def test_fields_without_effect(field, ask, runtime, text_of):
    assert text_of(ask(runtime, **{field: WITHOUT_EFFECT[field]})) == text_of(ask(runtime))


@pytest.mark.parametrize("row", TAKEN)
def test_messages_take(row, ask, runtime):
    assert ask(runtime, messages=TAKEN[row]).choices[0].finish_reason == "stop"


@pytest.mark.parametrize("row", REFUSED)
def test_messages_refuse(row, refusal):
    message, param = REFUSED[row]
    error = refusal(messages=[USER, USER, message])
    assert error.param == f"messages.[2]{param}"
    assert error.code in (None, "invalid_type", "empty_array", "invalid_value", "unsupported_parameter")


@pytest.mark.parametrize("row", ELSEWHERE)
def test_rows_with_tests_of_their_own(row):
    name, test = ELSEWHERE[row].split("::")
    assert f"\ndef {test}(" in (Path(__file__).parent / name).read_text()


@pytest.mark.parametrize("stop", [None, "there", ["assist", "how"], ["zzz"]])
@pytest.mark.parametrize("n", [1, 3])
def test_a_stream_says_what_the_plain_answer_does(stop, n, ask, constant):
    runtime = ScriptedRuntime(["\n\nHello there, how may I assist you today?"] * n)
    plain = [choice.message.content for choice in ask(runtime, stop=stop, n=n).choices]
    streamed = [""] * n
    for chunk in ask(runtime, stop=stop, n=n, stream=True):
        for choice in chunk.choices:
            streamed[choice.index] += choice.delta.content or ""
    assert streamed == plain


@pytest.mark.parametrize("stop", ["Hello!", "user", "assistant", "\n"])
def test_a_stop_in_the_prompt_is_nothing(stop, ask, text_of):
    assert text_of(ask(ScriptedRuntime(["x" * 9]), stop=stop)) == "x" * 9


@pytest.mark.parametrize("stop", [None, [], ["zzz"]])
def test_no_stop(stop, ask, runtime, text_of):
    assert text_of(ask(runtime, stop=stop)) == "\n\nHello there, how may I assist you today?"


@pytest.mark.parametrize("seed", [0, -1, 2**63 - 1, -(2**63)])
def test_seeds_of_the_whole_range(seed, ask, constant):
    runtime = constant(dict.fromkeys("abcdefghijklmnop", 0.0))
    first, again = (ask(runtime, seed=seed, max_tokens=16) for _ in range(2))
    assert first.choices[0].message.content == again.choices[0].message.content


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_one_limit_by_two_names(name, ask, constant):
    runtime = constant({"a": 0.0}, context_length=100)
    answer = ask(runtime, n=2, **{name: 7})
    assert [choice.message.content for choice in answer.choices] == ["a" * 7] * 2
    assert [choice.finish_reason for choice in answer.choices] == ["length"] * 2


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_a_limit_beyond_the_context(name, refusal, constant):
    error = refusal(constant({"a": 0.0}, context_length=100), **{name: 100})
    assert (error.param, error.code) == ("messages", "context_length_exceeded")


def test_thousands_of_biases(ask):
    """All tokens but one are banned; OpenAI's own limit of 300 entries is none here."""
    tokenizer = ByteTokenizer(longer=[f"<{i}>".encode() for i in range(5000)])
    (chosen,) = tokenizer.encode("<1234>")
    runtime = ScriptedRuntime(lambda prompt, output: np.zeros(len(tokenizer.token_bytes)), tokenizer=tokenizer)
    banned = {str(token): -100 for token in range(runtime.vocab_size) if token != chosen}
    assert len(banned) > 5000
    answer = ask(runtime, logit_bias=banned, max_tokens=5, seed=1)
    assert answer.choices[0].message.content == "<1234>" * 5
