"""What the chat tests share: a request to send, ways to send it, and scripts for the runtime."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import nexttoken
from nexttoken.exceptions import BadRequestError
from nexttoken.runtimes.scripted import ByteTokenizer, ScriptedRuntime

HELLO = [{"role": "user", "content": "Hello!"}]


@pytest.fixture
def hello() -> list[dict[str, Any]]:
    """The founding document's messages."""
    return [dict(message) for message in HELLO]


@pytest.fixture
def runtime() -> ScriptedRuntime:
    """Answers every prompt with the founding document's answer."""
    return ScriptedRuntime(["\n\nHello there, how may I assist you today?"])


@pytest.fixture
def ask() -> Callable[..., Any]:
    """`chat_completion` that says Hello! unless told otherwise."""

    def ask(model: Any, **fields: Any) -> Any:
        return nexttoken.chat_completion(model=model, **{"messages": HELLO, **fields})

    return ask


@pytest.fixture
def refusal(runtime: ScriptedRuntime, ask: Callable[..., Any]) -> Callable[..., BadRequestError]:
    """The 400 that a request gets; it must come at the call, streaming or not, and cost no work."""

    def refusal(model: Any = runtime, **fields: Any) -> BadRequestError:
        bodies = []
        for stream in ({}, {"stream": True}):
            with pytest.raises(BadRequestError) as caught:
                ask(model, **{**stream, **fields})
            bodies.append(caught.value.body)
        assert bodies[0] == bodies[1]
        assert model.calls == []
        error = caught.value
        assert (error.status_code, error.type) == (400, "invalid_request_error")
        assert error.body["error"].keys() == {"message", "type", "param", "code"}
        return error

    return refusal


@pytest.fixture
def text_of() -> Callable[[Any], str]:
    """The first choice's text."""

    def text_of(answer: Any) -> str:
        return str(answer.choices[0].message.content)

    return text_of


@pytest.fixture
def constant() -> Callable[..., ScriptedRuntime]:
    """A runtime whose logits never change: those named, by character, and `rest` for all others."""

    def constant(logits: dict[str, float], rest: float = -np.inf, **settings: Any) -> ScriptedRuntime:
        tokenizer = settings.pop("tokenizer", None) or ByteTokenizer()
        line = np.full(len(tokenizer.token_bytes), rest, np.float32)
        for character, value in logits.items():
            line[ord(character)] = value
        return ScriptedRuntime(lambda prompt, output: line, tokenizer=tokenizer, **settings)

    return constant


@pytest.fixture
def echo() -> Callable[..., ScriptedRuntime]:
    """A runtime that repeats the last message; so that many callers at once can tell their answers apart."""

    def echo(**settings: Any) -> ScriptedRuntime:
        tokenizer = ByteTokenizer()
        begin, end = tokenizer.special_tokens["<|im_start|>"], tokenizer.special_tokens["<|im_end|>"]

        def script(prompt: list[int], output: list[int]) -> Any:
            last = len(prompt) - prompt[::-1].index(end) - 1
            first = last - prompt[:last][::-1].index(begin)
            said = prompt[first + len("user\n") : last]
            line = np.zeros(len(tokenizer.token_bytes), np.float32)
            line[said[len(output)] if len(output) < len(said) else end] = 60
            return line

        return ScriptedRuntime(script, tokenizer=tokenizer, **settings)

    return echo
