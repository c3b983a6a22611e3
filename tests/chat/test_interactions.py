"""Fields that act on each other: temperature, top_p, n, seed, biases, limits and the context."""

from __future__ import annotations

import math

import pytest

from nexttoken.runtimes.scripted import ScriptedRuntime

PROMPT_TOKENS = len("_user\nHello!_\n_assistant\n")  # the template around "Hello!", special tokens as one
FLAT = dict.fromkeys("abcdefghijklmnop", 0.0)


def texts(answer):
    return [choice.message.content for choice in answer.choices]


@pytest.mark.parametrize("temperature", [0, 1e-300, 5e-324])
@pytest.mark.parametrize("settings", [{}, {"top_p": 0.5}, {"top_p": 0}, {"seed": 1}, {"seed": 2}, {"n": 3}])
def test_temperature_zero_takes_the_likeliest(temperature, settings, ask, constant):
    runtime = constant({"a": 1.0, "b": 1.001, "c": 1.0})
    answer = ask(runtime, temperature=temperature, max_tokens=8, **settings)
    assert texts(answer) == ["b" * 8] * settings.get("n", 1)


def test_ties_at_temperature_zero_go_to_the_lower_id(ask, constant, text_of):
    assert text_of(ask(constant({"b": 1.0, "a": 1.0}), temperature=0, max_tokens=4)) == "aaaa"


@pytest.mark.parametrize("temperature", [0.5, 1, 2])
def test_top_p_zero_keeps_the_likeliest(temperature, ask, constant, text_of):
    runtime = constant({"a": 1.0, "b": 1.001, "c": 1.0})
    assert text_of(ask(runtime, temperature=temperature, top_p=0, max_tokens=50, seed=1)) == "b" * 50


@pytest.mark.parametrize(("top_p", "kept"), [(0.39, "a"), (0.41, "ab"), (0.71, "abc"), (0.9, "abc"), (1, "abcd")])
def test_top_p_keeps_the_token_that_crosses(top_p, kept, ask, constant):
    shares = {"a": 0.4, "b": 0.3, "c": 0.2, "d": 0.1}
    runtime = constant({character: math.log(share) for character, share in shares.items()})
    drawn = "".join(texts(ask(runtime, top_p=top_p, n=128, max_tokens=4, seed=3)))
    assert set(drawn) == set(kept)


def test_the_bias_comes_before_the_temperature(ask, constant):
    """Bias 2 at temperature 2 shifts the odds by e: 73 % of the draws. After the temperature it would be 88 %."""
    runtime = constant({"a": 0.0, "b": 0.0})
    drawn = ""
    for seed in range(20):
        drawn += "".join(texts(ask(runtime, temperature=2, logit_bias={"97": 2}, n=128, max_tokens=1, seed=seed)))
    share = math.e / (1 + math.e)
    spread = math.sqrt(len(drawn) * share * (1 - share))
    assert abs(drawn.count("a") - len(drawn) * share) < 5 * spread


def test_top_p_comes_after_the_temperature(ask, constant):
    """At temperature 2 the odds of 9 to 1 become 3 to 1, so that 0.8 of the mass needs both tokens."""
    runtime = constant({"a": math.log(0.9), "b": math.log(0.1)})
    assert set("".join(texts(ask(runtime, top_p=0.8, temperature=1, n=128, max_tokens=2, seed=1)))) == {"a"}
    assert set("".join(texts(ask(runtime, top_p=0.8, temperature=2, n=128, max_tokens=2, seed=1)))) == {"a", "b"}


def test_one_seed_gives_one_answer(ask, constant):
    runtime = constant(FLAT)
    first = texts(ask(runtime, seed=7, n=4, max_tokens=16))
    assert texts(ask(runtime, seed=7, n=4, max_tokens=16)) == first
    assert texts(ask(runtime, seed=8, n=4, max_tokens=16)) != first
    assert texts(ask(runtime, seed=7 - 2**63, n=4, max_tokens=16)) != first


def test_choices_of_one_seed_differ_and_do_not_depend_on_n(ask, constant):
    runtime = constant(FLAT)
    four = texts(ask(runtime, seed=7, n=4, max_tokens=16))
    assert len(set(four)) == 4
    for n in (1, 2, 3):
        assert texts(ask(runtime, seed=7, n=n, max_tokens=16)) == four[:n]


def test_without_a_seed_answers_differ(ask, constant):
    runtime = constant(FLAT)
    answers = [texts(ask(runtime, n=2, max_tokens=16)) for _ in range(4)]
    assert len({text for answer in answers for text in answer}) == 8


def test_the_neighbours_in_the_batch_do_not_matter(ask, constant):
    runtime = constant(FLAT)
    alone = texts(ask(runtime, seed=7, max_tokens=16))
    others = [ask(runtime, n=3, max_tokens=100, stream=True) for _ in range(3)]
    for stream in others:
        next(stream)
    assert texts(ask(runtime, seed=7, max_tokens=16)) == alone


def test_the_limit_holds_for_each_choice(ask, constant):
    answer = ask(constant(FLAT), n=5, max_tokens=9)
    assert [len(text) for text in texts(answer)] == [9] * 5


def test_a_ban_and_an_exclusive_choice(ask, constant, text_of):
    runtime = constant({"a": 5.0, "b": 3.0, "c": 1.0})
    assert text_of(ask(runtime, logit_bias={"97": -100}, temperature=0, max_tokens=3)) == "bbb"
    assert text_of(ask(runtime, logit_bias={"99": 100}, max_tokens=3)) == "ccc"
    assert text_of(ask(runtime, logit_bias={97: -1, 98: 1.5}, temperature=0, max_tokens=3)) == "bbb"


def test_the_end_of_text_can_be_biased(ask, runtime):
    (end,) = runtime.eos_token_ids
    answer = ask(runtime, logit_bias={end: 100})
    assert texts(answer) == [""]
    assert answer.choices[0].finish_reason == "stop"
    answer = ask(runtime, logit_bias={str(end): -100}, max_tokens=60, seed=1)
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage.completion_tokens == 60


def endless(context_length):
    """A runtime whose answers never end."""
    return ScriptedRuntime(["x" * 200], context_length=context_length)


def test_the_context_boundary(ask, refusal):
    context = PROMPT_TOKENS + 10
    answer = ask(endless(context), max_tokens=10)
    assert answer.usage.total_tokens == context
    error = refusal(endless(context), max_tokens=11)
    assert error.message == (
        f"This model's maximum context length is {context} tokens. However, you requested {context + 1} tokens "
        f"({PROMPT_TOKENS} in the messages, 11 in the completion). "
        "Please reduce the length of the messages or completion."
    )
    assert (error.param, error.code) == ("messages", "context_length_exceeded")


@pytest.mark.parametrize("room", [1, 2, 17])
def test_without_a_limit_the_context_ends_the_answer(room, ask):
    answer = ask(endless(PROMPT_TOKENS + room), n=2)
    assert [choice.finish_reason for choice in answer.choices] == ["length", "length"]
    assert texts(answer) == ["x" * room] * 2


@pytest.mark.parametrize("settings", [{}, {"max_tokens": 1}])
def test_a_prompt_that_is_too_long_alone(settings, refusal):
    context = PROMPT_TOKENS - 1
    error = refusal(endless(context), **settings)
    assert error.message == (
        f"This model's maximum context length is {context} tokens. However, your messages resulted in "
        f"{PROMPT_TOKENS} tokens. Please reduce the length of the messages."
    )
    assert (error.param, error.code) == ("messages", "context_length_exceeded")


def test_a_prompt_that_fills_the_context(refusal):
    error = refusal(endless(PROMPT_TOKENS))
    assert error.code == "context_length_exceeded"
    assert "leaves no room" in error.message


def test_a_limit_of_thousands_of_digits(refusal):
    for limit in (2**62, 2**62 + 1, 10**5000):
        assert refusal(max_tokens=limit).message
