"""A model that fails: the request that it hits gets a 500, its neighbours get their answers."""

from __future__ import annotations

import numpy as np
import pytest

from nexttoken.exceptions import InternalServerError
from nexttoken.runtimes.scripted import ByteTokenizer, ScriptedRuntime

BAD = [{"role": "user", "content": "bad"}]


def runtime_that_turns_bad(after, value=np.nan):
    """Says "a" for ever, except where the prompt has "bad" in it: there the logits turn to `value` after a while."""
    tokenizer = ByteTokenizer()

    def script(prompt, output):
        line = np.zeros(len(tokenizer.token_bytes), np.float32)
        line[ord("a")] = 60
        if b"bad" in bytes(token for token in prompt if token < 256) and len(output) >= after:
            line[:] = value
        return line

    return ScriptedRuntime(script, tokenizer=tokenizer)


@pytest.mark.parametrize("after", [0, 1, 5])
@pytest.mark.parametrize("n", [1, 3])
@pytest.mark.parametrize("value", [np.nan, -np.inf])
@pytest.mark.parametrize("stream", [False, True])
def test_bad_logits_are_a_server_error(after, n, value, stream, ask):
    runtime = runtime_that_turns_bad(after, value)
    with pytest.raises(InternalServerError) as caught:
        list(ask(runtime, messages=BAD, n=n, max_tokens=9, stream=stream))
    error = caught.value
    assert (error.status_code, error.type, error.code) == (500, "server_error", None)
    assert ("NaN" in error.message) == np.isnan(value)
    assert "Traceback" not in error.message
    assert runtime.sequences == {}


def test_the_neighbours_are_unharmed(ask):
    runtime = runtime_that_turns_bad(after=3)
    good = [ask(runtime, max_tokens=9, stream=True) for _ in range(2)]
    bad = ask(runtime, messages=BAD, max_tokens=9, stream=True)
    texts = ["", ""]
    for index, stream in enumerate(good):
        texts[index] += next(stream).choices[0].delta.content
    said = [next(bad).choices[0].delta.content for _ in range(4)]
    assert said == ["", "a", "a", "a"]
    with pytest.raises(InternalServerError):
        next(bad)
    for index, stream in enumerate(good):
        texts[index] += "".join(chunk.choices[0].delta.content or "" for chunk in stream)
    assert texts == ["a" * 9] * 2
    assert ("decode", 3) in runtime.calls
    assert runtime.sequences == {}


def test_the_model_goes_on_afterwards(ask, text_of):
    runtime = runtime_that_turns_bad(after=2)
    for _ in range(3):
        with pytest.raises(InternalServerError):
            ask(runtime, messages=BAD)
        assert text_of(ask(runtime, max_tokens=4)) == "aaaa"


def test_an_exception_in_the_runtime_is_the_cause(ask, runtime):
    failure = MemoryError("out of memory")

    def failing(token_ids):
        raise failure

    runtime.prefill = failing
    with pytest.raises(InternalServerError, match="MemoryError: out of memory") as caught:
        ask(runtime)
    assert caught.value.__cause__.__cause__ is failure
