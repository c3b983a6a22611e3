"""Stop strings in streamed text, against a definition that looks at the whole answer at once."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence

import pytest
from hypothesis import example, given, settings

from nexttoken import _core

from .stop_definition import (
    CHARACTERS,
    CONTINUATIONS,
    DATA,
    FEW_LETTERS,
    MakeStream,
    Stream,
    answer,
    cases,
    check,
    decided,
    decode,
    leftmost,
    undecided,
    whole_end,
)


def make_stream(stops: Sequence[bytes]) -> Stream:
    return _core.TextStream(_core.StopAutomaton(list(stops)))


@settings(max_examples=400, deadline=None)
@given(cases())
@example(([b"abcd"], [b"abcd", b"bc"]))
@example(([b"ab", b"ce"], [b"abcd", b"bc"]))
@example(([b"a", b"bc"], [b"abcd", b"bc"]))
@example(([b"za", b"bcy"], [b"zabcx", b"abc", b"ab"]))
@example(([b"x\xe4", b"\xbd", b"\xa0y"], [b"\xbd\xa0"]))
def test_streamed_text_is_the_whole_text_cut_at_the_stop(case: tuple[list[bytes], list[bytes]]) -> None:
    check(make_stream, *case)


@pytest.mark.parametrize(
    ("stops", "data", "text", "index"),
    [
        ([b"\n\nUser:"], b"Hi\n\nUs er\n\nUser: x", "Hi\n\nUs er", 0),
        ([b"abcd", b"bc"], b"xabcd", "x", 0),  # complete later, but it begins further left
        ([b"abcd", b"bc"], b"xabce", "xa", 1),  # the "e" decides it
        ([b"abcd", b"bc"], b"xabc", "xa", 1),  # the end decides it
        ([b"abcd", b"bc"], b"xabcabcd", "xa", 1),  # the "a" decides it, though it begins another one
        ([b"abcde", b"bcd", b"c"], b"xabcdx", "xa", 1),  # what waits gives way to what began before it
        ([b"abcde", b"bcdx", b"c"], b"xabcdx", "xa", 1),  # complete and decided by one byte
        ([b"bc", b"abc"], b"xabcd", "x", 1),  # complete together: the one that begins leftmost
        ([b"abc", b"ab"], b"xabc", "x", 1),  # beginning together: the shortest
        ([b"zabcx", b"abc", b"ab"], b"zabcy", "z", 2),  # also where both wait for a third
        ([b"a", b"ab", b"a"], b"ab", "", 0),  # equal stop strings: the first
        ([b"aab"], b"aaab", "a", 0),  # the tail of a failed match is the start of the next
        (["é".encode()], "caf\u00e9!".encode(), "caf", 0),
        ([b"\xa9"], "caf\u00e9!".encode(), "caf\ufffd", 0),  # inside a character: what is before it stays
        ([b"\xef\xbf\xbd"], b"a\xffb", "a\ufffdb", None),  # matching is on bytes, before replacement
        ([], b"a", "a", None),
    ],
)
def test_written_out(stops: list[bytes], data: bytes, text: str, index: int | None) -> None:
    for tokens in ([data], [data[i : i + 1] for i in range(len(data))]):
        stream = make_stream(stops)
        got = ""
        for token in tokens:
            piece, stopped = stream.push(token)
            got += piece
            if stopped:
                break
        assert (got + stream.finish(), stream.matched_stop) == (text, index)


# How much is held back --------------------------------------------------------------------------------------


@settings(max_examples=400, deadline=None)
@given(cases(CHARACTERS | FEW_LETTERS))
def test_nothing_is_held_back_without_need(case: tuple[list[bytes], list[bytes]]) -> None:
    """For the next character held back there is a continuation in which it is not part of the answer."""
    tokens = case[0]
    stops = [stop for stop in case[1] if decode(stop).encode() == stop]  # pieces of characters: tested below
    stream = make_stream(stops)
    text, data = "", b""
    for token in tokens:
        piece, stopped = stream.push(token)
        if stopped:
            return
        text, data = text + piece, data + token
        if text == decode(data):
            continue
        too_early = decode(data)[: len(text) + 1]
        completions = [s[size:] for s in stops for size in range(len(s)) if data.endswith(s[:size])]
        completions += CONTINUATIONS
        assert any(not answer(data + more, stops).startswith(too_early) for more in completions)


@settings(max_examples=400, deadline=None)
@given(cases())
def test_what_is_held_back_follows_the_documented_rule(case: tuple[list[bytes], list[bytes]]) -> None:
    """The tail that may become a stop string, pieces of characters too; whole characters before it."""
    tokens, stops = case
    stream = make_stream(stops)
    text, data = "", b""
    for token in tokens:
        piece, stopped = stream.push(token)
        if stopped:
            return
        text, data = text + piece, data + token
        end = len(data) - undecided(data, stops)
        # Between two characters (or replaced runs) the halves read the same alone and together.
        while decode(data[:end]) + decode(data[end:]) != decode(data):
            end -= 1
        if end == len(data):
            end = whole_end(data)
        assert text == decode(data[:end])
        assert stream.shown_bytes == end


def test_text_is_released_while_a_complete_stop_waits() -> None:
    """What was alive dies, a later one lives on: the bytes between the two are certain."""
    stream = _core.TextStream(_core.StopAutomaton([b"abcde", b"bcdxy", b"d"]))
    steps = [(stream.push(bytes([byte])), stream.shown_bytes, stream.matched_stop) for byte in b"zabcdx"]
    assert steps == [
        (("z", False), 1, None),
        (("", False), 1, None),
        (("", False), 1, None),
        (("", False), 1, None),
        (("", False), 1, None),  # "d" is complete, "abcd" and "bcd" may become more
        (("a", False), 2, None),  # only "bcdx" may
    ]
    assert stream.push(b"!") == ("bc", True)
    assert (stream.shown_bytes, stream.matched_stop) == (4, 2)


# The checks can fail ----------------------------------------------------------------------------------------


class Simple:
    """A right and slow stream, which asks the definition. The wrong ones below derive from it."""

    def __init__(self, stops: Sequence[bytes]) -> None:
        self.stops, self.data, self.text, self.shown_bytes = list(stops), b"", "", 0
        self.matched_stop: int | None = None
        self.longest = max((len(stop) for stop in stops), default=1)

    def match(self) -> tuple[int, int] | None:
        return leftmost(self.data, self.stops)

    def certain(self) -> bool:
        return decided(self.data, self.stops)

    def push(self, token: bytes, /) -> tuple[str, bool]:
        self.data += token
        if self.certain():
            return self.finish(), True
        return self.show(self.longest + 3), False

    def show(self, margin: int) -> str:
        """What is new in the data without so many bytes at its end, at least, up to the start of a character."""
        end = max(len(self.data) - margin, 0)
        while decode(self.data[:end]) + decode(self.data[end:]) != decode(self.data):
            end -= 1
        before, self.text = self.text, decode(self.data[: max(end, self.shown_bytes)])
        self.shown_bytes = max(end, self.shown_bytes)
        return self.text[len(before) :]

    def finish(self) -> str:
        match = self.match()
        if match is not None:
            self.matched_stop = match[1]
        self.data = self.data[: whole_end(self.data) if match is None else match[0]]
        self.stops = []
        return self.show(0)


class HoldsNothing(Simple):
    def show(self, margin: int) -> str:
        return super().show(0)


class FirstListedWins(Simple):
    def match(self) -> tuple[int, int] | None:
        starts = [(self.data.find(stop), index) for index, stop in enumerate(self.stops)]
        return next((found for found in starts if found[0] >= 0), None)


class LongestWins(Simple):
    def match(self) -> tuple[int, int] | None:
        found = [(self.data.find(stop), -len(stop), i) for i, stop in enumerate(self.stops) if stop in self.data]
        return (min(found)[0], min(found)[2]) if found else None


class FirstCompleteWins(Simple):
    """Decides at the first byte at which any stop string is complete."""

    def certain(self) -> bool:
        return super().match() is not None

    def push(self, token: bytes, /) -> tuple[str, bool]:
        shown = ""
        for i in range(len(token)):
            piece, stopped = super().push(token[i : i + 1])
            shown += piece
            if stopped:
                return shown, True
        return shown, False


class WaitsForTheEnd(Simple):
    def certain(self) -> bool:
        return False


class WithinTokensOnly(Simple):
    def push(self, token: bytes, /) -> tuple[str, bool]:
        return super().push(token) if any(stop in token for stop in self.stops) else self.plain(token)

    def plain(self, token: bytes) -> tuple[str, bool]:
        self.data += token
        return "", False


class ShowsTheStop(Simple):
    def match(self) -> tuple[int, int] | None:
        match = super().match()
        return None if match is None else (match[0] + len(self.stops[match[1]]), match[1])


class ForgetsTheTail(Simple):
    def finish(self) -> str:
        return "" if self.match() is None else super().finish()


class CountsCharacters(Simple):
    def show(self, margin: int) -> str:
        shown = super().show(margin)
        self.shown_bytes = len(self.text)
        return shown


def corpus() -> list[tuple[list[bytes], list[bytes]]]:
    rng = random.Random(7)
    found = []
    for _ in range(400):
        data = bytes(rng.choices(b"aabbcc\xc3\xa9", k=rng.randrange(1, 16)))
        stops = [bytes(rng.choices(b"abc", k=rng.randrange(1, 5))) for _ in range(rng.randrange(4))]
        cuts = [0, *sorted(rng.choices(range(len(data)), k=4)), len(data)]
        found.append(([data[a:b] for a, b in itertools.pairwise(cuts)], stops))
    return found


@pytest.mark.parametrize("make", [make_stream, Simple])
def test_corpus_accepts_right_streams(make: MakeStream) -> None:
    for tokens, stops in corpus():
        check(make, tokens, stops)


WRONG = [
    HoldsNothing, FirstListedWins, LongestWins, FirstCompleteWins, WaitsForTheEnd, WithinTokensOnly, ShowsTheStop,
    ForgetsTheTail, CountsCharacters,
]  # fmt: skip


@pytest.mark.parametrize("make", WRONG)
def test_corpus_catches_wrong_streams(make: MakeStream) -> None:
    caught = 0
    for tokens, stops in corpus():
        try:
            check(make, tokens, stops)
        except AssertionError:
            caught += 1
    assert caught > 0


# The rest of the contract -----------------------------------------------------------------------------------


def test_utf8_replacement_is_pythons_for_every_short_byte_string() -> None:
    """Every lead byte with every kind of second, third and fourth byte, whole and byte by byte."""
    kinds = [0x41, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC2, 0xE0, 0xFF]
    for lead in range(256):
        for rest in itertools.chain.from_iterable(itertools.product(kinds, repeat=size) for size in range(4)):
            data = bytes([lead, *rest])
            for size in (len(data), 1):
                stream = _core.TextStream(None)
                pieces = [stream.push(data[i : i + size])[0] for i in range(0, len(data), size)]
                assert "".join(pieces) + stream.finish() == decode(data[: whole_end(data)]), data


def test_invalid_bytes_are_replaced_as_soon_as_they_are_known() -> None:
    stream = _core.TextStream(_core.StopAutomaton([b"ab"]))
    assert stream.push(b"\xe4") == ("", False)  # may become a character
    assert stream.push(b"a") == ("\ufffd", False)  # cannot any more, though "a" itself is held back
    assert stream.push(b"\xff") == ("a\ufffd", False)
    assert stream.push(b"\xf0\x9f") == ("", False)
    assert stream.finish() == ""  # half a character is no text
    assert stream.shown_bytes == 3


@settings(max_examples=200, deadline=None)
@given(cases())
def test_leading_space_is_no_part_of_the_answer(case: tuple[list[bytes], list[bytes]]) -> None:
    tokens, stops = case
    data = b" " + b"".join(tokens)
    stream = _core.TextStream(_core.StopAutomaton(stops), strip_leading_space=True)
    text = ""
    for token in [b"", b" ", *tokens]:
        piece, stopped = stream.push(token)
        text += piece
        if stopped:
            break
    assert text + stream.finish() == answer(data[1:], stops)


def test_only_the_very_first_space_is_stripped() -> None:
    stream = _core.TextStream(None, strip_leading_space=True)
    assert stream.push(b"  a b")[0] == " a b"
    stream = _core.TextStream(None, strip_leading_space=True)
    assert stream.push(b"a")[0] + stream.push(b" b")[0] == "a b"


@settings(max_examples=200, deadline=None)
@given(cases(), DATA)
def test_copy_continues_alone(case: tuple[list[bytes], list[bytes]], other: bytes) -> None:
    tokens, stops = case
    stream = _core.TextStream(_core.StopAutomaton(stops))
    prefix = ""
    for token in tokens:
        piece, stopped = stream.push(token)
        prefix += piece
        if stopped:
            return
    fork = stream.copy()
    text = fork.push(other)[0]
    text += fork.finish()
    assert prefix + text == answer(b"".join(tokens) + other, stops)
    assert prefix + stream.finish() == answer(b"".join(tokens), stops)


def test_many_long_stops_share_one_automaton() -> None:
    rng = random.Random(3)
    stops = [bytes(rng.choices(range(256), k=rng.randrange(20, 200))) for _ in range(500)]
    automaton = _core.StopAutomaton(stops)
    for index in rng.sample(range(500), 20):
        stream = _core.TextStream(automaton)
        noise = bytes(rng.choices(b"xyz", k=50))
        text, stopped = stream.push(noise + stops[index][:-1])
        assert not stopped
        assert text == decode(noise)
        assert stream.push(stops[index][-1:] + b"after") == ("", True)
        assert stream.matched_stop == index


def test_a_closed_stream_takes_no_more() -> None:
    stream = _core.TextStream(_core.StopAutomaton([b"."]))
    assert stream.push(b"end. more") == ("end", True)
    assert stream.closed
    assert stream.finish() == ""
    with pytest.raises(ValueError, match="closed stream"):
        stream.push(b"x")


def test_bad_stops_are_refused() -> None:
    with pytest.raises(ValueError, match="got an empty one at stop 1"):
        _core.StopAutomaton([b"a", b""])
    with pytest.raises(TypeError):
        _core.StopAutomaton(["text, not bytes"])
