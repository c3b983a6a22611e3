"""The fields of a request: types, ranges, null, and names that are not known."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from nexttoken.chat.later_fields import LATER_FIELDS
from nexttoken.chat.request import parse_request
from nexttoken.exceptions import BadRequestError, NotFoundError
from nexttoken.runtimes.scripted import ScriptedRuntime

HELLO = [{"role": "user", "content": "Hello!"}]
OPTIONAL = (
    *("temperature", "top_p", "n", "stream", "stop", "max_tokens", "presence_penalty", "frequency_penalty"),
    *("logit_bias", "user", "seed", "max_completion_tokens", "stream_options", "logprobs", "top_logprobs"),
    *LATER_FIELDS,
)
UNKNOWN = ("top_k", "min_p", "Temperature", "temperature ", "", "\ud800", "x" * 5000)
DURATION = np.timedelta64(1, "s")  # an integer to Python's type tree
HUGE = 10**5000  # too long for Python to print
NUMBERS = {"temperature": (0, 2), "top_p": (0, 1), "presence_penalty": (-2, 2), "frequency_penalty": (-2, 2)}
INTEGERS = {
    "n": (1, 128),
    "max_tokens": (1, None),
    "max_completion_tokens": (1, None),
    "top_logprobs": (0, 20),
    "seed": (-(2**63), 2**63 - 1),
}
SWITCHED = {"top_logprobs": {"logprobs": True}}  # what a field needs beside it
# In `SamplingParams`, where a name there is another.
PARAMS = {"max_completion_tokens": "max_tokens", "top_logprobs": "logprobs"}


def parse(**fields):
    return parse_request({"model": "m", "messages": HELLO, **fields})


def test_defaults():
    request = parse()
    params = request.params
    assert (params.temperature, params.top_p, params.n, params.stop, params.max_tokens) == (1, 1, 1, (), None)
    assert (params.presence_penalty, params.frequency_penalty, params.logit_bias) == (0, 0, None)
    assert (request.stream, request.user, params.seed) == (False, None, None)
    assert (request.include_usage, request.logprobs, params.logprobs) == (False, False, None)


def test_null_is_the_default_of_every_optional_field():
    assert parse(**dict.fromkeys(OPTIONAL)) == parse()


@pytest.mark.parametrize("field", OPTIONAL)
def test_null_is_accepted_by_the_function(field, ask, runtime):
    assert ask(runtime, **{field: None}).choices[0].finish_reason == "stop"


@pytest.mark.parametrize("field", ["model", "messages"])
def test_null_is_refused_where_a_value_is_required(field, refusal, runtime):
    with pytest.raises(BadRequestError) as caught:
        parse_request({"model": runtime, "messages": HELLO, field: None})
    assert caught.value.param == field


@pytest.mark.parametrize("field", ["model", "messages"])
def test_required_fields(field):
    fields = {"model": "m", "messages": HELLO}
    del fields[field]
    with pytest.raises(BadRequestError, match=f"Missing required parameter: '{field}'") as caught:
        parse_request(fields)
    assert (caught.value.param, caught.value.code) == (field, "missing_required_parameter")


@pytest.mark.parametrize("field", UNKNOWN, ids=ascii)
@pytest.mark.parametrize("value", [None, 1])
def test_unknown_fields_are_refused_by_name(field, value, refusal):
    error = refusal(**{field: value})
    name = field.encode("utf-8", "backslashreplace").decode()
    assert error.message == f"Unrecognized request argument supplied: {name[:64]}{'...' * (len(name) > 64)}"
    assert (error.param, error.code) == (None, None)


@pytest.mark.parametrize("key", [5, None, True, ("model",), 1.5, b"model"])
def test_names_that_are_no_strings(key):
    with pytest.raises(BadRequestError, match="Unrecognized request argument supplied: "):
        parse_request({"model": "m", "messages": HELLO, key: 1})


@pytest.mark.parametrize("field", NUMBERS)
@pytest.mark.parametrize("value", [True, False, "1", [1], {}, b"1", 1j, math.nan, np.True_, np.ones(2), DURATION])
def test_numbers_of_the_wrong_type(field, value, refusal):
    assert refusal(**{field: value}).param == field


@pytest.mark.parametrize("field", NUMBERS)
def test_numbers_at_the_ends_of_their_range(field, refusal):
    low, high = NUMBERS[field]
    for legal in (low, high, float(low), float(high), np.float32(high), Fraction(1, 2), 5e-324, 1e-300):
        assert getattr(parse(**{field: legal}).params, field) == float(legal)
    for value in (low - 1, math.nextafter(low, -math.inf), -math.inf, -HUGE):
        error = refusal(**{field: value})
        assert (error.param, error.code) == (field, "decimal_below_min_value")
    for value in (high + 1, math.nextafter(high, math.inf), math.inf, HUGE):
        error = refusal(**{field: value})
        assert (error.param, error.code) == (field, "decimal_above_max_value")
        assert f"Expected a value <= {high}, but got" in error.message


@pytest.mark.parametrize("field", INTEGERS)
@pytest.mark.parametrize(
    "value", [True, False, "1", 1.5, math.nan, math.inf, [1], {}, "five", np.True_, np.ones(2), np.array(1), DURATION]
)
def test_integers_of_the_wrong_type(field, value, refusal):
    error = refusal(**{field: value})
    assert (error.param, error.code) == (field, "invalid_type")


@pytest.mark.parametrize("field", INTEGERS)
def test_integers_at_the_ends_of_their_range(field, refusal):
    low, high = INTEGERS[field]
    for legal in (low, float(low), np.int64(low), 20) + (() if high is None else (high,)):
        params = parse(**{field: legal}, **SWITCHED.get(field, {})).params
        assert getattr(params, PARAMS.get(field, field)) == legal
    for value in (low - 1, -HUGE):
        error = refusal(**{field: value})
        assert (error.param, error.code) == (field, "integer_below_min_value")
    for value in (HUGE,) if high is None else (high + 1, HUGE):
        assert refusal(**{field: value}).param == field


def test_the_recorded_texts(refusal):
    assert refusal(n=130).message == (
        "Invalid 'n': integer above maximum value. Expected a value <= 128, but got 130 instead."
    )
    assert refusal(n=130).code == "integer_above_max_value"
    error = refusal(stop=["a", "b", "c", "d", "e"])
    assert error.message == (
        "Invalid 'stop': array too long. Expected an array with maximum length 4, "
        "but got an array with length 5 instead."
    )
    assert (error.param, error.code) == ("stop", "array_above_max_length")
    assert refusal(max_tokens=0).message.endswith("Expected a value >= 1, but got 0 instead.")


@pytest.mark.parametrize("value", [0, 1, "true", "yes", [], 1.0])
def test_stream_is_a_boolean(value, refusal):
    error = refusal(stream=value)
    assert (error.param, error.code) == ("stream", "invalid_type")


@pytest.mark.parametrize("value", [1, True, ["x"], {"id": 1}, b"x"])
def test_user_is_a_string(value, refusal):
    assert refusal(user=value).param == "user"


def test_user_has_no_effect(ask, runtime, text_of):
    assert text_of(ask(runtime, user="somebody", seed=1)) == text_of(ask(runtime, seed=1))


@pytest.mark.parametrize("value", [1, True, {"a": 1}, b"x", 1.5])
def test_stop_of_the_wrong_type(value, refusal):
    assert refusal(stop=value).param == "stop"


@pytest.mark.parametrize("value", [None, 1, b"x", ["x"]])
def test_stop_elements_of_the_wrong_type(value, refusal):
    assert refusal(stop=["x", value]).param == "stop[1]"


def test_stop_that_is_empty(refusal):
    assert refusal(stop="").param == "stop"
    assert refusal(stop=["x", ""]).param == "stop[1]"
    assert parse(stop=[]).params.stop == ()


def test_text_that_is_no_unicode(refusal):
    """JSON may spell half of a surrogate pair; nothing can encode it."""
    assert refusal(stop="a\ud800").param == "stop"
    assert refusal(stop=["x", "\udfff"]).param == "stop[1]"
    assert refusal(user="\ud83d").param == "user"


def test_stop_of_one_and_of_four():
    assert parse(stop="x").params.stop == ("x",)
    assert parse(stop=("a", "b", "c", "d")).params.stop == ("a", "b", "c", "d")


@pytest.mark.parametrize("value", [[], "5", 5, [(1, 2)], True])
def test_logit_bias_of_the_wrong_type(value, refusal):
    assert refusal(logit_bias=value).param == "logit_bias"


@pytest.mark.parametrize("key", ["Hello", "-1", "1.5", "", " 5", "+5", "5_0", "٥", "0x5", -1, 1.5, True, None, (1,)])
def test_logit_bias_keys_that_are_no_token_ids(key, refusal):
    error = refusal(logit_bias={key: 1})
    assert error.message == (
        f"Invalid key in 'logit_bias': {key}. You should only be submitting non-negative integers."
    )
    assert (error.param, error.code) == ("logit_bias", None)


@pytest.mark.parametrize("key", [258, "258", 2**31, str(10**12), 10**30, "9" * 500])
def test_logit_bias_keys_beyond_the_vocabulary(key, refusal):
    error = refusal(logit_bias={"1": 1, key: 1})
    assert error.message.startswith(f"Invalid key in 'logit_bias': {str(key)[:64]}")
    assert "Maximum value is " in error.message
    assert (error.param, error.code) == ("logit_bias", None)


def test_logit_bias_names_the_largest_token(refusal):
    assert refusal(logit_bias={"258": 1}).message == "Invalid key in 'logit_bias': 258. Maximum value is 257."


@pytest.mark.parametrize("value", [True, "5", None, [], math.nan, math.inf, 100.01, -101])
def test_logit_bias_values(value, refusal):
    for bias in (value, HUGE):
        assert refusal(logit_bias={"65": bias}).param == "logit_bias.65"


def test_logit_bias_of_one_token_twice(refusal):
    for pair in ({5: 1, "5": 1}, {"5": 1, "05": 1}):
        assert "Token 5 is given twice" in refusal(logit_bias=pair).message


def test_logit_bias_of_every_token():
    biases = {str(i): 100 - 200 * (i % 2) for i in range(400)}
    assert parse(logit_bias=biases).params.logit_bias == {int(key): value for key, value in biases.items()}
    assert parse(logit_bias={7: 0.5, np.int64(8): -100}).params.logit_bias == {7: 0.5, 8: -100}
    assert parse(logit_bias={}).params.logit_bias == {}


@pytest.mark.parametrize("value", [5, True, ["m"], {"name": "m"}, object()])
def test_model_of_the_wrong_type(value, hello):
    import nexttoken

    with pytest.raises(BadRequestError) as caught:
        nexttoken.chat_completion(model=value, messages=hello)
    assert caught.value.param == "model"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("name", ["gpt-3.5-turbo", "", "no/such/directory", "x\0y", "m" * 5000])
def test_unknown_model(name, stream, ask):
    with pytest.raises(NotFoundError) as caught:
        ask(name, stream=stream)
    error = caught.value
    assert (error.status_code, error.code, error.type) == (404, "model_not_found", "invalid_request_error")
    assert error.message == f"The model `{name[:64]}{'...' * (len(name) > 64)}` does not exist."


@pytest.mark.parametrize("fields", [None, 5, True, "model", ["model", "messages"], [("model", "m")]])
def test_a_request_that_is_no_object(fields):
    from nexttoken.chat import create

    with pytest.raises(BadRequestError, match="expected an object, but got") as caught:
        create(fields)
    assert (caught.value.param, caught.value.code) == (None, "invalid_type")


def test_stop_strings_have_a_longest(ask, refusal):
    longest = "x" * 4096
    runtime = ScriptedRuntime(["a" + longest + "b"], context_length=9000)
    assert ask(runtime, stop=[longest], temperature=0).choices[0].message.content == "a"
    error = refusal(stop=["a", longest + "x"])
    assert (error.param, error.code) == ("stop[1]", "string_above_max_length")
