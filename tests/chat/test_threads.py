"""Several threads on one model: they share its batches and disturb each other in nothing."""

from __future__ import annotations

import threading
import time
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
    arrived = threading.Barrier(2, timeout=30)
    runtime = echo()
    slow = runtime.decode

    def decode(sequences, token_ids):
        time.sleep(0.001)  # a model takes its time, in which others come
        return slow(sequences, token_ids)

    runtime.decode = decode

    def call(text):
        arrived.wait()
        return text_of(ask(runtime, messages=message(text)))

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(call, ["a" * 50, "b" * 50])) == ["a" * 50, "b" * 50]
    assert max(rows for call, rows in runtime.calls if call == "decode") == 2
    assert sum(call == "decode" for call, _ in runtime.calls) < 70


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
