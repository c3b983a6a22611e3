"""`Client` and `AsyncClient`: the shape of the official client, without a network."""

from __future__ import annotations

import asyncio
import gc
import threading

import openai
import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk

import nexttoken
from nexttoken.exceptions import BadRequestError, InternalServerError, NotFoundError
from nexttoken.runtimes.scripted import ScriptedRuntime

TEXT = "\n\nHello there, how may I assist you today?"


def asked(client, runtime, hello, **fields):
    return client.chat.completions.create(model=runtime, messages=hello, **fields)


async def text_of_stream(stream):
    return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])


def threads_of_engines():
    return [thread for thread in threading.enumerate() if thread.name == "nexttoken-engine"]


def test_plain_and_streamed(runtime, hello):
    with nexttoken.Client() as client:
        answer = asked(client, runtime, hello)
        assert isinstance(answer, ChatCompletion)
        assert answer.choices[0].message.content == TEXT
        with asked(client, runtime, hello, stream=True) as stream:
            chunks = list(stream)
    assert all(isinstance(chunk, ChatCompletionChunk) for chunk in chunks)
    with pytest.raises(TypeError):
        client.chat.completions.create(runtime, hello)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == TEXT


def test_parameters_that_are_not_given(runtime, hello):
    """Wrappers of the official client pass all parameters on, with its own marks for those that nobody named."""
    marks = {"temperature": openai.NOT_GIVEN, "stop": openai.omit, "tools": openai.omit}
    answer = asked(nexttoken.Client(), runtime, hello, **marks)
    assert answer.choices[0].message.content == TEXT
    with pytest.raises(BadRequestError, match="expected an object, but got a value of type NotGiven"):
        asked(nexttoken.Client(), runtime, [openai.NOT_GIVEN], **marks)


def test_models():
    client = nexttoken.Client()
    listed = {model.id: model for model in client.models.list()}
    for name, model in listed.items():
        assert (model.object, model.owned_by) == ("model", "nexttoken")
        assert client.models.retrieve(name) == model
    with pytest.raises(NotFoundError):
        client.models.retrieve("gpt-3.5-turbo")

    async def the_same():
        async with nexttoken.AsyncClient() as asynchronous:
            # Both ways, as the official client has it.
            assert {model.id async for model in await asynchronous.models.list()} == listed.keys()
            assert {model.id async for model in asynchronous.models.list()} == listed.keys()
            with pytest.raises(NotFoundError):
                await asynchronous.models.retrieve("gpt-3.5-turbo")

    asyncio.run(the_same())


def test_async_plain_and_streamed(runtime, hello):
    async def both():
        async with nexttoken.AsyncClient() as client:
            answer = await asked(client, runtime, hello, n=2)
            assert isinstance(answer, ChatCompletion)
            assert [choice.message.content for choice in answer.choices] == [TEXT, TEXT]
            stream = await asked(client, runtime, hello, stream=True)
            assert await text_of_stream(stream) == TEXT
            with pytest.raises(StopAsyncIteration):
                await anext(stream)

    asyncio.run(both())
    assert runtime.sequences == {}


def test_async_refusals_come_at_the_call(runtime, hello):
    async def refused(**fields):
        with pytest.raises(BadRequestError) as caught:
            await asked(nexttoken.AsyncClient(), runtime, hello, **fields)
        return caught.value

    error = asyncio.run(refused(n=0, stream=True))
    assert (error.param, error.code) == ("n", "integer_below_min_value")
    assert runtime.calls == []


def test_async_requests_share_a_batch(echo):
    """They are all under way before the first one ends."""
    runtime = echo()
    texts = [f"caller {number} says {'x' * (number % 7)}" for number in range(20)]

    async def all_of_them():
        client = nexttoken.AsyncClient()
        calls = [asked(client, runtime, [{"role": "user", "content": text}]) for text in texts]
        return [answer.choices[0].message.content for answer in await asyncio.gather(*calls)]

    assert asyncio.run(all_of_them()) == texts
    assert max(rows for call, rows in runtime.calls if call == "decode") > 10
    assert runtime.sequences == {}


def test_the_event_loop_goes_on_while_the_model_works(hello):
    """A step that takes until somebody on the loop says so: on the loop's own thread it would never end."""
    go_on = threading.Event()
    runtime = ScriptedRuntime(["ab"])
    plain = runtime.decode

    def decode(sequences, token_ids):
        assert go_on.wait(30)
        return plain(sequences, token_ids)

    runtime.decode = decode

    async def main():
        call = asyncio.ensure_future(asked(nexttoken.AsyncClient(), runtime, hello))
        asyncio.get_running_loop().call_later(0.01, go_on.set)
        return (await call).choices[0].message.content

    assert asyncio.run(main()) == "ab"


@pytest.mark.parametrize("how", ["close", "with", "drop", "cancel"])
def test_async_answers_that_are_left_free_their_rows(how, hello):
    runtime = ScriptedRuntime(["x" * 3000])

    async def main():
        client = nexttoken.AsyncClient()
        if how == "cancel":
            call = asyncio.ensure_future(asked(client, runtime, hello, n=3))
            while not runtime.sequences:
                await asyncio.sleep(0.001)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
        else:
            stream = await asked(client, runtime, hello, n=3, stream=True)
            await anext(stream)
            assert len(runtime.sequences) == 3
            if how == "close":
                await stream.close()
                assert [chunk async for chunk in stream] == []
            elif how == "with":
                async with stream:
                    await anext(stream)
            del stream
            gc.collect()
        while runtime.sequences or threads_of_engines():
            await asyncio.sleep(0.001)

    asyncio.run(asyncio.wait_for(main(), 30))
    assert sum(call == "decode" for call, _ in runtime.calls) < 2900


def test_a_model_that_fails_on_the_way(hello):
    runtime = ScriptedRuntime(lambda prompt, output: [float("nan")] * 258)

    async def text(**fields):
        answer = await asked(nexttoken.AsyncClient(), runtime, hello, **fields)
        return await text_of_stream(answer)

    for fields in ({}, {"stream": True}):
        with pytest.raises(InternalServerError, match="NaN"):
            asyncio.run(text(**fields))
    assert runtime.sequences == {}


def test_threads_and_coroutines_share_a_model(echo, ask):
    """Callers that wait and callers that cannot, on one engine at the same time."""
    runtime = echo()

    def threaded(number):
        text = f"thread {number}"
        for _ in range(10):
            answer = ask(runtime, messages=[{"role": "user", "content": text}])
            assert answer.choices[0].message.content == text

    async def asynchronous():
        client = nexttoken.AsyncClient()
        for number in range(10):
            text = f"coroutine {number}"
            stream = await asked(client, runtime, [{"role": "user", "content": text}], stream=True)
            assert await text_of_stream(stream) == text

    async def main():
        await asyncio.gather(*(asyncio.to_thread(threaded, number) for number in range(3)), asynchronous())

    asyncio.run(asyncio.wait_for(main(), 60))
    assert runtime.sequences == {}
