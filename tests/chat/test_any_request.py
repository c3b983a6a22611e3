"""Whatever a request holds, and in whatever place, nothing but a prompt or a 400 comes out of it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nexttoken.chat.later_fields import LATER_FIELDS
from nexttoken.chat.models import find_model
from nexttoken.chat.request import parse_request
from nexttoken.exceptions import BadRequestError
from nexttoken.runtimes.scripted import ScriptedRuntime

RUNTIME = ScriptedRuntime(["x"])
HELLO = [{"role": "user", "content": "Hello!"}]
HUGE = 10**5000  # too long for Python to print
DURATION = np.timedelta64(1, "s")  # an integer to Python's type tree
FIELDS = (
    *("model", "messages", "temperature", "top_p", "n", "stream", "stop", "max_tokens", "presence_penalty"),
    *("frequency_penalty", "logit_bias", "user", "seed", "max_completion_tokens", "stream_options", "logprobs"),
    *("top_logprobs", "nonsense", 5, *LATER_FIELDS),
)


class Awkward:
    """Whatever is asked of it goes wrong."""

    def __repr__(self):
        raise RuntimeError

    def __eq__(self, other):
        raise RuntimeError

    def __bool__(self):
        raise RuntimeError

    __hash__ = None


ODD = [
    np.ones(2),
    np.array("x"),
    np.array([]),
    np.float32(1),
    np.bool_(True),
    DURATION,
    Awkward(),
    object,
    b"x",
    {1},
    1j,
]
PLAIN = [
    None,
    True,
    False,
    0,
    -1,
    1.5,
    math.nan,
    math.inf,
    "",
    "x",
    "\ud800",
    [],
    ["x"],
    [[]],
    {},
    {"x": 1},
    (),
    ("x",),
]
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(), max_size=5)  # surrogates among them
    | st.sampled_from(["text", "function", "none", "auto", "system", "tool", "a"])
    | st.integers(0, len(ODD) - 1).map(lambda index: ODD[index]),  # not `sampled_from`, which wants to print them
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["type", "text", "id", "function", "name", "arguments", "include_usage", 5, None, "\ud800"]
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=8,
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # the machine may be busy
@given(st.dictionaries(st.sampled_from(FIELDS), values, max_size=4))
def test_any_value_is_taken_or_refused(fields):
    """Whatever comes, nothing but a request or a 400 comes out of it."""
    try:
        request = parse_request({"model": "m", "messages": HELLO, **fields})
    except BadRequestError as error:
        json.dumps(error.body).encode()
        error.message.encode()
    else:
        assert 0 <= request.params.temperature <= 2
        assert 1 <= request.params.n <= 128


FUNCTION = {"name": "f", "arguments": '{"x": 1}'}
FULL = {
    "model": "m",
    "messages": [
        {"role": "developer", "content": [{"type": "text", "text": "x"}], "name": "ann"},
        {"role": "assistant", "content": None, "tool_calls": [{"id": "a", "type": "function", "function": FUNCTION}]},
        {"role": "tool", "content": "x", "tool_call_id": "a"},
        {"role": "assistant", "function_call": FUNCTION, "refusal": None},
        {"role": "function", "content": "x", "name": "f"},
    ],
    "temperature": 1,
    "stop": ["x"],
    "max_tokens": 5,
    "logit_bias": {"65": 1},
    "stream": True,
    "stream_options": {"include_usage": True},
    "logprobs": True,
    "top_logprobs": 5,
    "metadata": {"a": "b"},
    "response_format": {"type": "text"},
    "user": "somebody",
}


def places(value, path=()):
    """Where in a request a value stands, by the keys and indices that lead there."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, member in items:
        yield (*path, key)
        yield from places(member, (*path, key))


def changed(value, path, change):
    """A copy of `value` with the member at `path` as `change` returns it for the container and key."""
    container = dict(value) if isinstance(value, dict) else list(value)
    if len(path) == 1:
        change(container, path[0])
    else:
        container[path[0]] = changed(container[path[0]], path[1:], change)
    return container


@pytest.mark.parametrize("path", list(places(FULL)), ids=lambda path: ".".join(map(str, path)))
def test_anything_in_any_place_is_a_prompt_or_refused(path):
    def put(value):
        def change(container, key):
            container[key] = value

        return change

    def rename(name):
        def change(container, key):
            if isinstance(container, dict):
                container[name] = container.pop(key)

        return change

    changes = [put(value) for value in (*ODD, *PLAIN)] + [rename(name) for name in (5, None, ("x",), "\ud800", "")]
    refused = set()
    for index, change in enumerate(changes):
        try:
            request = parse_request(changed(FULL, path, change))
            assert find_model(RUNTIME).prompts.encode(request.messages)
        except BadRequestError as error:
            json.dumps(error.body).encode()
            (error.message + str(error.param)).encode()
            refused.add(index)
    # What a model may be, somebody else decides, and a float may be a number's place.
    assert path == ("model",) or len(refused & set(range(len(ODD)))) >= len(ODD) - 1


class Pairs(Mapping):
    """A mapping whose keys need no hash."""

    def __init__(self, pairs):
        self.pairs = pairs

    def __iter__(self):
        return (key for key, _ in self.pairs)

    def __len__(self):
        return len(self.pairs)

    def __getitem__(self, key):
        return next((value for name, value in self.pairs if isinstance(name, str) and name == key), 1)


@pytest.mark.parametrize("key", [["x"], {}, np.ones(2), Awkward()], ids=["list", "dict", "array", "awkward"])
def test_names_that_cannot_be_looked_up(key):
    odd = Pairs([(key, 1)])
    for fields in (
        {"messages": [odd]},
        {"messages": [{"role": "user", "content": [odd]}]},
        {"stream": True, "stream_options": odd},
        {"logit_bias": odd},
        {"metadata": odd},
        {"response_format": odd},
    ):
        with pytest.raises(BadRequestError):
            parse_request({"model": "m", "messages": HELLO, **fields})
    with pytest.raises(BadRequestError, match="Unrecognized request argument supplied"):
        parse_request(odd)


def test_the_request_that_was_changed_is_right():
    assert find_model(RUNTIME).prompts.encode(parse_request(FULL).messages)
