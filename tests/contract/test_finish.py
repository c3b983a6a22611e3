"""How a row ends, what is shown of its text, and that a refused call moves nothing."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import nexttoken
from nexttoken import ParameterError, ParameterTypeError, Sampler, SamplingParams

A, B, C, END, E1, E2, SPACE, GREETING = range(8)
TOKEN_BYTES = [b"a", b"b", b"c", b"<end>", b"\xc3", b"\xa9", b" ", b"hello"]
V = len(TOKEN_BYTES)


def saying(*tokens: int) -> npt.NDArray[np.float32]:
    """Logits whose greedy draws are these tokens, one line each."""
    lines = np.zeros((len(tokens), V), np.float32)
    lines[np.arange(len(tokens)), tokens] = 5
    return lines


def say(tokens: Sequence[int], **params: Any) -> tuple[list[str], list[str | None], Sampler]:
    """Text and finish reason of each step until the row ends."""
    sampler = Sampler(V, TOKEN_BYTES, [END])
    row = sampler.add(SamplingParams(temperature=0, **params))
    texts, reasons = [], []
    for line in saying(*tokens):
        result = sampler.step(line, [row])
        assert result.text is not None
        texts.append(result.text[0])
        reasons.append(result.finish_reason[0])
        if reasons[-1] is not None:
            break
    assert sampler.active_rows == ([] if reasons[-1] else [row])
    return texts, list(reasons), sampler


def test_an_end_of_text_stops_and_is_not_shown() -> None:
    assert say([A, B, END, A])[:2] == (["a", "b", ""], [None, None, "stop"])


def test_stop_tokens_stop_and_are_not_shown() -> None:
    assert say([A, C, A], stop_token_ids=[C])[:2] == (["a", ""], [None, "stop"])


def test_ignore_eos_shows_it_and_goes_on() -> None:
    assert say([A, END, B], ignore_eos=True)[:2] == (["a", "<end>", "b"], [None, None, None])
    # Named as a stop token it stops all the same.
    assert say([A, END, B], ignore_eos=True, stop_token_ids=[END])[1] == [None, "stop"]


def test_max_tokens() -> None:
    assert say([A, B, C], max_tokens=2)[:2] == (["a", "b"], [None, "length"])
    assert say([A, E1], max_tokens=2)[0] == ["a", ""]  # half a character is no text


@pytest.mark.parametrize("params", [{}, {"stop_token_ids": [C]}, {"stop": "bc"}])
def test_a_stop_on_the_last_token_is_a_stop(params: dict[str, Any]) -> None:
    tokens = [A, B, C if params else END]
    assert say(tokens, max_tokens=3, **params)[1] == [None, None, "stop"]


def test_stop_strings_across_tokens() -> None:
    texts, reasons, sampler = say([A, B, A, B, C, A], stop=["zz", "abc"])
    assert texts == ["", "", "ab", "", ""]  # "ab" is held back until the second "a" shows it cannot be the stop
    assert reasons[-1] == "stop"
    assert sampler.info(0).matched_stop == 1
    assert "".join(say([GREETING], stop="ll")[0]) == "he"
    assert say([A, B, C])[2].info(0).matched_stop is None


OVERLAPPING = ["abca", "bc"]


@pytest.mark.parametrize(
    ("tokens", "params", "texts", "reason", "matched"),
    [
        ([A, B, C, A, B], {}, ["", "", "", ""], "stop", 0),  # "bc" waits, then the one that began before it is complete
        ([A, B, C, B, A], {}, ["", "", "", "a"], "stop", 1),  # or can no longer be
        ([A, B, C, GREETING], {}, ["", "", "", "a"], "stop", 1),
        ([A, B, C, END], {}, ["", "", "", "a"], "stop", 1),  # an end of text while "bc" waits
        ([B, A, B, C, SPACE], {"stop_token_ids": [SPACE]}, ["", "b", "", "", "a"], "stop", 1),
        ([A, B, C, A], {"max_tokens": 3}, ["", "", "a"], "stop", 1),  # complete within the limit: a stop
        ([A, B, A], {"max_tokens": 2}, ["", "ab"], "length", None),
        # Looked for from the third token on: "abca" began too early to count.
        ([A, B, B, C, A], {"min_tokens": 2}, ["a", "b", "", ""], "stop", 1),
        ([A, B, C, A], {"min_tokens": 1}, ["a", "", ""], "stop", 1),
    ],
)
def test_the_leftmost_stop_string_counts(
    tokens: list[int], params: dict[str, Any], texts: list[str], reason: str, matched: int | None
) -> None:
    told, reasons, sampler = say(tokens, **{"stop": OVERLAPPING, **params})
    assert told == texts
    assert reasons == [None] * (len(texts) - 1) + [reason]
    info = sampler.info(0)
    assert (info.step, info.matched_stop) == (len(texts), matched)


def test_a_bad_row_is_cut_at_the_stop_string_that_waits() -> None:
    sampler = Sampler(V, TOKEN_BYTES, [END])
    row = sampler.add(SamplingParams(stop=OVERLAPPING), output_token_ids=[A, B, C])
    result = sampler.step(np.full(V, np.nan, np.float32))
    assert (result.text, result.finish_reason) == (["a"], ["error"])
    assert sampler.info(row)[3:] == ("error", 1, 1)


def test_rows_forked_while_a_stop_string_waits() -> None:
    """Each goes its own way from there, and so does a row resumed from the same tokens."""
    sampler = Sampler(V, TOKEN_BYTES, [END])
    params = SamplingParams(temperature=0, stop=OVERLAPPING)
    row = sampler.add(params)
    for line in saying(A, B, C):
        assert sampler.step(line, [row]).finish_reason == [None]
    rows = [row, *sampler.fork(row, 2), sampler.add(params, output_token_ids=[A, B, C])]
    assert [sampler.info(row).matched_stop for row in rows] == [None] * 4
    result = sampler.step(saying(A, B, END, B), rows)
    assert result.finish_reason == ["stop"] * 4
    assert result.text == ["", "a", "a", "a"]
    assert [sampler.info(row)[4:] for row in rows] == [(0, 0), (1, 1), (1, 1), (1, 1)]


def test_a_row_that_waits_may_be_resumed_further() -> None:
    sampler = Sampler(V, TOKEN_BYTES, [END])
    params = SamplingParams(temperature=0, stop=OVERLAPPING)
    assert sampler.info(sampler.add(params, output_token_ids=[A, B, C, A])).matched_stop == 0
    with pytest.raises(ParameterError, match=r"^output_token_ids must not go on after the row has ended, at token 4$"):
        sampler.add(params, output_token_ids=[A, B, C, B, A])


@pytest.mark.parametrize(
    ("tokens", "params", "shown"),
    [
        ([A, GREETING, END], {}, [1, 6, 6]),  # an end of text has no bytes
        ([A, END, B], {"ignore_eos": True}, [1, 6, 7]),  # unless it is said
        ([A, C], {"stop_token_ids": [C]}, [1, 1]),
        ([A, E1, E2, B], {}, [1, 1, 3, 4]),  # half a character is held back
        ([A, E2, E1, A], {}, [1, 2, 2, 4]),  # bytes of no character count as what they were
        ([A, E1, END], {}, [1, 1, 1]),
        ([A, B, A, B, C], {"stop": "abc"}, [0, 0, 2, 2, 2]),
        ([A, GREETING], {"stop": "ll"}, [1, 3]),  # cut inside a token
        ([E1, GREETING], {"stop": "o"}, [0, 5]),
        ([E1, E2], {"stop": "\u00e9"}, [0, 0]),
        ([A, A, A, A], {"stop": "aa", "min_tokens": 1}, [1, 1, 1]),
        ([A, B, C, B], {"stop": OVERLAPPING}, [0, 0, 0, 1]),
        ([A, B], {"stop": "bc", "max_tokens": 2}, [1, 2]),  # the limit releases what was held back
    ],
)
def test_how_much_of_the_tokens_is_shown(tokens: list[int], params: dict[str, Any], shown: list[int]) -> None:
    sampler = Sampler(V, TOKEN_BYTES, [END])
    row = sampler.add(SamplingParams(temperature=0, **params))
    assert sampler.info(row).shown_bytes == 0
    counted = []
    for line in saying(*tokens)[: len(shown)]:
        sampler.step(line, [row])
        counted.append(sampler.info(row).shown_bytes)
    assert counted == shown
    # The same tokens given, not drawn.
    resumed = Sampler(V, TOKEN_BYTES, [END])
    again = resumed.add(SamplingParams(temperature=0, **params), output_token_ids=tokens[: len(shown)])
    assert resumed.info(again) == sampler.info(row)._replace(seed=resumed.seed(again))


def test_a_leading_space_that_is_dropped_counts_as_shown() -> None:
    for params, tokens, shown in (
        ({}, [SPACE, SPACE, A], [1, 2, 3]),
        ({}, [A, SPACE], [1, 2]),
        ({"stop": " a"}, [SPACE, A, SPACE, A], [1, 2, 2, 2]),
        ({"stop": "ab"}, [SPACE, A, B], [1, 1, 1]),  # nothing is shown, yet the space is no part of the stop string
    ):
        sampler = Sampler(V, TOKEN_BYTES, [END], strip_leading_space=True)
        row = sampler.add(SamplingParams(temperature=0, **params))
        counted = []
        for line in saying(*tokens):
            sampler.step(line, [row])
            counted.append(sampler.info(row).shown_bytes)
        assert counted == shown


def test_forks_count_what_they_show_from_the_start() -> None:
    sampler = Sampler(V, TOKEN_BYTES, [END])
    row = sampler.add(SamplingParams(temperature=0, stop="abc"))
    for line in saying(GREETING, A):
        sampler.step(line, [row])
    rows = [row, *sampler.fork(row, 1)]
    sampler.step(saying(B, C), rows)
    assert [sampler.info(row).shown_bytes for row in rows] == [5, 7]


def test_a_row_without_text_shows_no_bytes() -> None:
    sampler = Sampler(V)
    row = sampler.add()
    sampler.step(saying(A))
    assert sampler.info(row).shown_bytes == 0


def test_characters_are_shown_whole() -> None:
    assert say([A, E1, E2, B])[0] == ["a", "", "é", "b"]
    assert say([E1, A])[0] == ["", "�a"]
    assert say([E1, END])[0] == ["", ""]


def test_the_leading_space_of_a_text() -> None:
    sampler = Sampler(V, TOKEN_BYTES, [END], strip_leading_space=True)
    row = sampler.add(SamplingParams(temperature=0))
    shown = [sampler.step(line, [row]).text for line in saying(SPACE, SPACE, A)]
    assert shown == [[""], [" "], ["a"]]


def test_min_tokens_bans_every_end_until_then() -> None:
    texts, reasons, _ = say([END, C, END, END], min_tokens=3, stop_token_ids=[C], stop="aa")
    # The ends are banned, so token 0 is drawn; "aa" ends nothing before the third token.
    assert texts == ["a", "a", "a", ""]
    assert reasons == [None, None, None, "stop"]
    assert say([A, A, A, A], min_tokens=2, stop="aa")[1] == [None, None, None, "stop"]  # counted from the third on
    assert say([A, A], min_tokens=2, max_tokens=2)[1] == [None, "length"]


def test_min_tokens_with_nothing_else_to_say() -> None:
    sampler = Sampler(2, eos_token_ids=[0])
    sampler.add(SamplingParams(min_tokens=1, logit_bias={1: -np.inf}))
    result = sampler.step(np.zeros(2, np.float32))
    assert result.status.tolist() == [nexttoken.Status.NO_TOKEN]
    assert result.finish_reason == ["error"]


def test_a_row_resumed_past_min_tokens_may_end() -> None:
    sampler = Sampler(V, TOKEN_BYTES, [END])
    params = SamplingParams(temperature=0, min_tokens=2)
    sampler.add(params, output_token_ids=[A])
    sampler.add(params, output_token_ids=[A, B])
    assert sampler.step(saying(END, END)).token_ids.tolist() == [A, END]


def test_a_row_that_has_ended_cannot_be_resumed_further() -> None:
    sampler = Sampler(V, TOKEN_BYTES, [END])
    with pytest.raises(ParameterError, match=r"^output_token_ids must not go on after the row has ended, at token 2$"):
        sampler.add(SamplingParams(), output_token_ids=[A, END, B])
    ended = sampler.add(SamplingParams(max_tokens=2), output_token_ids=[A, B])
    assert sampler.info(ended).finish_reason == "length"
    assert sampler.active_rows == []


def test_no_text_without_token_bytes() -> None:
    sampler = Sampler(V)
    sampler.add()
    assert sampler.step(saying(A)).text is None
    with pytest.raises(ParameterError, match=r"^stop needs a Sampler with token_bytes"):
        sampler.add(SamplingParams(stop="a"))


def bad_steps() -> list[tuple[str, dict[str, Any], type[Exception]]]:
    two = saying(A, B)
    return [
        ("row must be one that was added, got 99", {"rows": [0, 99]}, ParameterError),
        ("rows must all be different, got row 1 twice", {"rows": [1, 1]}, ParameterError),
        ("rows must not have ended, got row 2", {"rows": [0, 2]}, ParameterError),
        ("logits must have one line per row", {"rows": [0]}, ParameterError),
        ("logits must have one line per row", {"logits": saying(A)}, ParameterError),
        ("logits must have at least 8 columns, got 7", {"logits": two[:, :7]}, ParameterError),
        ("logits must be float32", {"logits": two.astype(np.float64)}, ParameterTypeError),
        (r"logits_rows must be in \[0, 2\), got 2", {"logits_rows": [0, 2]}, ParameterError),
        (r"logits_rows must be in \[0, 2\), got -1", {"logits_rows": [-1, 0]}, ParameterError),
        ("logits_rows must have one entry per row, expected 2, got 1", {"logits_rows": [0]}, ParameterError),
        ("rows must be a sequence, got 0", {"rows": 0}, ParameterTypeError),
        ("rows must hold integers, got '1' at position 1", {"rows": [0, "1"]}, ParameterTypeError),
        ("logits_rows must hold integers, got 1.0 at position 1", {"logits_rows": [0, 1.0]}, ParameterTypeError),
        ("token_bitmask must be int32", {"token_bitmask": np.zeros((2, 1))}, ParameterTypeError),
        ("token_bitmask must have the shape", {"token_bitmask": np.zeros((3, 1), np.int32)}, ParameterError),
        ("token_bitmask must have the shape", {"token_bitmask": np.zeros((2, 2), np.int32)}, ParameterError),
    ]


@pytest.mark.parametrize(("message", "arguments", "error"), bad_steps(), ids=[case[0][:40] for case in bad_steps()])
def test_refused_steps_move_no_row(message: str, arguments: dict[str, Any], error: type[Exception]) -> None:
    def begin() -> Sampler:
        sampler = Sampler(V, TOKEN_BYTES, [END])
        for seed in (1, 2):
            sampler.add(SamplingParams(seed=seed, presence_penalty=1.0, stop="ab"))
        sampler.add(SamplingParams(max_tokens=1), output_token_ids=[A])
        sampler.step(saying(C, C), [0, 1])
        return sampler

    sampler, other = begin(), begin()
    before = [sampler.info(row) for row in (0, 1, 2)]
    with pytest.raises(error, match=f"^{message}"):
        sampler.step(**{"logits": saying(A, B), **arguments})
    assert [sampler.info(row) for row in (0, 1, 2)] == before
    assert sampler.active_rows == [0, 1]
    for _ in range(5):
        assert sampler.step(saying(A, B)).token_ids.tolist() == other.step(saying(A, B)).token_ids.tolist()


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((0,), ParameterError, r"vocab_size must be in \[1, 2\*\*20\], got 0"),
        ((2**20 + 1,), ParameterError, "vocab_size must be in"),
        ((8.0,), ParameterTypeError, "vocab_size must be an integer, got 8.0"),
        ((8, []), ParameterError, "token_bytes must hold the bytes"),
        ((8, ["a"]), ParameterTypeError, "token_bytes must hold bytes, got 'a' for token 0"),
        ((8, None, [8]), ParameterError, r"eos_token_ids must hold token ids in \[0, 8\), got 8"),
        ((8, None, [1.0]), ParameterTypeError, "eos_token_ids must hold token ids, got 1.0"),
    ],
)
def test_bad_samplers_are_refused(arguments: tuple[Any, ...], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"^{message}"):
        Sampler(*arguments)


@pytest.mark.parametrize("row", ["0", None, 0.0, True, [0]], ids=repr)
def test_rows_are_integers(row: Any) -> None:
    sampler = Sampler(V)
    sampler.add()
    for call in (sampler.remove, sampler.info, sampler.seed, lambda row: sampler.fork(row, 1)):
        with pytest.raises(ParameterTypeError, match=r"^row must be an integer, got "):
            call(row)
    assert sampler.active_rows == [0]


def test_tokens_beyond_the_table_have_no_bytes() -> None:
    sampler = Sampler(4, [b"a", b"b"])
    row = sampler.add(SamplingParams(temperature=0, stop="ab"))
    shown = [sampler.step(line[:4], [row]).text for line in saying(A, END, B)]
    assert shown == [[""], [""], [""]]
    assert sampler.info(row).finish_reason == "stop"


def test_forks_end_below_two_to_the_32() -> None:
    sampler = Sampler(V)
    row = sampler.add(sequence_index=2**32 - 3)
    with pytest.raises(ParameterError, match=r"^sequence_index \+ n must be at most 2\*\*32, got 4294967294 \+ 3$"):
        sampler.fork(row, 3)
    assert [sampler.info(fork).sequence_index for fork in sampler.fork(row, 2)] == [2**32 - 2, 2**32 - 1]


def test_steps_from_several_threads() -> None:
    """Threads that each have their own rows of one sampler get what they would get alone."""
    logits = np.random.default_rng(1).normal(0, 2, (40, V)).astype(np.float32)
    params = SamplingParams(seed=3, frequency_penalty=0.2, stop="bcabca", ignore_eos=True)

    def tell(sampler: Sampler, index: int, told: dict[int, str]) -> None:
        row = sampler.add(params, sequence_index=index)
        told[index] = "".join((sampler.step(line, [row]).text or [""])[0] for line in logits)
        sampler.remove(row)

    alone: dict[int, str] = {}
    for index in range(6):
        tell(Sampler(V, TOKEN_BYTES, [END]), index, alone)
    shared, together = Sampler(V, TOKEN_BYTES, [END]), dict[int, str]()
    threads = [threading.Thread(target=tell, args=(shared, index, together)) for index in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert together == alone
    assert shared.active_rows == []
