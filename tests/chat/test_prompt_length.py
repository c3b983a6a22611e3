"""Messages far too long for a model: refused at once, by a part of them."""

from __future__ import annotations

import pytest

from nexttoken.exceptions import BadRequestError
from nexttoken.runtimes.scripted import ScriptedRuntime


@pytest.fixture
def counting():
    """A runtime whose tokenizer notes how much it encodes."""
    runtime = ScriptedRuntime(["Hi"], context_length=1000)
    encode = runtime.tokenizer.encode
    runtime.encoded = 0

    def counted(text):
        runtime.encoded += len(text)
        return encode(text)

    runtime.tokenizer.encode = counted
    return runtime


@pytest.mark.parametrize(
    "messages",
    [
        [{"role": "user", "content": "a" * 5_000_000}],
        [{"role": "user", "content": "é\n" * 2_500_000}],
        [{"role": "user", "content": "a"}] * 20_000,
        [{"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{" * 5_000_000}}],
    ],
    ids=["long", "lines", "many", "arguments"],
)
def test_only_a_part_is_encoded(counting, ask, messages):
    with pytest.raises(BadRequestError) as caught:
        ask(counting, messages=messages)
    assert caught.value.code == "context_length_exceeded"
    assert caught.value.param == "messages"
    assert "maximum context length is 1000 tokens" in caught.value.message
    assert "more than 2000 tokens" in caught.value.message
    assert counting.encoded < 50_000


def test_what_is_too_long_by_less_is_counted(counting, ask):
    for length in (2000, 7900):
        with pytest.raises(BadRequestError, match=rf"resulted in {length + 19} tokens") as caught:
            ask(counting, messages=[{"role": "user", "content": "a" * length}])
        assert caught.value.code == "context_length_exceeded"


def test_what_no_template_need_show_does_not_count(ask, text_of):
    """Names and ids, which this template leaves out."""
    runtime = ScriptedRuntime(["Hi"], context_length=3000)
    messages = [{"role": "user", "content": "", "name": "n" * 64}] * 120
    assert text_of(ask(runtime, messages=messages)) == "Hi"
    call = {"id": "i" * 1000, "type": "function", "function": {"name": "f", "arguments": "{}"}}
    reply = {"role": "tool", "tool_call_id": "i" * 1000, "content": ""}
    messages = [{"role": "user", "content": ""}, *[{"role": "assistant", "tool_calls": [call]}, reply] * 20]
    assert text_of(ask(runtime, messages=messages)) == "Hi"


def test_text_of_long_tokens_fits(ask, text_of):
    """More characters than usual for so many tokens, and all the same no more tokens than the context holds."""
    from nexttoken.runtimes.scripted import ByteTokenizer

    runtime = ScriptedRuntime(["Hi"], tokenizer=ByteTokenizer([b" " * 64]), context_length=1000)
    assert text_of(ask(runtime, messages=[{"role": "user", "content": " " * 64 * 900}])) == "Hi"
