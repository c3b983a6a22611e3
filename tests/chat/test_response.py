"""The plain response: its members, its counts, and the text as it came."""

from __future__ import annotations

import time

import pytest
from openai.types.chat import ChatCompletion

from nexttoken.runtimes.scripted import ByteTokenizer, ScriptedRuntime

PROMPT = "<|im_start|>user\nHello!<|im_end|>\n<|im_start|>assistant\n"


def test_the_founding_example(ask, runtime):
    before = int(time.time())
    answer = ask(runtime)
    assert isinstance(answer, ChatCompletion)
    data = answer.model_dump(exclude_unset=True)
    assert data.pop("id").startswith("chatcmpl-")
    assert before <= data.pop("created") <= time.time()
    assert data.pop("system_fingerprint").startswith("fp_")
    prompt_tokens = len(runtime.tokenizer.encode(PROMPT))
    text = "\n\nHello there, how may I assist you today?"
    assert data == {
        "object": "chat.completion",
        "model": "scripted",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
        "usage": {
            "prompt_tokens": prompt_tokens,
            "completion_tokens": len(text) + 1,  # and the end of text
            "total_tokens": prompt_tokens + len(text) + 1,
        },
    }


@pytest.mark.parametrize("n", [1, 3])
def test_the_official_types_take_it_back(n, ask, runtime):
    answer = ask(runtime, n=n)
    assert ChatCompletion.model_validate(answer.model_dump()) == answer
    assert ChatCompletion.model_validate_json(answer.model_dump_json()) == answer


def test_ids_differ(ask, runtime):
    assert len({ask(runtime, max_tokens=1).id for _ in range(50)}) == 50


@pytest.mark.parametrize("text", ["\n\nHello", "  x  ", "\t", "", "x\n", "\u2028\u0085", "日本語 🙂", "\0"])
def test_the_content_is_verbatim(text, ask, text_of):
    assert text_of(ask(ScriptedRuntime([text]))) == text


def test_no_text_is_an_empty_string_and_not_null(ask):
    answer = ask(ScriptedRuntime([""]))
    assert answer.choices[0].message.content == ""
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.completion_tokens == 1


def test_special_tokens_are_no_part_of_the_content(ask, text_of):
    tokenizer = ByteTokenizer(special=("<|im_start|>", "<|im_end|>", "<think>"))
    runtime = ScriptedRuntime(["a<think>b<|im_start|>c"], tokenizer=tokenizer)
    answer = ask(runtime)
    assert text_of(answer) == "abc"
    assert answer.usage.completion_tokens == 6


@pytest.mark.parametrize("n", [1, 2, 5, 128])
def test_choices_are_in_order_and_the_prompt_counts_once(n, ask, runtime):
    answer = ask(runtime, n=n, max_tokens=3)
    assert [choice.index for choice in answer.choices] == list(range(n))
    assert {choice.finish_reason for choice in answer.choices} == {"length"}
    assert answer.usage.prompt_tokens == len(runtime.tokenizer.encode(PROMPT))
    assert answer.usage.completion_tokens == 3 * n
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + 3 * n


@pytest.mark.parametrize("limit", [1, 2, 41, 42, 43, 44])
def test_max_tokens_cuts_exactly(limit, ask, runtime, text_of):
    text = "\n\nHello there, how may I assist you today?"
    answer = ask(runtime, max_tokens=limit)
    assert text_of(answer) == text[:limit]
    if limit <= len(text):
        assert answer.usage.completion_tokens == limit
        assert answer.choices[0].finish_reason == "length"
    else:
        assert answer.choices[0].finish_reason == "stop"


@pytest.mark.parametrize("stream", [False, True])
def test_half_a_character_at_the_limit_is_no_text(stream, ask):
    """So the text to any limit is a beginning of the whole."""
    text = "aé日🙂"
    for limit in range(1, len(text.encode()) + 1):
        answer = ask(ScriptedRuntime([text]), max_tokens=limit, stream=stream, logprobs=True)
        if stream:
            choices = [chunk.choices[0] for chunk in answer]
            said = "".join(choice.delta.content or "" for choice in choices)
            entries = [entry for choice in choices if choice.logprobs for entry in choice.logprobs.content]
        else:
            said, entries = answer.choices[0].message.content, answer.choices[0].logprobs.content
            assert answer.usage.completion_tokens == limit
        assert said == text.encode()[:limit].decode(errors="ignore")
        assert b"".join(bytes(entry.bytes) for entry in entries) == said.encode()
