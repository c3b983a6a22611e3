"""Streams: the shape of every chunk, how choices interleave, and the events on the wire."""

from __future__ import annotations

import json

import pytest
from openai.types.chat import ChatCompletionChunk

from nexttoken.chat import sse
from nexttoken.exceptions import InternalServerError
from nexttoken.runtimes.scripted import ScriptedRuntime

TEXT = "\n\nHello there, how may I assist you today?"


def dumped(chunks):
    return [chunk.model_dump(exclude_unset=True) for chunk in chunks]


def test_the_shape_of_every_chunk(ask, runtime):
    chunks = dumped(ask(runtime, stream=True))
    (shared,) = {(c["id"], c["created"], c["model"], c["object"]) for c in chunks}
    assert shared[0].startswith("chatcmpl-")
    assert shared[2:] == ("scripted", "chat.completion.chunk")
    members = ["id", "object", "created", "model", "choices", "system_fingerprint"]
    assert {frozenset(chunk) for chunk in chunks} == {frozenset(members)}
    choices = [chunk["choices"] for chunk in chunks]
    assert choices[0] == [{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}]
    assert choices[1:-1] == [[{"index": 0, "delta": {"content": c}, "finish_reason": None}] for c in TEXT]
    assert choices[-1] == [{"index": 0, "delta": {}, "finish_reason": "stop"}]


def test_the_official_types_take_them_back(ask, runtime):
    for chunk in ask(runtime, stream=True, n=2):
        assert isinstance(chunk, ChatCompletionChunk)
        assert ChatCompletionChunk.model_validate(chunk.model_dump()) == chunk


@pytest.mark.parametrize("fields", [{}, {"max_tokens": 7}, {"stop": "the"}, {"max_tokens": 5, "n": 3}])
def test_streamed_equals_plain(fields, ask, runtime):
    plain = ask(runtime, **fields)
    contents = [""] * len(plain.choices)
    reasons = {}
    for chunk in ask(runtime, stream=True, **fields):
        (choice,) = chunk.choices
        contents[choice.index] += choice.delta.content or ""
        if choice.finish_reason is not None:
            assert choice.index not in reasons
            reasons[choice.index] = choice.finish_reason
    assert contents == [choice.message.content for choice in plain.choices]
    assert [reasons[choice.index] for choice in plain.choices] == [c.finish_reason for c in plain.choices]


def test_each_choice_has_its_own_beginning_and_end_and_they_interleave(ask, constant):
    runtime = constant({"a": 0.0, "b": 0.0})
    chunks = dumped(ask(runtime, stream=True, n=4, max_tokens=6))
    order = [chunk["choices"][0]["index"] for chunk in chunks]
    assert len({chunk["id"] for chunk in chunks}) == 1
    assert order != sorted(order)
    for index in range(4):
        own = [chunk["choices"][0] for chunk in chunks if chunk["choices"][0]["index"] == index]
        assert own[0]["delta"] == {"role": "assistant", "content": ""}
        assert [set(choice["delta"]) for choice in own[1:-1]] == [{"content"}] * 6
        assert own[-1] == {"index": index, "delta": {}, "finish_reason": "length"}
        assert [choice["finish_reason"] for choice in own[:-1]] == [None] * 7


def test_chunks_come_as_the_tokens_do(ask, runtime):
    """Each chunk costs the steps up to it and no more: nothing is collected first."""
    stream = ask(runtime, stream=True)
    assert runtime.calls == []
    for number, _ in zip(range(5), stream, strict=False):
        assert sum(call == "decode" for call, _ in runtime.calls) == max(0, number - 1)


def test_an_empty_answer(ask):
    chunks = dumped(ask(ScriptedRuntime([""]), stream=True))
    assert [chunk["choices"][0]["delta"] for chunk in chunks] == [{"role": "assistant", "content": ""}, {}]


def test_no_half_characters(ask):
    stream = ask(ScriptedRuntime(["é日🙂"]), stream=True)
    assert [chunk.choices[0].delta.content for chunk in stream] == ["", "é", "日", "🙂", None]


def test_the_end_of_a_stream_is_final(ask, runtime):
    stream = ask(runtime, stream=True, max_tokens=1)
    assert len(list(stream)) == 3
    assert list(stream) == []


@pytest.mark.parametrize("how", ["close", "with", "drop", "loop", "sse"])
def test_a_stream_that_is_left_frees_its_rows(how, ask, runtime):
    stream = ask(runtime, stream=True, n=3)
    next(stream)
    assert len(runtime.sequences) == 3
    match how:
        case "close":
            stream.close()
            assert list(stream) == []
        case "with":
            with stream:
                next(stream)
        case "drop":
            del stream
        case "loop":
            for _ in stream:
                break
            del stream
        case "sse":
            events = sse(stream)
            next(events)
            events.close()
    assert runtime.sequences == {}


def test_a_stream_that_is_never_read_costs_nothing(ask, runtime):
    stream = ask(runtime, stream=True)
    stream.close()
    del stream
    ask(runtime, max_tokens=1)
    assert [call for call, _ in runtime.calls].count("prefill") == 1


def test_events(ask, runtime):
    events = list(sse(ask(runtime, stream=True, max_tokens=3)))
    assert events[-1] == "data: [DONE]\n\n"
    for event in events:
        assert event.startswith("data: ")
        assert event.endswith("\n\n")
        assert event.count("\n") == 2
    data = [json.loads(event.removeprefix("data: ")) for event in events[:-1]]
    assert [choice["finish_reason"] for chunk in data for choice in chunk["choices"]] == [None] * 4 + ["length"]
    assert all("finish_reason" in choice for chunk in data for choice in chunk["choices"])
    assert [choice["delta"] for chunk in data for choice in chunk["choices"]] == [
        {"role": "assistant", "content": ""},
        {"content": "\n"},
        {"content": "\n"},
        {"content": "H"},
        {},
    ]


def test_events_are_ascii(ask):
    """U+2028, U+2029 and U+0085 end a line for many a reader."""
    text = "a\u2028b\u2029c\u0085d 日本 🙂"
    events = list(sse(ask(ScriptedRuntime([text]), stream=True)))
    assert all(event.isascii() and len(event.splitlines()) == 2 for event in events)
    data = [json.loads(event.removeprefix("data: ")) for event in events[:-1]]
    assert "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in data) == text


def test_an_error_on_the_way_is_an_event(ask, constant):
    runtime = constant({"a": 0.0})
    calls = iter([None, None])
    decode = runtime.decode

    def failing(sequences, token_ids):
        next(calls)
        return decode(sequences, token_ids)

    runtime.decode = failing
    events = list(sse(ask(runtime, stream=True)))
    assert events[-1] == "data: [DONE]\n\n"
    error = json.loads(events[-2].removeprefix("data: "))["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    assert error["type"] == "server_error"
    with pytest.raises(InternalServerError):
        list(ask(runtime, stream=True))
