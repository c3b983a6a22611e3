"""What one client may take, and what becomes of the others meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import threading
import time
import types
from concurrent.futures import ThreadPoolExecutor

import pytest

from nexttoken.runtimes.scripted import ScriptedRuntime
from nexttoken.server import completions
from nexttoken.server.app import create_app
from nexttoken.server.settings import Settings
from server.abuse_server import (
    LONG_S,
    Exchange,
    HeldRuntime,
    body_of,
    count_in,
    echo,
    endless,
    events_in,
    http_request,
    is_error,
    live,
    read_all,
    read_answer,
    saying,
    streamed_text,
    until,
)

BOTH = pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])


def run(coroutine):
    return asyncio.run(asyncio.wait_for(coroutine, 2 * LONG_S))


def ask(app, body, **settings):
    return run(Exchange(app, body, **settings).run())


def engine_of(runtime):
    return runtime._nexttoken_chat_model.engine


@pytest.fixture
def runtime():
    runtime = HeldRuntime(echo())
    yield runtime
    runtime.let_go()


@pytest.fixture
def time_is_up(monkeypatch):
    """An event that ends the time for every answer; no clock does."""
    up = threading.Event()

    async def wait(tasks, timeout, return_when):
        assert timeout > 0
        done, pending = set(), tasks
        while not done and not up.is_set():
            done, pending = await asyncio.wait(tasks, timeout=0.01, return_when=return_when)
        return done, pending

    monkeypatch.setattr(completions, "asyncio", types.SimpleNamespace(**{**vars(asyncio), "wait": wait}))
    return up


@BOTH
def test_a_full_queue(runtime, stream):
    async def main():
        app = create_app({"m": runtime}, Settings(max_rows=128, max_waiting=2))
        runtime.hold()
        bodies = [saying("a", n=128), saying("b"), saying("c", stream=True)]
        begun = []
        for waiting, body in enumerate(bodies):
            begun.append(asyncio.ensure_future(Exchange(app, body).run()))
            if not waiting:
                await asyncio.to_thread(runtime.decoding.wait, LONG_S)
            await asyncio.to_thread(until, lambda waiting=waiting: engine_of(runtime).waiting_requests == waiting)
        for _ in range(3):
            refused = await Exchange(app, saying("d", stream=stream)).run()
            assert refused.status == 429
            assert is_error(refused.json, 429)
            assert refused.json["error"]["code"] == "rate_limit_exceeded"
            assert int(refused.headers["retry-after"]) >= 1
            assert refused.headers["content-type"] == "application/json"
        runtime.let_go()
        assert [answer.status for answer in await asyncio.gather(*begun)] == [200] * 3
        assert (await Exchange(app, saying("d", stream=stream)).run()).status == 200  # as soon as there is room
        assert await count_in(app) == {200: 4, 429: 3}

    run(main())
    assert runtime.sequences == {}


def test_a_large_body_in_process():
    app = create_app({"m": ScriptedRuntime(["Hi"])}, Settings(max_body_bytes=1000))
    fitting = body_of(user="u" * (1000 - len(body_of(user=""))))
    assert len(fitting) == 1000
    assert ask(app, fitting).status == 200
    for parts in ([fitting + b" "], [fitting, b" "], [b"{", *[b"x" * 999] * 7]):
        exchange = run(Exchange(app, parts=parts).run())
        assert exchange.status == 413
        assert is_error(exchange.json, 413)
        assert "1000 bytes" in exchange.json["error"]["message"]
    announced = Exchange(
        app, parts=[None], headers=[(b"content-type", b"application/json"), (b"content-length", b"9999")]
    )
    assert run(announced.run()).status == 413  # nothing of it is waited for
    endless_parts = Exchange(app, parts=[b"x" * 500] * 1000)
    assert run(endless_parts.run()).status == 413
    assert len(endless_parts._parts) > 900  # it stops taking them in
    assert run(count_in(app)) == {200: 1, 413: 5}


@pytest.mark.parametrize("megabytes", [2, 30])
@pytest.mark.parametrize("announced", [True, False])
def test_a_large_body_over_a_socket(announced, megabytes):
    """Its sender can read the answer, having sent all of it."""
    with live({"m": ScriptedRuntime(["Hi"])}, Settings(max_body_bytes=2**20)) as server:
        block = b"x" * 2**16
        head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n"
        count = megabytes * 16
        with server.connect() as connection:
            if announced:
                connection.sendall(head + b"Content-Length: %d\r\n\r\n" % (count * len(block)))
            else:
                connection.sendall(head + b"Transfer-Encoding: chunked\r\n\r\n")
            for _ in range(count):
                connection.sendall(block if announced else b"10000\r\n" + block + b"\r\n")
            if not announced:
                connection.sendall(b"0\r\n\r\n")
            answer = connection.recv(65536)
            assert answer.startswith(b"HTTP/1.1 413")
            while b'"code":null' not in answer:
                answer += connection.recv(65536)
            assert is_error(json.loads(answer.partition(b"\r\n\r\n")[2]), 413)
            # The same connection goes on.
            connection.sendall(http_request(body_of()))
            assert read_answer(connection)[0] == 200


def test_nesting():
    app = create_app({"m": ScriptedRuntime(["Hi"])}, Settings(max_depth=10))
    for inside in (b"", b"1", b"{}"):
        for depth in (8, 9, 10, 11, 100, 100_000):
            exchange = ask(app, b'{"user":' + b"[" * depth + inside + b"]" * depth + b"}")
            assert exchange.status == 400
            too_deep = 1 + depth + (inside == b"{}") > 10
            assert ("nested deeper than 10 levels" in exchange.json["error"]["message"]) == too_deep


def test_a_half_sent_body_in_process():
    app = create_app({"m": ScriptedRuntime(["Hi"])}, Settings(body_timeout_s=0.05))
    exchange = run(Exchange(app, parts=[b'{"model"', None, b""]).run())
    assert exchange.status == 408
    assert is_error(exchange.json, 408)
    assert exchange.headers["x-should-retry"] == "false"
    assert run(count_in(app)) == {408: 1}


@pytest.mark.parametrize("sent", [0.3, 0.9], ids=["headers", "body"])
def test_half_sent_requests_hold_nobody_up(sent):
    """Neither those that stop in their headers nor those that stop in their bodies; each gets its end."""
    request = http_request(body_of())
    part = request[: int(len(request) * sent)]
    assert (b"\r\n\r\n" in part) == (sent > 0.5)
    with live({"m": ScriptedRuntime(["Hi"])}, Settings(body_timeout_s=2)) as server:
        connections = []
        for _ in range(100):
            connections.append(server.connect())
            connections[-1].sendall(part)
        assert server.ask(body_of())[0] == 200
        for connection in connections:
            answer = read_all(connection)
            connection.close()
            assert answer[:12] == (b"HTTP/1.1 408" if sent > 0.5 else b"")
        assert server.ask(body_of())[0] == 200


def test_a_body_that_drips_is_given_up():
    with live({"m": ScriptedRuntime(["Hi"])}, Settings(body_timeout_s=0.5)) as server, server.connect() as connection:
        connection.sendall(http_request(body_of())[:-50])
        connection.settimeout(0.05)
        for _ in range(1000):
            with contextlib.suppress(ConnectionError):  # the answer is there, and can be read
                connection.sendall(b" ")
            with contextlib.suppress(TimeoutError):
                answer = connection.recv(1000)
                break
        assert answer.startswith(b"HTTP/1.1 408")
        assert server.counted() == {408: 1}


def test_headers_that_drip_are_given_up():
    with live({"m": ScriptedRuntime(["Hi"])}, Settings(body_timeout_s=0.5)) as server, server.connect() as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: h\r\nX: ")
        connection.settimeout(0.05)
        end = None
        for _ in range(1000):
            try:
                connection.sendall(b"x")
                end = connection.recv(1000)
                break
            except TimeoutError:
                continue
            except ConnectionError:
                end = b""
                break
        assert end == b""


def test_a_request_after_a_half_sent_one_on_the_same_connection():
    """Headers in two pieces with a pause are a request like any other, the first or the second of a connection."""
    with (
        live({"m": ScriptedRuntime(["Hi"])}, Settings(body_timeout_s=LONG_S)) as server,
        server.connect() as connection,
    ):
        for _ in range(2):
            connection.sendall(b"GET /health HTTP/1.1\r\nHo")
            assert server.get("/health")[0] == 200  # the first piece has been read before this answer
            connection.sendall(b"st: h\r\n\r\n")
            answer = b""
            while not answer.endswith(b"}"):
                answer += connection.recv(1000)
            assert answer.startswith(b"HTTP/1.1 200")


def test_the_time_for_an_answer_plain(runtime):
    runtime.hold()
    app = create_app({"m": runtime}, Settings(request_timeout_s=0.2))
    exchange = ask(app, saying("a" * 50, n=3))
    assert exchange.status == 503
    assert is_error(exchange.json, 503)
    assert "0.2 seconds" in exchange.json["error"]["message"]
    assert exchange.headers["x-should-retry"] == "false"
    assert run(count_in(app)) == {503: 1}
    runtime.let_go()
    until(lambda: runtime.sequences == {})
    assert len(runtime.batches) <= 1  # none after that which was on its way


@BOTH
def test_the_time_for_an_answer_that_has_begun(runtime, time_is_up, stream):
    async def main():
        runtime.hold()
        exchange = Exchange(app, saying("a" * 50, n=3, stream=stream))
        answer = asyncio.ensure_future(exchange.run())
        assert await asyncio.to_thread(runtime.decoding.wait, LONG_S)
        if stream:
            await asyncio.wait_for(exchange.begun.wait(), LONG_S)
        time_is_up.set()
        return await answer

    app = create_app({"m": runtime})
    exchange = run(main())
    assert exchange.complete
    if stream:
        assert exchange.status == 200
        *chunks, error, done = exchange.events
        assert streamed_text(chunks) == "a"
        assert is_error(json.loads(error), 503)
        assert done == "[DONE]"
    else:
        assert exchange.status == 503
        assert is_error(exchange.json, 503)
    assert run(count_in(app)) == {503: 1}
    runtime.let_go()
    until(lambda: runtime.sequences == {})
    assert runtime.batches == [3]  # the step that was on its way


@BOTH
def test_the_time_in_the_queue_counts(runtime, time_is_up, stream):
    async def main():
        app = create_app({"m": runtime}, Settings(max_rows=128))
        runtime.hold()
        first = asyncio.ensure_future(Exchange(app, saying("a", n=128)).run())
        assert await asyncio.to_thread(runtime.decoding.wait, LONG_S)
        second = asyncio.ensure_future(Exchange(app, saying("b", stream=stream)).run())
        await asyncio.to_thread(until, lambda: engine_of(runtime).waiting_requests == 1)
        time_is_up.set()
        refused = await second
        assert refused.status == 503  # nothing was streamed yet: a plain error
        assert is_error(refused.json, 503)
        assert (await first).status == 503

    run(main())


@BOTH
@pytest.mark.parametrize("at", ["the prompt", "the fork", "the second step"])
def test_a_model_that_fails(at, stream, caplog):
    runtime = HeldRuntime(echo())
    steps = 0

    def failing(*arguments):
        raise RuntimeError("secret of /some/file.py")

    def failing_later(sequences, token_ids):
        nonlocal steps
        steps += 1
        return decode(sequences, token_ids) if steps < 2 else failing()

    decode = runtime.decode
    if at == "the prompt":
        runtime.prefill = failing
    elif at == "the fork":
        runtime.fork = failing
    else:
        runtime.decode = failing_later
    app = create_app({"m": runtime})
    exchange = ask(app, saying("abcdef", n=2, stream=stream))
    if stream and at == "the second step":
        assert exchange.status == 200
        *chunks, error, done = exchange.events
        assert streamed_text(chunks) == "ab"
        assert is_error({"error": {**json.loads(error)["error"], "message": "m"}}, 500)
        assert done == "[DONE]"
    else:
        assert exchange.status == 500
        assert is_error({"error": {**exchange.json["error"], "message": "m"}}, 500)
    assert b"Traceback" not in exchange.sent
    assert "Traceback" in caplog.text  # it is in the log
    assert run(count_in(app)) == {500: 1}
    assert runtime.sequences == {}
    for name in ("prefill", "fork", "decode"):
        vars(runtime).pop(name, None)
    assert ask(app, saying("good")).json["choices"][0]["message"]["content"] == "good"


def test_a_reader_that_takes_nothing(monkeypatch, time_is_up):
    """It stalls nobody, and its rows are free when its time is up."""
    monkeypatch.setattr(completions, "_LAST_WORDS_S", 0.1)
    runtime = ScriptedRuntime(endless(), context_length=10**6)
    with live({"m": runtime}) as server, contextlib.ExitStack() as stalled:
        for _ in range(3):
            stalled.enter_context(server.post(body_of(stream=True, n=4), receive_buffer=2048))
        until(lambda: sum(connection.flow.write_paused for connection in server.connections()) == 3)
        for _ in range(5):
            assert server.ask(body_of(max_tokens=3))[0] == 200
        until(lambda: engine_of(runtime).running_rows == 12)
        time_is_up.set()
        until(lambda: runtime.sequences == {})
        until(lambda: server.counted() == {200: 5, 503: 3})
        time_is_up.clear()
        assert server.ask(body_of(max_tokens=3))[0] == 200


@pytest.mark.usefixtures("time_is_up")  # it never is: only the connection's own patience ends
def test_the_connection_of_a_reader_that_takes_nothing():
    """It ends when the reader has taken nothing for as long as an answer may take, and the answer with it."""
    runtime = ScriptedRuntime(endless(), context_length=10**6)
    with live({"m": runtime}, Settings(request_timeout_s=0.5)) as server, contextlib.ExitStack() as stalled:
        for _ in range(3):
            stalled.enter_context(server.post(body_of(stream=True, n=4), receive_buffer=2048))
        until(lambda: server.counted() == {499: 3})
        until(lambda: server.connections() == [])
        until(lambda: runtime.sequences == {})


def test_a_server_that_takes_nothing_more(monkeypatch, time_is_up):
    """The application under a server whose `send` never returns: the exchange ends all the same."""
    monkeypatch.setattr(completions, "_LAST_WORDS_S", 0.1)
    runtime = ScriptedRuntime(endless(), context_length=1000)
    app = create_app({"m": runtime})

    class Stalled(Exchange):
        async def _send(self, message):
            await super()._send(message)
            if message["type"] == "http.response.body":
                time_is_up.set()
                await asyncio.Event().wait()

    exchange = run(Stalled(app, body_of(stream=True, n=2)).run())
    assert exchange.status == 200
    assert run(count_in(app)) == {503: 1}
    until(lambda: runtime.sequences == {})


def test_a_reader_that_is_slow_gets_everything():
    runtime = ScriptedRuntime(echo(), context_length=20_000)
    text = "slowly does it " * 60
    with live({"m": runtime}) as server, server.post(saying(text, stream=True, n=2), receive_buffer=2048) as connection:
        until(lambda: runtime.calls and engine_of(runtime).running_rows == 0)  # it was not waited for
        status, _, answer = read_answer(connection)
        assert status == 200
        assert events_in(answer)[-1] == "[DONE]"
        for index in range(2):
            assert streamed_text(events_in(answer), index) == text


def test_clients_that_give_up_leave_nothing_behind():
    """200 requests without an end whose clients wait half a second; then a short one has its answer."""
    runtime = ScriptedRuntime(endless(), context_length=10**8)
    with live({"m": runtime}, Settings(max_waiting=1000)) as server:

        def give_up(number):
            with contextlib.suppress(TimeoutError), server.connect() as connection:
                connection.sendall(http_request(body_of(n=1 + number % 3, stream=number % 2 == 0)))
                connection.settimeout(0.5)
                end = time.monotonic() + 0.5
                while connection.recv(65536) and time.monotonic() < end:
                    pass

        with ThreadPoolExecutor(50) as pool:
            list(pool.map(give_up, range(200)))
        assert server.ask(body_of(max_tokens=10))[0] == 200
        until(lambda: runtime.sequences == {})
        until(lambda: server.counted() == {200: 1, 499: 200})


@pytest.mark.parametrize("size", [None, 1, 2])
def test_a_short_request_does_not_wait_for_long_ones(size):
    """Also where the model takes only one or two rows at a time: they take turns."""
    runtime = ScriptedRuntime(endless(), context_length=10**6)
    if size:
        runtime.max_batch_size = size
    with live({"m": runtime}) as server:
        long_ones = [server.post(body_of(stream=True, max_tokens=10**5)) for _ in range(5)]
        for connection in long_ones:
            assert connection.recv(1)
        for _ in range(5):
            status, _, answer = server.ask(body_of(max_tokens=5))
            assert status == 200
            assert json.loads(answer)["choices"][0]["message"]["content"] == "aaaaa"
        assert engine_of(runtime).running_rows == 5  # none of them is done yet
        assert max(rows for call, rows in list(runtime.calls) if call == "decode") == (size or 6)
        for connection in long_ones:
            connection.close()
        until(lambda: runtime.sequences == {})


def test_a_long_prompt_being_made_holds_up_no_other():
    """The loop is free while a tokenizer of Python is at work, and so are the other threads that do this."""
    runtime = HeldRuntime(echo())
    making, make_on = threading.Event(), threading.Event()
    encode = runtime.tokenizer.encode

    def slow(text):
        if "long" in text:
            making.set()
            end = time.monotonic() + LONG_S
            while not make_on.is_set():
                assert time.monotonic() < end
        return encode(text)

    runtime.tokenizer.encode = slow
    with live({"m": runtime}) as server, server.post(saying("long")) as long_one:
        assert making.wait(LONG_S)
        try:
            assert server.ask(saying("short"))[0] == 200
            assert server.get("/health")[0] == 200
        finally:
            make_on.set()
        assert read_answer(long_one)[0] == 200


@BOTH
def test_a_refusal_leaves_no_garbage(stream):
    """No cycle of references that would keep a request's body until the collector comes."""

    async def main():
        app = create_app({"m": ScriptedRuntime(["Hi"])})

        async def refused():
            assert (await Exchange(app, body_of(temperature=3, stream=stream)).run()).status == 400

        for _ in range(3):
            await refused()
        gc.collect()
        gc.disable()
        try:
            for _ in range(10):
                await refused()
            assert gc.collect() == 0
        finally:
            gc.enable()

    run(main())
