"""What serving many at once brings and costs: throughput, time to the first byte, answers alone and in company.

    python benchmarks/serving.py --json benchmarks/results/serving.json

A real server (``nexttoken serve``) in a process of its own, asked over sockets by this one, on the same machine: what
the clients cost is part of the numbers. Everything is measured in turns within each round; medians over rounds.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nexttoken
from nexttoken.bench.machine import commit, machine, versions
from nexttoken.chat.models import find_model

QUESTIONS = ["Hello!", "What is the capital of France?", "Count from 1 to 5.", "Tell me a story."]
TOKENS = 48
SEQUENTIAL, CONCURRENT = 8, 64
AT_ONCE = (1, 4, 16, 32)


def request(number: int, *, stream: bool = False) -> dict[str, Any]:
    """The number-th request; its answer has exactly TOKENS tokens, because the end of text is banned."""
    end = find_model("tiny-chat").runtime.eos_token_ids
    return {
        "model": "tiny-chat",
        "messages": [{"role": "user", "content": QUESTIONS[number % len(QUESTIONS)]}],
        "seed": number,
        "temperature": 0.8,
        "top_p": 0.95,
        "max_tokens": TOKENS,
        "logit_bias": dict.fromkeys(map(str, end), -100),
        "stream": stream,
    }


@contextlib.contextmanager
def server() -> Iterator[int]:
    """A server of tiny-chat; yields its port."""
    command = [sys.executable, "-m", "nexttoken", "serve", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield int(process.stdout.readline().rpartition(":")[2].partition("/")[0])
        finally:
            process.terminate()


async def ask(port: int, fields: dict[str, Any]) -> tuple[float, float, str]:
    """Seconds to the first byte and to the last, and the text."""
    body = json.dumps(fields).encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    start = time.perf_counter()
    head = "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n"
    head += f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body)
    first = await reader.read(65536)
    first_s = time.perf_counter() - start
    rest = await reader.read()
    whole_s = time.perf_counter() - start
    writer.close()
    status, _, answer = (first + rest).partition(b"\r\n\r\n")
    assert b" 200 " in status.partition(b"\r\n")[0], (status, answer)
    if not fields["stream"]:
        return first_s, whole_s, str(json.loads(answer)["choices"][0]["message"]["content"])
    assert b"data: [DONE]\n\n" in answer
    events = [json.loads(line[6:]) for line in answer.split(b"\n") if line.startswith(b"data: {")]
    return first_s, whole_s, "".join(event["choices"][0]["delta"].get("content", "") for event in events)


async def ask_many(port: int, count: int, at_once: int, *, stream: bool) -> tuple[float, list[str]]:
    """Seconds for `count` requests, so many at a time, and the texts."""
    places = asyncio.Semaphore(at_once)

    async def one(number: int) -> str:
        async with places:
            return (await ask(port, request(number, stream=stream)))[2]

    start = time.perf_counter()
    texts = await asyncio.gather(*map(one, range(count)))
    return time.perf_counter() - start, texts


def alone(count: int) -> list[str]:
    """The answers of this process, one request after another."""
    answers = (nexttoken.chat_completion(**request(number)) for number in range(count))
    return [str(answer.choices[0].message.content) for answer in answers]


def milliseconds(work: Callable[[], object], times: int = 20) -> float:
    """The median time of a call."""
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        taken.append((time.perf_counter() - start) * 1e3)
    return statistics.median(taken)


def forward_ms() -> float:
    """One forward pass over the first question's prompt."""
    model = find_model("tiny-chat")
    prompt = model.prompts.encode(request(0)["messages"])
    return milliseconds(lambda: model.runtime.free(model.runtime.prefill(prompt)[0]))


def step_ms(rows: int) -> float:
    """One step of the model over so many rows."""
    runtime = find_model("tiny-chat").runtime
    sequences = [runtime.prefill([5] * 30)[0] for _ in range(rows)]
    taken = milliseconds(lambda: runtime.decode(sequences, [7] * rows), 40)
    for sequence in sequences:
        runtime.free(sequence)
    return taken


def measure(rounds: int) -> dict[str, Any]:
    """All numbers, and whether the answers in company are those of a request alone."""
    expected = alone(CONCURRENT)
    rates: dict[str, list[float]] = {}
    first_bytes, forwards, different, asked = [], [], 0, 0
    with server() as port:
        asyncio.run(ask_many(port, 4, 1, stream=False))
        for _ in range(rounds):
            for stream in (False, True):
                for at_once in AT_ONCE:
                    count = SEQUENTIAL if at_once == 1 else CONCURRENT
                    seconds, texts = asyncio.run(ask_many(port, count, at_once, stream=stream))
                    name = f"{'streamed' if stream else 'plain'}, {at_once} at once"
                    rates.setdefault(name, []).append(count * TOKENS / seconds)
                    asked += count
                    different += sum(text != wanted for text, wanted in zip(texts, expected, strict=False))
            first_bytes += [asyncio.run(ask(port, request(0, stream=True)))[0] * 1e3 for _ in range(10)]
            forwards.append(forward_ms())
    ratios = {
        name: statistics.median(many / one for many, one in zip(rates[name], rates[f"{form}, 1 at once"], strict=True))
        for name in rates
        for form in [name.partition(",")[0]]
    }
    first_byte, forward = statistics.median(first_bytes), statistics.median(forwards)
    return {
        "tokens_per_second": {name: round(statistics.median(values)) for name, values in rates.items()},
        "times_one_at_a_time": {name: round(value, 2) for name, value in ratios.items()},
        "first_byte_ms": round(first_byte, 2),
        "prompt_forward_ms": round(forward, 2),
        "first_byte_beyond_forward_ms": round(first_byte - forward, 2),
        "model_step_ms": {rows: round(step_ms(rows), 3) for rows in AT_ONCE},
        "answers_compared": asked,
        "answers_different_in_company": different,
    }


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    found = measure(arguments.rounds)
    command = f"python benchmarks/serving.py --rounds {arguments.rounds}"
    report = {"command": command, "commit": commit(), "machine": machine(), "versions": versions(), **found}
    text = json.dumps(report, indent=2) + "\n"
    print(text, end="")
    if arguments.json is not None:
        arguments.json.write_text(text)


if __name__ == "__main__":
    main()
