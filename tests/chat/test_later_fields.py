"""Every field of today's API: honoured, without effect because it asks for none, or refused by its own name."""

from __future__ import annotations

import inspect
from typing import get_args

import numpy as np
import openai.types.chat.completion_create_params as today
import pytest
from openai.resources.chat import Completions

from nexttoken.chat.later_fields import LATER_FIELDS
from nexttoken.chat.request import parse_request
from nexttoken.exceptions import BadRequestError
from nexttoken.params import SamplingParams

HELLO = [{"role": "user", "content": "Hello!"}]
FIELDS = {name for one in get_args(today.CompletionCreateParams) for name in one.__annotations__}

# A value that changes the request, for each field that is honoured.
HONOURED = {
    "model": "another",
    "messages": [{"role": "user", "content": "Bye!"}],
    "temperature": 0.5,
    "top_p": 0.5,
    "n": 2,
    "stream": True,
    "stop": "x",
    "max_tokens": 5,
    "max_completion_tokens": 5,
    "presence_penalty": 1,
    "frequency_penalty": 1,
    "logit_bias": {"5": 1},
    "user": "somebody",
    "seed": 1,
    "logprobs": True,
    "top_logprobs": 5,
    "stream_options": {"include_usage": True},
}
BESIDE = {"top_logprobs": {"logprobs": True}, "stream_options": {"stream": True}}

# Values that ask for nothing, and values that ask for something else.
WITHOUT_EFFECT = {
    "metadata": [{}, {"a": "b"}, {"k" * 64: "v" * 512}, {str(i): "" for i in range(16)}],
    "store": [False],
    "service_tier": ["auto", "default"],
    "safety_identifier": ["", "somebody"],
    "prompt_cache_key": ["", "key"],
    "response_format": [{"type": "text"}],
    "tool_choice": ["none"],
}
UNSUPPORTED_VALUES = {
    "store": [True],
    "service_tier": ["flex", "priority", "scale", "fast", "Auto", "", 5, np.array(["auto"])],
    "response_format": [
        {"type": "json_object"},
        {"type": "json_schema", "json_schema": {"name": "x", "schema": {}}},
        {"type": "text", "schema": {}},
        {"type": np.array(["text", "x"])},
        {},
    ],
    "tool_choice": ["auto", "required", {"type": "function", "function": {"name": "f"}}, "None", 5, np.ones(2)],
}
OF_THE_WRONG_TYPE = {
    "metadata": ["x", 5, True, [], [("a", "b")], np.ones(2)],
    "store": ["false", 0, 1, [], np.False_],
    "safety_identifier": [5, True, ["x"], b"x"],
    "prompt_cache_key": [5, True, ["x"], b"x"],
    "response_format": ["text", 5, True, ["text"], np.ones(2), dict],
}
UNSUPPORTED = {
    "audio": {"voice": "alloy", "format": "mp3"},
    "function_call": "none",
    "functions": [{"name": "f", "parameters": {}}],
    "modalities": ["text", "audio"],
    "moderation": {"model": "x"},
    "parallel_tool_calls": False,
    "prediction": {"type": "content", "content": "x"},
    "prompt_cache_options": {"mode": "explicit"},
    "prompt_cache_retention": "24h",
    "reasoning_effort": "none",
    "tools": [{"type": "function", "function": {"name": "f"}}],
    "verbosity": "medium",
    "web_search_options": {},
}


def parse(**fields):
    return parse_request({"model": "m", "messages": HELLO, **fields})


def each(table):
    return [pytest.param(field, value, id=f"{field}-{ascii(value)[:40]}") for field in table for value in table[field]]


def test_every_field_is_dealt_with():
    """The official client's fields of a request, and nothing else."""
    assert HONOURED.keys() | WITHOUT_EFFECT.keys() | UNSUPPORTED.keys() == FIELDS
    assert LATER_FIELDS.keys() == WITHOUT_EFFECT.keys() | UNSUPPORTED.keys()
    transport = {"self", "extra_headers", "extra_query", "extra_body", "timeout"}
    assert inspect.signature(Completions.create).parameters.keys() - transport == FIELDS


@pytest.mark.parametrize("field", HONOURED)
def test_fields_that_are_honoured(field):
    beside = BESIDE.get(field, {})
    assert parse(**beside, **{field: HONOURED[field]}) != parse(**beside)


@pytest.mark.parametrize(("field", "value"), each(WITHOUT_EFFECT))
def test_values_without_effect(field, value, ask, runtime):
    assert parse(**{field: value}) == parse()
    assert ask(runtime, **{field: value}).choices[0].finish_reason == "stop"


@pytest.mark.parametrize(("field", "value"), each(UNSUPPORTED_VALUES))
def test_values_that_are_not_supported(field, value, refusal):
    error = refusal(**{field: value})
    assert (error.param, error.code) == (field, "unsupported_value")
    assert error.message.startswith(f"Unsupported value: '{field}' does not support ")


@pytest.mark.parametrize(("field", "value"), each(OF_THE_WRONG_TYPE))
def test_values_of_the_wrong_type(field, value, refusal):
    error = refusal(**{field: value})
    assert (error.param, error.code) == (field, "invalid_type")


@pytest.mark.parametrize("field", UNSUPPORTED)
def test_fields_that_are_not_supported(field, refusal):
    for value in (UNSUPPORTED[field], True, 0, "", [], np.ones(2)):
        error = refusal(**{field: value})
        assert (error.param, error.code) == (field, "unsupported_parameter")
        assert error.message == f"Unsupported parameter: '{field}' is not supported here."


@pytest.mark.parametrize("field", sorted(FIELDS - {"model", "messages"}))
def test_null_is_the_default(field):
    assert parse(**{field: None}) == parse()


@pytest.mark.parametrize(
    ("metadata", "param", "code"),
    [
        ({str(i): "" for i in range(17)}, "metadata", "object_above_max_properties"),
        ({"k" * 65: "x"}, "metadata", "string_above_max_length"),
        ({"a": "v" * 513}, "metadata.a", "string_above_max_length"),
        ({"a": 5}, "metadata.a", "invalid_type"),
        ({"a": None}, "metadata.a", "invalid_type"),
        ({5: "x"}, "metadata", "invalid_type"),
        ({("a",): "x"}, "metadata", "invalid_type"),
        ({"\ud800": "x"}, "metadata", "invalid_value"),
        ({"a": "\ud800"}, "metadata.a", "invalid_value"),
    ],
    ids=ascii,
)
def test_metadata_that_is_not_right(metadata, param, code, refusal):
    error = refusal(metadata=metadata)
    assert (error.param, error.code) == (param, code)


def test_stream_options():
    def options(value):
        return parse(stream=True, stream_options=value)

    for value in ({}, {"include_usage": False}, {"include_usage": None}, {"include_obfuscation": False}, None):
        assert options(value) == parse(stream=True)
    for extra in ({}, {"include_obfuscation": None}, {"include_obfuscation": False}):
        assert options({"include_usage": True, **extra}).include_usage is True


@pytest.mark.parametrize(
    ("value", "param"),
    [
        ("include_usage", ""),
        (True, ""),
        (["include_usage"], ""),
        (np.ones(2), ""),
        ({"include_usage": 1}, ".include_usage"),
        ({"include_usage": "true"}, ".include_usage"),
        ({"include_obfuscation": "x"}, ".include_obfuscation"),
        ({"include_obfuscation": True}, ".include_obfuscation"),
        ({"continuous_usage_stats": False}, ".continuous_usage_stats"),
        ({5: True}, ".5"),
    ],
    ids=ascii,
)
def test_stream_options_that_are_not_right(value, param, refusal):
    error = refusal(stream=True, stream_options=value)
    assert error.param == f"stream_options{param}"
    assert param.strip(".") in error.message


@pytest.mark.parametrize("stream", [{}, {"stream": False}, {"stream": None}])
@pytest.mark.parametrize("value", [{}, {"include_usage": True}, {"include_usage": False}])
def test_stream_options_without_a_stream(value, stream):
    with pytest.raises(BadRequestError) as caught:
        parse(stream_options=value, **stream)
    error = caught.value
    assert error.message == "The 'stream_options' parameter is only allowed when 'stream' is enabled."
    assert (error.param, error.code) == ("stream_options", None)


@pytest.mark.parametrize(
    ("fields", "logprobs", "count"),
    [
        ({}, False, None),
        ({"logprobs": False}, False, None),
        ({"logprobs": None}, False, None),
        ({"logprobs": True}, True, 0),
        ({"logprobs": True, "top_logprobs": None}, True, 0),
        ({"logprobs": True, "top_logprobs": 0}, True, 0),
        ({"logprobs": True, "top_logprobs": 20}, True, 20),
    ],
    ids=str,
)
def test_logprobs(fields, logprobs, count):
    request = parse(**fields)
    assert (request.logprobs, request.params.logprobs) == (logprobs, count)


def test_logprobs_are_the_model_s_own():
    """Of the distribution that the model gives, not of the one that temperature and top_p leave."""
    assert parse(logprobs=True, temperature=2, top_p=0.1).params.logprobs_mode == "raw"
    assert SamplingParams().logprobs_mode == "raw"


@pytest.mark.parametrize("value", [0, 1, "true", 5, [], np.True_])
def test_logprobs_is_a_boolean(value, refusal):
    error = refusal(logprobs=value)
    assert (error.param, error.code) == ("logprobs", "invalid_type")


@pytest.mark.parametrize("logprobs", [{}, {"logprobs": False}, {"logprobs": None}])
@pytest.mark.parametrize("value", [0, 5])
def test_top_logprobs_without_logprobs(value, logprobs, refusal):
    error = refusal(top_logprobs=value, **logprobs)
    assert error.message == "The 'top_logprobs' parameter is only allowed when 'logprobs' is enabled."
    assert (error.param, error.code) == ("top_logprobs", None)


def test_two_limits_at_once(refusal):
    error = refusal(max_tokens=5, max_completion_tokens=5)
    assert error.message == "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported."
    assert (error.param, error.code) == ("max_tokens", "invalid_parameter_combination")
    assert parse(max_tokens=5, max_completion_tokens=None) == parse(max_completion_tokens=5, max_tokens=None)


def test_the_limit_by_its_later_name(ask, runtime):
    answer = ask(runtime, max_completion_tokens=5)
    assert (answer.usage.completion_tokens, answer.choices[0].finish_reason) == (5, "length")
