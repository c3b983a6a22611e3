"""What streamed text must be, said by looking at the whole answer at once, and texts that hurt."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Protocol

from hypothesis import strategies as st


class Stream(Protocol):
    matched_stop: int | None

    def push(self, token_bytes: bytes, /) -> tuple[str, bool]: ...

    def finish(self) -> str: ...


MakeStream = Callable[[Sequence[bytes]], Stream]


def decode(data: bytes) -> str:
    return data.decode("utf-8", errors="replace")


def first_match(data: bytes, stops: Sequence[bytes]) -> tuple[int, int, int] | None:
    """Where the answer ends: (start of the stop string, its end, its index), or None."""
    for end in range(1, len(data) + 1):
        complete = [stop for stop in stops if data[:end].endswith(stop)]
        if complete:
            longest = max(complete, key=len)
            return end - len(longest), end, stops.index(longest)
    return None


def answer(data: bytes, stops: Sequence[bytes]) -> str:
    match = first_match(data, stops)
    return decode(data if match is None else data[: match[0]])


def check(make: MakeStream, tokens: Sequence[bytes], stops: Sequence[bytes]) -> None:
    """The stream's text, its end and its stop string are those of the definition."""
    data = b"".join(tokens)
    match = first_match(data, stops)
    stream = make(stops)
    text, read = "", 0
    for token in tokens:
        piece, stopped = stream.push(token)
        text += piece
        read += len(token)
        assert answer(data, stops).startswith(text), "text was released that had to be taken back"
        assert stopped == (match is not None and match[1] <= read)
        if stopped:
            break
    text += stream.finish()
    assert text == answer(data, stops)
    assert stream.matched_stop == (None if match is None else match[2])


# Texts that hurt --------------------------------------------------------------------------------------------

FEW_LETTERS = st.binary(max_size=24).map(lambda data: bytes(b"ab"[byte & 1] for byte in data))
CHARACTERS = st.text(alphabet="a \né€😀\ufffdż", max_size=12).map(str.encode)
# Lead bytes without continuation, continuation bytes alone, surrogates, overlong, beyond U+10FFFF.
BROKEN_BYTES = b"a \x80\x90\xa0\xbd\xbf\xc0\xc3\xe0\xe4\xed\xf0\xf4\xff"
BROKEN = st.lists(st.sampled_from(BROKEN_BYTES), max_size=12).map(bytes)
DATA = st.one_of(FEW_LETTERS, CHARACTERS, BROKEN, st.lists(CHARACTERS | BROKEN, max_size=4).map(b"".join))


def stops_from(data: st.SearchStrategy[bytes]) -> st.SearchStrategy[list[bytes]]:
    return st.lists(data.map(lambda stop: stop[:5]).filter(bool), max_size=6)


@st.composite
def cases(draw: st.DrawFn, data: st.SearchStrategy[bytes] = DATA) -> tuple[list[bytes], list[bytes]]:
    """Tokens (some of them empty) and stop strings, which are often pieces of the text itself."""
    whole = draw(data)
    stops = draw(stops_from(data))
    if whole:
        for _ in range(draw(st.integers(0, 2))):
            start = draw(st.integers(0, len(whole) - 1))
            stops.append(whole[start : start + draw(st.integers(1, 6))])
    cuts = [0, *sorted(draw(st.lists(st.integers(0, len(whole)), max_size=8))), len(whole)]
    return [whole[a:b] for a, b in itertools.pairwise(cuts)], stops
