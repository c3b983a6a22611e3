"""Logprobs in answers: the model's own distribution, exact bytes, and only of tokens that are part of the text."""

from __future__ import annotations

import numpy as np
import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk

import nexttoken
from nexttoken.runtimes.scripted import ByteTokenizer, ScriptedRuntime

WORDS = ByteTokenizer(longer=[b"Hel", b"lo", " wörl".encode()[:3], " wörl".encode()[3:], b"d!", b" a", b"ab"])


def entries(answer, index=0):
    return answer.choices[index].logprobs.content


def streamed_entries(chunks, index=0):
    """The entries of one choice's chunks, each beside the text it came with."""
    found = []
    for chunk in chunks:
        for choice in chunk.choices:
            if choice.index == index and choice.logprobs is not None:
                found.append((choice.delta.content, [bytes(entry.bytes) for entry in choice.logprobs.content]))
    return found


def joined(found):
    return b"".join(bytes(entry.bytes) for entry in found)


def test_they_are_the_models_own(constant, ask):
    """Neither temperature nor top_p, bias or penalties change what the model thought."""
    runtime = constant({"a": 2.0, "b": 1.0, "c": -1.0}, rest=-np.inf)
    wanted = np.array([2.0, 1.0, -1.0]) - np.log(np.exp([2.0, 1.0, -1.0]).sum())
    fields = {"temperature": 0.2, "top_p": 0.5, "logit_bias": {ord("b"): 100}, "frequency_penalty": 2}
    answer = ask(runtime, logprobs=True, top_logprobs=4, max_tokens=3, **fields)
    assert answer.choices[0].message.content == "bbb"
    for entry in entries(answer):
        assert (entry.token, entry.bytes) == ("b", [ord("b")])
        assert entry.logprob == pytest.approx(wanted[1], abs=1e-6)
        tops = [(top.token, top.bytes) for top in entry.top_logprobs[:3]]
        assert tops == [("a", [97]), ("b", [98]), ("c", [99])]
        assert [top.logprob for top in entry.top_logprobs[:3]] == pytest.approx(wanted, abs=1e-6)
        # What cannot come is no infinity, which JSON has not.
        assert all(top.logprob == -9999.0 for top in entry.top_logprobs[3:])


def test_the_switch_alone_gives_no_alternatives(ask, runtime):
    answer = ask(runtime, logprobs=True)
    assert all(entry.top_logprobs == [] for entry in entries(answer))
    assert joined(entries(answer)) == answer.choices[0].message.content.encode()


@pytest.mark.parametrize("count", [0, 1, 5, 20])
def test_as_many_alternatives_as_asked(count, ask, runtime):
    for entry in entries(ask(runtime, logprobs=True, top_logprobs=count, temperature=0)):
        assert len(entry.top_logprobs) == count
        if count:
            assert entry.top_logprobs[0].token == entry.token
            assert entry.top_logprobs[0].logprob == entry.logprob


@pytest.mark.parametrize("fields", [{}, {"logprobs": False}, {"logprobs": None}])
def test_without_the_switch_there_are_none(fields, ask, runtime):
    assert ask(runtime, **fields).choices[0].logprobs is None
    assert streamed_entries(ask(runtime, stream=True, **fields)) == []


def test_tokens_that_split_a_character_have_their_exact_bytes(ask):
    answer = ask(ScriptedRuntime(["Hello wörld!"], tokenizer=WORDS), logprobs=True)
    assert [bytes(entry.bytes) for entry in entries(answer)] == [b"Hel", b"lo", b" w\xc3", b"\xb6rl", b"d!"]
    assert [entry.token for entry in entries(answer)] == ["Hel", "lo", " w\ufffd", "\ufffdrl", "d!"]
    assert joined(entries(answer)).decode() == answer.choices[0].message.content


def test_the_end_of_text_is_not_part_of_it_and_special_tokens_are_called_by_name(ask):
    tokenizer = ByteTokenizer(special=("<|im_start|>", "<|im_end|>", "<think>"))
    answer = ask(ScriptedRuntime(["a<think>b"], tokenizer=tokenizer), logprobs=True, top_logprobs=1)
    assert [entry.token for entry in entries(answer)] == ["a", "<think>", "b"]
    assert bytes(entries(answer)[1].bytes) == b"<think>"
    assert answer.usage.completion_tokens == 4
    chunks = ask(ScriptedRuntime(["a<think>b"], tokenizer=tokenizer), logprobs=True, stream=True)
    assert streamed_entries(chunks) == [("a", [b"a"]), ("", [b"<think>"]), ("b", [b"b"])]


@pytest.mark.parametrize(
    ("stop", "content", "tokens"),
    [
        ("lo", "Hel", [b"Hel"]),  # between tokens
        ("llo", "He", [b"Hel"]),  # in the middle of one, which is partly shown
        ("Hel", "", []),
        ("d", "Hello wörl", [b"Hel", b"lo", b" w\xc3", b"\xb6rl"]),
        ("zzz", "Hello wörld!", [b"Hel", b"lo", b" w\xc3", b"\xb6rl", b"d!"]),
        ("lo wörx", "Hello wörld!", [b"Hel", b"lo", b" w\xc3", b"\xb6rl", b"d!"]),  # held back, then given back
    ],
)
def test_stops_cut_their_tokens_too(stop, content, tokens, ask):
    runtime = ScriptedRuntime(["Hello wörld!"], tokenizer=WORDS)
    answer = ask(runtime, stop=stop, logprobs=True)
    assert answer.choices[0].message.content == content
    assert [bytes(entry.bytes) for entry in entries(answer)] == tokens
    found = streamed_entries(ask(runtime, stop=stop, logprobs=True, stream=True))
    assert [token for _, group in found for token in group] == tokens


def test_a_stream_has_them_with_their_text(ask):
    """No token before its first byte is shown, none left behind."""
    runtime = ScriptedRuntime([" aab wörld"], tokenizer=WORDS)
    shown, listed = "", b""
    for chunk in ask(runtime, stop=["abx", "b w"], logprobs=True, stream=True):
        shown += chunk.choices[0].delta.content or ""
        logprobs = chunk.choices[0].logprobs
        listed += b"" if logprobs is None else joined(logprobs.content)
        assert listed.startswith(shown.encode())
    assert (shown, listed) == (" aa", b" aab")


@pytest.mark.parametrize("stream", [False, True])
def test_each_choice_has_its_own(stream, constant, ask):
    runtime = constant(dict.fromkeys("abcd", 0.0))
    fields = {"n": 4, "seed": 3, "max_tokens": 9, "logprobs": True, "top_logprobs": 2}
    answer = ask(runtime, **fields)
    if stream:
        chunks = list(ask(runtime, stream=True, **fields))
        assert all(ChatCompletionChunk.model_validate(chunk.model_dump()) == chunk for chunk in chunks)
        texts = [b"".join(t for _, group in streamed_entries(chunks, i) for t in group).decode() for i in range(4)]
    else:
        assert ChatCompletion.model_validate(answer.model_dump()) == answer
        texts = [joined(entries(answer, index)).decode() for index in range(4)]
    assert texts == [choice.message.content for choice in answer.choices]


def test_requests_with_and_without_share_a_batch(echo):
    """The widest list of alternatives in a batch is nobody else's."""
    runtime = echo()
    streams = [
        nexttoken.chat_completion(model=runtime, messages=[{"role": "user", "content": "same"}], stream=True, **fields)
        for fields in ({}, {"logprobs": True}, {"logprobs": True, "top_logprobs": 3})
    ]
    for stream in streams:
        next(stream)
    counts = []
    for stream in streams:
        found = [choice.logprobs for chunk in stream for choice in chunk.choices if choice.logprobs is not None]
        counts.append({len(entry.top_logprobs) for logprobs in found for entry in logprobs.content})
    assert counts == [set(), {0}, {3}]


def test_the_usage_at_the_end_of_a_stream(ask, runtime):
    plain = ask(runtime, n=2).usage
    *chunks, last = ask(runtime, n=2, stream=True, stream_options={"include_usage": True})
    assert all("usage" in chunk.model_fields_set and chunk.usage is None for chunk in chunks)
    assert (last.choices, last.usage) == ([], plain)
    assert last.id == chunks[0].id
    for options in ({"include_usage": False}, {}, None):
        chunks = list(ask(runtime, stream=True, stream_options=options))
        assert not any("usage" in chunk.model_fields_set for chunk in chunks)


def test_the_fingerprint_is_the_models(ask, runtime):
    answer = ask(runtime, seed=1)
    assert answer.system_fingerprint == ask(runtime, seed=2).system_fingerprint
    assert answer.system_fingerprint == next(ask(runtime, stream=True)).system_fingerprint
    other = ScriptedRuntime(["x"], tokenizer=WORDS)
    assert ask(other).system_fingerprint != answer.system_fingerprint
