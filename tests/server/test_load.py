"""Many clients at once: each gets the answer that its request gets alone."""

from __future__ import annotations

import json
import random
import threading
import time

import numpy as np
import pytest

import nexttoken
from nexttoken.runtimes.scripted import ScriptedRuntime
from server.abuse_server import body_of, events_in, live, process, until

CLIENTS = 32


def babble(prompt, output):
    """Logits that hang on everything said so far, with a few likely tokens in each line; the end is one of them."""
    rng = np.random.default_rng([sum(prompt), len(prompt), *output[-3:], len(output)])
    line = np.full(258, -np.inf, np.float32)
    line[rng.integers(97, 123, 8)] = rng.normal(0, 2, 8)
    line[257] = 0.0 if len(output) > 3 else -np.inf
    return line


def requests(count, longest):
    """Distinct requests of every kind, each of which says its seed."""
    rng = random.Random(7)
    for seed in range(count):
        fields = {
            "messages": [{"role": "user", "content": " ".join(rng.choices(["tell", "me", "of", "a", "cat"], k=4))}],
            "seed": seed,
            "n": rng.choice([1, 1, 1, 2, 3, 5]),
            "max_tokens": rng.choice([1, 3, longest // 2, longest]),
            "temperature": rng.choice([0, 0.7, 1, 1.5]),
        }
        for name, values in (
            ("top_p", [0.5, 0.9]),
            ("stop", ["e", ["a", "th"], ["zz", "q", " "]]),
            ("frequency_penalty", [0.5, -0.5]),
            ("presence_penalty", [1]),
            ("logit_bias", [{"100": -100}, {"101": 5}]),
        ):
            if rng.random() < 0.4:
                fields[name] = rng.choice(values)
        yield fields


def said_alone(runtime, fields):
    answer = nexttoken.chat_completion(model=runtime, **fields)
    choices = [(choice.message.content, choice.finish_reason) for choice in answer.choices]
    return choices, answer.usage.completion_tokens


def said_by(server, fields, stream):
    status, headers, answer = server.ask(body_of(**fields, stream=stream))
    assert status == 200, answer
    if not stream:
        body = json.loads(answer)
        choices = [(choice["message"]["content"], choice["finish_reason"]) for choice in body["choices"]]
        return choices, body["usage"]["completion_tokens"]
    assert headers["content-type"].startswith("text/event-stream")
    *events, done = events_in(answer)
    assert done == "[DONE]"
    texts, reasons = [""] * fields["n"], [[] for _ in range(fields["n"])]
    ids = set()
    for event in events:
        chunk = json.loads(event)
        ids.add(chunk["id"])
        for choice in chunk["choices"]:
            texts[choice["index"]] += choice["delta"].get("content", "")
            if choice["finish_reason"] is not None:
                reasons[choice["index"]].append(choice["finish_reason"])
    assert len(ids) == 1
    assert all(len(each) == 1 for each in reasons)
    return [(text, each[0]) for text, each in zip(texts, reasons, strict=True)], None


def load(server, pool, expected, each):
    """Let all clients send `each` requests one after another; every answer is checked."""
    wrong, served = [], []
    begin = threading.Barrier(CLIENTS)

    def client(number):
        rng = random.Random(number)
        begin.wait(60)
        try:
            for _ in range(each):
                at, stream = rng.randrange(len(pool)), rng.random() < 0.5
                choices, tokens = said_by(server, pool[at], stream)
                assert choices == expected[at][0], pool[at]
                assert tokens in (None, expected[at][1])
                served.append(at)
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=client, args=(number,), daemon=True) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + 900
    for thread in threads:
        thread.join(max(1, deadline - time.monotonic()))
        assert not thread.is_alive()
    assert wrong == []
    assert len(served) == CLIENTS * each
    assert server.counted() == {200: CLIENTS * each}


def scripted_load(each):
    pool = list(requests(60, 16))
    alone = ScriptedRuntime(babble)
    expected = [said_alone(alone, fields) for fields in pool]
    assert len({json.dumps(choices) for choices, _ in expected}) > 30
    runtime = ScriptedRuntime(babble)
    with live({"m": runtime}) as server:
        load(server, pool, expected, each)
    assert runtime.sequences == {}
    assert max(rows for call, rows in runtime.calls if call == "decode") > 8  # they did meet in batches


def test_32_clients():
    scripted_load(20)


@pytest.mark.slow
def test_32_clients_with_50_requests_each():
    scripted_load(50)


@pytest.mark.slow
def test_32_clients_with_50_requests_each_of_tiny_chat():
    pool = list(requests(80, 24))
    expected = [said_alone("tiny-chat", fields) for fields in pool]
    with process("-m", "nexttoken", "serve", "--port", "0", "--model", "m=tiny-chat") as server:
        load(server, pool, expected, 50)
        until(lambda: b'nexttoken_running_rows{model="m"} 0.0' in server.get("/metrics")[2])
