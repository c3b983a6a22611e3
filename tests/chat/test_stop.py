"""Stop strings: every piece of some answers, across tokens and characters, streamed and plain, against an oracle."""

from __future__ import annotations

import pytest

from nexttoken.runtimes.scripted import ByteTokenizer, ScriptedRuntime

ANSWERS = [
    "Hello there, how may I assist you?",
    "aaaab aab aaab",
    "abcabcabd",
    "Grüße, 日本 🙂\n",
    "\n\n  \n",
]
# Tokens that straddle words and repetitions, and, for the last answer but one, pieces of characters.
TOKENS = [b"Hell", b"o there", b", how may", b" I a", b"aa", b"ab", b"bca", b"bcabd", b"\n\n", b"  \n"]
TOKENS += ["ße, 日".encode()[:-1], "日本".encode()[2:], " 🙂".encode()[:3], "🙂".encode()[2:] + b"\n"]
TOKENIZERS = {"bytes": ByteTokenizer(), "longer tokens": ByteTokenizer(longer=TOKENS)}


def pieces(text):
    """Every distinct substring of 1 to 8 bytes."""
    found = {text[i:j] for i in range(len(text)) for j in range(i + 1, len(text) + 1)}
    return sorted(piece for piece in found if len(piece.encode()) <= 8)


def streamed(chunks):
    """Text and finish reason of a stream; no chunk may show half a character."""
    contents = [chunk.choices[0].delta.content or "" for chunk in chunks]
    assert not any("\ufffd" in content for content in contents)
    return "".join(contents), chunks[-1].choices[0].finish_reason


@pytest.mark.parametrize("tokenizer", TOKENIZERS)
@pytest.mark.parametrize("answer", ANSWERS)
def test_every_piece_of_an_answer(answer, tokenizer, ask):
    runtime = ScriptedRuntime([answer], tokenizer=TOKENIZERS[tokenizer])
    for stop in pieces(answer):
        wanted = (answer[: answer.index(stop)], "stop")
        choice = ask(runtime, stop=stop, temperature=0).choices[0]
        assert (choice.message.content, choice.finish_reason) == wanted, stop
        assert streamed(list(ask(runtime, stop=[stop], temperature=0, stream=True))) == wanted, stop
    assert runtime.sequences == {}


@pytest.mark.parametrize("tokenizer", TOKENIZERS)
@pytest.mark.parametrize("answer", ANSWERS)
def test_what_never_completes_is_given_back(answer, tokenizer, ask):
    """Stops that begin like a piece of the answer and go on otherwise: all that was held back must come."""
    runtime = ScriptedRuntime([answer], tokenizer=TOKENIZERS[tokenizer])
    for stop in pieces(answer):
        fields = {"stop": [stop + "§", "x" + stop], "temperature": 0}
        assert ask(runtime, **fields).choices[0].message.content == answer, stop
        assert streamed(list(ask(runtime, stream=True, **fields))) == (answer, "stop"), stop


@pytest.mark.parametrize("limit", range(1, 14))
def test_what_is_held_back_comes_at_the_limit_too(limit, ask, text_of):
    runtime = ScriptedRuntime(["aaaab aab aaab"])
    for stop in ("aaaaa", "b aaaa", "ab aab aaabb"):
        answer = ask(runtime, stop=stop, max_tokens=limit)
        assert text_of(answer) == "aaaab aab aaab"[:limit]
        assert answer.choices[0].finish_reason == "length"


def test_nothing_waits_that_is_certain(ask):
    """With a stop of three characters, at most two are held back."""
    stream = ask(ScriptedRuntime(["abcdefgh"]), stop="xyz", temperature=0, stream=True)
    contents = [chunk.choices[0].delta.content for chunk in stream]
    assert contents == ["", *"abcdefgh", None]


def test_a_stop_on_the_last_token_allowed_is_a_stop(ask):
    for limit, wanted in ((5, ("Hel", "stop")), (4, ("Hell", "length"))):
        choice = ask(ScriptedRuntime(["Hello there"]), stop="lo", max_tokens=limit, temperature=0).choices[0]
        assert (choice.message.content, choice.finish_reason) == wanted


def test_a_stop_at_the_very_start(ask):
    answer = ask(ScriptedRuntime(["Hello"]), stop="H")
    assert answer.choices[0].message.content == ""
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.completion_tokens == 1


@pytest.mark.parametrize(
    ("stops", "text"),
    [
        (["there", "Hello"], ""),
        (["there", "o t"], "Hell"),
        (["you", "there", "may", "zzz"], "Hello "),
        (["ther", "there"], "Hello "),
        (["there", "ther"], "Hello "),
        (["zzz", "Hello!"], "Hello there, how may I assist you?"),
    ],
)
@pytest.mark.parametrize("tokenizer", TOKENIZERS)
def test_the_first_of_several(stops, text, tokenizer, ask, text_of):
    runtime = ScriptedRuntime(["Hello there, how may I assist you?"], tokenizer=TOKENIZERS[tokenizer])
    assert text_of(ask(runtime, stop=stops, temperature=0)) == text
    assert streamed(list(ask(runtime, stop=stops, temperature=0, stream=True)))[0] == text


@pytest.mark.parametrize("longer", [[], [b"abcd"], [b"xa", b"bcd"], [b"xab", b"cd"], [b"xabcd"]])
@pytest.mark.parametrize(
    ("stops", "text"),
    [
        (["abcd", "bc"], "x"),  # complete later, but it began further left
        (["abcdz", "bc"], "xa"),  # never complete: the text ends
        (["abce", "bcd"], "xa"),
        (["abc", "bc"], "x"),  # complete at the same byte
        (["bc", "c", "abc"], "x"),
        (["abc", "abcd", "xabcde"], "x"),
        (["xabcd", "c", "ab"], ""),
        (["cd", "abcde", "bcde", "d"], "xab"),
    ],
)
def test_several_that_overlap(stops, text, longer, ask, text_of):
    runtime = ScriptedRuntime(["xabcd"], tokenizer=ByteTokenizer(longer=longer))
    assert text_of(ask(runtime, stop=stops, temperature=0)) == text
    assert streamed(list(ask(runtime, stop=stops, temperature=0, stream=True))) == (text, "stop")


@pytest.mark.parametrize("tokenizer", TOKENIZERS)
@pytest.mark.parametrize("answer", ANSWERS)
def test_every_two_pieces_of_an_answer(answer, tokenizer, ask):
    """The leftmost of the two, whichever is complete first; also where the longer one goes on otherwise."""
    runtime = ScriptedRuntime([answer], tokenizer=TOKENIZERS[tokenizer])
    some = pieces(answer)[::7]
    for i, first in enumerate(some):
        for stops in ([first, some[-1 - i]], [first + "§", first[1:] + "§", some[i // 2]]):
            cut = min((answer.index(stop) for stop in stops if stop and stop in answer), default=len(answer))
            wanted = (answer[:cut], "stop")
            assert streamed(list(ask(runtime, stop=stops, temperature=0, stream=True))) == wanted, stops


def test_tokens_drawn_while_it_is_not_decided_count(ask):
    """ "bc" is complete with the third letter; what follows decides whether "abcde" began before it."""
    for text, wanted, drawn in (("abcde.", "", 5), ("abcx..", "a", 4), ("abcdx.", "a", 5)):
        answer = ask(ScriptedRuntime([text]), stop=["abcde", "bc"], temperature=0)
        choice = answer.choices[0]
        assert (choice.message.content, choice.finish_reason) == (wanted, "stop")
        assert answer.usage.completion_tokens == drawn


def test_a_limit_that_comes_before_it_is_decided(ask):
    for limit, wanted in ((2, ("ab", "length")), (3, ("a", "stop")), (4, ("a", "stop")), (5, ("", "stop"))):
        runtime, fields = ScriptedRuntime(["abcde."]), {"stop": ["abcde", "bc"], "max_tokens": limit, "temperature": 0}
        choice = ask(runtime, **fields).choices[0]
        assert (choice.message.content, choice.finish_reason) == wanted
        assert streamed(list(ask(runtime, stream=True, **fields))) == wanted


def test_the_prompt_is_not_searched(ask, text_of):
    messages = [{"role": "user", "content": "STOP"}, {"role": "assistant", "content": "STOP ST"}]
    assert text_of(ask(ScriptedRuntime(["OP and STOP"]), messages=messages, stop="STOP")) == "OP and "


def test_each_choice_stops_for_itself(ask, constant):
    """Four letters at random, one of which ends the choice: each is cut at its own first one."""
    runtime = constant(dict.fromkeys("abcd", 0.0))
    plain = [choice.message.content for choice in ask(runtime, n=8, seed=1, max_tokens=40).choices]
    stopped = [choice.message.content for choice in ask(runtime, n=8, seed=1, max_tokens=40, stop="d").choices]
    assert stopped == [text.partition("d")[0] for text in plain]
    assert len({len(text) for text in stopped}) > 2


def test_a_special_token_cannot_be_a_stop_string_by_its_name(ask, text_of):
    """Special tokens have no text, so their spelling is found only where it was written out."""
    runtime = ScriptedRuntime(["a<|im_start|>b"])
    assert text_of(ask(runtime, stop="<|im_start|>", temperature=0)) == "ab"
