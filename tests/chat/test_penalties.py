"""Presence and frequency penalties, and logit_bias, counted out: the model is one line of logits.

The formula: a token's logit less its count times the frequency penalty, less the presence penalty once it has come.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nexttoken
from nexttoken.runtimes.scripted import ByteTokenizer, ScriptedRuntime

HELLO = [{"role": "user", "content": "Hello!"}]
STEPS = 40
GAP = 1.0  # how far the pushed token "a" is behind, before it is pushed


def pushed(ask, constant, **fields):
    """How many tokens "a" leads for when it is pushed by 10.5, of 40."""
    runtime = constant({"a": 0.0, "b": GAP, "c": GAP - 0.25, "d": GAP - 0.5})
    answer = ask(runtime, temperature=0, max_tokens=STEPS, logit_bias={"97": 10.5}, **fields)
    text = answer.choices[0].message.content
    return len(text) - len(text.lstrip("a"))


def test_no_penalty(ask, constant):
    assert pushed(ask, constant) == STEPS


def test_presence_is_taken_off_once(ask, constant):
    """10.5 - 2 still leads by far, however often it comes."""
    assert pushed(ask, constant, presence_penalty=2) == STEPS


def test_frequency_is_taken_off_each_time(ask, constant):
    """It leads while 10.5 - f * count > GAP."""
    assert pushed(ask, constant, frequency_penalty=2) == 5
    assert pushed(ask, constant, frequency_penalty=1) == 10
    assert pushed(ask, constant, frequency_penalty=0.75) == 13


def test_both_add(ask, constant):
    assert pushed(ask, constant, frequency_penalty=2, presence_penalty=2) == 4
    assert pushed(ask, constant, frequency_penalty=1, presence_penalty=2) == 8


def test_negative_penalties_encourage(ask, constant):
    """Of two equal tokens, the one that came leads by 2 for the next draw: it comes again in 88 % of the choices."""
    runtime = constant({"a": 0.0, "b": 0.0})

    def agreeing(**fields):
        answer = ask(runtime, n=128, seed=5, **fields)
        return sum(len(set(choice.message.content)) == 1 for choice in answer.choices)

    assert 45 <= agreeing(max_tokens=2) <= 83
    assert 97 <= agreeing(max_tokens=2, presence_penalty=-2) <= 127
    assert 97 <= agreeing(max_tokens=2, frequency_penalty=-2) <= 127
    # Presence is added once, frequency each time: only the latter makes a token sure of coming again.
    assert agreeing(max_tokens=40, presence_penalty=-2) <= 10
    assert agreeing(max_tokens=40, frequency_penalty=-2) >= 90


@pytest.mark.parametrize("penalty", ["presence_penalty", "frequency_penalty"])
def test_the_first_token_is_never_penalised(penalty, ask, constant, text_of):
    runtime = constant({"a": 1.0, "b": 0.5})
    assert text_of(ask(runtime, temperature=0, max_tokens=1, **{penalty: 2})) == "a"
    assert text_of(ask(runtime, temperature=0, max_tokens=2, **{penalty: 2})) == "ab"


@pytest.mark.parametrize("penalty", ["presence_penalty", "frequency_penalty"])
def test_the_prompt_does_not_count(penalty, ask, constant, text_of):
    runtime = constant({"a": 1.0, "b": 0.5})
    messages = [{"role": "user", "content": "a" * 100}, {"role": "assistant", "content": "aaa"}]
    answer = ask(runtime, messages=messages, temperature=0, max_tokens=1, **{penalty: 2})
    assert text_of(answer) == "a"


def test_each_choice_counts_for_itself(ask, constant):
    """A token comes once per choice before its penalty of 2 tells, in all of the choices."""
    runtime = constant(dict.fromkeys("abcd", 0.0))
    answer = ask(runtime, n=64, max_tokens=4, seed=1, temperature=0.01, frequency_penalty=2)
    assert {"".join(sorted(choice.message.content)) for choice in answer.choices} == {"abcd"}


def test_a_biased_token_counts_like_any_other(ask, constant, text_of):
    runtime = constant({"a": 0.0, "b": 0.0})
    answer = ask(runtime, temperature=0, logit_bias={"98": 3}, frequency_penalty=2, max_tokens=6)
    assert text_of(answer) == "bbabab"


def foretold(logits, bias, presence, frequency, steps):
    """What greedy decoding must say, by the formula, each operation rounded to float32."""
    counts: Counter[int] = Counter()
    said = []
    for _ in range(steps):
        adjusted = logits.copy()
        for token_id, value in bias.items():
            adjusted[token_id] += np.float32(value)
        for token_id, count in counts.items():
            adjusted[token_id] -= np.float32(count) * np.float32(frequency)
            adjusted[token_id] -= np.float32(presence)
        token_id = int(adjusted.argmax())
        counts[token_id] += 1
        said.append(token_id)
    return said


penalty = st.floats(-2, 2, width=32)
LETTERS = [ord(letter) for letter in "abcdef"]


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.floats(-8, 8, width=32), min_size=6, max_size=6),
    st.dictionaries(st.sampled_from(LETTERS), st.floats(-100, 100, width=32)),
    penalty,
    penalty,
)
def test_greedy_answers_follow_the_formula(values, bias, presence, frequency):
    tokenizer = ByteTokenizer()
    logits = np.full(len(tokenizer.token_bytes), -1000, np.float32)
    logits[LETTERS] = values
    answer = nexttoken.chat_completion(
        model=ScriptedRuntime(lambda prompt, output: logits, tokenizer=tokenizer),
        messages=HELLO,
        temperature=0,
        max_tokens=24,
        logit_bias={str(token_id): value for token_id, value in bias.items()},
        presence_penalty=presence,
        frequency_penalty=frequency,
    )
    wanted = foretold(logits, bias, presence, frequency, 24)
    assert answer.choices[0].message.content == bytes(wanted).decode()
