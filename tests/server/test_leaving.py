"""A client that leaves takes its work with it: its rows are free with the step in progress, and nobody else notices."""

from __future__ import annotations

import asyncio
import threading

import pytest

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
    http_request,
    live,
    read_all,
    read_answer,
    reset,
    saying,
    streamed_text,
    until,
)

EVERY_KIND = [{"stream": stream, "n": n} for stream in (False, True) for n in (1, 8)]


def run(coroutine):
    return asyncio.run(asyncio.wait_for(coroutine, 2 * LONG_S))


async def happened(event):
    assert await asyncio.to_thread(event.wait, LONG_S)


async def comes_true(condition):
    await asyncio.to_thread(until, condition)


@pytest.fixture
def runtime():
    runtime = HeldRuntime(echo())
    yield runtime
    runtime.let_go()


@pytest.mark.parametrize("kind", EVERY_KIND, ids=str)
def test_in_the_middle_of_the_answer(runtime, kind):
    async def main():
        app = create_app({"m": runtime})
        runtime.hold()
        doomed = Exchange(app, saying("x" * 500, **kind))
        task = asyncio.ensure_future(doomed.run())
        await happened(runtime.decoding)
        neighbour = asyncio.ensure_future(Exchange(app, saying("the neighbour", stream=True)).run())
        if kind["stream"]:
            await asyncio.wait_for(doomed.begun.wait(), LONG_S)
        doomed.leave()
        await asyncio.wait_for(task, LONG_S)  # long before the step ends
        assert len(runtime.sequences) == kind["n"]
        runtime.let_go()
        answer = await neighbour
        assert streamed_text(answer.events) == "the neighbour"
        assert runtime.batches[0] == kind["n"]
        assert set(runtime.batches[1:]) <= {1}
        assert await count_in(app) == {499: 1, 200: 1}

    run(main())
    until(lambda: runtime.sequences == {})


@pytest.mark.parametrize("kind", EVERY_KIND, ids=str)
def test_while_the_prompt_is_read(runtime, kind):
    async def main():
        app = create_app({"m": runtime})
        runtime.read_on.clear()
        doomed = Exchange(app, saying("x" * 500, **kind))
        task = asyncio.ensure_future(doomed.run())
        await happened(runtime.reading)
        doomed.leave()
        await asyncio.wait_for(task, LONG_S)
        runtime.let_go()
        await comes_true(lambda: runtime.calls and runtime.sequences == {})
        assert runtime.batches == []
        assert (await Exchange(app, saying("later")).run()).json["choices"][0]["message"]["content"] == "later"
        assert await count_in(app) == {499: 1, 200: 1}

    run(main())


@pytest.mark.parametrize("kind", EVERY_KIND, ids=str)
def test_in_the_queue(runtime, kind):
    """Its prompt is never read, and its place is free."""

    async def main():
        app = create_app({"m": runtime}, Settings(max_waiting=1))
        runtime.hold()
        first = asyncio.ensure_future(Exchange(app, saying("the first", n=3)).run())
        await happened(runtime.decoding)
        doomed = Exchange(app, saying("x" * 500, **kind))
        task = asyncio.ensure_future(doomed.run())
        engine = runtime._nexttoken_chat_model.engine
        await comes_true(lambda: engine.waiting_requests == 1)
        doomed.leave()
        await asyncio.wait_for(task, LONG_S)
        second = asyncio.ensure_future(Exchange(app, saying("second")).run())
        await comes_true(lambda: engine.waiting_requests == 1)
        runtime.let_go()
        assert [choice["message"]["content"] for choice in (await first).json["choices"]] == ["the first"] * 3
        assert (await second).status == 200
        assert await count_in(app) == {499: 1, 200: 2}

    run(main())
    assert [tokens for call, tokens in runtime.calls if call == "prefill" and tokens > 500] == []
    assert runtime.sequences == {}


def test_before_the_body_is_there(runtime):
    async def main():
        app = create_app({"m": runtime})
        doomed = Exchange(app, parts=[b'{"model":', None, b""])
        task = asyncio.ensure_future(doomed.run())
        await asyncio.sleep(0)
        doomed.leave()
        await asyncio.wait_for(task, LONG_S)
        assert doomed.status is None
        assert await count_in(app) == {499: 1}

    run(main())
    assert runtime.calls == []


def test_while_the_prompt_is_being_made(runtime):
    """That work is on a thread, which cannot be stopped; what it makes is thrown away."""
    making, make_on = threading.Event(), threading.Event()
    encode = runtime.tokenizer.encode

    def slow(text):
        making.set()
        assert make_on.wait(LONG_S)
        return encode(text)

    runtime.tokenizer.encode = slow

    async def main():
        app = create_app({"m": runtime})
        doomed = Exchange(app, body_of())
        task = asyncio.ensure_future(doomed.run())
        await happened(making)
        doomed.leave()
        await asyncio.wait_for(task, LONG_S)
        make_on.set()
        assert (await Exchange(app, saying("later")).run()).status == 200
        assert await count_in(app) == {499: 1, 200: 1}

    run(main())
    assert [call for call, _ in runtime.calls].count("prefill") == 1


def test_a_whole_answer_is_no_departure(runtime):
    """Servers tell of a disconnection after the end, too."""

    async def main():
        app = create_app({"m": runtime})
        for kind in EVERY_KIND:
            assert (await Exchange(app, saying("all of it", **kind)).run()).complete
        assert await count_in(app) == {200: 4}

    run(main())


@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("kind", EVERY_KIND, ids=str)
def test_over_a_socket(kind, how):
    runtime = HeldRuntime(endless())
    engine_of = lambda: runtime._nexttoken_chat_model.engine  # noqa: E731
    with live({"m": runtime}) as server:
        runtime.hold()
        doomed = server.post(body_of(**kind))
        assert runtime.decoding.wait(LONG_S)
        if kind["stream"]:
            assert doomed.recv(10)
        neighbour = server.post(body_of(max_tokens=5))
        until(lambda: engine_of().waiting_requests == 1)
        reset(doomed) if how == "reset" else doomed.close()
        until(lambda: server.counted().get(499) == 1)  # while the step still lasts
        steps = len(runtime.batches)
        runtime.let_go()
        status, _, _ = read_answer(neighbour)
        neighbour.close()
        assert status == 200
        until(lambda: runtime.sequences == {})
        # The step in progress, and the neighbour's four.
        assert runtime.batches[steps:] == [kind["n"]] + [1] * 4
        assert server.counted() == {499: 1, 200: 1}


def test_after_asking_for_more_on_the_same_connection():
    """A request that comes before the last one is answered is not read yet; that the client leaves still is."""
    runtime = HeldRuntime(endless())
    with live({"m": runtime}) as server:
        runtime.hold()
        for left, more in enumerate((http_request(body_of()), http_request(body_of()) * 20, b"x" * 2**16)):
            doomed = server.connect()
            doomed.sendall(http_request(body_of()).replace(b"Connection: close\r\n", b""))
            assert runtime.decoding.wait(LONG_S)
            doomed.sendall(more)
            doomed.close()
            until(lambda left=left: server.counted().get(499) == left + 1)
        runtime.let_go()
        until(lambda: runtime.sequences == {})


def test_two_requests_at_once_on_one_connection_are_answered_in_turn():
    with live({"m": HeldRuntime(echo())}) as server, server.connect() as connection:
        first = http_request(saying("first")).replace(b"Connection: close\r\n", b"")
        connection.sendall(first + http_request(saying("second")))
        answer = read_all(connection)
        assert answer.count(b"HTTP/1.1 200") == 2
        assert answer.index(b'"first"') < answer.index(b'"second"')


def test_many_leave_at_once():
    """At every point of their answers; those that stay get theirs."""
    runtime = HeldRuntime(echo())
    text = "those that stay get all of it"
    with live({"m": runtime}) as server:
        stay, go = [], []
        for number in range(60):
            kind = EVERY_KIND[number % 4]
            if number % 3:
                go.append(server.post(saying("y" * 300, **kind)))
            else:
                stay.append((kind, server.post(saying(text, **kind))))
        for number, connection in enumerate(go):
            reset(connection) if number % 2 else connection.close()
        for kind, connection in stay:
            status, _, answer = read_answer(connection)
            connection.close()
            assert status == 200
            assert text.encode() in answer or kind["stream"]
            assert answer.endswith(b"data: [DONE]\n\n") == kind["stream"]
        until(lambda: sum(server.counted().values()) == 60)
        until(lambda: runtime.sequences == {})
        assert server.counted() == {200: 20, 499: 40}
