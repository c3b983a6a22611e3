"""Several threads on one model: they share its batches and disturb each other in nothing."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor


def message(text):
    return [{"role": "user", "content": text}]


def test_every_caller_gets_its_own_answer(ask, echo):
    runtime = echo()
    texts = [f"caller {i} says {'x' * (i % 7)}." for i in range(40)]

    def call(text):
        n = 1 + len(text) % 3
        if len(text) % 2:
            parts = [""] * n
            for chunk in ask(runtime, messages=message(text), stream=True, n=n):
                parts[chunk.choices[0].index] += chunk.choices[0].delta.content or ""
            return parts
        return [choice.message.content for choice in ask(runtime, messages=message(text), n=n).choices]

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(call, texts))
    assert answers == [[text] * (1 + len(text) % 3) for text in texts]
    assert runtime.sequences == {}


def test_callers_share_a_batch(ask, echo, text_of):
    """Two requests that are there at the same time go through the model together."""
    begun, go_on = threading.Event(), threading.Event()
    runtime = echo()
    plain = runtime.decode

    def decode(sequences, token_ids):
        begun.set()
        assert go_on.wait(30)
        return plain(sequences, token_ids)

    runtime.decode = decode
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(ask, runtime, messages=message("a" * 50))
        assert begun.wait(30)
        second = ask(runtime, messages=message("b" * 50), stream=True)  # comes while the first one's step runs
        go_on.set()
        assert "".join(chunk.choices[0].delta.content or "" for chunk in second) == "b" * 50
        assert text_of(first.result(30)) == "a" * 50
    # 51 tokens each, the end among them: one from the prompt and fifty steps, all but one of them shared.
    assert [rows for call, rows in runtime.calls if call == "decode"] == [1] + [2] * 49 + [1]


def test_a_slow_reader_stalls_nobody_and_loses_nothing(ask, echo, text_of):
    runtime = echo()
    slow = ask(runtime, messages=message("the slow one"), stream=True)
    first = next(slow)
    with ThreadPoolExecutor(4) as pool:
        texts = [f"quick {i}" for i in range(12)]
        calls = [pool.submit(ask, runtime, messages=message(text)) for text in texts]
        assert [text_of(call.result(timeout=30)) for call in calls] == texts
    rest = "".join(chunk.choices[0].delta.content or "" for chunk in slow)
    assert (first.choices[0].delta.content or "") + rest == "the slow one"


def test_streams_read_in_turns_by_one_thread(ask, echo):
    runtime = echo()
    texts = ["one", "the second", "3"]
    streams = [ask(runtime, messages=message(text), stream=True) for text in texts]
    said = [""] * 3
    open_streams = set(range(3))
    while open_streams:
        for i in sorted(open_streams):
            chunk = next(streams[i], None)
            if chunk is None:
                open_streams.discard(i)
            else:
                said[i] += chunk.choices[0].delta.content or ""
    assert said == texts


def test_streams_dropped_from_other_threads(ask, echo):
    """Readers leave at every point of their stream while others go on; nothing is left behind."""
    runtime = echo()

    def call(i):
        text = "x" * 30
        stream = ask(runtime, messages=message(text), stream=True, n=1 + i % 2)
        said = ""
        for _ in range(i % 34):
            chunk = next(stream, None)
            if chunk is not None and chunk.choices[0].index == 0:
                said += chunk.choices[0].delta.content or ""
        if i % 3:
            stream.close()
        assert text.startswith(said)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(call, range(136)))
    assert runtime.sequences == {}
