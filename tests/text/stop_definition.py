"""What streamed text must be, said by looking at the whole answer at once, and texts that hurt."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Protocol

from hypothesis import strategies as st


class Stream(Protocol):
    @property
    def matched_stop(self) -> int | None: ...

    @property
    def shown_bytes(self) -> int: ...

    def push(self, token_bytes: bytes, /) -> tuple[str, bool]: ...

    def finish(self) -> str: ...


MakeStream = Callable[[Sequence[bytes]], Stream]


def decode(data: bytes) -> str:
    return data.decode("utf-8", errors="replace")


# Every lead byte becomes a character with one of these.
CONTINUATIONS = [bytes(tail) for size in (1, 2, 3) for tail in itertools.product(b"\x80\xbf", repeat=size)]


def begins_a_character(data: bytes) -> bool:
    return any(len(text := decode(data + more)) == 1 and text != "\ufffd" for more in CONTINUATIONS)


def whole_end(data: bytes) -> int:
    """Where whole characters end, if half a one follows."""
    return len(data) - next((size for size in (1, 2, 3) if begins_a_character(data[-size:])), 0)


def leftmost(data: bytes, stops: Sequence[bytes]) -> tuple[int, int] | None:
    """Where text that ends here is cut, and the stop string there: the shortest, of equal ones the first. Or None."""
    found = [(data.find(stop), len(stop), index) for index, stop in enumerate(stops) if stop in data]
    return (min(found)[0], min(found)[2]) if found else None


def undecided(data: bytes, stops: Sequence[bytes]) -> int:
    """Length of the longest tail that more text may turn into a stop string."""
    return max((size for stop in stops for size in range(len(stop)) if data.endswith(stop[:size])), default=0)


def decided(data: bytes, stops: Sequence[bytes]) -> bool:
    """Whether the cut is certain, whatever follows: no stop string can come to begin further left."""
    match = leftmost(data, stops)
    return match is not None and match[0] <= len(data) - undecided(data, stops)


def answer(data: bytes, stops: Sequence[bytes]) -> str:
    return decode(data[: end(data, stops)])


def end(data: bytes, stops: Sequence[bytes]) -> int:
    """Where text that ends here is cut: at a stop string, or before half a character."""
    match = leftmost(data, stops)
    return whole_end(data) if match is None else match[0]


def check(make: MakeStream, tokens: Sequence[bytes], stops: Sequence[bytes]) -> None:
    """The stream's text, its end, its stop string and how much it has shown are those of the definition."""
    whole = b"".join(tokens)
    match = leftmost(whole, stops)
    stream = make(stops)
    text, data = "", b""
    for token in tokens:
        assert not decided(data, stops)
        assert stream.matched_stop is None
        piece, stopped = stream.push(token)
        text, data = text + piece, data + token
        assert answer(whole, stops).startswith(text), "text was released that had to be taken back"
        assert decode(data[: stream.shown_bytes]) == text
        assert stopped == decided(data, stops)
        if stopped:
            break
    text += stream.finish()
    assert text == answer(whole, stops)
    assert stream.matched_stop == (None if match is None else match[1])
    assert stream.shown_bytes == end(whole, stops)


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
